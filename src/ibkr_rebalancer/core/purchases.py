"""What is bought once the sales are done: the printed purchases, or less where the cash has become less. Pure.

The cash is a ledger of our own: what the snapshot told, and what has provably been filled since. The broker's figure
lags, and is only a cap. Of the reserve that a plan keeps, one half is there for sales that fill below their bid and
asks that rise until they are met, the other for purchases that fill above their ask; so purchases are cut only when the
first half has been used up. Limit orders fill no higher than their limit: counted at that, they may spend all there is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ibkr_rebalancer.core.checks import tradable_prices
from ibkr_rebalancer.core.commissions import commission
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.evidence import prints
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.limits import most_shares
from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import ZERO, amount_text, share_of
from ibkr_rebalancer.core.order_codes import FUNDS, REJECTED, order_code
from ibkr_rebalancer.core.order_state import OrderState, OrderStatus, TrackedOrder
from ibkr_rebalancer.core.orders import OrderIntent, limit_price, order_ref
from ibkr_rebalancer.core.plan import Plan, Side, Trade, order_of_sending
from ibkr_rebalancer.core.policy import SLIPPAGE_OF_SALES, OrderType, Policy
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.quotes import Prices
from ibkr_rebalancer.core.sizing import Quantities, outlay, size_purchases

SHRUNK = Decimal("0.95")
"""What is left of an order that lacked funds when it is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """A planned trade of which less is sent than was printed."""

    symbol: str
    con_id: ConId
    planned: int
    sent: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchases:
    """What is bought, the largest first, and what is not."""

    trades: tuple[Trade, ...]
    adjustments: tuple[Adjustment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """A printed purchase at its present prices."""

    trade: Trade
    name: Managed
    """Its ask is the most that a share may cost."""
    prices: Prices
    """In the currency of the trade, like all that is counted here."""
    most: int
    """Shares, by the limits on what one purchase may cost."""
    cut: str
    """Why these are fewer than printed; empty if they are not."""


def plan_purchases(
    plan: Plan, *, cash: Mapping[str, Decimal], available_funds: Decimal, snapshot: Snapshot, policy: Policy
) -> Purchases:
    """The purchases of the plan at the fresh quotes of `snapshot`, none larger than printed.

    `cash` is that of the ledger, by currency and in each its own: a purchase is paid in the currency that it trades in.
    `available_funds` are the account's, in its own currency, and for all purchases together. Costs are counted at the
    ask and leave half the reserve; or for limit orders at the limit, which is the worst case, and leave nothing owed.
    They never exceed what the broker lets us spend, and leave all cash that was to be raised. No purchase passes a
    limit on what one may cost, which had been kept at the prices of the plan. Without need nothing is cut; else all in
    a currency are cut to one level of what they should reach.
    """
    at_limits = policy.order_type is OrderType.LIMIT
    printed = [trade for trade in plan.trades if trade.side is Side.BUY]
    outcomes = [(trade, tradable_prices(trade, snapshot=snapshot, policy=policy)) for trade in printed]
    dropped = [_adjustment(trade, 0, why.message) for trade, why in outcomes if isinstance(why, Refused)]
    offers = [_offer(t, prices, snapshot, plan, policy) for t, prices in outcomes if not isinstance(prices, Refused)]
    budgets = _budgets(offers, plan, cash, available_funds, at_limits=at_limits)
    worst = " at their limits" if at_limits else ""
    shares: dict[ConId, int] = {}
    lacks: dict[str, str] = {}
    for currency, budget in budgets.items():
        names = [offer.name for offer in offers if offer.trade.currency == currency]
        goals = _goals(offers, currency)
        shares |= _affordable(names, goals, budget, plan.net_liquidation)
        unit = "" if currency == plan.currency else f" {currency}"
        lacks[currency] = (
            f"{amount_text(budget)}{unit} can be spent, and all purchases{unit and f' in{unit}'} would cost "
            f"{amount_text(outlay(names, goals))}{worst}"
        )
    bought = [(offer, shares[offer.name.con_id] - offer.name.whole) for offer in offers]
    reasons = [
        (o, count, " ".join(filter(None, [o.cut, lacks[o.trade.currency] if count < o.most else ""])))
        for o, count in bought
    ]
    cut = [_adjustment(offer.trade, count, reason) for offer, count, reason in reasons if reason]
    trades = [_bought(offer, count, plan) for offer, count in bought if count]
    return Purchases(trades=tuple(sorted(trades, key=order_of_sending)), adjustments=(*dropped, *cut))


def cash_after_fills(
    cash: Mapping[str, Decimal], orders: Iterable[tuple[TrackedOrder, OrderState]]
) -> Mapping[str, Decimal] | None:
    """The ledger: the snapshot's cash by currency and what these orders have provably moved since, commissions paid.

    A commission that has not been told is estimated. None when an order has filled shares whose price nobody has told
    yet: then there is no saying how much cash there is.
    """
    ledger = dict(cash)
    for tracked, state in orders:
        currency = tracked.intent.currency
        moved = _moved(tracked, state)
        if moved is None:
            return None
        if moved:
            ledger[currency] = ledger.get(currency, ZERO) + moved
    return ledger


def _moved(tracked: TrackedOrder, state: OrderState) -> Decimal | None:
    """What an order has added to the cash of its currency; None when nobody has told all prices."""
    counted = prints(tracked.evidence)
    shares = sum((each.shares for each in counted), ZERO)
    if shares != state.filled:
        return None
    worth = sum((each.shares * each.price for each in counted), ZERO)
    charges = [each.commission for each in counted if each.commission is not None]
    paid = sum(charges, ZERO)
    if len(charges) < len(counted):
        price = worth / shares if shares else ZERO
        paid = max(paid, commission(state.filled, price, tracked.intent.currency))
    return (worth if tracked.intent.side is Side.SELL else -worth) - paid


def lacked_funds(state: OrderState) -> bool:
    """Whether the order was rejected for want of money, by the broker's own words."""
    return state.status is OrderStatus.REJECTED and speaks_of_funds(state.reason)


def speaks_of_funds(text: str) -> bool:
    """Whether the broker's reason for a refusal is want of money, rather than of a permission."""
    return order_code(REJECTED, text) is FUNDS


def shrunk(intent: OrderIntent, *, filled: int) -> OrderIntent | None:
    """The one second attempt at a purchase that lacked funds, once the first is proven dead with so much of it filled:
    what was left of it, smaller by a twentieth.

    None when there is none: a single share was left at most, or this has been the second attempt.
    """
    first, second = (
        order_ref(intent.account, intent.plan_id, intent.con_id, intent.side, attempt=attempt) for attempt in (1, 2)
    )
    quantity = max(0, int((intent.quantity - filled) * SHRUNK))
    return replace(intent, order_ref=second, quantity=quantity) if intent.order_ref == first and quantity else None


def _budgets(
    offers: Sequence[_Offer], plan: Plan, cash: Mapping[str, Decimal], available_funds: Decimal, *, at_limits: bool
) -> Mapping[str, Decimal]:
    """What may be spent in each currency, in that: its own cash but for what is kept, and of what the broker lets be
    spent in all as large a part as the purchases in it would take."""
    lines = {line.currency: line for line in plan.cash_by_currency}
    budgets, wanted = {}, {}
    for currency in dict.fromkeys(offer.trade.currency for offer in offers):
        line = lines[currency]
        raised = plan.purpose.raise_cash if currency == plan.currency else ZERO
        kept = raised + (ZERO if at_limits else max(ZERO, (line.cash_reserve - raised) * SLIPPAGE_OF_SALES))
        budgets[currency] = cash.get(currency, ZERO) - kept
        cost = outlay([offer.name for offer in offers if offer.trade.currency == currency], _goals(offers, currency))
        wanted[currency] = max(ZERO, min(cost, budgets[currency])) * line.rate
    total = sum(wanted.values(), ZERO)
    if not total or total <= available_funds:
        return budgets
    allowed = {currency: available_funds * (worth / total) for currency, worth in wanted.items()}
    return {currency: min(budget, allowed[currency] / lines[currency].rate) for currency, budget in budgets.items()}


def _goals(offers: Sequence[_Offer], currency: str) -> Quantities:
    return {o.name.con_id: o.name.whole + o.most for o in offers if o.trade.currency == currency}


def _affordable(names: Sequence[Managed], goals: Quantities, budget: Decimal, net_liquidation: Decimal) -> Quantities:
    if outlay(names, goals) <= budget:
        return goals
    if budget <= 0:
        return {name.con_id: name.whole for name in names}
    return size_purchases(names, goals=goals, budget=budget, net_liquidation=net_liquidation)


def _offer(trade: Trade, prices: Prices, snapshot: Snapshot, plan: Plan, policy: Policy) -> _Offer:
    dearest, at_limit = prices.ask, policy.order_type is OrderType.LIMIT
    if at_limit:
        tick_size = snapshot.contracts[trade.con_id].tick_size
        dearest = limit_price(trade.side, prices=prices, tick_size=tick_size, offset_bp=policy.limit_offset_bp)
    name = Managed(
        symbol=trade.symbol,
        con_id=trade.con_id,
        primary_exchange=trade.primary_exchange,
        weight=Decimal(1),
        exit_reason="",
        held=trade.held,
        currency=trade.currency,
        rate=Decimal(1),
        quoted=replace(prices, ask=dearest),
        prices=replace(prices, ask=dearest),
    )
    most, breach = most_shares(replace(trade, price=dearest), plan=plan, policy=policy)
    cut = "" if breach is None else f"{'At its limit price ' if at_limit else ''}{breach.sentence}"
    return _Offer(trade=trade, name=name, prices=prices, most=most, cut=cut)


def _bought(offer: _Offer, count: int, plan: Plan) -> Trade:
    """The purchase of so many shares, at the present ask."""
    after = offer.trade.held + count
    return replace(
        offer.trade,
        quantity=count,
        price=offer.prices.ask,
        notional=count * offer.prices.ask * offer.trade.rate,
        commission=commission(count, offer.prices.ask, offer.trade.currency),
        spread_cost=count * (offer.prices.ask - offer.prices.value),
        target_quantity=after,
        weight_after=share_of(after * offer.prices.value * offer.trade.rate, plan.net_liquidation),
    )


def _adjustment(trade: Trade, sent: int, reason: str) -> Adjustment:
    return Adjustment(symbol=trade.symbol, con_id=trade.con_id, planned=trade.quantity, sent=sent, reason=reason)
