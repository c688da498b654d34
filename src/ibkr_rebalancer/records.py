"""The journal of one state folder as a library: what was done, what waits, and whether more may be done."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ibkr_rebalancer.config.loading import find_state
from ibkr_rebalancer.core.errors import UsageError
from ibkr_rebalancer.core.events import Gap
from ibkr_rebalancer.core.inbox import Entry
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.order_state import OrderState, TrackedOrder
from ibkr_rebalancer.core.watch_status import WatchStatus, require_alive
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.flows.reconcile import resolve_order
from ibkr_rebalancer.ports import Clock, Halt, Observer, RunRecord

if TYPE_CHECKING:  # what it stands on is heavy
    from ibkr_rebalancer.edges.journal.journal import Journal


class Records:
    """The journal of one state folder, without gateway and accounts: what was done, and whether more may be.

    with Records.open() as records:
        records.halt("something looks wrong")
    """

    def __init__(self, state_path: Path, journal: "Journal", clock: Clock, observer: Observer) -> None:
        self.state_path = state_path
        self._journal = journal
        self._clock = clock
        self._observer = observer

    @classmethod
    @contextmanager
    def open(
        cls, path: Path | str | None = None, *, state: Path | None = None, observer: Observer | None = None
    ) -> Iterator[Self]:
        """Open the state folder of the accounts.yaml at a path, or of the one that is found; `state` names the folder.

        What accounts.yaml says makes no difference, and neither whether it is there, unless the folder is in doubt.

        Raises:
            ConfigError: it is in doubt which folder that is.
            StorageFailed: the journal cannot be trusted or written.
        """
        from ibkr_rebalancer.edges.journal.opening import open_journal

        hearer, clock = observer or Silence(), SystemClock()
        folder = find_state(Path(path) if path else None, environ=os.environ, cwd=Path.cwd(), state=state)
        hearer.notify(Notice(event="state.find", text=f"State in {folder}"))
        with open_journal(folder, mode=None, clock=clock, observer=hearer) as journal:
            if journal.is_new:
                text = f"No process has used {folder} before; if one is at work, name its state folder with --state"
                hearer.notify(Notice(event="state.make", text=text, severity=Severity.WARNING))
            yield cls(folder, journal, clock, hearer)

    def halt(self, reason: str) -> Halt:
        """Let no order leave any more, from any process on the same state folder.

        Raises:
            StorageFailed: the journal cannot take it.
        """
        halt = Halt(at=self._clock.now(), reason=reason)
        self._journal.halt(halt)
        self._observer.notify(Notice(event="halt.keep", text="Trading is halted"))
        return halt

    def watcher(self) -> str | None:
        """The process that watches on the state folder, with its pid; None if there is none."""
        return self._journal.watcher()

    def is_acknowledged(self, halt: Halt) -> bool:
        """Whether the watch has seen this halt, or a later one."""
        return self._journal.is_acknowledged(halt)

    def halted(self) -> Halt | None:
        """Why and since when trading is halted, if it is."""
        return self._journal.halted()

    def resume(self, reason: str) -> None:
        """End a halt. Nothing is sent by it."""
        self._journal.resume(at=self._clock.now(), reason=reason)

    def watch_status(self) -> WatchStatus:
        """What the watch that is at work last knew.

        Raises:
            Refused: there is none (`WATCH_NOT_RUNNING`), or it does not go on (`WATCH_STALLED`).
        """
        from ibkr_rebalancer.edges.journal.watch_file import WatchFile

        status, now = WatchFile(self.state_path).status(), self._clock.now()
        return require_alive(status, watcher=self._journal.watcher(), now=now, state=f"{self.state_path}")

    def pending(self) -> Sequence[Entry]:
        """What is still to be done about events, oldest first."""
        return self._journal.inbox.pending()

    def done_last(self) -> Sequence[Entry]:
        """For each account the entry for which something was done last, with what was done about it."""
        return self._journal.inbox.done_last()

    def newest_gaps(self) -> Sequence[Gap]:
        """For each channel the last times between which events may have been missed."""
        return self._journal.inbox.newest_gaps()

    def unsettled(self) -> Sequence[TrackedOrder]:
        """Our orders without an outcome, of all accounts, oldest first."""
        return self._journal.unsettled()

    def resolve(self, order_ref: str, *, filled: int, note: str) -> OrderState:
        """Take a person's word for what became of an order of unknown outcome.

        Raises:
            UsageError: there is no such order without an outcome (`ORDER_NOT_OPEN`), or `filled` is impossible.
            Busy: a run is at work on its account (`ACCOUNT_BUSY`), which may yet find out.
        """
        accounts = {order.intent.account for order in self.unsettled() if order.intent.order_ref == order_ref}
        with ExitStack() as held:
            for account in accounts:
                held.enter_context(self._journal.hold(account))
            return resolve_order(order_ref, filled=filled, note=note, ledger=self._journal, clock=self._clock)

    def runs(self, *, limit: int) -> Sequence[RunRecord]:
        """The newest runs, newest first."""
        return self._journal.runs(limit=limit)

    def run(self, run_id: str) -> RunRecord:
        """The run whose id begins like this.

        Raises:
            UsageError: there is none, or more than one (`RUN_UNKNOWN`).
        """
        record = self._journal.run(run_id)
        if record is None:
            raise UsageError(
                "RUN_UNKNOWN", f"No one run has an id that begins with {run_id}.", hint="See rebalancer runs."
            )
        return record


class Silence:
    """An observer for callers who want only the result."""

    def notify(self, notice: Notice) -> None:
        """Let it pass."""
