"""The journal as the switchboard between processes: who works on an account, and whether trading is halted."""

import fcntl
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.journal import ACCOUNT, HALT, fill, opened, statements
from tests.support.journal_process import process
from tests.support.notation import NOW

from ibkr_rebalancer.core.errors import Busy, StorageFailed
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.ports import Halt

LATER = Halt(at=NOW + timedelta(seconds=1), reason="the limit of rejects was reached")


def refusal(journal: Journal, account: AccountId = ACCOUNT) -> Busy:
    with pytest.raises(Busy) as caught, journal.hold(account):
        pass
    return caught.value


def test_an_account_is_held_by_one_process(tmp_path: Path) -> None:
    with process("hold", tmp_path) as other, opened(tmp_path) as journal:
        assert other.lines(1) == ["ready"]

        busy = refusal(journal)
        assert (busy.code, busy.exit_code) == ("ACCOUNT_BUSY", 15)
        assert busy.message == (
            f"Another run is at work on DU1 (pid {other.pid}, since 2026-11-23 15:30 UTC). Nothing was sent."
        )
        assert busy.hint == "Wait until it has ended, or end it; then run the command again."


def test_another_account_is_free(tmp_path: Path) -> None:
    with process("hold", tmp_path) as other, opened(tmp_path) as journal:
        assert other.lines(1) == ["ready"]
        with journal.hold(AccountId("DU2")):
            pass


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_holder_that_dies_leaves_the_account_free(tmp_path: Path, by: int) -> None:
    with process("hold", tmp_path) as other, opened(tmp_path) as journal:
        assert other.lines(1) == ["ready"]
        other.end(by)
        with journal.hold(ACCOUNT):
            pass


def test_an_account_is_free_again_after_the_block(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for _ in range(2):
            with pytest.raises(KeyError), journal.hold(ACCOUNT):
                raise KeyError
    with process("hold", tmp_path) as other:
        assert other.lines(1) == ["ready"]


def test_a_process_does_not_hold_an_account_twice(tmp_path: Path) -> None:
    """Neither over the same journal nor over another one of the same folder."""
    with opened(tmp_path) as journal, opened(tmp_path) as second, journal.hold(ACCOUNT):
        assert f"(pid {os.getpid()}, since " in refusal(journal).message
        assert f"(pid {os.getpid()}, since " in refusal(second).message


def test_a_lock_file_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with opened(tmp_path / "state") as journal:
        (tmp_path / "state" / "DU1.lock").symlink_to(target)
        with pytest.raises(StorageFailed, match=re.escape(f"{tmp_path}/state/DU1.lock cannot be opened for writing")):
            journal.hold(ACCOUNT).__enter__()
    assert not target.exists()


def test_one_process_watches(tmp_path: Path) -> None:
    with process("watch", tmp_path) as other, opened(tmp_path) as journal:
        assert other.lines(1) == ["ready"]
        with pytest.raises(Busy) as caught, journal.watch():
            pass
        assert journal.watcher() == f"pid {other.pid}, since 2026-11-23 15:30 UTC"
        with journal.hold(ACCOUNT):
            pass
    assert (caught.value.code, caught.value.exit_code) == ("WATCH_BUSY", 15)
    assert caught.value.message == (
        f"Another process already watches with the state in {tmp_path} (pid {other.pid}, since 2026-11-23 15:30 UTC). "
        "Nothing was sent."
    )
    assert caught.value.hint == (
        "One watch carries out all events; end the other one first, or name another state folder."
    )


def test_nobody_watches_before_and_after(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert journal.watcher() is None
        with journal.watch():
            assert journal.watcher() == f"pid {os.getpid()}, since 2026-11-23 15:30 UTC"
            with pytest.raises(Busy), journal.watch():
                pass
        assert journal.watcher() is None
        with process("watch", tmp_path) as other:
            assert other.lines(1) == ["ready"]
            other.end(signal.SIGKILL)
            assert journal.watcher() is None


def test_a_question_who_watches_keeps_nobody_from_it(tmp_path: Path) -> None:
    """It takes the lock for a moment, and shares it; whoever would watch comes again until that is over."""
    lock = tmp_path / "watch.lock"
    with opened(tmp_path) as journal, journal.watch():
        pass
    with lock.open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        with process("watch", tmp_path) as other:
            while not is_open_in(other.pid, lock):
                assert other.said_meanwhile() == []
            fcntl.flock(asking, fcntl.LOCK_UN)
            assert other.lines(1) == ["ready"]


def is_open_in(pid: int, path: Path) -> bool:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed meanwhile
            if link.readlink() == path:
                return True
    return False


@pytest.mark.parametrize("ask", [lambda journal: journal.watcher(), lambda journal: journal.watch().__enter__()])
def test_a_watch_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path, ask: Callable[[Journal], object]) -> None:
    (tmp_path / "target").touch()
    with opened(tmp_path / "state") as journal:
        (tmp_path / "state" / "watch.lock").symlink_to(tmp_path / "target")
        with pytest.raises(StorageFailed, match=re.escape(f"{tmp_path}/state/watch.lock cannot be opened for writing")):
            ask(journal)
    assert (tmp_path / "target").read_bytes() == b""


def test_a_halt_is_acknowledged_by_the_watch(tmp_path: Path) -> None:
    with opened(tmp_path) as watching, opened(tmp_path) as person:
        person.halt(HALT)
        assert not person.is_acknowledged(HALT)
        for _ in range(2):
            watching.acknowledge(HALT)
            assert person.is_acknowledged(HALT)
        person.halt(LATER)
        assert not person.is_acknowledged(LATER)
        assert person.is_acknowledged(HALT)


def test_a_halt_is_acknowledged_with_a_later_one(tmp_path: Path) -> None:
    """The watch looks now and then, and sees the newest."""
    with opened(tmp_path) as journal:
        for halt in (HALT, LATER):
            journal.halt(halt)
        journal.acknowledge(LATER)
        assert journal.is_acknowledged(HALT)


def test_a_halt_that_never_was_is_not_acknowledged(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.resume(at=HALT.at, reason=HALT.reason)
        assert not journal.is_acknowledged(HALT)
        with pytest.raises(StorageFailed) as caught:
            journal.acknowledge(HALT)
    assert caught.value.code == "JOURNAL_CONFLICT"


def test_trading_is_halted_until_it_is_resumed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.resume(at=NOW, reason="it was not halted")
        assert journal.halted() is None
        journal.halt(HALT)
        assert journal.halted() == HALT
        journal.halt(LATER)
        assert journal.halted() == LATER
        journal.resume(at=NOW, reason="all is well")
        assert journal.halted() is None
        journal.halt(HALT)
    with opened(tmp_path) as journal:
        assert journal.halted() == HALT


def test_a_halt_by_another_is_seen_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as trading, opened(tmp_path) as person:
        assert trading.halted() is None
        person.halt(HALT)
        assert trading.halted() == HALT
        person.resume(at=NOW, reason="all is well")
        assert trading.halted() is None


def test_a_halt_needs_no_account(tmp_path: Path) -> None:
    with process("hold", tmp_path) as other, opened(tmp_path) as journal:
        assert other.lines(1) == ["ready"]
        journal.halt(HALT)


def test_the_history_of_halts_does_not_slow_the_question(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        fill(journal)
        for _ in range(20):
            journal.halt(HALT)
            journal.resume(at=NOW, reason="all is well")
        asked = statements(journal, journal.halted)
    assert [plan for _, plan in asked] == [["SCAN halts"]], "along the newest id, one row, not sorted"
