import os
from pathlib import Path

import pytest

from ibkr_rebalancer.config.environment import DotEnv, Given, merged, read_dotenv, read_variables
from ibkr_rebalancer.config.schema import ENVIRONMENT
from ibkr_rebalancer.core.errors import ConfigError
from ibkr_rebalancer.core.notifications import Level
from ibkr_rebalancer.core.portfolio import TradingMode

HERE = Path("/nowhere")


def dotenv(folder: Path, text: str, *, mode: int = 0o600) -> DotEnv:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return read_dotenv(path)


def values(**environ: str) -> dict[str, object]:
    return read_variables(merged(environ, []), cwd=HERE)


def refusal(**environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        values(**environ)
    return caught.value


def test_nothing_set_gives_the_defaults() -> None:
    assert values() == {
        "IBKR_HOST": "127.0.0.1",
        "IBKR_PORT": None,
        "IBKR_CLIENT_ID": 51,
        "TRADING_MODE": TradingMode.PAPER,
        "REALTIME_API_KEY": None,
        "REALTIME_ENDPOINT": None,
        "ALLOCATIONS_API_KEY": None,
        "NOTIFICATION_URLS": None,
        "NOTIFICATION_LEVEL": Level.ALL,
        "NOTIFICATION_DETAILS": False,
        "HEARTBEAT_URL": None,
        "LOG_LEVEL": "INFO",
        "REBALANCER_CONFIG": None,
        "REBALANCER_STATE": None,
    }


def test_everything_set() -> None:
    assert values(
        IBKR_HOST="ib-gateway",
        IBKR_PORT="4004",
        IBKR_CLIENT_ID="7",
        TRADING_MODE="live",
        REALTIME_API_KEY="app.key:secret",
        REALTIME_ENDPOINT="http://127.0.0.1:8080/",
        ALLOCATIONS_API_KEY="k",
        NOTIFICATION_URLS="json://127.0.0.1/a json://127.0.0.1/b",
        NOTIFICATION_LEVEL="problems",
        NOTIFICATION_DETAILS="balances",
        HEARTBEAT_URL="https://example.com/ping",
        LOG_LEVEL="debug",
        REBALANCER_CONFIG="a.yaml",
        REBALANCER_STATE="state",
    ) == {
        "IBKR_HOST": "ib-gateway",
        "IBKR_PORT": 4004,
        "IBKR_CLIENT_ID": 7,
        "TRADING_MODE": TradingMode.LIVE,
        "REALTIME_API_KEY": "app.key:secret",
        "REALTIME_ENDPOINT": "http://127.0.0.1:8080",
        "ALLOCATIONS_API_KEY": "k",
        "NOTIFICATION_URLS": ("json://127.0.0.1/a", "json://127.0.0.1/b"),
        "NOTIFICATION_LEVEL": Level.PROBLEMS,
        "NOTIFICATION_DETAILS": True,
        "HEARTBEAT_URL": "https://example.com/ping",
        "LOG_LEVEL": "DEBUG",
        "REBALANCER_CONFIG": Path("a.yaml"),
        "REBALANCER_STATE": Path("state"),
    }


def test_an_empty_variable_is_not_set() -> None:
    assert values(**dict.fromkeys([*ENVIRONMENT, "ALLOCATIONS_API_KEY_FILE"], "")) == values()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TRADING_MODE", "Live"),
        ("TRADING_MODE", "both"),
        ("IBKR_HOST", "127.0.0.1:4002"),
        ("IBKR_HOST", "http://gateway"),
        ("IBKR_HOST", "two words"),
        ("IBKR_PORT", "0"),
        ("IBKR_PORT", "65536"),
        ("IBKR_PORT", "4002.0"),
        ("IBKR_PORT", "04002"),
        ("IBKR_PORT", "٤"),
        ("IBKR_CLIENT_ID", "0"),
        ("IBKR_CLIENT_ID", "-1"),
        ("IBKR_CLIENT_ID", "2147483639"),
        ("LOG_LEVEL", "TRACE"),
        ("REALTIME_ENDPOINT", "https://relay:8443"),
    ],
)
def test_a_value_that_does_not_fit(name: str, text: str) -> None:
    error = refusal(**{name: text})

    assert error.code == "CONFIG_INVALID_VALUE"
    assert error.message.startswith(f"the environment: {name} is {text!a}; it must be ")
    assert error.hint.startswith(f"Correct it: {name} is ")


def test_all_values_that_do_not_fit_are_told_at_once(tmp_path: Path) -> None:
    read = dotenv(tmp_path, "IBKR_PORT=x\nLOG_LEVEL=INFO\nALLOCATIONS_API_KEY=hunter 2\n")
    with pytest.raises(ConfigError) as caught:
        read_variables(merged({"TRADING_MODE": "z"}, [read]), cwd=HERE)

    error = caught.value
    assert (error.code, error.hint) == ("CONFIG_INVALID_VALUE", "Correct these 3 variables.")
    told = error.message.splitlines()
    assert sorted(line.partition(";")[0] for line in told) == [
        f"{read.path}:1: IBKR_PORT is 'x'",
        f"{read.path}:3: ALLOCATIONS_API_KEY cannot be used",
        "the environment: TRADING_MODE is 'z'",
    ]
    assert all(" Correct it: " in line for line in told)
    assert "hunter" not in error.message


@pytest.mark.parametrize("host", ["::1", "10.0.0.1", "ib_gateway.internal", "localhost"])
def test_hosts_of_every_kind(host: str) -> None:
    assert values(IBKR_HOST=host)["IBKR_HOST"] == host


def test_the_largest_client_id_leaves_room_for_the_others() -> None:
    assert values(IBKR_CLIENT_ID="2147483638")["IBKR_CLIENT_ID"] == 2**31 - 1 - 9


@pytest.mark.parametrize("name", ["ALLOCATIONS_API_KEY", "REALTIME_API_KEY"])
@pytest.mark.parametrize("text", ["hunter 2", "hunter2\n", "hunter\r2", "hünter2", "\x00hunter2"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(name: str, text: str) -> None:
    error = refusal(**{name: text})

    assert error.message == f"the environment: {name} cannot be used; it must be printable ASCII without spaces."
    assert "nter" not in error.hint


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_from_a_file(tmp_path: Path, ending: str) -> None:
    (tmp_path / "key").write_bytes(f"app.key:secret{ending}".encode())
    given = merged({"REALTIME_API_KEY_FILE": "key"}, [])

    assert read_variables(given, cwd=tmp_path)["REALTIME_API_KEY"] == "app.key:secret"


@pytest.mark.parametrize("content", [b"", b"\n", b"hunter2\n\n", b"hunter2\nhunter3\n"])
def test_a_file_that_holds_no_single_secret(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)

    error = refusal(ALLOCATIONS_API_KEY_FILE=str(path))

    assert error.message.startswith(f"{path}: ALLOCATIONS_API_KEY cannot be used")
    assert "hunter" not in error.message


def test_a_secret_file_that_is_not_there(tmp_path: Path) -> None:
    error = refusal(ALLOCATIONS_API_KEY_FILE=str(tmp_path / "key"))

    assert (error.code, error.message) == (
        "CONFIG_UNREADABLE",
        f"{tmp_path / 'key'} cannot be read: No such file or directory.",
    )


def test_a_secret_given_twice() -> None:
    error = refusal(ALLOCATIONS_API_KEY="hunter2", ALLOCATIONS_API_KEY_FILE="/run/secrets/key")

    assert error.code == "CONFIG_CONFLICT"
    assert error.message == (
        "ALLOCATIONS_API_KEY (the environment) and ALLOCATIONS_API_KEY_FILE (the environment) are both set."
    )


def test_a_dotenv_that_is_not_there(tmp_path: Path) -> None:
    read = read_dotenv(tmp_path / ".env")

    assert (read.given, read.warnings, read.is_exposed) == ({}, (), False)


def test_what_a_dotenv_holds(tmp_path: Path) -> None:
    """The format is python-dotenv's; `$NAME` stays as it is, and nothing reaches the process's environment."""
    before = dict(os.environ)
    lines = [
        "\ufeff# ours",
        "",
        "IBKR_HOST=gateway # there",
        "export LOG_LEVEL='DEBUG'",
        'REALTIME_API_KEY="a.$b:c#d"',
        "EMPTY=",
        "BARE",
    ]
    read = dotenv(tmp_path, "\r\n".join(lines))

    assert read.given == {
        "IBKR_HOST": Given("gateway", f"{read.path}:3"),
        "LOG_LEVEL": Given("DEBUG", f"{read.path}:4"),
        "REALTIME_API_KEY": Given("a.$b:c#d", f"{read.path}:5"),
    }
    assert (read.warnings, read.is_exposed) == ((), False)
    assert dict(os.environ) == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_dotenv_that_others_may_read(tmp_path: Path, mode: int) -> None:
    assert dotenv(tmp_path, "A=1\n", mode=mode).is_exposed


def test_a_line_that_is_no_assignment_is_told_and_the_rest_read(tmp_path: Path) -> None:
    read = dotenv(tmp_path, "A=1\n\nB='hunter2\nC=3\n")

    assert [*read.given] == ["A", "C"]
    assert read.warnings == (f"{read.path}:3: This line is not NAME=value and is passed over.",)


@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        ('IBKR_PORT="44763\n', 1, "IBKR_PORT"),
        ('A=1\n\nIBKR_PORT="44763\nTRADING_MODE=paper\n', 3, "IBKR_PORT"),
        ("A=1\nexport TRADING_MODE='live\n", 2, "TRADING_MODE"),
        ("TRADING_MODE live\n", 1, "TRADING_MODE"),
        ("TRADING_MODE: live\n", 1, "TRADING_MODE"),
        ("TRADING_MODE:live\n", 1, "TRADING_MODE"),
        ("TRADING_MODE\n", 1, "TRADING_MODE"),
        ('ALLOCATIONS_API_KEY_FILE="/run/key" there\n', 1, "ALLOCATIONS_API_KEY_FILE"),
        ('OTHERS="x\nTRADING_MODE=live\nMORE="y"\n', 2, "TRADING_MODE"),
        ('OTHERS="x\n  TRADING_MODE=live\n"\n', 2, "TRADING_MODE"),
        ('IBKR_HOST="x\nTRADING_MODE=live\n"\n', 2, "TRADING_MODE"),
    ],
)
def test_a_line_that_begins_with_a_name_of_ours_and_does_not_set_it(
    tmp_path: Path, text: str, line: int, name: str
) -> None:
    """Its default would stand in for what the owner has written there."""
    with pytest.raises(ConfigError) as caught:
        dotenv(tmp_path, text)

    error = caught.value
    assert (error.code, error.exit_code) == ("CONFIG_SYNTAX", 78)
    assert error.message == f"{tmp_path}/.env:{line}: This line begins with {name}, but does not set it."
    assert error.hint == f"Write it as {name}=value, and close every quote, also those of the lines before."


def test_a_line_that_only_looks_like_one_of_ours_is_not_refused(tmp_path: Path) -> None:
    read = dotenv(tmp_path, "# TRADING_MODE live\nTRADING_MODES live\nMY_TRADING_MODE 'live\n")

    assert [warning.removeprefix(f"{read.path}:") for warning in read.warnings] == [
        "2: This line is not NAME=value and is passed over.",
        "3: This line is not NAME=value and is passed over.",
    ]


@pytest.mark.parametrize(
    "second", ["TRADING_MODE=paper", "TRADING_MODE=live", "TRADING_MODE=", "export TRADING_MODE=x"]
)
def test_a_name_of_ours_that_stands_twice(tmp_path: Path, second: str) -> None:
    """Whichever counts, the owner may have meant the other, and one of them may move real money."""
    with pytest.raises(ConfigError) as caught:
        dotenv(tmp_path, f"A=1\nTRADING_MODE=live\n\nA=2\n{second}\n")

    error = caught.value
    assert (error.code, error.exit_code) == ("CONFIG_DUPLICATE_KEY", 78)
    assert error.message == f"{tmp_path}/.env:5: TRADING_MODE stands here again; it is already given in line 2."
    assert error.hint == "Remove one of the two."


def test_a_secret_that_stands_twice_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        dotenv(
            tmp_path, "REALTIME_API_KEY_FILE=hunter1\nREALTIME_API_KEY_FILE=hunter2\nREALTIME_API_KEY_FILE=hunter3\n"
        )

    error = caught.value
    assert error.message.count("stands here again") == 2
    assert "hunter" not in error.message


@pytest.mark.parametrize("name", sorted(name for name, key in ENVIRONMENT.items() if not key.secret))
def test_only_secrets_can_be_given_as_a_file(name: str) -> None:
    error = refusal(**{f"{name}_FILE": "x"})

    assert (error.code, error.exit_code) == ("CONFIG_UNKNOWN_KEY", 78)
    assert error.message == f"the environment: {name}_FILE is not read: only secrets can be given as a file."
    assert error.hint == f"Remove it, and set {name} itself."
    assert values(**{f"{name}_FILE": ""}) == values()


def test_a_file_of_no_secret_is_told_with_its_line(tmp_path: Path) -> None:
    read = dotenv(tmp_path, "\nIBKR_PORT_FILE=x\n")

    with pytest.raises(ConfigError, match=rf"^{tmp_path}/\.env:2: IBKR_PORT_FILE is not read"):
        read_variables(merged({}, [read]), cwd=HERE)


def test_a_secret_from_a_file_at_home(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret", encoding="utf-8")
    given = merged({"REALTIME_API_KEY_FILE": "~/key", "HOME": str(tmp_path)}, [])

    assert read_variables(given, cwd=HERE)["REALTIME_API_KEY"] == "secret"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ALLOCATION_API_KEY", "ALLOCATIONS_API_KEY"),
        ("ALLOCATIONS_API_KEYFILE", "ALLOCATIONS_API_KEY_FILE"),
        ("trading_mode", "TRADING_MODE"),
        ("IBKR_CLIENTID", "IBKR_CLIENT_ID"),
        ("IB_PORT", "IBKR_PORT"),
    ],
)
def test_a_name_like_one_of_ours_is_told(tmp_path: Path, name: str, meant: str) -> None:
    read = dotenv(tmp_path, f"{name}=hunter2\n")

    assert read.warnings == (f"{read.path}:1: {name} is not read. Did you mean {meant}?",)


def test_the_names_of_other_programs_are_not_ours_to_judge(tmp_path: Path) -> None:
    others = ["IBKR_USERNAME", "IBKR_PASSWORD", "TWS_USERID", "READ_ONLY_API"]

    assert dotenv(tmp_path, "".join(f"{name}=x\n" for name in others)).warnings == ()


def test_the_environment_beats_the_first_file_which_beats_the_second(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    first = dotenv(tmp_path, "A=first\nB=first\nC=first\n")
    second = dotenv(tmp_path / "sub", "A=second\nB=second\nC=second\nD=second\n")

    given = merged({"A": "environment", "B": ""}, [first, second])

    assert {name: setting.text for name, setting in given.items()} == {
        "A": "environment",
        "B": "first",
        "C": "first",
        "D": "second",
    }


def test_a_dotenv_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")

    with pytest.raises(ConfigError, match=r"\.env cannot be read: it is not UTF-8 text\."):
        read_dotenv(tmp_path / ".env")


def test_a_dotenv_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()

    with pytest.raises(ConfigError, match=r"\.env cannot be read: Is a directory\."):
        read_dotenv(tmp_path / ".env")
