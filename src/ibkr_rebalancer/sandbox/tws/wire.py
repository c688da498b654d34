"""Frames and fields of the classic text protocol, and the layout of a message. Pure: bytes in, bytes out.

A frame is a 4-byte big-endian length and that many bytes; every field inside ends with NUL. Text is ASCII,
anything else is escaped as \\uXXXX. A layout insists on exactly its fields: no client forgives one too few.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

GREETING = b"API\0"
MAX_FRAME = 0xFFFFFF
MAX_DIGITS = 18
UNSET_INT = "2147483647"
UNSET_DOUBLE = "1.7976931348623157E308"
UNSET = {"", UNSET_INT, UNSET_DOUBLE}
"""A number that was left open."""


class MalformedError(Exception):
    """What arrived is not the protocol."""


def frame(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


class Deframer:
    """Cuts the client's byte stream into payloads: the unframed greeting first, then frames."""

    def __init__(self) -> None:
        self._buffer = b""
        self._greeted = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that are complete now.

        Raises:
            MalformedError: on another greeting or an impossible length.
        """
        self._buffer += data
        if not self._greeted:
            if self._buffer[: len(GREETING)] != GREETING[: len(self._buffer)]:
                raise MalformedError(f"greeting was {self._buffer[:16]!r}")
            if len(self._buffer) < len(GREETING):
                return
            self._greeted, self._buffer = True, self._buffer[len(GREETING) :]
        while len(self._buffer) >= 4:
            length = int(struct.unpack(">I", self._buffer[:4])[0])
            if length > MAX_FRAME:
                raise MalformedError(f"a frame of {length} bytes was announced")
            if len(self._buffer) < 4 + length:
                return
            payload, self._buffer = self._buffer[4 : 4 + length], self._buffer[4 + length :]
            yield payload


def split_fields(payload: bytes) -> list[str]:
    return payload.decode(errors="backslashreplace").split("\0")[:-1]


def join_fields(fields: Sequence[str]) -> bytes:
    return "".join(_ascii(field) + "\0" for field in fields).encode("ascii")


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that repeat: sent as a count, then that many times."""

    name: str
    fields: tuple["Field", ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Fields that are there only where the fields before them say so."""

    applies: Callable[["Values"], bool]
    fields: tuple["Field", ...]


Field = str | Group | Part
Row = Mapping[str, object]
Values = Mapping[str, str | tuple[Mapping[str, str], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    name: str
    id: int | None
    """None is the version frame of the handshake, which carries no id."""
    version: int | None = None
    """Of the message; None where the protocol has dropped it."""
    fields: tuple[Field, ...]

    @property
    def head(self) -> tuple[str, ...]:
        return tuple(str(number) for number in (self.id, self.version) if number is not None)

    @property
    def names(self) -> list[str]:
        """Of all fields, those of parts among them."""
        return [_name(field) for field in _flat(self.fields)]

    def message(self, **values: object) -> "Message":
        """A message of this layout; fields of parts may be left out.

        Raises:
            TypeError: when its other fields are not exactly those given.
        """
        return Message(layout=self, values=_texts(self.name, self.fields, values))

    def read(self, fields: Sequence[str]) -> "Message":
        """The message in these fields, id and version included.

        Raises:
            MalformedError: when there are too few or too many.
        """
        body = _Cursor(fields[len(self.head) :])
        values = _read(self.fields, body)
        expected = len(self.head) + body.taken
        if len(fields) != expected:
            raise MalformedError(f"{self.name} has {len(fields)} fields, not {expected}")
        return Message(layout=self, values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    layout: Layout
    values: Values

    def __getitem__(self, name: str) -> str:
        value = self.values[name]
        if not isinstance(value, str):
            raise TypeError(f"{self.layout.name}: {name} is a group")
        return value

    def whole(self, name: str) -> int:
        """The whole number in a field; an empty one is 0.

        Raises:
            MalformedError: when there is none.
        """
        number = whole_number(self[name] or "0")
        if number is None:
            raise MalformedError(f"{self.layout.name}: {name} is {self[name]!r}, no whole number")
        return number

    def number(self, name: str) -> Decimal:
        """The number in a field; an empty one is 0.

        Raises:
            MalformedError: when there is none, or none that anything could cost or count.
        """
        try:
            number = Decimal(self[name] or "0")
        except InvalidOperation as exc:
            raise MalformedError(f"{self.layout.name}: {name} is {self[name]!r}, no number") from exc
        if not number.is_finite() or number.adjusted() > MAX_DIGITS:
            raise MalformedError(f"{self.layout.name}: {name} is {self[name]!r}, no number of this world")
        return number

    @property
    def texts(self) -> dict[str, str]:
        """The plain fields by name, without the groups."""
        return {name: value for name, value in self.values.items() if isinstance(value, str)}

    @property
    def fields(self) -> list[str]:
        """As sent: id, version, then the fields in their order."""
        return [*self.layout.head, *_written(self.layout.fields, self.values)]

    def altered(self, values: Mapping[str, str]) -> "Message":
        return Message(layout=self.layout, values={**self.values, **values})


def whole_number(field: str) -> int | None:
    """The number in a field, if it is one that the protocol could mean."""
    return int(field) if field.isdecimal() and len(field) <= MAX_DIGITS else None


def is_unset(field: str) -> bool:
    """Whether a number was left open: empty, or the greatest number of its type in anyone's spelling."""
    return field.upper().replace("E+", "E") in UNSET


def text(value: object) -> str:
    """A value as the gateway writes it: whole numbers without a point, booleans as digits."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case Decimal():
            plain = f"{value + 0:f}"  # + 0 takes the sign off a zero
            return (plain.rstrip("0").rstrip(".") or "0") if "." in plain else plain
        case _:
            return str(value)


class _Cursor:
    """Goes through fields; past their end come empty ones, which are counted too."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self.taken = 0

    def take(self) -> str:
        self.taken += 1
        return self._fields[self.taken - 1] if self.taken <= len(self._fields) else ""

    def take_count(self, name: str) -> int:
        field = self.take()
        count = whole_number(field or "0")
        if count is None or count > len(self._fields):
            raise MalformedError(f"the number of {name} is {field!r}")
        return count


def _read(fields: Iterable[Field], cursor: _Cursor) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in fields:
        match field:
            case str():
                values[field] = cursor.take()
            case Group(name=name, fields=below):
                values[name] = tuple(_read(below, cursor) for _ in range(cursor.take_count(name)))
            case Part(applies=applies, fields=below) if applies(values):
                values |= _read(below, cursor)
    return values


def _written(fields: Iterable[Field], values: Mapping[str, Any]) -> Iterator[str]:
    for field in fields:
        match field:
            case str():
                yield values.get(field, "")
            case Group(name=name, fields=below):
                yield str(len(values[name]))
                for row in values[name]:
                    yield from _written(below, row)
            case Part(applies=applies, fields=below) if applies(values):
                yield from _written(below, values)


def _texts(name: str, fields: tuple[Field, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as texts, those of a group row by row."""
    known, needed = _shape(fields)
    wrong = (values.keys() - known.keys()) | (needed - values.keys())
    if wrong:
        raise TypeError(f"{name} is given other fields than its own: {sorted(wrong)}")
    texts: dict[str, Any] = {}
    for key, value in values.items():
        field = known[key]
        texts[key] = tuple(_texts(key, field.fields, row) for row in value) if isinstance(field, Group) else text(value)
    return texts


@cache
def _shape(fields: tuple[Field, ...]) -> tuple[dict[str, str | Group], set[str]]:
    """All fields by name, and the names of those outside of parts."""
    needed = {_name(field) for field in fields if not isinstance(field, Part)}
    return {_name(field): field for field in _flat(fields)}, needed


def _flat(fields: Iterable[Field]) -> Iterator[str | Group]:
    """With the fields of parts in their place."""
    for field in fields:
        if isinstance(field, Part):
            yield from _flat(field.fields)
        else:
            yield field


def _name(field: str | Group) -> str:
    return field if isinstance(field, str) else field.name


def _ascii(field: str) -> str:
    if field.isascii():
        return field
    units = field.encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)
