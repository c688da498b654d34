"""What a running watch lets others know: in a real state folder, and to a real socket as systemd has it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.support.notation import NOW
from tests.support.notify_socket import NotifySocket
from tests.support.reading import Notices

from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.watch_status import WatchStatus
from ibkr_rebalancer.edges.host import Systemd
from ibkr_rebalancer.edges.journal.watch_file import WatchFile
from ibkr_rebalancer.flows.signs_of_life import SignsOfLife

NEW = WatchStatus(pid=7, started=NOW, beat=NOW, mode=TradingMode.PAPER, dry_run=False)
UP = Notice(event="events.up", text="It listens to 1 channel")
DOWN = Notice(event="gateway.down", text="The gateway refused s3cr3t")


class Scene:
    """A watch on a state folder, its supervisor and whoever else listens; time goes on when a test says so."""

    def __init__(self, folder: Path, there: NotifySocket) -> None:
        self.time = NOW
        self.supervisor = there
        self.notices = Notices()
        self.file = WatchFile(folder)
        self.signs = SignsOfLife(
            NEW,
            keep=self.file.keep,
            supervisor=Systemd({"NOTIFY_SOCKET": there.name, "WATCHDOG_USEC": "60000000"}),
            clean=lambda text: text.replace("s3cr3t", "***"),
            observer=self.notices,
            clock=self,
        )

    def now(self) -> datetime:
        return self.time

    def after(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    folder = tmp_path / "state"
    folder.mkdir()
    with NotifySocket(f"{tmp_path}/notify") as there:
        yield Scene(folder, there)


def test_before_the_first_beat_nothing_is_kept(scene: Scene) -> None:
    """The folder may be that of a watch at work, and this process be about to be refused."""
    scene.signs.notify(DOWN)
    assert scene.file.status() is None
    scene.signs.beat()
    kept = scene.file.status()
    assert kept is not None
    assert kept.gateway is not None
    assert (kept.pid, kept.beat, kept.gateway.text) == (7, NOW, "The gateway refused ***")


def test_beats_are_kept_every_few_seconds_and_with_changes(scene: Scene) -> None:
    kept = []
    for event in ("beat", "beat", "beat", "beat", "change", "beat", "beat"):
        scene.after(1)
        if event == "change":
            scene.signs.notify(UP)
        else:
            scene.signs.beat()
        status = scene.file.status()
        assert status is not None
        kept.append(((status.beat - NOW).seconds, status.events is not None))
    assert kept == [(1, False), (1, False), (1, False), (4, False), (4, False), (6, True), (6, True)]


def test_all_that_has_changed_between_two_beats_is_written_once(scene: Scene) -> None:
    """Fifty events come together."""
    scene.signs.beat()
    before = scene.file.path.stat().st_ino
    for number in range(50):
        scene.signs.notify(Notice(event="event.received", text=f"Event {number}"))
    assert scene.file.path.stat().st_ino == before
    scene.signs.beat()
    status = scene.file.status()
    assert status is not None
    assert status.newest_event is not None
    assert status.newest_event.text == "Event 49"


def test_a_clock_that_is_set_back_does_not_keep_beats_from_being_kept(scene: Scene) -> None:
    scene.signs.beat()
    scene.after(-3600)
    scene.signs.beat()
    assert scene.file.status() == replace(NEW, beat=scene.time)


def test_a_notice_that_changes_nothing_is_passed_on_and_no_more(scene: Scene) -> None:
    scene.signs.beat()
    scene.file.path.unlink()
    notice = Notice(event="quotes.missing", text="s3cr3t")
    scene.signs.notify(notice)
    scene.signs.beat()
    assert scene.notices.heard == [notice]
    assert scene.file.status() is None


def test_the_supervisor_hears_of_it_in_order(scene: Scene) -> None:
    """The start is over when it is known whether events come; the gateway may take all night."""
    scene.signs.notify(DOWN)
    down = "Gateway down since 2026-11-23 15:30:00 UTC: The gateway refused ***."
    assert scene.supervisor.heard() == [f"STATUS=Watching (paper, rebalancing). {down} Events not known yet."]
    scene.signs.beat()
    assert scene.supervisor.heard() == ["WATCHDOG=1"]
    scene.signs.notify(UP)
    scene.signs.beat()
    since = "Events up since 2026-11-23 15:30:00 UTC."
    assert scene.supervisor.heard() == [
        f"STATUS=Watching (paper, rebalancing). {down} {since}",
        "WATCHDOG=1",
        "READY=1",
    ]
    scene.signs.beat()
    scene.signs.stop()
    scene.signs.beat()
    scene.signs.beat()
    extended = ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=30000000"]
    assert scene.supervisor.heard() == ["WATCHDOG=1", "STOPPING=1", *extended, *extended]


def test_the_start_is_over_in_time_though_nobody_knows_whether_events_come(scene: Scene) -> None:
    scene.signs.beat()
    scene.after(30)
    scene.signs.beat()
    heard = scene.supervisor.heard()
    assert heard[-1] == "READY=1"
    assert heard.count("READY=1") == 1


def test_a_stop_during_the_start_is_no_end_of_it(scene: Scene) -> None:
    scene.signs.notify(UP)
    scene.signs.stop()
    scene.signs.beat()
    assert "READY=1" not in scene.supervisor.heard()


def test_a_disk_that_takes_nothing_is_told_once_and_ends_nothing(scene: Scene) -> None:
    scene.signs.beat()
    hidden = scene.file.path.parent.rename(scene.file.path.parent.with_name("hidden"))
    for _ in range(3):
        scene.after(5)
        scene.signs.beat()
    assert scene.notices.texts == [
        f"rebalancer status cannot be told any more what goes on: {scene.file.path}: No such file or directory"
    ]
    hidden.rename(scene.file.path.parent)
    scene.after(5)
    scene.signs.beat()
    assert scene.file.status() == replace(NEW, beat=scene.time)
    assert len(scene.notices.heard) == 1


def test_an_account_is_not_in_what_anybody_may_read(scene: Scene) -> None:
    scene.signs.notify(Notice(event="event.step", text="Done: event 1 for DU123456", account=AccountId("DU123456")))
    scene.signs.beat()
    assert "DU123456" not in "".join(scene.supervisor.heard())
