"""The venue: the one mutable thing, holding the scenario of this moment and its orders. No I/O, no clock."""

from datetime import datetime
from decimal import Decimal

from ibkr_rebalancer.sandbox.venue.document import Document, mapping, merged
from ibkr_rebalancer.sandbox.venue.exchange import Exchange
from ibkr_rebalancer.sandbox.venue.faults import Switchboard
from ibkr_rebalancer.sandbox.venue.foreign import read_ticket
from ibkr_rebalancer.sandbox.venue.orders import Complained, Event, Execution, Order, Preview, Ticket
from ibkr_rebalancer.sandbox.venue.scenario import Scenario, read_scenario, write_scenario


class Venue:
    """Whoever holds it tells it the time: `advance` at `next_due`, and after every `become`.

    The events are in the order they happen. From them alone follows, for every order, who placed it under which
    reference, each fill and how it ended; from the accounts at the start and the fills, what is held now.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.switchboard = Switchboard(scenario.faults)
        self._exchange = Exchange(scenario)

    @property
    def scenario(self) -> Scenario:
        """Of this moment: its accounts are moved by every fill."""
        return self._exchange.book.scenario

    @property
    def told(self) -> Scenario:
        """Of this moment as clients are told of it: the accounts may lag behind their fills."""
        return self._exchange.book.told

    def changed(self, change: Document) -> Scenario:
        """The scenario as it would be with a change laid over it.

        Raises:
            ScenarioError: if that is none.
        """
        document = write_scenario(self.scenario)
        # An answer of the allocation API is one value: half of the last one makes no sense under the next.
        for name, _ in mapping("", change, "allocations"):
            document["allocations"].pop(name, None)
        scenario = read_scenario(merged(document, change))
        self._exchange.book.check(scenario)
        return scenario

    def become(self, scenario: Scenario) -> None:
        """Take on another state; counts of faults are kept unless the faults are others."""
        if scenario.faults != self.scenario.faults:
            self.switchboard = Switchboard(scenario.faults)
        self._exchange.become(scenario)

    @property
    def next_due(self) -> datetime | None:
        """When something happens next by itself; it may be past. None waits for a change or an order."""
        return self._exchange.next_due

    @property
    def next_order_id(self) -> int:
        """Above every id seen, of any client."""
        return self._exchange.book.next_order_id

    @property
    def open_orders(self) -> tuple[Order, ...]:
        """Of all clients, in the order they were placed."""
        return self._exchange.book.open_orders

    @property
    def completed(self) -> tuple[Order, ...]:
        """Of all clients, ended on the day (in New York) of the last time told."""
        return self._exchange.book.completed

    @property
    def executions(self) -> tuple[Execution, ...]:
        """Of all clients, on the day of the last time told; a correction comes beside what it corrects."""
        return self._exchange.book.executions

    @property
    def untold(self) -> frozenset[str]:
        """Executions, by id, whose commission is still to be told; a list of executions goes without theirs."""
        return frozenset(self._exchange.untold)

    def place(self, ticket: Ticket, now: datetime) -> list[Event]:
        """Take an order, of a client or of anybody else; everything that is due comes first."""
        return self._exchange.place(ticket, now)

    def place_stated(self, order: Document, now: datetime) -> list[Event]:
        """Place an order as the control endpoint states it: `{contract: AAA, side: SELL, quantity: 5, client: 99}`.

        Raises:
            ScenarioError: when that is none.
        """
        return self.place(read_ticket(order, self.scenario, order_id=self.next_order_id), now)

    def preview(self, ticket: Ticket) -> Preview | Complained:
        """What the order would change, or why it would be refused; nothing is kept of it."""
        return self._exchange.preview(ticket)

    def cancel(self, client_id: int, order_id: int, now: datetime) -> list[Event]:
        return self._exchange.cancel(client_id, order_id, now)

    def cancel_all(self, now: datetime) -> list[Event]:
        """Cancel the orders of all clients."""
        return self._exchange.cancel_all(now)

    def correct(self, exec_id: str, price: Decimal, now: datetime) -> list[Event]:
        """Correct the price of an execution; any of its revisions names it.

        Raises:
            ScenarioError: when there is no such execution.
        """
        return self._exchange.correct(exec_id, price, now)

    def advance(self, now: datetime) -> list[Event]:
        """Let happen all that is due up to now."""
        return self._exchange.advance(now)
