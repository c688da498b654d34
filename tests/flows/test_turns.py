"""Accounts take their turns over one gateway: what befalls it in one turn, and the time that passes, in the next."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.notation import allocation_body
from tests.support.trading_scene import START, TradingScene
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.order_state import OrderStatus, order_state
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report

DU1, DU2 = AccountId("DU1"), AccountId("DU2")
SWITCH = allocation_body({"BBB": Decimal(1)})
BOTH = {"DU1": SWITCH, "DU2": SWITCH}
HOLDINGS = {name: {"cash": "10000", "positions": {"AAA": 100}} for name in BOTH}
ALL = ["SELL 100 AAA", "BUY 398 BBB"]
STUCK = {"when": {"order": {"account": "DU1", "side": "SELL"}}, "what": {"hold": {}}}
"""The first account's turn takes two minutes."""


class Killed(BaseException):
    """Nothing of the product takes this for an error."""


def play(story: Any) -> Any:
    """Run a story in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)


def endings(outcomes: Mapping[AccountId, Report | RebalancerError]) -> list[str]:
    return [each.outcome if isinstance(each, Report) else each.code for each in outcomes.values()]


async def agrees(_: Sequence[Plan]) -> bool:
    return True


@pytest.mark.parametrize("trouble", ["cut", "interrupt"])
def test_a_connection_that_broke_in_one_turn_is_another_one_in_the_next(tmp_path: Path, trouble: str) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)

        def happen(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            getattr(scene.gateway.line, trouble)()

        scene.gateway.line.after_send = happen
        assert endings(await scene.rebalance_all(BOTH)) == ["done", "done"]
        assert scene.orders == ALL * 2

    play(story())


def test_a_connection_that_broke_among_old_orders_is_another_one_for_the_plan(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, fills={"delay_ms": 3000, "slices": 3})

        def die(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            raise Killed

        scene.gateway.line.after_send = die
        with pytest.raises(Killed):
            await scene.rebalance(SWITCH)
        await asyncio.sleep(1)
        asyncio.get_running_loop().call_later(2, scene.gateway.line.cut)
        report = await scene.rebalance(SWITCH)
        assert isinstance(report, Report)
        assert report.outcome == "done"
        assert scene.orders == ALL

    play(story())


def test_a_turn_that_comes_late_is_looked_at_again(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, faults=[STUCK])
        first, second = (await scene.rebalance_all(BOTH)).values()
        assert isinstance(first, Report)
        assert isinstance(second, Report)
        assert (first.outcome, second.outcome) == ("partial", "done")
        assert scene.orders == ["SELL 100 AAA", "BUY 199 BBB", *ALL]
        asked = [question for question, _ in scene.market.asked]
        assert asked.count("quotes") == 1 + 1 + 2, "both together, the first's purchases, the second again and after"

    play(story())


DEARER = {"market": {"BBB": {"bid": "54.99", "ask": "55.01", "last": "55"}}}


def test_what_has_changed_until_a_late_turn_stops_what_somebody_has_confirmed(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, faults=[STUCK])
        asyncio.get_running_loop().call_later(60, lambda: scene.change(**DEARER))
        outcomes = await scene.rebalance_all(BOTH, confirm=agrees)
        assert endings(outcomes) == ["partial", "PLAN_STALE"]
        assert not [ticket for ticket in scene.gateway.placed if ticket.account == DU2]

    play(story())


def test_a_late_turn_that_nobody_was_shown_takes_the_plan_of_its_moment(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, faults=[STUCK])
        asyncio.get_running_loop().call_later(60, lambda: scene.change(**DEARER))
        outcomes = await scene.rebalance_all(BOTH)
        assert endings(outcomes) == ["partial", "done"]
        assert scene.orders[-2:] == ["SELL 100 AAA", "BUY 362 BBB"]

    play(story())


def test_prices_that_rise_a_little_until_a_late_turn_make_its_purchases_smaller(tmp_path: Path) -> None:
    """By too little to make its plan another one, and by more than its reserve can pay."""

    async def story() -> None:
        accounts = {**HOLDINGS, "DU2": {"cash": "20000", "positions": {}}}
        scene = TradingScene(tmp_path, accounts=accounts, faults=[STUCK])
        dearer = {"market": {"BBB": {"bid": "50.21", "ask": "50.23", "last": "50.22"}}}
        asyncio.get_running_loop().call_later(60, lambda: scene.change(**dearer))
        _, late = (await scene.rebalance_all(BOTH, confirm=agrees)).values()
        assert isinstance(late, Report)
        assert scene.orders[-1] == "BUY 397 BBB"
        assert scene.cash("DU2") >= Decimal(25)
        assert [cut.reason for cut in late.adjustments] == [
            "19,975.00 can be spent, and all purchases would cost 19,993.53"
        ]

    play(story())


def test_a_market_that_has_closed_until_a_late_turn_defers_it(tmp_path: Path) -> None:
    async def story() -> None:
        closes = (START + timedelta(minutes=1)).strftime("%H:%M")
        hours = {name: {"hours": f"09:30-{closes} UTC"} for name in ("AAA", "BBB", "CCC")}
        scene = TradingScene(tmp_path, accounts=HOLDINGS, faults=[STUCK], market=hours)
        outcomes = await scene.rebalance_all(BOTH)
        assert endings(outcomes) == ["partial", "MARKET_CLOSED"]
        assert scene.orders == ["SELL 100 AAA"]

    play(story())


def test_an_interruption_while_a_late_turn_is_looked_at_again_begins_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, faults=[STUCK])
        running: asyncio.Task[Any] = asyncio.ensure_future(scene.rebalance_all(BOTH))
        portfolio = scene.market.portfolio

        async def slow(account: AccountId) -> Any:
            if account == DU2 and asyncio.get_running_loop().time() > 60:
                running.cancel()
                await asyncio.sleep(1)
            return await portfolio(account)

        scene.market.portfolio = slow  # type: ignore[method-assign]
        assert endings(await running) == ["partial", "INTERRUPTED"]
        assert scene.orders == ["SELL 100 AAA", "BUY 199 BBB"]

    play(story())


def test_what_fills_after_a_run_is_told_by_its_history_after_the_next(tmp_path: Path) -> None:
    async def story() -> None:
        late = {"when": {"order": {"symbol": "BBB"}, "count": 1}, "what": {"late_fill": {"ms": 20_000}}}
        scene = TradingScene(tmp_path, faults=[late])
        report = await scene.rebalance(SWITCH)
        assert isinstance(report, Report)
        assert [(order.symbol, order.filled, order.status) for order in report.orders][-1] == ("BBB", 0, "cancelled")
        await asyncio.sleep(60)
        again = await scene.rebalance(SWITCH)
        assert isinstance(again, Report)
        assert again.outcome == "nothing-to-do"
        with scene.ports({}) as ports:
            _, bought = ports.ledger.orders(DU1, since=START)
        assert (order_state(bought).status, order_state(bought).filled) == (OrderStatus.FILLED, 398)

    play(story())
