"""One process per account: a lock that the operating system gives back when its holder dies, however it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ibkr_rebalancer.core.documents import encode
from ibkr_rebalancer.core.errors import Busy
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.journal.folder import open_private
from ibkr_rebalancer.edges.journal.troubles import NOTHING_SENT, storage_failure


@contextmanager
def account_lock(folder: Path, account: AccountId, *, at: datetime) -> Iterator[None]:
    """Hold the account until the block is left. The file stays: removing it would let two hold it.

    Raises:
        Busy: another process has it, or this one already (`ACCOUNT_BUSY`).
        StorageFailed: the lock file cannot be made.
    """
    path = folder / f"{account}.lock"
    try:
        descriptor = open_private(path, os.O_CREAT)
    except OSError as error:
        raise storage_failure(error, path, NOTHING_SENT) from error
    try:
        _take(descriptor, path, account, at)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, account: AccountId, at: datetime) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}, since {encode(at)}".encode(), 0)
    except BlockingIOError as taken:
        holder = os.pread(descriptor, 100, 0).decode("ascii", "replace") or "it has only just begun"
        raise Busy(
            "ACCOUNT_BUSY",
            f"Another run is at work on {account} ({holder}). {NOTHING_SENT}",
            hint="Wait until it has ended, or end it; then run the command again.",
        ) from taken
    except OSError as error:
        raise storage_failure(error, path, NOTHING_SENT) from error
