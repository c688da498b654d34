"""How much a plan may do: limits as rows of one table, measured before anything is sent, all or none. Pure.

A row says what it measures, whom it concerns and how a breach is told; its default is its field in `policy.Limits`.
A plan may reach a limit and not pass it. Limits on value and price never stop an exit: what has to go can go.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_CEILING, Decimal
from enum import Enum
from typing import Any, Generic, TypeVar

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.evidence import prints
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import CENT, ZERO
from ibkr_rebalancer.core.order_state import OrderState, OrderStatus, TrackedOrder
from ibkr_rebalancer.core.plan import Plan, Side, Trade
from ibkr_rebalancer.core.policy import Limits, Policy
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.quotes import Quote

MOST_TOLD = 3
"""How many breaches one message tells; the others are counted."""

S = TypeVar("S")


class Unit(Enum):
    """What a limit is counted in; the value is written behind a number."""

    MONEY = " in the account's currency"
    PERCENT = " %"
    SECONDS = " s"
    COUNT = ""


class Scope(Enum):
    """What a limit is asked of."""

    PLAN = "a plan"
    ORDER = "every order"
    BUY = "purchases"
    NOT_EXIT = "purchases, and sales that leave something"
    RUN = "a run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Generic[S]):
    """One row: a bound on something that can be measured."""

    name: str
    """Its key under `limits:` in accounts.yaml, and its field in `policy.Limits`."""
    unit: Unit
    applies_to: Scope
    meaning: str
    """Completes "it is …"."""
    example: str
    """A bound as an owner may write it, other than the default."""
    sentence: str
    """How a breach is told: `{order}` and `{measured}` are filled in."""
    measure: Callable[[S], Decimal | None]
    """In `unit`; None of what cannot be measured, which is then no breach of this limit."""

    @property
    def code(self) -> str:
        """The reason code of a breach."""
        return f"LIMIT_{self.name.upper()}"

    @property
    def default(self) -> Decimal | int | None:
        """None: no bound."""
        return self.of(Limits())

    def of(self, limits: Limits) -> Decimal | int | None:
        """The bound that the owner has set."""
        bound: Decimal | int | None = getattr(limits, self.name)
        return bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A limit that is passed, and by what."""

    limit: str
    """Its name."""
    code: str
    measured: Decimal
    allowed: Decimal
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What an account has done today, by its journal."""

    orders: int
    """Legs of plans: a second, smaller attempt at an order, made once the first is proven dead, is none of its own."""
    notional: Decimal
    """Of all executions, both sides, in the account's currency at the rate of each order's plan."""
    legs: Mapping[tuple[ConId, Side], int]
    """How many plans have traded this contract to this side."""


IDLE = Activity(orders=0, notional=ZERO, legs={})
"""Nothing has been done yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Today:
    """A plan, and what went before it today."""

    plan: Plan
    activity: Activity

    def pct(self, amount: Decimal) -> Decimal:
        return amount / self.plan.net_liquidation * 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    """An order to be, in its plan."""

    trade: Trade
    today: _Today


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quoted:
    """A quote that an order would trade at, and when it is looked at, by this machine's clock."""

    quote: Quote
    at: datetime


def _notional(plan: Plan) -> Decimal:
    return sum((trade.notional for trade in plan.trades), ZERO)


def _spread_pct(quoted: _Quoted) -> Decimal | None:
    bid, ask = quoted.quote.bid, quoted.quote.ask
    return (ask - bid) / (ask + bid) * 200 if bid and ask else None


def _gap_pct(quoted: _Quoted) -> Decimal | None:
    bid, ask, close = quoted.quote.bid, quoted.quote.ask, quoted.quote.close
    return abs((bid + ask) / 2 - close) / close * 100 if bid and ask and close else None


PLAN_LIMITS: tuple[Limit[_Today], ...] = (
    Limit(
        name="max_orders_per_plan",
        unit=Unit.COUNT,
        applies_to=Scope.PLAN,
        meaning="how many orders a plan may have; one that is tried again smaller, for want of funds, is one",
        example="40",
        sentence="The plan has {measured} orders",
        measure=lambda today: Decimal(len(today.plan.trades)),
    ),
    Limit(
        name="max_orders_per_day",
        unit=Unit.COUNT,
        applies_to=Scope.PLAN,
        meaning="how many orders may be sent in a day; one that is tried again smaller, for want of funds, is one",
        example="100",
        sentence="With this plan it would be {measured} orders today",
        measure=lambda today: Decimal(today.activity.orders + len(today.plan.trades)),
    ),
    Limit(
        name="max_turnover_pct",
        unit=Unit.PERCENT,
        applies_to=Scope.PLAN,
        meaning="the most that a plan may trade, both sides together, in percent of net liquidation",
        example="120",
        sentence="The plan trades {measured} of net liquidation",
        measure=lambda today: today.pct(_notional(today.plan)),
    ),
    Limit(
        name="max_daily_turnover_pct",
        unit=Unit.PERCENT,
        applies_to=Scope.PLAN,
        meaning="the most that may be traded in a day, both sides together, in percent of net liquidation",
        example="150",
        sentence="With this plan {measured} of net liquidation would be traded today",
        measure=lambda today: today.pct(today.activity.notional + _notional(today.plan)),
    ),
)

ORDER_LIMITS: tuple[Limit[_Leg], ...] = (
    Limit(
        name="max_order_value",
        unit=Unit.MONEY,
        applies_to=Scope.BUY,
        meaning="the most that one purchase may cost, in the account's currency",
        example="50000",
        sentence="{order} costs {measured}",
        measure=lambda leg: leg.trade.notional,
    ),
    Limit(
        name="max_order_pct",
        unit=Unit.PERCENT,
        applies_to=Scope.BUY,
        meaning="the most that one purchase may cost, in percent of net liquidation",
        example="40",
        sentence="{order} costs {measured} of net liquidation",
        measure=lambda leg: leg.today.pct(leg.trade.notional),
    ),
    Limit(
        name="max_same_side_per_day",
        unit=Unit.COUNT,
        applies_to=Scope.ORDER,
        meaning="how many plans in a day may trade the same contract to the same side",
        example="2",
        sentence="{order} would be that contract's order number {measured} to that side today",
        measure=lambda leg: Decimal(leg.today.activity.legs.get((leg.trade.con_id, leg.trade.side), 0) + 1),
    ),
)

PRICE_LIMITS: tuple[Limit[_Quoted], ...] = (
    Limit(
        name="max_quote_age_s",
        unit=Unit.SECONDS,
        applies_to=Scope.NOT_EXIT,
        meaning="how old, in seconds, a price may be that a plan is made from",
        example="30",
        sentence="{order} relies on a quote that is {measured} old",
        measure=lambda quoted: Decimal(str((quoted.at - quoted.quote.received_at).total_seconds())),
    ),
    Limit(
        name="max_spread_pct",
        unit=Unit.PERCENT,
        applies_to=Scope.NOT_EXIT,
        meaning="how far bid and ask may be apart, in percent of their middle",
        example="1",
        sentence="{order} meets a bid and ask {measured} apart",
        measure=_spread_pct,
    ),
    Limit(
        name="max_gap_pct",
        unit=Unit.PERCENT,
        applies_to=Scope.NOT_EXIT,
        meaning="how far a price may be from the previous close, in percent of that",
        example="15",
        sentence="{order} meets a price {measured} off the previous close",
        measure=_gap_pct,
    ),
)

REJECTS: Limit[Sequence[OrderState]] = Limit(
    name="max_rejects",
    unit=Unit.COUNT,
    applies_to=Scope.RUN,
    meaning="how many orders of a run may be rejected before it stops",
    example="1",
    sentence="The broker has rejected {measured} orders of this run",
    measure=lambda states: Decimal(sum(state.status is OrderStatus.REJECTED for state in states)),
)

LIMITS: tuple[Limit[Any], ...] = (*PLAN_LIMITS, *ORDER_LIMITS, *PRICE_LIMITS, REJECTS)
"""All of them."""


def activity_of(orders: Iterable[TrackedOrder], *, day: date) -> Activity:
    """What these orders did on a day, a UTC date: an order belongs to the day on which its session ends.

    Orders of later sessions count as well, so that a market whose session spans midnight is not counted short.
    """
    todays = [order for order in orders if order.intent.expires_at.date() >= day]
    legs = {(order.intent.plan_id, order.intent.con_id, order.intent.side) for order in todays}
    return Activity(
        orders=len(legs),
        notional=sum(
            (each.shares * each.price * order.intent.rate for order in todays for each in prints(order.evidence)), ZERO
        ),
        legs=Counter((con_id, side) for _, con_id, side in legs),
    )


def breaches(plan: Plan, *, snapshot: Snapshot, policy: Policy, activity: Activity) -> tuple[Breach, ...]:
    """Every limit that the plan would pass, the whole plan's first; a plan without trades passes none."""
    if not plan.trades:
        return ()
    today = _Today(plan=plan, activity=activity)
    found = [_breach(limit, today, policy) for limit in PLAN_LIMITS]
    for trade in plan.trades:
        leg = _Leg(trade=trade, today=today)
        found += [_breach(limit, leg, policy, trade) for limit in ORDER_LIMITS if _concerns(limit, trade)]
        found += price_breaches(trade, snapshot=snapshot, policy=policy)
    return tuple(breach for breach in found if breach)


def price_breaches(trade: Trade, *, snapshot: Snapshot, policy: Policy) -> tuple[Breach, ...]:
    """Every limit that the quote passes at which the trade would be made; none if there is no quote."""
    quote = snapshot.quotes.get(trade.con_id)
    if quote is None:
        return ()
    quoted = _Quoted(quote=quote, at=snapshot.assembled_at)
    found = [_breach(limit, quoted, policy, trade) for limit in PRICE_LIMITS if _concerns(limit, trade)]
    return tuple(breach for breach in found if breach)


def most_shares(purchase: Trade, *, plan: Plan, policy: Policy) -> tuple[int, Breach | None]:
    """How many of its shares a purchase of the plan may have at its price by the limits on what one may cost; and the
    limit that all of them would pass, if one is."""

    def breach(shares: int) -> Breach | None:
        part = replace(purchase, quantity=shares, notional=shares * purchase.price * purchase.rate)
        leg = _Leg(trade=part, today=_Today(plan=plan, activity=IDLE))
        found = (_breach(limit, leg, policy, part) for limit in ORDER_LIMITS if limit.applies_to is Scope.BUY)
        return next(filter(None, found), None)

    passed = breach(purchase.quantity)
    if passed is None:
        return purchase.quantity, None
    return bisect(range(1, purchase.quantity), False, key=lambda shares: breach(shares) is not None), passed


def too_many_rejects(states: Sequence[OrderState], policy: Policy) -> Breach | None:
    """The breach of `max_rejects` by the orders of a run, if there is one: then nothing more is sent."""
    return _breach(REJECTS, states, policy)


def require_few_rejects(states: Sequence[OrderState], policy: Policy) -> None:
    """Check that the broker has not rejected too many orders of a run.

    Raises:
        Refused: it has (`LIMIT_MAX_REJECTS`).
    """
    breach = too_many_rejects(states, policy)
    if breach is not None:
        raise Refused(
            breach.code,
            f"{breach.sentence} Nothing more was sent.",
            hint="Read the broker's reasons in the report, and put right what they name before the next run.",
        )


def require_within_limits(plan: Plan, *, snapshot: Snapshot, policy: Policy, activity: Activity) -> None:
    """Check the plan against every limit, all or none.

    Raises:
        Refused: at least one is passed; the code is that of the first, such as `LIMIT_MAX_ORDER_VALUE`.
    """
    found = breaches(plan, snapshot=snapshot, policy=policy, activity=activity)
    if not found:
        return
    more = f" {len(found) - MOST_TOLD} more." if len(found) > MOST_TOLD else ""
    names = ", ".join(f"limits.{name}" for name in dict.fromkeys(breach.limit for breach in found))
    raise Refused(
        found[0].code,
        f"{' '.join(breach.sentence for breach in found[:MOST_TOLD])}{more} Nothing was sent.",
        hint=f"Look at the plan; if it is meant, raise {names} in accounts.yaml.",
    )


def _concerns(limit: Limit[S], trade: Trade) -> bool:
    match limit.applies_to:
        case Scope.BUY:
            return trade.side is Side.BUY
        case Scope.NOT_EXIT:
            return not trade.is_exit
    return True


def _breach(limit: Limit[S], subject: S, policy: Policy, trade: Trade | None = None) -> Breach | None:
    measured, allowed = limit.measure(subject), limit.of(policy.limits)
    if measured is None or allowed is None or measured <= allowed:
        return None
    order = f"{trade.side.value} {trade.quantity} {trade.symbol}" if trade else ""
    fact = limit.sentence.format(order=order, measured=_shown(measured, limit.unit))
    return Breach(
        limit=limit.name,
        code=limit.code,
        measured=measured,
        allowed=Decimal(allowed),
        sentence=f"{fact}; {limit.name} is {allowed}.",
    )


def _shown(measured: Decimal, unit: Unit) -> str:
    """Rounded up, so that what passes a limit also looks like it."""
    if unit is Unit.COUNT:
        return f"{measured}"
    return f"{measured.quantize(CENT, rounding=ROUND_CEILING)}{unit.value}"
