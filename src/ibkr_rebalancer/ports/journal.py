"""The three faces of the journal: what was done, whether more may be done, and what waits."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ibkr_rebalancer.core.events import Cursor, Event, Gap
from ibkr_rebalancer.core.inbox import Entry, Step
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_state import OrderState, TrackedOrder
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.core.runs import RunFailure, RunStart


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
        """Where the newest event stands (`Event.stands_at`) for which a run of the account has ended with a report,
        also one that left something undone."""
        ...

    def newest_run(self, entry: Entry) -> RunRecord | None:
        """The newest run that was made for the entry."""
        ...

    def keep_gap(self, gap: Gap) -> None:
        """Keep that messages may have been missed."""
        ...

    def cursor(self, channel: str) -> Cursor | None:
        """How far the channel was looked at; None for one that is new."""
        ...

    def begin(self, channel: str, since: datetime, *, by_our_clock: bool) -> None: ...

    def advance(self, channel: str, until: datetime) -> None: ...
