"""The journal's tables: history that only grows, each row sealed with a digest of all it says.

A run leads to the plans it made, a plan to intents, an intent to the evidence heard of it and to its outcome; an event
leads to an entry for each account, and an entry to the steps that were taken for it. Values stand in `body` as JSON;
the other columns are what rows are found by. SQLite keeps no checksum of a page: a row that was damaged without
breaking the file is known by its seal.
"""

import hashlib
import json
import operator
from collections.abc import Mapping
from functools import reduce
from typing import Any

from sqlalchemy import (
    DDL,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    Table,
    Text,
    UniqueConstraint,
    event,
    func,
    select,
)

from ibkr_rebalancer.core.documents import Json, decode, digest

APPLICATION_ID = 0x72626C31
"""`PRAGMA application_id` of our databases: "rbl1"."""

SCHEMA_VERSION = 1
"""`PRAGMA user_version`: counts the incompatible changes of what is kept here."""

SCHEMA = MetaData()

HISTORY: list[Table] = []
"""The tables whose rows are never changed or removed: all but `cursors`."""


def _history(name: str, *columns: Column[Any] | UniqueConstraint | Index) -> Table:
    """A table whose rows are never changed or removed."""
    table = Table(name, SCHEMA, Column("id", Integer, primary_key=True), _text("seal"), *columns)
    for deed in ("UPDATE", "DELETE"):
        refusal = f"SELECT RAISE(ABORT, '{name} is history: nothing in it is changed or removed')"
        trigger = f"CREATE TRIGGER {name}_no_{deed.lower()} BEFORE {deed} ON {name} BEGIN {refusal}; END"
        event.listen(table, "after_create", DDL(trigger))  # type: ignore[no-untyped-call]
    HISTORY.append(table)
    return table


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **options)


def _parent(table: Table, **options: Any) -> Column[int]:
    singular = table.name.replace("ies", "y").removesuffix("s")
    return Column(f"of_{singular}", Integer, ForeignKey(table.c.id), nullable=False, **options)


runs = _history(
    "runs",
    _text("run_id", unique=True),
    _text("account"),
    _text("trigger"),
    _text("body"),
    Index("runs_by_trigger", "trigger", "account"),
)

plans = _history(
    "plans",
    _parent(runs),
    _text("plan_id"),
    Column("document", LargeBinary, nullable=False),
    _text("snapshot"),
    _text("body"),
    UniqueConstraint("of_run", "plan_id"),
)

intents = _history(
    "intents",
    _parent(plans, index=True),
    _text("order_ref", unique=True),
    _text("account"),
    Column("con_id", Integer, nullable=False),
    _text("side"),
    _text("kept_at"),
    _text("body"),
    Index("intents_in_time", "account", "kept_at"),
    Index("intents_by_contract", "account", "con_id", "side"),
)

evidence = _history("evidence", _parent(intents), _text("body"), UniqueConstraint("of_intent", "seal"))

outcomes = _history("outcomes", _parent(intents, index=True), _text("body"))
"""The newest row of an intent counts, unless it has been taken back."""

retractions = _history("retractions", _parent(outcomes, unique=True))
"""The broker has shown an order open after this outcome of it."""

reports = _history("reports", _parent(runs, unique=True), _text("body"))

failures = _history("failures", _parent(runs, unique=True), _text("body"))

halts = _history("halts", Column("halted", Boolean, nullable=False), _text("body"))
"""Every halt and every resume; the newest row counts."""

acknowledgements = _history("acknowledgements", _parent(halts, unique=True))
"""The watch has seen this halt."""

adoptions = _history(
    "adoptions", _text("account"), Column("con_id", Integer, nullable=False), UniqueConstraint("account", "con_id")
)

pins = _history("pins", _text("query"), Column("con_id", Integer, nullable=False))
"""The newest row of a query counts."""

events = _history(
    "events",
    _text("event_id", unique=True),
    _text("channel"),
    _text("published"),
    _text("received"),
    _text("body"),
)

marks = _history("marks", _parent(events), _text("channel"), _text("mark"), UniqueConstraint("channel", "mark"))
"""The names of an event in its channel, as JSON; an event that has one of them is the same."""

entries = _history(
    "entries",
    _parent(events),
    _text("account"),
    _text("mode"),
    _text("published"),
    UniqueConstraint("of_event", "account"),
    Index("entries_by_account", "account", "mode", "published"),
)
"""An event is to be carried out for an account. `published` is where it stands among others (`Event.stands_at`)."""

steps = _history(
    "steps",
    _parent(entries),
    Column("ends", Boolean, nullable=False),
    _text("body"),
    Index("steps_by_entry", "of_entry", "ends"),
)

gaps = _history("gaps", _text("channel", index=True), _text("since"), _text("until"), _text("why"))
"""Between which times messages of a channel may have been missed; the newest row of a channel is told."""

cursors = Table(
    "cursors",
    SCHEMA,
    Column("channel", Text, primary_key=True, nullable=False),
    _text("seal"),
    _text("since"),
    _text("until"),
    Column("by_our_clock", Boolean, nullable=False),
)
"""Since when and how far the messages of a channel have been read. It moves for ever and needs no history: from an
older one on, messages are read again and known again."""

_COUNTS = [func.coalesce(select(func.max(table.c.id)).scalar_subquery(), 0) for table in HISTORY]

ROWS_KEPT = select(reduce(operator.add, _COUNTS))
"""How many rows of history there are: without gaps or removals, a table's largest id is their number."""


def sealed(**columns: Any) -> dict[str, Any]:
    """A row to insert."""
    return {**columns, "seal": _seal(columns)}


def require_seal(row: RowMapping) -> None:
    """Check a row as it was read, with all its columns.

    Raises:
        ValueError: it is not what was inserted.
    """
    if row["seal"] != _seal({name: value for name, value in row.items() if name not in {"id", "seal"}}):
        raise ValueError("a row does not fit its seal")


def _seal(columns: Mapping[str, Any]) -> str:
    return digest({name: _short(value) for name, value in columns.items()})


def _short(value: Any) -> Any:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value


def written(value: Json) -> str:
    """JSON as it stands in a column."""
    return json.dumps(value, separators=(",", ":"))


def read(kind: Any, text: str) -> Any:
    """The value of a column.

    Raises:
        ValueError: it does not hold such a value.
    """
    return decode(kind, json.loads(text))
