"""How much a plan takes grows with the names about as they do: counted in calls, as no clock would say it twice.

`python -m benchmarks planner` tells the time.
"""

import sys
from collections.abc import Callable
from functools import partial

from tests.support.accounts import random_account

from ibkr_rebalancer.core.planner import plan_rebalance

SMALL, TIMES = 40, 8
SEEDS = (0, 1, 2)


def calls_of(act: Callable[[], object]) -> int:
    """Of functions, C's among them, and the returns from them."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return calls


def calls_of_plans(names: int) -> int:
    """Of some accounts together, as chance makes the one harder than the other."""
    cases = [random_account(seed, kind="drift", names=names) for seed in SEEDS]
    return sum(
        calls_of(partial(plan_rebalance, case.allocation, snapshot=case.snapshot, policy=case.policy)) for case in cases
    )


def test_eight_times_the_names_take_at_most_sixteen_times_the_calls() -> None:
    """What compares every name with every other one would take sixty-four times as many."""
    assert calls_of_plans(TIMES * SMALL) < 2 * TIMES * calls_of_plans(SMALL)


def test_what_compares_all_with_all_would_be_seen() -> None:
    def compare(names: int) -> None:
        for one in range(names):
            for other in range(names):
                max(one, other)

    assert calls_of(lambda: compare(TIMES * SMALL)) > 2 * TIMES * calls_of(lambda: compare(SMALL))
