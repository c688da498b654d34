"""Trading at a venue without a wire, told in lines.

    trader = Trader(fills={"delay_ms": 0})
    assert trader.buy("AAA", 10) == [
        "1 PreSubmitted 0/10", "1 bought 10 at 100.01", "1 Filled 10/10", "1 costs 1.00"
    ]

Every line begins with the order id. An order has the next id of client 7 in account DU1; it is a market order unless
there is a `limit`, and whatever else of a `Ticket` is given is its own.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.sandbox import scenario_with

from ibkr_rebalancer.sandbox.venue.accounts import Account
from ibkr_rebalancer.sandbox.venue.orders import (
    Charged,
    Complained,
    Event,
    Order,
    Printed,
    Side,
    Ticket,
    Told,
)
from ibkr_rebalancer.sandbox.venue.scenario import find_contract
from ibkr_rebalancer.sandbox.venue.venue import Venue

NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
"""A Monday, 10:30 in New York."""


class Trader:
    def __init__(self, **overlay: Any) -> None:
        """The base scenario, filling without delay unless it says otherwise, with this laid over it."""
        self.venue = Venue(scenario_with(**{"fills": {"delay_ms": 0}, **overlay}))
        self.now = NOW
        self.events: list[Event] = []

    def buy(self, contract: str = "AAA", quantity: object = 10, limit: object = None, **ticket: Any) -> list[str]:
        return self.place(self.ticket("BUY", contract, quantity, limit, **ticket))

    def sell(self, contract: str = "AAA", quantity: object = 10, limit: object = None, **ticket: Any) -> list[str]:
        return self.place(self.ticket("SELL", contract, quantity, limit, **ticket))

    def place(self, ticket: Ticket) -> list[str]:
        return self._tell(self.venue.place(ticket, self.now))

    def cancel(self, order_id: int = 1, *, client: int = 7) -> list[str]:
        return self._tell(self.venue.cancel(client, order_id, self.now))

    def wait(self, **duration: float) -> list[str]:
        """What happens in this time: `wait(milliseconds=5)`."""
        self.now += timedelta(**duration)
        return self._tell(self.venue.advance(self.now))

    def change(self, **change: Any) -> list[str]:
        """What happens at once when the world changes."""
        self.venue.become(self.venue.changed(change))
        return self.wait()

    def ticket(
        self, side: Side, contract: str = "AAA", quantity: object = 10, limit: object = None, **ticket: Any
    ) -> Ticket:
        fields: dict[str, Any] = {
            "client_id": 7,
            "order_id": self.venue.next_order_id,
            "con_id": find_contract("contract", contract, self.venue.scenario.market),
            "account": "DU1",
            "side": side,
            "quantity": Decimal(str(quantity)),
            "order_type": "MKT" if limit is None else "LMT",
            "limit_price": None if limit is None else Decimal(str(limit)),
            "tif": "DAY",
            "outside_rth": False,
            "order_ref": "",
        }
        return Ticket(**(fields | ticket))

    def order(self, order_id: int = 1, *, client: int = 7) -> Order:
        orders = (*self.venue.open_orders, *self.venue.completed)
        return next(o for o in orders if (o.ticket.client_id, o.ticket.order_id) == (client, order_id))

    @property
    def account(self) -> Account:
        return self.venue.scenario.accounts["DU1"]

    def held(self, con_id: int = 101) -> Decimal:
        return self.account.positions[con_id].quantity

    @property
    def cash(self) -> Decimal:
        return self.account.cash["USD"]

    def _tell(self, events: list[Event]) -> list[str]:
        self.events += events
        return lines(events)


def lines(events: Iterable[Event]) -> list[str]:
    return [_line(event) for event in events]


def _line(event: Event) -> str:
    match event:
        case Told(order=order):
            held = f" held {order.why_held}" if order.why_held else ""
            return f"{order.ticket.order_id} {order.status} {order.filled}/{order.ticket.quantity}{held}"
        case Printed(execution=execution):
            verb = "bought" if execution.ticket.side == "BUY" else "sold"
            revision = int(execution.exec_id[-2:])
            corrected = f" in revision {revision}" if revision > 1 else ""
            return f"{execution.ticket.order_id} {verb} {execution.shares} at {execution.price}{corrected}"
        case Charged(execution=execution):
            return f"{execution.ticket.order_id} costs {execution.commission}"
        case Complained(order_id=order_id, code=code):
            return f"{order_id} error {code}"
