"""One line for several at the same time: they share what it finds, and none loses its connection to another."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.support.desk import DESK_ID, has_status, heard_until, intent, resting, trading
from tests.support.reading import DU1, SOON_S, Notices, StoppedClock, until
from tests.support.sandbox import LOOPBACK, StartSandbox, fault, order_fault, received

from ibkr_rebalancer.core.errors import Busy, GatewayUnavailable
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.connection import TradingGateway
from ibkr_rebalancer.edges.ibkr.line import GatewayLine, open_line
from ibkr_rebalancer.ports import GatewaySession
from ibkr_rebalancer.sandbox.run import Sandbox

DU2 = AccountId("DU2")
OTHER_ID = DESK_ID + 20


@asynccontextmanager
async def line_to(port: int, *, answer_s: float = 10, connect_s: float = 10) -> AsyncIterator[GatewayLine]:
    """With deadlines that only a broken test meets unless they are given."""
    line = GatewayLine(
        lambda client_id: trading(port, client_id=client_id, answer_s=answer_s, connect_s=connect_s), client_id=DESK_ID
    )
    try:
        yield line
    finally:
        await line.hang_up()


def connections(sandbox: Sandbox) -> int:
    return len(received(sandbox.log, "startApi"))


async def sessions(line: GatewayLine, count: int = 20, *, within_s: float = 0) -> Sequence[GatewaySession]:
    return await asyncio.gather(*(line.session(within_s=within_s) for _ in range(count)))


async def test_all_who_ask_at_once_share_one_connection(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=5)
    async with line_to(sandbox.gateway_port) as line:
        found = await sessions(line)
        assert {id(session.desk) for session in found} == {id(found[0].desk)}
        await found[0].market.server_time()
    assert connections(sandbox) == 1


async def test_all_who_have_lost_it_at_once_share_the_next(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=5)
    async with line_to(sandbox.gateway_port) as line:
        before = await line.session(within_s=0)
        for _ in range(3):
            sandbox.kick()
            await until(lambda: not before.market.is_of_use)  # type: ignore[attr-defined]  # noqa: B023
            found = await sessions(line, within_s=10)
            assert {id(session.desk) for session in found} == {id(found[0].desk)} != {id(before.desk)}
            await found[0].market.server_time()
            before = found[0]
    assert connections(sandbox) == 4


async def test_all_who_wait_for_a_try_share_its_failure() -> None:
    tried, may_end = 0, asyncio.Event()

    @asynccontextmanager
    async def refused(_: int) -> AsyncIterator[TradingGateway]:
        nonlocal tried
        tried += 1
        await may_end.wait()
        raise GatewayUnavailable("GATEWAY_UNREACHABLE", "Nothing listens.", hint="Start it.")
        yield

    line = GatewayLine(refused, client_id=DESK_ID)
    asking = asyncio.gather(*(line.session(within_s=0) for _ in range(20)), return_exceptions=True)
    await until(lambda: tried)
    may_end.set()
    failures = await asking
    assert [type(failure) for failure in failures] == [GatewayUnavailable] * 20
    assert tried == 1
    with pytest.raises(GatewayUnavailable):
        await line.session(within_s=0)
    assert tried == 2, "who comes later tries at least once"


async def test_all_who_go_on_trying_have_one_pause() -> None:
    """Fifty accounts do not knock at a gateway that is restarting fifty times as often as one."""
    tried: list[float] = []
    now = asyncio.get_running_loop().time

    @asynccontextmanager
    async def refused(_: int) -> AsyncIterator[TradingGateway]:
        tried.append(now())
        await asyncio.sleep(0)
        raise Busy("CLIENT_ID_IN_USE", "Somebody has it.", hint="Wait.")
        yield

    line = GatewayLine(refused, client_id=DESK_ID)
    failures = await asyncio.gather(*(line.session(within_s=0.9) for _ in range(50)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {Busy}
    assert 2 <= len(tried) <= 5


async def test_a_try_that_is_given_up_is_another_ones_to_make(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("startApi", "mute", count=1)])
    async with line_to(sandbox.gateway_port) as line:
        first = asyncio.ensure_future(line.session(within_s=0))
        await until(lambda: connections(sandbox) == 1)
        second = asyncio.ensure_future(line.session(within_s=0))
        await asyncio.sleep(0)
        first.cancel()
        await (await second).market.server_time()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert connections(sandbox) == 2


async def test_whoever_comes_while_the_link_is_down_leaves_the_connection_to_the_others(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox()
    async with line_to(sandbox.gateway_port) as line:
        session = await line.session(within_s=0)
        sandbox.notice(1100)
        await until(lambda: session.desk._conversation.link.failures)  # type: ignore[attr-defined]
        waiting = asyncio.gather(*(line.session(within_s=10) for _ in range(5)))
        with pytest.raises(GatewayUnavailable):
            await line.session(within_s=0)
        sandbox.notice(1102)
        assert {id(found.desk) for found in await waiting} == {id(session.desk)}
    assert connections(sandbox) == 1


OWED = fault("accountDownloadEnd", "drop", where={"account": "DU2"}, count=1)
"""The gateway never ends its answer about one account."""


async def test_what_one_account_is_owed_costs_no_other_its_connection(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[OWED], accounts={"DU2": {"cash": "9999"}})
    async with line_to(sandbox.gateway_port, answer_s=SOON_S) as line:
        session = await line.session(within_s=0)
        await session.desk.place(resting())
        await heard_until(session.desk, has_status("rb1-test-1", "Submitted"))
        listening = asyncio.ensure_future(session.desk.heard(DU1, within_s=60))
        await asyncio.sleep(0)
        with pytest.raises(GatewayUnavailable):
            await session.market.portfolio(DU2)
        assert not session.market.is_of_use  # type: ignore[attr-defined]
        assert (await line.session(within_s=0)).desk is session.desk
        await session.desk.cancel(resting())
        assert await listening
        assert connections(sandbox) == 1
        renewed = await line.session(within_s=0)
        assert renewed.desk is not session.desk, "nobody is in the middle of anything any more"
        assert (await renewed.market.portfolio(DU2)).balances.net_liquidation
    assert connections(sandbox) == 2


async def test_what_all_are_owed_ends_the_connection_for_all(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("positionEnd", "drop", count=1)])
    async with line_to(sandbox.gateway_port, answer_s=SOON_S) as line:
        session = await line.session(within_s=0)
        listening = asyncio.ensure_future(session.desk.heard(DU1, within_s=60))
        await asyncio.sleep(0)
        with pytest.raises(GatewayUnavailable):
            await session.market.positions([DU1])
        assert (await line.session(within_s=0)).desk is not session.desk
        with pytest.raises(GatewayUnavailable):
            await listening


async def test_a_line_connects_when_it_is_first_asked_to_and_under_its_own_client_id(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox()
    port, notices = sandbox.gateway_port, Notices()
    async with open_line(host=LOOPBACK, port=port, client_id=DESK_ID, clock=StoppedClock(), observer=notices) as line:
        session = (await sessions(line))[0]
        await session.desk.place(intent())
        assert await heard_until(session.desk, has_status("rb1-test-1", "Filled"))
    assert notices.texts == [f"Connecting to 127.0.0.1:{port}"]


async def test_what_went_out_over_another_client_id_is_cancelled_over_that_one(start_sandbox: StartSandbox) -> None:
    """Only the client that placed an order can cancel it."""
    sandbox = await start_sandbox(faults=[order_fault("hold")])
    async with trading(sandbox.gateway_port, client_id=OTHER_ID) as gateway:
        placed = replace(intent(), client_id=OTHER_ID)
        await gateway.desk.place(placed)
        with pytest.raises(Busy):
            async with line_to(sandbox.gateway_port) as line, line.over(OTHER_ID):
                pass
    async with line_to(sandbox.gateway_port) as line:
        session = await line.session(within_s=10)
        async with line.over(OTHER_ID) as desk:
            assert desk.client_id == OTHER_ID
            await desk.order_book(placed.account)
            await desk.cancel(placed)
            await desk.order_book(placed.account)
        book = await session.desk.order_book(placed.account)
        assert book.ours_open(placed.account) == {}
    assert [frame["client"] for frame in received(sandbox.log, "cancelOrder")] == [OTHER_ID]
