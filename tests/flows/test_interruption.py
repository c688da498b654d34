"""A run that is told to stop begins nothing more, for any account, and every run that has begun gets its end."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.notation import allocation_body
from tests.support.trading_scene import TradingScene
from tests.support.venue_desk import VenueDesk
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.errors import Deferred
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.flows.side_by_side import side_by_side
from ibkr_rebalancer.ports import WhatIf

DU1, DU2 = AccountId("DU1"), AccountId("DU2")
SWITCH = allocation_body({"BBB": Decimal(1)})
BOTH = {"DU1": SWITCH, "DU2": SWITCH}
HOLDINGS = {name: {"cash": "10000", "positions": {"AAA": 100}} for name in BOTH}


class Killed(BaseException):
    """Nothing of the product takes this for an error."""


def play(story: Any) -> Any:
    """Run a story in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)


def test_an_interruption_ends_what_is_at_work_and_begins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One account has sold a part, the other is still asking what the broker would say."""
    what_if = VenueDesk.what_if

    async def slow(desk: VenueDesk, intent: OrderIntent) -> WhatIf:
        await asyncio.sleep(60 if intent.account == DU2 else 0)
        return await what_if(desk, intent)

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, fills={"delay_ms": 2000, "slices": 3})
        monkeypatch.setattr(VenueDesk, "what_if", slow)
        running = asyncio.ensure_future(scene.rebalance_all(BOTH))
        await asyncio.sleep(1)
        running.cancel()
        outcomes = await running
        first, second = outcomes[DU1], outcomes[DU2]
        assert isinstance(first, Report)
        assert (first.outcome, first.exit_code) == ("interrupted", 12)
        assert isinstance(second, Deferred)
        assert (second.code, second.message, second.hint) == (
            "INTERRUPTED",
            "Interrupted before anything was sent for DU2.",
            "Run the command again.",
        )
        assert scene.orders == ["SELL 100 AAA"]
        assert not running.cancelling()
        with scene.ports(BOTH) as ports:
            kept = {run.start.account: run for run in ports.ledger.runs(limit=9)}
        assert kept[DU1].report == first
        failure = kept[DU2].failure
        assert failure is not None
        assert (failure.code, failure.exit_code) == ("INTERRUPTED", 10)

    play(story())


def test_an_interruption_winds_every_account_down_at_the_same_time(tmp_path: Path) -> None:
    async def story() -> None:
        late = {"when": {"order": {"side": "SELL"}}, "what": {"cancel_late": {"ms": 8000}}}
        scene = TradingScene(tmp_path, accounts=HOLDINGS, fills={"delay_ms": 60_000}, faults=[late])
        running = asyncio.ensure_future(scene.rebalance_all(BOTH))
        await asyncio.sleep(1)
        running.cancel()
        reports = (await running).values()
        assert [report.outcome for report in reports if isinstance(report, Report)] == ["interrupted"] * 2
        assert scene.orders == ["SELL 100 AAA"] * 2
        assert sorted(scene.gateway.cancelled) == sorted(ticket.order_ref for ticket in scene.gateway.placed)
        assert not scene.venue.open_orders
        assert asyncio.get_running_loop().time() < 12
        with scene.ports(BOTH) as ports:
            assert not ports.ledger.unsettled()

    play(story())


def test_whoever_waits_for_its_turn_to_send_when_it_is_interrupted_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = VenueDesk.place

    async def slowly(desk: VenueDesk, intent: OrderIntent) -> None:
        await asyncio.sleep(1)
        await place(desk, intent)

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, fills={"delay_ms": 60_000})
        monkeypatch.setattr(VenueDesk, "place", slowly)
        running = asyncio.ensure_future(scene.rebalance_all(BOTH))
        await asyncio.sleep(0.5)
        running.cancel()
        first, second = (await running).values()
        assert isinstance(first, Report)
        assert isinstance(second, Report)
        assert [ticket.account for ticket in scene.gateway.placed] == [DU1]
        assert [order.status for order in first.orders] == ["cancelled"]
        assert [(order.status, order.reason) for order in second.orders] == [("absent", "not sent")]
        assert asyncio.get_running_loop().time() < 2

    play(story())


def test_a_second_interruption_ends_at_once_and_leaves_the_rest_to_the_next_run(tmp_path: Path) -> None:
    """One account has come to its end by then, the other waits for the answer to a cancel."""

    async def story() -> None:
        late = {"when": {"order": {"account": "DU1"}, "count": 1}, "what": {"cancel_late": {"ms": 20_000}}}
        scene = TradingScene(tmp_path, accounts=HOLDINGS, fills={"delay_ms": 60_000}, faults=[late])
        running = asyncio.ensure_future(scene.rebalance_all(BOTH))
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.sleep(5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.get_running_loop().time() < 7
        assert scene.orders == ["SELL 100 AAA"] * 2
        with scene.ports(BOTH) as ports:
            kept = {run.start.account: run for run in ports.ledger.runs(limit=9)}
            assert {order.intent.account for order in ports.ledger.unsettled()} == {DU1}
        assert (kept[DU1].report, kept[DU1].failure) == (None, None)
        assert kept[DU2].report is not None
        scene.change(faults=[], fills={"delay_ms": 5})
        again = (await scene.rebalance_all(BOTH)).values()
        assert [report.outcome for report in again if isinstance(report, Report)] == ["done"] * 2
        assert scene.held("DU1") == scene.held("DU2") == {"BBB": 398}

    play(story())


def test_an_interruption_in_the_moment_in_which_the_accounts_begin_is_met_by_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)
        running: asyncio.Task[Any] = asyncio.ensure_future(scene.rebalance_all(BOTH))

        async def cancelled_at_once(steps: Any) -> Any:
            asyncio.get_running_loop().call_soon(running.cancel)
            return await side_by_side(steps)

        monkeypatch.setattr("ibkr_rebalancer.flows.trading.side_by_side", cancelled_at_once)
        outcomes = await running
        assert [each.code for each in outcomes.values() if isinstance(each, Deferred)] == ["INTERRUPTED"] * 2
        assert scene.orders == []

    play(story())


def test_an_interruption_while_somebody_is_asked_ends_every_run(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)

        async def thinks(_: Sequence[Plan]) -> bool:
            await asyncio.sleep(3600)
            return True

        running = asyncio.ensure_future(scene.rebalance_all(BOTH, confirm=thinks))
        await asyncio.sleep(60)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert scene.orders == []
        with scene.ports(BOTH) as ports:
            assert [run.failure and run.failure.code for run in ports.ledger.runs(limit=9)] == ["INTERRUPTED"] * 2

    play(story())


def test_an_interruption_while_an_account_finds_out_about_old_orders_ends_its_run_and_those_before_it(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        stuck = {"when": {"order": {"account": "DU2", "side": "SELL"}}, "what": {"hold": {}}}
        scene = TradingScene(tmp_path, accounts=HOLDINGS, faults=[stuck])

        def die(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            raise Killed

        scene.gateway.line.after_send = die
        with pytest.raises(Killed):
            await scene.rebalance_all({"DU2": SWITCH})
        await asyncio.sleep(1)  # no two runs begin in the same microsecond
        running = asyncio.ensure_future(scene.rebalance_all(BOTH))
        await asyncio.sleep(60)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert scene.orders == ["SELL 100 AAA"]
        assert scene.gateway.cancelled == [scene.gateway.placed[0].order_ref]
        assert not scene.venue.open_orders
        assert scene.notices.texts[-1] == "What became of them is known: 1 cancelled"
        with scene.ports(BOTH) as ports:
            assert not ports.ledger.unsettled()
            *ended, killed = ports.ledger.runs(limit=9)
        assert [run.start.account for run in (*ended, killed)] == ["DU2", "DU1", "DU2"]
        for run in ended:
            assert run.failure is not None
            assert (run.failure.code, run.failure.exit_code) == ("INTERRUPTED", 10)
        assert (killed.report, killed.failure) == (None, None)

    play(story())


def test_an_interruption_cuts_no_order_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being sent is sent; what was to follow is proven never to have left, without looking for it."""
    place = VenueDesk.place

    async def slowly(desk: VenueDesk, intent: OrderIntent) -> None:
        await asyncio.sleep(1)
        await place(desk, intent)

    async def story() -> None:
        holdings = {"DU1": {"cash": "10000", "positions": {"AAA": 100, "CCC": 10}}}
        scene = TradingScene(tmp_path, accounts=holdings, fills={"delay_ms": 60_000})
        monkeypatch.setattr(VenueDesk, "place", slowly)
        running = asyncio.ensure_future(scene.rebalance(SWITCH))
        await asyncio.sleep(0.5)
        running.cancel()
        report = await running
        assert isinstance(report, Report)
        assert scene.orders == ["SELL 100 AAA"]
        assert [(order.symbol, order.status, order.reason) for order in report.orders][1:] == [
            ("CCC", "absent", "not sent")
        ]
        assert (report.orders[0].status, report.exit_code) == ("cancelled", 12)
        assert asyncio.get_running_loop().time() < 2

    play(story())


def test_an_interruption_wins_over_a_send_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says stop while the line breaks has said stop: the run does not go on when the line is back."""

    async def breaks(desk: VenueDesk, _: OrderIntent) -> None:
        await asyncio.sleep(1)
        raise desk._line.cut()

    async def story() -> None:
        holdings = {"DU1": {"cash": "10000", "positions": {"AAA": 100}}}
        scene = TradingScene(tmp_path, accounts=holdings)
        monkeypatch.setattr(VenueDesk, "place", breaks)
        running = asyncio.ensure_future(scene.rebalance(SWITCH))
        await asyncio.sleep(0.5)
        running.cancel()
        await asyncio.sleep(0.6)
        monkeypatch.undo()
        report = await running
        assert isinstance(report, Report)
        assert scene.orders == []
        assert (report.outcome, report.exit_code) == ("interrupted", 12)
        assert [(order.side.value, order.status) for order in report.orders] == [("SELL", "absent")]

    play(story())
