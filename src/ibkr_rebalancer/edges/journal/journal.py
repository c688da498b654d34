"""One open journal with its two faces: the ledger of runs and orders, and the controls between processes.

A write is on disk when its method returns. The first failure is the last: what is not certain to be kept must not be
followed by an order, so after one every write of this object refuses, and none is tried again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    Table,
    UniqueConstraint,
    exists,
    insert,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from ibkr_rebalancer.core.documents import encode, encode_variant
from ibkr_rebalancer.core.errors import NOT_HALTED, StorageFailed
from ibkr_rebalancer.core.evidence import Evidence, Listed
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_state import OrderState, TrackedOrder
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.core.runs import RunFailure, RunStart
from ibkr_rebalancer.edges.journal.account_lock import account_lock
from ibkr_rebalancer.edges.journal.marker import Marker
from ibkr_rebalancer.edges.journal.tables import (
    ROWS_KEPT,
    adoptions,
    evidence,
    failures,
    halts,
    intents,
    outcomes,
    pins,
    plans,
    read,
    reports,
    require_seal,
    retractions,
    runs,
    sealed,
    written,
)
from ibkr_rebalancer.edges.journal.troubles import LOST, storage_failure
from ibkr_rebalancer.ports import Clock, Halt, RunRecord

RETRACTED = exists().where(retractions.c.of_outcome == outcomes.c.id)


class Journal:
    """The `Ledger` and the `Controls` of one state folder, as `open_journal` gives it."""

    def __init__(self, path: Path, engine: Engine, marker: Marker, clock: Clock, *, is_new: bool) -> None:
        self.is_new = is_new
        """Whether this very opening made it: then orders of ours at the broker are a history that was lost."""
        self._path = path
        self._engine = engine
        self._marker = marker
        self._clock = clock
        self._maybe_working: set[str] = set()
        self._failure: StorageFailed | None = None

    def start_run(self, start: RunStart) -> None:
        with self._writing(f"Run {start.run_id} is not recorded.") as connection:
            _add(connection, runs, run_id=start.run_id, account=start.account, body=written(encode(start)))

    def keep_plan(self, run_id: str, *, document: bytes, snapshot: Snapshot, plan: Plan) -> None:
        """What the run is to send, and what it was checked against last; a run may keep more than one plan."""
        with self._writing(f"Plan {plan.plan_id} is not kept, and none of its orders was sent.") as connection:
            _add(
                connection,
                plans,
                of_run=_run(connection, run_id),
                plan_id=plan.plan_id,
                document=document,
                snapshot=written(encode(snapshot)),
                body=written(encode(plan)),
            )

    def intend(self, *order_intents: OrderIntent) -> None:
        """Keep the decision to send these orders, all or none, below the plan they come from."""
        ordered = ", ".join(f"{i.side.value} {i.quantity} {i.symbol} ({i.order_ref})" for i in order_intents)
        were = "was" if len(order_intents) == 1 else "were"
        with self._writing(f"{ordered} {were} not sent.") as connection:
            for intent in order_intents:
                of_plan = select(plans.c.id).join(runs).where(runs.c.run_id == intent.run_id)
                _add(
                    connection,
                    intents,
                    of_plan=connection.execute(of_plan.where(plans.c.plan_id == intent.plan_id)).scalar_one_or_none(),
                    order_ref=intent.order_ref,
                    account=intent.account,
                    con_id=intent.con_id,
                    side=intent.side.value,
                    kept_at=_in_order(self._clock.now()),
                    body=written(encode(intent)),
                )
        self._maybe_working.update(intent.order_ref for intent in order_intents)

    def observe(self, heard: Sequence[Heard]) -> Sequence[Heard]:
        """Keep evidence about our orders, and tell what of it is new: what is there word for word is not kept twice.

        An order that is listed as open has no outcome any more, until it gets another one.

        Raises:
            StorageFailed: also when it is about an order that this journal does not know (`JOURNAL_LOST`).
        """
        new = []
        with self._writing("No further order is sent; what the broker said can be asked again.") as connection:
            for piece in heard:
                intent = _intent(connection, piece.order_ref)
                if intent is None:
                    detail = f"the broker tells of {piece.order_ref}"
                    raise LOST.at(self._path, self._sent_before(), detail=detail)
                body = written(encode_variant(piece.evidence))
                if _add_unless_there(connection, evidence, of_intent=intent, body=body):
                    new.append(piece)
                outcome = _outcome(connection, intent) if isinstance(piece.evidence, Listed) else None
                if outcome is not None:
                    _add(connection, retractions, of_outcome=outcome["id"])
        return new

    def settle(self, order_ref: str, state: OrderState) -> None:
        """Keep the outcome of an order; the same one is not kept twice, another one is kept beside the first."""
        if not state.status.is_terminal:
            raise ValueError(f"{state.status.value} is no outcome")
        with self._writing(f"The outcome of {order_ref} is not kept.") as connection:
            intent, body = _intent(connection, order_ref), written(encode(state))
            before = _outcome(connection, intent)
            if before is None or before["body"] != body:
                _add(connection, outcomes, of_intent=intent, body=body)
        self._maybe_working.discard(order_ref)

    def end_run(self, report: Report) -> None:
        with self._writing(f"The report of run {report.run_id} is not kept.") as connection:
            _add(connection, reports, of_run=_run(connection, report.run_id), body=written(encode(report)))

    def fail_run(self, failure: RunFailure) -> None:
        """Keep that a run ended before anything was sent, and why."""
        with self._writing(f"The end of run {failure.run_id} is not kept.") as connection:
            _add(connection, failures, of_run=_run(connection, failure.run_id), body=written(encode(failure)))

    def known(self, order_refs: Collection[str]) -> frozenset[str]:
        """Those of the references that this journal has an intent for."""
        with self._reading() as connection:
            return frozenset(ref for ref in order_refs if _intent(connection, ref) is not None)

    def recall(self, order_refs: Collection[str]) -> tuple[TrackedOrder, ...]:
        """Those orders of ours, whatever has become of them, oldest first; of unknown references nothing."""
        if not order_refs:
            return ()
        with self._reading() as connection:
            return _tracked(connection, intents.c.order_ref.in_(order_refs))

    def unsettled(self, account: AccountId | None = None) -> tuple[TrackedOrder, ...]:
        """The orders of the account, or of all accounts, that have no outcome which counts, oldest first."""
        open_ones = select(intents.c.id).where(~exists().where(outcomes.c.of_intent == intents.c.id, ~RETRACTED))
        if account is not None:
            open_ones = open_ones.where(intents.c.account == account)
        with self._reading() as connection:
            ids = connection.execute(open_ones).scalars().all()
            return _tracked(connection, intents.c.id.in_(ids)) if ids else ()

    def orders(self, account: AccountId, *, since: datetime) -> tuple[TrackedOrder, ...]:
        """All orders intended since then by this machine's clock, oldest first."""
        with self._reading() as connection:
            return _tracked(connection, (intents.c.account == account) & (intents.c.kept_at >= _in_order(since)))

    def traded(self, account: AccountId) -> frozenset[tuple[ConId, Side]]:
        """What we have ever meant to trade there."""
        statement = select(intents.c.con_id, intents.c.side).distinct().where(intents.c.account == account)
        with self._reading() as connection:
            return frozenset((ConId(con_id), Side(side)) for con_id, side in connection.execute(statement))

    def runs(self, *, limit: int) -> tuple[RunRecord, ...]:
        """The newest runs, newest first."""
        with self._reading() as connection:
            rows = _rows(connection, select(runs).order_by(runs.c.id.desc()).limit(limit))
            return tuple(_record(connection, row) for row in rows)

    def run(self, run_id: str) -> RunRecord | None:
        """The run of this id, or the one whose id begins like this, if there is exactly one."""
        begins = (runs.c.run_id >= run_id) & (runs.c.run_id < f"{run_id}\U0010ffff")
        with self._reading() as connection:
            rows = _rows(connection, select(runs).where(begins).order_by(runs.c.run_id).limit(2))
            is_one = len(rows) == 1 or (rows and rows[0]["run_id"] == run_id)
            return _record(connection, rows[0]) if is_one else None

    def adopted(self, account: AccountId) -> frozenset[ConId]:
        """Holdings that the owner has allowed us to sell, beside those we traded ourselves."""
        with self._reading() as connection:
            rows = _rows(connection, select(adoptions).where(adoptions.c.account == account))
            return frozenset(ConId(row["con_id"]) for row in rows)

    def adopt(self, account: AccountId, con_ids: Collection[ConId]) -> None:
        with self._writing(f"No holding of {account} was adopted.") as connection:
            for con_id in con_ids:
                _add_unless_there(connection, adoptions, account=account, con_id=con_id)

    def pinned(self) -> Mapping[ContractQuery, ConId]:
        """The contract that each query by name meant when an account was traded on it: the one pinned last."""
        with self._reading() as connection:
            return _pinned(connection)

    def pin(self, contracts: Mapping[ContractQuery, ConId]) -> None:
        with self._writing("No contract was pinned.") as connection:
            known = _pinned(connection)
            for query, con_id in contracts.items():
                if known.get(query) != con_id:
                    _add(connection, pins, query=written(encode(query)), con_id=con_id)

    def hold(self, account: AccountId) -> AbstractContextManager[None]:
        """Be the only one that works on this account, until the block is left."""
        return account_lock(self._path.parent, account, at=self._clock.now())

    def halted(self) -> Halt | None:
        """Whether trading is halted now, whoever did it."""
        with self._reading() as connection:
            newest = _rows(connection, select(halts).order_by(halts.c.id.desc()).limit(1))
            return next((read(Halt, row["body"]) for row in newest if row["halted"]), None)

    def halt(self, halt: Halt) -> None:
        with self._writing(NOT_HALTED) as connection:
            _add(connection, halts, halted=True, body=written(encode(halt)))

    def resume(self, *, at: datetime, reason: str) -> None:
        with self._writing("Trading stays halted.") as connection:
            _add(connection, halts, halted=False, body=written(encode(Halt(at=at, reason=reason))))

    @contextmanager
    def _writing(self, consequence: str) -> Iterator[Connection]:
        """One transaction, on disk when the block has been left; the consequence is that of a failure."""
        with self._failing(consequence):
            if self._failure:
                raise _again(self._failure, consequence)
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                rows = connection.execute(ROWS_KEPT).scalar_one()
                connection.commit()
            self._marker.note(rows)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """One moment of the journal, with what every process has committed."""
        with self._failing("It was only to be read."), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def _failing(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except StorageFailed as failure:
            self._failure = self._failure or failure
            raise
        except (DBAPIError, OSError, ValueError) as error:
            self._failure = storage_failure(error, self._path, f"{consequence} {self._sent_before()}")
            raise self._failure from error

    def _sent_before(self) -> str:
        """As far as this process can know."""
        if not self._maybe_working:
            return "No order of this process is at work."
        return f"What this process may have at work at the broker: {', '.join(sorted(self._maybe_working))}."


def _again(failure: StorageFailed, consequence: str) -> StorageFailed:
    """The same failure for whoever comes later, with what that means now unless it has been said."""
    said = failure.message
    text = said if consequence in said else f"{consequence} The journal has failed before: {said}"
    return StorageFailed(failure.code, text, hint=failure.hint)


def _in_order(moment: datetime) -> str:
    """A time as text that sorts as the times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _add(connection: Connection, table: Table, **columns: Any) -> None:
    connection.execute(insert(table), sealed(**columns))


def _add_unless_there(connection: Connection, table: Table, **columns: Any) -> bool:
    """Whether it was not there; nothing happens if its unique columns are taken, every other contradiction is an
    error as ever."""
    statement = sqlite.insert(table).on_conflict_do_nothing(index_elements=_unique(table))
    return connection.execute(statement, sealed(**columns)).rowcount > 0


def _unique(table: Table) -> Sequence[str]:
    (constraint,) = (c for c in table.constraints if isinstance(c, UniqueConstraint))
    return constraint.columns.keys()


def _run(connection: Connection, run_id: str) -> int | None:
    return connection.execute(select(runs.c.id).where(runs.c.run_id == run_id)).scalar_one_or_none()


def _intent(connection: Connection, order_ref: str) -> int | None:
    return connection.execute(select(intents.c.id).where(intents.c.order_ref == order_ref)).scalar_one_or_none()


def _outcome(connection: Connection, intent: int | None) -> RowMapping | None:
    """The outcome of an order that counts."""
    standing = select(outcomes).where(outcomes.c.of_intent == intent, ~RETRACTED)
    return next(iter(_rows(connection, standing.order_by(outcomes.c.id.desc()).limit(1))), None)


def _rows(connection: Connection, statement: Select[Any]) -> Sequence[RowMapping]:
    """Whole rows of one table, each as it was written."""
    rows = connection.execute(statement).mappings().all()
    for row in rows:
        require_seal(row)
    return rows


def _pinned(connection: Connection) -> dict[ContractQuery, ConId]:
    rows = _rows(connection, select(pins).order_by(pins.c.id))
    return {read(ContractQuery, row["query"]): ConId(row["con_id"]) for row in rows}


def _tracked(connection: Connection, which: ColumnElement[bool]) -> tuple[TrackedOrder, ...]:
    """The intents that fulfil a condition, each with its evidence, oldest first."""
    heard = defaultdict(list)
    of_them = select(evidence).join(intents).where(which).order_by(evidence.c.id)
    for row in _rows(connection, of_them):
        heard[row["of_intent"]].append(read(Evidence, row["body"]))
    return tuple(
        TrackedOrder(intent=read(OrderIntent, row["body"]), evidence=tuple(heard[row["id"]]))
        for row in _rows(connection, select(intents).where(which).order_by(intents.c.id))
    )


def _record(connection: Connection, run: RowMapping) -> RunRecord:
    """A run with all that came of it; of several plans the one it was begun with."""
    its_plans = select(plans).where(plans.c.of_run == run["id"]).order_by(plans.c.id)
    first = next(iter(_rows(connection, its_plans.limit(1))), None)
    report, failure = (_end(connection, table, run) for table in (reports, failures))
    return RunRecord(
        start=read(RunStart, run["body"]),
        document=first["document"] if first else None,
        plan=read(Plan, first["body"]) if first else None,
        orders=_tracked(connection, intents.c.of_plan.in_(select(plans.c.id).where(plans.c.of_run == run["id"]))),
        report=read(Report, report["body"]) if report else None,
        failure=read(RunFailure, failure["body"]) if failure else None,
    )


def _end(connection: Connection, table: Table, run: RowMapping) -> RowMapping | None:
    return next(iter(_rows(connection, select(table).where(table.c.of_run == run["id"]))), None)
