"""Accounts of one event, of which one waits for its orders: none of the others waits for it. In virtual time."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.trading_scene import DU1, account
from tests.support.watch_defects import DyingAtTheEnd
from tests.support.watch_scene import DU2, TRADES, Stage, play

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.inbox import Entry, Step
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.flows.execution import Execution
from ibkr_rebalancer.flows.reconcile import reconcile
from ibkr_rebalancer.flows.trading import TradingRun

ONE = account()
OTHER = Account(account_id=DU2, channel=ONE.channel, allocations_url="https://targets.example/DU2")
HELD: Mapping[str, Any] = {"when": {"order": {"account": "DU1"}}, "what": {"hold": {}}}
ONCE_HELD: Mapping[str, Any] = {"when": {"order": {"account": "DU1"}, "count": 1}, "what": {"hold": {}}}


def stage(folder: Path, *faults: Mapping[str, Any]) -> Stage:
    """Two accounts on one channel, of which DU1 meets the faults."""
    return Stage(folder, accounts={"DU2": {"cash": "10000"}}, faults=list(faults))


def steps(stage: Stage, account_id: AccountId) -> list[str]:
    """What the inbox says was done last for an account."""
    assert stage.scene.journal is not None
    done = [entry for entry in stage.scene.journal.inbox.done_last() if entry.account == account_id]
    return [step.code or type(step).__name__ for entry in done for step in entry.steps]


async def one_waits(stage: Stage) -> Sequence[str]:
    """A rebalance of both, whose first order for DU1 is not filled, and eight seconds later a dry run: what is wrong
    after sixteen."""
    async with stage.watching(ONE, OTHER):
        stage.say(TRADES)
        await asyncio.sleep(8)
        early, is_kept = stage.ends(DU2), steps(stage, DU2)
        stage.say({})
        await asyncio.sleep(8)
        found = {
            "the end of what does not wait is told late": early != ["done"],
            "the end of what does not wait is kept late": is_kept != ["Ended"],
            "the next event of what does not wait is begun late": stage.ends(DU2) != ["done", "nothing-to-do"],
            "what waits has ended": stage.ends(DU1) != [],
        }
    return [wrong for wrong, is_so in found.items() if is_so]


def test_an_account_that_waits_for_its_orders_holds_up_no_other(tmp_path: Path) -> None:
    async def story() -> None:
        assert await one_waits(stage(tmp_path, HELD)) == []

    play(story)


class _TellsInTheEnd(TradingRun):
    def __init__(self, *arguments: Any, on_end: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._on_end_of_all = on_end

    async def rebalance(self, *arguments: Any, **more: Any) -> Any:
        outcomes = await super().rebalance(*arguments, **more)
        for name, outcome in outcomes.items():
            self._on_end_of_all(name, outcome)
        return outcomes


def test_a_run_that_tells_of_all_in_the_end_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake made on purpose."""
    monkeypatch.setattr("ibkr_rebalancer.flows.watch.TradingRun", _TellsInTheEnd)

    async def story() -> None:
        assert await one_waits(stage(tmp_path, HELD)) == [
            "the end of what does not wait is told late",
            "the end of what does not wait is kept late",
            "the next event of what does not wait is begun late",
        ]

    play(story)


def test_the_newest_waits_for_the_account_at_work_and_every_other_account_takes_its_own(tmp_path: Path) -> None:
    """Each account has one run at a time, and each event ends once for each."""

    async def story() -> None:
        venue = stage(tmp_path, ONCE_HELD)
        at_work, most = dict.fromkeys((DU1, DU2), 0), dict.fromkeys((DU1, DU2), 0)
        run = Execution.run

        async def counted(execution: Execution) -> Any:
            name = execution._planned.account.account_id
            at_work[name] += 1
            most[name] = max(most[name], at_work[name])
            try:
                return await run(execution)
            finally:
                at_work[name] -= 1

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Execution, "run", counted)
            async with venue.watching(ONE, OTHER):
                for _ in range(3):
                    venue.say(TRADES)
                    await asyncio.sleep(10)
                assert (venue.ends(DU1), venue.ends(DU2)) == ([], ["done", "nothing-to-do", "nothing-to-do"])
                await asyncio.sleep(300)
        assert venue.ends(DU1) == ["partial", "nothing-to-do"]
        assert most == {DU1: 1, DU2: 1}
        assert venue.breaches() == []
        superseded = [text for text in venue.scene.notices.texts if text.startswith("Not carried out")]
        assert len(superseded) == 2
        assert all("for DU1" in text for text in superseded)

    play(story)


def test_a_bug_in_the_work_for_one_account_leaves_the_others_what_they_came_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Execution.run

    async def stumbles(execution: Execution) -> Any:
        if execution._planned.account.account_id == DU1:
            await asyncio.sleep(5)
            raise RuntimeError("a mistake")
        return await run(execution)

    async def story() -> None:
        venue = stage(tmp_path)
        async with venue.watching(ONE, OTHER):
            with monkeypatch.context() as patched:
                patched.setattr(Execution, "run", stumbles)
                venue.say(TRADES)
                await asyncio.sleep(20)
            assert (steps(venue, DU1), steps(venue, DU2)) == (["BUG"], ["Ended"])
            assert (venue.ends(DU1), venue.ends(DU2)) == ([], ["done"])
            venue.say(TRADES)
            await asyncio.sleep(20)
            assert (venue.ends(DU1), venue.ends(DU2)) == (["done"], ["done", "nothing-to-do"])

    play(story)


def test_an_account_is_free_for_its_next_event_in_the_moment_in_which_its_own_orders_have_ended(tmp_path: Path) -> None:
    async def story() -> None:
        venue = stage(tmp_path, HELD)
        async with venue.watching(ONE, OTHER):
            venue.say(TRADES)
            await asyncio.sleep(0)
            venue.say({})
            await asyncio.sleep(3)
            assert (venue.ends(DU1), venue.ends(DU2)) == ([], ["done", "nothing-to-do"])

    play(story)


def test_an_account_that_cannot_begin_is_told_at_once_and_tried_again_while_another_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lags = [Refused("POSITION_LAGS", "Its positions lag.", hint="Wait.")]

    async def lagging(account_id: AccountId, *arguments: Any, **more: Any) -> Any:
        if account_id == DU2 and lags:
            raise lags.pop()
        return await reconcile(account_id, *arguments, **more)

    async def story() -> None:
        monkeypatch.setattr("ibkr_rebalancer.flows.trading.reconcile", lagging)
        venue = stage(tmp_path, HELD)
        async with venue.watching(ONE, OTHER):
            venue.say(TRADES)
            await asyncio.sleep(3)
            assert venue.ends(DU2) == ["POSITION_LAGS"]
            await asyncio.sleep(50)
            assert (venue.ends(DU1), venue.ends(DU2)) == ([], ["POSITION_LAGS", "done"])

    play(story)


def test_told_to_stop_while_one_waits_only_that_one_goes_on_with_the_next_start(tmp_path: Path) -> None:
    async def story() -> None:
        venue = stage(tmp_path, ONCE_HELD)
        async with venue.watching(ONE, OTHER):
            venue.say(TRADES)
            await asyncio.sleep(8)
        assert (venue.ends(DU1), venue.ends(DU2)) == (["interrupted"], ["done"])
        (last,) = [text for text in venue.scene.notices.texts if text.startswith("Goes on with the next start")]
        assert "It was told to stop: 0 of 201 planned shares were bought or sold" in last
        async with venue.watching(ONE, OTHER):
            await asyncio.sleep(60)
        assert (venue.ends(DU1), venue.ends(DU2)) == (["interrupted", "done"], ["done"])
        assert venue.breaches() == []

    play(story)


def test_killed_between_the_ends_of_two_accounts_neither_is_lost_or_repeated(tmp_path: Path) -> None:
    """The run of the one has ended and is in the inbox; that of the other has ended too, and is not."""

    class DyingAtItsEnd(DyingAtTheEnd):
        def take_steps(self, steps: Mapping[Entry, Step]) -> None:
            if any(entry.account == DU1 for entry in steps):
                super().take_steps(steps)
            else:
                self._inbox.take_steps(steps)

    async def story() -> None:
        venue = stage(tmp_path, ONCE_HELD)
        right, venue.tap = venue.tap, DyingAtItsEnd
        async with venue.watching(ONE, OTHER):
            venue.say(TRADES)
            await asyncio.sleep(200)
        assert (venue.ends(DU1), venue.ends(DU2)) == ([], ["done"])
        venue.tap = right
        async with venue.watching(ONE, OTHER):
            await asyncio.sleep(200)
            assert (steps(venue, DU1), steps(venue, DU2)) == (["PutOff", "Ended"], ["Ended"])
        assert (venue.ends(DU1), venue.ends(DU2)) == (["nothing-to-do"], ["done"])
        assert venue.breaches() == []

    play(story)
