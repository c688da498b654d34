"""What a plan is for, beside its targets: the wish of one run that a person has asked for. Pure."""

from dataclasses import dataclass
from decimal import Decimal

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
