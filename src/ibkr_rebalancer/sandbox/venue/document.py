"""Strict reading of parsed YAML or JSON, value by value. An error names the place; nothing is guessed."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from ibkr_rebalancer.sandbox.venue.hours import Hours, describe_hours, parse_hours

Document = dict[str, Any]
"""A parsed mapping."""

Keys = Mapping[str, Callable[[str, object], Any]]
"""Which keys a mapping may have, and how each is read: from its place, for errors, and its value."""

T = TypeVar("T")


class ScenarioError(ValueError):
    """The document is no scenario."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}" if where else problem)


def check_keys(where: str, body: object, known: set[str]) -> None:
    if not isinstance(body, dict):
        raise ScenarioError(where, f"expected a mapping, was {body!r}")
    for key in body:
        if key not in known:
            raise ScenarioError(where, f"unknown key {key!r}; known are {', '.join(sorted(known))}")


def given(where: str, body: Document, keys: Keys) -> Document:
    """The keys that are given, read; the others are left to the defaults of the value they belong to."""
    return {key: read(f"{where}.{key}", body[key]) for key, read in keys.items() if body.get(key) is not None}


def written(value: object, keys: Keys) -> Document:
    """The inverse of `given`: the value's attributes of these names, as plain data."""
    body = {key: getattr(value, key) for key in keys}
    return {key: plain(item) for key, item in body.items() if item is not None}


def mapping(where: str, body: Document, key: str) -> list[tuple[str, Any]]:
    """The items of the mapping under a key, none if it isn't given; names become text."""
    value = {} if body.get(key) is None else body[key]
    if not isinstance(value, dict):
        raise ScenarioError(f"{where}.{key}".strip("."), f"expected a mapping, was {value!r}")
    return [(str(name), below) for name, below in value.items()]


def merged(document: Document, change: Document) -> Document:
    """A change laid over a document (RFC 7396): mappings merge, null removes, everything else replaces."""
    result = dict(document)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def anything(_: str, value: object) -> object:
    return value


def text(where: str, value: object) -> str:
    """Text, or a number or flag as the wire has it."""
    if isinstance(value, dict | list) or value is None:
        raise ScenarioError(where, f"expected text, was {value!r}")
    return str(int(value)) if isinstance(value, bool) else str(value)


def choice(*choices: T) -> Callable[[str, object], T]:
    def read(where: str, value: object) -> T:
        for known in choices:
            if value == known:
                return known
        raise ScenarioError(where, f"{value!r} is none of {', '.join(map(str, choices))}")

    return read


def listed(read: Callable[[str, object], T]) -> Callable[[str, object], tuple[T, ...]]:
    """A list of values that are read so."""

    def read_list(where: str, value: object) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise ScenarioError(where, f"expected a list, was {value!r}")
        return tuple(read(f"{where}[{index}]", item) for index, item in enumerate(value))

    return read_list


def flag(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ScenarioError(where, f"expected true or false, was {value!r}")
    return value


def whole(where: str, value: object) -> int:
    """A count, an identifier, a time in milliseconds: never negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ScenarioError(where, f"expected a whole number, was {value!r}")
    return value


def count(where: str, value: object) -> int:
    """A whole number of at least 1."""
    if whole(where, value) == 0:
        raise ScenarioError(where, "expected at least 1, was 0")
    return whole(where, value)


def between(least: int, most: int) -> Callable[[str, object], int]:
    """A whole number, both bounds included."""

    def read(where: str, value: object) -> int:
        if not least <= whole(where, value) <= most:
            raise ScenarioError(where, f"expected a whole number from {least} to {most}, was {value!r}")
        return whole(where, value)

    return read


def number(where: str, value: object) -> Decimal:
    try:
        result = Decimal(str(value))
    except InvalidOperation as exc:
        raise ScenarioError(where, f"expected a number, was {value!r}") from exc
    if not result.is_finite():
        raise ScenarioError(where, f"expected a finite number, was {value!r}")
    return result


def amount(where: str, value: object) -> Decimal:
    """A number that is not negative."""
    result = number(where, value)
    if result < 0:
        raise ScenarioError(where, f"expected a number that is not negative, was {value!r}")
    return result


def charge(where: str, value: object) -> str | Decimal:
    """`fixed`, `none` or an amount a share."""
    return str(value) if value in ("fixed", "none") else amount(where, value)


def moment(where: str, value: object) -> datetime:
    try:
        result = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as exc:
        raise ScenarioError(where, f"expected a time such as 2026-11-23T15:30:00Z, was {value!r}") from exc
    if result.tzinfo is None:
        raise ScenarioError(where, f"the time {value} needs a zone")
    return result.astimezone(UTC)


def hexadecimal(where: str, value: object) -> str:
    try:
        return bytes.fromhex(text(where, value)).hex()
    except ValueError as exc:
        raise ScenarioError(where, f"expected hexadecimal digits, was {value!r}") from exc


def hours(where: str, value: object) -> Hours:
    """`09:30-16:00 US/Eastern`, `always`, `closed`, or `{regular: ..., days: {2026-11-27: 09:30-13:00}}`."""
    body: Document = value if isinstance(value, dict) else {"regular": value}
    check_keys(where, body, {"regular", "days"})
    days = {day: text(f"{where}.days.{day}", sitting) for day, sitting in mapping(where, body, "days")}
    try:
        return parse_hours(text(where, body.get("regular")), days)
    except ValueError as exc:
        raise ScenarioError(where, str(exc)) from exc


def plain(value: object) -> object:
    """A value as YAML and JSON have it."""
    match value:
        case Decimal():
            return str(value)
        case Hours():
            regular, days = describe_hours(value)
            return {"regular": regular, "days": days} if days else regular
        case tuple():
            return list(value)
        case _:
            return value
