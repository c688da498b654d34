"""The order book: every order there was, what is due to happen to those that work, and the accounts they move.

No I/O and no clock; what is due happens when the book is told the time.
"""

import heapq
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from zoneinfo import ZoneInfo

from ibkr_rebalancer.sandbox.venue.accounts import Account, corrected, traded
from ibkr_rebalancer.sandbox.venue.admission import Objection, malformed, objection_to
from ibkr_rebalancer.sandbox.venue.faults import OrderAction, OrderFault, Switchboard, of
from ibkr_rebalancer.sandbox.venue.fills import Fills, commission, forced_price, next_slice, trade_price
from ibkr_rebalancer.sandbox.venue.hours import NEW_YORK, is_open, next_open, session_end, trading_day
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

FIRST_PERM_ID = 1_100_000_001
FIRST_EXECUTION = 0x6789ABCD
FOREIGN_CLIENT = 99
DUPLICATE_AHEAD = 1000
"""How far above all others the order id of a duplicate is, so that its client doesn't come upon it by counting."""
BY_TRADER, BY_SYSTEM = "Cancelled by Trader", "Cancelled by System"
CANCELED = "Order Canceled - reason:"
PRESET = "Order TIF was set to DAY based on order preset."

Happening = Callable[[datetime], list[Event]]


class Book:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.orders: dict[int, Order] = {}
        """By permId, in the order they were placed."""
        self.executions: list[Execution] = []
        """Every print; a correction comes beside what it corrects."""
        self.next_order_id = 1
        self._now = datetime.min.replace(tzinfo=UTC)
        self._switchboard = Switchboard(scenario.order_faults)
        self._perm_ids: dict[tuple[int, int], int] = {}
        self._faults: dict[int, tuple[OrderFault, ...]] = {}
        self._looks: dict[int, datetime] = {}
        """When a working order meets the market next."""
        self._ends: dict[int, datetime] = {}
        """When a working order expires."""
        self._later: list[tuple[datetime, int, Happening]] = []
        self._order = count()
        self._changed = False

    @property
    def open_orders(self) -> tuple[Order, ...]:
        return tuple(order for order in self.orders.values() if order.working)

    @property
    def completed(self) -> tuple[Order, ...]:
        """Those of the day, in New York, that the book was last told."""
        ended = ((order, order.completed_at) for order in self.orders.values())
        return tuple(order for order, at in ended if at is not None and self._is_today(at))

    @property
    def executions_today(self) -> tuple[Execution, ...]:
        return tuple(execution for execution in self.executions if self._is_today(execution.time))

    @property
    def next_due(self) -> datetime | None:
        if self._changed:
            return self._now
        dues = [*self._looks.values(), *self._ends.values(), *(at for at, _, _ in self._later[:1])]
        return min(dues, default=None)

    def become(self, scenario: Scenario) -> None:
        """Go on in another state of the world; faults that are gone let go of the orders they held."""
        if scenario.order_faults != self.scenario.order_faults:
            self._switchboard = Switchboard(scenario.order_faults)
            self._faults = {
                perm_id: tuple(fault for fault in faults if fault in scenario.order_faults)
                for perm_id, faults in self._faults.items()
            }
        self.scenario = scenario
        self._changed = True
        for order in self.open_orders:
            self._set_end(order)

    def strike(self, message: str, ticket: Ticket) -> tuple[OrderFault, ...]:
        """The faults that an order or a preview of it meets."""
        symbol = self._listing(ticket).contract.symbol
        values = {name: str(getattr(ticket, name)) for name in Ticket.__slots__} | {"symbol": symbol}
        return tuple(self._switchboard.strike(message, values, ticket.client_id))

    def preview(self, ticket: Ticket) -> Preview | Complained:
        objection = malformed(ticket, self.scenario)
        if objection is not None:
            return ticket.complaint(objection.code, objection.text)
        return preview(ticket, self.scenario, self.open_orders, self.strike("preview", ticket))

    def place(self, ticket: Ticket, now: datetime) -> list[Event]:
        events = self.advance(now)
        taken = (ticket.client_id, ticket.order_id) in self._perm_ids
        objection = Objection(code=103, text="Duplicate order id") if taken else malformed(ticket, self.scenario)
        if objection is not None:
            return [*events, ticket.complaint(objection.code, objection.text)]
        faults = self.strike("order", ticket)
        for fault in of(faults, "foreign"):
            events += self._take(_foreign(ticket, fault, self.next_order_id), (), now)
        events += self._take(ticket, faults, now)
        for _ in of(faults, "duplicate_perm"):
            events += self._take(replace(ticket, order_id=self.next_order_id + DUPLICATE_AHEAD), (), now)
        return events + self.advance(now)

    def cancel(self, client_id: int, order_id: int, now: datetime) -> list[Event]:
        events = self.advance(now)
        perm_id = self._perm_ids.get((client_id, order_id))
        if perm_id is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            return [*events, Complained(client_id=client_id, order_id=order_id, code=10147, text=text)]
        order = self.orders[perm_id]
        return events + (self._cancel(order, now) if order.working else [_too_late(order)])

    def cancel_all(self, now: datetime) -> list[Event]:
        events = self.advance(now)
        for order in self.open_orders:
            events += self._cancel(order, now)
        return events

    def correct(self, exec_id: str, price: Decimal, now: datetime) -> list[Event]:
        return [*self.advance(now), *self._correct(exec_id, price, now)]

    def advance(self, now: datetime) -> list[Event]:
        self._now = now
        if self._changed:
            self._changed = False
            for order in self.open_orders:
                self._look_by(order, now + self._delay(order))
        events: list[Event] = []
        while (due := self.next_due) is not None and due <= now:
            events += self._happen(due)
        return events

    def _take(self, ticket: Ticket, faults: tuple[OrderFault, ...], at: datetime) -> list[Event]:
        """The broker has the order: it is refused, or set to work."""
        perm_id = FIRST_PERM_ID + len(self.orders)
        order = Order(
            ticket=ticket if ticket.tif else replace(ticket, tif="DAY"),
            perm_id=perm_id,
            status="PreSubmitted",
            placed_at=at,
        )
        objection = objection_to(order.ticket, self.scenario, self.open_orders, faults)
        self._keep(order, faults)
        if objection is not None:
            return self._refuse(order, objection, at)
        events: list[Event] = [Told(order=self.orders[perm_id])]
        if not ticket.tif:
            events.append(ticket.complaint(10349, PRESET))
        events += [
            ticket.complaint(int(fault.parameters["code"]), str(fault.parameters.get("text", "")))
            for fault in of(faults, "warn")
        ]
        return events + self._set_to_work(self.orders[perm_id], at)

    def _keep(self, order: Order, faults: tuple[OrderFault, ...]) -> None:
        for fault in of(faults, "hold"):
            status: Status = "Inactive" if fault.parameters.get("status") == "Inactive" else "PreSubmitted"
            order = replace(order, status=status, why_held=str(fault.parameters.get("why", "")))
        ticket = order.ticket
        self.orders[order.perm_id] = order
        self._faults[order.perm_id] = faults
        self._perm_ids[ticket.client_id, ticket.order_id] = order.perm_id
        self.next_order_id = max(self.next_order_id, ticket.order_id + 1)

    def _set_to_work(self, order: Order, at: datetime) -> list[Event]:
        self._set_end(order)
        for fault in self._struck(order, "cancelled"):
            self._put_off(fault, at, partial(self._cancelled_by_broker, order.perm_id, fault))
        hours = self._listing(order.ticket).hours
        if not is_open(hours, at):
            return self._await_open(order, at)
        self._look_by(order, at + self._delay(order))
        return self._submitted(order) if order.ticket.order_type == "LMT" else []

    def _await_open(self, order: Order, at: datetime) -> list[Event]:
        self._look_at_open(order, at)
        return [order.ticket.complaint(399, self._queued(order))]

    def _queued(self, order: Order) -> str:
        listing = self._listing(order.ticket)
        opens = next_open(listing.hours, order.placed_at)
        until = "it opens" if opens is None else f"{opens.astimezone(ZoneInfo(listing.hours.zone)):%Y-%m-%d %H:%M:%S}"
        ticket, contract = order.ticket, listing.contract
        return (
            f"Order Message:\n{ticket.side} {ticket.quantity} {contract.symbol} {contract.primary_exchange}\n"
            f"Warning: Your order will not be placed at the exchange until {until} {listing.hours.zone}"
        )

    def _submitted(self, order: Order) -> list[Event]:
        """It works at the exchange, unless something holds it."""
        if self._struck(order, "hold") or (order.status == "Submitted" and not order.why_held):
            return []
        return [self._tell(replace(order, status="Submitted", why_held=""))]

    def _happen(self, at: datetime) -> list[Event]:
        """One thing that is due at this moment."""
        for perm_id, due in self._looks.items():
            if due == at:
                del self._looks[perm_id]
                return self._look(self.orders[perm_id], at)
        for perm_id, due in self._ends.items():
            if due == at:
                return [self._end(self.orders[perm_id], "Cancelled", BY_SYSTEM, at)]
        _, _, happening = heapq.heappop(self._later)
        return happening(at)

    def _look(self, order: Order, at: datetime) -> list[Event]:
        """Meet the market: wait for it to open, rest, or fill a part."""
        listing = self._listing(order.ticket)
        if not is_open(listing.hours, at):
            self._look_at_open(order, at)
            return []
        price = trade_price(order.ticket, listing, self._fills(order))
        shares = min(next_slice(order, self._fills(order)), self._allowed(order))
        if price is None or shares <= 0:
            return self._submitted(order)
        events = self._fill(order, shares, price, at)
        if self.orders[order.perm_id].working:
            self._looks[order.perm_id] = at + self._delay(order)
        return events

    def _allowed(self, order: Order) -> Decimal:
        """How much of it may fill just now, by its faults."""
        if any(self._struck(order, action) for action in ("hold", "fill_on_cancel", "late_fill")):
            return Decimal(0)
        limits = (Decimal(fault.parameters["shares"]) - order.filled for fault in self._struck(order, "partial"))
        return min(limits, default=order.remaining)

    def _fill(self, order: Order, shares: Decimal, price: Decimal, at: datetime) -> list[Event]:
        execution = self._execution(order, shares, price, at)
        account = self.scenario.accounts[order.ticket.account]
        listing = self._listing(order.ticket)
        self._set_account(traded(account, listing, order.ticket.signed(shares), price, execution.commission))
        self.executions.append(execution)
        filled = replace(order, executions=(*order.executions, execution), why_held="")
        events: list[Event] = [Printed(execution=execution)]
        if not filled.remaining:
            events.append(self._end(filled, "Filled", f"Filled Size: {filled.filled}", at))
        else:
            events.append(self._tell(replace(filled, status="Submitted") if filled.working else filled))
        return events + self._charge(order, execution, at)

    def _charge(self, order: Order, execution: Execution, at: datetime) -> list[Event]:
        for fault in self._struck(order, "correct"):
            price = Decimal(fault.parameters["price"])
            self._put_off(fault, at, partial(self._correct, execution.exec_id, price))
        for fault in self._struck(order, "commission_late"):
            self._put_off(fault, at, partial(self._charge_late, execution))
            return []
        return [Charged(execution=execution)]

    def _charge_late(self, execution: Execution, _: datetime) -> list[Event]:
        return [Charged(execution=execution)]

    def _execution(self, order: Order, shares: Decimal, price: Decimal, at: datetime) -> Execution:
        contract = self._listing(order.ticket).contract
        filled = order.filled + shares
        value = order.filled * order.average_price + shares * price
        paid = sum((execution.commission for execution in order.executions), Decimal(0))
        due = commission(filled, value * contract.units, self._fills(order)) - paid
        return Execution(
            exec_id=f"0000e0d5.{FIRST_EXECUTION + len(self.executions):08x}.01.01",
            time=at,
            ticket=order.ticket,
            perm_id=order.perm_id,
            shares=shares,
            price=price,
            cumulative=filled,
            average_price=value / filled,
            commission=max(due, Decimal(0)),
            currency=contract.currency,
        )

    def _correct(self, exec_id: str, price: Decimal, _: datetime) -> list[Event]:
        """The execution of this id, or its latest correction, gets another price; all else is as it was."""
        wrong = next(execution for execution in reversed(self.executions) if _same(execution.exec_id, exec_id))
        order = self.orders[wrong.perm_id]
        stem, revision = wrong.exec_id[:-2], int(wrong.exec_id[-2:])
        value = wrong.average_price * wrong.cumulative + wrong.shares * (price - wrong.price)
        right = replace(
            wrong,
            exec_id=f"{stem}{revision + 1:02d}",
            price=price,
            average_price=value / wrong.cumulative,
        )
        listing, account = self._listing(order.ticket), self.scenario.accounts[order.ticket.account]
        self._set_account(corrected(account, listing, order.ticket.signed(wrong.shares), price - wrong.price))
        standing = tuple(right if execution == wrong else execution for execution in order.executions)
        self.orders[order.perm_id] = replace(order, executions=standing)
        self.executions.append(right)
        return [Printed(execution=right), Charged(execution=right)]

    def _cancel(self, order: Order, at: datetime) -> list[Event]:
        events: list[Event] = []
        for fault in self._struck(order, "fill_on_cancel"):
            events += self._force(order.perm_id, fault, at)
        order = self.orders[order.perm_id]
        if not order.working:
            return [*events, _too_late(order)]
        events += [self._end(order, "Cancelled", BY_TRADER, at), _canceled(order)]
        for fault in self._struck(order, "late_fill"):
            self._put_off(fault, at, partial(self._force, order.perm_id, fault))
        return events

    def _force(self, perm_id: int, fault: OrderFault, at: datetime) -> list[Event]:
        """Fill what the fault says, whatever the market."""
        order = self.orders[perm_id]
        shares = min(order.remaining, Decimal(fault.parameters.get("shares", order.remaining)))
        price = forced_price(order.ticket, self._listing(order.ticket), self._fills(order))
        return self._fill(order, shares, price, at) if shares else []

    def _cancelled_by_broker(self, perm_id: int, fault: OrderFault, at: datetime) -> list[Event]:
        order = self.orders[perm_id]
        if not order.working:
            return []
        return [self._end(order, "Cancelled", BY_SYSTEM, at), _canceled(order, str(fault.parameters.get("text", "")))]

    def _refuse(self, order: Order, objection: Objection, at: datetime) -> list[Event]:
        status: Status = "Cancelled" if objection.code == 202 else "Inactive"
        return [order.ticket.complaint(objection.code, objection.text), self._end(order, status, objection.text, at)]

    def _end(self, order: Order, status: Status, sentence: str, at: datetime) -> Told:
        """It works no more; a late fill finds it ended already."""
        self._looks.pop(order.perm_id, None)
        self._ends.pop(order.perm_id, None)
        return self._tell(replace(order, status=status, completed_at=at, completed_status=sentence))

    def _tell(self, order: Order) -> Told:
        self.orders[order.perm_id] = order
        return Told(order=order)

    def _set_account(self, account: Account) -> None:
        self.scenario = replace(self.scenario, accounts={**self.scenario.accounts, account.account_id: account})

    def _set_end(self, order: Order) -> None:
        end = session_end(self._listing(order.ticket).hours, order.placed_at) if order.ticket.tif == "DAY" else None
        self._ends.pop(order.perm_id, None)
        if end is not None:
            self._ends[order.perm_id] = end

    def _look_by(self, order: Order, at: datetime) -> None:
        """Earlier if it is to be looked at earlier already."""
        self._looks[order.perm_id] = min(at, self._looks.get(order.perm_id, at))

    def _look_at_open(self, order: Order, at: datetime) -> None:
        opens = next_open(self._listing(order.ticket).hours, at)
        if opens is not None:
            self._looks[order.perm_id] = opens

    def _put_off(self, fault: OrderFault, at: datetime, happening: Happening) -> None:
        due = at + timedelta(milliseconds=int(fault.parameters.get("ms", 0)))
        heapq.heappush(self._later, (due, next(self._order), happening))

    def _struck(self, order: Order, action: OrderAction) -> list[OrderFault]:
        return of(self._faults[order.perm_id], action)

    def _fills(self, order: Order) -> Fills:
        return self.scenario.fills_of(self._listing(order.ticket))

    def _delay(self, order: Order) -> timedelta:
        return timedelta(milliseconds=self._fills(order).delay_ms)

    def _listing(self, ticket: Ticket) -> Listing:
        return self.scenario.market.listings[ticket.con_id]

    def _is_today(self, moment: datetime) -> bool:
        return trading_day(NEW_YORK, moment) == trading_day(NEW_YORK, self._now)


def _canceled(order: Order, reason: str = "") -> Complained:
    return order.ticket.complaint(202, CANCELED + reason)


def _too_late(order: Order) -> Complained:
    number = order.ticket.order_id
    text = f"OrderId {number} that needs to be cancelled cannot be cancelled, state: {order.status}."
    return order.ticket.complaint(10148, text)


def _foreign(ticket: Ticket, fault: OrderFault, order_id: int) -> Ticket:
    """What another client asks for at the same time, in the same account and contract."""
    stated = fault.parameters
    limit = Decimal(stated["limit_price"]) if "limit_price" in stated else ticket.limit_price
    return replace(
        ticket,
        client_id=int(stated.get("client", FOREIGN_CLIENT)),
        order_id=order_id,
        side="BUY" if stated.get("side", ticket.side) == "BUY" else "SELL",
        quantity=Decimal(stated.get("quantity", ticket.quantity)),
        order_type="LMT" if "limit_price" in stated else ticket.order_type,
        limit_price=limit,
        order_ref="",
    )


def _same(one: str, other: str) -> bool:
    """Whether two ids name revisions of one execution."""
    return one.rpartition(".")[0] == other.rpartition(".")[0]
