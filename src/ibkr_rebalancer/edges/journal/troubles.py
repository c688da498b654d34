"""What can befall a journal, and the sentence and hint it becomes. None of it is tried again.

Source of the SQLite codes: https://www.sqlite.org/rescode.html; the low byte is the kind of trouble.
"""

import errno
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from ibkr_rebalancer.core.errors import StorageFailed

NOTHING_SENT = "Nothing was sent."


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that can befall a journal."""

    code: str
    what: str
    """Follows the path of the journal."""
    hint: str

    def at(self, path: Path, consequence: str, *, detail: str = "") -> StorageFailed:
        """The error, for the file it concerns; the consequence says what was sent and what was not."""
        cause = f" ({detail})" if detail else ""
        return StorageFailed(self.code, f"{path} {self.what}{cause}. {consequence}", hint=self.hint)


FULL = Trouble(
    code="STORAGE_FULL",
    what="cannot grow: the disk is full",
    hint="Free space on the disk that holds the state folder, then run the command again.",
)
FAULTY = Trouble(
    code="STORAGE_ERROR",
    what="could not be read or written for certain",
    hint="Check the disk that holds the state folder (dmesg, smartctl) before anything is traded again.",
)
UNWRITABLE = Trouble(
    code="STORAGE_UNWRITABLE",
    what="cannot be opened for writing",
    hint="Check that the state folder belongs to the user running this command and is not mounted read-only, "
    "or name another one with --state or REBALANCER_STATE.",
)
LOCKED = Trouble(
    code="STORAGE_BUSY",
    what="was kept locked by another process for too long",
    hint="See what else has the file open (fuser -v FILE) and end it, then run the command again.",
)
CORRUPT = Trouble(
    code="JOURNAL_CORRUPT",
    what="is damaged, and nothing in it can be relied on",
    hint="Restore the whole state folder from a backup. Without one, compare the account's orders and positions with "
    "your own records at the broker, then move the state folder away; the next run begins a new journal.",
)
LOST = Trouble(
    code="JOURNAL_LOST",
    what="has lost history that it is known to have had",
    hint="Put the newest journal.db back, together with its journal.db-wal if there is one. If older or no history is "
    "what you want, compare orders and positions at the broker first, then remove journal.marker by hand.",
)
FOREIGN = Trouble(
    code="JOURNAL_VERSION",
    what="is no journal that this version can read",
    hint="Run the version that wrote it or a newer one, or name another state folder with --state or REBALANCER_STATE.",
)
CONTRADICTED = Trouble(
    code="JOURNAL_CONFLICT",
    what="already holds something else under that name, or lacks what it follows from",
    hint='See "rebalancer runs", and report this as a bug: no two orders or runs may share a name.',
)

_BY_SQLITE_CODE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_PERM: UNWRITABLE,
    sqlite3.SQLITE_READONLY: UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: UNWRITABLE,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_PROTOCOL: LOCKED,
    sqlite3.SQLITE_CORRUPT: CORRUPT,
    sqlite3.SQLITE_NOTADB: CORRUPT,
    sqlite3.SQLITE_ERROR: CORRUPT,  # our own statements fail only where tables are not what they were
    sqlite3.SQLITE_CONSTRAINT: CONTRADICTED,
}

_BY_ERRNO = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EIO: FAULTY,
}


def storage_failure(error: DBAPIError | OSError | ValueError, path: Path, consequence: str) -> StorageFailed:
    """Whatever went wrong with the journal at `path`, as a person should hear it."""
    if isinstance(error, OSError):
        trouble = _BY_ERRNO.get(error.errno or 0, UNWRITABLE)
        where = Path(error.filename) if isinstance(error.filename, str | Path) else path
        return trouble.at(where, consequence, detail=error.strerror or type(error).__name__)
    if isinstance(error, ValueError):
        return CORRUPT.at(path, consequence, detail=str(error))
    code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # none: a text that is not UTF-8
    trouble = _BY_SQLITE_CODE.get(code & 0xFF, FAULTY)
    name = getattr(error.orig, "sqlite_errorname", "")
    return trouble.at(path, consequence, detail=f"{error.orig}, {name}" if trouble is FAULTY else str(error.orig))
