"""The journal as the work queue of events: what came, for whom it is to be carried out, and what was done about it.

Nothing in it is a state that changes: an entry has ended once a step says so.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select
from sqlalchemy.dialects import sqlite

from ibkr_rebalancer.core.documents import encode, encode_variant
from ibkr_rebalancer.core.events import Cursor, Event, Gap, identities
from ibkr_rebalancer.core.inbox import Ended, Entry, Step
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import RunMode
from ibkr_rebalancer.edges.journal.run_records import run_record
from ibkr_rebalancer.edges.journal.store import Store, add, add_unless_there, first_row, in_order, whole_rows
from ibkr_rebalancer.edges.journal.tables import (
    cursors,
    entries,
    events,
    gaps,
    marks,
    read,
    reports,
    runs,
    sealed,
    steps,
    written,
)
from ibkr_rebalancer.ports import RunRecord

MOST_TOLD = 3
"""Entries that a sentence names."""

ends = steps.alias("ends")

HAS_ENDED = exists().where(ends.c.of_entry == entries.c.id, ends.c.ends)


class JournalInbox:
    """The `Inbox` of one state folder, as an open journal gives it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._first_pending = 0
        """Every entry before this one has ended, and so it stays: what lies behind is not looked at again."""

    def keep(self, event: Event, accounts: Collection[AccountId]) -> Event | None:
        """Keep a new event with its entries, all in one; or what is new about the names of one that is there."""
        with self._store.writing(f"An event of {event.channel} is not kept, and not carried out.") as connection:
            known = _known(connection, event)
            if known is None:
                add(
                    connection,
                    events,
                    event_id=event.event_id,
                    channel=event.channel,
                    published=in_order(event.published),
                    received=in_order(event.received),
                    body=written(encode(event)),
                )
                for account in accounts:
                    add(
                        connection,
                        entries,
                        of_event=_id_of(connection, event),
                        account=account,
                        mode=event.mode.value,
                        published=in_order(event.stands_at),
                    )
            of_event = _id_of(connection, known or event)
            for mark in _marks(event):
                add_unless_there(connection, marks, of_event=of_event, channel=event.channel, mark=mark)
        return known

    def pending(self) -> tuple[Entry, ...]:
        """All that have not ended, oldest first."""
        with self._store.reading() as connection:
            is_pending = and_(entries.c.id >= self._first_pending, ~HAS_ENDED)
            found, first_new = _entries(connection, is_pending)
        self._first_pending = first_new
        return found

    def take_steps(self, next_steps: Mapping[Entry, Step]) -> None:
        """Keep the next step of each of these entries, which must not have ended, all in one."""
        those = ", ".join(f"{entry.event.event_id} for {entry.account}" for entry in [*next_steps][:MOST_TOLD])
        more = f" and {len(next_steps) - MOST_TOLD} more" if len(next_steps) > MOST_TOLD else ""
        with self._store.writing(f"What came of events is not kept: {those}{more}.") as connection:
            for entry, step in next_steps.items():
                add(
                    connection,
                    steps,
                    of_entry=_pending_id(connection, entry),
                    ends=isinstance(step, Ended),
                    body=written(encode_variant(step)),
                )

    def carried_out(self, account: AccountId) -> datetime | None:
        """Where the newest event stands for which the account was rebalanced, as far as it went.

        A run that has a report has dealt with the targets of that moment, though orders of it may be unfilled, and
        whatever was decided to do about those: an older event has nothing to add. A run without one sent nothing, or
        was killed, and then its event is still pending.
        """
        made = exists().where(
            runs.c.trigger == events.c.event_id, runs.c.account == account, reports.c.of_run == runs.c.id
        )
        its_rebalances = and_(entries.c.account == account, entries.c.mode == RunMode.REBALANCE.value)
        statement = select(entries).join(events).where(its_rebalances, made).order_by(entries.c.published.desc())
        with self._store.reading() as connection:
            newest = first_row(connection, statement)
            return datetime.fromisoformat(newest["published"]) if newest else None

    def newest_run(self, entry: Entry) -> RunRecord | None:
        """The newest run that was made for the entry."""
        its_runs = and_(runs.c.trigger == entry.event.event_id, runs.c.account == entry.account)
        with self._store.reading() as connection:
            newest = first_row(connection, select(runs).where(its_runs).order_by(runs.c.id.desc()))
            return run_record(connection, newest) if newest else None

    def done_last(self) -> tuple[Entry, ...]:
        """For each account the entry for which a step was taken last, that one being its last."""
        newest = select(func.max(steps.c.id)).join(entries).group_by(entries.c.account)
        with self._store.reading() as connection:
            theirs = connection.execute(select(steps.c.of_entry).where(steps.c.id.in_(newest))).scalars().all()
            found, _ = _entries(connection, entries.c.id.in_(theirs))
            return found

    def keep_gap(self, gap: Gap) -> None:
        with self._store.writing(f"That events of {gap.channel} may have been missed is not kept.") as connection:
            since, until = in_order(gap.since), in_order(gap.until)
            add(connection, gaps, channel=gap.channel, since=since, until=until, why=gap.why)

    def newest_gaps(self) -> tuple[Gap, ...]:
        """The one of each channel that was kept last."""
        newest = select(func.max(gaps.c.id)).group_by(gaps.c.channel)
        with self._store.reading() as connection:
            rows = whole_rows(connection, select(gaps).where(gaps.c.id.in_(newest)).order_by(gaps.c.channel))
            return tuple(
                Gap(
                    channel=row["channel"],
                    since=datetime.fromisoformat(row["since"]),
                    until=datetime.fromisoformat(row["until"]),
                    why=row["why"],
                )
                for row in rows
            )

    def cursor(self, channel: str) -> Cursor | None:
        """How far the channel was looked at; None for one that is new."""
        with self._store.reading() as connection:
            return _cursor(connection, channel)

    def begin(self, channel: str, since: datetime, *, by_our_clock: bool) -> None:
        """Put the cursor of a channel there, whatever it was."""
        with self._keeping_cursor_of(channel) as connection:
            _put(connection, channel, Cursor(since=since, until=since, by_our_clock=by_our_clock))

    def advance(self, channel: str, until: datetime) -> None:
        """Move the cursor of a channel, which never goes back, to a time of Ably's; one that is new begins there."""
        with self._keeping_cursor_of(channel) as connection:
            reached = _cursor(connection, channel)
            if reached is None or until > reached.until:
                _put(connection, channel, Cursor(since=reached.since if reached else until, until=until))

    def _keeping_cursor_of(self, channel: str) -> AbstractContextManager[Connection]:
        return self._store.writing(f"How far the messages of {channel} were read is not kept.")


def _known(connection: Connection, event: Event) -> Event | None:
    """The event that is there already under one of the names, the most certain one first."""
    for mark in _marks(event):
        its_own = and_(marks.c.channel == event.channel, marks.c.mark == mark)
        row = first_row(connection, select(events).join(marks).where(its_own))
        if row:
            known: Event = read(Event, row["body"])
            return known
    return None


def _marks(event: Event) -> list[str]:
    """Names as they stand in a column: a stranger chose them, and not all that JSON can say is UTF-8."""
    return [written(name) for name in identities(event)]


def _id_of(connection: Connection, event: Event) -> int | None:
    return connection.execute(select(events.c.id).where(events.c.event_id == event.event_id)).scalar_one_or_none()


def _pending_id(connection: Connection, entry: Entry) -> int | None:
    its_own = and_(events.c.event_id == entry.event.event_id, entries.c.account == entry.account)
    return connection.execute(select(entries.c.id).join(events).where(its_own, ~HAS_ENDED)).scalar_one_or_none()


def _entries(connection: Connection, which: ColumnElement[bool]) -> tuple[tuple[Entry, ...], int]:
    """The entries that fulfil a condition, oldest first; and the first id that is one of them, or will be.

    Numbers are not handed to SQLite, which takes only so many of them.
    """
    of_events = select(events).where(events.c.id.in_(select(entries.c.of_event).where(which)))
    its_events = {row["id"]: read(Event, row["body"]) for row in whole_rows(connection, of_events)}
    taken = defaultdict(list)
    of_entries = select(steps).where(steps.c.of_entry.in_(select(entries.c.id).where(which)))
    for row in whole_rows(connection, of_entries.order_by(steps.c.id)):
        taken[row["of_entry"]].append(read(Step, row["body"]))
    found = whole_rows(connection, select(entries).where(which).order_by(entries.c.id))
    newest = connection.execute(select(func.coalesce(func.max(entries.c.id), 0))).scalar_one()
    return (
        tuple(
            Entry(event=its_events[row["of_event"]], account=row["account"], steps=tuple(taken[row["id"]]))
            for row in found
        ),
        found[0]["id"] if found else newest + 1,
    )


def _cursor(connection: Connection, channel: str) -> Cursor | None:
    row = first_row(connection, select(cursors).where(cursors.c.channel == channel))
    if row is None:
        return None
    return Cursor(
        since=datetime.fromisoformat(row["since"]),
        until=datetime.fromisoformat(row["until"]),
        by_our_clock=row["by_our_clock"],
    )


def _put(connection: Connection, channel: str, cursor: Cursor) -> None:
    moved = sealed(
        channel=channel,
        since=in_order(cursor.since),
        until=in_order(cursor.until),
        by_our_clock=cursor.by_our_clock,
    )
    statement = sqlite.insert(cursors).values(moved)
    connection.execute(statement.on_conflict_do_update(index_elements=["channel"], set_=moved))
