"""How much a plan takes grows with the names about as they do: counted in calls, as no clock would say it twice.

`python -m benchmarks planner` tells the time.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import CodeType, FrameType

from tests.support.accounts import random_account

from ibkr_rebalancer.core.planner import plan_rebalance

SMALL, TIMES = 40, 8
SEEDS = (0, 1)
FEW = 2_500
"""Calls, taken for those of what has fewer in the small accounts: the solver has parts for large ones only."""


def calls_of(act: Callable[[], object]) -> Counter[CodeType]:
    """How often each function was called."""
    calls: dict[CodeType, int] = defaultdict(int)

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls[frame.f_code] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return Counter(calls)


def calls_of_plans(names: int) -> Counter[CodeType]:
    """Of some accounts together, as chance makes the one harder than the other."""
    calls = Counter[CodeType]()
    for seed in SEEDS:
        case = random_account(seed, kind="drift", names=names)
        calls += calls_of(partial(plan_rebalance, case.allocation, snapshot=case.snapshot, policy=case.policy))
    return calls


def grown_too_much(small: Counter[CodeType], large: Counter[CodeType]) -> Iterator[str]:
    """What eight times the names do not explain, with a factor of three for chance. Each with each is sixty-four."""
    for code, calls in large.items():
        if calls > 3 * TIMES * max(small[code], FEW):
            where = f"{code.co_filename}:{code.co_firstlineno} {code.co_name}"
            yield f"{where}: {small[code]} calls have become {calls}"
    if large.total() > 2 * TIMES * small.total():
        yield f"in all: {small.total()} calls have become {large.total()}"


def test_no_function_is_called_for_each_name_and_each_other_name() -> None:
    assert list(grown_too_much(calls_of_plans(SMALL), calls_of_plans(TIMES * SMALL))) == []


def test_to_look_for_each_in_a_list_of_all_would_be_seen() -> None:
    @dataclass(frozen=True)
    class Name:
        number: int

    def look(names: int) -> None:
        all_of_them = [Name(number) for number in range(names)]
        assert all(all_of_them.count(Name(number)) == 1 for number in range(names))

    (grown, _) = grown_too_much(calls_of(lambda: look(SMALL)), calls_of(lambda: look(TIMES * SMALL)))
    assert "__eq__" in grown
