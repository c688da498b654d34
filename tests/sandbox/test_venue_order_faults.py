"""Each fault of the market does what it says, and nothing to the orders it doesn't concern."""

from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.trader import Trader
from tests.support.sandbox import order_fault

from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.orders import Charged, Complained, Preview, Printed

FILLED = ["1 PreSubmitted 0/10", "1 bought 10 at 100.01", "1 Filled 10/10", "1 costs 1.00"]
WORKING = ["1 PreSubmitted 0/10", "1 Submitted 0/10"]
CANCELLED = ["1 Cancelled 0/10", "1 error 202"]


def trader_with(*faults: Document, **overlay: Any) -> Trader:
    return Trader(faults=list(faults), **overlay)


@pytest.mark.parametrize(
    ("takes", "told", "text"),
    [
        ({}, ["1 error 201", "1 Inactive 0/10"], "Order rejected - reason:"),
        ({"code": 10311, "text": "Directly routed."}, ["1 error 10311", "1 Inactive 0/10"], "Directly routed."),
        ({"code": 202, "text": "Price cap."}, ["1 error 202", "1 Cancelled 0/10"], "Price cap."),
    ],
)
def test_reject(takes: Document, told: list[str], text: str) -> None:
    trader = trader_with(order_fault("reject", parameters=takes))
    assert trader.buy() == told
    complaint = trader.events[0]
    assert isinstance(complaint, Complained)
    assert complaint.text == text == trader.order().completed_status
    assert trader.held() == 100


def test_warn_leaves_the_order_alive() -> None:
    trader = trader_with(order_fault("warn", parameters={"code": 201, "text": "Order rejected - reason:not so"}))
    assert trader.buy() == [FILLED[0], "1 error 201", *FILLED[1:]]


@pytest.mark.parametrize("status", ["PreSubmitted", "Inactive"])
def test_hold_never_fills_until_it_is_taken_away(status: str) -> None:
    trader = trader_with(order_fault("hold", parameters={"why": "locate", "status": status}))
    assert trader.buy(tif="GTC") == [f"1 {status} 0/10 held locate"]
    assert trader.change(market={"AAA": {"ask": "100"}}) == []
    assert trader.order().working
    assert trader.change(faults=[]) == ["1 bought 10 at 100", "1 Filled 10/10", "1 costs 1.00"]


def test_a_held_limit_order_rests_once_it_is_let_go() -> None:
    trader = trader_with(order_fault("hold", parameters={"why": "locate"}))
    assert trader.buy(limit="98") == ["1 PreSubmitted 0/10 held locate"]
    assert trader.change(faults=[]) == ["1 Submitted 0/10"]


def test_a_held_order_can_be_cancelled_and_expires() -> None:
    trader = trader_with(order_fault("hold"))
    trader.buy()
    trader.buy()
    assert trader.cancel(1) == CANCELLED
    assert trader.wait(hours=6) == ["2 Cancelled 0/10"]


@pytest.mark.parametrize(("slices", "shares"), [(1, 4), (5, 3)])
def test_partial_fills_so_many_and_then_sticks(slices: int, shares: int) -> None:
    trader = trader_with(order_fault("partial", parameters={"shares": shares}), fills={"delay_ms": 5, "slices": slices})
    trader.buy()
    trader.wait(minutes=1)
    assert trader.order().status == "Submitted"
    assert trader.order().filled == shares
    assert trader.change(market={"AAA": {"ask": "90"}}) == []
    assert trader.wait(minutes=1) == []
    assert trader.cancel() == [f"1 Cancelled {shares}/10", "1 error 202"]


def test_partial_of_nothing_never_fills() -> None:
    trader = trader_with(order_fault("partial", parameters={"shares": 0}))
    assert trader.buy() == WORKING
    assert trader.wait(hours=1) == []


def test_the_broker_cancels() -> None:
    trader = trader_with(
        order_fault("cancelled", parameters={"ms": 50, "text": "margin"}),
        order_fault("partial", parameters={"shares": 4}),
    )
    trader.buy()
    assert trader.wait(milliseconds=49) == []
    assert trader.wait(milliseconds=1) == ["1 Cancelled 4/10", "1 error 202"]
    assert trader.order().completed_status == "Cancelled by System"
    assert trader.events[-1] == Complained(client_id=7, order_id=1, code=202, text="Order Canceled - reason:margin")


def test_the_broker_refuses_what_is_left() -> None:
    trader = trader_with(
        order_fault("cancelled", parameters={"ms": 50, "code": 201, "text": "margin"}),
        order_fault("partial", parameters={"shares": 4}),
    )
    trader.buy()
    assert trader.wait(milliseconds=50) == ["1 error 201", "1 Inactive 4/10"]
    assert Complained(client_id=7, order_id=1, code=201, text="margin") in trader.events
    assert trader.order().completed_status == "margin"
    assert trader.wait(hours=1) == []


def test_the_broker_comes_too_late_for_what_is_filled() -> None:
    trader = trader_with(order_fault("cancelled", parameters={"ms": 50}))
    assert trader.buy() == FILLED
    assert trader.wait(milliseconds=50) == []


def test_cancel_late_works_until_then() -> None:
    trader = trader_with(order_fault("cancel_late", parameters={"ms": 50}))
    trader.buy(limit="98")
    assert trader.cancel() == []
    assert trader.wait(milliseconds=49) == []
    assert trader.order().working
    assert trader.wait(milliseconds=1) == CANCELLED


def test_cancel_late_may_come_too_late() -> None:
    trader = trader_with(order_fault("cancel_late", parameters={"ms": 50}))
    trader.buy(limit="98")
    trader.cancel()
    assert trader.change(market={"AAA": {"ask": "97"}})[1] == "1 Filled 10/10"
    assert trader.wait(milliseconds=50) == ["1 error 10148"]


def test_cancel_late_without_a_time_is_never() -> None:
    trader = trader_with(order_fault("cancel_late"))
    trader.buy(limit="98")
    assert trader.cancel() == []
    assert trader.wait(hours=1) == []
    assert trader.order().working


def test_fill_on_cancel_wins_the_race() -> None:
    trader = trader_with(order_fault("fill_on_cancel"))
    assert trader.buy() == WORKING
    assert trader.wait(hours=1) == []
    assert trader.cancel() == [*FILLED[1:], "1 error 10148"]
    assert trader.events[-1].text.endswith("state: Filled.")  # type: ignore[union-attr]
    assert trader.held() == 110


def test_fill_on_cancel_may_win_it_in_part() -> None:
    trader = trader_with(order_fault("fill_on_cancel", parameters={"shares": 4}))
    trader.buy()
    assert trader.cancel() == [
        "1 bought 4 at 100.01",
        "1 Submitted 4/10",
        "1 costs 1.00",
        "1 Cancelled 4/10",
        "1 error 202",
    ]


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ({}, ["1 bought 10 at 100.01", "1 Filled 10/10", "1 costs 1.00"]),
        ({"shares": 4}, ["1 bought 4 at 100.01", "1 Cancelled 4/10", "1 costs 1.00"]),
    ],
)
def test_late_fill_comes_after_the_cancel_was_told(shares: Document, told: list[str]) -> None:
    trader = trader_with(order_fault("late_fill", parameters={"ms": 20, **shares}))
    assert trader.buy() == WORKING
    assert trader.cancel() == CANCELLED
    assert trader.wait(milliseconds=19) == []
    assert trader.wait(milliseconds=1) == told
    assert trader.venue.open_orders == ()
    assert trader.venue.next_due is None


def test_a_limit_that_the_market_is_away_from_is_filled_late_at_the_limit() -> None:
    trader = trader_with(order_fault("late_fill", parameters={"ms": 0}), market={"AAA": {"ask": None}})
    trader.buy(limit="98")
    trader.cancel()
    assert trader.wait()[0] == "1 bought 10 at 98"


def test_without_any_price_a_late_fill_is_at_the_mark() -> None:
    trader = trader_with(order_fault("late_fill", parameters={"ms": 0}), market={"AAA": {"ask": None, "mark": "97"}})
    trader.buy()
    trader.cancel()
    assert trader.wait()[0] == "1 bought 10 at 97"


def test_correct_comes_later_under_the_next_revision() -> None:
    trader = trader_with(
        order_fault("correct", parameters={"price": "99.01", "ms": 30}), fills={"delay_ms": 0, "slices": 2}
    )
    trader.buy()
    assert trader.wait(milliseconds=29) == []
    assert trader.wait(milliseconds=1) == [
        "1 bought 5 at 99.01 in revision 2",
        "1 costs 1.00",
        "1 bought 5 at 99.01 in revision 2",
        "1 costs 0.00",
    ]
    assert trader.cash == Decimal("9008.90")
    assert trader.account.positions[101].average_cost == (100 * 100 + 10 * Decimal("99.01")) / 110


def test_lag_shows_the_account_as_it_was_until_so_long_after_the_last_execution() -> None:
    lag = order_fault("lag", order={"symbol": "AAA"}, parameters={"ms": 100})
    trader = trader_with(lag, fills={"delay_ms": 60, "slices": 2})
    before = trader.account
    trader.sell()
    trader.wait(milliseconds=120)
    assert trader.held() == 90
    assert trader.venue.told.accounts["DU1"] == before
    trader.wait(milliseconds=99)
    assert trader.venue.told.accounts["DU1"] == before
    trader.wait(milliseconds=1)
    assert trader.venue.told is trader.venue.scenario


def test_an_account_lags_no_longer_than_its_fault_is_there() -> None:
    trader = trader_with(order_fault("lag", parameters={"ms": 100}))
    trader.sell()
    trader.change(market={"AAA": {"ask": "100"}})
    assert trader.venue.told is not trader.venue.scenario
    trader.change(faults=[])
    assert trader.venue.told is trader.venue.scenario


def test_commission_late_is_charged_at_once_and_told_later() -> None:
    trader = trader_with(order_fault("commission_late", parameters={"ms": 100}))
    assert trader.buy() == FILLED[:-1]
    assert trader.cash == Decimal("8998.90")
    (execution,) = trader.venue.executions
    assert trader.venue.untold == {execution.exec_id}
    assert trader.wait(milliseconds=99) == []
    assert trader.wait(milliseconds=1) == FILLED[-1:]
    assert trader.venue.untold == frozenset()


def test_duplicate_perm_is_a_second_order_with_the_same_reference() -> None:
    trader = trader_with(order_fault("duplicate_perm"))
    trader.buy(limit="98", order_ref="rb1-x")
    first, second = trader.venue.open_orders
    assert first.perm_id != second.perm_id
    assert (first.ticket.order_ref, second.ticket.order_ref) == ("rb1-x", "rb1-x")
    assert (second.ticket.client_id, second.ticket.order_id) == (7, 1002)
    trader.change(market={"AAA": {"ask": "97"}})
    assert trader.held() == 120
    assert trader.buy(order_id=2)[0] == "2 PreSubmitted 0/10"


def test_both_duplicates_can_be_cancelled() -> None:
    trader = trader_with(order_fault("duplicate_perm", count=1), order_fault("hold", parameters={"why": "locate"}))
    assert trader.buy() == ["1 PreSubmitted 0/10 held locate", "1002 PreSubmitted 0/10 held locate"]
    assert trader.cancel(1) == CANCELLED
    assert trader.cancel(1002) == ["1002 Cancelled 0/10", "1002 error 202"]


@pytest.mark.parametrize(
    ("takes", "told"),
    [
        ({}, ["2 PreSubmitted 0/10", "2 bought 10 at 100.01"]),
        ({"side": "SELL", "quantity": 3}, ["2 PreSubmitted 0/3", "2 sold 3 at 99.99"]),
        ({"limit_price": "50"}, ["2 PreSubmitted 0/10", "2 Submitted 0/10"]),
    ],
)
def test_foreign_is_an_order_of_another_client(takes: Document, told: list[str]) -> None:
    trader = trader_with(
        order_fault("foreign", parameters={"client": 3, **takes}), order_fault("partial", parameters={"shares": 0})
    )
    told_of_all = trader.buy()
    assert [line for line in told_of_all if line.startswith("2 ")][:2] == told
    assert told_of_all.index(told[0]) < told_of_all.index(WORKING[0])
    foreign = trader.order(2, client=3).ticket
    assert (foreign.order_ref, foreign.account, foreign.con_id) == ("", "DU1", 101)


@pytest.mark.parametrize(
    ("order", "struck"),
    [
        ({}, {1, 2, 3}),
        ({"symbol": "AAA"}, {1, 3}),
        ({"symbol": "BBB"}, {2}),
        ({"con_id": 102}, {2}),
        ({"side": "SELL"}, {3}),
        ({"symbol": "AAA", "side": "BUY"}, {1}),
        ({"order_ref": "two"}, {2}),
        ({"account": "DU2"}, set()),
        ({"quantity": 7, "order_type": "LMT"}, {2}),
    ],
)
def test_an_order_is_told_by_what_it_asks_for(order: Document, struck: set[int]) -> None:
    trader = trader_with(order_fault("reject", order=order))
    trader.buy("AAA", order_ref="one")
    trader.buy("BBB", 7, limit="51", order_ref="two")
    trader.sell("AAA", order_ref="three")
    inactive = {order.ticket.order_id for order in trader.venue.completed if order.status == "Inactive"}
    assert inactive == struck


@pytest.mark.parametrize(
    ("when", "struck"),
    [({"after": 1}, {2, 3}), ({"count": 1}, {1}), ({"after": 1, "count": 1}, {2}), ({"client": 8}, {3})],
)
def test_it_strikes_as_often_as_it_says(when: Document, struck: set[int]) -> None:
    trader = trader_with(order_fault("reject", **when))
    for client in (7, 7, 8):
        trader.buy(client_id=client)
    inactive = {order.ticket.order_id for order in trader.venue.completed if order.status == "Inactive"}
    assert inactive == struck


def test_counts_survive_other_changes_and_end_with_the_faults() -> None:
    trader = trader_with(order_fault("reject", count=1))
    trader.buy()
    trader.change(market={"AAA": {"last": "100"}})
    assert trader.buy()[-1] == "2 costs 1.00"
    trader.change(faults=[order_fault("reject", count=2)])
    assert trader.buy()[-1] == "3 Inactive 0/10"


def test_what_is_malformed_is_no_match() -> None:
    trader = trader_with(order_fault("reject", count=1))
    assert trader.buy(quantity="0.5") == ["1 error 10243"]
    assert trader.buy() == ["2 error 201", "2 Inactive 0/10"]


def test_a_fault_of_previews_leaves_orders_alone_and_the_other_way_round() -> None:
    trader = trader_with(
        {"when": {"preview": {"symbol": "AAA"}}, "what": {"reject": {"text": "No trading permissions."}}},
        {"when": {"preview": {"symbol": "BBB"}}, "what": {"warn": {"code": 201, "text": "KID is missing."}}},
        order_fault("reject", order={"symbol": "CCC"}),
    )
    refused = trader.venue.preview(trader.ticket("BUY", "AAA"))
    assert refused == Complained(client_id=7, order_id=1, code=201, text="No trading permissions.")
    warned = trader.venue.preview(trader.ticket("BUY", "BBB"))
    assert isinstance(warned, Preview)
    assert warned.warning == "KID is missing."
    assert isinstance(trader.venue.preview(trader.ticket("BUY", "CCC")), Preview)
    assert trader.buy("AAA")[-1] == "1 costs 1.00"


def test_faults_of_the_wire_and_of_the_market_share_the_list_and_keep_apart() -> None:
    wire = {"when": "positionEnd", "what": "drop"}
    trader = trader_with(wire, order_fault("reject", count=1))
    assert [fault.message for fault in trader.venue.scenario.faults] == ["positionEnd"]
    trader.buy()
    trader.change(faults=[order_fault("reject", count=1)])
    assert trader.venue.scenario.faults == ()
    assert trader.buy()[-1] == "2 costs 1.00"


def test_events_tell_the_whole_story() -> None:
    """Who placed what, each fill and how it ended; from the fills follow position and cash."""
    trader = trader_with(
        order_fault("foreign", parameters={"side": "SELL", "quantity": 3}, order={"order_ref": "a"}),
        order_fault("correct", parameters={"price": "51", "ms": 5}, order={"order_ref": "b"}),
        order_fault("late_fill", parameters={"ms": 5, "shares": 2}, order={"order_ref": "c"}),
    )
    trader.buy("AAA", order_ref="a")
    trader.buy("BBB", order_ref="b")
    trader.buy("CCC", order_ref="c")
    trader.cancel(4)
    trader.wait(seconds=1)
    last = {event.execution.exec_id[:-3]: event.execution for event in trader.events if isinstance(event, Printed)}
    fills = [(e.ticket.client_id, e.ticket.order_ref, int(e.ticket.signed(e.shares)), e.price) for e in last.values()]
    assert fills == [
        (99, "", -3, Decimal("99.99")),
        (7, "a", 10, Decimal("100.01")),
        (7, "b", 10, Decimal(51)),
        (7, "c", 2, Decimal("20.01")),
    ]
    charges = {
        event.execution.exec_id[:-3]: event.execution.commission
        for event in trader.events
        if isinstance(event, Charged)
    }
    spent = sum(shares * price for _, _, shares, price in fills)
    assert trader.cash == 10000 - spent - sum(charges.values())
