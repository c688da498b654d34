"""One open journal with its two faces: the ledger of runs and orders, and the controls between processes.

A write is on disk when its method returns. The first failure is the last: what is not certain to be kept must not be
followed by an order, so after one every write of this object refuses, and none is tried again.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from sqlalchemy import JSON, Connection, RowMapping, Select, exists, select, type_coerce

from ibkr_rebalancer.core.documents import encode, encode_variant
from ibkr_rebalancer.core.errors import NOT_HALTED
from ibkr_rebalancer.core.evidence import Listed
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_state import OrderState, TrackedOrder
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.core.runs import RunFailure, RunStart
from ibkr_rebalancer.edges.journal.inbox import JournalInbox
from ibkr_rebalancer.edges.journal.locks import account_lock, watch_lock, watcher
from ibkr_rebalancer.edges.journal.run_records import run_record, tracked_orders
from ibkr_rebalancer.edges.journal.store import Store, add, add_unless_there, first_row, in_order, whole_rows
from ibkr_rebalancer.edges.journal.tables import (
    acknowledgements,
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
    retractions,
    runs,
    written,
)
from ibkr_rebalancer.edges.journal.troubles import LOST
from ibkr_rebalancer.ports import Clock, Halt, RunRecord

RETRACTED = exists().where(retractions.c.of_outcome == outcomes.c.id)


class Journal:
    """The `Ledger` and the `Controls` of one state folder, as `open_journal` gives it."""

    def __init__(self, store: Store, clock: Clock, *, is_new: bool) -> None:
        self.is_new = is_new
        """Whether this very opening made it: then orders of ours at the broker are a history that was lost."""
        self.inbox = JournalInbox(store)
        """The `Inbox` on the same database."""
        self._store = store
        self._clock = clock

    def start_run(self, start: RunStart) -> None:
        with self._store.writing(f"Run {start.run_id} is not recorded.") as connection:
            add(
                connection,
                runs,
                run_id=start.run_id,
                account=start.account,
                trigger=start.trigger,
                body=written(encode(start)),
            )

    def keep_plan(self, run_id: str, *, document: bytes, snapshot: Snapshot, plan: Plan) -> None:
        """What the run is to send, and what it was checked against last; a run may keep more than one plan."""
        with self._store.writing(f"Plan {plan.plan_id} is not kept, and none of its orders was sent.") as connection:
            add(
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
        with self._store.writing(f"{ordered} {were} not sent.") as connection:
            for intent in order_intents:
                of_plan = select(plans.c.id).join(runs).where(runs.c.run_id == intent.run_id)
                add(
                    connection,
                    intents,
                    of_plan=connection.execute(of_plan.where(plans.c.plan_id == intent.plan_id)).scalar_one_or_none(),
                    order_ref=intent.order_ref,
                    account=intent.account,
                    con_id=intent.con_id,
                    side=intent.side.value,
                    kept_at=in_order(self._clock.now()),
                    body=written(encode(intent)),
                )
        self._store.maybe_working.update(intent.order_ref for intent in order_intents)

    def observe(self, heard: Sequence[Heard]) -> Sequence[Heard]:
        """Keep evidence about our orders, and tell what of it is new: what is there word for word is not kept twice.

        An order that is listed as open has no outcome any more, until it gets another one.

        Raises:
            StorageFailed: also when it is about an order that this journal does not know (`JOURNAL_LOST`).
        """
        new = []
        with self._store.writing("No further order is sent; what the broker said can be asked again.") as connection:
            for piece in heard:
                intent = _intent(connection, piece.order_ref)
                if intent is None:
                    detail = f"the broker tells of {piece.order_ref}"
                    raise LOST.at(self._store.path, self._store.sent_before(), detail=detail)
                body = written(encode_variant(piece.evidence))
                if add_unless_there(connection, evidence, of_intent=intent, body=body):
                    new.append(piece)
                while isinstance(piece.evidence, Listed) and (outcome := _outcome(connection, intent)) is not None:
                    add(connection, retractions, of_outcome=outcome["id"])
        return new

    def settle(self, order_ref: str, state: OrderState) -> None:
        """Keep the outcome of an order; the same one is not kept twice, another one is kept beside the first."""
        if not state.status.is_terminal:
            raise ValueError(f"{state.status.value} is no outcome")
        with self._store.writing(f"The outcome of {order_ref} is not kept.") as connection:
            intent, body = _intent(connection, order_ref), written(encode(state))
            before = _outcome(connection, intent)
            if before is None or before["body"] != body:
                add(connection, outcomes, of_intent=intent, body=body)
        self._store.maybe_working.discard(order_ref)

    def end_run(self, report: Report) -> None:
        with self._store.writing(f"The report of run {report.run_id} is not kept.") as connection:
            add(connection, reports, of_run=_run(connection, report.run_id), body=written(encode(report)))

    def fail_run(self, failure: RunFailure) -> None:
        """Keep that a run ended before anything was sent, and why."""
        with self._store.writing(f"The end of run {failure.run_id} is not kept.") as connection:
            add(connection, failures, of_run=_run(connection, failure.run_id), body=written(encode(failure)))

    def known(self, order_refs: Collection[str]) -> frozenset[str]:
        """Those of the references that this journal has an intent for."""
        with self._store.reading() as connection:
            return frozenset(ref for ref in order_refs if _intent(connection, ref) is not None)

    def recall(self, order_refs: Collection[str]) -> tuple[TrackedOrder, ...]:
        """Those orders of ours, whatever has become of them, oldest first; of unknown references nothing."""
        if not order_refs:
            return ()
        with self._store.reading() as connection:
            return tracked_orders(connection, intents.c.order_ref.in_(order_refs))

    def unsettled(self, account: AccountId | None = None) -> tuple[TrackedOrder, ...]:
        """The orders of the account, or of all accounts, that have no outcome which counts, oldest first."""
        open_ones = select(intents.c.id).where(~exists().where(outcomes.c.of_intent == intents.c.id, ~RETRACTED))
        if account is not None:
            open_ones = open_ones.where(intents.c.account == account)
        with self._store.reading() as connection:
            ids = connection.execute(open_ones).scalars().all()
            return tracked_orders(connection, intents.c.id.in_(ids)) if ids else ()

    def orders(self, account: AccountId, *, since: datetime) -> tuple[TrackedOrder, ...]:
        """All orders intended since then by this machine's clock, oldest first."""
        with self._store.reading() as connection:
            return tracked_orders(connection, (intents.c.account == account) & (intents.c.kept_at >= in_order(since)))

    def traded(self, account: AccountId) -> frozenset[tuple[ConId, Side]]:
        """What we have ever traded there: orders that have filled shares, by their outcomes."""
        ended = select(type_coerce(outcomes.c.body, JSON)["filled"].as_integer())
        newest = ended.where(outcomes.c.of_intent == intents.c.id, ~RETRACTED).order_by(outcomes.c.id.desc()).limit(1)
        ours = select(intents.c.con_id, intents.c.side).where(intents.c.account == account)
        statement = ours.where(newest.scalar_subquery() > 0).distinct()
        with self._store.reading() as connection:
            return frozenset((ConId(con_id), Side(side)) for con_id, side in connection.execute(statement))

    def runs(self, *, limit: int) -> tuple[RunRecord, ...]:
        """The newest runs, newest first."""
        with self._store.reading() as connection:
            rows = whole_rows(connection, select(runs).order_by(runs.c.id.desc()).limit(limit))
            return tuple(run_record(connection, row) for row in rows)

    def run(self, run_id: str) -> RunRecord | None:
        """The run of this id, or the one whose id begins like this, if there is exactly one."""
        begins = (runs.c.run_id >= run_id) & (runs.c.run_id < f"{run_id}\U0010ffff")
        with self._store.reading() as connection:
            rows = whole_rows(connection, select(runs).where(begins).order_by(runs.c.run_id).limit(2))
            is_one = len(rows) == 1 or (rows and rows[0]["run_id"] == run_id)
            return run_record(connection, rows[0]) if is_one else None

    def adopted(self, account: AccountId) -> frozenset[ConId]:
        """Holdings that the owner has allowed us to sell, beside those we traded ourselves."""
        with self._store.reading() as connection:
            rows = whole_rows(connection, select(adoptions).where(adoptions.c.account == account))
            return frozenset(ConId(row["con_id"]) for row in rows)

    def adopt(self, account: AccountId, con_ids: Collection[ConId]) -> None:
        with self._store.writing(f"No holding of {account} was adopted.") as connection:
            for con_id in con_ids:
                add_unless_there(connection, adoptions, account=account, con_id=con_id)

    def pinned(self) -> Mapping[ContractQuery, ConId]:
        """The contract that each query by name meant when an account was traded on it: the one pinned last."""
        with self._store.reading() as connection:
            return _pinned(connection)

    def pin(self, contracts: Mapping[ContractQuery, ConId]) -> None:
        with self._store.writing("No contract was pinned.") as connection:
            known = _pinned(connection)
            for query, con_id in contracts.items():
                if known.get(query) != con_id:
                    add(connection, pins, query=written(encode(query)), con_id=con_id)

    def hold(self, account: AccountId) -> AbstractContextManager[None]:
        """Be the only one that works on this account, until the block is left."""
        return account_lock(self._store.path.parent, account, at=self._clock.now())

    def halted(self) -> Halt | None:
        """Whether trading is halted now, whoever did it."""
        with self._store.reading() as connection:
            newest = first_row(connection, select(halts).order_by(halts.c.id.desc()))
            return read(Halt, newest["body"]) if newest and newest["halted"] else None

    def require_trusted(self) -> None:
        """Let nothing be sent once a write has failed, whoever's it was: it may be what is to be sent next.

        Raises:
            StorageFailed: one has.
        """
        self._store.require_trusted("Nothing more is sent.")

    def halt(self, halt: Halt) -> None:
        with self._store.writing(NOT_HALTED) as connection:
            add(connection, halts, halted=True, body=written(encode(halt)))

    def resume(self, *, at: datetime, reason: str) -> None:
        with self._store.writing("Trading stays halted.") as connection:
            add(connection, halts, halted=False, body=written(encode(Halt(at=at, reason=reason))))

    def acknowledge(self, halt: Halt) -> None:
        """Keep that the watch has seen this halt."""
        with self._store.writing("The halt is not acknowledged.") as connection:
            of_halt = connection.execute(_its_id(halt)).scalar_one_or_none()
            add_unless_there(connection, acknowledgements, of_halt=of_halt)

    def is_acknowledged(self, halt: Halt) -> bool:
        """Whether the watch has seen this halt, or a later one."""
        with self._store.reading() as connection:
            seen = select(acknowledgements).where(acknowledgements.c.of_halt >= _its_id(halt).scalar_subquery())
            return first_row(connection, seen) is not None

    def watch(self) -> AbstractContextManager[None]:
        """Be the only one that watches with this state folder, until the block is left."""
        return watch_lock(self._store.path.parent, at=self._clock.now())

    def watcher(self) -> str | None:
        """Who watches, such as `pid 7, since 2026-11-23 15:30 UTC`; None if nobody does."""
        return watcher(self._store.path.parent)


def _run(connection: Connection, run_id: str) -> int | None:
    return connection.execute(select(runs.c.id).where(runs.c.run_id == run_id)).scalar_one_or_none()


def _its_id(halt: Halt) -> Select[tuple[int]]:
    its_rows = select(halts.c.id).where(halts.c.halted, halts.c.body == written(encode(halt)))
    return its_rows.order_by(halts.c.id.desc()).limit(1)


def _intent(connection: Connection, order_ref: str) -> int | None:
    return connection.execute(select(intents.c.id).where(intents.c.order_ref == order_ref)).scalar_one_or_none()


def _outcome(connection: Connection, intent: int | None) -> RowMapping | None:
    """The outcome of an order that counts."""
    standing = select(outcomes).where(outcomes.c.of_intent == intent, ~RETRACTED)
    return first_row(connection, standing.order_by(outcomes.c.id.desc()))


def _pinned(connection: Connection) -> dict[ContractQuery, ConId]:
    rows = whole_rows(connection, select(pins).order_by(pins.c.id))
    return {read(ContractQuery, row["query"]): ConId(row["con_id"]) for row in rows}
