"""What must be so before orders are sent, beside hours and limits: prices, ownership, nobody else at work. Pure."""

from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal

from ibkr_rebalancer.core.documents import plain
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.limits import price_breaches
from ibkr_rebalancer.core.money import ZERO, amount_text
from ibkr_rebalancer.core.orders import OURS, OpenOrder
from ibkr_rebalancer.core.plan import Plan, Side, Skip, Trade
from ibkr_rebalancer.core.policy import OrderType, Policy
from ibkr_rebalancer.core.portfolio import Snapshot, TradingMode, belongs_to
from ibkr_rebalancer.core.quotes import DataKind, Prices, Quote, prices_of

CASH_TOLERANCE = Decimal("0.001")
"""Of net liquidation: how far cash may move between a plan and its confirmation."""
PRICE_TOLERANCE = Decimal("0.005")
"""Of the planned price: how far a bid or ask may move until then, and the rate of a currency."""


def require_tradable_prices(trades: Sequence[Trade], *, snapshot: Snapshot, policy: Policy) -> None:
    """Check that every trade has a price that real orders may be sent at, all or none.

    Raises:
        Refused: one has not; the code is that of the first (see `tradable_prices`).
    """
    outcomes = [tradable_prices(trade, snapshot=snapshot, policy=policy) for trade in trades]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    if refusals:
        sentences = " ".join(refusal.message for refusal in refusals)
        none_sent = f"None of the {len(trades)} orders was sent."
        raise Refused(refusals[0].code, f"{sentences} {none_sent}", hint=refusals[0].hint)


def tradable_prices(trade: Trade, *, snapshot: Snapshot, policy: Policy) -> Prices | Refused:
    """The present prices of a trade, or why it may not be sent at them.

    Real money needs a bid and ask that make a market, and live ones unless the owner allows delayed ones for limit
    orders; a paper account needs any price. What leaves something in the account also keeps the limits on prices.
    What is halted is not traded by anybody. The codes are `PRICE_MISSING`, `SYMBOL_HALTED`, `PRICE_CROSSED`,
    `PRICE_NOT_LIVE` and those of the limits.
    """
    quote = snapshot.quotes.get(trade.con_id)
    prices = prices_of(quote)
    if quote is None or prices is None:
        return _missing(trade, "no price")
    is_real = not belongs_to(TradingMode.PAPER, snapshot.portfolio.account)
    return (
        (_halted(trade) if quote.is_halted else None)
        or (_unfit_for_real_money(trade, quote, policy) if is_real else None)
        or _outside_limits(trade, snapshot, policy)
        or prices
    )


def require_adopted(
    plan: Plan, *, mode: TradingMode, traded: Collection[tuple[ConId, Side]], adopted: AbstractSet[ConId]
) -> None:
    """Check that what is sold is ours to sell: real holdings that we never traded need a person's word once.

    Raises:
        Refused: some are not (`FIRST_LIVE_SALE`), with the list.
    """
    ours = {con_id for con_id, _ in traded} | adopted
    foreign = [trade for trade in plan.trades if trade.side is Side.SELL and trade.con_id not in ours]
    if mode is TradingMode.PAPER or not foreign:
        return
    listed = ", ".join(f"{trade.quantity} {trade.symbol}" for trade in foreign)
    raise Refused(
        "FIRST_LIVE_SALE",
        f"{plan.account} would sell holdings that were not bought here: {listed}. Nothing was sent.",
        hint=f"Run `rebalancer execute {plan.account}` on a terminal and confirm, or once with --adopt.",
    )


def require_no_foreign_orders(plan: Plan, open_orders: Sequence[OpenOrder]) -> None:
    """Check that nobody else has an order open in what the plan manages.

    Raises:
        Refused: somebody has (`FOREIGN_ORDER`).
    """
    managed = {line.con_id for line in _managed(plan)}
    foreign = [
        order
        for order in open_orders
        if order.account == plan.account and order.con_id in managed and not order.order_ref.startswith(OURS)
    ]
    if foreign:
        listed = ", ".join(
            f"{order.side.value} {order.remaining:f} {order.symbol} (client {order.client_id})" for order in foreign
        )
        raise Refused(
            "FOREIGN_ORDER",
            f"Somebody else has orders open in what this plan manages: {listed}. Nothing was sent.",
            hint="Cancel them or wait until they are done, then run the command again.",
        )


def require_unused(plan: Plan, known: Collection[str]) -> None:
    """Check that nothing has been sent, or meant to be sent, for this very plan; `known` are references of orders.

    Raises:
        Refused: something has (`PLAN_USED`).
    """
    if known:
        raise Refused(
            "PLAN_USED",
            f"Plan {plan.plan_id} has been carried out before: {', '.join(sorted(known))}. No plan is carried out "
            "twice, and nothing was sent now.",
            hint="Make a new plan: it is made from what is held by now.",
        )


def require_same(plan: Plan, fresh: Snapshot, *, anew: Plan) -> None:
    """Check that the plan would be made from the same again: settings, targets and positions exactly, cash and prices
    nearly. `anew` is the plan that is made from the fresh snapshot, with the settings and targets of now.

    Raises:
        Refused: something changed (`PLAN_STALE`).
    """
    changes = [
        *_changed_settings(plan, anew),
        *_changed_targets(plan, anew),
        *_changed_positions(plan, fresh),
        *_changed_cash(plan, fresh),
        *_changed_prices(plan, fresh, anew),
        *_changed_rates(plan, fresh),
    ]
    if changes:
        raise Refused(
            "PLAN_STALE",
            f"Plan {plan.plan_id} is stale: {'; '.join(changes)}. Nothing was sent.",
            hint="Make a new plan, look at it, and carry out that one.",
        )


def _managed(plan: Plan) -> tuple[Trade | Skip, ...]:
    return (*plan.trades, *plan.skips)


def _halted(trade: Trade) -> Refused:
    return Refused(
        "SYMBOL_HALTED",
        f"Trading in {trade.symbol} is halted.",
        hint="Run the command again when it trades; if that takes long, take it out of the targets.",
    )


def _unfit_for_real_money(trade: Trade, quote: Quote, policy: Policy) -> Refused | None:
    if quote.bid is None or quote.ask is None or min(quote.bid, quote.ask) <= 0:
        return _missing(trade, "no bid and ask")
    if quote.bid > quote.ask:
        return Refused(
            "PRICE_CROSSED",
            f"{trade.symbol} is quoted with bid {quote.bid} above ask {quote.ask}.",
            hint="Run the command again in a minute.",
        )
    delayed_will_do = policy.order_type is OrderType.LIMIT and not policy.require_live_data
    if quote.data is not DataKind.LIVE and not (quote.data is DataKind.DELAYED and delayed_will_do):
        return Refused(
            "PRICE_NOT_LIVE",
            f"The quote of {trade.symbol} is {quote.data.value}, and real money is at stake.",
            hint="Subscribe this user to live data of its exchange; or, for delayed quotes, "
            "set order_type: limit and require_live_data: false.",
        )
    if not quote.close and not trade.is_exit:
        return _missing(trade, "no previous close to compare its price with")
    return None


def _outside_limits(trade: Trade, snapshot: Snapshot, policy: Policy) -> Refused | None:
    breach = next(iter(price_breaches(trade, snapshot=snapshot, policy=policy)), None)
    if breach is None:
        return None
    hint = f"Run the command again later; if this is how it trades, raise limits.{breach.limit} in accounts.yaml."
    return Refused(breach.code, breach.sentence, hint=hint)


def _missing(trade: Trade, what: str) -> Refused:
    return Refused(
        "PRICE_MISSING",
        f"{trade.symbol} has {what}.",
        hint="Check the market data subscription of this user (also that no other session holds it), "
        "and run the command again.",
    )


def _changed_settings(plan: Plan, anew: Plan) -> Iterator[str]:
    if plan.policy_digest != anew.policy_digest:
        yield f"the settings of {plan.account} have changed"


def _changed_targets(plan: Plan, anew: Plan) -> Iterator[str]:
    for symbol in sorted(plan.targets.keys() | anew.targets.keys()):
        was, now = plan.targets.get(symbol), anew.targets.get(symbol)
        if was != now:
            yield f"{symbol} target was {_target(was)}, is now {_target(now)}"


def _target(weight: Decimal | None) -> str:
    return "none" if weight is None else plain(weight)


def _changed_positions(plan: Plan, fresh: Snapshot) -> Iterator[str]:
    planned = {line.con_id: (line.symbol, line.held) for line in _managed(plan)}
    planned |= {line.con_id: (line.symbol, line.quantity) for line in plan.untouched}
    found = {h.position.con_id: (h.position.symbol, ZERO) for h in fresh.portfolio.holdings}
    for con_id, (symbol, held) in sorted((found | planned).items(), key=lambda item: item[1]):
        now = fresh.portfolio.quantity(con_id)
        if now != held:
            yield f"{symbol} position was {held:f}, is now {now:f}"


def _changed_cash(plan: Plan, fresh: Snapshot) -> Iterator[str]:
    planned = {line.currency: line for line in plan.cash_by_currency}
    found = fresh.portfolio.cash_to_invest(planned.keys() | {line.currency for line in _managed(plan)})
    for currency in sorted(planned.keys() | found.keys(), key=lambda currency: (currency != plan.currency, currency)):
        was, now = planned[currency].cash if currency in planned else ZERO, found.get(currency, ZERO)
        if abs(fresh.portfolio.balances.in_base(now - was, currency)) > CASH_TOLERANCE * plan.net_liquidation:
            unit = "" if currency == plan.currency else f"{currency} "
            yield f"{unit}cash was {amount_text(was)}, is now {amount_text(now)}"


def _changed_rates(plan: Plan, fresh: Snapshot) -> Iterator[str]:
    """A rate is a price: how much of the account each currency should be goes by it."""
    rates, traded = fresh.portfolio.balances.exchange_rates, {line.currency for line in _managed(plan)}
    for line in plan.cash_by_currency:
        now = rates.get(line.currency)
        if line.currency == plan.currency or line.currency not in traded:
            continue
        if now is None or abs(now - line.rate) > PRICE_TOLERANCE * line.rate:
            yield f"{line.currency} rate was {plain(line.rate)}, is now {'missing' if now is None else plain(now)}"


def _changed_prices(plan: Plan, fresh: Snapshot, anew: Plan) -> Iterator[str]:
    """Nobody has asked for the price of a target that is one no more."""
    dropped = plan.targets.keys() - anew.targets.keys()
    for trade in plan.trades:
        prices, is_buy = prices_of(fresh.quotes.get(trade.con_id)), trade.side is Side.BUY
        was = f"{trade.symbol} {'ask' if is_buy else 'bid'} was {trade.price:f}"
        if prices is None and trade.symbol in dropped:
            continue
        if prices is None:
            yield f"{was}, is now missing"
        elif abs((now := prices.ask if is_buy else prices.bid) - trade.price) > PRICE_TOLERANCE * trade.price:
            yield f"{was}, is now {now:f}"
