"""Runs that trade, over the venue and a real journal: what is sent, in which order, and what is told of it."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.notation import allocation_body
from tests.support.trading_scene import TradingScene
from tests.support.venue_desk import VenueDesk
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.policy import Limits, OrderType, Policy
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.flows.trading import Confirm
from ibkr_rebalancer.ports import WhatIf

PLAIN = Policy(cash_reserve_pct=Decimal(0), min_gain_bp=Decimal(0))


def targets(**weights: str) -> bytes:
    return allocation_body({symbol: Decimal(weight) for symbol, weight in weights.items()})


def play(story: Any) -> Any:
    """Run a story in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)


def reported(outcome: Any) -> Report:
    assert isinstance(outcome, Report), outcome
    return outcome


def test_the_printed_plan_is_what_is_sent_and_what_is_reported(tmp_path: Path) -> None:
    """Holding 900 AAA and 100 BBB at 100 with 50/50 wanted: another product showed one thing, sent a second and
    reported a third."""

    async def story() -> None:
        market = {name: {"bid": "100", "ask": "100", "last": "100", "close": "100"} for name in ("AAA", "BBB")}
        holdings = {"DU1": {"cash": "10", "positions": {"AAA": 900, "BBB": 100}}}
        scene = TradingScene(tmp_path, accounts=holdings, market=market)
        shown: list[Plan] = []

        async def yes(plans: Sequence[Plan]) -> bool:
            shown.extend(plans)
            return True

        report = reported(await scene.rebalance(targets(AAA="0.5", BBB="0.5"), policy=PLAIN, confirm=yes))
        printed = [f"{t.side.value} {t.quantity} {t.symbol}" for t in shown[0].trades]
        told = [f"{o.side.value} {o.filled} {o.symbol}" for o in report.orders]
        assert printed == scene.orders == told == ["SELL 400 AAA", "BUY 400 BBB"]
        assert scene.held() == {"AAA": 500, "BBB": 500}
        assert scene.cash() == Decimal(6)
        assert (report.outcome, report.exit_code) == ("done", 0)

    play(story())


def on_the_way(tmp_path: Path, **overlay: Any) -> TradingScene:
    """10,000 in cash and 100 AAA at about 100: half of it is to become BBB at about 50."""
    return TradingScene(tmp_path, **overlay)


HALVES = targets(AAA="0.5", BBB="0.5")
SWITCH = targets(BBB="1")


def test_orders_that_fill_a_little_at_a_time_end_filled(tmp_path: Path) -> None:
    async def story() -> None:
        scene = on_the_way(tmp_path, fills={"delay_ms": 700, "slices": 3})
        report = reported(await scene.rebalance(SWITCH))
        assert scene.orders == ["SELL 100 AAA", "BUY 398 BBB"]
        assert [(order.filled, order.status) for order in report.orders] == [(100, "filled"), (398, "filled")]
        assert report.outcome == "done"

    play(story())


def test_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    async def story() -> None:
        scene = on_the_way(tmp_path)
        reported(await scene.rebalance(SWITCH))
        sent = len(scene.orders)
        again = reported(await scene.rebalance(SWITCH))
        assert (again.outcome, again.exit_code, len(scene.orders)) == ("nothing-to-do", 0, sent)

    play(story())


def test_what_never_fills_is_cancelled_and_proven(tmp_path: Path) -> None:
    async def story() -> None:
        stuck = {"when": {"order": {"symbol": "AAA"}}, "what": {"partial": {"shares": 30}}}
        scene = on_the_way(tmp_path, faults=[stuck])
        report = reported(await scene.rebalance(SWITCH))
        sale, purchase = report.orders
        assert (sale.filled, sale.status) == (30, "cancelled")
        assert sale.reason == "not filled in full within 120 s, so we cancelled it"
        assert (purchase.side.value, purchase.status) == ("BUY", "filled")
        assert (report.outcome, report.exit_code) == ("partial", 12)
        assert not scene.venue.open_orders
        assert scene.cash() > 0

    play(story())


def test_an_order_sent_into_a_line_that_breaks_is_looked_for_and_not_sent_again(tmp_path: Path) -> None:
    async def story() -> None:
        scene = on_the_way(tmp_path)

        def cut(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            scene.gateway.line.cut()

        scene.gateway.line.after_send = cut
        report = reported(await scene.rebalance(SWITCH))
        assert scene.orders == ["SELL 100 AAA", "BUY 398 BBB"]
        assert (report.outcome, report.exit_code) == ("done", 0)

    play(story())


def test_an_order_that_a_broken_line_swallowed_is_proven_absent(tmp_path: Path) -> None:
    async def story() -> None:
        scene = on_the_way(tmp_path)

        def cut(_: object) -> None:
            scene.gateway.line.before_send = lambda _: None
            scene.gateway.line.cut()

        scene.gateway.line.before_send = cut
        report = reported(await scene.rebalance(SWITCH))
        (sale, purchase) = report.orders
        assert (sale.status, sale.filled) == ("absent", 0)
        assert scene.orders == ["BUY 199 BBB"]
        assert purchase.status == "filled"
        assert (report.outcome, report.exit_code) == ("partial", 12)

    play(story())


def test_a_gateway_that_stays_away_leaves_the_outcome_unknown_and_the_account_latched(tmp_path: Path) -> None:
    async def story() -> None:
        scene = on_the_way(tmp_path)

        def cut(_: object) -> None:
            scene.gateway.back_after_s = None
            scene.gateway.line.cut()

        scene.gateway.line.after_send = cut
        report = reported(await scene.rebalance(SWITCH))
        assert (report.outcome, report.exit_code) == ("unknown", 13)
        assert scene.orders == ["SELL 100 AAA"]
        scene.gateway.back_after_s, scene.gateway.line.after_send = 0.0, lambda _: None
        again = reported(await scene.rebalance(SWITCH))
        assert again.outcome == "done"
        assert scene.orders == ["SELL 100 AAA", "BUY 398 BBB"]

    play(story())


@pytest.mark.parametrize("seconds", [0.1, 1.0, 5.0])
def test_a_run_that_is_interrupted_cancels_its_orders_and_says_so(tmp_path: Path, seconds: float) -> None:
    async def story() -> None:
        scene = on_the_way(tmp_path, fills={"delay_ms": 2000, "slices": 3})
        running = asyncio.ensure_future(scene.rebalance(SWITCH))
        await asyncio.sleep(seconds)
        running.cancel()
        report = reported(await running)
        assert (report.outcome, report.exit_code) == ("interrupted", 12)
        assert not scene.venue.open_orders
        (sale,) = report.orders
        assert sale.status == "cancelled"
        assert Decimal(100 - sale.filled) == scene.held().get("AAA", Decimal(0))

    play(story())


class Killed(BaseException):
    """Nothing of the product takes this for an error."""


def test_an_order_whose_process_died_between_its_proof_and_its_outcome_gets_it_from_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    async def story() -> None:
        scene = on_the_way(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "settle", die)
            with pytest.raises(Killed):
                await scene.rebalance(SWITCH)
        await asyncio.sleep(1)
        assert reported(await scene.rebalance(SWITCH)).outcome == "done"
        assert scene.orders == ["SELL 100 AAA", "BUY 398 BBB"]
        with scene.ports({}) as ports:
            assert not ports.ledger.unsettled()

    play(story())


REFUSED = {"text": "YOUR ORDER IS NOT ACCEPTED. INSUFFICIENT FUNDS"}


def test_a_sale_that_is_refused_for_lack_of_funds_is_not_tried_again_among_the_purchases(tmp_path: Path) -> None:
    async def story() -> None:
        refused = {"when": {"order": {"side": "SELL"}}, "what": {"reject": REFUSED}}
        scene = on_the_way(tmp_path, faults=[refused])
        report = reported(await scene.rebalance(SWITCH))
        assert scene.orders == ["SELL 100 AAA", "BUY 199 BBB"]
        assert report.outcome == "partial"

    play(story())


def test_a_purchase_refused_for_lack_of_funds_is_made_smaller_at_the_prices_of_that_moment(tmp_path: Path) -> None:
    """Beside it another purchase fills slowly; by then the market has moved, and less can be bought."""

    async def story() -> None:
        refused = {"when": {"order": {"symbol": "BBB"}, "count": 1}, "what": {"reject": REFUSED}}
        scene = on_the_way(tmp_path, faults=[refused], market={"CCC": {"fills": {"delay_ms": 90_000}}})
        running = asyncio.ensure_future(scene.rebalance(targets(AAA="0.5", BBB="0.3", CCC="0.2")))
        await asyncio.sleep(10)
        scene.change(market={"BBB": {"bid": "99.99", "ask": "100.01", "last": "100", "close": "99"}})
        report = reported(await running)
        assert scene.orders[:2] == ["BUY 119 BBB", "BUY 199 CCC"]
        assert len(scene.orders) == 3
        assert scene.cash() > 0
        assert report.outcome == "partial"

    play(story())


@pytest.mark.parametrize(
    ("most", "ends"), [(3, "done"), (2, "With this plan it would be 3 orders today; max_orders_per_day is 2.")]
)
def test_a_purchase_that_is_tried_again_smaller_is_one_order_of_the_day(tmp_path: Path, most: int, ends: str) -> None:
    """Two are planned, one of them is sent twice; the next run buys what is still missing."""

    async def story() -> None:
        refused = {"when": {"order": {"symbol": "BBB"}, "count": 1}, "what": {"reject": REFUSED}}
        scene = on_the_way(tmp_path, faults=[refused])
        policy = Policy(limits=Limits(max_orders_per_plan=2, max_orders_per_day=most))
        wanted = targets(AAA="0.5", BBB="0.3", CCC="0.2")
        reported(await scene.rebalance(wanted, policy=policy))
        assert scene.orders == ["BUY 119 BBB", "BUY 199 CCC", "BUY 113 BBB"]
        outcome = await scene.rebalance(wanted, policy=policy)
        assert ends in (outcome.outcome if isinstance(outcome, Report) else outcome.message)

    play(story())


def test_what_was_never_bought_is_asked_about_again_before_anything_is_sent(tmp_path: Path) -> None:
    async def story() -> None:
        no = {"text": "No trading permissions"}
        scene = on_the_way(tmp_path, faults=[{"when": {"order": {"symbol": "BBB"}}, "what": {"reject": no}}])
        reported(await scene.rebalance(SWITCH))
        assert scene.orders == ["SELL 100 AAA", "BUY 398 BBB"]
        scene.change(
            accounts={"DU1": {"positions": {"CCC": 300}}},
            faults=[{"when": {"preview": {"symbol": "BBB"}}, "what": {"reject": no}}],
        )
        outcome = await scene.rebalance(SWITCH)
        assert isinstance(outcome, RebalancerError)
        assert "No trading permissions" in outcome.message
        assert len(scene.orders) == 2

    play(story())


REFUSED_LATE = {"code": 201, "ms": 1000, **REFUSED}
ELSEWHERE = {"when": {"order": {"symbol": "CCC"}}, "what": {"reject": {"text": "No trading permissions"}}}
"""One purchase is not allowed, and its money stays."""


@pytest.mark.parametrize(
    ("filled", "again"),
    [(60, ["BUY 56 BBB"]), (117, ["BUY 1 BBB"]), (118, [])],
)
def test_of_a_purchase_that_filled_in_part_before_it_was_refused_only_the_rest_is_tried_again(
    tmp_path: Path, filled: int, again: list[str]
) -> None:
    """Also where there is money for the whole of it."""

    async def story() -> None:
        bbb = {"when": {"order": {"symbol": "BBB"}, "count": 1}}
        partly = {**bbb, "what": {"partial": {"shares": filled}}}
        scene = on_the_way(tmp_path, faults=[partly, {**bbb, "what": {"cancelled": REFUSED_LATE}}, ELSEWHERE])
        report = reported(await scene.rebalance(targets(AAA="0.5", BBB="0.3", CCC="0.2")))
        assert scene.orders == ["BUY 119 BBB", "BUY 199 CCC", *again]
        assert scene.held()["BBB"] <= 119
        first = report.orders[0]
        assert (first.status, first.filled, first.quantity) == ("rejected", filled, 119)

    play(story())


OWING = {
    "a short": {"accounts": {"DU1": {"cash": "10000", "positions": {"AAA": 100, "CCC": -50}}}},
    "a loan in another currency": {
        "accounts": {"DU1": {"cash": {"USD": "10000", "EUR": "-1000"}, "positions": {"AAA": 100}}},
        "rates": {"EURUSD": "1.1"},
    },
}
"""Accounts in which not all of the cash is there to be invested."""


@pytest.mark.parametrize("overlay", OWING.values(), ids=OWING)
def test_what_is_owed_keeps_nobody_from_buying_what_is_left(tmp_path: Path, overlay: dict[str, Any]) -> None:
    """The broker's cash is more than what counts; a purchase waits for neither to be the other."""

    async def story() -> None:
        scene = TradingScene(tmp_path, **overlay)
        report = reported(await scene.rebalance(SWITCH))
        assert report.trouble == ""
        sale, purchase = report.orders
        assert (sale.side, sale.status) == (Side.SELL, "filled")
        assert (purchase.side, purchase.status) == (Side.BUY, "filled")
        assert purchase.filled * Decimal("50.01") < Decimal(20_000) - Decimal(1_000), "what is owed is not spent"

    play(story())


@pytest.mark.parametrize("overlay", OWING.values(), ids=OWING)
def test_what_is_owed_does_not_make_a_plan_stale(tmp_path: Path, overlay: dict[str, Any]) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, **overlay)
        asked: list[Sequence[Plan]] = []

        async def yes(plans: Sequence[Plan]) -> bool:
            asked.append(plans)
            return len(asked) == 1

        reported(await scene.rebalance(SWITCH, confirm=yes))
        assert len(asked) == 1
        assert scene.orders[0] == "SELL 100 AAA"

    play(story())


ALL_CASH = {"DU1": {"cash": "20000", "positions": {"AAA": None}}}
"""20,000 in cash, and nothing to sell."""
DEARER = {"market": {"BBB": {"bid": "50.21", "ask": "50.23", "last": "50.22"}}}
"""0.44 % more: as good as the same to who confirms a plan, and more than the reserve can pay."""
LIMIT = Policy(order_type=OrderType.LIMIT)
Rise = Callable[[TradingScene, pytest.MonkeyPatch], Confirm | None]


def while_a_person_thinks(scene: TradingScene, _: pytest.MonkeyPatch) -> Confirm:
    async def confirm(_: Sequence[Plan]) -> bool:
        scene.change(**DEARER)
        return True

    return confirm


def during_the_preview(scene: TradingScene, patch: pytest.MonkeyPatch) -> None:
    what_if = VenueDesk.what_if

    async def slow(desk: VenueDesk, intent: OrderIntent) -> WhatIf:
        await asyncio.sleep(6)
        scene.change(**DEARER)
        return await what_if(desk, intent)

    patch.setattr(VenueDesk, "what_if", slow)


@pytest.mark.parametrize("rise", [while_a_person_thinks, during_the_preview])
@pytest.mark.parametrize(
    ("policy", "bought", "lack"),
    [
        (None, 397, "19,975.00 can be spent, and all purchases would cost 19,993.53"),
        (LIMIT, 396, "20,000.00 can be spent, and all purchases would cost 20,053.23 at their limits"),
    ],
    ids=["market", "limit"],
)
def test_prices_that_rise_before_anything_is_sent_make_the_purchases_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rise: Rise, policy: Policy | None, bought: int, lack: str
) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=ALL_CASH)
        report = reported(await scene.rebalance(SWITCH, policy=policy, confirm=rise(scene, monkeypatch)))
        assert scene.orders == [f"BUY {bought} BBB"]
        assert scene.cash() >= Decimal(25), "half the reserve is for purchases that fill above their ask"
        assert [cut.reason for cut in report.adjustments] == [lack]
        assert (report.outcome, report.exit_code) == ("partial", 12)

    play(story())


def test_a_purchase_keeps_the_limit_on_its_value_at_the_price_of_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=ALL_CASH)
        during_the_preview(scene, monkeypatch)
        policy = Policy(limits=Limits(max_order_value=Decimal(10_002)))
        report = reported(await scene.rebalance(HALVES, policy=policy))
        assert scene.orders == ["BUY 199 BBB", "BUY 99 AAA"]
        assert [cut.reason for cut in report.adjustments] == [
            "BUY 200 BBB costs 10046.00 in the account's currency; max_order_value is 10002."
        ]

    play(story())


def test_what_jumps_before_anything_is_sent_is_left_out_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=ALL_CASH)
        monkeypatch.setitem(DEARER, "market", {"BBB": {"bid": "69.99", "ask": "70.01", "last": "70"}})
        during_the_preview(scene, monkeypatch)
        report = reported(await scene.rebalance(HALVES))
        assert scene.orders == ["BUY 99 AAA"]
        assert [(cut.symbol, cut.sent, cut.reason) for cut in report.adjustments] == [
            ("BBB", 0, "BUY 200 BBB meets a price 38.62 % off the previous close; max_gap_pct is 30.")
        ]
        assert (report.outcome, report.exit_code) == ("partial", 12)

    play(story())


def test_money_that_leaves_until_the_confirmation_is_not_spent(tmp_path: Path) -> None:
    """0.09 % is as good as the same to who confirms; at these prices nothing is left of the reserve to pay it."""

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=ALL_CASH)

        async def confirm(_: Sequence[Plan]) -> bool:
            scene.change(accounts={"DU1": {"cash": "19982"}}, market={"BBB": {"ask": "50.15"}})
            return True

        report = reported(await scene.rebalance(SWITCH, confirm=confirm))
        assert scene.cash() >= Decimal(25)
        assert [cut.reason for cut in report.adjustments] == [
            "19,957.00 can be spent, and all purchases would cost 19,961.69"
        ]

    play(story())


@pytest.mark.parametrize("slippage_bp", [0, 12, 30])
@pytest.mark.parametrize("accounts", [None, ALL_CASH], ids=["with sales", "all cash"])
def test_limit_orders_never_spend_more_than_there_is(
    tmp_path: Path, accounts: dict[str, Any] | None, slippage_bp: int
) -> None:
    """Also when all fill at their limits."""

    async def story() -> None:
        overlay = {"accounts": accounts} if accounts else {}
        scene = TradingScene(tmp_path, fills={"slippage_bp": slippage_bp}, **overlay)
        report = reported(await scene.rebalance(targets(CCC="1"), policy=LIMIT))
        assert report.orders[-1].status == "filled"
        assert scene.cash() >= 0

    play(story())


@pytest.mark.parametrize("accounts", [None, ALL_CASH], ids=["with sales", "all cash"])
def test_in_a_calm_market_limit_orders_are_what_was_printed(tmp_path: Path, accounts: dict[str, Any] | None) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, **({"accounts": accounts} if accounts else {}))
        report = reported(await scene.rebalance(targets(BBB="0.5", CCC="0.5"), policy=LIMIT))
        assert report.plan is not None
        assert scene.orders == [f"{t.side.value} {t.quantity} {t.symbol}" for t in report.plan.trades]
        assert (report.outcome, report.adjustments) == ("done", ())
        again = reported(await scene.rebalance(targets(BBB="0.5", CCC="0.5"), policy=LIMIT))
        assert again.outcome == "nothing-to-do"

    play(story())


@pytest.mark.parametrize(("kind", "told"), [("CASH", 1), ("MARGIN", 0)])
def test_a_cash_account_is_warned_when_it_sells_what_it_has_just_bought_and_sells_it(
    tmp_path: Path, kind: str, told: int
) -> None:
    async def story() -> None:
        scene = on_the_way(tmp_path, accounts={"DU1": {"type": kind}})
        assert reported(await scene.rebalance(SWITCH)).outcome == "done"
        back = reported(await scene.rebalance(targets(AAA="1")))
        assert back.plan is not None
        assert sum("selling BBB (bought on 2026-11-23)" in remark for remark in back.plan.remarks) == told
        assert (back.outcome, scene.held().get("BBB", 0)) == ("done", 0)

    play(story())
