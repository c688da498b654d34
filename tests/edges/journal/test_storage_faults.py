"""A disk that is full or fails: at whichever write, nothing is promised that is not kept, and nothing follows it."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from tests.support.events import CHANNEL, entry, event, put_off
from tests.support.journal import (
    ACCOUNT,
    DOCUMENT,
    FILLED,
    HALT,
    PLAN,
    RUN,
    SNAPSHOT,
    begin,
    everything,
    intent,
    opened,
    report,
    start,
    told,
)
from tests.support.journal_process import ROOT, process
from tests.support.notation import NOW, con_id

from ibkr_rebalancer.core.errors import StorageFailed
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.edges.journal import opening
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.tables import ROWS_KEPT

Write = Callable[[Journal, int], None]
"""A write, and which one of its kind it is."""

MANY = 50
"""More runs than reports fit into the space that is left."""


def _observe(journal: Journal, number: int) -> None:
    journal.observe([told(1, second=number)])


def _settle(journal: Journal, number: int) -> None:
    journal.settle(intent(1).order_ref, replace(FILLED, filled=number))


def _keep_plan(journal: Journal, number: int) -> None:
    journal.keep_plan(RUN, document=DOCUMENT, snapshot=SNAPSHOT, plan=replace(PLAN, plan_id=str(number)))


def _keep(journal: Journal, number: int) -> None:
    journal.inbox.keep(event(number), [ACCOUNT])


def _take_step(journal: Journal, number: int) -> None:
    journal.inbox.take_steps({entry(1): put_off(NOW + timedelta(minutes=number))})


def _advance(journal: Journal, number: int) -> None:
    journal.inbox.advance(CHANNEL, NOW + timedelta(minutes=number))


def _named(number: int) -> dict[ContractQuery, ConId]:
    return {ContractQuery(symbol="AAA"): con_id(f"S{number}")}


WRITES: dict[str, tuple[Write, str]] = {
    "start_run": (lambda journal, number: journal.start_run(start(f"r{number}")), r"Run r\d+ is not recorded\."),
    "keep_plan": (_keep_plan, r"Plan \d+ is not kept, and none of its orders was sent\."),
    "intend": (lambda journal, number: journal.intend(intent(number)), r"SELL 10 AAA \(rb1-\d+-1\) was not sent\."),
    "observe": (_observe, r"No further order is sent; what the broker said can be asked again\."),
    "settle": (_settle, r"The outcome of rb1-0000000000000001-1 is not kept\."),
    "end_run": (lambda journal, number: journal.end_run(report(f"r{number}")), r"The report of run r\d+ is not kept\."),
    "adopt": (lambda journal, number: journal.adopt(ACCOUNT, [con_id(f"S{number}")]), "No holding of DU1 was adopted."),
    "pin": (lambda journal, number: journal.pin(_named(number)), r"No contract was pinned\."),
    "keep": (_keep, "An event of rebalance-primary is not kept, and not carried out."),
    "take_steps": (_take_step, r"What came of events is not kept: \w+ for DU1\."),
    "halt": (lambda journal, _: journal.halt(HALT), r"TRADING IS NOT HALTED: end the processes that trade\."),
    "resume": (lambda journal, _: journal.resume(at=NOW, reason="all is well"), r"Trading stays halted\."),
}
"""Those that add to the history."""

ALL_WRITES = WRITES | {
    "advance": (_advance, r"How far the messages of rebalance-primary were read is not kept\."),
    "acknowledge": (lambda journal, _: journal.acknowledge(HALT), r"The halt is not acknowledged\."),
}


def prepared(folder: Path, name: str) -> None:
    with opened(folder) as journal:
        begin(journal)
        journal.intend(intent(1))
        journal.inbox.keep(event(1), [ACCOUNT])
        journal.halt(HALT)
        for number in range(2, MANY) if name == "end_run" else ():
            journal.start_run(start(f"r{number}"))


def until_it_fails(journal: Journal, write: Write) -> StorageFailed:
    """The first write that fails; nothing of it is kept."""
    for number in count(2):
        rows = rows_of(journal)
        try:
            write(journal, number)
        except StorageFailed as failure:
            assert rows_of(journal) == rows
            return failure
        assert rows_of(journal) > rows
    raise AssertionError("it never fails")


def rows_of(journal: Journal) -> int:
    with journal._store.engine.connect() as connection:
        rows: int = connection.execute(ROWS_KEPT).scalar_one()
    return rows


@pytest.mark.parametrize("name", WRITES)
def test_a_full_disk_stops_at_every_write(tmp_path: Path, name: str) -> None:
    write, consequence = WRITES[name]
    prepared(tmp_path, name)
    with opened(tmp_path) as journal:
        with journal._store.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        failure = until_it_fails(journal, write)
        kept = everything(journal)

        assert (failure.code, failure.exit_code) == ("STORAGE_FULL", 30)
        assert re.fullmatch(
            rf"{re.escape(str(tmp_path))}/journal\.db cannot grow: the disk is full \(database or disk is full\)\. "
            rf"{consequence} (No order of this process is at work|What this process may have at work at the broker: "
            r"rb1-.*)\.",
            failure.message,
        )
        assert failure.hint == "Free space on the disk that holds the state folder, then run the command again."
    with opened(tmp_path) as journal:
        assert everything(journal) == kept


@pytest.mark.parametrize("name", ALL_WRITES)
def test_after_a_failure_nothing_is_written_any_more(tmp_path: Path, name: str) -> None:
    """Also when there is space again: this process cannot know what else it has missed."""
    prepared(tmp_path, name)
    with opened(tmp_path) as journal:
        with journal._store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        failure = until_it_fails(journal, WRITES["intend"][0])
        kept = everything(journal)
        with journal._store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")

        with pytest.raises(StorageFailed, match=ALL_WRITES[name][1]) as caught:
            ALL_WRITES[name][0](journal, MANY)
        assert caught.value.code == "STORAGE_FULL"
        assert caught.value.message.endswith(f" The journal has failed before: {failure.message}")
        assert everything(journal) == kept
    with opened(tmp_path) as journal:
        ALL_WRITES[name][0](journal, MANY - 1)


def test_a_failure_that_is_met_again_is_told_once(tmp_path: Path) -> None:
    prepared(tmp_path, "observe")
    with opened(tmp_path) as journal:
        with journal._store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        failure = until_it_fails(journal, _observe)
        with pytest.raises(StorageFailed) as caught:
            _observe(journal, MANY)
    assert caught.value.message == failure.message
    assert failure.message.count("No further order is sent") == 1


def test_a_failure_names_what_may_be_at_work(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        begin(journal)
        for number in (1, 2, 3):
            journal.intend(intent(number))
        journal.settle(intent(2).order_ref, FILLED)
        with pytest.raises(StorageFailed) as caught:
            journal.intend(intent(3))

    assert caught.value.message.endswith(
        "SELL 10 AAA (rb1-0000000000000003-1) was not sent. What this process may have at work at the broker: "
        "rb1-0000000000000001-1, rb1-0000000000000003-1."
    )


@pytest.mark.parametrize("name", ALL_WRITES)
def test_a_sync_that_fails_is_the_end(tmp_path: Path, name: str) -> None:
    """The log's descriptor is turned into one that takes every write and cannot be synced."""
    prepared(tmp_path, name)
    with opened(tmp_path) as journal:
        WRITES["intend"][0](journal, 2)
        kept = everything(journal)
        _turn_into_nothing(tmp_path / "journal.db-wal")
        with pytest.raises(StorageFailed, match=ALL_WRITES[name][1]) as caught:
            ALL_WRITES[name][0](journal, 3)
        assert caught.value.code == "STORAGE_ERROR"
        assert "could not be read or written for certain (disk I/O error, SQLITE_IOERR_FSYNC)" in caught.value.message
        with pytest.raises(StorageFailed, match="has failed before"):
            journal.intend(intent(4))
    with opened(tmp_path) as journal:
        assert everything(journal) == kept


def _turn_into_nothing(path: Path) -> None:
    nothing = os.open("/dev/null", os.O_RDWR)
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and os.path.realpath(link) == str(path):
            os.dup2(nothing, int(link.name))
    os.close(nothing)


def test_a_write_that_the_system_refuses_is_the_end(tmp_path: Path) -> None:
    """No file may become longer than 300 KiB."""
    limited = ("sh", "-c", 'ulimit -f 600; exec "$@"', "sh")
    with process("write", tmp_path, under=limited) as writing:
        *kept, last = writing.lines(10_000)

    assert last == "STORAGE_ERROR"
    _assert_kept(tmp_path, kept)


def _assert_kept(folder: Path, told_kept: list[str]) -> None:
    with opened(folder) as journal:
        orders = [order.intent.order_ref for order in journal.orders(ACCOUNT, since=NOW)]
    assert told_kept[0] == "ready"
    assert orders[: len(told_kept) - 1] == told_kept[1:]


SMALL_DISK = """
mount -t tmpfs -o size=400k tmpfs "$1" && "$2" -m tests.support.journal_process write "$1/state"
cp -r "$1/state" "$1.copy"
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system of 400 KiB, in a name space of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK, "sh", str(disk), sys.executable]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if "unshare" in ended.stderr or "mount" in ended.stderr:
        pytest.skip(f"no name space can be made here: {ended.stderr}")

    *kept, last = ended.stdout.split()
    assert last == "STORAGE_FULL", ended
    _assert_kept(tmp_path / "disk.copy", kept)


def test_a_marker_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        (tmp_path / "journal.marker").unlink()
        with pytest.raises(StorageFailed) as caught:
            journal.start_run(start())
    assert caught.value.code == "STORAGE_UNWRITABLE"
    assert caught.value.message.startswith(f"{tmp_path}/journal.marker cannot be opened for writing")


def test_a_journal_that_has_failed_is_trusted_by_nobody_any_more(tmp_path: Path) -> None:
    """Also by those who have nothing to keep just now: they are about to send what they kept before."""
    with opened(tmp_path) as journal:
        journal.require_trusted()
        (tmp_path / "journal.marker").unlink()
        with pytest.raises(StorageFailed) as first:
            journal.start_run(start())
        with pytest.raises(StorageFailed) as caught:
            journal.require_trusted()
    assert caught.value.code == first.value.code
    assert caught.value.message == f"Nothing more is sent. The journal has failed before: {first.value.message}"


def test_a_journal_that_another_keeps_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PATIENCE_S", 0.05)
    with opened(tmp_path) as journal:
        begin(journal)
        other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert journal.halted() is None
        with pytest.raises(StorageFailed) as caught:
            journal.intend(intent())
        other.close()

    assert caught.value.code == "STORAGE_BUSY"
    assert caught.value.message == (
        f"{tmp_path}/journal.db was kept locked by another process for too long (database is locked). "
        "SELL 10 AAA (rb1-0000000000000001-1) was not sent. No order of this process is at work."
    )


def test_damage_that_is_met_while_reading_stops_the_writing(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        begin(journal)
        with journal._store.engine.connect() as connection:
            connection.exec_driver_sql("DROP TABLE outcomes")
        with pytest.raises(StorageFailed) as caught:
            journal.unsettled(ACCOUNT)
        assert caught.value.code == "JOURNAL_CORRUPT"
        with pytest.raises(StorageFailed, match="has failed before"):
            journal.intend(intent())


def test_a_folder_on_a_full_disk_is_not_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of a first opening that failed is taken up by the next one."""
    monkeypatch.setitem(opening.SETTINGS, "max_page_count", 3)
    with pytest.raises(StorageFailed) as caught, opened(tmp_path):
        pass
    assert caught.value.code == "STORAGE_FULL"
    assert not (tmp_path / "journal.marker").exists()
    monkeypatch.undo()
    with opened(tmp_path) as journal:
        assert journal.is_new
