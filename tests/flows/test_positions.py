"""Positions, executions and charges that are told late or never, or that somebody else has moved."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.notation import allocation_body
from tests.support.sandbox import order_fault
from tests.support.trading_scene import OPEN, TradingScene, newest_failure
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.errors import RebalancerError, Refused
from ibkr_rebalancer.core.evidence import Commissioned, Evidence, Executed
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.flows.execution import both_told

SWITCH = allocation_body({"BBB": Decimal(1)})
SALE, PURCHASE = "SELL 100 AAA", "BUY 398 BBB"


class Killed(BaseException):
    """Nothing of the product takes this for an error."""


def play(story: Any) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story)


async def outcome(scene: TradingScene, targets: bytes = SWITCH, **wish: Any) -> Report | RebalancerError:
    try:
        return await scene.rebalance(targets, **wish)
    except RebalancerError as error:
        return error


def word(of: Report | RebalancerError) -> str:
    return of.outcome if isinstance(of, Report) else of.code


async def killed_while_selling(scene: TradingScene) -> None:
    """A run that is killed once its sale has left, which fills before anybody looks again."""

    def die(_: object) -> None:
        scene.gateway.line.after_send = lambda _: None
        raise Killed

    scene.gateway.line.after_send = die
    with pytest.raises(Killed):
        await scene.rebalance(SWITCH)
    await asyncio.sleep(1)


def lag(ms: int, **order: str) -> dict[str, Any]:
    return order_fault("lag", order=order, parameters={"ms": ms})


def test_positions_that_lag_after_a_crash_are_not_sold_again(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, faults=[lag(60_000, symbol="AAA")])
        await killed_while_selling(scene)
        refused = await outcome(scene)
        assert isinstance(refused, RebalancerError)
        assert (refused.code, refused.exit_code) == ("POSITION_LAGS", 11)
        assert "AAA (100 listed, 0 by our fills)" in refused.message
        assert scene.orders == [SALE]
        assert newest_failure(scene) == "POSITION_LAGS", "it leaves a trace"
        await asyncio.sleep(60)
        assert word(await outcome(scene)) == "done"
        assert scene.orders == [SALE, PURCHASE]

    play(story())


def test_positions_that_lag_only_a_moment_are_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, faults=[lag(8_000, symbol="AAA")])
        await killed_while_selling(scene)
        assert word(await outcome(scene)) == "done"
        assert scene.orders == [SALE, PURCHASE]

    play(story())


@pytest.mark.parametrize(("later_s", "expected"), [(60, "POSITION_LAGS"), (190, "done")])
def test_what_somebody_trades_by_hand_after_us_is_in_doubt_for_three_minutes(
    tmp_path: Path, later_s: float, expected: str
) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)
        assert word(await outcome(scene)) == "done"
        scene.gateway.happen(
            scene.venue.place_stated(
                {"contract": "BBB", "side": "SELL", "quantity": 200, "client": 99}, scene.clock.now()
            )
        )
        await asyncio.sleep(later_s)
        sent = len(scene.orders)
        assert word(await outcome(scene)) == expected
        assert (len(scene.orders) > sent) is (expected == "done")

    play(story())


def test_a_run_that_only_has_to_wait_for_its_positions_is_done(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, faults=[lag(6_000)])
        assert word(await outcome(scene)) == "done"

    play(story())


def test_a_run_whose_positions_do_not_come_to_show_its_fills_is_partial(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, faults=[lag(60_000, symbol="BBB")])
        report = await outcome(scene)
        assert isinstance(report, Report)
        assert (report.outcome, report.code) == ("partial", "POSITIONS_DISAGREE")
        assert "BBB (0 listed, 398 by our fills)" in report.trouble
        assert word(await outcome(scene)) == "POSITION_LAGS"
        await asyncio.sleep(60)
        assert word(await outcome(scene)) == "nothing-to-do"

    play(story())


def test_a_run_that_is_done_asks_for_positions_once_before_it_sends_and_once_at_its_end(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)
        assert word(await outcome(scene)) == "done"
        asked = [question for question, _ in scene.market.asked]
        assert asked[asked.index("quotes") :] == [
            "quotes",
            "positions",
            "portfolio",
            "server_time",
            "quotes",
            "positions",
        ]

    play(story())


def test_what_somebody_else_trades_beside_us_makes_a_run_partial(tmp_path: Path) -> None:
    async def story() -> None:
        beside = order_fault(
            "foreign", order={"symbol": "BBB"}, parameters={"client": 99, "side": "BUY", "quantity": 3}, count=1
        )
        scene = TradingScene(tmp_path, faults=[beside])
        report = await outcome(scene)
        assert isinstance(report, Report)
        assert (report.outcome, report.exit_code, report.code) == ("partial", 12, "POSITIONS_DISAGREE")
        assert "BBB (401 listed, 398 by our fills)" in report.trouble
        assert [order.status for order in report.orders] == ["filled", "filled"]

    play(story())


def test_what_no_plan_manages_may_be_moved_by_anybody(tmp_path: Path) -> None:
    async def story() -> None:
        accounts = {"DU1": {"cash": "10000", "positions": {"AAA": 100, "CCC": 10}}}
        scene = TradingScene(tmp_path, accounts=accounts, market={**OPEN, "CCC": {"data": "none"}})

        def trade(_: object) -> None:
            scene.change(accounts={"DU1": {"positions": {"CCC": 9}}})

        scene.gateway.line.after_send = trade
        assert word(await outcome(scene)) == "done"
        assert scene.held()["CCC"] == 9

    play(story())


def unheard(*kinds: type[Evidence], of: Callable[[str], bool] = lambda _: True) -> Callable[[Heard], Heard | None]:
    """Evidence that nobody tells unless it is asked for."""
    return lambda heard: None if isinstance(heard.evidence, kinds) and of(heard.order_ref) else heard


@pytest.mark.parametrize("symbol", ["AAA", "BBB"])
def test_executions_that_are_never_told_are_looked_for(tmp_path: Path, symbol: str) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)

        def is_of(order_ref: str) -> bool:
            tickets = zip(scene.gateway.placed, scene.orders, strict=True)
            return any(ticket.order_ref == order_ref and order.endswith(symbol) for ticket, order in tickets)

        scene.gateway.line.retold = unheard(Executed, Commissioned, of=is_of)
        began = asyncio.get_running_loop().time()
        report = await outcome(scene)
        assert isinstance(report, Report)
        assert report.outcome == "done"
        assert [(o.average_price, o.commission) for o in report.orders] == [
            (Decimal("99.99"), Decimal("1.00")),
            (Decimal("50.01"), Decimal("1.99")),
        ]
        assert asyncio.get_running_loop().time() - began < 5

    play(story())


def test_a_charge_that_nobody_tells_is_unknown_and_not_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(
            tmp_path, faults=[order_fault("commission_late", order={"symbol": "BBB"}, parameters={"ms": 60_000})]
        )
        report = await outcome(scene)
        assert isinstance(report, Report)
        assert (report.outcome, [order.commission for order in report.orders]) == ("done", [Decimal("1.00"), None])

    play(story())


def test_a_connection_that_breaks_at_the_last_commission_is_found_again_to_ask_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)

        def cut(heard: Heard) -> Heard | None:
            if isinstance(heard.evidence, Commissioned) and scene.orders[-1] == PURCHASE:
                scene.gateway.line.retold = lambda heard: heard
                asyncio.get_running_loop().call_soon(scene.gateway.line.cut)
                return None
            return heard

        scene.gateway.line.retold = cut
        report = await outcome(scene)
        assert isinstance(report, Report)
        assert (report.outcome, report.orders[-1].commission) == ("done", Decimal("1.99"))

    play(story())


def test_positions_that_nobody_can_look_at_leave_a_run_partial(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)

        def lose(question: str) -> None:
            if question == "positions" and scene.held().get("BBB"):
                scene.gateway.back_after_s = None
                scene.gateway.line.cut()

        scene.gateway.line.answered = lose
        began = asyncio.get_running_loop().time()
        report = await outcome(scene)
        assert isinstance(report, Report)
        assert (report.outcome, report.exit_code, report.code) == ("partial", 12, "POSITIONS_UNCHECKED")
        assert [order.filled for order in report.orders] == [100, 398]
        assert asyncio.get_running_loop().time() - began < 25, "whoever waits for the report does not wait long"

    play(story())


def test_a_plan_that_has_been_carried_out_is_refused_and_the_journal_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        rejected = order_fault("reject", order={"symbol": "BBB"}, count=1)
        scene = TradingScene(
            tmp_path, accounts={"DU1": {"cash": "20000", "positions": {"AAA": None}}}, faults=[rejected]
        )
        first = await outcome(scene)
        assert isinstance(first, Report)
        assert first.outcome == "partial"
        await asyncio.sleep(1)
        assert first.plan is not None
        refused = await outcome(scene, printed=[first.plan])
        assert isinstance(refused, RebalancerError)
        assert (refused.code, refused.exit_code) == ("PLAN_USED", 11)
        assert first.orders[0].order_ref is not None
        assert first.orders[0].order_ref in refused.message
        await asyncio.sleep(1)
        assert word(await outcome(scene)) == "done"

    play(story())


def test_what_somebody_else_trades_while_it_is_planned_sends_nothing(tmp_path: Path) -> None:
    """It is seen just before the first order, however long planning took."""

    async def story() -> None:
        scene = TradingScene(tmp_path)

        def meddle(question: str) -> None:
            if question == "quotes":
                scene.gateway.line.answered = lambda _: None
                scene.change(accounts={"DU1": {"positions": {"AAA": 40}}})

        scene.gateway.line.answered = meddle
        refused = await outcome(scene)
        assert isinstance(refused, Refused)
        assert refused.code == "PLAN_STALE"
        assert refused.message.startswith("Positions of DU1 have changed while it was planned: AAA (40 listed, 100")
        assert scene.orders == []

    play(story())


def test_an_order_that_somebody_else_places_while_it_is_planned_sends_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)

        def meddle(question: str) -> None:
            if question == "quotes":
                scene.gateway.line.answered = lambda _: None
                foreign = {"contract": "AAA", "side": "SELL", "quantity": 40, "limit_price": "120", "client": 99}
                scene.gateway.happen(scene.venue.place_stated(foreign, scene.clock.now()))

        scene.gateway.line.answered = meddle
        refused = await outcome(scene)
        assert isinstance(refused, Refused)
        assert refused.code == "FOREIGN_ORDER"
        assert scene.orders == []

    play(story())


def test_what_stopped_a_run_does_not_hide_what_was_found_at_its_end() -> None:
    stopped = Refused("CASH_DISAGREES", "Cash is missing.", hint="Wait.")
    found = Refused("POSITIONS_DISAGREE", "DU1 is short of AAA.", hint="Look at AAA.")
    told = both_told(stopped, found)
    assert isinstance(told, Refused)
    assert (told.code, told.message) == ("CASH_DISAGREES", "Cash is missing. DU1 is short of AAA.")
    assert told.hint == "Look at AAA. Wait."
