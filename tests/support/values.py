"""Values of our types at random, along the type hints that the encoding reads: `st_of(Plan)`, `st_of(Evidence)`."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

DECIMALS = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(-(10**18), 10**18), st.integers(-12, 12)
)
TIMES = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 (Hypothesis adds the zone)
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))),
)

SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    type(None): st.none(),
    Decimal: DECIMALS,
    datetime: TIMES,
}


def st_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a dataclass, or of what a field of one is declared as."""
    if isinstance(kind, NewType):
        return st_of(kind.__supertype__)
    if kind in SIMPLE:
        return SIMPLE[kind]
    if isinstance(kind, type) and is_dataclass(kind):
        return st.builds(kind, **{name: st_of(hint) for name, hint in get_type_hints(kind).items()})
    return _st_of_many(kind)


def _st_of_many(kind: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin in {UnionType, Union}:
        return st.one_of(*map(st_of, arguments))
    if origin is Mapping:
        return st.dictionaries(st_of(arguments[0]), st_of(arguments[1]), max_size=3)
    if origin is tuple:
        return st.lists(st_of(arguments[0]), max_size=3).map(tuple)
    if origin is frozenset:
        return st.frozensets(st_of(arguments[0]), max_size=3)
    assert issubclass(origin, Enum)
    return st.sampled_from(origin)
