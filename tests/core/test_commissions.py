"""The published fixed schedule: half a cent a share, at least a dollar, at most 1 % of the value."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.core.commissions import commission


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [
        (0, "100", "0"),
        (1, "100", "1.00"),  # the minimum is just the cap
        (1, "99.99", "1.00"),  # 0.9999, rounded up
        (1, "20", "0.20"),  # the cap wins over the minimum
        (10, "3.33", "0.34"),
        (200, "100", "1.00"),
        (201, "100", "1.01"),  # 1.005, rounded up
        (1_000, "50", "5.00"),
        (10_000, "0.25", "25.00"),  # 50.00, capped
        (1, "800_000", "1.00"),
    ],
)
def test_the_schedule(quantity: int, price: str, expected: str) -> None:
    assert commission(quantity, Decimal(price), "USD") == Decimal(expected)


@given(
    st.integers(0, 10**6),
    st.decimals(min_value="0.01", max_value=10**6, places=2),
    st.sampled_from(["USD", "EUR", "JPY", "ZAR"]),
)
def test_one_share_more_never_costs_less(quantity: int, price: Decimal, currency: str) -> None:
    assert commission(quantity, price, currency) <= commission(quantity + 1, price, currency)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ((0, "100", "EUR"), "0"),
        ((1, "100", "EUR"), "3"),  # the minimum
        ((30, "100", "EUR"), "3"),
        ((31, "100", "EUR"), "3.1"),  # 0.10 %
        ((100, "2000", "JPY"), "200"),
        ((1, "2000", "JPY"), "80"),
        ((1000, "2", "ZAR"), "10"),  # 0.50 % where no minimum is known
    ],
)
def test_elsewhere_it_is_a_part_of_the_value_with_a_minimum(order: tuple[int, str, str], expected: str) -> None:
    quantity, price, currency = order
    assert commission(quantity, Decimal(price), currency) == Decimal(expected)
