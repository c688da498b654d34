"""The traps of ib_async 2.1.0 that concern reading: each shut in the product, and some shown open in the library.

A test named `in_ib_async_itself` shows what a wrapper around the library's `IB` class would have believed. When one of
them fails, the library has been mended, and our way around it can be looked at again.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import ib_async
import pytest
from tests.support.reading import DU1, SOON_S, Notices, candidates, quoted, read_everything, reading, until
from tests.support.sandbox import LOOPBACK, StartSandbox, fault, order_messages, received

from ibkr_rebalancer.core.errors import GatewayRefused, GatewayUnavailable, RebalancerError
from ibkr_rebalancer.core.instruments import Contract, ContractQuery
from ibkr_rebalancer.core.quotes import NoQuote
from ibkr_rebalancer.edges.ibkr.market import GatewayMarket

LISTED_AS_WARNINGS = [105, 110, 165, 321, 329, 434, 492]
"""Refusals that ib_async takes for warnings: the request they end is never resolved. (399 and 404 are none: an order
that they name lives on.)"""


async def contract(market: GatewayMarket, symbol: str = "AAA") -> Contract:
    query = ContractQuery(symbol=symbol)
    (found,) = candidates((await market.contracts([query]))[query])
    return found


@asynccontextmanager
async def naive(port: int) -> AsyncIterator[ib_async.IB]:
    """The library as its documentation uses it."""
    ib = ib_async.IB()
    try:
        yield await ib.connectAsync(LOOPBACK, port, clientId=1, timeout=SOON_S, readonly=True)
    finally:
        ib.disconnect()
        await until(lambda: ib.client.conn.transport is None)


# 1: silence looks like an empty account


@pytest.mark.parametrize("request_name", ["reqPositions", "reqAccountUpdates"])
async def test_trap_1_silence_is_no_empty_account(start_sandbox: StartSandbox, request_name: str) -> None:
    sandbox = await start_sandbox(faults=[fault(request_name, "drop")])
    async with reading(sandbox.gateway_port, answer_s=SOON_S) as market:
        with pytest.raises(GatewayUnavailable):
            await read_everything(market)


async def test_trap_1_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("reqPositions", "drop"), fault("reqAccountUpdates", "drop")])
    async with naive(sandbox.gateway_port) as ib:
        assert (ib.positions(), ib.portfolio()) == ([], [])


# 2: while starting, only timeouts are told


async def test_trap_2_a_refusal_of_the_first_question_is_told(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("reqPositions", "error", parameters={"code": 322})])
    async with reading(sandbox.gateway_port) as market:
        with pytest.raises(GatewayRefused, match="position list"):
            await market.positions([DU1])


# 3: a client id in use is told as a timeout, after the timeout


async def test_trap_3_a_client_id_in_use_costs_no_time(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port):
        began = time.monotonic()
        async with reading(sandbox.gateway_port, connect_s=60) as market:
            assert time.monotonic() - began < 5
            assert await market.managed_accounts() == (DU1,)


async def test_trap_3_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with naive(sandbox.gateway_port):
        with pytest.raises(TimeoutError):
            async with naive(sandbox.gateway_port):
                pass


# 4: executions and completed orders, asked for at the start, hang on some gateways


async def test_trap_4_starting_asks_for_nothing_that_may_hang(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("reqCompletedOrders", "mute"), fault("reqExecutions", "mute")])
    async with reading(sandbox.gateway_port) as market:
        await read_everything(market)
    assert not received(sandbox.log, "reqCompletedOrders")
    assert not received(sandbox.log, "reqExecutions")


# 5: with several accounts, the portfolio is empty or that of another


async def test_trap_5_each_account_has_its_own_portfolio(start_sandbox: StartSandbox) -> None:
    accounts = {"DU2": {"cash": "2", "positions": {"BBB": 2}}, "DU3": {"cash": "3", "positions": {"CCC": 3}}}
    sandbox = await start_sandbox(accounts=accounts)
    async with reading(sandbox.gateway_port) as market:
        managed = await market.managed_accounts()
        portfolios = await asyncio.gather(*(market.portfolio(account) for account in managed))
    held = {portfolio.account: [h.position.symbol for h in portfolio.holdings] for portfolio in portfolios}
    assert held == {"DU1": ["AAA"], "DU2": ["BBB"], "DU3": ["CCC"]}
    assert [int(portfolio.balances.total_cash) for portfolio in portfolios] == [10_000, 2, 3]


async def test_trap_5_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(accounts={"DU2": {"cash": "2", "positions": {"BBB": 2}}})
    async with naive(sandbox.gateway_port) as ib:
        assert ib.portfolio() == []


# 6: when the gateway dies, the library forgets all it knew


async def test_trap_6_a_dead_gateway_answers_nothing_more(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("positionEnd", "drop")])
    async with reading(sandbox.gateway_port) as market:
        waiting = asyncio.create_task(market.positions([DU1]))
        await until(lambda: received(sandbox.log, "reqPositions"))
        sandbox.kick()
        with pytest.raises(GatewayUnavailable, match="closed the connection while the position list"):
            await waiting
        assert not market.is_of_use
        for ask in (market.positions([DU1]), market.portfolio(DU1), market.server_time()):
            with pytest.raises(GatewayUnavailable) as caught:
                await ask
            assert caught.value.code == "SNAPSHOT_INCOMPLETE"


async def test_trap_6_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with naive(sandbox.gateway_port) as ib:
        assert ib.positions()
        sandbox.kick()
        await ib.disconnectedEvent
        assert ib.positions() == []


# 7: one's own disconnecting leaves requests waiting for ever


async def test_trap_7_leaving_ends_what_is_under_way(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("positionEnd", "drop")])
    async with reading(sandbox.gateway_port, answer_s=60) as market:
        waiting = asyncio.create_task(market.positions([DU1]))
        await until(lambda: received(sandbox.log, "reqPositions"))
    with pytest.raises(GatewayUnavailable, match="We closed the connection"):
        await waiting


# 8: a lost link to Interactive Brokers changes nothing in `isConnected()`


@pytest.mark.parametrize("lost", [1100, 2110])
@pytest.mark.parametrize("back", [1101, 1102])
async def test_trap_8_a_lost_link_stops_reading_until_it_is_back(
    start_sandbox: StartSandbox, lost: int, back: int
) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        sandbox.notice(lost)
        with pytest.raises(GatewayUnavailable) as caught:
            await contract(market)
        assert caught.value.code == "LINK_DOWN"
        assert market.is_of_use, "it mends itself"
        sandbox.notice(back)
        await answered(market)
        await read_everything(market)
    assert not received(sandbox.log, "reqAccountSummary"), "ib_async subscribes by itself when the link is back"


@pytest.mark.parametrize("question", ["reqPositions", "reqAccountUpdates", "reqContractDetails", "reqMktData"])
async def test_trap_8_a_link_lost_in_the_middle(start_sandbox: StartSandbox, question: str) -> None:
    sandbox = await start_sandbox(faults=[fault(question, "notice", parameters={"code": 1100})])
    async with reading(sandbox.gateway_port) as market:
        with pytest.raises(GatewayUnavailable) as caught:
            await read_everything(market)
    error = caught.value
    assert (error.code, error.exit_code) == ("LINK_DOWN", 20)
    assert "not connected to Interactive Brokers while" in error.message
    assert "a few minutes" in error.hint
    assert not order_messages(sandbox.log)


async def answered(market: GatewayMarket) -> None:
    """Ask until there is an answer."""
    while True:
        with suppress(GatewayUnavailable):
            await market.server_time()
            return
        await asyncio.sleep(0)  # a refusal takes no turn of the event loop


# 9: requests have no deadline


async def test_trap_9_every_request_has_a_deadline(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port, answer_s=SOON_S, quotes_s=SOON_S) as market:
        found = await contract(market)
        sandbox.change({"faults": [fault("reqContractDetails", "drop"), fault("reqMktData", "drop")]})
        with pytest.raises(GatewayUnavailable):
            await contract(market)
        with pytest.raises(GatewayUnavailable):
            await market.quotes([found])
        sandbox.change({"faults": [fault("reqCurrentTime", "drop")]})
        with pytest.raises(GatewayUnavailable):
            await market.server_time()


# 10: some refusals count as warnings, and the request hangs


@pytest.mark.parametrize("code", LISTED_AS_WARNINGS)
async def test_trap_10_a_refusal_is_no_warning(start_sandbox: StartSandbox, code: int) -> None:
    sandbox = await start_sandbox(faults=[fault("reqContractDetails", "error", parameters={"code": code})])
    async with reading(sandbox.gateway_port, answer_s=60) as market, asyncio.timeout(5):
        with pytest.raises(GatewayRefused, match=f"code {code}"):
            await contract(market)


@pytest.mark.parametrize("code", [2104, 2119, 2137, 10167, 10090])
async def test_trap_10_a_warning_is_no_refusal(start_sandbox: StartSandbox, code: int) -> None:
    sandbox = await start_sandbox(faults=[fault("marketDataType", "notice", parameters={"code": code})])
    async with reading(sandbox.gateway_port) as market:
        found = await contract(market)
        assert quoted((await market.quotes([found]))[found.con_id])


async def test_trap_10_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("reqContractDetails", "error", parameters={"code": 321})])
    async with naive(sandbox.gateway_port) as ib:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ib.reqContractDetailsAsync(ib_async.Contract(conId=101)), SOON_S)


# 11: other refusals look like empty answers


async def test_trap_11_only_an_unknown_symbol_has_no_contracts(start_sandbox: StartSandbox) -> None:
    refusal = fault("reqContractDetails", "error", where={"symbol": "BBB"}, parameters={"code": 322})
    sandbox = await start_sandbox(faults=[refusal])
    async with reading(sandbox.gateway_port) as market:
        unknown = ContractQuery(symbol="NOPE")
        refused, other = ContractQuery(symbol="BBB"), ContractQuery(symbol="AAA")
        found = await market.contracts([unknown, refused, other])
    assert (found[unknown], len(candidates(found[other]))) == ((), 1)
    assert isinstance(found[refused], GatewayRefused)
    assert "contract of BBB" in str(found[refused])


async def test_trap_11_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("reqContractDetails", "error", parameters={"code": 322})])
    async with naive(sandbox.gateway_port) as ib:
        assert await ib.reqContractDetailsAsync(ib_async.Contract(conId=101)) == []


# 12: two requests of a kind share a key, and the first never ends


async def test_trap_12_requests_of_a_kind_take_turns(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=1)
    async with reading(sandbox.gateway_port) as market, asyncio.timeout(5):
        answers = await asyncio.gather(
            *(market.positions([DU1]) for _ in range(3)),
            *(market.portfolio(DU1) for _ in range(3)),
            *(market.server_time() for _ in range(3)),
        )
    assert answers[0] == answers[1] == answers[2]
    assert answers[3] == answers[4] == answers[5]


async def test_trap_12_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with naive(sandbox.gateway_port) as ib:
        first, second = ib.reqPositionsAsync(), ib.reqPositionsAsync()
        assert await second
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(first, SOON_S)


# 13: a snapshot that fails shows the prices of the one before


async def test_trap_13_old_prices_are_not_shown_again(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    notices = Notices()
    async with reading(sandbox.gateway_port, observer=notices) as market:
        found = await contract(market)
        assert quoted((await market.quotes([found]))[found.con_id])
        sandbox.change({"faults": [fault("reqMktData", "error", parameters={"code": 10168})]})
        assert isinstance((await market.quotes([found]))[found.con_id], NoQuote)
    assert "No price for AAA" in notices.texts[0]


async def test_trap_13_prices_that_vanish_are_gone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        found = await contract(market)
        await market.quotes([found])
        sandbox.change({"market": {"AAA": {"bid": None, "ask": None, "last": None}}})
        quote = quoted((await market.quotes([found]))[found.con_id])
    assert (quote.bid, quote.ask, quote.last) == (None, None, None)
    assert quote.close is not None


async def test_trap_13_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with naive(sandbox.gateway_port) as ib:
        wanted = ib_async.Contract(conId=101, exchange="SMART")
        await ib.reqTickersAsync(wanted)
        sandbox.change({"faults": [fault("reqMktData", "error", parameters={"code": 10168})]})
        (stale,) = await ib.reqTickersAsync(wanted)
        assert (stale.bid, stale.ask) == (99.99, 100.01)


# 14: contracts without a conId cannot be hashed, and looking them up yields None


async def test_trap_14_contracts_are_looked_up_without_a_con_id(start_sandbox: StartSandbox) -> None:
    twins = [{"con_id": 7, "primary_exchange": "NYSE"}, {"con_id": 8, "primary_exchange": "ARCA"}]
    sandbox = await start_sandbox(market={"TWO": twins})
    queries = [ContractQuery(symbol=symbol) for symbol in ("AAA", "NOPE", "TWO")]
    async with reading(sandbox.gateway_port) as market:
        found = await market.contracts(queries)
    assert [len(candidates(found[query])) for query in queries] == [1, 0, 2]


# 15: answers to positionMulti are discarded


async def test_trap_15_positions_are_asked_in_the_way_that_is_answered(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        assert await market.positions([DU1])
    assert received(sandbox.log, "reqPositions")
    assert not received(sandbox.log, "reqPositionsMulti")


# 23: blocking calls inside a running loop, and the patch of asyncio that allows them


async def test_trap_23_asyncio_is_not_patched(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        await read_everything(market)
    assert "nest_asyncio" not in sys.modules


# 24: beyond 45 messages a second the library holds back, and deadlines run on


async def test_trap_24_deadlines_grow_with_the_batch(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    queries = [ContractQuery(symbol=f"S{number}") for number in range(80)]
    began = time.monotonic()
    async with reading(sandbox.gateway_port, answer_s=0.5) as market:
        found = await market.contracts(queries)
    assert time.monotonic() - began > 0.5
    assert len(found) == len(queries)
    assert len(received(sandbox.log, "reqContractDetails")) == len(queries)


async def test_trap_24_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with naive(sandbox.gateway_port) as ib:
        lookups = [ib.reqContractDetailsAsync(ib_async.Contract(symbol=f"S{number}")) for number in range(80)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*lookups), 0.5)


# All of them


async def test_no_reading_ever_sends_an_order(start_sandbox: StartSandbox) -> None:
    """Whatever is refused, the venue hears no order message; nor is there a method to send one."""
    faults = [fault(name, "error", parameters={"code": 321}) for name in ("reqPositions", "reqMktData")]
    sandbox = await start_sandbox(faults=faults)
    async with reading(sandbox.gateway_port) as market:
        with suppress(RebalancerError):
            await read_everything(market)
        public = {name for name in dir(market) if not name.startswith("_")}
    questions = {"contracts", "managed_accounts", "portfolio", "positions", "quotes", "server_time"}
    assert public == {*questions, "is_at_work", "is_of_use"}
    assert not order_messages(sandbox.log)
