"""Orders over the wire, as dialogues: what is told of each, to whom, in which order, and what is served afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sandbox.dialogue import Dialogue, request
from tests.support.sandbox import fault

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT
from ibkr_rebalancer.sandbox.tws.wire import MalformedError
from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.orders import Told

SHARES = "placeOrder conId=101 exchange=SMART account=DU1 tif=DAY transmit=1"
MARKET = f"{SHARES} orderType=MKT action=BUY totalQuantity=20"
RESTING = f"{SHARES} orderType=LMT action=BUY totalQuantity=20 lmtPrice=90.5"
UNSET = "1.7976931348623157E308"


def play_with(**overlay: object) -> Dialogue:
    return Dialogue(**{"accounts": {"DU1": {"cash": "100000"}}, **overlay})


def statuses(play: Dialogue) -> list[str]:
    return [event.order.status for event in play.traded if isinstance(event, Told)]


def test_a_market_order_is_told_as_real_gateways_tell_it() -> None:
    """Never Submitted; and the commission of a filled order comes last, twice."""
    play_with()(f"""
        >> {MARKET} orderId=12 orderRef=rb1-x-1
        << openOrder orderId=12 clientId=7 status=PreSubmitted commission= commissionCurrency= orderRef=rb1-x-1
        << orderStatus orderId=12 clientId=7 status=PreSubmitted filled=0 remaining=20 avgFillPrice=0 lastFillPrice=0
        ++ 4
        ++ 1
        << execDetails reqId=-1 orderId=12 clientId=7 side=BOT shares=20 price=100.01 cumQty=20 orderRef=rb1-x-1
        << openOrder orderId=12 status=Filled commission=
        << orderStatus orderId=12 status=Filled filled=20 remaining=0 avgFillPrice=100.01 lastFillPrice=100.01
        << openOrder orderId=12 status=Filled commission=1 commissionCurrency=USD
        << commissionReport commission=1 currency=USD realizedPNL={UNSET} yield={UNSET}
        ++ 1000
    """)


def test_each_part_of_an_order_is_an_execution_a_status_and_a_commission() -> None:
    play_with(fills={"slices": 2})(f"""
        >> {MARKET} orderId=12 totalQuantity=21
        << openOrder status=PreSubmitted
        << orderStatus status=PreSubmitted
        ++ 5
        << execDetails shares=11 cumQty=11 avgPrice=100.01
        << orderStatus status=Submitted filled=11 remaining=10
        << commissionReport commission=1
        ++ 5
        << execDetails shares=10 cumQty=21
        << openOrder status=Filled
        << orderStatus status=Filled filled=21 remaining=0
        << openOrder status=Filled commission=1
        << commissionReport commission=0
    """)


def test_a_limit_order_rests_until_the_market_comes_to_it() -> None:
    play = play_with()
    play(f"""
        >> {RESTING} orderId=12
        << openOrder orderId=12 status=PreSubmitted orderType=LMT lmtPrice=90.5 tif=DAY
        << orderStatus status=PreSubmitted
        << openOrder status=Submitted
        << orderStatus status=Submitted filled=0 remaining=20
        ++ 60000
    """)
    play.change({"market": {"AAA": {"bid": "90.20", "ask": "90.25", "last": "90.22"}}})
    play("""
        ++ 0
        ++ 5
        << execDetails price=90.25 shares=20
        << openOrder status=Filled
        << ...
    """)


def test_a_cancel_is_pending_then_done_and_then_said_with_202() -> None:
    play_with()(f"""
        >> {RESTING} orderId=12
        << ...
        >> cancelOrder orderId=12
        << orderStatus orderId=12 status=PendingCancel filled=0 remaining=20
        << orderStatus orderId=12 status=Cancelled filled=0 remaining=20
        << error id=12 code=202 text="Order Canceled - reason:"
        >> cancelOrder orderId=12
        << error id=12 code=10148
        >> cancelOrder orderId=13
        << error id=13 code=10147 text="OrderId 13 that needs to be cancelled is not found."
    """)


def test_a_fill_may_win_the_race_against_a_cancel() -> None:
    play_with(faults=[{"when": "order", "what": "fill_on_cancel"}])(f"""
        >> {RESTING} orderId=12
        << ...
        >> cancelOrder orderId=12
        << orderStatus status=PendingCancel
        << execDetails orderId=12 shares=20
        << openOrder status=Filled
        << orderStatus status=Filled filled=20
        << openOrder status=Filled
        << commissionReport
        << error id=12 code=10148
    """)


def test_a_fill_after_the_end_of_an_order_is_told_too() -> None:
    play_with(faults=[{"when": "order", "what": {"late_fill": {"ms": 50, "shares": 8}}}])(f"""
        >> {RESTING} orderId=12
        << ...
        >> cancelOrder orderId=12
        << orderStatus status=PendingCancel
        << orderStatus status=Cancelled filled=0
        << error code=202
        ++ 50
        << execDetails orderId=12 shares=8
        << orderStatus status=Cancelled filled=8 remaining=12
        << commissionReport
    """)


def test_a_rejected_order_is_an_error_and_inactive() -> None:
    faults = [{"when": "order", "what": {"reject": {"code": 201, "text": "Order rejected - reason: no permission"}}}]
    play_with(faults=faults)(f"""
        >> {MARKET} orderId=12
        << error id=12 code=201 text="Order rejected - reason: no permission"
        << orderStatus orderId=12 status=Inactive filled=0 remaining=20
        >> reqOpenOrders
        << openOrderEnd
        >> reqCompletedOrders
        << completedOrder status=Inactive totalQuantity=20 filledQuantity=0
        << completedOrdersEnd
    """)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("totalQuantity=0", 434),
        ("totalQuantity=0.5", 10243),
        ("orderType=LMT lmtPrice=90.505", 110),
        ("account=DU9", 321),
        ("conId=999", 200),
        ("conId=0 symbol=NOPE", 200),
        ("parentId=11", 321),
        ("transmit=0", 321),
        ("cashQty=100", 321),
        ("algoStrategy=Vwap", 321),
        ("action=SSHORT", 320),
        ("totalQuantity=many", 320),
        ("totalQuantity=1e999", 320),
        ("totalQuantity=Infinity", 320),
        ("orderType=LMT lmtPrice=high", 320),
    ],
)
def test_what_is_no_order_here_is_an_error_about_it_and_no_order(asked: str, code: int) -> None:
    play = play_with()
    play(f"""
        >> {MARKET} orderId=12 {asked}
        << error id=12 code={code}
        >> reqCompletedOrders
        << completedOrdersEnd
    """)
    assert statuses(play) == []


def test_an_order_must_name_one_of_several_accounts() -> None:
    play_with(accounts={"DU1": {}, "DU2": {"cash": "100000"}})(f"""
        >> {MARKET} orderId=12 account=
        << error id=12 code=435
        >> {MARKET} orderId=12 account=DU2
        << openOrder account=DU2
        << ...
    """)


def test_the_only_account_need_not_be_named() -> None:
    play_with()(f"""
        >> {MARKET} orderId=12 account=
        << openOrder account=DU1
        << ...
    """)


def test_an_order_with_conditions_is_not_taken() -> None:
    play = play_with()
    conditions = [{"type": "3", "conjunction": "a", "isMore": "1", "time": "20261123 16:00:00 UTC"}]
    layout = FROM_CLIENT[3]
    fields = {**dict.fromkeys(layout.names, ""), **PLAIN, "orderId": "12", "conditions": conditions}
    play.send_fields(layout.message(**fields).fields)
    play("<< error id=12 code=321")


def test_an_order_outside_hours_is_queued_with_a_warning() -> None:
    play = play_with(market={"AAA": {"hours": "09:30-10:00 US/Eastern"}})
    play(f"""
        >> {MARKET} orderId=12
        << openOrder status=PreSubmitted
        << orderStatus status=PreSubmitted
        << error id=12 code=399
        ++ 3600000
        >> reqOpenOrders
        << openOrder status=PreSubmitted
        << ...
    """)
    play.change({"market": {"AAA": {"hours": "always"}}})
    play("""
        ++ 0
        ++ 5
        << execDetails shares=20
        << ...
    """)


@pytest.mark.parametrize("code", [399, 404, 2109, 10349])
def test_a_warning_about_an_order_that_lives_on(code: int) -> None:
    play_with(faults=[{"when": "order", "what": {"warn": {"code": code}}}])(f"""
        >> {MARKET} orderId=12
        << openOrder status=PreSubmitted
        << orderStatus status=PreSubmitted
        << error id=12 code={code}
        ++ 5
        << execDetails
        << openOrder status=Filled
        << ...
    """)


def test_an_order_without_a_time_in_force_gets_one_and_lives() -> None:
    play_with()(f"""
        >> {MARKET} orderId=12 tif=
        << openOrder tif=DAY status=PreSubmitted
        << orderStatus status=PreSubmitted
        << error id=12 code=10349
        ++ 5
        << execDetails
        << ...
    """)


def test_an_order_number_is_used_once() -> None:
    play_with()(f"""
        >> {RESTING} orderId=12
        << ...
        >> {RESTING} orderId=12 lmtPrice=91
        << error id=12 code=103 text="Duplicate order id"
        >> reqIds count=1
        << nextValidId orderId=13
    """)


def test_a_what_if_is_one_open_order_and_no_order() -> None:
    play = play_with()
    play(f"""
        >> {MARKET} orderId=12 whatIf=1
        << openOrder orderId=12 whatIf=1 status=PreSubmitted permId=0 initMarginBefore=2500 initMarginChange=500 \
            initMarginAfter=3000 maintMarginAfter=3000 equityWithLoanBefore=110000 equityWithLoanAfter=109998.8 \
            commission=1 commissionCurrency=USD warningText=
        >> reqOpenOrders
        << openOrderEnd
    """)
    assert play.traded == []


def test_a_what_if_may_be_refused() -> None:
    faults = [{"when": {"preview": {"symbol": "AAA"}}, "what": {"reject": {"text": "No trading permissions."}}}]
    play = play_with(faults=faults)
    play(f"""
        >> {MARKET} orderId=12 whatIf=1
        << error id=12 code=201 text="No trading permissions."
    """)
    assert play.traded == []


def test_a_what_if_may_come_first_without_margins_and_with_a_warning() -> None:
    first = {"initMarginChange": UNSET, "warningText": "Cancel the order if it is not wanted."}
    play_with(faults=[fault("openOrder", "precede", where={"whatIf": "1"}, parameters=first)])(f"""
        >> {MARKET} orderId=12 whatIf=1
        << openOrder whatIf=1 initMarginChange={UNSET} warningText="Cancel the order if it is not wanted."
        << openOrder whatIf=1 initMarginChange=500 warningText=
    """)


def test_every_order_message_of_a_read_only_gateway_does_nothing() -> None:
    play = play_with()
    play(f"""
        >> {RESTING} orderId=12
        << ...
    """)
    play.change({"read_only": True})
    play(f"""
        >> {MARKET} orderId=13
        << error id=13 code=321
        >> {MARKET} orderId=14 whatIf=1
        << error id=14 code=321
        >> cancelOrder orderId=12
        << error id=12 code=321
        >> reqGlobalCancel
        << error id=-1 code=321
        >> reqOpenOrders
        << openOrder orderId=12 status=Submitted
        << orderStatus
        << openOrderEnd
    """)
    assert [event.event for event in play.events] == ["order_message"] * 5


def test_a_correction_is_another_execution_and_its_commission() -> None:
    play_with(faults=[{"when": "order", "what": {"correct": {"price": "100.02", "ms": 100}}}])(f"""
        >> {MARKET} orderId=12
        << ...
        ++ 5
        << execDetails execId=0000e0d5.6789abcd.01.01 price=100.01
        << ...
        ++ 100
        << execDetails reqId=-1 execId=0000e0d5.6789abcd.01.02 price=100.02 shares=20 cumQty=20
        << openOrder status=Filled commission=1
        << commissionReport execId=0000e0d5.6789abcd.01.02
    """)


def test_positions_and_account_values_follow_the_fills() -> None:
    play = play_with()
    play("""
        >> reqPositions
        << ...
        >> reqAccountUpdates subscribe=1 account=DU1
        << ...
    """)
    play(f"""
        >> {MARKET} orderId=12
        << ...
        ++ 5
        << execDetails
        << openOrder
        << orderStatus
        << openOrder
        << commissionReport
        << position symbol=AAA position=120
        << updateAccountValue key=Cushion
        << updateAccountValue key=NetLiquidation value=109998.80
        << updateAccountValue key=TotalCashValue value=97998.80
        << ...
    """)


# Several clients.


def test_each_client_hears_of_its_own_orders_only() -> None:
    play = play_with()
    play(f"""
        >> {RESTING} orderId=12
        << ...
    """)
    play.turn(8)
    play(f"""
        >> {MARKET} orderId=12
        << openOrder orderId=12 clientId=8
        << orderStatus orderId=12 clientId=8
        ++ 5
        << execDetails clientId=8
        << ...
        >> reqOpenOrders
        << openOrderEnd
        >> reqAllOpenOrders
        << openOrder orderId=12 clientId=7 status=Submitted
        << orderStatus orderId=12 clientId=7
        << openOrderEnd
        >> cancelOrder orderId=99
        << error code=10147
    """)
    play.turn(7)
    play("")


def test_a_global_cancel_ends_the_orders_of_all_clients_and_tells_each() -> None:
    play = play_with()
    play(f"""
        >> {RESTING} orderId=12
        << ...
    """)
    play.turn(8)
    play(f"""
        >> {RESTING} orderId=30
        << ...
        >> reqGlobalCancel
        << orderStatus orderId=30 status=Cancelled
        << error id=30 code=202
    """)
    play.turn(7)
    play("""
        << orderStatus orderId=12 status=Cancelled
        << error id=12 code=202
    """)


def test_orders_outlive_their_connection_and_are_served_to_the_next() -> None:
    play = play_with(fills={"delay_ms": 100})
    play(f"""
        >> {MARKET} orderId=12 orderRef=rb1-filled-1
        << ...
        >> {RESTING} orderId=13 orderRef=rb1-cancelled-1
        << ...
        >> cancelOrder orderId=13
        << ...
        >> {RESTING} orderId=14 orderRef=rb1-open-1
        << ...
    """)
    play.hang_up()
    play.connect()
    play("""
        ++ 100
        >> startApi clientId=7
        << managedAccounts
        << nextValidId orderId=15
        << ...
        >> reqOpenOrders
        << openOrder orderId=14 clientId=7 permId=1100000003 orderRef=rb1-open-1 status=Submitted
        << orderStatus orderId=14 permId=1100000003 status=Submitted filled=0 remaining=20
        << openOrderEnd
        >> reqExecutions reqId=9 clientId=0
        << execDetails reqId=9 orderId=12 clientId=7 permId=1100000001 orderRef=rb1-filled-1 shares=20 \
            time="20261123 10:30:00 US/Eastern"
        << commissionReport commission=1
        << execDetailsEnd reqId=9
        >> reqCompletedOrders apiOnly=0
        << completedOrder permId=1100000001 orderRef=rb1-filled-1 status=Filled totalQuantity=0 filledQuantity=20 \
            completedStatus="Filled Size: 20" completedTime="20261123 10:30:00 US/Eastern"
        << completedOrder permId=1100000002 orderRef=rb1-cancelled-1 status=Cancelled totalQuantity=20 \
            filledQuantity=0 completedStatus="Cancelled by Trader"
        << completedOrdersEnd
    """)


FILTERS = [
    ("", 2),
    ("clientId=0", 2),
    ("clientId=7", 2),
    ("clientId=8", 0),
    ("account=DU1", 2),
    ("account=DU9", 0),
    ("symbol=BBB", 1),
    ("secType=STK", 2),
    ("secType=OPT", 0),
    ("exchange=ARCA", 2),
    ("exchange=NYSE", 0),
    ("side=BUY", 1),
    ("side=SLD", 1),
    ("time='20261123 10:29:00'", 2),
    ("time='20261123 10:31:00'", 1),
    ("time='20261123 15:31:00 UTC'", 1),
    ("time=20261123-15:31:00", 1),
    ("time='20261123 10:33:00 US/Eastern'", 0),
]


@pytest.mark.parametrize(("asked", "count"), FILTERS)
def test_executions_are_filtered(asked: str, count: int) -> None:
    play = play_with()
    play(f"""
        >> {MARKET} orderId=12
        << ...
        ++ 5
        << ...
        ++ 120000
        >> {MARKET} orderId=13 conId=102 action=SELL
        << ...
        ++ 5
        << ...
    """)
    play.send_line(f"reqExecutions reqId=9 {asked}")
    assert play.drain() == ["execDetails"] * count + ["commissionReport"] * count + ["execDetailsEnd"]


@pytest.mark.parametrize("time", ["yesterday", "20261123 10:30:00 Mars", "20261123"])
def test_a_time_that_is_none_filters_nothing(time: str) -> None:
    Dialogue()(f"""
        >> reqExecutions reqId=9 time="{time}"
        << error id=9 code=321
    """)


def test_a_commission_that_is_late_is_in_no_list_before() -> None:
    play_with(faults=[{"when": "order", "what": {"commission_late": {"ms": 500}}}])(f"""
        >> {MARKET} orderId=12
        << ...
        ++ 5
        << execDetails
        << openOrder status=Filled
        << orderStatus status=Filled
        >> reqExecutions reqId=9
        << execDetails reqId=9
        << execDetailsEnd
        ++ 500
        << openOrder status=Filled commission=1
        << commissionReport commission=1
        >> reqExecutions reqId=10
        << execDetails reqId=10
        << commissionReport
        << execDetailsEnd
    """)


# Faults of the wire.


def test_an_order_can_be_acted_on_although_no_word_of_it_arrives() -> None:
    lost = [fault(name, "drop", where={"orderId": "12"}) for name in ("openOrder", "orderStatus", "execDetails")]
    play = play_with(faults=[*lost, fault("commissionReport", "drop")])
    play(f"""
        >> {MARKET} orderId=12
        ++ 5
        >> reqPositions
        << position symbol=AAA position=120
        << positionEnd
    """)
    assert statuses(play) == ["PreSubmitted", "Filled"]


@pytest.mark.parametrize("at", ["openOrder", "orderStatus", "execDetails", "commissionReport"])
def test_the_connection_can_be_cut_once_the_order_is_acted_on(at: str) -> None:
    play = play_with(faults=[fault(at, "disconnect", count=1)])
    play.send_line(f"{MARKET} orderId=12")
    if not play.over:
        play.drain()
        play.wait(5)
    assert play.drain()[-1] == "closed"
    play.wait(5)
    assert statuses(play) == ["PreSubmitted", "Filled"]


def test_after_a_cut_nothing_more_of_a_burst_is_acted_on() -> None:
    play = play_with(faults=[fault("openOrder", "disconnect", count=1)])
    both = [request("placeOrder", **PLAIN, orderId=number) for number in ("12", "13")]
    play.send_fields(*both)
    assert play.drain() == ["closed"]
    assert [event.order.ticket.order_id for event in play.traded if isinstance(event, Told)] == [12]


@pytest.mark.parametrize("action", ["disconnect", "drop", "mute", "garbage"])
def test_an_order_can_be_lost_on_its_way(action: str) -> None:
    play = play_with(faults=[fault("placeOrder", action, count=1)])
    play.send_line(f"{MARKET} orderId=12")
    play.drain()
    assert play.traded == []
    assert [event.event for event in play.events] == ["order_message", "fault"]


def test_an_order_can_be_refused_by_the_gateway_itself() -> None:
    play = play_with(faults=[fault("placeOrder", "error", parameters={"code": 10197}, where={"symbol": ""}, count=1)])
    play(f"""
        >> {MARKET} orderId=12
        << error id=12 code=10197
    """)
    assert play.traded == []


def test_an_error_in_place_of_an_answer_is_about_the_order() -> None:
    faults = [fault("orderStatus", "error", parameters={"code": 10147}, count=1)]
    play_with(faults=faults)(f"""
        >> {RESTING} orderId=12
        << openOrder
        << error id=12 code=10147
        << ...
    """)


def test_a_cancel_can_be_lost_or_work_unheard() -> None:
    unheard = fault("orderStatus", "drop", where={"status": "Cancelled"})
    play = play_with(faults=[fault("cancelOrder", "drop", count=1), unheard])
    play(f"""
        >> {RESTING} orderId=12
        << ...
        >> cancelOrder orderId=12
        >> cancelOrder orderId=12
        << orderStatus status=PendingCancel
        << error code=202
        >> reqOpenOrders
        << openOrderEnd
    """)


def test_fills_can_be_withheld_until_they_are_asked_for() -> None:
    live = fault("execDetails", "drop", where={"reqId": "-1"})
    play_with(faults=[live, fault("orderStatus", "drop"), fault("openOrder", "drop")])(f"""
        >> {MARKET} orderId=12
        ++ 5
        << commissionReport
        >> reqExecutions reqId=9
        << execDetails reqId=9 shares=20
        << commissionReport
        << execDetailsEnd
    """)


def test_what_is_told_of_orders_can_come_twice_late_or_changed() -> None:
    faults = [
        fault("orderStatus", "duplicate", where={"status": "Filled"}),
        fault("execDetails", "delay", parameters={"ms": 70}),
        fault("orderStatus", "precede", parameters={"status": "Submitted"}, where={"status": "PreSubmitted"}),
        fault("openOrder", "alter", parameters={"permId": "0"}, where={"status": "PreSubmitted"}),
    ]
    play = play_with(faults=faults)
    play(f"""
        >> {MARKET} orderId=12
        << openOrder permId=0
        << orderStatus status=Submitted
        << orderStatus status=PreSubmitted
        ++ 5
        << execDetails
        << openOrder permId=1100000001
        << orderStatus status=Filled
        << orderStatus status=Filled
        << ...
    """)
    assert (play.delays["execDetails"], play.delays["orderStatus"]) == (70, 0)


def test_an_order_that_meets_duplicate_is_placed_once_and_told_twice() -> None:
    play = play_with(faults=[fault("placeOrder", "duplicate")])
    play(f"""
        >> {MARKET} orderId=12
        << openOrder
        << orderStatus
        << openOrder
        << orderStatus
    """)
    assert statuses(play) == ["PreSubmitted"]


# The layout of what clients send.

PLAIN = {
    "conId": "101",
    "action": "BUY",
    "totalQuantity": "20",
    "orderType": "MKT",
    "tif": "DAY",
    "account": "DU1",
    "transmit": "1",
}
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
