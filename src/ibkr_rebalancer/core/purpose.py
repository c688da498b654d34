"""What a plan is for, beside its targets: the wish of one run that a person has asked for. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from ibkr_rebalancer.core.errors import UsageError
from ibkr_rebalancer.core.money import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """To rebalance, as always, unless one of these is asked for; never both."""

    buy_only: bool = False
    """To invest cash, and to sell nothing."""
    raise_cash: Decimal = ZERO
    """To rebalance so that this much, in the account's base currency, is there in cash beyond the reserve."""


REBALANCE = Purpose()
"""What `watch` always does, and commands unless they are told otherwise."""


def require_meant(purpose: Purpose) -> None:
    """Check that it is something that a plan can be for.

    Raises:
        UsageError: it is both, or an amount below 0 (`USAGE`).
    """
    if purpose.raise_cash < 0:
        raise UsageError(
            "USAGE",
            f"The cash to be raised is {purpose.raise_cash:f}; less than nothing cannot be.",
            hint="Give an amount above 0, in the account's base currency.",
        )
    if purpose.buy_only and purpose.raise_cash:
        raise UsageError(
            "USAGE",
            "--buy-only sells nothing, and --raise-cash sells for cash: they cannot be had together.",
            hint="Leave one of them out.",
        )
