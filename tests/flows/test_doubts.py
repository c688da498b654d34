"""Orders of ours that are open whatever is told of them: none is sent again beside them, and none is forgotten."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.notation import allocation_body
from tests.support.sandbox import order_fault
from tests.support.trading_scene import TradingScene, newest_failure
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.errors import RebalancerError, StorageFailed, UnknownOutcome
from ibkr_rebalancer.core.evidence import StatusTold
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.flows.reconcile import resolve_order

TARGETS = allocation_body({"CCC": Decimal(1)})
HELD = order_fault("hold", order={"symbol": "AAA"}, count=1)
TWINS = order_fault("duplicate_perm", order={"symbol": "AAA"}, count=1)
BOTH_SALES = ["SELL 100 AAA", "SELL 100 BBB"]


class Killed(BaseException):
    """Nothing of the product takes this for an error."""


class Watched(TradingScene):
    """A scene in which nothing is sent while an order of ours is open in the same contract."""

    def __init__(self, folder: Path, **overlay: Any) -> None:
        holdings = {"DU1": {"cash": "1000", "positions": {"AAA": 100, "BBB": 100}}}
        super().__init__(folder, accounts=holdings, **overlay)
        self.gateway.line.before_send = self._watch

    def _watch(self, intent: Any) -> None:
        assert intent.con_id not in {order.ticket.con_id for order in self.venue.open_orders}, "sent again beside it"

    async def dies_after(self, sends: int, seconds: float = 0) -> None:
        """A run that is killed once it has sent so many orders."""

        def die(_: object) -> None:
            if len(self.gateway.placed) == sends:
                raise Killed

        self.gateway.line.after_send = die
        with pytest.raises(Killed):
            await self.rebalance(TARGETS)
        self.gateway.line.after_send = lambda _: None
        await asyncio.sleep(1 + seconds)

    async def ends(self) -> str:
        """Exit code and outcome of a run, or the reason code of its error."""
        await asyncio.sleep(1)  # no two runs begin in the same microsecond
        outcome = await or_error(self.rebalance(TARGETS))
        return f"{outcome.exit_code} {outcome.outcome if isinstance(outcome, Report) else outcome.code}"

    @property
    def is_halted(self) -> bool:
        with self.ports({}) as ports:
            return ports.controls.halted() is not None


async def or_error(run: Any) -> Report | RebalancerError:
    try:
        outcome: Report | RebalancerError = await run
    except RebalancerError as error:
        return error
    return outcome


def play(story: Any) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story)


def test_a_persons_word_is_not_the_last_while_the_broker_shows_the_order(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Watched(tmp_path, faults=[HELD])
        await scene.dies_after(1)
        with scene.ports({}) as ports:
            (order,) = ports.ledger.unsettled()
            resolve_order(order.intent.order_ref, filled=0, note="not seen", ledger=ports.ledger, clock=scene.ours)
        assert await scene.ends() == "0 done"
        assert scene.gateway.cancelled == [order.intent.order_ref]
        assert scene.orders[:3] == ["SELL 100 AAA", *BOTH_SALES]
        assert scene.held()["CCC"] > 0

    play(story())


def test_what_is_listed_after_it_was_resolved_has_no_outcome_until_it_ends(tmp_path: Path) -> None:
    """Nobody can cancel it in time, so the account stays latched, and a person may be wrong again."""

    async def story() -> None:
        never = order_fault("cancel_late", order={"symbol": "AAA"}, count=1)
        scene = Watched(tmp_path, faults=[HELD, never])
        await scene.dies_after(1)
        for _ in range(2):
            with scene.ports({}) as ports:
                (order,) = ports.ledger.unsettled()
                resolve_order(order.intent.order_ref, filled=0, note="gone", ledger=ports.ledger, clock=scene.ours)
                assert not ports.ledger.unsettled()
            assert await scene.ends() == "13 ORDER_UNKNOWN"
        scene.change(faults=[])
        assert await scene.ends() == "0 done"
        assert scene.orders[:2] == ["SELL 100 AAA", "SELL 100 BBB"], "it has filled, and nothing was sent for it"

    play(story())


@pytest.mark.parametrize("hidden", [False, True], ids=["in the run", "by the next run"])
def test_a_cancel_that_was_only_told_is_found_out(tmp_path: Path, *, hidden: bool) -> None:
    async def story() -> None:
        scene = Watched(tmp_path, faults=[HELD])
        scene.gateway.line.retold = once(_cancelled)
        scene.gateway.line.blind = hidden
        report = await scene.rebalance(TARGETS)
        assert isinstance(report, Report)
        assert [order.status for order in report.orders if order.symbol == "AAA"] == ["cancelled"]
        assert len(scene.gateway.cancelled) == (0 if hidden else 1)
        scene.gateway.line.blind = False
        assert await scene.ends() == "0 done"
        assert len(scene.gateway.cancelled) == 1
        assert not scene.venue.open_orders

    play(story())


def test_looks_that_the_positions_contradict_prove_no_order_absent(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Watched(tmp_path, faults=[HELD])
        await scene.dies_after(2, seconds=1)
        scene.gateway.line.blind = True
        assert await scene.ends() == "13 ORDER_UNKNOWN"
        scene.gateway.line.blind = False
        assert await scene.ends() == "0 done"
        assert len(scene.gateway.cancelled) == 1

    play(story())


def test_an_order_that_was_proven_absent_and_is_listed_is_taken_back(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Watched(tmp_path, faults=[HELD])
        await scene.dies_after(1)
        scene.gateway.line.blind = True
        assert (await scene.rebalance(TARGETS, confirm=declines)).exit_code == 0
        with scene.ports({}) as ports:
            assert not ports.ledger.unsettled()
        scene.gateway.line.blind = False
        assert await scene.ends() == "0 done"
        assert len(scene.gateway.cancelled) == 1

    play(story())


def test_orders_of_another_state_folder_refuse_what_was_confirmed_while_they_were_sent(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Watched(tmp_path / "ours", faults=[order_fault("hold")])
        others: list[asyncio.Task[Any]] = []

        async def confirm(_: Sequence[Plan]) -> bool:
            scene.folder = tmp_path / "theirs"
            others.append(asyncio.ensure_future(scene.rebalance(TARGETS)))
            await asyncio.sleep(5)
            return True

        refused = await or_error(scene.rebalance(TARGETS, confirm=confirm))
        assert isinstance(refused, StorageFailed)
        assert (refused.code, scene.orders) == ("JOURNAL_LOST", BOTH_SALES)
        scene.folder = tmp_path / "ours"
        assert newest_failure(scene) == "JOURNAL_LOST"
        others[0].cancel()
        await others[0]

    play(story())


def test_a_run_that_finds_orders_which_its_journal_lacks_ends_in_the_journal(tmp_path: Path) -> None:
    """`rebalancer runs` shows that nothing was traded, and why."""

    async def story() -> None:
        scene = Watched(tmp_path / "theirs", faults=[HELD])
        await scene.dies_after(1)
        scene.folder = tmp_path / "ours"
        assert await scene.ends() == "30 JOURNAL_LOST"
        assert newest_failure(scene) == "JOURNAL_LOST"

    play(story())


def test_an_order_of_another_client_id_is_cancelled_over_that_one(tmp_path: Path) -> None:
    """`execute` cleans up after a `watch` that died, or the other way round."""

    async def story() -> None:
        scene = Watched(tmp_path, faults=[HELD])
        await scene.dies_after(1)
        (ref,) = [ticket.order_ref for ticket in scene.gateway.placed]
        scene.gateway.client_id = 78
        began = asyncio.get_running_loop().time()
        assert await scene.ends() == "0 done"
        assert scene.gateway.cancelled == [ref]
        assert asyncio.get_running_loop().time() - began < 30, "nothing is waited for that cannot come"

    play(story())


def test_an_order_of_a_client_id_that_somebody_uses_is_called_open_and_not_unknown(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Watched(tmp_path, faults=[HELD])
        await scene.dies_after(1)
        (ref,) = [ticket.order_ref for ticket in scene.gateway.placed]
        scene.gateway.client_id = 78
        scene.gateway.ids_in_use = {11}
        refused = await or_error(scene.rebalance(TARGETS))
        assert isinstance(refused, UnknownOutcome)
        assert refused.code == "ORDER_OF_ANOTHER_CLIENT_ID"
        assert refused.message == (
            f"Orders of ours are open in DU1 that can be cancelled over client id 11 only: SELL 100 AAA ({ref}, client "
            "id 11). Client id 11 is in use. Nothing else is sent for this account."
        )
        assert scene.gateway.cancelled == []
        assert newest_failure(scene) == "ORDER_OF_ANOTHER_CLIENT_ID"
        scene.gateway.client_id = 11
        assert await scene.ends() == "0 done"
        assert scene.gateway.cancelled == [ref]

    play(story())


def test_twins_halt_trading_when_the_run_is_interrupted(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Watched(tmp_path, faults=[TWINS], fills={"delay_ms": 2000})
        running = asyncio.ensure_future(scene.rebalance(TARGETS))
        await asyncio.sleep(1)
        running.cancel()
        report = await running
        assert isinstance(report, Report)
        assert (report.exit_code, report.outcome, report.code) == (13, "unknown", "ORDER_ALARM")
        assert "exists more than once at Interactive Brokers" in report.trouble
        assert scene.is_halted

    play(story())


def test_twins_halt_trading_when_the_run_has_given_up(tmp_path: Path) -> None:
    """The gateway is gone for good, so nobody looks whether there is an alarm but at the end."""

    async def story() -> None:
        scene = Watched(tmp_path, faults=[TWINS, order_fault("hold", order={"symbol": "BBB"})])

        def cut(_: object) -> None:
            scene.gateway.back_after_s = None
            asyncio.get_running_loop().call_later(1, scene.gateway.line.cut)

        scene.gateway.line.after_send = cut
        report = await scene.rebalance(TARGETS)
        assert isinstance(report, Report)
        assert (report.exit_code, report.code, scene.is_halted) == (13, "ORDER_ALARM", True)

    play(story())


def test_twins_of_a_run_that_was_killed_halt_trading_once(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Watched(tmp_path, faults=[TWINS], fills={"delay_ms": 2000})
        await scene.dies_after(1, seconds=4)
        await alarms_once(scene)

    play(story())


@pytest.mark.parametrize("is_lost", [False, True], ids=["at the end of the run", "by the next run"])
def test_a_fill_too_many_that_nobody_tells_of_is_found_out_and_halts_trading_once(
    tmp_path: Path, *, is_lost: bool
) -> None:
    """Positions show the twin of a purchase, unless the gateway is gone before anybody asks for them."""

    async def story() -> None:
        scene = Watched(tmp_path, faults=[order_fault("duplicate_perm", order={"symbol": "CCC"}, count=1)])
        perm_ids = set[int]()

        def deaf_to_the_second(heard: Heard) -> Heard | None:
            perm_id = getattr(heard.evidence, "perm_id", 0)
            if heard.order_ref != scene.gateway.placed[-1].order_ref or scene.orders[-1] in BOTH_SALES:
                return heard
            perm_ids.update({perm_id} if perm_id and not perm_ids else ())
            return heard if perm_id in perm_ids else None

        scene.gateway.line.retold = deaf_to_the_second
        if is_lost:
            scene.gateway.line.answered = lambda question: lose_after(scene, question)
        assert await scene.ends() == ("12 partial" if is_lost else "13 unknown")
        assert scene.is_halted is not is_lost
        scene.gateway.line.answered = lambda _: None
        scene.gateway.back_after_s = 0.0
        if is_lost:
            assert await scene.ends() == "13 ORDER_ALARM"
        await is_halted_until_resumed(scene)

    def lose_after(scene: Watched, question: str) -> None:
        if question == "positions" and scene.held().get("CCC"):
            scene.gateway.back_after_s = None
            scene.gateway.line.cut()

    play(story())


async def alarms_once(scene: Watched) -> None:
    """The next run halts trading; once a person has resumed it, the same evidence is no news."""
    assert await scene.ends() == "13 ORDER_ALARM"
    await is_halted_until_resumed(scene)


async def is_halted_until_resumed(scene: Watched) -> None:
    assert scene.is_halted
    assert await scene.ends() == "14 HALTED"
    with scene.ports({}) as ports:
        ports.controls.resume(at=scene.ours.now(), reason="corrected")
    assert (await scene.ends())[:2] != "13"


async def declines(_: Sequence[Plan]) -> bool:
    return False


def once(change: Callable[[Heard], Heard | None]) -> Callable[[Heard], Heard | None]:
    """The first that is heard is changed."""
    changed: list[Heard] = []

    def retold(heard: Heard) -> Heard | None:
        if changed:
            return heard
        changed.append(heard)
        return change(heard)

    return retold


def _cancelled(heard: Heard) -> Heard:
    assert isinstance(heard.evidence, StatusTold)
    return replace(heard, evidence=replace(heard.evidence, status="Cancelled"))
