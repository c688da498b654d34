"""Plans that somebody has been shown: they are carried out as they are, or not at all. No I/O."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeGuard

from ibkr_rebalancer.core.checks import require_same
from ibkr_rebalancer.core.errors import RebalancerError, Refused
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.flows.rebalance import Planned

STALE = "PLAN_STALE"


def with_trades(planned: Mapping[AccountId, Planned | RebalancerError | None]) -> Mapping[AccountId, Planned]:
    """The plans that there is something to show of."""
    return {a: each for a, each in planned.items() if isinstance(each, Planned) and each.plan.trades}


def as_shown(shown: Plan, fresh: Planned | RebalancerError) -> Planned | RebalancerError:
    """The plan that was shown, on the fresh snapshot, if it would be made from the same again."""
    if isinstance(fresh, RebalancerError):
        return fresh
    try:
        require_same(shown, fresh.snapshot, anew=fresh.plan)
    except Refused as stale:
        return stale
    return replace(fresh, plan=shown)


def is_stale(outcome: Planned | RebalancerError) -> TypeGuard[Refused]:
    return isinstance(outcome, Refused) and outcome.code == STALE
