"""The journal as the switchboard between processes: who works on an account, and whether trading is halted."""

import os
import re
import signal
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
            f"Another run is at work on DU1 (pid {other.pid}, since 2026-11-23T15:30:00Z). Nothing was sent."
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


def test_trading_is_halted_until_it_is_resumed(tmp_path: Path) -> None:
    later = Halt(at=NOW + timedelta(seconds=1), reason="the limit of rejects was reached")
    with opened(tmp_path) as journal:
        journal.resume(at=NOW, reason="it was not halted")
        assert journal.halted() is None
        journal.halt(HALT)
        assert journal.halted() == HALT
        journal.halt(later)
        assert journal.halted() == later
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
