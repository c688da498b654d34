"""docs/portfolios.md: its examples are settings and commands, and it speaks of every key and option it is about."""

import re
from pathlib import Path

import pytest
from tests.support.commands import Here, here
from typer.main import get_command

from ibkr_rebalancer.cli import app
from ibkr_rebalancer.config.accounts import read_accounts
from ibkr_rebalancer.config.strict_yaml import parse
from ibkr_rebalancer.core.policy import Policy

__all__ = ["here"]

PAGE = (Path(__file__).parent.parent / "docs" / "portfolios.md").read_text(encoding="utf-8")
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"(?m)^rebalancer (.*)$", PAGE)
ACCOUNT = """\
- account_id: DU123456
  notification: {channel: news}
  allocations: {url: "https://example.com/a"}
"""


@pytest.mark.parametrize("example", YAML)
def test_an_example_is_a_setting_that_is_not_the_default(example: str) -> None:
    written = ACCOUNT + re.sub(r"(?m)^", "  ", example).rstrip()
    (account,) = read_accounts(parse(written), folder=Path("/etc/rebalancer"))
    assert account.policy != Policy()


def test_each_key_has_its_section_and_an_example() -> None:
    for key in ("exclude", "unlisted", "substitutions", "underweight"):
        assert f"## `{key}`" in PAGE
        assert any(example.startswith(f"{key}:") for example in YAML)


def test_each_option_has_its_section_and_an_example_that_is_accepted(here: Here) -> None:
    options = {name for each in get_command(app).commands["plan"].params for name in each.opts}  # type: ignore[attr-defined]
    for option in ("--buy-only", "--raise-cash"):
        assert option in options
        assert f"## `{option}" in PAGE
        assert any(option in command for command in COMMANDS)
    for command in COMMANDS:
        assert here.run(*command.split(), "--help").exit_code == 0


def test_it_is_read_in_one_go() -> None:
    assert len(PAGE.splitlines()) <= 120
