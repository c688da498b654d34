"""Faults of the wire that meet orders: what is acted on, what is heard of it, and what is lost."""

import pytest
from tests.sandbox.dialogue import request
from tests.sandbox.ordering import MARKET, PLAIN, RESTING, play_with, statuses
from tests.support.sandbox import fault

from ibkr_rebalancer.sandbox.venue.orders import Told


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
