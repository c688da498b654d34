"""Open the journal of a state folder: made if there never was one, else checked whole before anybody relies on it."""

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine
from sqlalchemy.exc import DBAPIError

from ibkr_rebalancer.core.portfolio import TradingMode
from ibkr_rebalancer.edges.journal.folder import make_file, make_folder, require_private
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.marker import Marker
from ibkr_rebalancer.edges.journal.store import Store
from ibkr_rebalancer.edges.journal.tables import APPLICATION_ID, ROWS_KEPT, SCHEMA, SCHEMA_VERSION
from ibkr_rebalancer.edges.journal.troubles import (
    CORRUPT,
    FAULTY,
    FOREIGN,
    LOST,
    NOTHING_SENT,
    UNWRITABLE,
    storage_failure,
)
from ibkr_rebalancer.ports import Clock, Observer

NAME = "journal.db"

PATIENCE_S = 5.0
"""How long a statement waits for other processes, whose transactions take milliseconds."""

SMALLEST = 512
"""Bytes of the smallest page, and so of the smallest database."""

SETTINGS = {"foreign_keys": 1, "synchronous": 2, "fullfsync": 1}
"""Of every connection. `synchronous` 2 is FULL: in WAL mode, each commit is synced before it returns."""


@contextmanager
def open_journal(folder: Path, *, mode: TradingMode | None, clock: Clock, observer: Observer) -> Iterator[Journal]:
    """The journal in `folder`, until the block is left; `mode` is None for whoever does not trade.

    Raises:
        StorageFailed: `STORAGE_UNWRITABLE`, `STORAGE_FULL`, `STORAGE_ERROR`, `STORAGE_BUSY`, `JOURNAL_CORRUPT`,
            `JOURNAL_LOST` or `JOURNAL_VERSION`; nothing was put in place of what is wrong.
        ConfigError: in live trading, others can use the folder (`INSECURE_PATH`).
    """
    path = folder / NAME
    marker = Marker(folder)
    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=QueuePool, hide_parameters=True)
    try:
        with _troubles_told(path):
            make_folder(folder)
            require_private(folder, mode=mode, observer=observer)
            is_new = marker.rows() is None and _made(path, engine, marker)
            _require_whole(path, engine, rows=marker.rows() or 0)
        yield Journal(Store(path, engine, marker), clock, is_new=is_new)
    finally:
        engine.dispose()
        marker.close()


@contextmanager
def _troubles_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, DBAPIError, ValueError) as error:
        raise storage_failure(error, path, NOTHING_SENT) from error


def _connect(path: Path) -> sqlite3.Connection:
    """A connection on which every statement is durable by itself, until a transaction is begun by hand."""
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
    connection.executescript(";".join(f"PRAGMA {name} = {value}" for name, value in SETTINGS.items()))
    return connection


def _made(path: Path, engine: Engine, marker: Marker) -> bool:
    """Make the marker, and the journal if there is none; whether there was none. One process at a time does so."""
    with _alone_in(path.parent):
        if marker.rows() is not None:
            return False
        if not path.exists():
            make_file(path)  # SQLite would let the umask choose who may read it
        if path.stat().st_size:
            _require_database(path)
        is_new = _is_blank(engine)
        if is_new:
            _make_tables(engine)
        marker.make(_require_whole(path, engine, rows=0))
        return is_new


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process makes a journal there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_blank(engine: Engine) -> bool:
    """Whether nobody has put anything into the database: it was just made, or its making was cut short."""
    with engine.connect() as connection:
        tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        return not (tables or _pragma(connection, "application_id") or _pragma(connection, "user_version"))


def _make_tables(engine: Engine) -> None:
    """All of them or none."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        SCHEMA.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.commit()


def _require_whole(path: Path, engine: Engine, *, rows: int) -> int:
    """Check the whole database, and that it has at least so many rows of history; how many it has."""
    if not path.exists():
        raise LOST.at(path, NOTHING_SENT, detail="the file is gone")
    _require_database(path)
    with engine.connect() as connection:
        _require_ours(connection, path)
        _require_promises(connection, path)
        _require_sound(connection, path)
        kept: int = connection.execute(ROWS_KEPT).scalar_one()
    if kept < rows:
        raise LOST.at(path, NOTHING_SENT, detail=f"it has {kept} rows of at least {rows}")
    return kept


def _require_database(path: Path) -> None:
    """A file of a few bytes SQLite would take for an empty database. Opening it ourselves would drop SQLite's locks."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise UNWRITABLE.at(path, NOTHING_SENT, detail="it is not a plain file")
    if status.st_size < SMALLEST:
        raise CORRUPT.at(path, NOTHING_SENT, detail=f"it has only {status.st_size} bytes")


def _require_ours(connection: Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise FOREIGN.at(path, NOTHING_SENT, detail="another program wrote it")
    version = _pragma(connection, "user_version")
    if version != SCHEMA_VERSION:
        raise FOREIGN.at(path, NOTHING_SENT, detail=f"its schema is {version}, known here is {SCHEMA_VERSION}")


def _require_promises(connection: Connection, path: Path) -> None:
    """Durable commits, and leave to write at all: a file that is write-protected, SQLite opens without a word."""
    mode = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one()
    refused = [name for name, value in SETTINGS.items() if _pragma(connection, name) != value]
    if mode != "wal" or refused:
        raise FAULTY.at(path, NOTHING_SENT, detail=f"SQLite refuses {', '.join(refused) or 'write-ahead logging'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.rollback()


def _require_sound(connection: Connection, path: Path) -> None:
    finding = _pragma(connection, "integrity_check(1)")
    orphan = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if finding != "ok" or orphan:
        raise CORRUPT.at(path, NOTHING_SENT, detail="a row has lost its parent" if orphan else str(finding))


def _pragma(connection: Connection, name: str) -> object:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()
