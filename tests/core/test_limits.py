"""Limits: each row's boundary, found from the row; and the ordinary life that passes with the defaults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.support.notation import NOW, SESSION, con_id, fill
from tests.support.trading import CLOSE, charged, executed, intent, planned, told, tracked

from ibkr_rebalancer.core.checks import require_tradable_prices
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.limits import (
    IDLE,
    LIMITS,
    Activity,
    Breach,
    Scope,
    activity_of,
    breaches,
    require_few_rejects,
    require_within_limits,
    too_many_rejects,
)
from ibkr_rebalancer.core.order_state import OrderState, OrderStatus, TrackedOrder
from ibkr_rebalancer.core.orders import order_intents, require_open
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.policy import Limits, Policy
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot

AAA, OLD = con_id("AAA"), con_id("OLD")
SWITCH = "DU1 cash 1_000; 100 OLD @50; 300 AAA @10/10.10; BBB @20"
TARGETS = "AAA 20; BBB 80"
"""Sells all of OLD and some of AAA, buys BBB."""


def measured(account: Snapshot, plan: Plan, limits: Limits, activity: Activity = IDLE) -> tuple[Breach, ...]:
    return breaches(plan, snapshot=account, policy=Policy(limits=limits), activity=activity)


def quoted(account: Snapshot, symbol: str, **changes: object) -> Snapshot:
    """The account, one quote changed."""
    quote = replace(account.quotes[con_id(symbol)], **changes)  # type: ignore[arg-type]  # by name
    return replace(account, quotes={**account.quotes, con_id(symbol): quote})


def closing(account: Snapshot, factor: str = "1") -> Snapshot:
    """The account, each previous close being so many times the bid."""
    quotes = {key: replace(q, close=(q.bid or Decimal(0)) * Decimal(factor)) for key, q in account.quotes.items()}
    return replace(account, quotes=quotes)


def rejected(count: int) -> list[OrderState]:
    known = OrderState(
        status=OrderStatus.REJECTED,
        filled=0,
        average_price=None,
        commission=Decimal(0),
        reason="no (201)",
        perm_ids=frozenset(),
    )
    return [known] * count + [replace(known, status=OrderStatus.FILLED)]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far a plan, or a run, goes in what one row measures."""

    at: str
    """What the row measures of it: a bound of this is kept, and one a hundredth lower is passed."""
    account: Snapshot
    plan: Plan
    activity: Activity = IDLE


def reach(at: str, text: str = SWITCH, targets: str = TARGETS, *, activity: Activity = IDLE) -> Reach:
    account, plan = planned(text, targets)
    return Reach(at=at, account=account, plan=plan, activity=activity)


BUSY = Activity(orders=7, notional=Decimal(4_500), legs={(OLD, Side.SELL): 2, (AAA, Side.BUY): 9})
_, PLAN = planned(SWITCH, TARGETS)
TURNOVER = sum(trade.notional for trade in PLAN.trades)
NET = PLAN.net_liquidation
LARGEST = max(trade.notional for trade in PLAN.trades if trade.side is Side.BUY)
OLD_QUOTES = {"received_at": NOW - timedelta(seconds=45)}

REACHES: dict[str, Callable[[], Reach]] = {
    "max_orders_per_plan": lambda: reach("3"),
    "max_orders_per_day": lambda: reach("10", activity=BUSY),
    "max_turnover_pct": lambda: reach(f"{TURNOVER / NET * 100}"),
    "max_daily_turnover_pct": lambda: reach(f"{(TURNOVER + 4_500) / NET * 100}", activity=BUSY),
    "max_order_value": lambda: reach(f"{LARGEST}"),
    "max_order_pct": lambda: reach(f"{LARGEST / NET * 100}"),
    "max_same_side_per_day": lambda: reach("3", activity=BUSY),
    "max_quote_age_s": lambda: _looked_at("BBB", "45", **OLD_QUOTES),
    "max_spread_pct": lambda: _looked_at("BBB", "5", bid=Decimal("19.5"), ask=Decimal("20.5")),
    "max_gap_pct": lambda: _looked_at("BBB", "25", bid=Decimal("19.8"), ask=Decimal("20.2"), close=Decimal(16)),
}
"""By name of the limit; `max_rejects` is asked of a run, not of a plan."""


def _looked_at(symbol: str, at: str, **changes: object) -> Reach:
    """The plan, one quote having become this by the time it is looked at."""
    plain = reach(at)
    return replace(plain, account=quoted(plain.account, symbol, **changes))


def with_bound(name: str, bound: Decimal) -> Limits:
    """No bound but this one."""
    bounds: dict[str, Any] = {limit.name: Decimal(10**9) for limit in LIMITS}
    return Limits(**bounds | {name: bound})


def test_every_limit_of_the_policy_is_a_row_and_every_row_has_its_default() -> None:
    assert {limit.name for limit in LIMITS} == {field.name for field in fields(Limits)}
    assert len({limit.name for limit in LIMITS}) == len(LIMITS)
    assert {limit.name: limit.default for limit in LIMITS} == {
        "max_order_value": None,
        "max_order_pct": 110,
        "max_orders_per_plan": 200,
        "max_orders_per_day": 500,
        "max_turnover_pct": 210,
        "max_daily_turnover_pct": 450,
        "max_same_side_per_day": 8,
        "max_gap_pct": 30,
        "max_quote_age_s": 60,
        "max_spread_pct": 3,
        "max_rejects": 3,
    }


def test_every_limit_has_its_boundary_tested() -> None:
    assert {*REACHES, "max_rejects"} == {limit.name for limit in LIMITS}


@pytest.mark.parametrize("limit", [row for row in LIMITS if row.name in REACHES], ids=lambda row: row.name)
def test_a_plan_may_reach_a_limit_and_not_pass_it(limit: object) -> None:
    row = next(row for row in LIMITS if row is limit)
    far = REACHES[row.name]()
    bound = Decimal(far.at)

    def passed(allowed: Decimal) -> list[str]:
        return [b.limit for b in measured(far.account, far.plan, with_bound(row.name, allowed), far.activity)]

    assert passed(bound) == []
    assert passed(bound + 1) == []
    assert set(passed(bound - Decimal("0.01"))) == {row.name}
    with pytest.raises(Refused) as caught:
        require_within_limits(
            far.plan,
            snapshot=far.account,
            policy=Policy(limits=with_bound(row.name, bound - Decimal("0.01"))),
            activity=far.activity,
        )
    assert caught.value.code == row.code == f"LIMIT_{row.name.upper()}"
    assert f"; {row.name} is {bound - Decimal('0.01')}." in caught.value.message
    assert caught.value.message.endswith(" Nothing was sent.")
    assert caught.value.hint == f"Look at the plan; if it is meant, raise limits.{row.name} in accounts.yaml."


@pytest.mark.parametrize(
    ("name", "allowed", "sentence"),
    [
        ("max_orders_per_plan", "2", "The plan has 3 orders; max_orders_per_plan is 2."),
        ("max_orders_per_day", "9", "With this plan it would be 10 orders today; max_orders_per_day is 9."),
        ("max_turnover_pct", "100", "The plan trades 148.54 % of net liquidation; max_turnover_pct is 100."),
        (
            "max_daily_turnover_pct",
            "160",
            "With this plan 198.45 % of net liquidation would be traded today; max_daily_turnover_pct is 160.",
        ),
        (
            "max_order_value",
            "5000.5",
            "BUY 359 BBB costs 7180.00 in the account's currency; max_order_value is 5000.5.",
        ),
        ("max_order_pct", "79.6", "BUY 359 BBB costs 79.65 % of net liquidation; max_order_pct is 79.6."),
        (
            "max_same_side_per_day",
            "2",
            "SELL 100 OLD would be that contract's order number 3 to that side today; max_same_side_per_day is 2.",
        ),
        ("max_quote_age_s", "44", "BUY 359 BBB relies on a quote that is 45.00 s old; max_quote_age_s is 44."),
        ("max_spread_pct", "4", "BUY 359 BBB meets a bid and ask 5.00 % apart; max_spread_pct is 4."),
        ("max_gap_pct", "24", "BUY 359 BBB meets a price 25.00 % off the previous close; max_gap_pct is 24."),
    ],
)
def test_a_breach_names_order_value_and_limit(name: str, allowed: str, sentence: str) -> None:
    far = REACHES[name]()
    (breach,) = measured(far.account, far.plan, with_bound(name, Decimal(allowed)), far.activity)
    assert breach.sentence == sentence
    assert (breach.code, breach.allowed) == (f"LIMIT_{name.upper()}", Decimal(allowed))
    assert breach.measured > breach.allowed


def test_many_breaches_are_told_together_the_plans_first_and_the_rest_counted() -> None:
    account, plan = planned(SWITCH, TARGETS)
    tight = Limits(
        max_orders_per_plan=1, max_turnover_pct=Decimal(1), max_order_pct=Decimal(1), max_order_value=Decimal(1)
    )
    assert len(measured(account, plan, tight)) == 4
    with pytest.raises(Refused) as caught:
        require_within_limits(plan, snapshot=account, policy=Policy(limits=tight), activity=IDLE)
    assert caught.value.code == "LIMIT_MAX_ORDERS_PER_PLAN"
    assert caught.value.message.count("; max_") == 3
    assert caught.value.message.endswith("max_order_value is 1. 1 more. Nothing was sent.")
    assert caught.value.hint.endswith(
        "raise limits.max_orders_per_plan, limits.max_turnover_pct, limits.max_order_value, limits.max_order_pct "
        "in accounts.yaml."
    )


def test_three_breaches_leave_none_to_be_counted() -> None:
    account, plan = planned(SWITCH, TARGETS)
    tight = Limits(max_orders_per_plan=1, max_turnover_pct=Decimal(1), max_order_pct=Decimal(1))
    with pytest.raises(Refused, match=r"max_order_pct is 1\. Nothing was sent\."):
        require_within_limits(plan, snapshot=account, policy=Policy(limits=tight), activity=IDLE)


def test_the_first_plan_of_a_day_is_the_first_to_its_side() -> None:
    account, plan = planned(SWITCH, TARGETS)
    assert measured(account, plan, with_bound("max_same_side_per_day", Decimal(1))) == ()
    assert len(measured(account, plan, with_bound("max_same_side_per_day", Decimal("0.9")))) == 3


def test_a_plan_without_trades_passes_whatever_was_done_today() -> None:
    account, plan = planned("DU1 cash 10; 99 AAA @10", "AAA 100")
    assert plan.trades == ()
    busy = replace(BUSY, orders=9_999, notional=Decimal(10**9))
    assert measured(account, plan, Limits(), busy) == ()


@pytest.mark.parametrize("limit", [row for row in LIMITS if row.applies_to in {Scope.BUY, Scope.NOT_EXIT}])
def test_no_limit_on_value_or_price_stops_an_exit(limit: object) -> None:
    row = next(row for row in LIMITS if row is limit)
    account, plan = planned("DU1 cash 1_000; 100.5 OLD @50/51; AAA @10", "AAA 100")
    exits = replace(plan, trades=tuple(trade for trade in plan.trades if trade.side is Side.SELL))
    awful = quoted(account, "OLD", bid=Decimal(1), ask=Decimal(99), close=Decimal(7), **OLD_QUOTES)
    assert [trade.symbol for trade in exits.trades] == ["OLD"]
    assert measured(awful, exits, with_bound(row.name, Decimal("0.01"))) == ()


@pytest.mark.parametrize("name", ["max_quote_age_s", "max_spread_pct", "max_gap_pct"])
def test_the_limits_on_prices_concern_sales_that_leave_something(name: str) -> None:
    account, plan = planned(SWITCH, TARGETS)
    far = quoted(account, "AAA", bid=Decimal(10), ask=Decimal("10.5"), close=Decimal(8), **OLD_QUOTES)
    (breach,) = measured(far, plan, with_bound(name, Decimal(1)))
    assert breach.sentence.startswith("SELL 121 AAA ")


@pytest.mark.parametrize("name", ["max_order_value", "max_order_pct"])
def test_the_limits_on_value_concern_purchases_only(name: str) -> None:
    account, plan = planned(SWITCH, TARGETS)
    assert [b.sentence[:12] for b in measured(account, plan, with_bound(name, Decimal(1)))] == ["BUY 359 BBB "]


@pytest.mark.parametrize(
    "changes",
    [{"bid": None}, {"ask": None}, {"close": None}, {"close": Decimal(0)}, {"bid": Decimal(0), "ask": Decimal(0)}],
)
def test_what_cannot_be_measured_is_no_breach(changes: dict[str, Decimal | None]) -> None:
    account, plan = planned(SWITCH, TARGETS)
    odd = quoted(account, "BBB", **({"close": Decimal(20)} | changes))
    assert measured(odd, plan, Limits()) == ()
    without = {key: quote for key, quote in account.quotes.items() if key != con_id("BBB")}
    assert measured(replace(account, quotes=without), plan, Limits()) == ()


def test_rejects_are_counted_for_a_run() -> None:
    policy = Policy(limits=Limits(max_rejects=2))
    assert too_many_rejects(rejected(2), policy) is None
    breach = too_many_rejects(rejected(3), policy)
    assert breach is not None
    assert (breach.code, breach.measured) == ("LIMIT_MAX_REJECTS", Decimal(3))
    assert breach.sentence == "The broker has rejected 3 orders of this run; max_rejects is 2."


def test_a_run_goes_on_until_the_broker_has_rejected_too_much() -> None:
    policy = Policy(limits=Limits(max_rejects=2))
    require_few_rejects(rejected(2), policy)
    with pytest.raises(Refused) as caught:
        require_few_rejects(rejected(3), policy)
    assert (caught.value.code, caught.value.message, caught.value.hint) == (
        "LIMIT_MAX_REJECTS",
        "The broker has rejected 3 orders of this run; max_rejects is 2. Nothing more was sent.",
        "Read the broker's reasons in the report, and put right what they name before the next run.",
    )


def test_activity_is_what_the_orders_of_the_day_did() -> None:
    first = tracked(
        intent("BUY 10 AAA"), executed(1, "a.01", 4, "9"), executed(2, "b.01", 6, "10"), charged("a.01", "1")
    )
    twin = tracked(replace(first.intent, order_ref="rb1-second-2"), executed(3, "c.01", 1, "10"))
    sale = tracked(intent("SELL 5 AAA", plan_id="later"), told(1, "Submitted"))
    again = tracked(intent("BUY 1 AAA", plan_id="later"))
    yesterday = replace(first, intent=replace(first.intent, expires_at=SESSION.closes - timedelta(days=1)))
    tomorrow = replace(again, intent=replace(again.intent, expires_at=SESSION.closes + timedelta(hours=9)))
    day = date(2026, 11, 23)
    assert activity_of([first, twin, sale, again, yesterday], day=day) == Activity(
        orders=3, notional=Decimal(106), legs={(AAA, Side.BUY): 2, (AAA, Side.SELL): 1}
    )
    assert activity_of([tomorrow, yesterday], day=day).orders == 1
    assert activity_of([], day=day) == IDLE


def test_a_correction_is_no_second_turnover() -> None:
    corrected = tracked("BUY 10 AAA", executed(1, "a.01", 10, "9"), executed(2, "a.02", 10, "8"))
    assert activity_of([corrected], day=NOW.date()).notional == 80


def done(account: Snapshot, plan: Plan) -> list[TrackedOrder]:
    """The plan's orders, each filled at its price."""
    sent = order_intents(plan.trades, plan=plan, snapshot=account, policy=Policy(), run_id="r", client_id=52)
    prices = {trade.con_id: trade.price for trade in plan.trades}
    return [tracked(i, executed(1, f"{i.order_ref}.01", i.quantity, f"{prices[i.con_id]}")) for i in sent]


def passes(account: Snapshot, plan: Plan, *, before: Sequence[TrackedOrder] = ()) -> None:
    """Every check and limit, with the defaults and as for real money."""
    real = replace(account, portfolio=replace(account.portfolio, account=AccountId("U1234567")))
    assert plan.trades
    require_open(plan.trades, real)
    require_tradable_prices(plan.trades, snapshot=real, policy=Policy())
    activity = activity_of(before, day=real.taken_at.date())
    require_within_limits(plan, snapshot=real, policy=Policy(), activity=activity)


LEVERED = "TQQQ 20; SPXL 20; EDC 20; QLD 20; UPRO 10; SOXL 10"


def levered(cash: str, quantity: str) -> str:
    return f"DU1 cash {cash}; " + "; ".join(f"{quantity} {part.split()[0]} @80/80.10" for part in LEVERED.split("; "))


def test_ordinary_life_first_deployment_from_all_cash() -> None:
    for text, targets in (
        ("DU1 cash 100_000; AAA @100/100.05; BBB @20/20.01", "AAA 50; BBB 50"),
        ("DU1 cash 5_000; AAA @100/100.05", "AAA 100"),
    ):
        account, plan = planned(text, targets)
        passes(closing(account), plan)


def test_ordinary_life_a_whole_switch_of_strategy() -> None:
    account, plan = planned("DU1 cash 100; 500 OLD @100/100.05; 500 OLDER @100/100.05; AAA @20/20.01", "AAA 100")
    assert plan.turnover > Decimal("1.98")
    passes(closing(account), plan)


def test_ordinary_life_a_whole_switch_of_strategy_twice_in_a_day() -> None:
    account, plan = planned("DU1 cash 100; 1_000 OLD @100/100.05; AAA @20/20.01", "AAA 100")
    back_account, back = planned(f"DU1 cash 300; {plan.trades[1].quantity} AAA @20/20.01; OLD @100/100.05", "OLD 100")
    passes(closing(back_account), back, before=done(account, plan))


def test_ordinary_life_six_leveraged_funds_after_a_day_of_twenty_percent() -> None:
    for factor in ("0.8333", "1.25"):
        account, plan = planned(levered("500", "100"), LEVERED)
        passes(closing(account, factor), plan)


@pytest.mark.parametrize("cash", ["50_000", "-25_000"])
def test_ordinary_life_a_deposit_or_withdrawal_of_half_the_account(cash: str) -> None:
    account, plan = planned(levered(cash, "104"), LEVERED)
    passes(closing(account), plan)


def test_ordinary_life_a_new_symbol() -> None:
    account, plan = planned("DU1 cash 100; 500 AAA @100/100.05; NEWCO @7/7.01", "AAA 90; NEWCO 10")
    assert {trade.symbol for trade in plan.trades} == {"AAA", "NEWCO"}
    passes(closing(account), plan)


def test_ordinary_life_a_second_run_a_minute_later() -> None:
    """The first filled nine tenths of everything; the second plans the rest."""
    account, plan = planned("DU1 cash 100_000; AAA @100/100.05; BBB @20/20.01", "AAA 50; BBB 50")
    most = replace(plan, trades=tuple(replace(t, quantity=t.quantity * 9 // 10) for t in plan.trades))
    later = replace(fill(most, account), taken_at=NOW + timedelta(minutes=1))
    _, rest = planned("DU1 cash 10_100; 447 AAA @100/100.05; 2239 BBB @20/20.01", "AAA 50; BBB 50")
    passes(closing(later), rest, before=done(account, most))


def test_ordinary_life_the_last_ten_minutes_of_the_session() -> None:
    account, plan = planned("DU1 cash 100_000; AAA @100/100.05", "AAA 100")
    for seconds_left in (600, 1):
        late = replace(account, taken_at=NOW + timedelta(seconds=CLOSE - seconds_left))
        passes(closing(late), plan)


def test_ordinary_life_a_monthly_strategys_old_targets() -> None:
    account, plan = planned("DU1 cash 100_000; AAA @100/100.05", "AAA 100")
    passes(closing(account), replace(plan, strategy=replace(plan.strategy, as_of="2026-10-30")))
