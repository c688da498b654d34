"""Every layout against the written protocol: id, version, total number of fields."""

import pytest

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT, HANDSHAKE, TO_CLIENT
from ibkr_rebalancer.sandbox.tws.wire import Layout

WRITTEN_TO_CLIENT = """
    1   tickPrice              6  7
    2   tickSize               6  5
    3   orderStatus            -  12
    4   error                  2  6
    5   openOrder              -  127
    6   updateAccountValue     2  6
    7   updatePortfolio        8  20
    8   updateAccountTime      1  3
    9   nextValidId            1  3
    10  contractDetails        -  40
    11  execDetails            -  32
    15  managedAccounts        1  3
    17  historicalData         -  5
    45  tickGeneric            6  5
    46  tickString             6  5
    49  currentTime            1  3
    52  contractDetailsEnd     1  3
    53  openOrderEnd           1  2
    54  accountDownloadEnd     1  3
    55  execDetailsEnd         1  3
    57  tickSnapshotEnd        1  3
    58  marketDataType         1  4
    59  commissionReport       1  8
    61  position               3  16
    62  positionEnd            1  2
    63  accountSummary         1  7
    64  accountSummaryEnd      1  3
    71  positionMulti          1  18
    72  positionMultiEnd       1  3
    73  accountUpdateMulti     1  8
    74  accountUpdateMultiEnd  1  3
    81  tickReqParams          -  5
    94  pnl                    -  5
    95  pnlSingle              -  7
    101 completedOrder         -  96
    102 completedOrdersEnd     -  1
"""

WRITTEN_FROM_CLIENT = """
    1   reqMktData                 11  20
    2   cancelMktData              2   3
    3   placeOrder                 -   114
    4   cancelOrder                1   4
    5   reqOpenOrders              1   2
    6   reqAccountUpdates          2   4
    7   reqExecutions              3   10
    8   reqIds                     1   3
    9   reqContractDetails         8   19
    15  reqAutoOpenOrders          1   3
    16  reqAllOpenOrders           1   2
    17  reqManagedAccts            1   2
    20  reqHistoricalData          -   23
    25  cancelHistoricalData       1   3
    49  reqCurrentTime             1   2
    58  reqGlobalCancel            1   2
    59  reqMarketDataType          1   3
    61  reqPositions               1   2
    62  reqAccountSummary          1   5
    63  cancelAccountSummary       1   3
    64  cancelPositions            1   2
    71  startApi                   2   4
    74  reqPositionsMulti          1   5
    75  cancelPositionsMulti       1   3
    76  reqAccountUpdatesMulti     1   6
    77  cancelAccountUpdatesMulti  1   3
    92  reqPnL                     -   4
    93  cancelPnL                  -   2
    94  reqPnLSingle               -   5
    95  cancelPnLSingle            -   2
    99  reqCompletedOrders         -   2
"""


def written(table: str) -> list[tuple[int, str, int | None, int]]:
    rows = [line.split() for line in table.split("\n") if line.strip()]
    return [(int(number), name, None if ver == "-" else int(ver), int(count)) for number, name, ver, count in rows]


def measured(layout: Layout) -> tuple[int | None, str, int | None, int]:
    return layout.id, layout.name, layout.version, len(layout.message(**dict.fromkeys(layout.names, "")).fields)


def test_messages_to_clients_are_as_written() -> None:
    assert written(WRITTEN_TO_CLIENT) == [measured(layout) for layout in TO_CLIENT.values()]


def test_messages_from_clients_are_as_written() -> None:
    assert written(WRITTEN_FROM_CLIENT) == [measured(layout) for layout in FROM_CLIENT.values()]


def test_the_handshake_is_two_fields_without_an_id() -> None:
    assert HANDSHAKE.message(serverVersion=178, connectionTime="now").fields == ["178", "now"]


def test_a_group_is_a_count_and_its_rows() -> None:
    """Contract details with k identifiers have 40 + 2k fields, k bars make 5 + 8k."""
    bar = dict.fromkeys(("date", "open", "high", "low", "close", "volume", "wap", "count"), 1)
    message = TO_CLIENT["historicalData"].message(reqId=9, start="a", end="b", bars=[bar, bar])
    fields = message.fields
    assert fields[:5] == ["17", "9", "a", "b", "2"]
    assert len(fields) == 5 + 8 * 2
    with pytest.raises(TypeError, match="historicalData: bars is a group"):
        message["bars"]


PARTS = [
    ("openOrder", {"deltaNeutralOrderType": "None"}, 135),
    ("completedOrder", {"deltaNeutralOrderType": "None"}, 100),
    ("openOrder", {"deltaNeutralContract": "1"}, 130),
    ("openOrder", {"hedgeType": "D"}, 128),
    ("openOrder", {"algoStrategy": "Vwap", "algoParams": [{"tag": "a", "value": "1"}]}, 130),
    ("openOrder", {"orderType": "PEG BENCH"}, 132),
    ("openOrder", {"scalePriceIncrement": "0.5"}, 134),
    ("openOrder", {"scalePriceIncrement": "1.7976931348623157E308"}, 127),
]


@pytest.mark.parametrize(("name", "values", "count"), PARTS)
def test_parts_come_with_what_they_belong_to(name: str, values: dict[str, object], count: int) -> None:
    layout = TO_CLIENT[name]
    assert len(layout.message(**dict.fromkeys(layout.names, "") | values).fields) == count


@pytest.mark.parametrize("values", [{}, {"orderId": 1, "more": 2}])
def test_a_message_takes_exactly_its_fields(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="nextValidId is given other fields than its own"):
        TO_CLIENT["nextValidId"].message(**values)
