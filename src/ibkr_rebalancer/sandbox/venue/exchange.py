"""What becomes of orders: they are taken, wait, fill, rest, expire, are cancelled, or meet a fault.

No I/O and no clock; what is due happens when it is told the time.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

from ibkr_rebalancer.sandbox.venue.admission import malformed, objection_to
from ibkr_rebalancer.sandbox.venue.agenda import Agenda, Happening
from ibkr_rebalancer.sandbox.venue.book import Book
from ibkr_rebalancer.sandbox.venue.faults import ORDER_FIELDS, OrderAction, OrderFault, Switchboard, of
from ibkr_rebalancer.sandbox.venue.fills import forced_price, next_slice, trade_price
from ibkr_rebalancer.sandbox.venue.foreign import beside
from ibkr_rebalancer.sandbox.venue.hours import is_open, next_open, session_end
from ibkr_rebalancer.sandbox.venue.market import Listing
from ibkr_rebalancer.sandbox.venue.orders import (
    Charged,
    Complained,
    Event,
    Execution,
    Order,
    Preview,
    Printed,
    Status,
    Ticket,
    Told,
)
from ibkr_rebalancer.sandbox.venue.previews import preview
from ibkr_rebalancer.sandbox.venue.scenario import Scenario

DUPLICATE_AHEAD = 1000
"""How far above all others the order id of a duplicate is, so that its client doesn't come upon it by counting."""
BY_TRADER, BY_SYSTEM = "Cancelled by Trader", "Cancelled by System"
CANCEL = 202
"""The code that tells of a cancel; all others that end an order refuse it."""
CANCELED = "Order Canceled - reason:"
PRESET = "Order TIF was set to DAY based on order preset."


class Exchange:
    def __init__(self, scenario: Scenario) -> None:
        self.book = Book(scenario)
        self.untold: set[str] = set()
        """Executions whose commission is still to be told."""
        self._agenda = Agenda()
        self._switchboard = Switchboard(scenario.order_faults)
        self._faults: dict[int, tuple[OrderFault, ...]] = {}
        """Those an order has met, by permId."""
        self._changed = False
        """The world is another one, and orders have not looked at it yet."""

    @property
    def next_due(self) -> datetime | None:
        return self.book.now if self._changed else self._agenda.next_due

    def become(self, scenario: Scenario) -> None:
        """Go on in another state of the world; faults that are gone let go of the orders they held."""
        if scenario.order_faults != self.book.scenario.order_faults:
            self._switchboard = Switchboard(scenario.order_faults)
            for perm_id, faults in self._faults.items():
                self._faults[perm_id] = tuple(fault for fault in faults if fault in scenario.order_faults)
            if not of(scenario.order_faults, "lag"):
                self.book.tell(*scenario.accounts)
        self.book.scenario = scenario
        self._changed = True
        for order in self.book.open_orders:
            self._set_end(order)

    def preview(self, ticket: Ticket) -> Preview | Complained:
        objection = malformed(ticket, self.book.scenario)
        if objection is not None:
            return ticket.complaint(objection.code, objection.text)
        return preview(_preset(ticket), self.book.scenario, self.book.open_orders, self._strike("preview", ticket))

    def place(self, ticket: Ticket, now: datetime) -> list[Event]:
        events = self.advance(now)
        if self.book.find(ticket.client_id, ticket.order_id) is not None:
            return [*events, ticket.complaint(103, "Duplicate order id")]
        self.book.note_id(ticket)
        objection = malformed(ticket, self.book.scenario)
        if objection is not None:
            return [*events, ticket.complaint(objection.code, objection.text)]
        faults = self._strike("order", ticket)
        for fault in of(faults, "foreign"):
            events += self._take(beside(ticket, fault, order_id=self.book.next_order_id), (), now)
        events += self._take(ticket, faults, now)
        for _ in of(faults, "duplicate_perm"):
            again = replace(ticket, order_id=self.book.next_order_id + DUPLICATE_AHEAD)
            events += self._take(again, faults, now)
        return events + self.advance(now)

    def cancel(self, client_id: int, order_id: int, now: datetime) -> list[Event]:
        events = self.advance(now)
        order = self.book.find(client_id, order_id)
        if order is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            return [*events, Complained(client_id=client_id, order_id=order_id, code=10147, text=text)]
        return events + self._asked_to_cancel(order, now)

    def cancel_all(self, now: datetime) -> list[Event]:
        events = self.advance(now)
        for order in self.book.open_orders:
            events += self._asked_to_cancel(order, now)
        return events

    def correct(self, exec_id: str, price: Decimal, now: datetime) -> list[Event]:
        return [*self.advance(now), *self._correct(exec_id, price, now)]

    def advance(self, now: datetime) -> list[Event]:
        self.book.now = now
        if self._changed:
            self._changed = False
            for order in self.book.open_orders:
                self._look_by(order, now)
        events: list[Event] = []
        while (due := self._agenda.take(now)) is not None:
            at, happening = due
            events += happening(at)
        return events

    def _strike(self, message: str, ticket: Ticket) -> tuple[OrderFault, ...]:
        values = {name: str(getattr(ticket, name)) for name in ORDER_FIELDS}
        values["symbol"] = self.book.listing(ticket).contract.symbol
        return tuple(self._switchboard.strike(message, values, ticket.client_id))

    def _take(self, ticket: Ticket, faults: tuple[OrderFault, ...], at: datetime) -> list[Event]:
        """The broker has the order: it is refused, or set to work."""
        working = self.book.open_orders
        order = self.book.enter(_preset(ticket), at)
        self._faults[order.perm_id] = faults
        objection = objection_to(order.ticket, self.book.scenario, working, faults)
        if objection is not None:
            refused = self.book.end(order, _end_by(objection.code), objection.text, at)
            return [ticket.complaint(objection.code, objection.text), Told(order=refused)]
        events: list[Event] = [Told(order=self.book.keep(_held(order, faults)))]
        if not ticket.tif:
            events.append(ticket.complaint(10349, PRESET))
        events += [_warning(ticket, fault) for fault in of(faults, "warn")]
        return events + self._set_to_work(self.book.orders[order.perm_id], at)

    def _set_to_work(self, order: Order, at: datetime) -> list[Event]:
        self._set_end(order)
        for fault in self._met(order, "cancelled"):
            self._put_off(fault, at, partial(self._cancelled_by_broker, order.perm_id, fault))
        listing = self.book.listing(order.ticket)
        if not is_open(listing.hours, at):
            self._look_at_open(order, at)
            return [order.ticket.complaint(399, _queued(order.ticket, listing, at))]
        self._look_by(order, at)
        return self._submitted(order) if order.ticket.order_type == "LMT" else []

    def _look(self, perm_id: int, at: datetime) -> list[Event]:
        """Meet the market: wait for it to open, rest, or fill a part."""
        order = self.book.orders[perm_id]
        listing, fills = self.book.listing(order.ticket), self.book.fills(order)
        if not is_open(listing.hours, at):
            self._look_at_open(order, at)
            return []
        price = trade_price(order.ticket, listing, fills)
        shares = min(next_slice(order, fills), self._allowed(order))
        if price is None or shares <= 0:
            return self._submitted(order)
        events = self._fill(order, shares, price, at)
        if self.book.orders[perm_id].working:
            self._look_by(order, at)
        return events

    def _allowed(self, order: Order) -> Decimal:
        """How much of it may fill just now, by its faults."""
        if any(self._met(order, action) for action in ("hold", "fill_on_cancel", "late_fill")):
            return Decimal(0)
        limits = (Decimal(fault.parameters["shares"]) - order.filled for fault in self._met(order, "partial"))
        return min(limits, default=order.remaining)

    def _submitted(self, order: Order) -> list[Event]:
        """It works at the exchange, unless something holds it."""
        if self._met(order, "hold") or (order.status == "Submitted" and not order.why_held):
            return []
        return [Told(order=self.book.keep(replace(order, status="Submitted", why_held="")))]

    def _fill(self, order: Order, shares: Decimal, price: Decimal, at: datetime) -> list[Event]:
        for fault in self._met(order, "lag"):
            self._let_lag(order.ticket.account, fault, at)
        execution = self.book.fill(order, shares, price, at)
        filled = self.book.orders[order.perm_id]
        if not filled.working:
            self._forget(order)
        for fault in self._met(order, "correct"):
            self._put_off(fault, at, partial(self._correct, execution.exec_id, Decimal(fault.parameters["price"])))
        return [Printed(execution=execution), Told(order=filled), *self._charge(order, execution, at)]

    def _let_lag(self, account: str, fault: OrderFault, at: datetime) -> None:
        self.book.keep_untold(account)
        due = at + timedelta(milliseconds=int(fault.parameters["ms"]))
        self._agenda.put(("lag", account), due, partial(self._catch_up, account))

    def _catch_up(self, account: str, _: datetime) -> list[Event]:
        self.book.tell(account)
        return []

    def _charge(self, order: Order, execution: Execution, at: datetime) -> list[Event]:
        self.untold.add(execution.exec_id)
        for fault in self._met(order, "commission_late"):
            self._put_off(fault, at, partial(self._charged, execution))
            return []
        return self._charged(execution, at)

    def _charged(self, execution: Execution, _: datetime) -> list[Event]:
        self.untold.discard(execution.exec_id)
        return [Charged(execution=execution)]

    def _correct(self, exec_id: str, price: Decimal, _: datetime) -> list[Event]:
        right = self.book.correct(exec_id, price)
        return [Printed(execution=right), Charged(execution=right)]

    def _asked_to_cancel(self, order: Order, at: datetime) -> list[Event]:
        for fault in self._met(order, "cancel_late"):
            if "ms" in fault.parameters:
                self._put_off(fault, at, partial(self._cancel, order.perm_id))
            return []
        return self._cancel(order.perm_id, at)

    def _cancel(self, perm_id: int, at: datetime) -> list[Event]:
        order = self.book.orders[perm_id]
        if not order.working:
            return [_too_late(order)]
        events: list[Event] = []
        for fault in self._met(order, "fill_on_cancel"):
            events += self._force(order.perm_id, fault, at)
        order = self.book.orders[order.perm_id]
        if not order.working:
            return [*events, _too_late(order)]
        for fault in self._met(order, "late_fill"):
            self._put_off(fault, at, partial(self._force, order.perm_id, fault))
        return [*events, self._ended(order, BY_TRADER, at), order.ticket.complaint(CANCEL, CANCELED)]

    def _force(self, perm_id: int, fault: OrderFault, at: datetime) -> list[Event]:
        """Fill what the fault says, whatever the market."""
        order = self.book.orders[perm_id]
        shares = min(order.remaining, Decimal(fault.parameters.get("shares", order.remaining)))
        price = forced_price(order.ticket, self.book.listing(order.ticket), self.book.fills(order))
        return self._fill(order, shares, price, at) if shares else []

    def _cancelled_by_broker(self, perm_id: int, fault: OrderFault, at: datetime) -> list[Event]:
        order = self.book.orders[perm_id]
        if not order.working:
            return []
        code, text = int(fault.parameters.get("code", CANCEL)), str(fault.parameters.get("text", ""))
        if code == CANCEL:
            return [self._ended(order, BY_SYSTEM, at), order.ticket.complaint(CANCEL, CANCELED + text)]
        return [order.ticket.complaint(code, text), self._ended(order, text, at, _end_by(code))]

    def _expire(self, perm_id: int, at: datetime) -> list[Event]:
        return [self._ended(self.book.orders[perm_id], BY_SYSTEM, at)]

    def _ended(self, order: Order, sentence: str, at: datetime, status: Status = "Cancelled") -> Told:
        self._forget(order)
        return Told(order=self.book.end(order, status, sentence, at))

    def _forget(self, order: Order) -> None:
        self._agenda.drop(("look", order.perm_id))
        self._agenda.drop(("end", order.perm_id))

    def _set_end(self, order: Order) -> None:
        """An order for the day ends with the session it was placed in, or before; hours may change meanwhile."""
        end = session_end(self.book.listing(order.ticket).hours, order.placed_at)
        self._agenda.drop(("end", order.perm_id))
        if order.ticket.tif == "DAY" and end is not None:
            self._agenda.put(("end", order.perm_id), end, partial(self._expire, order.perm_id))

    def _look_by(self, order: Order, at: datetime) -> None:
        """Meet the market a delay from now, or earlier if that is due already."""
        due = at + timedelta(milliseconds=self.book.fills(order).delay_ms)
        self._agenda.put_by(("look", order.perm_id), due, partial(self._look, order.perm_id))

    def _look_at_open(self, order: Order, at: datetime) -> None:
        opens = next_open(self.book.listing(order.ticket).hours, at)
        if opens is not None:
            self._agenda.put(("look", order.perm_id), opens, partial(self._look, order.perm_id))

    def _put_off(self, fault: OrderFault, at: datetime, happening: Happening) -> None:
        due = at + timedelta(milliseconds=int(fault.parameters.get("ms", 0)))
        self._agenda.put(object(), due, happening)

    def _met(self, order: Order, action: OrderAction) -> list[OrderFault]:
        return of(self._faults[order.perm_id], action)


def _preset(ticket: Ticket) -> Ticket:
    return ticket if ticket.tif else replace(ticket, tif="DAY")


def _end_by(code: int) -> Status:
    return "Cancelled" if code == CANCEL else "Inactive"


def _held(order: Order, faults: tuple[OrderFault, ...]) -> Order:
    for fault in of(faults, "hold"):
        inactive = fault.parameters.get("status") == "Inactive"
        why = str(fault.parameters.get("why", ""))
        return replace(order, status="Inactive" if inactive else "PreSubmitted", why_held=why)
    return order


def _warning(ticket: Ticket, fault: OrderFault) -> Complained:
    return ticket.complaint(int(fault.parameters["code"]), str(fault.parameters.get("text", "")))


def _queued(ticket: Ticket, listing: Listing, now: datetime) -> str:
    opens = next_open(listing.hours, now)
    zone = ZoneInfo(listing.hours.zone)
    until = "further notice" if opens is None else f"{opens.astimezone(zone):%Y-%m-%d %H:%M:%S} {listing.hours.zone}"
    return (
        f"Order Message:\n{ticket.side} {ticket.quantity} {listing.contract.symbol} {listing.contract.primary_exchange}"
        f"\nWarning: Your order will not be placed at the exchange until {until}"
    )


def _too_late(order: Order) -> Complained:
    number = order.ticket.order_id
    text = f"OrderId {number} that needs to be cancelled cannot be cancelled, state: {order.status}."
    return order.ticket.complaint(10148, text)
