"""The file in which a watch keeps its status: whole or the one before, private, and never the end of a watch."""

import os
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.journal_process import ROOT
from tests.support.notation import NOW

from ibkr_rebalancer.core.portfolio import TradingMode
from ibkr_rebalancer.core.watch_status import Condition, Health, Told, WatchStatus
from ibkr_rebalancer.edges.journal.watch_file import WatchFile

NEW = WatchStatus(pid=7, started=NOW, beat=NOW, mode=TradingMode.PAPER, dry_run=False)
FULL = replace(
    NEW,
    beat=NOW + timedelta(seconds=5, microseconds=1),
    mode=TradingMode.LIVE,
    dry_run=True,
    gateway=Condition(health=Health.DOWN, since=NOW, text="“Refused”\n\udcff"),
    events=Condition(health=Health.DEGRADED, since=NOW, text="No history."),
    newest_event=Told(at=NOW, text="One came."),
)


@pytest.mark.parametrize("status", [NEW, FULL], ids=["new", "full"])
def test_a_status_is_kept_and_read(tmp_path: Path, status: WatchStatus) -> None:
    assert WatchFile(tmp_path).keep(status) == ""
    assert WatchFile(tmp_path).status() == status


def test_only_the_newest_is_kept_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        for status in (FULL, NEW):
            assert WatchFile(tmp_path).keep(status) == ""
    finally:
        os.umask(umask)
    assert WatchFile(tmp_path).status() == NEW
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"{}", b'{"pid": 7}', b"[]"])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, content: bytes) -> None:
    file = WatchFile(tmp_path)
    assert file.status() is None
    file.path.write_bytes(content)
    assert file.status() is None
    assert file.keep(NEW) == ""
    assert file.status() == NEW


def test_a_folder_that_is_gone_is_told_and_ends_nothing(tmp_path: Path) -> None:
    file = WatchFile(tmp_path / "gone")
    assert file.keep(NEW) == f"{file.path}: No such file or directory"
    assert file.status() is None


def test_a_disk_without_room_for_all_of_it_leaves_the_last_one(tmp_path: Path) -> None:
    """A write takes what there is room for, and says so in nothing but a number; a limit of the process is alike."""
    assert WatchFile(tmp_path).keep(NEW) == ""
    code = (
        "import resource, sys; from pathlib import Path; from tests.edges.journal.test_watch_file import FULL;"
        "from ibkr_rebalancer.edges.journal.watch_file import WatchFile;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "print(WatchFile(Path(sys.argv[1])).keep(FULL))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / 'watch.json'}: No space left on device\n"
    assert WatchFile(tmp_path).status() == NEW
