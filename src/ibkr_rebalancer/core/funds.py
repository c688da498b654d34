"""Whether the broker's cash is what our own count makes it. Pure.

The broker's figure lags behind its executions, so our count is what purchases are sized by; but a difference that
lasts means that somebody else is trading, or that an execution has not reached us.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.money import ZERO, amount_text
from ibkr_rebalancer.core.portfolio import Balances

TOLERANCE = Decimal("0.0005")
"""Of net liquidation: commissions are estimates until they are told, and fees on sales always are."""


def disagreeing(counted: Mapping[str, Decimal], balances: Balances) -> Sequence[str]:
    """The currencies of `counted` in which the broker's cash is not ours, as nearly as can be."""
    near = TOLERANCE * balances.net_liquidation
    return [
        currency
        for currency, amount in counted.items()
        if abs(balances.in_base(balances.cash.get(currency, ZERO) - amount, currency)) > near
    ]


def cash_disagrees(counted: Mapping[str, Decimal] | None, balances: Balances) -> Refused:
    """What it is called when they do not come to agree; `counted` is None while a price has not been told."""
    differing = [balances.currency] if counted is None else disagreeing(counted, balances)
    there = [f"{amount_text(amount)} {c}" for c, amount in (counted or {}).items() if c in differing]
    ours = "nobody has told all prices" if counted is None else f"there should be {' and '.join(there)}"
    told = " and ".join(f"{amount_text(balances.cash.get(currency, ZERO))} {currency}" for currency in differing)
    return Refused(
        "CASH_DISAGREES",
        f"By all that has been filled {ours}; the broker says {told} in cash. Nothing more was bought.",
        hint="Look at today's trades in TWS: somebody else may be trading in this account. Then run the command again.",
    )
