"""How a run has ended, in the catalogue's words."""

from tests.faults.stage import BugError, KilledError, Outcome

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.report import Report


def ends(outcome: Outcome) -> str:
    """Exit code, and the run's outcome or the reason code of its error."""
    match outcome:
        case Report():
            return f"{outcome.exit_code} {outcome.outcome}"
        case RebalancerError():
            return f"{outcome.exit_code} {outcome.code}"
        case KilledError():
            return "killed"
        case BugError():
            return "70 bug"
    return "stopped"


def told(outcome: Outcome) -> tuple[str, ...]:
    """How the report tells of each order."""
    assert isinstance(outcome, Report), outcome
    return tuple(
        f"{order.side.value} {order.filled}/{order.quantity} {order.symbol} {order.status}" for order in outcome.orders
    )


def words(outcome: Outcome) -> str:
    """All sentences for its reader."""
    match outcome:
        case Report():
            of_orders = [order.reason for order in outcome.orders]
            of_cuts = [adjustment.reason for adjustment in outcome.adjustments]
            return " ".join([outcome.trouble, outcome.hint, *of_orders, *of_cuts])
        case RebalancerError():
            return f"{outcome.message} {outcome.hint}"
    return ""
