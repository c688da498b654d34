"""What happens to orders as rows of the log, by which tests judge. Pure.

The rows of an order have its `perm_id`. The last `order` row says how it stands; of the `execution` rows with the same
id before the last dot, the last one counts; positions and cash are those at the start with the executions that count
and the `commission` rows.
"""

from typing import Any

from ibkr_rebalancer.sandbox.venue.orders import Charged, Complained, Event, Execution, Order, Printed, Ticket, Told

Row = dict[str, Any]


def row(event: Event) -> Row:
    """`event` is order, execution, commission or order_error; numbers are text, as exact as they are."""
    match event:
        case Told(order=order):
            return {"event": "order", **_order(order)}
        case Printed(execution=execution):
            return {"event": "execution", **_execution(execution)}
        case Charged(execution=execution):
            charge = {"commission": str(execution.commission), "currency": execution.currency}
            return {"event": "commission", **_named(execution.ticket, execution.perm_id), **_id(execution), **charge}
        case Complained():
            about = {"client": event.client_id, "order_id": event.order_id}
            return {"event": "order_error", **about, "code": event.code, "text": event.text}


def _named(ticket: Ticket, perm_id: int) -> Row:
    return {
        "client": ticket.client_id,
        "order_id": ticket.order_id,
        "perm_id": perm_id,
        "order_ref": ticket.order_ref,
        "account": ticket.account,
        "con_id": ticket.con_id,
        "side": ticket.side,
    }


def _order(order: Order) -> Row:
    ticket = order.ticket
    return _named(ticket, order.perm_id) | {
        "quantity": str(ticket.quantity),
        "order_type": ticket.order_type,
        "limit_price": None if ticket.limit_price is None else str(ticket.limit_price),
        "tif": ticket.tif,
        "status": order.status,
        "filled": str(order.filled),
        "working": order.working,
        "why_held": order.why_held,
        "completed_status": order.completed_status,
    }


def _execution(execution: Execution) -> Row:
    return _named(execution.ticket, execution.perm_id) | {
        **_id(execution),
        "shares": str(execution.shares),
        "price": str(execution.price),
        "cumulative": str(execution.cumulative),
    }


def _id(execution: Execution) -> Row:
    return {"exec_id": execution.exec_id}
