"""Opening a journal: made where there never was one, refused where something is amiss, private in any case."""

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.journal import ACCOUNT, begin, everything, fill, intent, opened
from tests.support.journal_process import process
from tests.support.reading import Notices

from ibkr_rebalancer.core.errors import ConfigError, StorageFailed
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.edges.journal import folder as state_folder
from ibkr_rebalancer.edges.journal.folder import file_system
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.tables import SCHEMA_VERSION

NOBODY = 65534

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder with some history."""
    path = tmp_path / "state"
    with opened(path) as journal:
        fill(journal)
    return path


def refusal(folder: Path) -> StorageFailed:
    with pytest.raises(StorageFailed) as caught, opened(folder):
        pass
    assert caught.value.exit_code == 30
    assert caught.value.message.endswith(" Nothing was sent.")
    return caught.value


def execute(folder: Path, statement: str) -> None:
    """What a person, or another program, does to the database."""
    connection = sqlite3.connect(folder / "journal.db", isolation_level=None)
    connection.execute(statement).fetchall()
    connection.close()


def test_what_sqlite_promises_is_asked_of_every_connection(folder: Path) -> None:
    with opened(folder) as journal, journal._store.engine.connect() as first, journal._store.engine.connect() as second:
        for connection in (first, second):
            promised = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            assert promised == {
                "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000
            }  # fmt: skip


def test_a_journal_out_of_wal_mode_is_brought_back(folder: Path) -> None:
    """As a copy that `VACUUM INTO` made would be."""
    execute(folder, "PRAGMA journal_mode = DELETE")
    with opened(folder) as journal, journal._store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_promise_that_sqlite_does_not_keep_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ibkr_rebalancer.edges.journal.opening.SETTINGS", {"foreign_keys": 1, "synchronous": 9})

    error = refusal(folder)

    assert error.code == "STORAGE_ERROR"
    assert error.message == (
        f"{folder}/journal.db could not be read or written for certain (SQLite refuses synchronous). Nothing was sent."
    )


@pytest.mark.parametrize("name", ["accounts with spaces", "100%41", "what?mode=ro", "#1", "ü"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / name) as journal:
        fill(journal)
    with opened(tmp_path / name) as journal:
        assert not journal.is_new
        assert len(journal.runs(limit=9)) == 4


def test_a_relative_path_is_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with opened(Path("state")) as journal:
        begin(journal)
    assert (tmp_path / "state" / "journal.db").exists()


# Lost and foreign history


def test_a_deleted_database_is_noticed(folder: Path) -> None:
    (folder / "journal.db").unlink()

    for _ in range(2):
        error = refusal(folder)
        assert error.code == "JOURNAL_LOST"
        assert error.message == (
            f"{folder}/journal.db has lost history that it is known to have had (the file is gone). Nothing was sent."
        )
        assert error.hint == (
            "Put the newest journal.db back, together with its journal.db-wal if there is one. If older or no history "
            "is what you want, compare orders and positions at the broker first, then remove journal.marker by hand."
        )
        assert not (folder / "journal.db").exists()


def test_history_can_be_given_up_by_hand(folder: Path) -> None:
    (folder / "journal.db").unlink()
    (folder / "journal.marker").unlink()
    with opened(folder) as journal:
        assert journal.is_new
        assert journal.runs(limit=1) == ()


def test_a_marker_that_is_gone_is_made_again(folder: Path) -> None:
    (folder / "journal.marker").unlink()
    with opened(folder) as journal:
        assert not journal.is_new
    (folder / "journal.db").unlink()
    assert refusal(folder).code == "JOURNAL_LOST"


def test_an_older_copy_is_noticed(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "journal.db", tmp_path / "backup.db")
    with opened(folder) as journal:
        journal.intend(intent(4))
    shutil.copy(tmp_path / "backup.db", folder / "journal.db")

    error = refusal(folder)

    assert error.code == "JOURNAL_LOST"
    assert "(it has 41 rows of at least 42)" in error.message


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 0)], ids=["deleted", "emptied"])
def test_what_was_only_in_the_log_is_missed(folder: Path, damage: Callable[[Path], None]) -> None:
    """A killed process leaves what it committed in journal.db-wal, and a person may think little of that file."""
    with process("write", folder) as writing:
        writing.lines(2)
    damage(folder / "journal.db-wal")

    assert refusal(folder).code == "JOURNAL_LOST"


@pytest.mark.parametrize("text", ["", "nothing", "Rows: 3", "Rows: -00000000003\n", "Rows: 00000000003²\n"])
def test_a_marker_that_says_something_else_is_refused(folder: Path, text: str) -> None:
    marker = folder / "journal.marker"
    begins = marker.read_text(encoding="utf-8").partition("Rows")[0] if text.startswith("Rows") else ""
    marker.write_text(begins + text, encoding="utf-8")

    error = refusal(folder)

    assert error.code == "JOURNAL_CORRUPT"
    assert "(the marker is not as it was written)" in error.message


def test_an_empty_database_is_damage_where_there_was_history(folder: Path) -> None:
    os.truncate(folder / "journal.db", 0)

    error = refusal(folder)

    assert error.code == "JOURNAL_CORRUPT"
    assert "(it has only 0 bytes)" in error.message
    assert (folder / "journal.db").stat().st_size == 0


def _no_tables_yet(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


@pytest.mark.parametrize("left", [Path.touch, _no_tables_yet])
def test_the_making_that_was_cut_short_is_done_again(tmp_path: Path, left: Callable[[Path], None]) -> None:
    left(tmp_path / "journal.db")
    (tmp_path / "journal.marker.new").touch()
    with opened(tmp_path) as journal:
        assert journal.is_new
        fill(journal)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1])
def test_another_schema_is_refused(folder: Path, version: int) -> None:
    execute(folder, f"PRAGMA user_version = {version}")

    error = refusal(folder)

    assert error.code == "JOURNAL_VERSION"
    assert error.message == (
        f"{folder}/journal.db is no journal that this version can read (its schema is {version}, known here is 1). "
        "Nothing was sent."
    )


@pytest.mark.parametrize("has_marker", [True, False])
def test_the_database_of_another_program_is_refused_and_left_as_it_is(folder: Path, *, has_marker: bool) -> None:
    path = folder / "journal.db"
    path.unlink()
    execute(folder, "CREATE TABLE recipes (name TEXT)")
    if not has_marker:
        (folder / "journal.marker").unlink()
    before = path.read_bytes()

    error = refusal(folder)

    assert error.code == "JOURNAL_VERSION"
    assert "(another program wrote it)" in error.message
    assert path.read_bytes() == before
    assert (folder / "journal.marker").exists() is has_marker


def test_a_table_that_is_missing_is_damage(folder: Path) -> None:
    execute(folder, "DROP TABLE pins")

    assert refusal(folder).code == "JOURNAL_CORRUPT"


def test_a_row_without_its_parent_is_damage(folder: Path) -> None:
    execute(folder, "DROP TRIGGER runs_no_delete")
    execute(folder, "DELETE FROM runs WHERE id = 1")

    error = refusal(folder)

    assert error.code == "JOURNAL_CORRUPT"
    assert "(a row has lost its parent)" in error.message


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE intents SET body = replace(body, '\"quantity\":10', '\"quantity\":90')",
        "UPDATE intents SET account = 'DU2'",
        "UPDATE evidence SET body = replace(body, 'Filled', 'Filler')",
        "UPDATE evidence SET of_intent = 3",
        "UPDATE plans SET document = x'00'",
        "UPDATE reports SET body = '{}'",
        "UPDATE halts SET halted = 0",
        "UPDATE pins SET con_id = 1",
        "UPDATE adoptions SET con_id = 1 WHERE id = 1",
        "UPDATE runs SET seal = 'x'",
    ],
)
def test_a_row_that_was_changed_by_hand_is_refused_when_it_is_read(folder: Path, change: str) -> None:
    table = change.split()[1]
    execute(folder, f"DROP TRIGGER {table}_no_update")
    execute(folder, change)

    def answer(journal: Journal) -> None:
        everything(journal)
        journal.unsettled(AccountId("DU2"))

    with opened(folder) as journal:
        with pytest.raises(StorageFailed) as caught:
            answer(journal)
        assert caught.value.code == "JOURNAL_CORRUPT"
        assert "(a row does not fit its seal)" in caught.value.message
        with pytest.raises(StorageFailed, match=r"The journal has failed before: .* does not fit its seal"):
            journal.intend(intent(9))


def test_journals_of_the_first_schema_can_be_read(tmp_path: Path) -> None:
    """What is kept must be readable for ever. Until the first release the schema may still be made anew:
    `python -m tests.support.journal > tests/edges/journal/schema_1.sql`; from then on the file stays as it is.
    """
    script = (Path(__file__).parent / "schema_1.sql").read_text(encoding="utf-8")
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.executescript(script)
    connection.close()
    with opened(tmp_path) as first, opened(tmp_path / "now") as now:
        fill(now)
        assert everything(first) == everything(now)


# Who may look


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_nobody_else_may_look_whatever_the_umask_is(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "state"
    before = os.umask(umask)
    try:
        with opened(path) as journal, journal.hold(ACCOUNT):
            fill(journal)
            found = modes(path)
    finally:
        os.umask(before)

    assert found == {
        "state": 0o700,
        "journal.db": 0o600,
        "journal.db-wal": 0o600,
        "journal.db-shm": 0o600,
        "journal.marker": 0o600,
        "DU1.lock": 0o600,
    }


@pytest.mark.parametrize(
    ("name", "mode", "mend"),
    [(".", 0o750, 0o700), (".", 0o701, 0o700), ("journal.db", 0o644, 0o600), ("journal.marker", 0o620, 0o600)],
)
def test_a_state_that_others_may_use(folder: Path, name: str, mode: int, mend: int) -> None:
    (folder / name).chmod(mode)
    notices = Notices()
    with opened(folder, observer=notices):
        pass
    path = folder / name
    assert notices.texts == [f"Other users of this machine may use {path}. Run: chmod {mend:o} {path}"]
    assert [notice.event for notice in notices.heard] == ["journal.exposed"]

    with pytest.raises(ConfigError) as caught, opened(folder, mode=TradingMode.LIVE):
        pass
    assert (caught.value.code, caught.value.exit_code) == ("INSECURE_PATH", 78)
    assert caught.value.message == (
        f"Other users of this machine may use {path}, and TRADING_MODE is live. Nothing was sent."
    )
    assert caught.value.hint == f"Run: chmod {mend:o} {path}"

    path.chmod(mend)
    with opened(folder, mode=TradingMode.LIVE, observer=(silent := Notices())):
        assert silent.texts == []


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_a_state_of_somebody_else_is_refused_on_live(folder: Path) -> None:
    os.chown(folder / "journal.db", NOBODY, -1)

    with pytest.raises(ConfigError) as caught, opened(folder, mode=TradingMode.LIVE):
        pass
    assert caught.value.message == (
        f"{folder}/journal.db belongs to user 65534, but this command runs as user 0, "
        "and TRADING_MODE is live. Nothing was sent."
    )
    assert caught.value.hint == f"Run: chown 0 {folder}/journal.db"


MOUNTED = "36 27 {major}:{minor} / /mnt rw,relatime shared:1 master:2 - {kind} server:/export rw,vers=4\n"


def test_a_network_file_system_is_refused_on_live(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = folder.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTED.format(major=os.major(device), minor=os.minor(device), kind="nfs4"), encoding="utf-8")
    monkeypatch.setattr(state_folder, "MOUNTS", mounts)
    notices = Notices()

    with opened(folder, observer=notices):
        pass
    with pytest.raises(ConfigError) as caught, opened(folder, mode=TradingMode.LIVE):
        pass

    told = f"{folder} is on a network file system (nfs4), whose locks and syncs cannot be relied on"
    hint = "Name a folder on a disk of this machine with --state or REBALANCER_STATE."
    assert notices.texts == [f"{told}. {hint}"]
    assert (caught.value.code, caught.value.hint) == ("INSECURE_PATH", hint)
    assert caught.value.message == f"{told}, and TRADING_MODE is live. Nothing was sent."


def test_without_a_word_about_mounts_nothing_is_suspected(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_folder, "MOUNTS", folder / "no such file")
    with opened(folder, mode=TradingMode.LIVE):
        pass


@pytest.mark.parametrize(
    ("mounts", "found"),
    [
        ("", None),
        (MOUNTED.format(major=0, minor=48, kind="nfs4"), "nfs4"),
        (MOUNTED.format(major=0, minor=4, kind="nfs4"), None),
        ("22 27 254:0 / / rw - ext4 /dev/vda rw\n" + MOUNTED.format(major=0, minor=48, kind="cifs"), "cifs"),
        ("no mount at all\n", None),
    ],
)
def test_the_file_system_of_a_device(mounts: str, found: str | None) -> None:
    assert file_system(mounts, device=os.makedev(0, 48)) == found


# Where nothing can be written


@contextmanager
def as_nobody() -> Iterator[Path]:
    """Act as a user without rights, in a folder that is open to all."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "state").touch()

    error = refusal(tmp_path / "state")

    assert error.code == "STORAGE_UNWRITABLE"
    assert error.message == (f"{tmp_path}/state cannot be opened for writing (Not a directory). Nothing was sent.")
    assert error.hint == (
        "Check that the state folder belongs to the user running this command and is not mounted read-only, "
        "or name another one with --state or REBALANCER_STATE."
    )


def test_a_folder_where_the_database_should_be(folder: Path) -> None:
    (folder / "journal.db").unlink()
    (folder / "journal.db").mkdir()

    error = refusal(folder)

    assert (error.code, "(it is not a plain file)" in error.message) == ("STORAGE_UNWRITABLE", True)


def test_a_link_where_the_database_should_be(folder: Path, tmp_path: Path) -> None:
    (folder / "journal.db").rename(tmp_path / "elsewhere.db")
    (folder / "journal.db").symlink_to(tmp_path / "elsewhere.db")

    assert refusal(folder).code == "STORAGE_UNWRITABLE"


def test_a_folder_of_the_system(tmp_path: Path) -> None:
    assert refusal(Path("/proc/state")).code == "STORAGE_UNWRITABLE"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")
def test_a_folder_that_may_not_be_written() -> None:
    with as_nobody() as somewhere:
        with opened(somewhere / "state") as journal:
            fill(journal)
        (somewhere / "state").chmod(0o500)
        assert refusal(somewhere / "state").code == "STORAGE_UNWRITABLE"
        (somewhere / "state").chmod(0o700)
        (somewhere / "state" / "journal.db").chmod(0o400)
        assert refusal(somewhere / "state").code == "STORAGE_UNWRITABLE"


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")
def test_another_user_cannot_look() -> None:
    with as_nobody() as somewhere:
        os.seteuid(0)
        with opened(somewhere / "state") as journal:
            fill(journal)
        os.seteuid(NOBODY)
        error = refusal(somewhere / "state")
        assert (error.code, "(Permission denied)" in error.message) == ("STORAGE_UNWRITABLE", True)
        with pytest.raises(PermissionError):
            (somewhere / "state" / "journal.db").read_bytes()
