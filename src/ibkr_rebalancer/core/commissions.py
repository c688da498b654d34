"""What IBKR charges for a stock order, estimated from its published fixed schedule. Pure.

Source: IBKR Pro, fixed pricing, United States, shares: USD 0.005 a share, at least USD 1.00 an order and at
most 1 % of its value; the 1 % wins over the minimum. Regulatory fees on sales are a few hundredths of that
and change every year; they are left to the cash reserve.
"""

from decimal import Decimal

from ibkr_rebalancer.core.money import ZERO, up_to_cents

SCHEDULE_CURRENCY = "USD"
PER_SHARE = Decimal("0.005")
MINIMUM = Decimal("1.00")
CAP_OF_VALUE = Decimal("0.01")


def commission(quantity: int, price: Decimal) -> Decimal:
    """The commission of one order in the currency of `price`, rounded up to the cent; zero for no shares."""
    if quantity == 0:
        return ZERO
    charged = max(PER_SHARE * quantity, MINIMUM)
    return up_to_cents(min(charged, CAP_OF_VALUE * quantity * price))
