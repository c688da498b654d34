"""A whole look at the broker's orders, and what it says about those we are in doubt of. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from ibkr_rebalancer.core.evidence import Completed, Evidence, Listed, Missing
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.order_state import TrackedOrder, order_state
from ibkr_rebalancer.core.orders import OpenOrder, is_ours
from ibkr_rebalancer.core.plan import Side
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

    def ours_open(self, account: AccountId) -> Mapping[str, OpenOrder]:
        """The orders with one of our references that are open in the account, by that reference."""
        orders = (order for order in self.open_orders if order.account == account and is_ours(order.order_ref))
        return {order.order_ref: order for order in orders}


def evidence_of(book: OrderBook, positions: Sequence[Position], *, orders: Sequence[TrackedOrder]) -> list[Heard]:
    """All that the look says about these orders of ours; also by showing one, or by not showing it.

    One that has ended, and is open, is listed; one that has not, and is neither open nor completed, is missing. If the
    position of a missing one has moved without a fill, the look hides orders: no other is missing while its session
    lasts.
    """
    completed = {heard.order_ref for heard in book.heard if isinstance(heard.evidence, Completed)}
    shown = {order.order_ref: order.status for order in book.open_orders}
    held: Mapping[tuple[AccountId, ConId], Decimal] = {(p.account, p.con_id): p.quantity for p in positions}
    listed, missing = [], []
    for order in orders:
        ref, has_ended = order.intent.order_ref, order_state(order).status.is_terminal
        position = held.get((order.intent.account, order.intent.con_id), ZERO)
        if has_ended and ref in shown:
            listed.append(Heard(order_ref=ref, evidence=Listed(at=book.taken_at, status=shown[ref])))
        elif not has_ended and ref not in completed | shown.keys():
            missing.append((order.intent, position, position != _explained(order, book)))
    hides = any(has_moved for _, _, has_moved in missing)
    return [
        *listed,
        *book.heard,
        *(
            Heard(order_ref=intent.order_ref, evidence=Missing(at=book.taken_at, position=position))
            for intent, position, has_moved in missing
            if has_moved or not hides or book.taken_at >= intent.expires_at
        ),
    ]


def _explained(order: TrackedOrder, book: OrderBook) -> Decimal:
    """What would be held of its contract by all the fills of the order that are known."""
    heard = (each.evidence for each in book.heard if each.order_ref == order.intent.order_ref)
    filled = order_state(replace(order, evidence=(*order.evidence, *heard))).filled
    return order.intent.position_before + (filled if order.intent.side is Side.BUY else -filled)
