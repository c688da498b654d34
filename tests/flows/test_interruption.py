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

SWITCH = allocation_body({"BBB": Decimal(1)})
BOTH = {"DU1": SWITCH, "DU2": SWITCH}
HOLDINGS = {name: {"cash": "10000", "positions": {"AAA": 100}} for name in BOTH}


class Killed(BaseException):
    """Nothing of the product takes this for an error."""


def play(story: Any) -> Any:
    """Run a story in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)


def test_an_interruption_in_one_account_keeps_the_next_from_being_begun(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, fills={"delay_ms": 2000, "slices": 3})
        running = asyncio.ensure_future(scene.rebalance_all(BOTH))
        await asyncio.sleep(1)
        running.cancel()
        outcomes = await running
        first, second = outcomes[AccountId("DU1")], outcomes[AccountId("DU2")]
        assert isinstance(first, Report)
        assert (first.outcome, first.exit_code) == ("interrupted", 12)
        assert isinstance(second, Deferred)
        assert (second.code, second.message, second.hint) == (
            "INTERRUPTED",
            "Interrupted before anything was sent for DU2.",
            "Run the command again.",
        )
        assert scene.orders == ["SELL 100 AAA"]
        with scene.ports(BOTH) as ports:
            kept = {run.start.account: run for run in ports.ledger.runs(limit=9)}
        assert kept[AccountId("DU1")].report == first
        failure = kept[AccountId("DU2")].failure
        assert failure is not None
        assert (failure.code, failure.exit_code) == ("INTERRUPTED", 10)

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


def test_an_interruption_while_an_account_finds_out_about_old_orders_ends_the_runs_before_it(tmp_path: Path) -> None:
    async def story() -> None:
        stuck = {"when": {"order": {"account": "DU2", "side": "SELL"}}, "what": {"hold": {}}}
        scene = TradingScene(tmp_path, accounts=HOLDINGS, faults=[stuck])

        def die(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            raise Killed

        scene.gateway.line.after_send = die
        with pytest.raises(Killed):
            await scene.rebalance_all({"DU2": SWITCH})
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
            newest, killed = ports.ledger.runs(limit=9)
        assert (newest.start.account, killed.start.account) == ("DU1", "DU2")
        assert newest.failure is not None
        assert (newest.failure.code, newest.failure.exit_code) == ("INTERRUPTED", 10)
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
