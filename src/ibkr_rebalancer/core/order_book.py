"""A whole look at the broker's orders, and what it says about those we are in doubt of. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.order_state import Completed, Evidence, Missing, TrackedOrder
from ibkr_rebalancer.core.orders import OpenOrder
from ibkr_rebalancer.core.portfolio import AccountId, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A piece of evidence about one order of ours, as it arrived."""

    order_ref: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """A whole look at all orders of all clients: what is open, and what the broker still tells of today's others."""

    taken_at: datetime
    """The gateway's time."""
    open_orders: tuple[OpenOrder, ...]
    """Of all managed accounts."""
    heard: tuple[Heard, ...]
    """Statuses, executions, commissions and completions of orders with one of our references."""


def evidence_of(book: OrderBook, positions: Sequence[Position], *, doubtful: Sequence[TrackedOrder]) -> list[Heard]:
    """All that the look says about our orders; of each doubtful one neither open nor completed, that it is missing."""
    completed = {heard.order_ref for heard in book.heard if isinstance(heard.evidence, Completed)}
    shown = completed | {order.order_ref for order in book.open_orders}
    held: Mapping[tuple[AccountId, ConId], Decimal] = {(p.account, p.con_id): p.quantity for p in positions}
    missing = [
        Heard(
            order_ref=intent.order_ref,
            evidence=Missing(at=book.taken_at, position=held.get((intent.account, intent.con_id), ZERO)),
        )
        for intent in (order.intent for order in doubtful)
        if intent.order_ref not in shown
    ]
    return [*book.heard, *missing]
