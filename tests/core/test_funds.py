"""Our count of the cash against the broker's."""

from decimal import Decimal

import pytest
from tests.support.notation import snapshot

from ibkr_rebalancer.core.funds import cash_disagrees, disagreeing

BALANCES = snapshot("DU1 cash 10_000; AAA @10", targets="AAA 100").portfolio.balances


@pytest.mark.parametrize(
    ("counted", "expected"),
    [("10000", True), ("10005", True), ("9995", True), ("10005.01", False), ("9994.99", False)],
)
def test_half_a_tenth_of_a_percent_is_near_enough(counted: str, expected: bool) -> None:
    """Of 10,000 in all, that is 5."""
    assert (not disagreeing({"USD": Decimal(counted)}, BALANCES)) is expected


def test_a_difference_that_lasts_is_told_with_both_figures() -> None:
    refusal = cash_disagrees({"USD": Decimal("12000.5")}, BALANCES)
    assert (refusal.code, refusal.exit_code) == ("CASH_DISAGREES", 11)
    assert refusal.message == (
        "By all that has been filled there should be 12,000.50 USD; the broker says 10,000.00 USD in cash. "
        "Nothing more was bought."
    )


def test_prices_that_nobody_has_told_are_no_figure() -> None:
    assert (
        "By all that has been filled nobody has told all prices; the broker says"
        in cash_disagrees(None, BALANCES).message
    )
