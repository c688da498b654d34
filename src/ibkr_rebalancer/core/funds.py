"""Whether the broker's cash is what our own count makes it. Pure.

The broker's figure lags behind its executions, so our count is what purchases are sized by; but a difference that
lasts means that somebody else is trading, or that an execution has not reached us.
"""

from decimal import Decimal

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.money import amount_text
from ibkr_rebalancer.core.portfolio import Balances

TOLERANCE = Decimal("0.0005")
"""Of net liquidation: commissions are estimates until they are told, and fees on sales always are."""


def agrees(counted: Decimal, balances: Balances) -> bool:
    """Whether the broker's cash in the base currency is ours, as nearly as can be."""
    return abs(balances.cash[balances.currency] - counted) <= TOLERANCE * balances.net_liquidation


def cash_disagrees(counted: Decimal | None, balances: Balances) -> Refused:
    """What it is called when they do not come to agree; `counted` is None while a price has not been told."""
    ours = "nobody has told all prices" if counted is None else f"there should be {amount_text(counted)}"
    told = f"{amount_text(balances.cash[balances.currency])} {balances.currency}"
    return Refused(
        "CASH_DISAGREES",
        f"By all that has been filled {ours}; the broker says {told} in cash. Nothing more was bought.",
        hint="Look at today's trades in TWS: somebody else may be trading in this account. Then run the command again.",
    )
