"""Orders over the wire, as dialogues: what is told of each, and in which order."""

import pytest
from tests.sandbox.ordering import MARKET, PLAIN, RESTING, UNSET, play_with, statuses
from tests.support.sandbox import fault

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT


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
