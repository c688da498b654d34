"""What happens to orders as rows of the log, by which tests judge. Pure.

The rows of an order have its `perm_id`. The last `order` row says how it stands; of the `execution` rows with the same
id before the last dot, the last one counts; positions and cash are those at the start with the executions that count
and the `commission` rows. A `complaint` is an error about an order, and proves nothing about it.
"""

from typing import Any

from ibkr_rebalancer.sandbox.venue.market import Market
from ibkr_rebalancer.sandbox.venue.orders import Charged, Complained, Event, Execution, Order, Printed, Ticket, Told

Row = dict[str, Any]


def row(event: Event, market: Market) -> Row:
    """`event` is order, execution, commission or complaint; numbers are text, as exact as they are."""
    match event:
        case Told(order=order):
            return {"event": "order", **_named(order.ticket, order.perm_id, market), **_order(order)}
        case Printed(execution=execution):
            named = _named(execution.ticket, execution.perm_id, market)
            return {"event": "execution", **named, **_execution(execution)}
        case Charged(execution=execution):
            named = _named(execution.ticket, execution.perm_id, market)
            return {"event": "commission", **named, **_charge(execution)}
        case Complained():
            about = {"client_id": event.client_id, "order_id": event.order_id}
            return {"event": "complaint", **about, "code": event.code, "text": event.text}


def _named(ticket: Ticket, perm_id: int, market: Market) -> Row:
    return {
        "client_id": ticket.client_id,
        "order_id": ticket.order_id,
        "perm_id": perm_id,
        "order_ref": ticket.order_ref,
        "account": ticket.account,
        "con_id": ticket.con_id,
        "symbol": market.listings[ticket.con_id].contract.symbol,
        "side": ticket.side,
    }


def _order(order: Order) -> Row:
    """The price is its limit, none for a market order."""
    ticket = order.ticket
    return {
        "quantity": str(ticket.quantity),
        "order_type": ticket.order_type,
        "price": None if ticket.limit_price is None else str(ticket.limit_price),
        "tif": ticket.tif,
        "status": order.status,
        "filled": str(order.filled),
        "working": order.working,
        "why_held": order.why_held,
        "completed_status": order.completed_status,
    }


def _execution(execution: Execution) -> Row:
    """The quantity is that of this print."""
    return {
        "exec_id": execution.exec_id,
        "quantity": str(execution.shares),
        "price": str(execution.price),
        "cumulative": str(execution.cumulative),
    }


def _charge(execution: Execution) -> Row:
    return {
        "exec_id": execution.exec_id,
        "commission": str(execution.commission),
        "currency": execution.currency,
    }
