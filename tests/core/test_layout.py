"""Documents in other formats than the seed's: each shape is read, and what does not fit its layout is refused whole."""

import json
from contextlib import suppress
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.core.allocation import Allocation, parse_allocation
from ibkr_rebalancer.core.documents import decode, encode
from ibkr_rebalancer.core.errors import AllocationRejected
from ibkr_rebalancer.core.layout import Format, Layout, WeightUnit, format_of

PERCENT = WeightUnit.PERCENT
CSV = Layout(format=Format.CSV)
ROWS = Layout(rows="rows")
EVEN = {"AAA": Decimal("0.5"), "BBB": Decimal("0.5")}

TURING_TRADER = b"""{
    "portfolio": "classic-60-40",
    "rebalanceDate": "October 13, 2020",
    "columnFormat": ["Symbol", "Name", "Allocation", "Price"],
    "assetAllocation": [
        ["SPY", "SPDR S&P 500 Trust ETF", "60.00%", "350.13"],
        ["TLT", "iShares 20 Plus Year Treasury Bond ETF", "40.00%", "161.75"]
    ]
}"""
"""As https://www.turingtrader.com/help/api/ documents it, with the quotes and commas of JSON."""


def refused(document: bytes, layout: Layout) -> AllocationRejected:
    with pytest.raises(AllocationRejected) as caught:
        parse_allocation(document, layout)
    return caught.value


def test_the_format_of_turingtrader() -> None:
    layout = Layout(
        rows="assetAllocation", symbol="1", weight="3", unit=PERCENT, name="portfolio", date="rebalanceDate"
    )
    assert parse_allocation(TURING_TRADER, layout) == Allocation(
        weights={"SPY": Decimal("0.6"), "TLT": Decimal("0.4")},
        stated_sum=Decimal(1),
        name="classic-60-40",
        strategy_long_name=None,
        last_rebalance_on=None,
        as_of="October 13, 2020",
    )


@pytest.mark.parametrize(
    ("document", "layout"),
    [
        (
            '{"portfolio": {"holdings": [{"ticker": "AAA", "pct": 50}, {"ticker": "BBB", "pct": 50.0}]}}',
            Layout(rows="portfolio.holdings", symbol="ticker", weight="pct", unit=PERCENT),
        ),
        ('[{"symbol": "AAA", "allocation": 0.5}, {"symbol": "BBB", "allocation": "0.5"}]', Layout(rows=".")),
        ('[["AAA", 0.5], ["BBB", 0.5]]', Layout(rows=".", symbol="1", weight="2")),
        ('[[0.5, "AAA"], [0.5, "BBB"]]', Layout(rows=".", symbol="2", weight="1")),
        ('{"AAA": 0.5, "BBB": 0.5}', Layout(by_symbol=".")),
        ('{"data": {"w": {"AAA": "50%", "BBB": "50.0 %"}}}', Layout(by_symbol="data.w", unit=PERCENT)),
        (
            '{"sets": [7, {"rows": [{"a": {"s": "AAA"}, "w": [1, 0.5]}, {"a": {"s": "BBB"}, "w": [1, 0.5]}]}]}',
            Layout(rows="sets.2.rows", symbol="a.s", weight="w.2"),
        ),
        (
            '{"status": "success", "data": {"allocations": [{"ticker": "AAA", "w": 50}, {"ticker": "BBB", "w": 50}]}}',
            Layout(symbol="ticker", weight="w", unit=PERCENT),
        ),
        ("symbol,allocation\nAAA,0.5\nBBB,0.5\n", CSV),
        ('\ufeff"Weight",Name, "Ticker"\r\n 50.00% ,"Alpha, Inc.", AAA \r\n\r\n50,Beta, "BBB"', None),
    ],
    ids=["names", "root", "columns", "columns turned", "by symbol", "texts", "deep", "envelope", "CSV", "CSV of Excel"],
)
def test_every_shape_says_the_same(document: str, layout: Layout | None) -> None:
    layout = layout or Layout(format=Format.CSV, symbol="Ticker", weight="Weight", unit=PERCENT)
    assert parse_allocation(document.encode(), layout).weights == EVEN


def test_without_a_layout_a_text_is_no_number() -> None:
    document = b'{"status": "success", "data": {"allocations": [{"symbol": "AAA", "allocation": "1"}]}}'
    assert parse_allocation(document, Layout()).weights == {"AAA": 1}
    with pytest.raises(AllocationRejected, match="the weight of AAA is '1', not a number"):
        parse_allocation(document)


@pytest.mark.parametrize(
    ("document", "layout", "said"),
    [
        ('{"status": "error"}', Layout(unit=PERCENT), "status is 'error', not \"success\""),
        ("[1]", ROWS, "the document has no 'rows': it is a list of 1"),
        ("7", ROWS, "the document has no 'rows': it is 7"),
        ("{}", ROWS, "the document has no 'rows': it has nothing"),
        ('{"data": {"a": 1, "b": 2}}', Layout(rows="data.rows"), "data has no 'rows': it has 'a', 'b'"),
        ('{"a": {"b": {"c": 1}}}', Layout(rows="a.b.x"), "a.b has no 'x': it has 'c'"),
        ('{"a": [[]]}', Layout(rows="a.2"), "a has no '2': it is a list of 1"),
        ('{"a": [[]]}', Layout(rows="a.0"), "a has no '0': it is a list of 1"),
        ('{"rows": {"AAA": 1}}', ROWS, "rows is not a list"),
        ('{"rows": []}', ROWS, "rows is empty, which never means to sell everything"),
        ("{}", Layout(by_symbol="."), "the document is empty, which never means to sell everything"),
        ('{"rows": [["AAA", 1]]}', ROWS, "rows, entry 1 is a list, not an object"),
        ('{"rows": [7]}', ROWS, "rows, entry 1 is not an object"),
        ('{"rows": [["AAA"]]}', Layout(rows="rows", symbol="1", weight="3"), "rows, entry 1: AAA has no column 3"),
        ('{"rows": [{"1": "AAA"}, {}]}', Layout(rows="rows", symbol="3", weight="4"), "entry 1 has no column 3"),
        ('{"rows": [{"t": "AAA"}]}', Layout(rows="rows", symbol="t", weight="w"), "rows, entry 1: AAA has no w"),
        ('{"rows": [{"symbol": "AAA"}]}', Layout(rows="rows", symbol="t"), "rows, entry 1 has no t"),
        ('{"rows": [{"symbol": "AAA", "allocation": "60,5"}]}', ROWS, "the weight of AAA is '60,5', not a number"),
        ('{"rows": [{"symbol": "AAA", "allocation": "1e0"}]}', ROWS, "is '1e0', not a number"),
        ('{"rows": [{"symbol": "AAA", "allocation": "\u0661"}]}', ROWS, "is '\\u0661', not a number"),
        ('{"rows": [{"symbol": "AAA", "allocation": ""}]}', ROWS, "is '', not a number"),
        ('{"rows": [{"symbol": "AAA", "allocation": true}]}', ROWS, "is true, not a number"),
        ('{"rows": [{"symbol": "AAA", "allocation": "100%"}]}', ROWS, "AAA is '100%', and unit is fraction"),
        ('{"rows": [{"symbol": "AAA", "allocation": 60}]}', ROWS, "the weight of AAA is 60, outside 0 to 1"),
        ('{"rows": [{"symbol": "AAA", "allocation": "-0.5"}]}', ROWS, "is -0.5, outside 0 to 1"),
        ('{"AAA": 101}', Layout(by_symbol=".", unit=PERCENT), "the weight of AAA is 101, outside 0 to 100"),
        ('{"AAA": null}', Layout(by_symbol="."), "the document: AAA has no allocation"),
        ('{"aaa": 1}', Layout(by_symbol="."), "'aaa' is not a symbol: symbols are written in capitals"),
        ('{"AAA": 1, "AAA": 1}', Layout(by_symbol="."), "the key 'AAA' stands twice in one object"),
        ('{"w": [1]}', Layout(by_symbol="w"), "w is not an object"),
        ("", CSV, "the header has no column 'symbol': it has nothing"),
        ("ticker,weight\nAAA,1", CSV, "the header has no column 'symbol': it has 'ticker', 'weight'"),
        ("symbol;allocation\nAAA;1", CSV, "no column 'symbol': it has 'symbol;allocation'"),
        ("symbol,allocation,allocation\nAAA,1,1", CSV, "the header has more than one column 'allocation'"),
        ("symbol,allocation\n", CSV, "the file is empty, which never means to sell everything"),
        ("symbol,allocation\nAAA,1\nBBB", CSV, "line 3 has 1 columns, and the header 2"),
        ("symbol,allocation\nAAA,0,5", CSV, "line 2 has 3 columns, and the header 2"),
        ("symbol,allocation\n\nAAA,", CSV, "line 3: AAA has no allocation"),
        ("symbol,allocation\n,1", CSV, "line 2 has no symbol"),
        ("symbol,allocation\nAAA,x", CSV, "line 2: the weight of AAA is 'x', not a number"),
        ("symbol,allocation\nAAA,0.5\nAAA,0.5", CSV, "AAA stands twice in the file"),
        ('symbol,allocation\n"AAA,1', CSV, "it is not CSV ('symbol,allocation\\n\"AAA,1')"),
        ("symbol,allocation\nÄÄÄ,1", CSV, "line 2: '\\xc4\\xc4\\xc4' is not a symbol"),
    ],
)
def test_what_does_not_fit_the_layout_is_refused_with_its_place(document: str, layout: Layout, said: str) -> None:
    error = refused(document.encode(), layout)
    assert error.code in {"ALLOCATION_INVALID", "ALLOCATION_STATUS"}
    assert said in error.message
    assert "or the keys under allocations: in accounts.yaml if they do not fit it" in error.hint


@pytest.mark.parametrize("weights", [("0.6", "0.4"), ("0.6", "0.405"), ("0.5", "0.495"), ("0.5", "0.25")])
def test_fractions_in_a_percent_source_are_told(weights: tuple[str, str]) -> None:
    """They would be a hundredth of what is meant, and the rest would be sold."""
    error = refused(f'{{"AAA": {weights[0]}, "BBB": {weights[1]}}}'.encode(), Layout(by_symbol=".", unit=PERCENT))
    assert error.code == "ALLOCATION_SUM"
    assert (
        f"the weights add up to {sum(map(Decimal, weights), Decimal()).normalize()} %: they look like fractions"
        in error.message
    )


def test_a_sum_far_from_a_hundred_percent_is_refused() -> None:
    error = refused(b'{"AAA": 50, "BBB": "48%"}', Layout(by_symbol=".", unit=PERCENT))
    assert (error.code, "add up to 0.98, outside 0.99 to 1.01" in error.message) == ("ALLOCATION_SUM", True)


def test_a_file_that_is_no_text_is_no_csv() -> None:
    assert "it is not CSV" in refused(b"symbol,allocation\n\xff,1", CSV).message


@pytest.mark.parametrize("name", ["a.csv", "B.CSV", "/c/d.json"])
def test_a_files_ending_says_what_it_is_written_in(name: str) -> None:
    assert format_of(name).value == name.lower().rpartition(".")[2]


@pytest.mark.parametrize("name", ["a", "a.txt", "csv", "a.csv.bak", "a.", ""])
def test_another_ending_says_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="Format"):
        format_of(name)


names = st.sampled_from(["symbol", "allocation", "rows", "w", "1", "2", "0", ".", "a.b", "rows.1", "..", "AAA"])
layouts = st.builds(
    Layout,
    format=st.sampled_from(Format),
    rows=st.none() | names,
    by_symbol=st.none() | names,
    symbol=names,
    weight=names,
    unit=st.sampled_from(WeightUnit),
    name=st.none() | names,
    date=st.none() | names,
)
weights = st.sampled_from([0, 0.5, 1, 50, 100, "50%", "0.5", "50", "1e5", "-1", "", True, None, -1, [0.5], {"w": 50}])
symbols = st.sampled_from(["AAA", "BBB", "aaa", "", 7, None, ["AAA"]])
json_rows = st.fixed_dictionaries({"symbol": symbols, "allocation": weights}) | st.tuples(symbols, weights)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | weights | json_rows,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | names, inner, max_size=4),
    max_leaves=12,
)
cells = st.sampled_from(["symbol", "allocation", "AAA", "BBB", "50%", "0.5", "1", '"', "", " ", "\x00", "w", "ä"])
csv_texts = st.lists(st.lists(cells, max_size=3).map(",".join), max_size=5).map("\n".join)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()) | csv_texts.map(str.encode), layouts)
def test_any_document_is_either_targets_or_refused_by_any_layout(document: bytes, layout: Layout) -> None:
    with suppress(AllocationRejected):
        found = parse_allocation(document, layout).weights
        assert found
        assert all(0 <= weight <= 1 for weight in found.values())
        assert Decimal("0.99") <= sum(found.values()) <= 1 + Decimal("1e-25")


@given(st.lists(st.integers(0, 10_000), max_size=6), st.sampled_from(WeightUnit))
def test_the_same_weights_are_read_from_every_shape(cuts: list[int], unit: WeightUnit) -> None:
    """Whatever they are, by rows, by columns, by symbol and in CSV, as numbers and as texts."""
    ends = sorted({*cuts, 10_000} - {0})
    hundredths = {f"S{at}": end - before for at, (before, end) in enumerate(pairwise([0, *ends]))}
    written = {symbol: str(Decimal(part).scaleb(-4) * unit.whole) for symbol, part in hundredths.items()}
    numbers = ", ".join(f'"{symbol}": {weight}' for symbol, weight in written.items())
    rows = [{"symbol": symbol, "allocation": weight} for symbol, weight in written.items()]
    columns = [[weight, symbol] for symbol, weight in written.items()]
    lines = "".join(f"{symbol},{weight}\n" for symbol, weight in written.items())
    read = [
        parse_allocation(f"{{{numbers}}}".encode(), Layout(by_symbol=".", unit=unit)),
        parse_allocation(json.dumps(rows).encode(), Layout(rows=".", unit=unit)),
        parse_allocation(json.dumps(columns).encode(), Layout(rows=".", symbol="2", weight="1", unit=unit)),
        parse_allocation(f"symbol,allocation\n{lines}".encode(), Layout(format=Format.CSV, unit=unit)),
    ]
    assert all(each.weights == {s: Decimal(part).scaleb(-4) for s, part in hundredths.items()} for each in read)


@given(layouts)
def test_a_layout_is_kept_as_it_is(layout: Layout) -> None:
    assert decode(Layout, encode(layout)) == layout
