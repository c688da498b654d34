"""The sandbox's venue as a gateway with a desk, without sockets: the other transport of the one simulator.

Its time is the loop's (`virtual_time`). A test cuts the connection or interrupts the link, at a chosen moment, through
`Line`; everything the market does wrong is a fault of the venue.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from tests.support.venue_market import VenueMarket

from ibkr_rebalancer.core.errors import Busy, GatewayRefused, GatewayUnavailable, RebalancerError, Refused
from ibkr_rebalancer.core.evidence import Commissioned, Completed, ErrorTold, Evidence, Executed, StatusTold
from ibkr_rebalancer.core.instruments import ConId, Contract, ContractQuery
from ibkr_rebalancer.core.order_book import Heard, OrderBook
from ibkr_rebalancer.core.orders import OpenOrder, OrderIntent, is_ours
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Position
from ibkr_rebalancer.core.quotes import NoQuote, Quote
from ibkr_rebalancer.ports import Clock, GatewaySession, OrderDesk, WhatIf
from ibkr_rebalancer.sandbox.venue.orders import (
    Charged,
    Complained,
    Event,
    Execution,
    Order,
    Preview,
    Printed,
    Ticket,
    Told,
)
from ibkr_rebalancer.sandbox.venue.venue import Venue

CLIENT_ID = 11

T = TypeVar("T")


@dataclass(slots=True)
class Line:
    """What the connection does: `before_send` and `after_send` see each order, `answered` each question about the
    account or the market once its answer is made; all may raise, or cut the line."""

    up: bool = True
    before_send: Callable[[OrderIntent], None] = lambda _: None
    after_send: Callable[[OrderIntent], None] = lambda _: None
    answered: Callable[[str], None] = lambda _: None
    deaf: bool = False
    """Nothing is heard of orders but by a look."""
    blind: bool = False
    """A look finds no orders, whatever there is."""
    retold: Callable[[Heard], Heard | None] = lambda heard: heard
    """What is heard in place of what happened, looks aside; None is nothing."""
    connection: int = 1
    """Counts them; what was opened over an earlier one is of no use any more."""
    interruptions: int = 0
    informed: dict[AccountId, int] = field(default_factory=dict)
    """Of how many of these each account knows, by having looked or been told; until then nothing is sent for it."""

    def cut(self) -> GatewayUnavailable:
        """The socket is gone; the next connection is another one."""
        self.up = False
        self.connection += 1
        return lost()

    def interrupt(self) -> None:
        """The gateway has lost Interactive Brokers; the connection to it is still the same one afterwards."""
        self.up = False
        self.interruptions += 1

    def require(self, connection: int) -> None:
        """Let nothing pass over a connection that is gone, or while there is none."""
        if not self.up or connection != self.connection:
            raise lost()


def lost() -> GatewayUnavailable:
    return GatewayUnavailable("LINK_DOWN", "The gateway was lost.", hint="Wait.")


class VenueGateway:
    """A gateway that can be lost and found again; what was lost while it was away is only seen by looking."""

    def __init__(self, venue: Venue, *, clock: Clock, ours: Clock | None = None) -> None:
        """`clock` is the gateway's, `ours` this machine's if it is another one."""
        self.venue = venue
        self.market = VenueMarket(venue, clock=clock, ours=ours)
        self.line = Line()
        self.back_after_s: float | None = 1.0
        """How long a lost connection takes to come back; None is never."""
        self.placed: list[Ticket] = []
        """Every order that reached the venue, in order: the oracle."""
        self.cancelled: list[str] = []
        """References of the cancels that reached it."""
        self.events: list[Event] = []
        """All that happened to orders."""
        self.client_id = CLIENT_ID
        """Under which it is connected."""
        self.ids_in_use: set[int] = set()
        """By others."""
        self._clock = clock
        self.turn = asyncio.Lock()
        self._waiting: list[tuple[str, Heard]] = []
        """What is to be heard, with the account of its order."""

    async def session(self, *, within_s: float) -> GatewaySession:
        if not self.line.up:
            if self.back_after_s is None or self.back_after_s > within_s:
                await asyncio.sleep(within_s)
                raise lost()
            await asyncio.sleep(self.back_after_s)
            if not self.line.up:  # nobody else has found it again meanwhile
                self.line.up = True
                self._waiting.clear()
        return GatewaySession(market=MarketOverLine(self, self.line), desk=VenueDesk(self, self.line))

    @asynccontextmanager
    async def over(self, client_id: int) -> AsyncIterator[OrderDesk]:
        if client_id in self.ids_in_use:
            raise Busy("CLIENT_ID_IN_USE", f"Client id {client_id} is in use.", hint="Wait.")
        yield VenueDesk(self, self.line, client_id=client_id)

    def now(self) -> datetime:
        return self._clock.now()

    def happen(self, events: Sequence[Event]) -> None:
        """Let the client hear of these, if the line carries them."""
        self.events += events
        if self.line.up and not self.line.deaf:
            for ticket, evidence in filter(None, map(self._told, events)):
                heard = self.line.retold(Heard(order_ref=ticket.order_ref, evidence=evidence))
                self._waiting += [(ticket.account, heard)] if heard else []

    def advance(self) -> None:
        self.happen(self.venue.advance(self.now()))

    def take(self, account: AccountId) -> list[Heard]:
        """What is to be heard of the account's orders; the rest waits for the others."""
        taken = [heard for whose, heard in self._waiting if whose == account]
        self._waiting = [(whose, heard) for whose, heard in self._waiting if whose != account]
        return taken

    def _told(self, event: Event) -> tuple[Ticket, Evidence] | None:
        """What the event says of an order of ours."""
        match event:
            case Told(order=order) if is_ours(order.ticket.order_ref):
                return order.ticket, _status(order, self.now())
            case Printed(execution=execution) if is_ours(execution.ticket.order_ref):
                return execution.ticket, _executed(execution)
            case Charged(execution=execution) if is_ours(execution.ticket.order_ref):
                return execution.ticket, _charged(execution)
            case Complained() as complaint:
                for ticket in self.placed:
                    if (ticket.client_id, ticket.order_id) == (complaint.client_id, complaint.order_id):
                        return ticket, ErrorTold(at=self.now(), code=complaint.code, text=complaint.text)
        return None


class MarketOverLine:
    """The market as one connection shows it, as it is when it is asked."""

    def __init__(self, gateway: VenueGateway, line: Line) -> None:
        self._gateway = gateway
        self._market = gateway.market
        self._line = line
        self._connection = line.connection

    async def server_time(self) -> datetime:
        return self._told("server_time", await self._market.server_time())

    async def managed_accounts(self) -> tuple[AccountId, ...]:
        return self._told("managed_accounts", await self._market.managed_accounts())

    async def positions(self, accounts: Collection[AccountId]) -> tuple[Position, ...]:
        self._gateway.advance()
        return self._told("positions", await self._market.positions(accounts))

    async def portfolio(self, account: AccountId) -> Portfolio:
        self._gateway.advance()
        return self._told("portfolio", await self._market.portfolio(account))

    async def contracts(
        self, queries: Sequence[ContractQuery]
    ) -> Mapping[ContractQuery, Sequence[Contract] | RebalancerError]:
        return self._told("contracts", await self._market.contracts(queries))

    async def quotes(self, contracts: Sequence[Contract]) -> Mapping[ConId, Quote | NoQuote]:
        return self._told("quotes", await self._market.quotes(contracts))

    def _told(self, question: str, answer: T) -> T:
        """The answer, if the line still carries it."""
        self._line.answered(question)
        self._line.require(self._connection)
        return answer


class VenueDesk:
    """The desk of one connection."""

    def __init__(self, gateway: VenueGateway, line: Line, *, client_id: int | None = None) -> None:
        """Under the gateway's client id, or another one."""
        self._gateway = gateway
        self._line = line
        self._connection = line.connection
        self._client_id = client_id

    @property
    def client_id(self) -> int:
        return self._gateway.client_id if self._client_id is None else self._client_id

    @property
    def turn(self) -> asyncio.Lock:
        return self._gateway.turn

    async def order_book(self, account: AccountId) -> OrderBook:
        self._require_up()
        self._gateway.advance()
        venue, now = self._gateway.venue, self._gateway.now()
        listings = venue.scenario.market.listings
        open_orders = tuple(_open(order, listings[order.ticket.con_id].contract.symbol) for order in venue.open_orders)
        heard = [
            Heard(order_ref=order.ticket.order_ref, evidence=_status(order, now))
            for order in venue.open_orders
            if _is_ours_of(order.ticket, account)
        ]
        for execution in venue.executions:
            if _is_ours_of(execution.ticket, account):
                heard.append(Heard(order_ref=execution.ticket.order_ref, evidence=_executed(execution)))
                if execution.exec_id not in venue.untold:
                    heard.append(Heard(order_ref=execution.ticket.order_ref, evidence=_charged(execution)))
        heard += [
            Heard(order_ref=order.ticket.order_ref, evidence=_completed(order))
            for order in venue.completed
            if _is_ours_of(order.ticket, account)
        ]
        self._gateway.take(account)
        self._line.informed[account] = self._line.interruptions
        if self._line.blind:
            return OrderBook(taken_at=now, open_orders=(), heard=())
        return OrderBook(taken_at=now, open_orders=open_orders, heard=tuple(heard))

    async def what_if(self, intent: OrderIntent) -> WhatIf:
        self._require_up()
        answer = self._gateway.venue.preview(self._ticket(intent))
        if isinstance(answer, Preview):
            margin = answer.initial_margin_change
            return WhatIf(commission=answer.commission, initial_margin_change=margin, warning=answer.warning)
        raise Refused("ORDER_WOULD_BE_REJECTED", f"{answer.text} (code {answer.code}).", hint="Look into it.")

    async def place(self, intent: OrderIntent) -> None:
        self._require_informed(intent.account)
        self._line.before_send(intent)
        self._require_informed(intent.account)
        ticket = self._ticket(intent)
        self._gateway.placed.append(ticket)
        self._gateway.happen(self._gateway.venue.place(ticket, self._gateway.now()))
        self._line.after_send(intent)
        self._require_up()

    async def cancel(self, intent: OrderIntent) -> None:
        self._require_up()
        venue = self._gateway.venue
        placed_by = {each.client_id for each in self._gateway.placed if each.order_ref == intent.order_ref}
        if placed_by and self.client_id not in placed_by:
            raise GatewayRefused("ORDER_NOT_CANCELLABLE", f"{intent.order_ref} is another client's.", hint="Ask it.")
        for order in venue.open_orders:
            if order.ticket.order_ref == intent.order_ref and order.ticket.client_id == self.client_id:
                self._gateway.cancelled.append(intent.order_ref)
                self._gateway.happen(venue.cancel(self.client_id, order.ticket.order_id, self._gateway.now()))

    async def heard(self, account: AccountId, *, within_s: float) -> Sequence[Heard]:
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while True:
            self._require_informed(account)
            self._gateway.advance()
            if (taken := self._gateway.take(account)) or loop.time() >= until:
                return taken
            due = self._gateway.venue.next_due
            wait_s = until - loop.time()
            if due is not None:
                wait_s = min(wait_s, max((due - self._gateway.now()).total_seconds(), 0.001))
            await asyncio.sleep(wait_s)

    def _require_up(self) -> None:
        self._line.require(self._connection)

    def _require_informed(self, account: AccountId) -> None:
        self._require_up()
        if self._line.informed.get(account, 0) < self._line.interruptions:
            self._line.informed[account] = self._line.interruptions
            raise lost()

    def _ticket(self, intent: OrderIntent) -> Ticket:
        return Ticket(
            client_id=self.client_id,
            order_id=self._gateway.venue.next_order_id,
            con_id=intent.con_id,
            account=intent.account,
            side=intent.side.value,
            quantity=Decimal(intent.quantity),
            order_type=intent.order_type.value,
            limit_price=intent.limit_price,
            tif="DAY",
            outside_rth=False,
            order_ref=intent.order_ref,
        )


def _is_ours_of(ticket: Ticket, account: AccountId) -> bool:
    return is_ours(ticket.order_ref) and ticket.account == account


def _status(order: Order, at: datetime) -> StatusTold:
    return StatusTold(at=at, status=order.status, filled=order.filled, perm_id=order.perm_id, why_held=order.why_held)


def _executed(execution: Execution) -> Executed:
    return Executed(
        at=execution.time,
        exec_id=execution.exec_id,
        shares=execution.shares,
        price=execution.price,
        perm_id=execution.perm_id,
    )


def _charged(execution: Execution) -> Commissioned:
    return Commissioned(exec_id=execution.exec_id, commission=execution.commission, currency=execution.currency)


def _completed(order: Order) -> Completed:
    return Completed(
        at=order.completed_at or order.placed_at,
        status=order.status,
        filled=order.filled,
        perm_id=order.perm_id,
        completed_status=order.completed_status,
    )


def _open(order: Order, symbol: str) -> OpenOrder:
    ticket = order.ticket
    return OpenOrder(
        order_ref=ticket.order_ref,
        account=AccountId(ticket.account),
        con_id=ConId(ticket.con_id),
        symbol=symbol,
        side=Side(ticket.side),
        remaining=order.remaining,
        status=order.status,
        perm_id=order.perm_id,
        client_id=ticket.client_id,
    )
