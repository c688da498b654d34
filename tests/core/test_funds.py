"""Whether the broker's cash is what our own count makes it."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.support.notation import snapshot

from ibkr_rebalancer.core.funds import agrees, cash_disagrees

BALANCES = snapshot("DU1 cash 4_000; 60 AAA @100", targets="AAA 100").portfolio.balances
"""Worth 10,000: five dollars make no difference."""


@pytest.mark.parametrize(
    ("counted", "same"), [("4000", True), ("4005", True), ("3995", True), ("4005.01", False), ("3994.99", False)]
)
def test_commissions_and_fees_may_make_a_difference_and_nothing_else(counted: str, same: bool) -> None:
    assert agrees(Decimal(counted), BALANCES) is same


def test_cash_in_another_currency_is_none_of_ours() -> None:
    foreign = replace(BALANCES, cash={"EUR": Decimal(4_000)})
    assert agrees(Decimal(0), foreign)
    assert not agrees(Decimal(4_000), foreign)


@pytest.mark.parametrize(
    ("counted", "words"),
    [(Decimal("3900.456"), "there should be 3900.46"), (None, "nobody has told all prices")],
)
def test_a_lasting_difference_names_both_figures(counted: Decimal | None, words: str) -> None:
    error = cash_disagrees(counted, BALANCES)
    assert error.code == "CASH_DISAGREES"
    assert error.message == (f"After the sales {words}; the broker says 4000.00 USD in cash. Nothing was bought.")
    assert error.hint.startswith("Look at today's trades in TWS")
