"""Values as JSON: the only encoding of the program, for `--json`, digests and files. Pure.

A frozen value becomes an object with its field names; decimals become strings in plain notation, equal ones the same,
times ISO 8601 in UTC, enums their values. Whole counts and exit codes stay numbers. Every document names its schema
and version; the schemas are shipped in `ibkr_rebalancer/schemas`.

What is kept in files is read back by `decode`, along the type hints of the value it was: strictly, so that damage
is an error and never another value. A field may be added to such a value if it has a default.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, NewType, TypeAlias, Union, get_args, get_origin, get_type_hints

from ibkr_rebalancer.core.money import decimal_of

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"

DIGEST_LENGTH = 12

KIND = "kind"
"""Where `encode_variant` puts the name of the class."""


def encode(value: object) -> Json:
    """Any of our values as JSON. A type that has no place in a document is a bug and raises TypeError."""
    match value:
        case None | bool() | int() | str():
            return value
        case Decimal():
            return plain(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Enum():
            return encode(value.value)
        case Mapping():
            return {str(key): encode(value[key]) for key in sorted(value)}
        case frozenset():
            return [encode(item) for item in sorted(value)]
        case Sequence():
            return [encode(item) for item in value]
        case _ if is_dataclass(value):
            return _members(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def encode_variant(value: object) -> Json:
    """One of several kinds of dataclass, with the name of its class, so that `decode` of their union knows which."""
    return {KIND: type(value).__name__} | _members(value)


def decode(kind: Any, encoded: Json) -> Any:
    """The value of type `kind` that `encode` made this of; of a union of dataclasses, `encode_variant`.

    `kind` is a dataclass, or what a field of one is declared as.

    Raises:
        ValueError: it is not the JSON of such a value.
    """
    kind = kind.__supertype__ if isinstance(kind, NewType) else kind
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin in {UnionType, Union}:  # the latter where one of them is a NewType
        return _decode_one_of(arguments, encoded)
    match encoded:
        case list() if origin in {tuple, frozenset}:
            return origin(decode(arguments[0], item) for item in encoded)
        case dict() if origin is Mapping:
            return {_decode_key(arguments[0], key): decode(arguments[1], item) for key, item in encoded.items()}
        case dict() if isinstance(kind, type) and is_dataclass(kind):
            return _decode_members(kind, encoded)
        case str() | int() if origin is type(encoded):
            return encoded
        case str() if origin in {Decimal, datetime}:
            return _decode_text(kind, encoded)
        case str() | int() if issubclass(origin, Enum):
            return kind(encoded)
    raise ValueError(f"{encoded!r:.40} is no {kind}")


def _members(value: Any) -> dict[str, Json]:
    return {field.name: encode(getattr(value, field.name)) for field in fields(value)}


def _decode_one_of(kinds: Sequence[Any], encoded: Json) -> Any:
    if encoded is None and NoneType in kinds:
        return None
    named = {kind.__name__: kind for kind in kinds if kind is not NoneType}
    if len(named) == 1:
        (kind,) = named.values()
        return decode(kind, encoded)
    members = dict(encoded) if isinstance(encoded, dict) else {}
    said = members.pop(KIND, None)
    if not isinstance(said, str) or said not in named:
        raise ValueError(f"{encoded!r:.40} is none of {', '.join(named)}")
    return decode(named[said], members)


def _decode_members(kind: type[Any], encoded: dict[str, Json]) -> Any:
    known = _kinds_by_field(kind)  # type: ignore[arg-type]  # mypy doubts that a class is hashable
    required = {field.name for field in fields(kind) if field.default is field.default_factory is MISSING}
    if not required <= encoded.keys() <= known.keys():
        raise ValueError(f"{kind.__name__} has the fields {', '.join(known)}, not {', '.join(encoded)}")
    return kind(**{name: decode(known[name], item) for name, item in encoded.items()})


@cache
def _kinds_by_field(kind: type[Any]) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _decode_key(kind: Any, key: str) -> Any:
    """Keys are texts in JSON, whatever they were."""
    plain_kind = kind.__supertype__ if isinstance(kind, NewType) else kind
    return int(key) if plain_kind is int else decode(plain_kind, key)


def _decode_text(kind: type[Decimal] | type[datetime], text: str) -> Decimal | datetime:
    read = decimal_of(text) if kind is Decimal else datetime.fromisoformat(text)
    if read is None or (isinstance(read, datetime) and read.tzinfo is None):
        raise ValueError(f"{text!r:.40} is no {kind.__name__}")
    return read


def plain(number: Decimal) -> str:
    """A decimal as one text, however it came about: no exponent, and no zeros that say nothing."""
    text = f"{number:f}" if number else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def document(schema: str, **content: object) -> dict[str, Any]:
    """A document `rebalancer.<schema>/1` with the given content."""
    return {"schema": f"rebalancer.{schema}/1"} | {key: encode(value) for key, value in content.items()}


def digest(*values: object) -> str:
    """A short name for these values: equal values, equal digest."""
    return digest_of_json(encode(values))


def digest_of_json(content: object) -> str:
    """The same for JSON as it is read, by us or anybody, however it was laid out."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]
