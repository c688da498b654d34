"""What may befall a process that trades, and the process as it is seen from outside: its ports are tapped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from tests.support.failpoints import LOOKS, QUESTIONS, SENDS, WRITES, tapped
from tests.support.venue_desk import CLIENT_ID, VenueGateway, lost
from tests.support.witness import Sender, WatchedVenue, Witness

from ibkr_rebalancer.core.errors import StorageFailed
from ibkr_rebalancer.core.evidence import StatusTold
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_state import ENDED
from ibkr_rebalancer.ports import Clock, GatewaySession
from ibkr_rebalancer.sandbox.venue.orders import Event


class Surroundings(Protocol):
    """What a process lives in."""

    @property
    def venue(self) -> WatchedVenue: ...
    @property
    def witness(self) -> Witness: ...
    @property
    def clock(self) -> Clock:
        """The venue's."""
        ...

    @property
    def host(self) -> Clock:
        """The machine's."""
        ...

    def halt(self) -> None: ...
    def move_prices(self, factor: Decimal) -> None: ...


class Killed(BaseException):
    """The process is gone; nothing of the product may take this for an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What befalls one run. Numbers count from 1, `points` as `failpoints` has them."""

    dies_at: int | None = None
    """The point among writes and sends, each before and after, at which the process is killed."""
    storage_fails_at: int | None = None
    """The write from which on the journal fails."""
    keeps_failed_write: bool = False
    """Whether the write that failed is on disk all the same."""
    cut_at_send: int | None = None
    arrives: bool = True
    """Whether the order sent into the cut arrives."""
    cut_at_question: int | None = None
    keeps_socket: bool = False
    """Whether it is the gateway that has lost Interactive Brokers, and not we the gateway."""
    away_s: float | None = 1.0
    """How long the gateway stays away; None is for ever."""
    deaf: bool = False
    """Nothing is heard but by looks."""
    blind: bool = False
    """Looks show no orders."""
    answer: bool | None = None
    """What the person at the prompt says; None is that nobody is asked."""
    lied_to: int | None = None
    """The status of a live order, counted, that is heard as `Cancelled`."""
    client_id: int = CLIENT_ID
    """Under which it is connected."""
    stutters: bool = False
    """Everything is heard twice, and the other way round."""
    halted_after_send: int | None = None
    interrupted_after_s: float | None = None
    prices_turn: Decimal | None = None
    """The factor by which prices change once the first quotes are given."""


PEACE = Trouble()


class Process(Sender):
    """One run's process, from outside."""

    def __init__(self, name: str, trouble: Trouble, world: Surroundings) -> None:
        super().__init__(name)
        self.gateway: VenueGateway | None = None
        self._trouble = trouble
        self._world = world
        self._dead = False
        self._points = self._writes = self._sends = self._questions = 0

    def at(self, point: str) -> None:
        """Whatever is to befall it here does."""
        when, call = point.split()
        if call in WRITES | SENDS:
            self._die_here(point)
        if call in WRITES:
            self._at_write(is_before=when == "before")
        elif call == "place":
            self._at_send(is_before=when == "before")
        elif call in QUESTIONS:
            self._at_question(call, is_before=when == "before")

    def _die_here(self, point: str) -> None:
        self._points += 1
        if self._dead or self._points == self._trouble.dies_at:
            self._dead = True
            raise Killed(point)

    def _at_write(self, *, is_before: bool) -> None:
        trouble = self._trouble
        self._writes += is_before
        if self.journal_failed or (
            self._writes == trouble.storage_fails_at and is_before is not trouble.keeps_failed_write
        ):
            self.journal_failed = True
            raise StorageFailed("STORAGE_FULL", "The disk is full.", hint="Make room.")

    def _at_send(self, *, is_before: bool) -> None:
        trouble, world = self._trouble, self._world
        self._sends += is_before
        world.witness.sender = self
        if self._sends == trouble.cut_at_send and is_before is not trouble.arrives:
            self._cut()
        if not is_before and self._sends == trouble.halted_after_send:
            world.halt()

    def _at_question(self, question: str, *, is_before: bool) -> None:
        self._questions += is_before
        gateway = self.gateway
        assert gateway is not None
        if is_before and self._questions == self._trouble.cut_at_question:
            self._cut()
        if question == "quotes" and not is_before:
            if self.quoted_at is None and self._trouble.prices_turn is not None:
                self._world.move_prices(self._trouble.prices_turn)
            self.quoted_at = self._world.clock.now()

    def _cut(self) -> None:
        assert self.gateway is not None
        self.gateway.back_after_s = self._trouble.away_s
        if self._trouble.keeps_socket:
            self.gateway.line.interrupt()
            raise lost()
        raise self.gateway.line.cut()


class TappedGateway(VenueGateway):
    """The gateway of one process, with taps on what it hands out."""

    def __init__(self, world: Surroundings, process: Process, trouble: Trouble) -> None:
        super().__init__(world.venue, clock=world.clock, ours=world.host)
        self.line.deaf = trouble.deaf
        self.line.blind = trouble.blind
        self.line.retold = self._retold
        self.client_id = trouble.client_id
        self._process = process
        self._stutters = trouble.stutters
        self._lie = trouble.lied_to
        self._misled = world.witness.misled
        self._statuses = 0

    async def session(self, *, within_s: float) -> GatewaySession:
        session = await super().session(within_s=within_s)
        return GatewaySession(
            market=tapped(session.market, QUESTIONS, self._process.at),
            desk=tapped(session.desk, SENDS | LOOKS, self._process.at),
        )

    def happen(self, events: Sequence[Event]) -> None:
        super().happen([*reversed(events), *events] if self._stutters else events)

    def _retold(self, heard: Heard) -> Heard:
        told = heard.evidence
        if not isinstance(told, StatusTold) or told.status in ENDED:
            return heard
        self._statuses += 1
        if self._statuses != self._lie:
            return heard
        self._misled.add(heard.order_ref)
        return replace(heard, evidence=replace(told, status="Cancelled"))
