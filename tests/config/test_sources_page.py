"""docs/sources.md: each document in it is read by the lines that stand below it."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from ibkr_rebalancer.config.loading import load_settings
from ibkr_rebalancer.core.allocation import parse_allocation
from ibkr_rebalancer.core.policy import Account

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
SHAPES = re.findall(r"```(json|csv)\n(.*?)```\n```yaml\n(.*?)```", PAGE, re.DOTALL)


def account(folder: Path, lines: str) -> Account:
    """The account that has these lines."""
    indented = "".join(f"  {line}\n" for line in lines.splitlines())
    text = f"- account_id: DU123456\n  notification: {{channel: news}}\n{indented}"
    (folder / "accounts.yaml").write_text(text, encoding="utf-8")
    (found,) = load_settings(None, environ={"GROWTH_API_KEY": "k"}, cwd=folder).accounts
    return found


def test_the_page_is_read_in_one_go() -> None:
    assert len(PAGE.splitlines()) <= 80


@pytest.mark.parametrize(("kind", "document", "lines"), SHAPES)
def test_a_shape_is_read_by_the_lines_below_it(tmp_path: Path, kind: str, document: str, lines: str) -> None:
    assert (kind == "csv") == ("file: targets.csv" in lines)
    weights = parse_allocation(document.encode(), account(tmp_path, lines).layout).weights
    assert list(weights.values()) == [Decimal("0.6"), Decimal("0.4")]


def test_every_block_of_lines_loads(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == len(SHAPES) + 1
    assert account(tmp_path, blocks[-1]).api_key_env == "GROWTH_API_KEY"
