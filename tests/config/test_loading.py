from pathlib import Path
from typing import Any

import pytest

from ibkr_rebalancer.config import loading
from ibkr_rebalancer.config.loading import find_state, load_settings, settings_files
from ibkr_rebalancer.config.settings import Gateway, Settings
from ibkr_rebalancer.core.errors import ConfigError
from ibkr_rebalancer.core.portfolio import TradingMode

ACCOUNT = """\
- account_id: {account_id}
  notification: {{channel: news}}
  allocations: {{url: "https://example.com/a?token=hunter3"}}
"""


@pytest.fixture(autouse=True)
def system_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for /etc/ibkr-rebalancer."""
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setattr(loading, "SYSTEM_FOLDER", folder)
    return folder


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    folder = tmp_path / "cwd"
    folder.mkdir()
    return folder


def put(folder: Path, account_id: str = "DU123456", *, name: str = "accounts.yaml") -> Path:
    """An accounts.yaml with one account."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(ACCOUNT.format(account_id=account_id), encoding="utf-8")
    return path


def put_dotenv(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def load(cwd: Path, path: Path | None = None, /, **environ: str) -> Settings:
    return load_settings(path, environ=environ, cwd=cwd)


def refusal(cwd: Path, path: Path | None = None, /, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(cwd, path, **environ)
    return caught.value


def test_settings_of_a_bare_accounts_file(cwd: Path) -> None:
    path = put(cwd)

    settings = load(cwd)

    assert [account.account_id for account in settings.accounts] == ["DU123456"]
    assert settings.mode is TradingMode.PAPER
    assert settings.gateway == Gateway(host="127.0.0.1", port=4002, client_id=51)
    assert settings.allocations_api_keys == {}
    assert settings.log_level == "INFO"
    assert settings.config_path == path
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("environ", "port"),
    [({"TRADING_MODE": "live"}, 4001), ({"TRADING_MODE": "live", "IBKR_PORT": "7"}, 7), ({"IBKR_PORT": "4001"}, 4001)],
)
def test_the_port_follows_the_mode_unless_it_is_given(cwd: Path, environ: dict[str, str], port: int) -> None:
    put(cwd)

    assert load(cwd, **environ).gateway.port == port


def test_where_accounts_are_looked_for(cwd: Path, tmp_path: Path, system_folder: Path) -> None:
    """Take away the best place, one after the other, and the next one is read."""
    home, xdg = tmp_path / "home", tmp_path / "xdg"
    explicit = put(cwd, name="explicit.yaml")
    named = put(tmp_path, name="named.yaml")
    usual = [put(cwd), put(xdg / "ibkr-rebalancer"), put(home / ".config" / "ibkr-rebalancer"), put(system_folder)]
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(xdg), "REBALANCER_CONFIG": str(named)}

    assert load(cwd, Path("explicit.yaml"), **environ).config_path == explicit
    assert load(cwd, **environ).config_path == named
    del environ["REBALANCER_CONFIG"]
    assert load(cwd, **environ).config_path == usual[0]
    usual[0].unlink()
    assert load(cwd, **environ).config_path == usual[1]
    del environ["XDG_CONFIG_HOME"]
    assert load(cwd, **environ).config_path == usual[2]
    usual[2].unlink()
    assert load(cwd, **environ).config_path == usual[3]
    assert load(cwd).config_path == usual[3]


def test_the_file_may_be_named_in_dotenv(cwd: Path) -> None:
    path = put(cwd, name="mine.yaml")
    put_dotenv(cwd, "REBALANCER_CONFIG=mine.yaml\n")

    assert load(cwd).config_path == path


def test_where_the_state_is_kept(cwd: Path, tmp_path: Path) -> None:
    """Take away the best name for it, one after the other, and the next one counts; the folder need not be there."""
    put(cwd)
    environ = {"HOME": "/home/me", "XDG_STATE_HOME": str(tmp_path / "xdg"), "REBALANCER_STATE": "/srv/state"}

    def state_path(state: Path | None = None) -> Path:
        return load_settings(None, environ=environ, cwd=cwd, state=state).state_path

    assert state_path(Path("here")) == cwd / "here"
    assert state_path() == Path("/srv/state")
    put_dotenv(cwd, "REBALANCER_STATE=there\n")
    del environ["REBALANCER_STATE"]
    assert state_path() == cwd / "there"
    put_dotenv(cwd, "")
    assert state_path() == tmp_path / "xdg" / "ibkr-rebalancer"
    del environ["XDG_STATE_HOME"]
    assert state_path() == Path("/home/me/.local/state/ibkr-rebalancer")
    del environ["HOME"]
    assert state_path() == Path("/var/lib/ibkr-rebalancer")


SAYS = "REBALANCER_STATE=said\n"


@pytest.mark.parametrize("left", [None, b"not: [closed", b"\xff"], ids=["missing", "no YAML", "no text"])
@pytest.mark.parametrize("named", [False, True], ids=["found", "named"])
@pytest.mark.parametrize(
    ("state", "environ", "here", "beside"),
    [
        ("option", {"REBALANCER_STATE": "variable"}, SAYS, SAYS),
        (None, {"REBALANCER_STATE": "variable"}, SAYS, SAYS),
        (None, {}, SAYS, "REBALANCER_STATE=other\n"),
        (None, {}, "IBKR_HOST=x\n", "IBKR_HOST=x\n"),
        (None, {"XDG_STATE_HOME": "/xdg"}, "", "XDG_STATE_HOME=/other\n"),
        (None, {"TRADING_MODE": "real", "IBKR_PORT": "many"}, "XDG_STATE_HOME=/xdg\n", ""),
    ],
)
def test_the_state_is_found_where_a_valid_file_would_have_it(
    cwd: Path,
    tmp_path: Path,
    *,
    left: bytes | None,
    named: bool,
    state: str | None,
    environ: dict[str, str],
    here: str,
    beside: str,
) -> None:
    """Whatever became of accounts.yaml, in the working folder's order: option, environment, .env here, .env beside."""
    path = put(tmp_path / "home" / ".config" / "ibkr-rebalancer")
    put_dotenv(cwd, here)
    put_dotenv(path.parent, beside)
    where: dict[str, Any] = {"cwd": cwd, "state": Path(state) if state else None}
    given = {"HOME": str(tmp_path / "home"), **({"REBALANCER_CONFIG": str(path)} if named else {}), **environ}
    valid = load_settings(None, environ={**given, "TRADING_MODE": "paper", "IBKR_PORT": "1"}, **where).state_path
    path.unlink()
    if left is not None:
        path.write_bytes(left)

    assert find_state(None, environ=given, **where) == valid


def test_the_state_of_a_file_that_is_gone_is_not_guessed(cwd: Path, tmp_path: Path) -> None:
    """It lay in one of its places, and the .env that lies in another of them may not have counted."""
    conf = tmp_path / "conf" / "ibkr-rebalancer"
    path = put(conf)
    put_dotenv(conf, "REBALANCER_STATE=/srv/state\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "conf"), "XDG_STATE_HOME": "/xdg"}

    assert find_state(None, environ=environ, cwd=cwd) == Path("/srv/state")
    path.unlink()
    with pytest.raises(ConfigError) as caught:
        find_state(None, environ=environ, cwd=cwd)
    assert (caught.value.code, caught.value.hint) == (
        "STATE_UNKNOWN",
        "Put accounts.yaml back, or name it with -c. Or name the state folder with --state.",
    )
    assert caught.value.message == (
        "There is no accounts.yaml, and without it the state may be in "
        f"/xdg/ibkr-rebalancer (if it belongs to {cwd}/accounts.yaml) or /srv/state (if it belongs to {path})."
    )
    assert find_state(path, environ=environ, cwd=cwd) == Path("/srv/state")
    assert find_state(None, environ=environ, cwd=cwd, state=Path("/here")) == Path("/here")


def test_the_state_is_in_doubt_where_a_dotenv_is(cwd: Path) -> None:
    path = put_dotenv(cwd, "REBALANCER_STATE\n")

    with pytest.raises(ConfigError) as caught:
        find_state(None, environ={}, cwd=cwd)
    assert caught.value.message == f"{path}:1: This line begins with REBALANCER_STATE, but does not set it."
    assert caught.value.hint.endswith(" Or name the state folder with --state.")
    assert find_state(None, environ={"REBALANCER_STATE": "/srv/state"}, cwd=cwd) == Path("/srv/state")


@pytest.mark.parametrize("by", ["path", "environment", "dotenv"])
def test_the_file_may_be_named_from_home(cwd: Path, tmp_path: Path, by: str) -> None:
    """A shell expands ~ only where it stands at the beginning of a word of its own."""
    path = put(tmp_path / "home" / "conf")
    named = "~/conf/accounts.yaml"
    environ = {"HOME": str(tmp_path / "home")}
    if by == "environment":
        environ["REBALANCER_CONFIG"] = named
    if by == "dotenv":
        put_dotenv(cwd, f"REBALANCER_CONFIG={named}\n")

    assert load(cwd, Path(named) if by == "path" else None, **environ).config_path == path


@pytest.mark.parametrize("name", ["~x/accounts.yaml", "~/accounts.yaml"])
def test_a_tilde_that_leads_nowhere_is_a_name_like_any_other(cwd: Path, name: str) -> None:
    path = put(cwd / Path(name).parent)

    assert load(cwd, REBALANCER_CONFIG=name).config_path == path


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_two_modes_in_one_dotenv_are_refused_in_either(cwd: Path, mode: str) -> None:
    put(cwd)
    put_dotenv(cwd, f"TRADING_MODE=live\nTRADING_MODE={mode}\n")

    assert refusal(cwd).code == refusal(cwd, TRADING_MODE="paper").code == "CONFIG_DUPLICATE_KEY"


def test_nothing_found_lists_where_it_was_looked_for(cwd: Path, system_folder: Path) -> None:
    error = refusal(cwd, HOME="/home/me")

    assert error.code == "CONFIG_NOT_FOUND"
    assert error.message == (
        f"There is no {cwd}/accounts.yaml and no /home/me/.config/ibkr-rebalancer/accounts.yaml"
        f" and no {system_folder}/accounts.yaml."
    )
    assert f"{cwd}/accounts.yaml" in error.hint


@pytest.mark.parametrize("by", ["path", "environment"])
def test_a_named_file_that_is_not_there_is_not_replaced_by_another(cwd: Path, by: str) -> None:
    put(cwd)

    error = refusal(cwd, Path("gone.yaml")) if by == "path" else refusal(cwd, REBALANCER_CONFIG="gone.yaml")

    assert error.message == f"There is no {cwd}/gone.yaml."


def test_a_file_that_cannot_be_read(cwd: Path) -> None:
    (cwd / "accounts.yaml").mkdir()

    error = refusal(cwd)

    assert (error.code, error.message) == (
        "CONFIG_UNREADABLE",
        f"{cwd}/accounts.yaml cannot be read: Is a directory.",
    )


def test_one_finding_is_told_with_file_line_and_mend(cwd: Path) -> None:
    path = put(cwd)
    path.write_text(path.read_text(encoding="utf-8") + "  cash_reserve: 1\n", encoding="utf-8")

    error = refusal(cwd)

    assert error.exit_code == 78
    assert error.code == "CONFIG_UNKNOWN_KEY"
    assert error.message == f"{path}:4: 'cash_reserve' is not a key that this version knows."
    assert error.hint == "Did you mean 'cash_reserve_pct'?"


def test_several_findings_are_told_in_one_error_in_the_order_of_the_file(cwd: Path) -> None:
    path = put(cwd, "012")
    path.write_text(path.read_text(encoding="utf-8") + "  enabled: yes\n", encoding="utf-8")

    error = refusal(cwd)

    assert error.code == "CONFIG_INVALID_VALUE"
    assert [line.split(" is ")[0] for line in error.message.splitlines()] == [
        f"{path}:1: account_id",
        f"{path}:4: enabled",
    ]
    assert error.hint == "Correct these 2 places in accounts.yaml."


def test_dotenv_of_the_working_folder_beats_the_one_beside_the_accounts(cwd: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "conf")
    put_dotenv(cwd, "IBKR_HOST=here\nIBKR_PORT=1\n")
    put_dotenv(tmp_path / "conf", "IBKR_HOST=there\nIBKR_PORT=2\nIBKR_CLIENT_ID=3\n")

    assert load(cwd, path, IBKR_PORT="4").gateway == Gateway(host="here", port=4, client_id=3)


def test_a_wrong_value_in_dotenv_is_told_with_its_line(cwd: Path) -> None:
    put(cwd)
    path = put_dotenv(cwd, "# mode\nTRADING_MODE=real\n")

    assert refusal(cwd).message == f"{path}:2: TRADING_MODE is 'real'; it must be paper or live."


def test_secrets_are_known_with_their_parts_and_never_shown(cwd: Path, tmp_path: Path) -> None:
    put(cwd)
    (tmp_path / "key").write_text("hunter2\n", encoding="utf-8")

    settings = load(cwd, REALTIME_API_KEY="app.key:hunter1", ALLOCATIONS_API_KEY_FILE=str(tmp_path / "key"))

    assert settings.allocations_api_keys == {"ALLOCATIONS_API_KEY": "hunter2"}
    assert settings.secrets == ("app.key:hunter1", "hunter2", "hunter1", "token=hunter3")
    assert "hunter1" not in repr(settings)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("https://example.com/allocations/primary", ()),
        ("https://example.com/allocations/etf-blend", ()),
        ("https://example.com/v1/0123456789ab/primary", ("0123456789ab",)),
        ("https://example.com/v1/0123456789a/x?v=2", ("v=2",)),
        (
            "https://example.com/%7Eabcd%41efgh-1?k=abcdefg%3A8901",
            (
                "k=abcdefg%3A8901",
                "k=abcdefg:8901",
                "%7Eabcd%41efgh-1",
                "~abcdAefgh-1",
                "abcdefg%3A8901",
                "abcdefg:8901",
            ),
        ),
        ("https://example.com/a?%e4", ("%e4", "\udce4")),
    ],
)
def test_what_in_a_url_is_a_secret(cwd: Path, url: str, secrets: tuple[str, ...]) -> None:
    """Its whole query, and what looks like a token; the words of a path can still be read in a log."""
    path = put(cwd)
    text = path.read_text(encoding="utf-8").replace("https://example.com/a?token=hunter3", url)
    path.write_text(text, encoding="utf-8")

    assert load(cwd).secrets == secrets


def test_a_dotenv_that_others_may_read_is_told_on_paper(cwd: Path) -> None:
    put(cwd)
    path = put_dotenv(cwd, "ALLOCATION_API_KEY=x\n", mode=0o644)

    assert load(cwd).warnings == (
        f"{path}:1: ALLOCATION_API_KEY is not read. Did you mean ALLOCATIONS_API_KEY?",
        f"Other users of this machine may read {path}; run: chmod 600 {path}",
    )


@pytest.mark.parametrize("beside", [False, True])
def test_a_dotenv_that_others_may_read_is_refused_on_live(cwd: Path, tmp_path: Path, *, beside: bool) -> None:
    config = put(tmp_path / "conf" if beside else cwd)
    path = put_dotenv(config.parent, "IBKR_HOST=x\n", mode=0o640)

    error = refusal(cwd, config, TRADING_MODE="live")

    assert (error.code, error.exit_code) == ("CONFIG_SECRETS_EXPOSED", 78)
    assert error.hint == f"Run: chmod 600 {path}"
    path.chmod(0o600)
    assert load(cwd, config, TRADING_MODE="live").mode is TradingMode.LIVE


def test_a_credential_that_systemd_hands_over_is_no_file_to_look_after(cwd: Path, tmp_path: Path) -> None:
    """Its mode has bits for the group that stand for an entry of an access list: the service's own user."""
    put(cwd)
    handed, kept = tmp_path / "credentials" / "key", tmp_path / "credentials-of-mine"
    handed.parent.mkdir()
    for file in (handed, kept):
        file.write_text("a-key", encoding="utf-8")
        file.chmod(0o440)
    environ = {"ALLOCATIONS_API_KEY_FILE": str(handed), "REALTIME_API_KEY_FILE": str(kept)}
    paths = {file.path for file in settings_files(None, environ=environ, cwd=cwd)}
    assert paths == {str(cwd / "accounts.yaml"), str(handed), str(kept)}
    as_service = {**environ, "CREDENTIALS_DIRECTORY": str(handed.parent)}
    assert {file.path for file in settings_files(None, environ=as_service, cwd=cwd)} == paths - {str(handed)}


def test_what_a_first_accounts_yaml_may_look_like_is_one(cwd: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, environ={}, cwd=cwd)
    (cwd / "accounts.yaml").write_text(caught.value.hint.partition("with your own values: ")[2], encoding="utf-8")
    (account,) = load_settings(None, environ={}, cwd=cwd).accounts
    assert (account.account_id, account.channel) == ("DU123456", "rebalance")
