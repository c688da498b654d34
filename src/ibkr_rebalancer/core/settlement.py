"""Whether a plan sells what may not be paid for yet, for which a cash account can be restricted. Pure.

Stocks in the United States settle on the business day after the trade (T+1). A cash account may buy with the proceeds
of a sale that has not settled; to sell that purchase before it is paid for is a good-faith violation or free-riding,
which Interactive Brokers looks for at the end of each day and may restrict the account for, for 90 days.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from ibkr_rebalancer.core.evidence import Executed
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.order_state import TrackedOrder, order_state
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import Balances

SETTLEMENT_REACH = timedelta(days=5)
"""How far back a purchase can have been made that settles today: over a weekend, with a day to spare."""
FRIDAY = 4


def settles_on(traded: date) -> date:
    """The next weekday after a trade. Holidays are not known: after them a purchase may settle later."""
    return traded + timedelta(days=max(1, 7 - traded.weekday() if traded.weekday() >= FRIDAY else 1))


def settlement_remark(plan: Plan, orders: Iterable[TrackedOrder], *, balances: Balances) -> str | None:
    """A warning about sales of what these orders of the account bought today or on the trading day before; None if
    there is none, or the account is no cash account.

    Days are UTC dates. Purchases that others made are not among `orders`.
    """
    if balances.is_cash_account is False:
        return None
    bought = _unsettled(orders, today=plan.as_of.date())
    sold = [trade for trade in plan.trades if trade.side is Side.SELL and trade.con_id in bought]
    if not sold:
        return None
    named = ", ".join(f"{trade.symbol} (bought on {bought[trade.con_id]})" for trade in sold)
    where = "In a cash account" if balances.is_cash_account else "If this is a cash account,"
    return (
        f"{where} selling {named} can count as free-riding or a good-faith violation, for which Interactive Brokers "
        "may restrict it for 90 days: a purchase settles on the business day after, and must not have been paid for "
        "with what had not settled either. Only what was bought from this state folder is known."
    )


def _unsettled(orders: Iterable[TrackedOrder], *, today: date) -> dict[ConId, date]:
    """When each contract was bought last whose purchase settles today or later."""
    bought: dict[ConId, date] = {}
    for order in orders:
        if order.intent.side is Side.BUY and order_state(order).filled:
            traded = _traded_on(order)
            bought[order.intent.con_id] = max(traded, bought.get(order.intent.con_id, traded))
    return {con_id: traded for con_id, traded in bought.items() if today <= settles_on(traded)}


def _traded_on(order: TrackedOrder) -> date:
    """The day of its last execution; the day on which its session ended, if none has been told."""
    executed = [evidence.at for evidence in order.evidence if isinstance(evidence, Executed)]
    return max(executed, default=order.intent.expires_at).date()
