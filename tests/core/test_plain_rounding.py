"""Without a reserve and a gate a plan is the plain one: nearest share, cut only where cash does not reach."""

from dataclasses import replace
from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.core.test_plan_properties import drawn_accounts
from tests.support.accounts import KINDS, Case, random_account
from tests.support.judge import Name, planned, problem_of, shares_after
from tests.support.notation import allocation, snapshot

from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Policy

HALF = Decimal("0.5")
PLAIN = Policy(cash_reserve_pct=Decimal(0), min_gain_bp=Decimal(0))

plain_accounts = st.one_of(
    drawn_accounts(policy=PLAIN),
    st.builds(
        lambda kind, seed, names: replace(random_account(seed, kind=kind, names=names), policy=PLAIN),
        st.sampled_from([kind for kind in KINDS if kind not in {"large", "messy"}]),
        st.integers(0, 10**9),
        st.integers(3, 12),
    ),
)


def nearest(case: Case) -> dict[ConId, int]:
    """What a person with a calculator would hold: a trade where the difference is over half a share."""
    held = {name.con_id: name.whole for name in problem_of(case).names}
    worth = problem_of(case).cash + sum(name.middle * name.held for name in problem_of(case).names)
    for name in problem_of(case).names:
        wanted = name.weight * max(worth, Decimal(0)) / name.middle
        if not name.weight or abs(wanted - name.held) > HALF:
            towards_held = ROUND_HALF_UP if wanted < name.held else ROUND_HALF_DOWN
            held[name.con_id] = int(wanted.to_integral_value(towards_held))
    return held


def most_charged(name: Name, shares: int) -> Decimal:
    """A bound on a commission: half a cent a share in dollars, half a percent elsewhere, and every minimum."""
    return max(shares * HALF / 100, Decimal(1)) if name.currency == "USD" else max(shares * name.ask / 200, Decimal(6))


@given(plain_accounts)
def test_shares_are_the_nearest_ones_where_cash_reaches(case: Case) -> None:
    problem, expected, plan = problem_of(case), nearest(case), planned(case)
    for currency, purse in problem.purses.items():
        fees = sum(most_charged(n, abs(expected[n.con_id] - n.whole)) for n in problem.names if n.currency == currency)
        assume(purse.spendable + problem.traded(expected, currency) - fees >= 0)
    assert shares_after(plan, problem) == expected


@given(plain_accounts)
def test_shares_are_cut_only_where_cash_does_not_reach(case: Case) -> None:
    problem, expected, plan = problem_of(case), nearest(case), planned(case)
    shares = shares_after(plan, problem)
    assert all(shares[con_id] <= expected[con_id] for con_id in shares)
    cut = [name for name in problem.names if shares[name.con_id] < expected[name.con_id]]
    for name in cut:
        charged = sum((t.commission * t.rate for t in plan.trades if t.currency == name.currency), Decimal(0))
        left = problem.purses[name.currency].spendable + problem.traded(shares, name.currency) - charged
        assert left < name.ask + 2 * most_charged(name, 1)


@pytest.mark.parametrize(
    ("held", "orders"),
    [
        ("4", []),  # 4.5 wanted, half a share more
        ("5", []),  # half a share less
        ("4.2", []),
        ("3.9", [("BUY", 1)]),
        ("5.1", [("SELL", 1)]),
    ],
)
def test_half_a_share_is_not_worth_a_trade(held: str, orders: list[tuple[str, int]]) -> None:
    text, targets = f"DU1 cash {900 - Decimal(held) * 100}; {held} AAA @100; BBB @1_000_000", "AAA 50; BBB 50"
    plan = plan_rebalance(allocation(targets), snapshot=snapshot(text, targets=targets), policy=PLAIN)
    assert [(trade.side.value, trade.quantity) for trade in plan.trades] == orders
