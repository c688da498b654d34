"""Framing and fields."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT
from ibkr_rebalancer.sandbox.tws.wire import (
    GREETING,
    Deframer,
    MalformedError,
    frame,
    is_unset,
    join_fields,
    split_fields,
    text,
)

PAYLOADS = st.lists(st.binary(max_size=40), max_size=6)


@given(payloads=PAYLOADS, data=st.data())
def test_any_split_of_the_stream_yields_the_same_payloads(payloads: list[bytes], data: st.DataObject) -> None:
    stream = GREETING + b"".join(map(frame, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    deframer = Deframer()
    assert [payload for piece in pieces for payload in deframer.feed(piece)] == payloads


@given(fields=st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=10))
def test_ascii_fields_survive(fields: list[str]) -> None:
    assert split_fields(join_fields(fields)) == fields


@given(field=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\\")))
def test_other_text_is_escaped_to_ascii_that_reads_back(field: str) -> None:
    (escaped,) = split_fields(join_fields([field]))
    assert escaped.isascii()
    assert escaped.encode().decode("unicode-escape").encode("utf-16", "surrogatepass").decode("utf-16") == field


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\n", b"API\1", b"X"])
def test_another_greeting_is_refused(greeting: bytes) -> None:
    with pytest.raises(MalformedError, match="greeting was"):
        list(Deframer().feed(greeting))


def test_a_huge_frame_is_refused_before_it_arrives() -> None:
    with pytest.raises(MalformedError, match="a frame of 2147483647 bytes was announced"):
        list(Deframer().feed(GREETING + b"\x7f\xff\xff\xff"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "1"),
        (False, "0"),
        (12, "12"),
        (Decimal("100.00"), "100"),
        (Decimal("0.10"), "0.1"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.00"), "0"),
        (Decimal("0.0001"), "0.0001"),
        ("100.00", "100.00"),
    ],
)
def test_values_are_written_as_the_gateway_writes_them(value: object, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("", True),
        ("2147483647", True),
        ("1.7976931348623157E308", True),
        ("1.7976931348623157e+308", True),
        ("0", False),
        ("214748364", False),
        ("1.7976931348623157E307", False),
    ],
)
def test_a_number_left_open_is_known_in_every_spelling(field: str, expected: bool) -> None:
    assert is_unset(field) == expected


@pytest.mark.parametrize("fields", [["9", "8", "1"], ["9", "8", *"x" * 18]])
def test_a_request_with_too_few_or_too_many_fields_is_malformed(fields: list[str]) -> None:
    with pytest.raises(MalformedError, match=f"reqContractDetails has {len(fields)} fields, not 19"):
        FROM_CLIENT[9].read(fields)
