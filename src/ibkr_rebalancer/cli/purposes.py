"""What a person wants a plan to be for, from the options of `plan` and `execute`."""

import re
from decimal import Decimal

from ibkr_rebalancer.core.errors import UsageError
from ibkr_rebalancer.core.purpose import Purpose


def purpose_of(*, buy_only: bool, raise_cash: str | None) -> Purpose:
    """The purpose that `--buy-only` and `--raise-cash` ask for.

    Raises:
        UsageError: the amount is none (`USAGE`).
    """
    if raise_cash is None:
        return Purpose(buy_only=buy_only)
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,2})?", raise_cash) or not Decimal(raise_cash):
        raise UsageError(
            "USAGE",
            f"--raise-cash is {raise_cash!a:.40}; it must be an amount above 0 such as 5000 or 1250.50.",
            hint="Write it in plain digits; it is in the account's base currency.",
        )
    return Purpose(buy_only=buy_only, raise_cash=Decimal(raise_cash))
