"""What was said and what happened: JSON lines, each on disk before the next thing happens, and in memory.

A frame is `{"t", "dir": "in" or "out", "client", "message", "fields"}`, its fields exactly as on the wire,
id first; everything else is `{"t", "event", ...}`. `t` is the venue's time.

Every message that would trade is an `order_message` too, whatever becomes of it. What became of orders in the market
is told by `order` (as it stands now), `execution`, `commission` and `complaint` (an error about an order): whatever
clients were told, this is what is true. Amounts are texts, as on the wire.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from ibkr_rebalancer.sandbox.tws.wire import text
from ibkr_rebalancer.sandbox.venue.market import Market
from ibkr_rebalancer.sandbox.venue.orders import Charged, Complained, Event, Execution, Order, Printed, Ticket, Told

Record = dict[str, Any]


class Log:
    def __init__(self, path: Path | None) -> None:
        self.records: list[Record] = []
        self._file = path.open("a", encoding="utf-8") if path else None

    def write(self, now: datetime, record: Record) -> None:
        stamped = {"t": now.isoformat(), **record}
        self.records.append(stamped)
        if self._file:
            self._file.write(json.dumps(stamped, default=str) + "\n")
            self._file.flush()

    def close(self) -> None:
        if self._file:
            self._file.close()


def order_record(event: Event, market: Market) -> Record:
    """What happened to an order, for the log."""
    match event:
        case Told(order=order):
            return {"event": "order", **_of_ticket(order.ticket, market), **_of_order(order)}
        case Printed(execution=execution):
            return {"event": "execution", **_of_ticket(execution.ticket, market), **_of_execution(execution)}
        case Charged(execution=execution):
            charge = {"commission": text(execution.commission), "currency": execution.currency}
            return {
                "event": "commission",
                **_of_ticket(execution.ticket, market),
                **_of_execution(execution),
                **charge,
            }
        case Complained(client_id=client_id, order_id=order_id, code=code, text=words):
            return {"event": "complaint", "client_id": client_id, "order_id": order_id, "code": code, "text": words}


def _of_ticket(ticket: Ticket, market: Market) -> Record:
    return {
        "account": ticket.account,
        "con_id": ticket.con_id,
        "symbol": market.listings[ticket.con_id].contract.symbol,
        "side": ticket.side,
        "order_type": ticket.order_type,
        "order_ref": ticket.order_ref,
        "client_id": ticket.client_id,
        "order_id": ticket.order_id,
    }


def _of_order(order: Order) -> Record:
    """The price is its limit, empty for a market order."""
    return {
        "perm_id": order.perm_id,
        "quantity": text(order.ticket.quantity),
        "filled": text(order.filled),
        "price": text(order.ticket.limit_price),
        "status": order.status,
    }


def _of_execution(execution: Execution) -> Record:
    """The quantity is that of this print."""
    return {
        "perm_id": execution.perm_id,
        "exec_id": execution.exec_id,
        "quantity": text(execution.shares),
        "filled": text(execution.cumulative),
        "price": text(execution.price),
    }
