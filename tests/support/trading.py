"""Plans to be traded, and orders with what was heard of them, in notation.

account, plan = planned("DU1 cash 1_000; 100 OLD @50; AAA @100", "AAA 100")
"""

from tests.support.notation import allocation, snapshot

from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import Snapshot


def planned(text: str, targets: str, policy: Policy | None = None) -> tuple[Snapshot, Plan]:
    """An account, and the plan made from it with the default policy unless given."""
    account = snapshot(text, targets=targets)
    return account, plan_rebalance(allocation(targets), snapshot=account, policy=policy or Policy())
