"""What a notice says to those who read what several accounts do at the same time."""

import pytest

from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.portfolio import AccountId


@pytest.mark.parametrize(
    ("text", "account", "line"),
    [
        ("Connecting to 127.0.0.1:4002", None, "Connecting to 127.0.0.1:4002"),
        ("Selling: 3 orders", "DU1", "DU1: Selling: 3 orders"),
        ("Reading DU1", "DU1", "Reading DU1"),
    ],
)
def test_a_line_names_its_account_once(text: str, account: str | None, line: str) -> None:
    assert Notice(event="a.test", text=text, account=AccountId(account) if account else None).line == line
