"""What a quote is worth to a plan."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.notation import NOW

from ibkr_rebalancer.core.quotes import DataKind, Prices, Quote, prices_of, unpriced

EMPTY = Quote(bid=None, ask=None, last=None, close=None, data=DataKind.LIVE, is_halted=False, received_at=NOW)


def prices(text: str, data: DataKind = DataKind.LIVE) -> Prices | None:
    """Bid, ask, last, close; `-` for none."""
    bid, ask, last, close = (None if word == "-" else Decimal(word) for word in text.split())
    return prices_of(replace(EMPTY, bid=bid, ask=ask, last=last, close=close, data=data))


def test_a_bid_and_ask_make_the_prices_and_their_middle_the_value() -> None:
    assert prices("99 101 120 130") == Prices(bid=Decimal(99), ask=Decimal(101), value=Decimal(100), remark=None)


@pytest.mark.parametrize("kind", [DataKind.DELAYED, DataKind.FROZEN, DataKind.DELAYED_FROZEN])
def test_prices_that_are_not_live_say_so(kind: DataKind) -> None:
    found = prices("99 101 - -", kind)
    assert found is not None
    assert found.remark == f"{kind.value} bid and ask"


@pytest.mark.parametrize(
    ("text", "price", "remark"),
    [
        ("- - 100 90", "100", "live last price, for want of a market (no bid and ask)"),
        ("99 - 100 90", "100", "live last price, for want of a market (no bid and ask)"),
        ("- 101 100 90", "100", "live last price, for want of a market (no bid and ask)"),
        ("0 101 100 90", "100", "live last price, for want of a market (no bid and ask)"),
        ("102 101 100 90", "100", "live last price, for want of a market (bid above ask)"),
        ("- - - 90", "90", "the previous close, for want of a market (no bid and ask) and a last price"),
        ("102 101 0 90", "90", "the previous close, for want of a market (bid above ask) and a last price"),
        (
            "1 199999.99 100 90",
            "100",
            "live last price, for want of a market (bid 1 and ask 199999.99 more than 10% apart)",
        ),
        (
            "1 199999.99 - 90",
            "90",
            "the previous close, for want of a market (bid 1 and ask 199999.99 more than 10% apart) and a last price",
        ),
    ],
)
def test_without_a_market_the_last_price_and_then_the_close_stands_in(text: str, price: str, remark: str) -> None:
    assert prices(text) == Prices(bid=Decimal(price), ask=Decimal(price), value=Decimal(price), remark=remark)


@pytest.mark.parametrize(("text", "value"), [("95 105 50 50", "100"), ("94.99 105.01 50 50", "50")])
def test_a_spread_up_to_a_tenth_of_the_middle_is_a_market(text: str, value: str) -> None:
    found = prices(text)
    assert found is not None
    assert found.value == Decimal(value)


@pytest.mark.parametrize("text", ["- - - -", "99 - - -", "102 101 - -", "0 0 0 0", "-1 -1 -1 -1", "1 2 - -"])
def test_without_any_price_there_is_none(text: str) -> None:
    assert prices(text) is None


@pytest.mark.parametrize(
    ("bid", "ask", "given"),
    [
        (None, Decimal(101), "no bid and ask"),
        (Decimal(102), Decimal(101), "bid above ask"),
        (Decimal("1.00"), Decimal("199999.99"), "bid 1.00 and ask 199999.99 more than 10% apart"),
    ],
)
def test_why_there_is_no_price(bid: Decimal | None, ask: Decimal, given: str) -> None:
    why = unpriced(replace(EMPTY, bid=bid, ask=ask))
    assert str(why) == (
        f"the gateway gave {given}, no last price and no previous close. Check the market data subscription of this "
        "user (also that no other session holds it), and run the command again."
    )


@pytest.mark.parametrize(
    ("bid", "ask", "close", "full"), [("1", "1", "1", True), ("1", "2", "1", False), ("1", "1", None, False)]
)
def test_a_full_quote_has_a_market_and_the_previous_close(bid: str, ask: str, close: str | None, full: bool) -> None:
    quote = replace(EMPTY, bid=Decimal(bid), ask=Decimal(ask), close=None if close is None else Decimal(close))
    assert quote.is_full is full


def test_without_a_quote_there_is_none() -> None:
    assert prices_of(None) is None


amounts = st.none() | st.decimals(min_value=-1, max_value=1_000, places=2)


@given(amounts, amounts, amounts, amounts)
def test_prices_are_positive_and_in_order(
    bid: Decimal | None, ask: Decimal | None, last: Decimal | None, close: Decimal | None
) -> None:
    found = prices_of(replace(EMPTY, bid=bid, ask=ask, last=last, close=close))
    assert found is None or 0 < found.bid <= found.value <= found.ask
