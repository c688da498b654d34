"""How an allocation document is laid out: where its symbols and weights stand, in the usual format or another. Pure.

Nothing is judged here but the way to the rows; what a row says, `allocation` judges. Numbers are read as decimals,
never through binary floats; a repeated key anywhere refuses the document.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any, NoReturn

MAX_DOCUMENT = 1024 * 1024
"""Bytes; a target list of ten thousand symbols is half of that."""

ROOT = "."
"""The path that leads to the document itself."""

NUMBER = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
"""The name of an item of a list, in a path."""

MOST_NAMES = 8
"""How many of the names that are there one sentence tells."""

USUAL_ROWS = "data.allocations"


class Format(Enum):
    """What a document is written in; the values are the endings of files."""

    JSON = "json"
    CSV = "csv"


class WeightUnit(Enum):
    """What weights are written in; the values are the owner's words."""

    FRACTION = "fraction"
    PERCENT = "percent"

    @property
    def whole(self) -> int:
        """The weight of everything."""
        return 1 if self is WeightUnit.FRACTION else 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a document says what; the field names are the keys under `allocations:` in accounts.yaml.

    A path is names joined by dots. In a list, a name is a number, counted from 1. What is written in CSV has a header
    and no paths: `symbol` and `weight` are names of columns.
    """

    format: Format = Format.JSON
    rows: str | None = None
    """The path to the list of rows. None: the document is an envelope of the usual kind, with `status`, around them."""
    by_symbol: str | None = None
    """Instead of `rows`, the path to an object whose names are symbols and whose values are weights."""
    symbol: str = "symbol"
    """The path within a row to its symbol."""
    weight: str = "allocation"
    unit: WeightUnit = WeightUnit.FRACTION
    name: str | None = None
    """The path to what the targets are called."""
    date: str | None = None
    """The path to the day that the targets are of."""


class Odd(ValueError):
    """What a document says in a way that is not understood; the text completes "the document is refused: …"."""

    def __init__(self, reason: str, *, code: str = "ALLOCATION_INVALID") -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A symbol and its weight as they stand in the document."""

    where: str
    """The place, for sentences."""
    symbol: object
    """None if there is none."""
    weight: object
    """None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a document says, not judged yet."""

    place: str
    """Where its rows stand, for sentences."""
    rows: Sequence[Row]
    about: Mapping[str, object]
    """What it says of itself, by the names that the usual format has for it."""


def format_of(file: str) -> Format:
    """What a file is written in, by the ending of its name.

    Raises:
        ValueError: it has none of the endings.
    """
    return Format(PurePath(file).suffix.lower().removeprefix("."))


def read_contents(body: bytes, layout: Layout) -> Contents:
    """What stands in a document at the places that the layout names.

    Raises:
        Odd: it cannot be read, or does not have them.
    """
    if layout.format is Format.CSV:
        return Contents(place="the file", rows=tuple(_csv_rows(body, layout)), about={})
    document = _decoded(body)
    about = _about(document, layout)
    path = layout.by_symbol or layout.rows or USUAL_ROWS
    rows = _weights_by_symbol(document, path) if layout.by_symbol else _listed_rows(document, path, layout)
    return Contents(place=_named(path), rows=tuple(rows), about=about)


def _about(document: object, layout: Layout) -> Mapping[str, object]:
    about = {} if layout.rows or layout.by_symbol else dict(_opened(document))
    if layout.name is not None:
        about["name"] = _at(document, layout.name)
    if layout.date is not None:
        about["as_of"] = _at(document, layout.date)
    return about


def _opened(document: object) -> Mapping[str, object]:
    """What stands beside the rows in the usual envelope, if that says that all is well."""
    if not isinstance(document, dict):
        raise Odd("the document is not an object")
    if document.get("status") != "success":
        raise Odd(f'status is {shown(document.get("status"))}, not "success"', code="ALLOCATION_STATUS")
    data = document.get("data")
    if not isinstance(data, dict):
        raise Odd("data is not an object")
    return data


def _listed_rows(document: object, path: str, layout: Layout) -> Iterator[Row]:
    rows, place = _found(document, path), _named(path)
    if not isinstance(rows, list):
        raise Odd(f"{place} is not a list")
    for number, row in enumerate(rows, start=1):
        where = f"{place}, entry {number}"
        if isinstance(row, list) and not NUMBER.fullmatch(layout.symbol):
            raise Odd(f"{where} is a list, not an object")
        if not isinstance(row, dict | list):
            raise Odd(f"{where} is not an object")
        yield Row(where=where, symbol=_at(row, layout.symbol), weight=_at(row, layout.weight))


def _weights_by_symbol(document: object, path: str) -> Iterator[Row]:
    weights, place = _found(document, path), _named(path)
    if not isinstance(weights, dict):
        raise Odd(f"{place} is not an object")
    for symbol, weight in weights.items():
        yield Row(where=place, symbol=symbol, weight=weight)


def _found(document: object, path: str) -> object:
    """What a path leads to; where it leads nowhere, it is told how far."""
    value, place = document, _named(ROOT)
    for name in _names(path):
        below = _at(value, name)
        if below is None:
            raise Odd(f"{place} has no {shown(name)}: {_told(value)}")
        value, place = below, name if value is document else f"{place}.{name}"
    return value


def _told(value: object) -> str:
    """What stands where something else was looked for."""
    match value:
        case dict():
            return f"it has {_listed(value)}"
        case list():
            return f"it is a list of {len(value)}"
    return f"it is {shown(value)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(shown, islice(names, MOST_NAMES))) or "nothing"


def _at(value: object, path: str) -> object:
    """What a path leads to; None if it leads nowhere."""
    for name in _names(path):
        match value:
            case dict():
                value = value.get(name)
            case list() if NUMBER.fullmatch(name) and int(name) <= len(value):
                value = value[int(name) - 1]
            case _:
                return None
    return value


def _names(path: str) -> list[str]:
    return [] if path == ROOT else path.split(".")


def _named(path: str) -> str:
    return "the document" if path == ROOT else path


def _csv_rows(body: bytes, layout: Layout) -> Iterator[Row]:
    """The rows below the header; blanks around a cell are not part of it, and empty lines are none."""
    try:
        reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), skipinitialspace=True, strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Odd(f"it is not CSV ({_beginning(body)})") from error
    header = lines[0][1] if lines else []
    symbol, weight = _column(layout.symbol, header), _column(layout.weight, header)
    for number, line in lines[1:]:
        if len(line) != len(header):
            raise Odd(f"line {number} has {len(line)} columns, and the header {len(header)}")
        yield Row(where=f"line {number}", symbol=line[symbol] or None, weight=line[weight] or None)


def _column(name: str, header: list[str]) -> int:
    if header.count(name) != 1:
        count = "more than one" if name in header else "no"
        raise Odd(f"the header has {count} column {shown(name)}: it has {_listed(header)}")
    return header.index(name)


def _decoded(body: bytes) -> object:
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_repeats,
        )
    except Odd:
        raise
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise Odd(f"it is not JSON ({_beginning(body)})") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise Odd(f"it contains {constant}, which is not a number")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    repeated = sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) < len(keys) else []
    if repeated:
        raise Odd(f"the key {shown(repeated[0])} stands twice in one object")
    return dict(pairs)


def _beginning(body: bytes) -> str:
    return shown(body[:60].decode("utf-8", "replace"))


def shown(value: object) -> str:
    """A stranger's value in our sentence: short, printable, and a missing one said so."""
    if value is None:
        return "missing"
    text = ascii(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    closing = text[0] if isinstance(value, str) else ""
    return text if len(text) <= 60 else f"{text[:57]}…{closing}"
