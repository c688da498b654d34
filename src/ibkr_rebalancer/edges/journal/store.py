"""The journal's database as its faces use it: transactions, and rows that are sealed and checked.

A write is on disk when its block has been left. The first failure is the last: what is not certain to be kept must not
be followed by an order, so after one every write to this store refuses, and none is tried again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, Table, UniqueConstraint, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from ibkr_rebalancer.core.errors import StorageFailed
from ibkr_rebalancer.edges.journal.marker import Marker
from ibkr_rebalancer.edges.journal.tables import ROWS_KEPT, require_seal, sealed
from ibkr_rebalancer.edges.journal.troubles import storage_failure


class Store:
    """One open database."""

    def __init__(self, path: Path, engine: Engine, marker: Marker) -> None:
        self.path = path
        self.engine = engine
        self.maybe_working: set[str] = set()
        """References of orders that this process may have at work at the broker."""
        self._marker = marker
        self._failure: StorageFailed | None = None

    def require_trusted(self, consequence: str) -> None:
        """Let nothing go on as if all had been kept, once something has failed; the consequence is that of a failure.

        Raises:
            StorageFailed: something has.
        """
        if self._failure:
            raise _again(self._failure, consequence)

    @contextmanager
    def writing(self, consequence: str) -> Iterator[Connection]:
        """One transaction, on disk when the block has been left; the consequence is that of a failure."""
        with self._failing(consequence):
            self.require_trusted(consequence)
            with self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                rows = connection.execute(ROWS_KEPT).scalar_one()
                connection.commit()
            self._marker.note(rows)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One moment of the journal, with what every process has committed."""
        with self._failing("It was only to be read."), self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def sent_before(self) -> str:
        """What may be at work, as far as this process can know."""
        if not self.maybe_working:
            return "No order of this process is at work."
        return f"What this process may have at work at the broker: {', '.join(sorted(self.maybe_working))}."

    @contextmanager
    def _failing(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except StorageFailed as failure:
            self._failure = self._failure or failure
            raise
        except (DBAPIError, OSError, ValueError) as error:
            self._failure = storage_failure(error, self.path, f"{consequence} {self.sent_before()}")
            raise self._failure from error


def _again(failure: StorageFailed, consequence: str) -> StorageFailed:
    """The same failure for whoever comes later, with what that means now unless it has been said."""
    said = failure.message
    text = said if consequence in said else f"{consequence} The journal has failed before: {said}"
    return StorageFailed(failure.code, text, hint=failure.hint)


def in_order(moment: datetime) -> str:
    """A time as text that sorts as the times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def add(connection: Connection, table: Table, **columns: Any) -> None:
    connection.execute(insert(table), sealed(**columns))


def add_unless_there(connection: Connection, table: Table, **columns: Any) -> bool:
    """Whether it was not there; nothing happens if its unique columns are taken, every other contradiction is an
    error as ever."""
    statement = sqlite.insert(table).on_conflict_do_nothing(index_elements=_unique(table))
    return connection.execute(statement, sealed(**columns)).rowcount > 0


def _unique(table: Table) -> Sequence[str]:
    (constraint,) = (c for c in table.constraints if isinstance(c, UniqueConstraint))
    return constraint.columns.keys()


def whole_rows(connection: Connection, statement: Select[Any]) -> Sequence[RowMapping]:
    """Whole rows of one table, each as it was written."""
    found = connection.execute(statement).mappings().all()
    for row in found:
        require_seal(row)
    return found


def first_row(connection: Connection, statement: Select[Any]) -> RowMapping | None:
    return next(iter(whole_rows(connection, statement.limit(1))), None)
