"""Plans that were printed before and are carried out as they are: after the same question and checks, once, or not."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from tests.flows.test_trading import play, reported, targets
from tests.support.trading_scene import TradingScene, account

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.flows.rebalance import Planned, plan_accounts

SWITCH = targets(BBB="1")
TWO = {"DU1": {"cash": "10000", "positions": {"AAA": 100}}, "DU2": {"cash": "20000", "positions": {"AAA": 100}}}


class Person:
    """Somebody who is asked, and answers after something has happened."""

    def __init__(self, *, says: bool, after: Callable[[], None] = lambda: None) -> None:
        self.says = says
        self.after = after
        self.shown: list[Plan] = []

    async def __call__(self, plans: Sequence[Plan]) -> bool:
        self.shown.extend(plans)
        self.after()
        return self.says


async def printed(scene: TradingScene, *names: str) -> list[Plan]:
    """The plans of this moment."""
    documents = dict.fromkeys(names or ("DU1",), SWITCH)
    with scene.ports(documents) as ports:
        session = await ports.gateway.session(within_s=0)
        planned = await plan_accounts(
            [account(name) for name in documents],
            mode=scene.mode,
            market=session.market,
            source=ports.source,
            clock=ports.clock,
            observer=ports.observer,
        )
    return [each.plan for each in planned.values() if isinstance(each, Planned)]


@pytest.mark.parametrize("says", [True, False])
def test_a_person_is_asked_about_the_printed_plan_and_about_no_other(tmp_path: Path, says: bool) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)
        plans = await printed(scene)
        scene.change(market={"BBB": {"bid": "50.10", "ask": "50.12"}})
        person = Person(says=says)
        report = reported(await scene.rebalance(SWITCH, printed=plans, confirm=person))
        assert person.shown == plans
        assert report.outcome == ("done" if says else "declined")
        assert scene.orders == (["SELL 100 AAA", "BUY 398 BBB"] if says else [])

    play(story())


def test_the_printed_plan_is_sent_where_a_new_one_would_be_another(tmp_path: Path) -> None:
    """Prices have moved by less than what makes a plan stale, and enough for other numbers."""

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts={"DU1": {"cash": "1000000"}})
        (plan,) = await printed(scene)
        scene.change(market={"BBB": {"bid": "49.83", "ask": "49.85"}})
        (anew,) = await printed(scene)
        report = reported(await scene.rebalance(SWITCH, printed=[plan]))
        assert report.plan == plan
        assert anew.trades[1].quantity > plan.trades[1].quantity
        assert scene.orders == [f"{trade.side.value} {trade.quantity} {trade.symbol}" for trade in plan.trades]

    play(story())


def test_time_alone_makes_no_plan_stale(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)
        plans = await printed(scene)
        await asyncio.sleep(timedelta(hours=3).total_seconds())
        assert reported(await scene.rebalance(SWITCH, printed=plans)).outcome == "done"

    play(story())


def test_a_plan_that_has_been_carried_out_does_not_hold_up_another_account(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=TWO)
        plans = await printed(scene, "DU1", "DU2")
        assert reported(await scene.rebalance(SWITCH, printed=plans[:1])).outcome == "done"
        sent = len(scene.orders)
        outcomes = await scene.rebalance_all({"DU1": SWITCH, "DU2": SWITCH}, printed=plans)
        used, done = outcomes.values()
        assert isinstance(used, RebalancerError)
        assert (used.code, reported(done).outcome) == ("PLAN_USED", "done")
        assert scene.orders[sent:] == ["SELL 100 AAA", "BUY 598 BBB"]

    play(story())


def test_the_settings_of_now_are_compared_with_those_it_was_made_under(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)
        plans = await printed(scene)
        refused = await scene.rebalance(SWITCH, printed=plans, policy=Policy(require_live_data=False))
        assert isinstance(refused, RebalancerError)
        assert "the settings of DU1 have changed. Nothing was sent." in refused.message
        assert scene.orders == []

    play(story())


def test_a_printed_plan_whose_limits_are_broken_by_now_is_refused(tmp_path: Path) -> None:
    """It is the printed plan that is checked, all or none, and nobody is asked about it."""

    async def story() -> None:
        scene = TradingScene(tmp_path)
        plans = await printed(scene)
        scene.change(market={"BBB": {"bid": "48.50"}})
        person = Person(says=True)
        refused = await scene.rebalance(SWITCH, printed=plans, confirm=person)
        assert isinstance(refused, RebalancerError)
        assert (refused.code, person.shown, scene.orders) == ("LIMIT_MAX_SPREAD_PCT", [], [])

    play(story())


def test_what_changes_at_the_question_is_refused_and_the_other_plan_not_asked_about_again(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=TWO)
        plans = await printed(scene, "DU1", "DU2")
        person = Person(says=True, after=lambda: scene.change(accounts={"DU1": {"positions": {"AAA": 60}}}))
        outcomes = await scene.rebalance_all({"DU1": SWITCH, "DU2": SWITCH}, printed=plans, confirm=person)
        stale, done = outcomes.values()
        assert isinstance(stale, RebalancerError)
        assert (stale.code, reported(done).outcome) == ("PLAN_STALE", "done")
        assert person.shown == plans
        assert scene.orders == ["SELL 100 AAA", "BUY 598 BBB"]
        assert [text for text in scene.notices.texts if "new plan" in text] == []

    play(story())
