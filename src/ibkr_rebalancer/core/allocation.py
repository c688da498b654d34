"""The allocation document: target weights as the source sent them, taken whole or refused whole. Pure.

    {"status": "success",
     "data": {"allocations": [{"symbol": "QQQ", "allocation": 0.141}, …],
              "name": …, "strategy_long_name": …, "last_rebalance_on": …, "as_of": …}}

Numbers are read as decimals, never through binary floats; a repeated key anywhere refuses the document.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from ibkr_rebalancer.core.errors import AllocationRejected
from ibkr_rebalancer.core.money import ZERO

SUM_TOLERANCE = Decimal("0.01")
"""How far from 1 the weights may add up to."""

MAX_DIGITS = 40
MAX_TEXT = 200
"""Characters kept of a name or date."""

SYMBOL = re.compile(r"[A-Z0-9]{1,12}([ .][A-Z0-9]{1,3})?", re.ASCII)


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


def parse_allocation(body: bytes) -> Allocation:
    """Read an allocation document; what it says of itself is kept short and printable.

    A sum above 1, within the tolerance, is scaled to 1; a sum below is left as it is. Never scaled up.

    Raises:
        AllocationRejected: anything in the document is missing, misspelt, out of range or said twice.
    """
    document = _object(_decoded(body), "the document")
    if document.get("status") != "success":
        raise _invalid(f'status is {_shown(document.get("status"))}, not "success"', code="ALLOCATION_STATUS")
    data = _object(document.get("data"), "data")
    weights = _weights(data.get("allocations"))
    total = sum(weights.values(), ZERO)
    if abs(total - 1) > SUM_TOLERANCE:
        raise _invalid(
            f"the weights add up to {total}, outside {1 - SUM_TOLERANCE} to {1 + SUM_TOLERANCE}",
            code="ALLOCATION_SUM",
        )
    scale = max(total, Decimal(1))
    return Allocation(
        weights={symbol: weight / scale for symbol, weight in weights.items()},
        stated_sum=total,
        name=_text(data, "name"),
        strategy_long_name=_text(data, "strategy_long_name"),
        last_rebalance_on=_text(data, "last_rebalance_on"),
        as_of=_text(data, "as_of"),
    )


def _decoded(body: bytes) -> object:
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_repeats,
        )
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise _invalid(f"it is not JSON ({_shown(body[:60].decode('utf-8', 'replace'))})") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise _invalid(f"it contains {constant}, which is not a number")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    repeated = sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) < len(keys) else []
    if repeated:
        raise _invalid(f"the key {_shown(repeated[0])} stands twice in one object")
    return dict(pairs)


def _weights(rows: object) -> dict[str, Decimal]:
    if not isinstance(rows, list):
        raise _invalid("data.allocations is not a list")
    if not rows:
        raise _invalid("data.allocations is empty, which never means to sell everything")
    weights: dict[str, Decimal] = {}
    for number, row in enumerate(rows, start=1):
        symbol, weight = _row(row, f"data.allocations, entry {number}")
        if symbol in weights:
            raise _invalid(f"{symbol} stands twice in data.allocations")
        weights[symbol] = weight
    return weights


def _row(row: object, where: str) -> tuple[str, Decimal]:
    entry = _object(row, where)
    symbol, weight = entry.get("symbol"), entry.get("allocation")
    if symbol is None:
        raise _invalid(f"{where} has no symbol")
    if not isinstance(symbol, str) or not SYMBOL.fullmatch(symbol):
        raise _invalid(f"{where}: {_shown(symbol)} is not a symbol{_misspelling(symbol)}")
    if weight is None:
        raise _invalid(f"{where}: {symbol} has no allocation")
    if not isinstance(weight, Decimal):
        raise _invalid(f"{where}: the weight of {symbol} is {_shown(weight)}, not a number")
    if not 0 <= weight <= 1:
        raise _invalid(f"{where}: the weight of {symbol} is {_shown(weight)}, outside 0 to 1")
    if len(weight.as_tuple().digits) > MAX_DIGITS or abs(weight.adjusted()) > MAX_DIGITS:
        raise _invalid(f"{where}: the weight of {symbol} has more than {MAX_DIGITS} digits")
    return symbol, weight


def _misspelling(symbol: object) -> str:
    """What keeps a text from being a symbol, where only its spelling does."""
    only_spelling = isinstance(symbol, str) and SYMBOL.fullmatch(symbol.strip().upper())
    return ": symbols are written in capitals, with no blanks around them" if only_spelling else ""


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{where} is not an object")
    return value


def _text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    if not isinstance(value, str):
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in value[:MAX_TEXT])


def _shown(value: object) -> str:
    """A stranger's value in our sentence: short, printable, and a missing one said so."""
    if value is None:
        return "missing"
    text = ascii(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    closing = text[0] if isinstance(value, str) else ""
    return text if len(text) <= 60 else f"{text[:57]}…{closing}"


def _invalid(reason: str, *, code: str = "ALLOCATION_INVALID") -> AllocationRejected:
    return AllocationRejected(
        code,
        f"The allocation document is refused: {reason}.",
        hint="Ask whoever publishes the targets to correct the document; nothing is planned until then.",
    )
