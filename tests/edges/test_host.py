"""The clock, and what a service manager hears: over a real datagram socket, as systemd's."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from tests.support.notify_socket import NotifySocket

from ibkr_rebalancer.edges.host import LONGEST_STATUS, SystemClock, Systemd
from ibkr_rebalancer.ports import Supervisor

OURS = str(os.getpid())


def test_the_clock_is_aware_utc_and_runs() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


@pytest.fixture(params=["path", "abstract"])
def notify_socket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NotifySocket]:
    name = f"@rebalancer-{uuid4()}" if request.param == "abstract" else f"{tmp_path}/notify"
    with NotifySocket(name) as there:
        yield there


def test_a_supervisor_hears_all_there_is_to_say(notify_socket: NotifySocket) -> None:
    systemd: Supervisor = Systemd({"NOTIFY_SOCKET": notify_socket.name, "WATCHDOG_USEC": "60000000"})
    systemd.ready()
    systemd.status("Gateway up")
    systemd.beat()
    systemd.stopping()
    systemd.extend(by_s=30)
    assert notify_socket.heard() == [
        "READY=1",
        "STATUS=Gateway up",
        "WATCHDOG=1",
        "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=30000000",
    ]


def test_what_was_said_is_not_said_again_but_for_beats(notify_socket: NotifySocket) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": notify_socket.name, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": OURS})
    for _ in range(2):
        systemd.ready()
        systemd.status("Gateway up")
        systemd.beat()
    systemd.status("Gateway down")
    assert notify_socket.heard() == ["READY=1", "STATUS=Gateway up", "WATCHDOG=1", "WATCHDOG=1", "STATUS=Gateway down"]


def test_a_status_is_one_line_and_no_longer_than_is_read(notify_socket: NotifySocket) -> None:
    """What a gateway says goes into it, and must not become an assignment."""
    systemd = Systemd({"NOTIFY_SOCKET": notify_socket.name})
    systemd.status("It said:\nMAINPID=1\r\n\u2028 no")
    systemd.status("\N{GRINNING FACE}" * 10_000)
    systemd.status("\udcff")
    one_line, long, odd = notify_socket.heard()
    assert one_line == "STATUS=It said: MAINPID=1 no"
    assert long == "STATUS=" + "\N{GRINNING FACE}" * LONGEST_STATUS
    assert len(long.encode()) < 4096
    assert odd == "STATUS=?"


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "-1"}]
    + [{"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": pid} for pid in ("1", "me")],
)
def test_nobody_beats_for_a_watchdog_that_is_off_or_not_ours(environ: dict[str, str], tmp_path: Path) -> None:
    with NotifySocket(f"{tmp_path}/notify") as there:
        systemd = Systemd({"NOTIFY_SOCKET": there.name, **environ})
        systemd.beat()
        systemd.ready()
        assert there.heard() == ["READY=1"]


SAYINGS: tuple[Callable[[Systemd], None], ...] = (
    lambda systemd: systemd.ready(),
    lambda systemd: systemd.status("Gateway up"),
    lambda systemd: systemd.beat(),
    lambda systemd: systemd.stopping(),
    lambda systemd: systemd.extend(by_s=1),
)


@pytest.mark.parametrize(
    "name", [None, "", "relative", "vsock:2:1234", "@nobody", "/no/such/socket", "/" * 200, "/bytes-\udcff"]
)
def test_without_anybody_who_hears_nothing_happens(name: str | None) -> None:
    systemd = Systemd({"WATCHDOG_USEC": "60000000"} | ({} if name is None else {"NOTIFY_SOCKET": name}))
    for say in SAYINGS:
        say(systemd)


def test_a_supervisor_that_does_not_listen_is_not_waited_for_and_told_later(tmp_path: Path) -> None:
    with NotifySocket(f"{tmp_path}/notify") as there:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, suppress(BlockingIOError):
            other.setblocking(False)
            while True:
                other.sendto(b"X=1", there.name)
        systemd = Systemd({"NOTIFY_SOCKET": there.name, "WATCHDOG_USEC": "60000000"})
        for say in SAYINGS:
            say(systemd)
        assert set(there.heard()) == {"X=1"}
        systemd.ready()
        systemd.status("Gateway up")
        assert there.heard() == ["READY=1", "STATUS=Gateway up"]
