"""From trades to orders: what exactly is sent, decided before it is sent. Pure.

Every order is a DAY order for whole shares in regular hours, and carries a reference that follows from its plan:
the same plan cannot make two different references for the same trade, and no two trades share one.
"""

import hashlib
from base64 import b32encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from ibkr_rebalancer.core.errors import Deferred, Refused
from ibkr_rebalancer.core.hours import Session, last_close, next_open_of_all, session_at
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import BASIS_POINT
from ibkr_rebalancer.core.plan import Plan, Side, Trade, order_of_sending
from ibkr_rebalancer.core.policy import OrderType, Policy
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot
from ibkr_rebalancer.core.quotes import Prices, prices_of

__all__ = [
    "OURS",
    "OpenOrder",
    "OrderIntent",
    "OrderType",
    "limit_price",
    "order_intents",
    "order_ref",
    "order_refs",
    "require_open",
]

OURS = "rb1-"
"""How the references of our orders begin; whatever begins otherwise is somebody else's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """The decision to send one order, complete and unchangeable; it is journalled before anything is sent."""

    order_ref: str
    """IBKR's `orderRef`: stays with the order through crashes and reconnects, and is never used twice."""
    run_id: str
    plan_id: str
    account: AccountId
    con_id: ConId
    symbol: str
    currency: str
    """That it trades in: prices, and what it moves and costs, are in that."""
    rate: Decimal
    """What a unit of `currency` was worth in the account's when it was planned."""
    side: Side
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None
    """On the tick grid; None for a market order."""
    position_before: Decimal
    """Shares held when it was decided, by the broker's word."""
    client_id: int
    """The API client id it goes out over; only over this one can it be cancelled."""
    expires_at: datetime
    """End of the session it was decided in, aware UTC: a DAY order does not live longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that is open at the broker, whoever placed it."""

    order_ref: str
    """Empty for an order without one."""
    account: AccountId
    con_id: ConId
    symbol: str
    side: Side
    remaining: Decimal
    status: str
    perm_id: int
    client_id: int


def is_ours(order_ref: str) -> bool:
    """Whether an order with this reference was sent by this program, from whatever machine."""
    return order_ref.startswith(OURS)


def order_ref(account: AccountId, plan_id: str, con_id: ConId, side: Side, *, attempt: int = 1) -> str:
    """The reference of a trade of a plan; `attempt` counts the orders made for it, one unless it was shrunk."""
    named = f"{account}|{plan_id}|{con_id}|{side.value}"
    short = b32encode(hashlib.sha256(named.encode()).digest()).decode()[:16].lower()
    return f"{OURS}{short}-{attempt}"


def order_refs(plan: Plan) -> frozenset[str]:
    """The references of all orders that the plan is first carried out with."""
    return frozenset(order_ref(plan.account, plan.plan_id, trade.con_id, trade.side) for trade in plan.trades)


def order_intents(
    trades: Sequence[Trade],
    *,
    plan: Plan,
    snapshot: Snapshot,
    policy: Policy,
    run_id: str,
    client_id: int,
    attempt: int = 1,
) -> tuple[OrderIntent, ...]:
    """The orders for these trades of the plan, in order of sending: sells before buys, each side largest first.

    Prices, positions and hours are those of `snapshot`, which may be fresher than the plan.

    Raises:
        Deferred, Refused: as `require_open` says.
        Refused: there is no price for a limit order (`PRICE_MISSING`).
    """
    sessions = require_open(trades, snapshot)
    return tuple(
        OrderIntent(
            order_ref=order_ref(plan.account, plan.plan_id, trade.con_id, trade.side, attempt=attempt),
            run_id=run_id,
            plan_id=plan.plan_id,
            account=plan.account,
            con_id=trade.con_id,
            symbol=trade.symbol,
            currency=trade.currency,
            rate=trade.rate,
            side=trade.side,
            quantity=trade.quantity,
            order_type=policy.order_type,
            limit_price=_limit_price(trade, snapshot, policy) if policy.order_type is OrderType.LIMIT else None,
            position_before=snapshot.portfolio.quantity(trade.con_id),
            client_id=client_id,
            expires_at=sessions[trade.con_id].closes,
        )
        for trade in sorted(trades, key=order_of_sending)
    )


def require_open(trades: Sequence[Trade], snapshot: Snapshot) -> Mapping[ConId, Session]:
    """The session that each contract is in at the moment of the snapshot: all of them, or nothing may be sent.

    Raises:
        Deferred: a market is closed (`MARKET_CLOSED`); it says when all are open next, if the gateway told.
        Refused: a contract's hours are not known (`HOURS_UNKNOWN`).
    """
    at, current, unknown = snapshot.taken_at, {}, []
    closed: dict[str, Sequence[Session]] = {}
    calendars = {trade.con_id: snapshot.contracts[trade.con_id].sessions for trade in trades}
    for trade in trades:
        announced = calendars[trade.con_id]
        if announced is None:
            unknown.append(trade.symbol)
        elif session := session_at(announced, at=at):
            current[trade.con_id] = session
        else:
            closed[trade.symbol] = announced
    if unknown:
        raise _hours_unknown(unknown, len(trades))
    if closed:
        until = next_open_of_all([sessions for sessions in calendars.values() if sessions is not None], after=at)
        raise _market_closed(closed, at, until=until, count=len(trades))
    return current


def limit_price(side: Side, *, prices: Prices, tick_size: Decimal, offset_bp: Decimal) -> Decimal:
    """The worst price at which a marketable limit order may fill, on the tick grid.

    It is at most `offset_bp` beyond the ask of a buy, or the bid of a sell, but never between bid and ask: where a
    tick is wider than the offset, it is the ask or the bid.
    """
    offset = offset_bp * BASIS_POINT
    if side is Side.BUY:
        highest = _on_grid(prices.ask * (1 + offset), tick_size, ROUND_FLOOR)
        return max(highest, _on_grid(prices.ask, tick_size, ROUND_CEILING))
    lowest = _on_grid(prices.bid * (1 - offset), tick_size, ROUND_CEILING)
    return max(tick_size, min(lowest, _on_grid(prices.bid, tick_size, ROUND_FLOOR)))


def _on_grid(price: Decimal, tick_size: Decimal, rounding: str) -> Decimal:
    return (price / tick_size).to_integral_value(rounding) * tick_size


def _limit_price(trade: Trade, snapshot: Snapshot, policy: Policy) -> Decimal:
    prices = prices_of(snapshot.quotes.get(trade.con_id))
    if prices is None:
        raise Refused(
            "PRICE_MISSING",
            f"There is no price for the limit order to {trade.side.value} {trade.quantity} {trade.symbol}.",
            hint="Check the market data subscription of this user, and run the command again.",
        )
    tick_size = snapshot.contracts[trade.con_id].tick_size
    return limit_price(trade.side, prices=prices, tick_size=tick_size, offset_bp=policy.limit_offset_bp)


def _hours_unknown(symbols: Sequence[str], count: int) -> Refused:
    return Refused(
        "HOURS_UNKNOWN",
        f"The gateway gave no readable trading hours for {', '.join(sorted(symbols))}. "
        f"None of the {count} orders was sent.",
        hint="Run the command again; if it lasts, look the contract up in TWS, or take it out of the targets.",
    )


def _market_closed(
    closed: Mapping[str, Sequence[Session]], at: datetime, *, until: datetime | None, count: int
) -> Deferred:
    when = f"; next open {until:%Y-%m-%d %H:%M} UTC" if until else ""
    return Deferred(
        "MARKET_CLOSED",
        f"Market closed at {at:%Y-%m-%d %H:%M} UTC for {', '.join(sorted(closed))}{when}. "
        f"None of the {count} orders was sent.",
        hint="Run the command again when the market is open.",
        until=until,
        closed_at=max(
            (ended for sessions in closed.values() if (ended := last_close(sessions, before=at))), default=None
        ),
    )
