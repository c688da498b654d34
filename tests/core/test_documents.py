"""The one encoding of our values."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from ibkr_rebalancer.core.documents import digest, document, encode, plain
from ibkr_rebalancer.core.plan import Side


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
    assert (plain(Decimal("1E+3")), plain(Decimal("-1.50"))) == ("1000", "-1.50")


def test_equal_values_have_one_digest_and_others_another() -> None:
    one = digest({"a": Decimal("1.5"), "b": (1, 2)}, "x")
    assert one == digest({"b": [1, 2], "a": Decimal("1.5")}, "x")
    assert len({one, digest({"a": Decimal("1.6"), "b": (1, 2)}, "x"), digest("x", {}), digest("x")}) == 4
    assert len(one) == 12
