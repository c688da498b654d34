"""The allocation document: target weights as the source sent them, taken whole or refused whole. Pure.

    {"status": "success",
     "data": {"allocations": [{"symbol": "QQQ", "allocation": 0.141}, …],
              "name": …, "strategy_long_name": …, "last_rebalance_on": …, "as_of": …}}

is the usual format; a document in another comes with its `Layout`. What holds of weights holds of all of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ibkr_rebalancer.core.errors import AllocationRejected
from ibkr_rebalancer.core.layout import NUMBER, Contents, Layout, Odd, Row, WeightUnit, read_contents, shown
from ibkr_rebalancer.core.money import ZERO

SUM_TOLERANCE = Decimal("0.01")
"""How far from 1 the weights may add up to."""

MAX_DIGITS = 40
MAX_TEXT = 200
"""Characters kept of a name or date."""

SYMBOL = re.compile(r"[A-Z0-9]{1,12}([ .][A-Z0-9]{1,3})?", re.ASCII)

NUMERAL = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)( ?%)?", re.ASCII)
"""A number in a text, as formats other than the usual one have it."""

USUAL = Layout()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Target weights and what the source says about them."""

    weights: Mapping[str, Decimal]
    """By symbol, each 0 to 1; their sum is at most 1 and what is missing to 1 is meant to stay cash."""
    stated_sum: Decimal
    """Sum of the weights before they were scaled down; above 1 only then."""
    name: str | None
    strategy_long_name: str | None
    last_rebalance_on: str | None
    as_of: str | None


def parse_allocation(body: bytes, layout: Layout | None = None, *, any_sum_below: bool = False) -> Allocation:
    """Read an allocation document; what it says of itself is kept short and printable.

    Without a layout it is in the usual format, where a text is never a number. A sum above 1, within the tolerance, is
    scaled to 1; a sum below is left as it is. Never scaled up. With `any_sum_below` it may be below by more than the
    tolerance: the owner wants the rest in cash.

    Raises:
        AllocationRejected: anything in the document is missing, misspelt, out of range or said twice.
    """
    try:
        return _allocation(read_contents(body, layout or USUAL), layout, any_sum_below=any_sum_below)
    except Odd as odd:
        doubt = "" if layout is None else ", or the keys under allocations: in accounts.yaml if they do not fit it"
        raise AllocationRejected(
            odd.code,
            f"The allocation document is refused: {odd}.",
            hint=f"Ask whoever publishes the targets to correct the document{doubt}; nothing is planned until then.",
        ) from odd


def _allocation(contents: Contents, layout: Layout | None, *, any_sum_below: bool) -> Allocation:
    weights = _weights(contents, layout)
    total = sum(weights.values(), ZERO)
    if layout and layout.unit is WeightUnit.PERCENT and 0 < total * 100 <= 1 + SUM_TOLERANCE:
        stated = (total * 100).normalize()
        raise Odd(f"the weights add up to {stated:f} %: they look like fractions", code="ALLOCATION_SUM")
    least = ZERO if any_sum_below else 1 - SUM_TOLERANCE
    if not least <= total <= 1 + SUM_TOLERANCE:
        known = "; `underweight: cash` would leave the rest in cash" if total < least else ""
        raise Odd(
            f"the weights add up to {total}, outside {least} to {1 + SUM_TOLERANCE}{known}", code="ALLOCATION_SUM"
        )
    scale = max(total, Decimal(1))
    return Allocation(
        weights={symbol: weight / scale for symbol, weight in weights.items()},
        stated_sum=total,
        name=_text(contents, "name"),
        strategy_long_name=_text(contents, "strategy_long_name"),
        last_rebalance_on=_text(contents, "last_rebalance_on"),
        as_of=_text(contents, "as_of"),
    )


def _weights(contents: Contents, layout: Layout | None) -> dict[str, Decimal]:
    if not contents.rows:
        raise Odd(f"{contents.place} is empty, which never means to sell everything")
    weights: dict[str, Decimal] = {}
    for row in contents.rows:
        symbol = _symbol(row, layout or USUAL)
        if symbol in weights:
            raise Odd(f"{symbol} stands twice in {contents.place}")
        weights[symbol] = _weight(row, symbol, layout)
    return weights


def _symbol(row: Row, layout: Layout) -> str:
    symbol = row.symbol
    if symbol is None:
        raise Odd(f"{row.where} has no {_called(layout.symbol)}")
    if not isinstance(symbol, str) or not SYMBOL.fullmatch(symbol):
        raise Odd(f"{row.where}: {shown(symbol)} is not a symbol{_misspelling(symbol)}")
    return symbol


def _weight(row: Row, symbol: str, layout: Layout | None) -> Decimal:
    """The weight as a fraction of 1."""
    unit = (layout or USUAL).unit
    weight = _number(row, symbol, unit) if layout and isinstance(row.weight, str) else row.weight
    if weight is None:
        raise Odd(f"{row.where}: {symbol} has no {_called((layout or USUAL).weight)}")
    if not isinstance(weight, Decimal):
        raise Odd(f"{row.where}: the weight of {symbol} is {shown(weight)}, not a number")
    if not 0 <= weight <= unit.whole:
        raise Odd(f"{row.where}: the weight of {symbol} is {shown(weight)}, outside 0 to {unit.whole}")
    if len(weight.as_tuple().digits) > MAX_DIGITS or abs(weight.adjusted()) > MAX_DIGITS:
        raise Odd(f"{row.where}: the weight of {symbol} has more than {MAX_DIGITS} digits")
    return weight if unit is WeightUnit.FRACTION else weight / unit.whole


def _number(row: Row, symbol: str, unit: WeightUnit) -> object:
    """The number that a text is, or the text itself if it is none."""
    found = NUMERAL.fullmatch(str(row.weight))
    if found is None:
        return row.weight
    number, percent = found.groups()
    if percent and unit is not WeightUnit.PERCENT:
        raise Odd(f"{row.where}: the weight of {symbol} is {shown(row.weight)}, and unit is {unit.value}")
    return Decimal(number)


def _called(path: str) -> str:
    return f"column {path}" if NUMBER.fullmatch(path) else path


def _misspelling(symbol: object) -> str:
    """What keeps a text from being a symbol, where only its spelling does."""
    only_spelling = isinstance(symbol, str) and SYMBOL.fullmatch(symbol.strip().upper())
    return ": symbols are written in capitals, with no blanks around them" if only_spelling else ""


def _text(contents: Contents, name: str) -> str | None:
    value = contents.about.get(name)
    if not isinstance(value, str):
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in value[:MAX_TEXT])
