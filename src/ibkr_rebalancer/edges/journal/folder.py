"""The state folder: private to its owner, on a disk of this machine; made if it is missing, never opened up."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from ibkr_rebalancer.core.errors import ConfigError
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import TradingMode
from ibkr_rebalancer.edges.journal.troubles import NOTHING_SENT
from ibkr_rebalancer.ports import Observer

FOLDER_MODE = 0o700
FILE_MODE = 0o600

OTHERS = 0o077
"""The bits of a mode that let in the group or the world."""

NETWORKED = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)
"""File systems whose locks or syncs do not hold what SQLite asks of them."""

MOUNTS = Path("/proc/self/mountinfo")
"""Linux says there what is mounted; other systems have none, and then nobody can tell."""


def make_folder(folder: Path) -> None:
    """Make the folder, and those above it, unless it is there; the umask has no say in it."""
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True)
    except FileExistsError:
        return
    folder.chmod(FOLDER_MODE)
    sync_folder(folder.parent)


def make_file(path: Path, content: bytes = b"") -> None:
    """Make a private file, durably and with all its content or not at all."""
    replace_file(path, content, is_durable=True)
    sync_folder(path.parent)


def replace_file(path: Path, content: bytes, *, is_durable: bool) -> None:
    """Put a private file with all of this content in the place of one that may be there."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = open_private(draft, os.O_CREAT | os.O_EXCL)
    try:
        if os.write(descriptor, content) < len(content):  # as much as the disk had room for
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), draft)
        if is_durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)


def open_private(path: Path, flags: int = 0) -> int:
    """A descriptor to read and write a file that others cannot; a link is not followed."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, FILE_MODE)
    if flags & os.O_CREAT:
        os.fchmod(descriptor, FILE_MODE)
    return descriptor


def sync_folder(folder: Path) -> None:
    """Make what was created or renamed in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_private(folder: Path, *, mode: TradingMode | None, observer: Observer) -> None:
    """Check that nobody else can read or change what is in the folder, and that its disk keeps its promises.

    A doubt is a warning on paper, and to whoever does not trade (no mode): it must not keep anybody from a halt.

    Raises:
        ConfigError: in live trading, there is a doubt (`INSECURE_PATH`).
    """
    for text, hint in doubts(folder):
        if mode is TradingMode.LIVE:
            raise ConfigError("INSECURE_PATH", f"{text}, and TRADING_MODE is live. {NOTHING_SENT}", hint=hint)
        observer.notify(Notice(event="journal.exposed", text=f"{text}. {hint}", severity=Severity.WARNING))


def doubts(folder: Path) -> Iterator[tuple[str, str]]:
    """What keeps the folder from being private and safe: a sentence without its stop, and a hint, for each."""
    for path in (folder, *sorted(folder.iterdir())):
        try:
            status = path.lstat()
        except FileNotFoundError:  # another process has just closed the journal, and its -wal is gone
            continue
        if status.st_mode & OTHERS:
            private = FOLDER_MODE if path == folder else FILE_MODE
            yield f"Other users of this machine may use {path}", f"Run: chmod {private:o} {path}"
        if status.st_uid not in {os.geteuid(), 0}:
            yield (
                f"{path} belongs to user {status.st_uid}, but this command runs as user {os.geteuid()}",
                f"Run: chown {os.geteuid()} {path}",
            )
    mounts = MOUNTS.read_text(encoding="utf-8", errors="replace") if MOUNTS.exists() else ""
    kind = file_system(mounts, device=folder.stat().st_dev)
    if kind in NETWORKED:
        yield (
            f"{folder} is on a network file system ({kind}), whose locks and syncs cannot be relied on",
            "Name a folder on a disk of this machine with --state or REBALANCER_STATE.",
        )


def file_system(mounts: str, *, device: int) -> str | None:
    """The type of file system on a device by Linux's `mountinfo`, or None if it does not say.

    A line is `36 35 98:0 /root /mount rw,noatime master:1 - ext3 /dev/root rw`; source: proc_pid_mountinfo(5).
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        here, _, there = line.partition(" - ")
        if here.split()[2:3] == [wanted]:
            return there.split()[0]
    return None
