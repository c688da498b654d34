"""The one encoding of our values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.values import st_of

from ibkr_rebalancer.core.documents import decode, digest, document, encode, encode_variant, plain
from ibkr_rebalancer.core.evidence import Evidence, Resolved
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.order_state import OrderState
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.core.runs import RunFailure, RunStart
from ibkr_rebalancer.ports import Halt


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    name: str
    amount: Decimal | None


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, None),
        (True, True),
        (7, 7),
        ("text", "text"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.00000001"), "0.00000001"),
        (Side.BUY, "BUY"),
        (datetime(2026, 11, 23, 15, 30, tzinfo=UTC), "2026-11-23T15:30:00Z"),
        (datetime(2026, 11, 23, 10, 30, tzinfo=timezone(timedelta(hours=-5))), "2026-11-23T15:30:00Z"),
        ({"b": 1, "a": Decimal(2)}, {"a": "2", "b": 1}),
        ({2: "x", 1: "y"}, {"1": "y", "2": "x"}),
        ((1, (2, [3])), [1, [2, [3]]]),
        (frozenset({3, 1, 2}), [1, 2, 3]),
        (Sample(name="n", amount=None), {"name": "n", "amount": None}),
    ],
)
def test_every_value_has_one_form(value: object, encoded: object) -> None:
    assert encode(value) == encoded


@pytest.mark.parametrize("value", [1.5, object(), {1, 2}])
def test_a_type_without_a_form_is_a_bug(value: object) -> None:
    with pytest.raises(TypeError, match=f"{type(value).__name__} has no JSON form"):
        encode(value)


def test_keys_of_a_mapping_stand_in_order() -> None:
    assert list(document("plan", b=1, a={"z": 1, "y": 2})["a"]) == ["y", "z"]


def test_a_document_names_its_schema_first() -> None:
    assert list(document("plan", plans=[]).items()) == [("schema", "rebalancer.plan/1"), ("plans", [])]


def test_numbers_have_no_exponent() -> None:
    assert (plain(Decimal("1E+3")), plain(Decimal("-1.50"))) == ("1000", "-1.5")


@given(st.decimals(-(10**15), 10**15, places=4), st.integers(0, 5))
def test_equal_numbers_are_written_alike(number: Decimal, zeros: int) -> None:
    stretched = number.quantize(Decimal(1).scaleb(-4 - zeros))
    assert plain(stretched) == plain(number)
    assert Decimal(plain(number)) == number
    assert not plain(number).endswith((".", ".0"))


def test_equal_values_have_one_digest_and_others_another() -> None:
    one = digest({"a": Decimal("1.5"), "b": (1, 2)}, "x")
    assert one == digest({"a": Decimal("1.500"), "b": (1, 2)}, "x")
    assert one == digest({"b": [1, 2], "a": Decimal("1.5")}, "x")
    assert len({one, digest({"a": Decimal("1.6"), "b": (1, 2)}, "x"), digest("x", {}), digest("x")}) == 4
    assert len(one) == 12


KEPT = (RunStart, RunFailure, Snapshot, Plan, OrderIntent, OrderState, Report, Halt, ContractQuery)
"""What the journal keeps beside evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """A value that had only a name when it was kept."""

    name: str
    since: int = 7
    by_id: Mapping[ConId, Decimal | None] | None = None


@pytest.mark.parametrize("kind", KEPT, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_what_is_kept_is_read_back_as_it_was(data: st.DataObject, kind: Any) -> None:
    value = data.draw(st_of(kind))

    assert decode(kind, through_text(encode(value))) == value


@given(st_of(Evidence))
def test_evidence_is_read_back_as_it_was(value: Evidence) -> None:
    read = decode(Evidence, through_text(encode_variant(value)))

    assert (read, type(read)) == (value, type(value))


def test_all_evidence_is_told_apart_by_name() -> None:
    assert [kind.__name__ for kind in get_args(Evidence)] == [
        "Sent",
        "Withheld",
        "CancelAsked",
        "StatusTold",
        "Executed",
        "Commissioned",
        "ErrorTold",
        "Completed",
        "Missing",
        "Listed",
        "Resolved",
    ], "journals hold these names: another one needs a new schema version"


def test_a_variant_says_its_kind_first() -> None:
    told = Resolved(at=datetime(2026, 11, 23, tzinfo=UTC), filled=3, note="seen in TWS")

    assert list(encode_variant(told).items()) == [  # type: ignore[union-attr]
        ("kind", "Resolved"),
        ("at", "2026-11-23T00:00:00Z"),
        ("filled", 3),
        ("note", "seen in TWS"),
    ]


def test_a_field_may_be_added_if_it_has_a_default() -> None:
    assert decode(Grown, {"name": "n"}) == Grown(name="n")
    assert decode(Grown, {"name": "n", "by_id": {"5": None}}).by_id == {5: None}


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        (Grown, {}),
        (Grown, {"name": "n", "more": 1}),
        (Grown, ["n"]),
        (Grown, None),
        (Grown, {"name": None}),
        (Grown, {"name": 1}),
        (Grown, {"name": "n", "since": True}),
        (Grown, {"name": "n", "since": "7"}),
        (Grown, {"name": "n", "since": 7.0}),
        (Grown, {"name": "n", "by_id": {"x": None}}),
        (Grown, {"name": "n", "by_id": []}),
        (Decimal, 1),
        (Decimal, "NaN"),
        (Decimal, "1e"),
        (datetime, "2026-11-23"),
        (datetime, "2026-11-23T15:30:00"),
        (datetime, "yesterday"),
        (datetime, 5),
        (Side, "HOLD"),
        (tuple[int, ...], {}),
        (tuple[int, ...], [1, "2"]),
        (frozenset[int], 1),
        (bool, 1),
        (Evidence, {"at": "2026-11-23T15:30:00Z"}),
        (Evidence, {"kind": "Rumoured", "at": "2026-11-23T15:30:00Z"}),
        (Evidence, {"kind": ["Sent"], "at": "2026-11-23T15:30:00Z"}),
        (Evidence, {"kind": "Resolved", "at": "2026-11-23T15:30:00Z"}),
        (Evidence, "Sent"),
        (Evidence, None),
    ],
)
def test_what_is_not_the_json_of_such_a_value_is_refused(kind: Any, encoded: Any) -> None:
    with pytest.raises(ValueError, match=" "):
        decode(kind, encoded)


def through_text(value: Any) -> Any:
    return json.loads(json.dumps(value))
