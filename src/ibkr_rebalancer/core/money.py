"""Decimal arithmetic on money and weights: what is rounded, how, and what is no number at all. Pure."""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal, InvalidOperation

ZERO = Decimal(0)
CENT = Decimal("0.01")
BASIS_POINT = Decimal("0.0001")


def decimal_of(text: str) -> Decimal | None:
    """The finite number written in `text`, or None: NaN, infinities and words are no amounts."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def to_cents(amount: Decimal) -> Decimal:
    """An amount as it is shown: two decimals, half to even. Never feed it back into a check."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)


def amount_text(amount: Decimal) -> str:
    """An amount in a sentence, as tables show it: 10,000.00."""
    return f"{to_cents(amount):,}"


def up_to_cents(cost: Decimal) -> Decimal:
    """A cost rounded against us, so that an estimate of it is never too low."""
    return cost.quantize(CENT, rounding=ROUND_CEILING)


def share_of(part: Decimal, whole: Decimal) -> Decimal:
    """`part / whole` as a fraction with six decimals; zero of an empty whole."""
    return (part / whole if whole else ZERO).quantize(Decimal("0.000001"))
