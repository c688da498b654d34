"""The words of the first files: those of the examples, and every value comes back as it was given."""

import resource
from pathlib import Path

import pytest

from ibkr_rebalancer.config.accounts import read_accounts
from ibkr_rebalancer.config.environment import read_dotenv
from ibkr_rebalancer.config.findings import Unfit
from ibkr_rebalancer.config.first_files import accounts_text, env_text, write_new
from ibkr_rebalancer.config.strict_yaml import parse
from ibkr_rebalancer.core.errors import UsageError
from ibkr_rebalancer.core.portfolio import AccountId

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "src" / "ibkr_rebalancer" / "examples"


@pytest.mark.parametrize(
    ("shipped", "shown"), [("first_accounts.yaml", "examples/accounts.yaml"), ("first_env", ".env.example")]
)
def test_the_shipped_examples_are_those_that_are_shown(shipped: str, shown: str) -> None:
    assert (SHIPPED / shipped).read_bytes() == (ROOT / shown).read_bytes()


@pytest.mark.parametrize(("accounts", "open_places"), [((), 3), (("DU1234567",), 2), (("DU1234567", "DF12345"), 4)])
def test_every_open_place_is_found_and_nothing_else(accounts: tuple[str, ...], open_places: int) -> None:
    text = accounts_text([AccountId(account) for account in accounts])
    assert text.count("TO FILL IN:") == open_places
    with pytest.raises(Unfit) as unfit:
        read_accounts(parse(text), folder=ROOT)
    assert {finding.code for finding in unfit.value.findings} == {"CONFIG_INVALID_VALUE"}
    lines = text.splitlines()
    assert all("TO FILL IN:" in lines[finding.line - 1] for finding in unfit.value.findings)
    assert len(unfit.value.findings) == open_places
    filled = text.replace('channel: ""', "channel: c").replace('url: ""', "url: https://a.example/b")
    read = read_accounts(parse(filled.replace('account_id: ""', "account_id: DU000000")), folder=ROOT)
    assert [account.account_id for account in read] == [*accounts] or not accounts


@pytest.mark.parametrize("value", ["", "a.b:c+/=@%-_", "it's", 'quo"ted', "back\\slash", "#hash", "$HOME", "a#b", "'"])
def test_a_value_comes_back_as_it_was(tmp_path: Path, value: str) -> None:
    path = tmp_path / ".env"
    write_new(path, env_text({"REALTIME_API_KEY": value, "IBKR_PORT": "4003"}))
    given = {name: given.text for name, given in read_dotenv(path).given.items()}
    assert given == {
        "TRADING_MODE": "paper",
        "IBKR_HOST": "127.0.0.1",
        "IBKR_PORT": "4003",
        "IBKR_CLIENT_ID": "51",
        "LOG_LEVEL": "INFO",
        "NOTIFICATION_LEVEL": "all",
        "NOTIFICATION_DETAILS": "none",
        **({"REALTIME_API_KEY": value} if value else {}),
    }


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError):
        write_new(tmp_path / "here", "yours")
    assert (tmp_path / "here").read_text(encoding="utf-8") == "mine"


def test_what_has_no_room_leaves_nothing(tmp_path: Path) -> None:
    """Not even half a file, which the next `init` would take for one that is there."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, kept[1]))
    try:
        with pytest.raises(UsageError, match="File too large"):
            write_new(tmp_path / "here", "more than ten bytes")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert not (tmp_path / "here").exists()
