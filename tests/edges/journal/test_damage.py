"""A damaged journal is refused, or right: never an answer that is not what was kept."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import create_engine
from tests.support.journal import ACCOUNT, everything, fill, opened
from tests.support.journal_process import process
from tests.support.notation import NOW

from ibkr_rebalancer.core.errors import StorageFailed
from ibkr_rebalancer.edges.journal.marker import Marker
from ibkr_rebalancer.edges.journal.tables import ROWS_KEPT

HEADER = 100
"""Bytes before the first table, many of them unused: https://www.sqlite.org/fileformat.html."""

FLIPS = 150
CUTS = 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder at rest."""
    folder = tmp_path_factory.mktemp("whole")
    with opened(folder) as journal:
        fill(journal)
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder whose writer was killed: its last orders are in the log only, and the marker knows of them.

    A kill can fall between a commit and its mark, and then that one commit may be missed; such a folder is no use here.
    """
    while True:
        folder = tmp_path_factory.mktemp("killed")
        with opened(folder) as journal:
            fill(journal)
        with process("write", folder) as writing:
            writing.lines(6)
        if Marker(folder).rows() == _rows(folder, tmp_path_factory.mktemp("counted") / "copy"):
            return folder


def _rows(folder: Path, copy: Path) -> int:
    """How many rows of history a state folder holds, read from a copy so that its log stays as it is."""
    shutil.copytree(folder, copy)
    with create_engine(f"sqlite:///{copy / 'journal.db'}").connect() as connection:
        return int(connection.execute(ROWS_KEPT).scalar_one())


def answers(folder: Path) -> tuple[object, str]:
    """All that a journal says, or the code of its refusal."""
    try:
        with opened(folder) as journal:
            return everything(journal), ""
    except StorageFailed as error:
        return None, error.code


def damaged(folder: Path, copy: Path, name: str, content: bytes) -> tuple[object, str]:
    """What a copy of the folder says when one of its files has this content."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    (copy / name).write_bytes(content)
    return answers(copy)


def flips(content: bytes, number: int, *, always: range = range(0)) -> Iterator[bytes]:
    """The content with one byte changed, at places drawn once and for all; most zeros are unused space."""
    random = Random(20261123)  # noqa: S311 (reproducible, not secret)
    places = [*always, *random.sample([place for place, byte in enumerate(content) if byte], number)]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= random.choice((0x01, 0x10, 0x80, 0xFF))
        yield bytes(changed)


def test_a_changed_byte_of_the_database_is_noticed_or_harmless(whole: Path, tmp_path: Path) -> None:
    kept, _ = answers(whole)
    content = (whole / "journal.db").read_bytes()

    said = [
        damaged(whole, tmp_path / "copy", "journal.db", changed)
        for changed in flips(content, FLIPS, always=range(HEADER))
    ]

    assert {answer == kept for answer, code in said if not code} == {True}
    assert {code for _, code in said} <= {"", "JOURNAL_CORRUPT", "JOURNAL_VERSION", "STORAGE_UNWRITABLE"}
    assert sum(bool(code) for _, code in said[HEADER:]) > FLIPS / 2


def test_a_database_cut_short_is_refused(whole: Path, tmp_path: Path) -> None:
    content = (whole / "journal.db").read_bytes()
    random = Random(20261123)  # noqa: S311 (reproducible, not secret)
    lengths = [0, 1, 15, 16, 99, 100, 511, 512, 4095, 4096, 4097, len(content) - 4096, len(content) - 1]

    said = {
        damaged(whole, tmp_path / "copy", "journal.db", content[:length])[1]
        for length in [*lengths, *random.sample(range(len(content)), CUTS)]
    }

    assert said == {"JOURNAL_CORRUPT"}


def test_a_changed_byte_of_the_log_is_noticed_or_harmless(killed: Path, tmp_path: Path) -> None:
    """SQLite passes over what does not fit its checksum there, and all that follows, without a word."""
    content = (killed / "journal.db-wal").read_bytes()
    kept, _ = answers(Path(shutil.copytree(killed, tmp_path / "whole")))

    said = [damaged(killed, tmp_path / "copy", "journal.db-wal", changed) for changed in flips(content, FLIPS)]

    assert {answer == kept for answer, code in said if not code} <= {True}
    assert {code for _, code in said} - {""} == {"JOURNAL_LOST"}


def test_a_log_cut_short_is_noticed(killed: Path, tmp_path: Path) -> None:
    content = (killed / "journal.db-wal").read_bytes()
    random = Random(20261123)  # noqa: S311 (reproducible, not secret)

    said = {
        damaged(killed, tmp_path / "copy", "journal.db-wal", content[:length])[1]
        for length in [0, 1, 32, len(content) - 1, *random.sample(range(len(content)), CUTS)]
    }

    assert said == {"JOURNAL_LOST"}


@pytest.mark.parametrize("content", [b"\x00" * 4096, b"\xff" * 10_000, b"SQLite format 3\x00", b"<html>" * 1000, b"x"])
@pytest.mark.parametrize("has_marker", [True, False])
def test_something_else_in_its_place_is_refused(
    whole: Path, tmp_path: Path, content: bytes, *, has_marker: bool
) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "copy"))
    (copy / "journal.db").write_bytes(content)
    if not has_marker:
        (copy / "journal.marker").unlink()

    assert answers(copy)[1] == "JOURNAL_CORRUPT"
    assert (copy / "journal.db").read_bytes() == content, "it is left as it is"


def test_a_text_that_is_none_is_refused(whole: Path, tmp_path: Path) -> None:
    content = (whole / "journal.db").read_bytes()
    place = content.index(b"the owner is on holiday")

    _, code = damaged(whole, tmp_path / "copy", "journal.db", content[:place] + b"\xff" + content[place + 1 :])

    assert code == "JOURNAL_CORRUPT"


def test_what_was_killed_is_whole(killed: Path, tmp_path: Path) -> None:
    with opened(Path(shutil.copytree(killed, tmp_path / "copy"))) as journal:
        assert len(journal.orders(ACCOUNT, since=NOW)) >= 3 + 5
