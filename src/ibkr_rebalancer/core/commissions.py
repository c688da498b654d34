"""What IBKR charges for a stock order, estimated from its published fixed schedules. Pure.

Source: IBKR Pro, fixed pricing, shares. United States: USD 0.005 a share, at least USD 1.00 an order and at most 1 % of
its value; the 1 % wins over the minimum. Regulatory fees on sales are a few hundredths of that and change every year;
they are left to the cash reserve.

Elsewhere IBKR charges, in the currency that the share trades in, a part of the value and at least a minimum, both by
market. Here that is 0.10 % in all of them and 0.50 % where no minimum is known, more than most charge: purchases must
not come to lack the money for what they cost.
"""

from collections.abc import Mapping
from decimal import Decimal

from ibkr_rebalancer.core.money import ZERO, up_to_cents

SCHEDULE_CURRENCY = "USD"
PER_SHARE = Decimal("0.005")
MINIMUM = Decimal("1.00")
CAP_OF_VALUE = Decimal("0.01")
OF_VALUE_ABROAD = Decimal("0.001")
MINIMUM_ABROAD: Mapping[str, Decimal] = {
    "AUD": Decimal(6),
    "CAD": Decimal(1),
    "CHF": Decimal(5),
    "DKK": Decimal(49),
    "EUR": Decimal(3),
    "GBP": Decimal(3),
    "HKD": Decimal(18),
    "JPY": Decimal(80),
    "NOK": Decimal(49),
    "SEK": Decimal(49),
    "SGD": Decimal("2.50"),
}
"""Of one order, in its currency."""
OF_VALUE_UNKNOWN = Decimal("0.005")
"""In a currency that is not among them."""


def commission(quantity: int, price: Decimal, currency: str) -> Decimal:
    """The commission of one order at a price in `currency`, and in that, rounded up to the cent; zero for no shares."""
    if quantity == 0:
        return ZERO
    if currency == SCHEDULE_CURRENCY:
        charged = max(PER_SHARE * quantity, MINIMUM)
        return up_to_cents(min(charged, CAP_OF_VALUE * quantity * price))
    if currency in MINIMUM_ABROAD:
        return up_to_cents(max(OF_VALUE_ABROAD * quantity * price, MINIMUM_ABROAD[currency]))
    return up_to_cents(OF_VALUE_UNKNOWN * quantity * price)
