"""What the machine itself provides: its clock, its disks, and the service manager that may have started us.

The service manager is told what goes on by the notification protocol of systemd; source: sd_notify(3) and
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html.
"""

import os
import shutil
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

LONGEST_STATUS = 500
"""Characters of a status; systemd passes over datagrams of more than 4,096 bytes."""


class SystemClock:
    """This machine's clock."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)


def free_bytes(folder: Path) -> int:
    """What may still be written to the disk that holds the folder, which is there.

    Raises:
        OSError: nobody can say.
    """
    return shutil.disk_usage(folder).free


class Systemd:
    """The `Supervisor` that the environment names in `NOTIFY_SOCKET`; if there is none, nothing happens."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._wants_beats = _wants_beats(environ)
        self._is_ready = False
        self._status = ""

    def ready(self) -> None:
        """Say once that the start is over; again until it was heard, for it is waited for."""
        self._is_ready = self._is_ready or self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in a line what goes on, unless it has been said."""
        line = " ".join(text.split())[:LONGEST_STATUS]  # a line end would begin another assignment
        if line != self._status and self._send(f"STATUS={line}"):
            self._status = line

    def beat(self) -> None:
        if self._wants_beats:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def extend(self, *, by_s: float) -> None:
        self._send(f"EXTEND_TIMEOUT_USEC={by_s * 1e6:.0f}")

    def _send(self, assignment: str) -> bool:
        """Whether it was taken; without waiting for anybody."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(assignment.encode(errors="replace"), self._address)
        except OSError:
            return False
        return True


def _address(named: str) -> bytes | None:
    """Where datagrams go: a path, or with `@` a name in the abstract namespace, whose first byte is 0."""
    if not named.startswith(("/", "@")):
        return None
    address = os.fsencode(named)
    return b"\0" + address[1:] if named.startswith("@") else address


def _wants_beats(environ: Mapping[str, str]) -> bool:
    """Whether the watchdog is on, and meant for this process; as sd_watchdog_enabled(3) has it."""
    interval, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    return interval.lstrip("0").isdecimal() and pid in {"", str(os.getpid())}
