"""Locks between processes, one file each, that the operating system gives back when its holder dies, however it dies.

A file stays when its lock is given back: removing it would let two hold it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ibkr_rebalancer.core.errors import Busy
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.journal.folder import open_private
from ibkr_rebalancer.edges.journal.troubles import NOTHING_SENT, storage_failure

WATCH = "watch.lock"


@contextmanager
def account_lock(folder: Path, account: AccountId, *, at: datetime) -> Iterator[None]:
    """Hold the account until the block is left.

    Raises:
        Busy: another process has it, or this one already (`ACCOUNT_BUSY`).
        StorageFailed: the lock file cannot be made.
    """
    with _locked(folder / f"{account}.lock", at) as holder:
        if holder is not None:
            raise Busy(
                "ACCOUNT_BUSY",
                f"Another run is at work on {account} ({holder}). {NOTHING_SENT}",
                hint="Wait until it has ended, or end it; then run the command again.",
            )
        yield


@contextmanager
def watch_lock(folder: Path, *, at: datetime) -> Iterator[None]:
    """Be the one that watches, until the block is left.

    Raises:
        Busy: another process is, or this one already (`WATCH_BUSY`).
        StorageFailed: the lock file cannot be made.
    """
    with _locked(folder / WATCH, at) as holder:
        if holder is not None:
            raise Busy(
                "WATCH_BUSY",
                f"Another process already watches with the state in {folder} ({holder}). {NOTHING_SENT}",
                hint="One watch carries out all events; end the other one first, or name another state folder.",
            )
        yield


def watcher(folder: Path) -> str | None:
    """The process that watches, such as `pid 7, since 2026-11-23 15:30 UTC`; None if there is none.

    Raises:
        StorageFailed: the lock file cannot be read.
    """
    path = folder / WATCH
    if not path.exists():
        return None
    try:
        descriptor = open_private(path)
        try:
            return None if _try(descriptor, fcntl.LOCK_SH) else _holder(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_failure(error, path, NOTHING_SENT) from error


@contextmanager
def _locked(path: Path, at: datetime) -> Iterator[str | None]:
    """Hold the lock until the block is left, or tell who holds it."""
    try:
        descriptor = open_private(path, os.O_CREAT)
    except OSError as error:
        raise storage_failure(error, path, NOTHING_SENT) from error
    try:
        yield _taken(descriptor, path, at)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, path: Path, at: datetime) -> str | None:
    """Take the lock; or who has it. Somebody who only asks has it for a moment, and shares it meanwhile."""
    try:
        while not _try(descriptor, fcntl.LOCK_EX):
            if not _try(descriptor, fcntl.LOCK_SH):
                return _holder(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}, since {at:%Y-%m-%d %H:%M} UTC".encode(), 0)
    except OSError as error:
        raise storage_failure(error, path, NOTHING_SENT) from error
    return None


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 100, 0).decode("ascii", "replace") or "it has only just begun"
