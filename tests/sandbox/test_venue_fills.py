"""Commissions by the broker's schedules."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.sandbox.venue.fills import Fills, commission

SCHEDULES = [Fills(), Fills(commission="none"), Fills(commission=Decimal("0.0035"))]


@pytest.mark.parametrize(
    ("schedule", "shares", "price", "charged"),
    [
        ("fixed", 200, "50", "1.00"),  # the minimum is 200 shares
        ("fixed", 201, "50", "1.01"),  # 1.005
        ("fixed", 1000, "50", "5.00"),
        ("fixed", 1000, "0.40", "4.00"),  # 1 % of 400
        ("fixed", 1, "20", "0.20"),  # 1 % wins over the minimum
        ("fixed", 1, "100", "1.00"),
        ("none", 1000, "50", "0"),
        ("0.0035", 100, "50", "0.35"),
        ("0.0035", 1000, "50", "3.50"),
        ("0.0035", 1, "20", "0.20"),
        ("0", 1000, "50", "0.35"),
    ],
)
def test_schedules(schedule: str, shares: int, price: str, charged: str) -> None:
    known = schedule if schedule in ("fixed", "none") else Decimal(schedule)
    fills = Fills(commission=known)  # type: ignore[arg-type]
    assert commission(Decimal(shares), shares * Decimal(price), fills) == Decimal(charged)


@given(
    shares=st.integers(1, 10_000),
    more=st.integers(1, 10_000),
    price=st.decimals("0.01", 1000, places=2),
    fills=st.sampled_from(SCHEDULES),
)
def test_more_shares_never_cost_less(shares: int, more: int, price: Decimal, fills: Fills) -> None:
    few, many = Decimal(shares), Decimal(shares + more)
    assert commission(few, few * price, fills) <= commission(many, many * price, fills)
