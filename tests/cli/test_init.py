"""`init`: the first files, from a gateway that is there or not; whatever is there already stays as it is."""

import os
import stat
from functools import partial
from pathlib import Path

import pytest
from tests.support.commands import FIRST, SECOND, Here
from tests.support.sandbox import order_messages
from tests.support.schemas import check_document
from tests.support.terminal import on_terminal

from ibkr_rebalancer.config.environment import read_dotenv

LIVE = "U1234567"


@pytest.fixture
def bare(here: Here) -> Here:
    """Nothing but a gateway and its address."""
    (here.folder / "accounts.yaml").unlink()
    for name in ("REBALANCER_CONFIG", "REALTIME_API_KEY", "REALTIME_ENDPOINT", "ALLOCATIONS_API_KEY"):
        here.monkeypatch.delenv(name)
    return here


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_from_nothing_to_a_healthy_installation(bare: Here) -> None:
    """What it leaves open the next command names, line by line; what it has filled in is right."""
    bare.sandbox.change({"accounts": {LIVE: {"cash": "1"}}})
    os.umask(kept := os.umask(0))
    ended = bare.run("init")
    assert (ended.exit_code, os.umask(kept)) == (0, kept)
    files = (bare.folder / "accounts.yaml", bare.folder / ".env")
    assert [mode_of(file) for file in files] == [0o600, 0o600]
    assert f"manages the paper accounts {FIRST}, {SECOND}. Left out, as TRADING_MODE is paper: {LIVE}." in ended.out
    given = {name: given.text for name, given in read_dotenv(files[1]).given.items()}
    assert given["IBKR_PORT"] == bare.environment["IBKR_PORT"]
    assert not {"REALTIME_API_KEY", "ALLOCATIONS_API_KEY", "IBKR_PASSWORD"} & given.keys()

    missing = bare.run("plan")
    assert missing.exit_code == 78
    assert missing.err.count("notification.channel is ''") == missing.err.count("allocations.url cannot be used") == 2

    text = files[0].read_text(encoding="utf-8")
    for name in ("primary", "secondary"):
        text = text.replace('channel: ""', f'channel: "rebalance-{name}"', 1)
        text = text.replace('url: ""', f'url: "{bare.sandbox.inside.allocations_url}/{name}"', 1)
    files[0].write_text(text, encoding="utf-8")
    keys = ("REALTIME_API_KEY", "REALTIME_ENDPOINT", "ALLOCATIONS_API_KEY")
    bare.set(**{name: bare.sandbox.inside.env[name] for name in keys})
    assert bare.run("doctor").exit_code == 0
    assert bare.run("execute", "--dry-run").exit_code == 0


def test_one_document(bare: Here) -> None:
    bare.sandbox.change({"accounts": {LIVE: {"cash": "1"}}})
    (bare.folder / "conf").mkdir()
    ended = bare.run("init", "-c", "conf/accounts.yaml", "--mode", "live", "--json")
    check_document(ended.document)
    folder = bare.folder / "conf"
    assert ended.document["written"] == [str(folder / "accounts.yaml"), str(folder / ".env")]
    assert (ended.document["mode"], ended.document["accounts"]) == ("live", [LIVE])
    assert ended.document["passed_over"] == [FIRST, SECOND]
    assert ended.document["gateway_error"] is None
    assert not order_messages(bare.sandbox.log)


def test_without_a_gateway_it_says_so_and_leaves_the_account_open(bare: Here) -> None:
    ended = bare.run("init", "--host", "127.0.0.1", "--port", "1")
    assert ended.exit_code == 0
    assert "No gateway can be reached at 127.0.0.1:1" in ended.err
    assert "could not be asked: fill in the account as well." in ended.out
    assert bare.run("plan").err.count("account_id is ''") == 1
    (bare.folder / "accounts.yaml").unlink()
    ended = bare.run("init", "--port", "1", "--json")
    check_document(ended.document)
    assert ended.document["gateway_error"]["code"] == "GATEWAY_UNREACHABLE"
    assert ended.document["written"] == [str(bare.folder / "accounts.yaml")]


def test_a_gateway_without_accounts_of_the_mode(bare: Here) -> None:
    bare.set(TRADING_MODE="live")
    ended = bare.run("init")
    assert ended.exit_code == 0
    assert "manages no live account: fill it in as well." in ended.out


def test_nothing_that_is_there_is_touched(bare: Here) -> None:
    dotenv = bare.folder / ".env"
    dotenv.write_text(f"IBKR_PORT={bare.environment['IBKR_PORT']}\nMINE=1\n", encoding="utf-8")
    dotenv.chmod(0o640)
    before = dotenv.read_bytes()
    bare.monkeypatch.delenv("IBKR_PORT")
    ended = bare.run("init")
    assert ended.exit_code == 0
    assert FIRST in (bare.folder / "accounts.yaml").read_text(encoding="utf-8")
    assert (dotenv.read_bytes(), mode_of(dotenv)) == (before, 0o640)
    accounts = (bare.folder / "accounts.yaml").read_bytes()
    ended = bare.run("init")
    assert ended.exit_code == 2
    assert "they were left as they are" in ended.err
    assert (bare.folder / "accounts.yaml").read_bytes() == accounts


def test_a_link_that_leads_nowhere_is_there_too(bare: Here) -> None:
    (bare.folder / "accounts.yaml").symlink_to(bare.folder / "elsewhere")
    (bare.folder / ".env").symlink_to(bare.folder / "elsewhere")
    assert bare.run("init").exit_code == 2
    assert not (bare.folder / "elsewhere").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(("-c", "nowhere/accounts.yaml"), 2), (("--mode", "play"), 2), (("--port", "0"), 2), (("--host", "a b"), 78)],
)
def test_what_cannot_be_done(bare: Here, arguments: tuple[str, ...], exit_code: int) -> None:
    assert bare.run("init", *arguments).exit_code == exit_code
    assert [*bare.folder.glob("*.yaml"), *bare.folder.glob(".env")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_in_a_folder_of_somebody_else(bare: Here) -> None:
    for folder in (bare.folder, *bare.folder.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o555)
    os.seteuid(65534)
    try:
        ended = bare.run("init", "--port", "1")
    finally:
        os.seteuid(0)
    assert ended.exit_code == 2
    assert "accounts.yaml cannot be written: Permission denied." in ended.err


@pytest.mark.parametrize("in_a_file", [False, True], ids=["both", "one is in a file"])
def test_on_a_terminal_the_keys_are_asked_for_and_not_shown(bare: Here, in_a_file: bool) -> None:
    file = "key" if in_a_file else ""
    unset = partial(on_terminal, REBALANCER_CONFIG="", REALTIME_API_KEY="", ALLOCATIONS_API_KEY="")
    with unset(bare, "init", ALLOCATIONS_API_KEY_FILE=file) as terminal:
        terminal.err.until("REALTIME_API_KEY")
        terminal.type("two words")
        terminal.err.until("It must be printable ASCII without spaces.\nREALTIME_API_KEY")
        terminal.type("name:its'secret")
        if not in_a_file:
            terminal.err.until("ALLOCATIONS_API_KEY")
            terminal.type("")
        assert terminal.end() == 0
    given = read_dotenv(bare.folder / ".env").given
    assert given["REALTIME_API_KEY"].text == "name:its'secret"
    assert "ALLOCATIONS_API_KEY" not in given
    assert "secret" not in terminal.out.text + terminal.err.text
    assert ("ALLOCATIONS_API_KEY" in terminal.err.text) is not in_a_file
