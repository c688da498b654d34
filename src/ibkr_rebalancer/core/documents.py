"""Values as JSON: the only encoding of the program, for `--json`, digests and files. Pure.

A frozen value becomes an object with its field names; decimals become strings in plain notation, times ISO 8601
in UTC, enums their values. Whole counts and exit codes stay numbers. Every document names its schema and
version; the schemas are shipped in `ibkr_rebalancer/schemas`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"

DIGEST_LENGTH = 12


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
        case Sequence():
            return [encode(item) for item in value]
        case _ if is_dataclass(value):
            return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def plain(number: Decimal) -> str:
    """A decimal without exponent: 1E+3 is written 1000."""
    return f"{number:f}"


def document(schema: str, **content: object) -> dict[str, Any]:
    """A document `rebalancer.<schema>/1` with the given content."""
    return {"schema": f"rebalancer.{schema}/1"} | {key: encode(value) for key, value in content.items()}


def digest(*values: object) -> str:
    """A short name for these values: equal values, equal digest."""
    canonical = json.dumps(encode(values), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]
