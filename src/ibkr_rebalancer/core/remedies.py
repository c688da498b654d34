"""What helps against each reason for which nothing could be sent: whether, and how, it is tried again. Pure.

Nothing is tried again after an outcome that nobody knows, or a halt; everything else is, as long as its reason can pass
by itself.
"""

from enum import Enum

from ibkr_rebalancer.core.errors import (
    AllocationRejected,
    AllocationUnavailable,
    Busy,
    Deferred,
    GatewayUnavailable,
    RebalancerError,
    Refused,
)


class Remedy(Enum):
    """What helps against a reason."""

    TIME = "time"
    """It passes: tried again, ever more seldom, until the session ends."""
    RETURN = "return"
    """Somebody comes back, and nobody can say when: tried again for ever."""
    OPEN = "open"
    """The next open of the market."""
    RESTART = "restart"
    """The process was told to stop: the next one goes on."""
    PLAN = "plan"
    """A new plan for what is left undone, twice at most."""
    PERSON = "person"
    """Nothing that a program can do."""


PASSING = frozenset(
    {
        "CASH_DISAGREES",
        "CLOCK_SKEW",
        "EXCHANGE_RATE_MISSING",
        "FOREIGN_ORDER",
        "HOURS_UNKNOWN",
        "LIMIT_MAX_QUOTE_AGE_S",
        "LIMIT_MAX_SPREAD_PCT",
        "PLAN_STALE",
        "POSITION_LAGS",
        "PRICE_CROSSED",
        "PRICE_MISSING",
        "PRICE_NOT_LIVE",
        "PRICE_STALE",
        "SHORT_WITHOUT_VALUE",
        "SNAPSHOT_INCONSISTENT",
        "SYMBOL_HALTED",
    }
)
"""Refusals whose reason passes by itself, as figures and prices come back and other people's orders end. Of the limits
these are only the age and the spread of a quote: what passes another one is to be looked at by a person."""

INTERRUPTED = "INTERRUPTED"
"""The reason code of a run that was told to stop before it had sent anything."""


def remedy(error: RebalancerError) -> Remedy:
    """What helps against an error before which nothing was sent."""
    match error:
        case Busy() | GatewayUnavailable():
            return Remedy.RETURN
        case AllocationUnavailable() | AllocationRejected():
            return Remedy.TIME
        case Deferred():
            return Remedy.RESTART if error.code == INTERRUPTED else Remedy.OPEN
        case Refused() if error.code in PASSING:
            return Remedy.TIME
        case _:
            return Remedy.PERSON
