"""The layout of an order as clients send it: its parts, and what is no order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sandbox.dialogue import request
from tests.sandbox.ordering import PLAIN, UNSET, play_with

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT
from ibkr_rebalancer.sandbox.tws.wire import MalformedError
from ibkr_rebalancer.sandbox.venue.document import Document

LEG = {"conId": "1", "ratio": "1", "action": "BUY", "exchange": "SMART", "openClose": "0", "shortSaleSlot": "0"}
CONDITIONS = {"1": 7, "3": 4, "4": 4, "5": 5, "6": 6, "7": 6}
"""How many fields each type of condition has."""
PARTS: list[tuple[Document, int]] = [
    ({"secType": "BAG"}, 117),
    ({"secType": "BAG", "legs": [{**LEG, "designatedLocation": "", "exemptCode": "-1"}]}, 125),
    ({"deltaNeutralOrderType": "MKT"}, 122),
    ({"scalePriceIncrement": "0.5"}, 121),
    ({"scalePriceIncrement": "0.0"}, 114),
    ({"scalePriceIncrement": UNSET}, 114),
    ({"hedgeType": "D"}, 115),
    ({"deltaNeutralContract": "1"}, 117),
    ({"algoStrategy": "Vwap"}, 115),
    ({"algoStrategy": "Vwap", "algoParams": [{"tag": "a", "value": "1"}] * 2}, 119),
    ({"orderType": "PEG BENCH"}, 119),
    ({"exchange": "IBKRATS"}, 115),
    ({"orderType": "PEG BEST", "competeAgainstBestOffset": "0.02"}, 116),
    ({"orderType": "PEGBEST", "competeAgainstBestOffset": "Infinity"}, 118),
    ({"orderType": "PEG BEST", "competeAgainstBestOffset": "Infinite"}, 118),
    ({"orderType": "PEG MID"}, 116),
    *(({"conditions": [{"type": kind, "conjunction": "a"}]}, 116 + size) for kind, size in CONDITIONS.items()),
]


@pytest.mark.parametrize(("values", "count"), PARTS)
def test_an_order_is_read_with_its_parts_and_with_nothing_left_over(values: Document, count: int) -> None:
    layout = FROM_CLIENT[3]
    fields = layout.message(**dict.fromkeys(layout.names, "") | values).fields
    assert len(fields) == count
    assert layout.read(fields).fields == fields
    for wrong in (fields[:-1], [*fields, ""]):
        with pytest.raises(MalformedError, match=f"placeOrder has {len(wrong)} fields, not {count}"):
            layout.read(wrong)


TEXTS = ["", "0", "1", "-1", "101", "BUY", "LMT", "DU1", "1e18", "1e-999", "nan", "Infinity", "é²", "9" * 40, UNSET]


NAMES = [field for field in FROM_CLIENT[3].fields if isinstance(field, str)]


@given(changes=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(TEXTS), max_size=4))
def test_no_order_whatever_its_fields_breaks_the_session(changes: dict[str, str]) -> None:
    """One that is taken is told, and one that isn't is an error."""
    play = play_with()
    play.send_fields(request("placeOrder", **{**PLAIN, "orderId": "12", **changes}))
    play.wait(5)
    assert {"error", "openOrder"} & set(play.drain())
    play("""
        >> reqCurrentTime
        << currentTime
    """)


@pytest.mark.parametrize("count", ["x", "-1", "1000000000"])
def test_rows_are_as_many_as_there_is_room_for(count: str) -> None:
    layout = FROM_CLIENT[3]
    fields = [*layout.message(**dict.fromkeys(layout.names, "")).fields]
    fields[fields.index("0")] = count  # the only one: no conditions
    with pytest.raises(MalformedError, match=f"the number of conditions is '{count}'"):
        layout.read(fields)
