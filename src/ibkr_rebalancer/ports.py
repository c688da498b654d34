"""What the flows need from the outside world, and nothing about who provides it."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.events import Delivery, Event, Gap
from ibkr_rebalancer.core.inbox import Entry, Step
from ibkr_rebalancer.core.instruments import ConId, Contract, ContractQuery
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.order_book import Heard, OrderBook
from ibkr_rebalancer.core.order_state import OrderState, TrackedOrder
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Position, Snapshot
from ibkr_rebalancer.core.quotes import NoQuote, Quote
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.core.runs import RunFailure, RunStart


class MarketView(Protocol):
    """A connected gateway, to be looked at only: nothing here can trade.

    Every answer is whole or an error: nothing returns less because something went wrong. All methods raise
    GatewayUnavailable when the gateway is lost, late or cut off, and GatewayRefused when it says no. Of questions
    that are asked for several things together, what concerns only one of them is part of the answer.
    """

    async def server_time(self) -> datetime:
        """The gateway's clock, aware UTC, to the second."""
        ...

    async def managed_accounts(self) -> tuple[AccountId, ...]:
        """The accounts that this login may see."""
        ...

    async def positions(self, accounts: Collection[AccountId]) -> tuple[Position, ...]:
        """The holdings of these accounts; what is odd about those of others troubles nobody."""
        ...

    async def portfolio(self, account: AccountId) -> Portfolio:
        """Balances and marked holdings of one account.

        Raises:
            GatewayUnavailable: also when it is only this account that is not ready, or lacks a figure.
        """
        ...

    async def contracts(
        self, queries: Sequence[ContractQuery]
    ) -> Mapping[ContractQuery, Sequence[Contract] | RebalancerError]:
        """Every contract that fits each query, none for an unknown symbol; or why this one could not be looked up."""
        ...

    async def quotes(self, contracts: Sequence[Contract]) -> Mapping[ConId, Quote | NoQuote]:
        """Fresh prices of all these contracts in one batch, or why one has none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The broker's preview of an order; nothing was placed."""

    commission: Decimal | None
    """Estimated, at most; None when the broker gives none."""
    initial_margin_change: Decimal | None
    warning: str


EXECUTE = 1
"""Added to the configured client id by whoever executes plans; `watch` has the id itself, readers the next ones."""


class OrderDesk(Protocol):
    """The one door through which orders leave. Beside it stands a MarketView on the same connection.

    Several accounts use it at the same time: what is heard, and that something may have been missed, each is told for
    itself. All methods raise GatewayUnavailable when the gateway is lost, late or cut off.
    """

    @property
    def client_id(self) -> int:
        """The API client id of this connection."""
        ...

    @property
    def turn(self) -> AbstractAsyncContextManager[None]:
        """The turn to place one order: whoever has it may still decide not to, while the others wait."""
        ...

    async def order_book(self, account: AccountId) -> OrderBook:
        """Open orders of all clients, then executions, then completed orders of the account: whole or an error."""
        ...

    async def what_if(self, intent: OrderIntent) -> WhatIf:
        """Ask what the order would do, without placing it.

        Raises:
            Refused: the broker would refuse it (`ORDER_WOULD_BE_REJECTED`).
            GatewayRefused: the gateway takes no orders at all (`GATEWAY_READ_ONLY`).
        """
        ...

    async def place(self, intent: OrderIntent) -> None:
        """Send the order; on return all of it has left this process. Whether it was taken is heard later.

        Raises:
            GatewayUnavailable: the connection failed; the order may have been sent or not.
        """
        ...

    async def cancel(self, intent: OrderIntent) -> None:
        """Ask the broker to cancel an order of ours that was placed over this client id; heard later."""
        ...

    async def heard(self, account: AccountId, *, within_s: float) -> Sequence[Heard]:
        """What has arrived about our orders in the account since its last call; waits for the first piece, no longer.

        What arrives while nobody listens for the account is kept for it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySession:
    """One connection to the gateway over which orders may leave, looked at from both sides."""

    market: MarketView
    desk: OrderDesk


class Gateway(Protocol):
    """The gateway as something that can be lost and found again."""

    async def session(self, *, within_s: float) -> GatewaySession:
        """The present connection if it is sound; else the same one once its link is back, or a new one, for all.

        Raises:
            GatewayUnavailable: there was none within the time.
            Busy: another process uses our client id.
        """
        ...

    def over(self, client_id: int) -> AbstractAsyncContextManager[OrderDesk]:
        """A desk over another client id, until the block is left: only there can be cancelled what went out over it.

        Raises:
            GatewayUnavailable: there was none.
            Busy: another process uses this client id.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as the journal knows it."""

    start: RunStart
    document: bytes | None
    """The allocation document as received; None if the run ended before its plan."""
    plan: Plan | None
    orders: tuple[TrackedOrder, ...]
    report: Report | None
    failure: RunFailure | None
    """Neither this nor a report: the run never ended, its process was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why and since when all trading is halted."""

    at: datetime
    reason: str


class Ledger(Protocol):
    """The journal as the record of runs and orders. Every write is durable when the method returns.

    All methods raise StorageFailed when that cannot be had; then nothing may be sent any more.
    """

    def start_run(self, start: RunStart) -> None: ...

    def keep_plan(self, run_id: str, *, document: bytes, snapshot: Snapshot, plan: Plan) -> None:
        """What the run is to send, and the targets and facts that it was checked against last.

        It was made from them, unless somebody was asked or it was printed before: then it was made from others, as near
        to them as `require_same` demands.
        """
        ...

    def intend(self, *intents: OrderIntent) -> None:
        """Keep the decision to send these orders, all in one. A reference that is there already is a StorageFailed."""
        ...

    def observe(self, heard: Sequence[Heard]) -> Sequence[Heard]:
        """Keep evidence about our orders, and tell what of it is new: what is there word for word is not kept twice.

        An order that is listed as open has no outcome any more, until it gets another one.
        """
        ...

    def end_run(self, report: Report) -> None: ...

    def fail_run(self, failure: RunFailure) -> None:
        """Keep that a run ended before anything was sent, and why."""
        ...

    def settle(self, order_ref: str, state: OrderState) -> None:
        """Keep the outcome of an order, in a terminal state, beside the evidence that proves it."""
        ...

    def known(self, order_refs: Collection[str]) -> frozenset[str]:
        """Those of the references that this journal has an intent for."""
        ...

    def recall(self, order_refs: Collection[str]) -> tuple[TrackedOrder, ...]:
        """Those orders of ours, whatever has become of them, oldest first; of unknown references nothing."""
        ...

    def unsettled(self, account: AccountId | None = None) -> tuple[TrackedOrder, ...]:
        """The orders of the account, or of all accounts, that have no outcome yet, oldest first."""
        ...

    def orders(self, account: AccountId, *, since: datetime) -> tuple[TrackedOrder, ...]:
        """All orders intended since then, oldest first."""
        ...

    def traded(self, account: AccountId) -> frozenset[tuple[ConId, Side]]:
        """What we have ever traded there: orders that have ended with shares filled, at least one."""
        ...

    def runs(self, *, limit: int) -> tuple[RunRecord, ...]:
        """The newest runs, newest first."""
        ...

    def run(self, run_id: str) -> RunRecord | None:
        """The run whose id begins like this, if there is exactly one."""
        ...

    def adopted(self, account: AccountId) -> frozenset[ConId]:
        """Holdings that the owner has allowed us to sell, beside those we traded ourselves."""
        ...

    def adopt(self, account: AccountId, con_ids: Collection[ConId]) -> None: ...

    def pinned(self) -> Mapping[ContractQuery, ConId]:
        """The contract that each query by name meant when an account was traded on it last."""
        ...

    def pin(self, contracts: Mapping[ContractQuery, ConId]) -> None: ...


class Controls(Protocol):
    """The journal as the switchboard between processes: who works on an account, and whether trading is halted."""

    def hold(self, account: AccountId) -> AbstractContextManager[None]:
        """Be the only process that works on this account, until the block is left.

        Raises:
            Busy: another one is (`ACCOUNT_BUSY`), with its pid.
        """
        ...

    def halted(self) -> Halt | None:
        """Asked before every order."""
        ...

    def require_trusted(self) -> None:
        """Asked before every order, too.

        Raises:
            StorageFailed: the journal has failed before, at whatever it was asked to keep.
        """
        ...

    def halt(self, halt: Halt) -> None: ...

    def resume(self, *, at: datetime, reason: str) -> None: ...

    def acknowledge(self, halt: Halt) -> None:
        """Keep that the watch has seen this halt: no order of its runs leaves any more."""
        ...

    def is_acknowledged(self, halt: Halt) -> bool:
        """Whether the watch has seen this halt, or a later one."""
        ...

    def watch(self) -> AbstractContextManager[None]:
        """Be the only process that watches, until the block is left.

        Raises:
            Busy: another one does (`WATCH_BUSY`), with its pid.
        """
        ...

    def watcher(self) -> str | None:
        """The process that watches, with its pid; None if there is none."""
        ...


class EventSink(Protocol):
    """Where messages of channels end up: kept before anybody acts on them.

    All methods raise StorageFailed when nothing can be kept.
    """

    def take(self, delivery: Delivery) -> None:
        """Keep a message; one that is there already is not kept twice. Durable when it returns."""
        ...

    def miss(self, gap: Gap) -> None:
        """Keep that messages may have been missed. Durable when it returns."""
        ...

    def cursor(self, channel: str) -> datetime | None:
        """Everything that was published there until then has been taken; None for a channel that is new."""
        ...

    def advance(self, channel: str, until: datetime) -> None:
        """Everything that was published there until then has been taken."""
        ...


class EventSource(Protocol):
    """Where events come from."""

    async def listen(self, channels: Collection[str], sink: EventSink) -> None:
        """Hand every message of the channels to the sink, until cancelled: also those that nobody was there to hear,
        as far back as they are kept, from the sink's cursor on.

        What goes wrong is told and mended, for ever.

        Raises:
            StorageFailed: as the sink does.
        """
        ...


class Inbox(Protocol):
    """The journal as the work queue of events. Every write is durable when the method returns.

    All methods raise StorageFailed when that cannot be had.
    """

    def keep(self, event: Event, accounts: Collection[AccountId]) -> Event | None:
        """Keep a new event, to be carried out for these accounts; the one that is there already if it is the same."""
        ...

    def pending(self) -> tuple[Entry, ...]:
        """All that have not ended, oldest first."""
        ...

    def take_steps(self, steps: Mapping[Entry, Step]) -> None:
        """Keep the next step of each of these entries, all in one."""
        ...

    def carried_out(self, account: AccountId) -> datetime | None:
        """When the newest event was published for which a run of the account has ended with a report, also one that
        left something undone."""
        ...

    def newest_run(self, entry: Entry) -> RunRecord | None:
        """The newest run that was made for the entry."""
        ...

    def keep_gap(self, gap: Gap) -> None:
        """Keep that messages may have been missed."""
        ...

    def cursor(self, channel: str) -> datetime | None:
        """Everything that was published there until then has been kept; None for a channel that is new."""
        ...

    def advance(self, channel: str, until: datetime) -> None: ...


class AllocationSource(Protocol):
    """Where target weights come from."""

    async def fetch(self, account: Account) -> bytes:
        """The allocation document of the account, as received.

        Raises:
            AllocationUnavailable: it could not be had within the deadline.
        """
        ...


class Clock(Protocol):
    """This machine's time."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class Supervisor(Protocol):
    """Whoever has started this process, and restarts it when it does not go on. Nothing here fails or waits."""

    def ready(self) -> None:
        """The start is over. What has been said is not said again."""
        ...

    def status(self, text: str) -> None:
        """What goes on, in a sentence that anybody may read. What has been said is not said again."""
        ...

    def beat(self) -> None:
        """The work goes on."""
        ...

    def stopping(self) -> None:
        """The end has begun."""
        ...

    def extend(self, *, by_s: float) -> None:
        """The end needs so much longer from now on; said again before that, it needs more."""
        ...


class Observer(Protocol):
    """Whoever wants to know what is going on."""

    def notify(self, notice: Notice) -> None:
        """Take note; never fail, never wait."""
        ...
