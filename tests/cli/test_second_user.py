"""Another user of the machine, without rights, sees and changes nothing, and is told what is in the way.

Each is done for real: as root, then as somebody else, with the whole command.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.commands import FIRST, Here
from tests.support.sandbox import order_messages

NOBODY = 65534
IS_ROOT = os.geteuid() == 0
SECRET = "hunter2-of-the-owner"  # noqa: S105 (of nothing)

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared(here: Here, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder that all users may enter and read, as pytest's own are not, with an accounts.yaml."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (here.folder / "accounts.yaml").rename(folder / "accounts.yaml")
        (folder / "accounts.yaml").chmod(0o644)
        monkeypatch.chdir(folder)
        here.set(HOME=str(folder), REBALANCER_CONFIG=str(folder / "accounts.yaml"))
        assert here.run("plan", FIRST).exit_code == 0  # and all that a command imports is there
        yield folder


def owned(path: Path, content: str) -> None:
    """A file for its owner's eyes only."""
    path.touch(mode=0o600)
    path.write_text(content, encoding="utf-8")


def test_what_a_run_leaves_is_for_its_owner_only(here: Here, shared: Path) -> None:
    state = shared / "state"
    before = os.umask(0)
    try:
        assert here.run("execute", FIRST, "--yes", "--state", str(state)).exit_code == 0
    finally:
        os.umask(before)
    left = [path.name for path in state.iterdir()]
    assert {"journal.db", "journal.marker", f"{FIRST}.lock"} <= set(left)

    with as_nobody():
        with pytest.raises(PermissionError):
            [*state.iterdir()]
        for name in left:
            with pytest.raises(PermissionError):
                (state / name).read_bytes()
        looked = here.run("runs", "--state", str(state))
        halted = here.run("halt", "not yours", "--state", str(state))
        traded = here.run("execute", FIRST, "--yes", "--state", str(state))

    assert (looked.exit_code, looked.out) == (30, "")
    assert "STORAGE_UNWRITABLE" in looked.err
    assert halted.exit_code == 30
    assert "TRADING IS NOT HALTED" in halted.err
    assert traded.exit_code == 30
    assert "Nothing was sent" in traded.err
    listed = here.run("runs", "--state", str(state), "--json").document
    assert len(listed["runs"]) == 1
    assert here.run("plan", FIRST).exit_code == 0


def test_a_dotenv_of_somebody_else_is_not_passed_over(here: Here, shared: Path) -> None:
    """Without it another account, gateway or mode could be meant."""
    owned(shared / ".env", f"ALLOCATIONS_API_KEY={SECRET}\n")

    with as_nobody():
        refused = here.run("execute", FIRST, "--yes")

    assert refused.exit_code == 78
    assert "CONFIG_UNREADABLE" in refused.err
    assert str(shared / ".env") in refused.err
    assert SECRET not in refused.out + refused.err
    assert not order_messages(here.sandbox.log)


def test_a_secret_in_a_file_of_somebody_else(here: Here, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owned(shared / "key", SECRET)
    monkeypatch.delenv("ALLOCATIONS_API_KEY")
    here.set(ALLOCATIONS_API_KEY_FILE=str(shared / "key"))

    with as_nobody():
        refused = here.run("execute", FIRST, "--yes")

    assert refused.exit_code == 78
    assert str(shared / "key") in refused.err
    assert SECRET not in refused.out + refused.err
    assert not order_messages(here.sandbox.log)
