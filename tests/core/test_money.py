"""What is rounded, how, and what is no number at all."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.core.money import decimal_of, share_of, to_cents, up_to_cents


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.50", Decimal("1.50")), ("-0.1", Decimal("-0.1")), ("1E+3", Decimal(1000)), (" 7 ", Decimal(7))],
)
def test_a_finite_number_is_read(text: str, number: Decimal) -> None:
    assert decimal_of(text) == number


@pytest.mark.parametrize("text", ["", "NaN", "sNaN", "Infinity", "-inf", "1,000", "ten", "1.7976931348623157E308x"])
def test_anything_else_is_no_amount(text: str) -> None:
    assert decimal_of(text) is None


@given(st.text())
def test_any_text_is_a_finite_number_or_none(text: str) -> None:
    number = decimal_of(text)
    assert number is None or number.is_finite()


@pytest.mark.parametrize(
    ("amount", "shown", "cost"),
    [("1.005", "1.00", "1.01"), ("1.015", "1.02", "1.02"), ("1", "1.00", "1.00"), ("-1.005", "-1.00", "-1.00")],
)
def test_amounts_are_shown_half_to_even_and_costs_rounded_up(amount: str, shown: str, cost: str) -> None:
    assert str(to_cents(Decimal(amount))) == shown
    assert str(up_to_cents(Decimal(amount))) == cost


def test_a_share_has_six_decimals_and_nothing_is_a_share_of_nothing() -> None:
    assert str(share_of(Decimal(1), Decimal(3))) == "0.333333"
    assert str(share_of(Decimal(1), Decimal(0))) == "0.000000"
