"""The control endpoint over a real socket: look, change, kick, notice."""

import asyncio

import aiohttp
import pytest
from ib_async import IB, LimitOrder, Stock
from tests.support.sandbox import LOOPBACK, StartSandbox, events, fault, sent

from ibkr_rebalancer.sandbox.run import Sandbox
from ibkr_rebalancer.sandbox.venue.document import Document


async def call(sandbox: Sandbox, method: str, path: str = "", body: object = None) -> tuple[int, Document]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, sandbox.control_url + path, json=body) as response,
    ):
        return response.status, await response.json()


async def connected(sandbox: Sandbox, client_id: int = 7) -> IB:
    ib = IB()
    await ib.connectAsync(LOOPBACK, sandbox.gateway_port, client_id, raiseSyncErrors=True)
    return ib


async def test_the_state_is_a_scenario_with_the_time_and_the_clients(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ib = await connected(sandbox)
    status, state = await call(sandbox, "GET")
    ib.disconnect()
    assert status == 200
    assert state["clients"] == [7]
    assert state["clock"].startswith("2026-11-23T15:30:0")
    assert state["accounts"]["DU1"]["positions"] == {"AAA": {"quantity": "100"}}


async def test_a_change_reaches_those_who_follow(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ib = await connected(sandbox)
    ticker = ib.reqMktData(Stock("AAA", "SMART", "USD", conId=101))
    await ticker.updateEvent
    change = {"market": {"AAA": {"bid": "95.5"}}, "accounts": {"DU1": {"cash": "1", "positions": {"BBB": 9}}}}
    told = asyncio.gather(ticker.updateEvent, ib.positionEvent)
    status, state = await call(sandbox, "PATCH", body=change)
    await told
    assert status == 200
    assert state["market"]["AAA"]["bid"] == "95.5"
    assert ticker.bid == 95.5
    assert {p.contract.symbol: p.position for p in ib.positions()} == {"AAA": 100, "BBB": 9}
    ib.disconnect()
    assert events(sandbox.log, "changed")[0]["change"] == change


async def test_the_clock_runs_on_from_where_it_is_set(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    _, state = await call(sandbox, "PATCH", body={"clock": "2026-11-27T18:00:00Z"})
    assert state["clock"].startswith("2026-11-27T18:00:0")
    _, later = await call(sandbox, "GET")
    assert later["clock"] > state["clock"]


async def test_a_kick_cuts_one_client_or_all(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    first, second = await connected(sandbox, 7), await connected(sandbox, 8)
    gone = asyncio.gather(first.disconnectedEvent)
    await call(sandbox, "POST", "/kick", {"client": 7})
    await gone
    assert second.isConnected()
    gone = asyncio.gather(second.disconnectedEvent)
    await call(sandbox, "POST", "/kick")
    await gone
    assert [event["client"] for event in events(sandbox.log, "kicked")] == [7, None]


async def test_a_notice_reaches_every_client(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ib = await connected(sandbox)
    errors: list[tuple[int, int, str]] = []
    ib.errorEvent += lambda number, code, text, _: errors.append((number, code, text))
    told = asyncio.gather(ib.errorEvent)
    await call(sandbox, "POST", "/notice", {"code": 2103, "text": "gone"})
    await told
    ib.disconnect()
    assert errors == [(-1, 2103, "gone")]


async def test_an_order_of_somebody_else_moves_the_account_and_can_be_corrected(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(fills={"delay_ms": 0})
    ib = await connected(sandbox)
    told = asyncio.gather(ib.positionEvent)
    status, _ = await call(sandbox, "POST", "/order", {"contract": "AAA", "side": "SELL", "quantity": 30})
    await told
    assert status == 200
    assert [position.position for position in ib.positions()] == [70]
    assert ib.openTrades() == []
    (execution,) = events(sandbox.log, "execution")
    assert (execution["client_id"], execution["side"], execution["quantity"]) == (99, "SELL", "30")
    correction = {"exec_id": execution["exec_id"], "price": "99.98"}
    status, _ = await call(sandbox, "POST", "/correct", correction)
    ib.disconnect()
    assert status == 200
    assert [row["price"] for row in events(sandbox.log, "execution")] == ["99.99", "99.98"]


async def test_a_change_of_prices_fills_what_rests(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ib = await connected(sandbox)
    trade = ib.placeOrder(Stock("AAA", "SMART", "USD", conId=101), LimitOrder("BUY", 10, 95, tif="DAY", account="DU1"))
    while trade.orderStatus.status != "Submitted":
        await ib.updateEvent
    await call(sandbox, "PATCH", body={"market": {"AAA": {"bid": "94.90", "ask": "94.91", "last": "94.90"}}})
    while not trade.isDone():
        await ib.updateEvent
    ib.disconnect()
    assert trade.orderStatus.avgFillPrice == 94.91


@pytest.mark.parametrize(
    ("method", "path", "body", "problem"),
    [
        ("PATCH", "", {"market": {"AAA": {"bidd": 1}}}, "market.AAA: unknown key 'bidd'"),
        ("PATCH", "", {"faults": [fault("nothing", "drop")]}, "faults[0]: there is no message 'nothing'"),
        ("PATCH", "", [], "expected an object"),
        ("POST", "/kick", {"klient": 1}, "unknown key 'klient'; known are client"),
        ("POST", "/kick", {"client": "7"}, "client must be a whole number, was '7'"),
        ("POST", "/notice", {}, "code must be a whole number, was None"),
        ("POST", "/order", {"contract": "NOPE"}, "order.contract: 0 contracts fit"),
        ("POST", "/order", {"contract": "AAA", "price": 5}, "order: unknown key 'price'"),
        ("POST", "/publish", {"channel": "c", "data": "\ud800"}, "publish: data is no Unicode text: "),
        ("POST", "/publish", {"channel": "c", "name": "\ud800"}, "publish: name is no Unicode text: "),
        ("POST", "/publish", {"channel": "c", "data": 1}, "publish: data is text, bytes, an object, a list or nothing"),
        ("POST", "/correct", {"exec_id": "x", "price": "1"}, "exec_id: there is no execution 'x'"),
        ("POST", "/correct", {"exec_id": "x"}, "price: expected a number, was None"),
        ("PATCH", "", {"read_only": "yes"}, "scenario.read_only: expected true or false, was 'yes'"),
    ],
)
async def test_what_is_wrong_is_said_and_changes_nothing(
    start_sandbox: StartSandbox, method: str, path: str, body: object, problem: str
) -> None:
    sandbox = await start_sandbox()
    before = {**sandbox.state(), "clock": None}
    status, answer = await call(sandbox, method, path, body)
    assert status == 400
    assert answer["error"].startswith(problem)
    assert {**sandbox.state(), "clock": None} == before
    assert not sent(sandbox.log)


@pytest.mark.parametrize(
    ("body", "charset"),
    [(b"{", "utf-8"), (b"\xff", "utf-8"), (b"{}", "nonsense"), (b"[" * 100_000 + b"]" * 100_000, "utf-8")],
    ids=["cut off", "no text", "no charset", "too deep"],
)
async def test_no_json_is_said(start_sandbox: StartSandbox, body: bytes, charset: str) -> None:
    sandbox = await start_sandbox()
    content = {"Content-Type": f"application/json; charset={charset}"}
    async with aiohttp.ClientSession() as http, http.patch(sandbox.control_url, data=body, headers=content) as response:
        assert response.status == 400
        assert (await response.json())["error"].startswith("no JSON: ")
