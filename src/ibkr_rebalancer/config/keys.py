"""The kinds of settings that the schema is made of, and how a text becomes the value of one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ibkr_rebalancer.config.findings import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting: a name and a text."""

    meaning: str
    """Completes "it is …"."""
    must: str
    """Completes "it must be …"."""
    read: Callable[[str], Any]
    """Raises ValueError for a text that does not fit."""
    example: str
    """A text as an owner may write it, quotes of YAML included; it changes something."""
    default: Any = None
    """Of what has no field in `core`: an environment variable, or a key that only `config` reads."""
    required: bool = False
    secret: bool = False
    """Its text is never quoted in a message."""
    is_list: bool = False
    """It is a list, each of whose entries is read; order makes no difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A mapping of settings below one name."""

    meaning: str
    """Completes "it is …"."""
    keys: Mapping[str, "Key | Section | BySymbol"]
    check: Callable[[Mapping[str, Any], int], None] = lambda _values, _line: None
    """Raises Unfit, for the line given, when values that are good by themselves do not fit together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BySymbol:
    """A mapping from symbols of the targets to sections of one kind."""

    meaning: str
    """Completes "it is …"."""
    entry: Section


def one_of(choices: Mapping[str, Any], *, meaning: str, example: str, default: Any = None) -> Key:
    """A choice; letters count as they are written."""

    def read(text: str) -> Any:
        if text not in choices:
            raise ValueError(text)
        return choices[text]

    return Key(meaning=meaning, must=" or ".join(choices), read=read, example=example, default=default)


def matching(
    pattern: str, *, must: str, meaning: str, example: str, required: bool = False, secret: bool = False
) -> Key:
    """A text of which all follows the pattern."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(text)
        return text

    return Key(meaning=meaning, must=must, read=read, example=example, required=required, secret=secret)


def decimal(least: int, most: int, *, meaning: str, example: str) -> Key:
    """A number in plain decimal notation, both bounds included."""

    def read(text: str) -> Decimal:
        if not re.fullmatch(r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?", text) or not least <= Decimal(text) <= most:
            raise ValueError(text)
        return Decimal(text)

    return Key(meaning=meaning, must=f"a decimal number from {least} to {most}", read=read, example=example)


def whole(least: int, most: int, *, meaning: str, example: str, default: int | None = None) -> Key:
    """A positive whole number, both bounds included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[1-9][0-9]{0,9}", text) or not least <= int(text) <= most:
            raise ValueError(text)
        return int(text)

    must = f"a whole number from {least} to {most}"
    return Key(meaning=meaning, must=must, read=read, example=example, default=default)


def complaint(name: str, key: Key, text: str) -> str:
    """What is wrong with `text` as the value of a key, without the text if it is secret."""
    return f"{name} {'cannot be used' if key.secret else f'is {shown(text)}'}; it must be {key.must}."
