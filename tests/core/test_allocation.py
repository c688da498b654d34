"""The allocation document is taken whole or refused whole."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.core.allocation import MAX_TEXT, Allocation, parse_allocation
from ibkr_rebalancer.core.errors import AllocationRejected


def body(*rows: str, status: str = '"success"', more: str = "") -> bytes:
    return f'{{"status": {status}, "data": {{"allocations": [{", ".join(rows)}]{more}}}}}'.encode()


def row(symbol: str, weight: str) -> str:
    return f'{{"symbol": {json.dumps(symbol)}, "allocation": {weight}}}'


def refused(document: bytes) -> AllocationRejected:
    with pytest.raises(AllocationRejected) as caught:
        parse_allocation(document)
    return caught.value


def test_weights_are_read_as_they_are_written() -> None:
    document = body(row("QQQ", "0.141"), row("BRK B", "0.859"), more=', "name": "blend", "as_of": "2025-06-24"')
    assert parse_allocation(document) == Allocation(
        weights={"QQQ": Decimal("0.141"), "BRK B": Decimal("0.859")},
        stated_sum=Decimal("1.000"),
        name="blend",
        strategy_long_name=None,
        last_rebalance_on=None,
        as_of="2025-06-24",
    )


def test_keys_that_nobody_knows_are_passed_over() -> None:
    document = (
        b'{"status": "success", "v": 2, "data": {"allocations": [{"symbol": "A", "allocation": 1, "x": 0}], "y": []}}'
    )
    assert parse_allocation(document).weights == {"A": 1}


@pytest.mark.parametrize("total", ["0.99", "0.999", "1"])
def test_a_sum_below_one_is_left_as_it_is(total: str) -> None:
    assert parse_allocation(body(row("A", total))).weights == {"A": Decimal(total)}


@pytest.mark.parametrize("rest", ["0.505", "0.51"])
def test_a_sum_above_one_is_scaled_down(rest: str) -> None:
    read = parse_allocation(body(row("A", "0.5"), row("B", rest)))
    assert sum(read.weights.values()) == pytest.approx(1, abs=Decimal("1e-27"))
    assert read.weights["A"] / read.weights["B"] == pytest.approx(Decimal("0.5") / Decimal(rest), abs=Decimal("1e-26"))
    assert read.stated_sum == Decimal("0.5") + Decimal(rest)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (["0.98"], "add up to 0.98, outside 0.99 to 1.01"),
        (["0.9899"], "add up to 0.9899"),
        (["0.5", "0.5101"], "add up to 1.0101"),
        (["0.97"], "add up to 0.97"),
        (["0.5", "0.53"], "add up to 1.03"),
        (["0"], "add up to 0,"),
        (["-0"], "add up to 0,"),
    ],
)
def test_a_sum_far_from_one_is_refused(weights: list[str], said: str) -> None:
    error = refused(body(*(row(f"S{number}", weight) for number, weight in enumerate(weights))))
    assert error.code == "ALLOCATION_SUM"
    assert said in error.message
    assert error.hint.startswith("Ask whoever publishes the targets")


@pytest.mark.parametrize("total", ["0", "0.4", "0.9899", "1"])
def test_an_owner_may_want_what_is_missing_in_cash(total: str) -> None:
    assert parse_allocation(body(row("A", total)), any_sum_below=True).weights == {"A": Decimal(total)}


def test_who_takes_any_sum_below_takes_none_above() -> None:
    with pytest.raises(AllocationRejected, match=r"add up to 1\.02, outside 0 to 1\.01\."):
        parse_allocation(body(row("A", "0.5"), row("B", "0.52")), any_sum_below=True)


def test_a_sum_that_is_too_low_names_the_key_that_would_take_it() -> None:
    assert "`underweight: cash` would leave the rest in cash" in refused(body(row("A", "0.4"))).message
    assert "underweight" not in refused(body(row("A", "0.6"), row("B", "0.6"))).message


@pytest.mark.parametrize("status", ['"error"', '"SUCCESS"', '"success "', "true", "null", "1", "[]", "{}", "0.0"])
def test_a_status_other_than_success_is_refused(status: str) -> None:
    error = refused(body(row("A", "1"), status=status))
    assert error.code == "ALLOCATION_STATUS"
    assert 'not "success"' in error.message


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "it is not JSON ('')"),
        (b"<html>Bad gateway</html>", "it is not JSON ('<html>Bad gateway</html>')"),
        (body(row("A", "1"))[:-1], "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"\xef\xbb\xbf" * 2 + body(row("A", "1")), "it is not JSON"),
        (body(row("A", "1")) + b"{}", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "the document is not an object"),
        (b"null", "the document is not an object"),
        (b'"success"', "the document is not an object"),
        (b'{"status": "success"}', "data is not an object"),
        (b'{"status": "success", "data": []}', "data is not an object"),
        (b'{"status": "success", "data": {}}', "data has no 'allocations': it has nothing"),
        (b'{"status": "success", "data": {"name": "x"}}', "data has no 'allocations': it has 'name'"),
        (b'{"status": "success", "data": {"allocations": null}}', "data has no 'allocations'"),
        (b'{"status": "success", "data": {"allocations": {"A": 1}}}', "data.allocations is not a list"),
        (b'{"status": "success", "data": {"allocations": []}}', "empty, which never means to sell everything"),
        (body('"A"'), "data.allocations, entry 1 is not an object"),
        (body(row("A", "1"), "null"), "data.allocations, entry 2 is not an object"),
        (body("{}"), "data.allocations, entry 1 has no symbol."),
        (body('{"symbol": 7, "allocation": 1}'), "entry 1: 7 is not a symbol"),
        (body('{"symbol": "A"}'), "entry 1: A has no allocation."),
        (body(row("A", '"1"')), "the weight of A is '1', not a number"),
        (body(row("A", "true")), "the weight of A is true, not a number"),
        (body(row("A", "null")), "entry 1: A has no allocation."),
        (body(row("A", "[1]")), "not a number"),
        (body(row("A", "NaN")), "it contains NaN, which is not a number"),
        (body(row("A", "Infinity")), "it contains Infinity"),
        (body(row("A", "-Infinity")), "it contains -Infinity"),
        (body(row("A", "-0.1"), row("B", "1")), "the weight of A is -0.1, outside 0 to 1"),
        (body(row("A", "1.0001")), "the weight of A is 1.0001, outside 0 to 1"),
        (body(row("A", "1e999")), "the weight of A is 1E+999, outside 0 to 1"),
        (body(row("A", "1e-999999999"), row("B", "1")), "the weight of A has more than 40 digits"),
        (body(row("A", "1e-99999999999999999999"), row("B", "1")), "it is not JSON"),
        (body(row("A", "0." + "3" * 41)), "the weight of A has more than 40 digits"),
        (body(row("A", "0.5"), row("A", "0.5")), "A stands twice in data.allocations"),
        (body('{"symbol": "A", "symbol": "B", "allocation": 1}'), "the key 'symbol' stands twice in one object"),
        (b'{"status": "error", "status": "success", "data": {}}', "the key 'status' stands twice"),
    ],
)
def test_a_document_that_is_not_wholly_understood_is_refused(document: bytes, said: str) -> None:
    error = refused(document)
    assert error.code == "ALLOCATION_INVALID"
    assert said in error.message


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        " ",
        "a",
        "aapl",
        " A",
        "A ",
        "A  B",
        "A.B.C",
        "A-B",
        "A/B",
        "A.LONG",
        "THIRTEENCHARS",
        "ÄPL",
        "\u0410BC",
        "A\n",
        "$A",
    ],
)
def test_a_symbol_in_another_alphabet_case_or_form_is_refused(symbol: str) -> None:
    assert "is not a symbol" in refused(body(row(symbol, "1"))).message


@pytest.mark.parametrize("symbol", ["qqq", " QQQ ", "brk b", "QQQ\n"])
def test_a_symbol_that_only_needs_another_spelling_is_told_which(symbol: str) -> None:
    message = refused(body(row(symbol, "1"))).message
    assert "is not a symbol: symbols are written in capitals, with no blanks around them." in message


def test_a_byte_order_mark_is_passed_over() -> None:
    """RFC 8259, section 8.1, lets a reader ignore one."""
    marked = parse_allocation(b"\xef\xbb\xbf" + body(row("A", "1")))
    assert marked == parse_allocation(body(row("A", "1")))


@pytest.mark.parametrize("symbol", ["A", "QQQ", "BRK B", "BRK.B", "6758", "TWELVECHARS1"])
def test_symbols_of_every_market_are_read(symbol: str) -> None:
    assert list(parse_allocation(body(row(symbol, "1"))).weights) == [symbol]


def test_what_the_document_says_of_itself_is_short_and_printable() -> None:
    more = f', "name": "\\u001b[31mred\\u0000\\ud800", "strategy_long_name": "{"x" * 999}", "as_of": 7'
    read = parse_allocation(body(row("A", "1"), more=more))
    assert read.name == "?[31mred??"
    assert read.strategy_long_name == "x" * MAX_TEXT
    assert read.as_of is None


def test_a_strangers_value_is_shown_short_and_printable() -> None:
    message = refused(body(row("\x1b[2J" + "x" * 500, "1"))).message
    assert "'\\x1b[2Jxxx" in message
    assert "xxx…' is not a symbol." in message
    assert message.isprintable()
    assert len(message) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
rows = st.fixed_dictionaries(
    {"symbol": st.sampled_from(["A", "B", "a", "", 7, None]), "allocation": st.sampled_from([0, 1, 0.5, -1, 2, "1"])}
)
documents = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["success", "success", "error", None]),
        "data": st.fixed_dictionaries({"allocations": st.lists(rows, max_size=4) | json_values}) | json_values,
    }
)


@given(st.binary() | (json_values | documents).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_either_targets_or_refused(document: bytes) -> None:
    with suppress(AllocationRejected):
        weights = parse_allocation(document).weights
        assert weights
        assert all(0 <= weight <= 1 for weight in weights.values())
        assert Decimal("0.99") <= sum(weights.values()) <= 1 + Decimal("1e-25")
