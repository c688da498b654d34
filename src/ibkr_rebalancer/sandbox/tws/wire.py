"""Frames and fields of the classic text protocol, and the layout of a message. Pure: bytes in, bytes out.

A frame is a 4-byte big-endian length and that many bytes; every field inside ends with NUL. Text is ASCII,
anything else is escaped as \\uXXXX. A layout insists on exactly its fields: no client forgives one too few.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

GREETING = b"API\0"
MAX_FRAME = 0xFFFFFF
MAX_DIGITS = 18


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
    fields: tuple[str, ...]


Row = Mapping[str, object]
Values = Mapping[str, str | tuple[Mapping[str, str], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    name: str
    id: int | None
    """None is the version frame of the handshake, which carries no id."""
    version: int | None = None
    """Of the message; None where the protocol has dropped it."""
    fields: tuple[str | Group, ...]

    @property
    def head(self) -> tuple[str, ...]:
        return tuple(str(number) for number in (self.id, self.version) if number is not None)

    @property
    def names(self) -> list[str]:
        return [field if isinstance(field, str) else field.name for field in self.fields]

    def message(self, **values: object) -> "Message":
        """A message of this layout.

        Raises:
            TypeError: unless exactly its fields are given.
        """
        _expect(self.name, values, self.names)
        texts: dict[str, str | tuple[Mapping[str, str], ...]] = {}
        for field in self.fields:
            if isinstance(field, str):
                texts[field] = text(values[field])
            else:
                texts[field.name] = tuple(_row(field, row) for row in values[field.name])  # type: ignore[attr-defined]  # a group's value is a list of rows
        return Message(layout=self, values=texts)

    def read(self, fields: Sequence[str]) -> "Message":
        """The message in these fields, id and version included. No message that clients send has a group.

        Raises:
            MalformedError: when there are too few or too many.
        """
        expected = len(self.head) + len(self.names)
        if len(fields) != expected:
            raise MalformedError(f"{self.name} has {len(fields)} fields, not {expected}")
        body = fields[len(self.head) :]
        return Message(layout=self, values=dict(zip(self.names, body, strict=True)))


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
            MalformedError: when there is none.
        """
        try:
            return Decimal(self[name] or "0")
        except InvalidOperation as exc:
            raise MalformedError(f"{self.layout.name}: {name} is {self[name]!r}, no number") from exc

    @property
    def texts(self) -> dict[str, str]:
        """The plain fields by name, without the groups."""
        return {name: value for name, value in self.values.items() if isinstance(value, str)}

    @property
    def fields(self) -> list[str]:
        """As sent: id, version, then the fields in their order."""
        fields = list(self.layout.head)
        for value in (self.values[name] for name in self.layout.names):
            if isinstance(value, str):
                fields.append(value)
            else:
                fields += [str(len(value)), *(item for row in value for item in row.values())]
        return fields

    def altered(self, values: Mapping[str, str]) -> "Message":
        return Message(layout=self.layout, values={**self.values, **values})


def whole_number(field: str) -> int | None:
    """The number in a field, if it is one that the protocol could mean."""
    return int(field) if field.isdecimal() and len(field) <= MAX_DIGITS else None


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


def _row(group: Group, row: Row) -> Mapping[str, str]:
    _expect(group.name, row, group.fields)
    return {name: text(row[name]) for name in group.fields}


def _expect(name: str, given: Iterable[str], expected: Iterable[str]) -> None:
    if set(given) != set(expected):
        raise TypeError(f"{name} is given other fields than its own: {sorted(set(given) ^ set(expected))}")


def _ascii(field: str) -> str:
    if field.isascii():
        return field
    units = field.encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)
