"""Each check of orders, states and purchases turns red when a decision is wrong on purpose."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.support.notation import NOW
from tests.support.trading import look, planned
from tests.support.trading_judge import (
    Derive,
    broken_order_rules,
    broken_purchase_rules,
    broken_state_rules,
    without_looks,
)

from ibkr_rebalancer.core.evidence import ErrorTold, Executed, Missing, StatusTold
from ibkr_rebalancer.core.limits import IDLE, Activity, breaches
from ibkr_rebalancer.core.order_state import CANCELLED, OrderState, OrderStatus, TrackedOrder, order_state
from ibkr_rebalancer.core.orders import OrderIntent, OrderType, order_intents
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Limits, Policy
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.purchases import Purchases, plan_purchases


def trusts_errors(order: TrackedOrder) -> OrderState:
    """As ib_async does: an error that is no warning has cancelled the order."""
    state = order_state(order)
    errors = [e for e in order.evidence if isinstance(e, ErrorTold) and e.code != 399]
    return replace(state, status=OrderStatus.CANCELLED) if errors else state


def counts_corrections_as_fills(order: TrackedOrder) -> OrderState:
    """As ib_async does, too."""
    counted = tuple(
        replace(e, exec_id=e.exec_id.replace(".", "-")) if isinstance(e, Executed) else e for e in order.evidence
    )
    return order_state(replace(order, evidence=counted))


def counts_every_message(order: TrackedOrder) -> OrderState:
    shares = sum(int(e.shares) for e in order.evidence if isinstance(e, Executed))
    return replace(order_state(order), filled=shares)


def believes_the_last_status(order: TrackedOrder) -> OrderState:
    words = [e.status for e in order.evidence if isinstance(e, StatusTold)]
    state = order_state(order)
    return replace(state, status=OrderStatus.WORKING) if words and words[-1] not in CANCELLED else state


def looks_once(order: TrackedOrder) -> OrderState:
    return order_state(order, absence_s=0)


def takes_a_rejection_for_its_proof(order: TrackedOrder) -> OrderState:
    rejected = any(isinstance(e, ErrorTold) and e.code == 201 for e in order.evidence)
    return order_state(replace(order, evidence=(*order.evidence, look(9_999)) if rejected else order.evidence))


def forgets_when_it_looked(order: TrackedOrder) -> OrderState:
    looks = [e for e in order.evidence if isinstance(e, Missing)]
    return order_state(replace(order, evidence=(*without_looks(order).evidence, *looks)))


def test_states_are_derived_by_every_rule() -> None:
    assert broken_state_rules(order_state) == set()


@pytest.mark.parametrize(
    ("derive", "rule"),
    [
        (trusts_errors, "an order ends without proof"),
        (counts_corrections_as_fills, "shares are counted that were not executed"),
        (counts_every_message, "what is repeated counts again"),
        (believes_the_last_status, "the order of evidence matters"),
        (looks_once, "one look proves an order absent"),
        (takes_a_rejection_for_its_proof, "a rejection needs no look"),
        (forgets_when_it_looked, "a look counts although the order has been heard of since"),
        (
            lambda order: replace(order_state(order), status=OrderStatus.WORKING),
            "a cancel that is proven is not believed",
        ),
    ],
)
def test_a_wrong_derivation_is_found(derive: Derive, rule: str) -> None:
    assert rule in broken_state_rules(derive)


SWITCH, PLAN = planned("DU1 cash 1_000; 100 OLD @49.98/50; AAA @99.99/100.01; BBB @20/20.02", "AAA 50; BBB 50")
LIMIT = Policy(order_type=OrderType.LIMIT)


def orders(policy: Policy = LIMIT) -> tuple[OrderIntent, ...]:
    return order_intents(PLAN.trades, plan=PLAN, snapshot=SWITCH, policy=policy, run_id="r", client_id=52)


def judged(sent: tuple[OrderIntent, ...]) -> list[str]:
    return broken_order_rules(sent, plan=PLAN, snapshot=SWITCH, policy=LIMIT)


def changed(symbol: str, **changes: object) -> tuple[OrderIntent, ...]:
    return tuple(replace(o, **changes) if o.symbol == symbol else o for o in orders())  # type: ignore[arg-type]


def test_orders_keep_every_rule() -> None:
    assert judged(orders()) == judged(orders(Policy())) == []


@pytest.mark.parametrize(
    ("sent", "rules"),
    [
        (orders()[::-1], ["a buy stands before a sell"]),
        ((*orders(), orders()[-1]), ["two orders share a reference"]),
        (changed("OLD", quantity=101), ["OLD is traded beyond the plan"]),
        (changed("BBB", quantity=999), ["BBB is traded beyond the plan"]),
        (changed("AAA", expires_at=NOW), ["AAA is sent into a closed market"]),
        (changed("OLD", position_before=Decimal(0)), ["OLD is not held as said"]),
        (changed("AAA", limit_price=Decimal("100.105")), ["AAA is priced off the grid"]),
        (changed("AAA", limit_price=Decimal("100.00")), ["AAA is bought at a limit out of bounds"]),
        (changed("AAA", limit_price=Decimal("100.32")), ["AAA is bought at a limit out of bounds"]),
        (changed("OLD", limit_price=Decimal("49.99")), ["OLD is sold at a limit out of bounds"]),
        (changed("OLD", limit_price=Decimal("49.83")), ["OLD is sold at a limit out of bounds"]),
    ],
)
def test_a_wrong_order_is_found(sent: tuple[OrderIntent, ...], rules: list[str]) -> None:
    assert judged(sent) == rules


DEPLOY, DEPLOYMENT = planned("DU1 cash 10_000; AAA @100; BBB @10; CCC @2_000", "AAA 50; BBB 30; CCC 20")
CASH = Decimal(9_000)
Buy = Callable[[Plan, Decimal, Decimal, Snapshot], Purchases]


def buy(plan: Plan, cash: Decimal, available: Decimal, snapshot: Snapshot) -> Purchases:
    return plan_purchases(plan, cash={"USD": cash}, available_funds=available, snapshot=snapshot, policy=Policy())


def sends_what_was_printed(plan: Plan, cash: Decimal, available: Decimal, snapshot: Snapshot) -> Purchases:
    """As if the sales had brought what was planned."""
    return buy(plan, cash + 1_000, available + 1_000, snapshot)


def spends_the_reserve(plan: Plan, cash: Decimal, available: Decimal, snapshot: Snapshot) -> Purchases:
    lines = tuple(replace(line, cash_reserve=Decimal(0)) for line in plan.cash_by_currency)
    return buy(replace(plan, cash_by_currency=lines), cash, available, snapshot)


def ignores_the_broker(plan: Plan, cash: Decimal, available: Decimal, snapshot: Snapshot) -> Purchases:  # noqa: ARG001
    return buy(plan, cash, cash, snapshot)


def makes_up_for_what_is_dropped(plan: Plan, cash: Decimal, available: Decimal, snapshot: Snapshot) -> Purchases:
    """Puts idle cash into the first purchase."""
    found = buy(plan, cash, available, snapshot)
    first = found.trades[0]
    return replace(found, trades=(replace(first, quantity=first.quantity + 1), *found.trades[1:]))


def says_nothing(plan: Plan, cash: Decimal, available: Decimal, snapshot: Snapshot) -> Purchases:
    return replace(buy(plan, cash, available, snapshot), adjustments=())


def smallest_first(plan: Plan, cash: Decimal, available: Decimal, snapshot: Snapshot) -> Purchases:
    found = buy(plan, cash, available, snapshot)
    return replace(found, trades=found.trades[::-1])


@pytest.mark.parametrize(
    ("make", "available", "rules"),
    [
        (buy, 9_000, []),
        (buy, 4_000, []),
        (buy, -1, []),
        (sends_what_was_printed, 9_000, ["the reserve is spent", "more is spent than the broker allows"]),
        (spends_the_reserve, 9_000, ["the reserve is spent"]),
        (ignores_the_broker, 4_000, ["more is spent than the broker allows"]),
        (
            makes_up_for_what_is_dropped,
            9_000,
            ["more is bought than was printed", "the reserve is spent", "more is spent than the broker allows"],
        ),
        (says_nothing, 9_000, ["a cut is not told"]),
        (smallest_first, 9_000, ["the largest does not go first"]),
    ],
)
def test_a_wrong_purchase_is_found(make: Buy, available: int, rules: list[str]) -> None:
    found = make(DEPLOYMENT, CASH, Decimal(available), DEPLOY)
    broken = broken_purchase_rules(found, plan=DEPLOYMENT, cash=CASH, available=Decimal(available))
    assert broken == rules


def test_a_journal_that_forgets_the_day_lets_daily_limits_pass() -> None:
    busy = Activity(orders=2, notional=Decimal(0), legs={})
    policy = Policy(limits=Limits(max_orders_per_day=4))

    def told(activity: Activity) -> list[str]:
        return [b.limit for b in breaches(PLAN, snapshot=SWITCH, policy=policy, activity=activity)]

    assert told(busy) == ["max_orders_per_day"]
    assert told(IDLE) == []
