"""Whether the broker's cash is what our own count makes it. Pure.

The broker's figure lags behind its executions, so our count is what purchases are sized by; but a difference that
lasts means that somebody else is trading, or that an execution has not reached us.
"""

from decimal import Decimal

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.money import ZERO, to_cents
from ibkr_rebalancer.core.portfolio import Balances

TOLERANCE = Decimal("0.0005")
"""Of net liquidation: commissions are estimates until they are told, and fees on sales always are."""


def difference(counted: Decimal, balances: Balances) -> Decimal | None:
    """The broker's cash less ours in the base currency, or None when they agree nearly enough."""
    off = balances.cash.get(balances.currency, ZERO) - counted
    return off if abs(off) > TOLERANCE * balances.net_liquidation else None


def cash_disagrees(counted: Decimal, off: Decimal, *, currency: str) -> Refused:
    """What it is called when the difference lasts."""
    return Refused(
        "CASH_DISAGREES",
        f"After the sales there should be {to_cents(counted)} {currency} in cash; the broker says "
        f"{to_cents(counted + off)}. Nothing was bought.",
        hint="Look at today's trades in TWS: somebody else may be trading in this account. Then run the command again.",
    )
