"""The files that a new owner copies: they load as they are, and the defaults they mention are the real ones."""

import re
from pathlib import Path

from ibkr_rebalancer.config.accounts import read_accounts
from ibkr_rebalancer.config.environment import read_dotenv, read_variables
from ibkr_rebalancer.config.keys import Section
from ibkr_rebalancer.config.loading import load_settings
from ibkr_rebalancer.config.schema import ENVIRONMENT, POLICY
from ibkr_rebalancer.config.strict_yaml import parse

ROOT = Path(__file__).parents[2]
ACCOUNTS = (ROOT / "examples" / "accounts.yaml").read_text(encoding="utf-8")


def uncommented(key: str) -> str:
    """The example with the commented lines from `key` to the end of its paragraph brought to life."""
    before, found, after = ACCOUNTS.partition(f"  # {key}:")
    assert found
    paragraph, _, rest = f"{found}{after}".partition("\n\n")
    return f"{before}{re.sub(r'(?m)^  # ', '  ', paragraph)}\n\n{rest}"


def test_the_examples_load_together(tmp_path: Path) -> None:
    (tmp_path / "accounts.yaml").write_text(ACCOUNTS, encoding="utf-8")
    (tmp_path / ".env").write_bytes((ROOT / ".env.example").read_bytes())
    (tmp_path / ".env").chmod(0o600)

    settings = load_settings(None, environ={}, cwd=tmp_path)

    assert [account.account_id for account in settings.accounts] == ["DU123456", "DU789012"]
    assert settings.warnings == ()


def test_the_policy_keys_are_shown_with_their_defaults() -> None:
    shown = uncommented("enabled")
    assert isinstance(limits := POLICY.keys["limits"], Section)
    assert [name for name in (*POLICY.keys, *limits.keys) if f" {name}:" not in shown] == []
    assert read_accounts(parse(uncommented("enabled")), folder=ROOT) == read_accounts(parse(ACCOUNTS), folder=ROOT)


def test_the_contracts_shown_are_contracts() -> None:
    _, account = read_accounts(parse(uncommented("contracts")), folder=ROOT)

    assert [*account.policy.contracts] == ["QQQ", "VWCE"]


def test_every_variable_is_shown_and_with_its_default() -> None:
    path = ROOT / ".env.example"
    given = read_dotenv(path).given
    values = read_variables(given, cwd=ROOT)

    assert set(ENVIRONMENT) <= set(re.findall(r"(?m)^([A-Z_]+)=", path.read_text(encoding="utf-8")))
    assert {n: values[n] for n, key in ENVIRONMENT.items() if not key.secret} == {
        n: key.default for n, key in ENVIRONMENT.items() if not key.secret
    }
