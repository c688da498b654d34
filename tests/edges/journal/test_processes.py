"""Several processes at one journal, processes that die, and power that fails: what was told as kept is there."""

import os
import shutil
from pathlib import Path
from random import Random

import pytest
from tests.support.journal import ACCOUNT, HALT, opened
from tests.support.journal_process import process
from tests.support.notation import NOW

MOMENTS = 25


def kept_in(folder: Path) -> list[str]:
    with opened(folder) as journal:
        return [order.intent.order_ref for order in journal.orders(ACCOUNT, since=NOW)]


WITH_MARKER = ("journal.marker", "journal.db", "journal.db-wal")


@pytest.mark.parametrize("copied", [WITH_MARKER, WITH_MARKER[1:]], ids=["with marker", "without"])
def test_power_that_fails_loses_nothing_that_was_kept(tmp_path: Path, copied: tuple[str, ...]) -> None:
    """The writer is stopped wherever it is, in the middle of a write too, and the files are taken as they are then."""
    random = Random(20261123)  # noqa: S311 (reproducible, not secret)
    with process("write", tmp_path / "state") as writing:
        known = writing.lines(1)
        assert known.pop() == "ready"
        for moment in range(MOMENTS):
            known += writing.lines(random.randint(1, 9))
            copy = tmp_path / f"copy {moment}"
            copy.mkdir()
            with writing.frozen():
                known += writing.said_meanwhile()
                for name in copied:
                    shutil.copy(tmp_path / "state" / name, copy / name)

            kept = kept_in(copy)
            assert kept[: len(known)] == known
            assert len(kept) <= len(known) + 1, "one may be kept, but not yet told"


def test_a_process_that_is_killed_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    told: list[str] = []
    for lines in (1, 2, 5, 40):
        with process("write", tmp_path) as writing:
            assert writing.lines(1) == ["ready"]
            told += [*writing.lines(lines), *writing.end()]
        kept = kept_in(tmp_path)
        assert kept[: len(told)] == told
        assert len(kept) <= len(told) + 1
        told = kept


def test_readers_and_writers_do_not_disturb_one_another(tmp_path: Path) -> None:
    """One process writes orders; this one reads them, and halts, over two journals of its own."""
    with process("write", tmp_path) as writing, opened(tmp_path) as reader, opened(tmp_path) as other:
        assert writing.lines(1) == ["ready"]
        told: list[str] = []
        for _ in range(4):
            told += writing.lines(1)
            orders = [order.intent.order_ref for order in reader.unsettled(ACCOUNT)]
            assert orders[: len(told)] == told
            for _ in range(10):
                other.halt(HALT)
                assert reader.halted() == HALT
        assert writing.end()[-1:] != ["STORAGE_BUSY"]


def test_processes_that_open_a_new_journal_together_make_one(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with process("hold", folder) as a, process("hold", folder) as b, process("hold", folder) as c:
        said = sorted(asked.lines(1)[0] for asked in (a, b, c))
        assert said == ["ACCOUNT_BUSY", "ACCOUNT_BUSY", "ready"]
        with opened(folder) as journal:
            assert not journal.is_new


def test_a_reader_sees_one_moment(tmp_path: Path) -> None:
    """Intents and evidence are read by two statements; between them nothing may come in."""
    with opened(tmp_path) as journal, journal._store.reading() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM halts").scalar()
        with opened(tmp_path) as other:
            other.halt(HALT)
        assert connection.exec_driver_sql("SELECT count(*) FROM halts").scalar() == before == 0
    with opened(tmp_path) as journal:
        assert journal.halted() == HALT


def test_nothing_is_left_open(tmp_path: Path) -> None:
    def descriptors() -> list[str]:
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return [path for path in map(os.path.realpath, links) if path.startswith(str(tmp_path))]

    with opened(tmp_path) as journal:
        journal.halt(HALT)
        with journal.hold(ACCOUNT):
            assert len(descriptors()) >= 4
    assert descriptors() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["DU1.lock", "journal.db", "journal.marker"]
