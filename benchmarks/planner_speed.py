"""How long a plan takes for 10 to 10,000 names, and how that grows: random accounts, planned as a command would.

It is the processor's time that counts, as a plan waits for nothing.
"""

import time
from collections.abc import Iterator, Mapping
from itertools import count
from math import log
from statistics import median

from tests.support.accounts import Case, random_account

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.planner import plan_rebalance

ACCOUNTS = {10: 9, 100: 9, 1_000: 3, 10_000: 1}
"""By the number of names, of how many accounts the one in the middle counts."""
KIND = "drift"


def rows(runs: int) -> Iterator[Mapping[str, float | int | str]]:
    """Each size, and the exponent since the one before."""
    before: tuple[int, float] | None = None
    for names, accounts in ACCOUNTS.items():
        took_s = median(_plannable_seconds(names, accounts=accounts, runs=runs))
        exponent = log(took_s / before[1]) / log(names / before[0]) if before else "–"
        yield {"names": names, "ms": 1000 * took_s, "exponent": exponent}
        before = names, took_s


def _plannable_seconds(names: int, *, accounts: int, runs: int) -> list[float]:
    """Of so many accounts that a plan can be made for."""
    found: list[float] = []
    for seed in count():
        if len(found) == accounts:
            break
        case = random_account(seed, kind=KIND, names=names)
        try:
            found.append(min(_seconds(case) for _ in range(runs)))
        except RebalancerError:
            continue
    return found


def _seconds(case: Case) -> float:
    began = time.process_time()
    plan_rebalance(case.allocation, snapshot=case.snapshot, policy=case.policy, purpose=case.purpose)
    return time.process_time() - began
