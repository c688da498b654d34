"""What becomes of orders in an ordinary market."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.sandbox.trader import NOW, Trader, lines

from ibkr_rebalancer.sandbox.venue.document import ScenarioError
from ibkr_rebalancer.sandbox.venue.orders import Complained, Preview, Printed

FILLED = ["1 PreSubmitted 0/10", "1 bought 10 at 100.01", "1 Filled 10/10", "1 costs 1.00"]
RESTING = ["1 PreSubmitted 0/10", "1 Submitted 0/10"]
QUEUED = ["1 PreSubmitted 0/10", "1 error 399"]
CANCELLED = ["1 Cancelled 0/10", "1 error 202"]


def test_a_market_order_fills_in_one_go_and_moves_position_and_cash() -> None:
    trader = Trader()
    assert trader.buy() == FILLED
    assert (trader.held(), trader.cash) == (Decimal(110), Decimal("8998.90"))
    order = trader.order()
    assert (order.completed_at, order.completed_status) == (NOW, "Filled Size: 10")
    assert (order.filled, order.remaining, order.average_price) == (Decimal(10), Decimal(0), Decimal("100.01"))
    assert trader.venue.open_orders == ()
    assert trader.venue.executions == order.executions


def test_it_fills_after_the_delay_and_not_before() -> None:
    trader = Trader(fills={"delay_ms": 5})
    assert trader.buy() == FILLED[:1]
    assert trader.venue.next_due == NOW + timedelta(milliseconds=5)
    assert trader.wait(milliseconds=4.9) == []
    assert trader.held() == 100
    assert trader.wait(milliseconds=0.1) == FILLED[1:]
    assert trader.venue.executions[0].time == NOW + timedelta(milliseconds=5)


def test_slices_come_one_delay_apart_in_whole_shares_and_share_one_commission() -> None:
    trader = Trader(fills={"delay_ms": 5, "slices": 3})
    trader.buy(quantity=10)
    assert trader.wait(milliseconds=5) == ["1 bought 4 at 100.01", "1 Submitted 4/10", "1 costs 1.00"]
    assert trader.wait(milliseconds=10) == [
        "1 bought 3 at 100.01",
        "1 Submitted 7/10",
        "1 costs 0.00",
        "1 bought 3 at 100.01",
        "1 Filled 10/10",
        "1 costs 0.00",
    ]
    moments = [execution.time - NOW for execution in trader.venue.executions]
    assert moments == [timedelta(milliseconds=ms) for ms in (5, 10, 15)]
    assert [execution.cumulative for execution in trader.venue.executions] == [4, 7, 10]


def test_a_slice_meets_the_price_of_its_moment() -> None:
    trader = Trader(fills={"delay_ms": 5, "slices": 2})
    trader.buy()
    trader.wait(milliseconds=5)
    assert trader.change(market={"AAA": {"ask": "101"}}) == []
    assert trader.wait(milliseconds=5)[0] == "1 bought 5 at 101"
    assert trader.order().average_price == Decimal("100.505")
    assert trader.venue.executions[-1].average_price == Decimal("100.505")


def test_no_more_slices_than_shares() -> None:
    trader = Trader(fills={"delay_ms": 0, "slices": 9})
    assert trader.buy(quantity=2)[-1] == "1 costs 0.00"
    assert [execution.shares for execution in trader.venue.executions] == [1, 1]


@pytest.mark.parametrize(
    ("side", "limit", "fills", "price"),
    [
        ("BUY", None, {}, "100.01"),
        ("SELL", None, {}, "99.99"),
        ("BUY", None, {"slippage_bp": 1}, "100.03"),  # 100.020001, to the next tick against the buyer
        ("SELL", None, {"slippage_bp": 1}, "99.98"),  # 99.980001, likewise
        ("BUY", "100.50", {}, "100.01"),
        ("BUY", "100.50", {"slippage_bp": 100}, "100.5"),
        ("BUY", "100.01", {}, "100.01"),
        ("BUY", "100.00", {}, None),
        ("SELL", "99.50", {}, "99.99"),
        ("SELL", "99.50", {"slippage_bp": 100}, "99.5"),
        ("SELL", "99.99", {}, "99.99"),
        ("SELL", "100.00", {}, None),
        ("SELL", None, {"slippage_bp": 10000}, "0.01"),
    ],
)
def test_prices(side: str, limit: str | None, fills: dict[str, int], price: str | None) -> None:
    trader = Trader(fills={"delay_ms": 0, **fills})
    (trader.buy if side == "BUY" else trader.sell)(limit=limit)
    assert [execution.price for execution in trader.venue.executions] == ([] if price is None else [Decimal(price)])


@pytest.mark.parametrize("quote", [{"ask": None}, {"ask": "0"}, {"ask": "-1"}, {"halted": True}])
def test_without_a_market_a_market_order_rests(quote: dict[str, object]) -> None:
    trader = Trader(market={"AAA": quote})
    assert trader.buy() == RESTING
    assert trader.wait(hours=1) == []
    assert trader.change(market={"AAA": {"ask": "100.01", "halted": False}}) == FILLED[1:]


def test_a_limit_order_rests_until_the_price_comes() -> None:
    trader = Trader(fills={"delay_ms": 5})
    assert trader.buy(limit="98") == RESTING
    assert trader.wait(minutes=1) == []
    assert trader.change(market={"AAA": {"bid": "98", "ask": "98.02"}}) == []
    assert trader.venue.next_due == trader.now + timedelta(milliseconds=5)
    assert trader.wait(milliseconds=5) == []
    assert trader.change(market={"AAA": {"bid": "97", "ask": "97.02"}}) == []
    assert trader.wait(milliseconds=5)[:2] == ["1 bought 10 at 97.02", "1 Filled 10/10"]


def test_a_change_is_due_at_once() -> None:
    trader = Trader()
    trader.buy(limit="98")
    trader.venue.become(trader.venue.changed({"market": {"AAA": {"ask": "97"}}}))
    due = trader.venue.next_due
    assert due is not None
    assert due <= trader.now


def test_before_the_open_an_order_waits_and_fills_at_the_open() -> None:
    trader = Trader(market={"AAA": {"hours": "11:00-16:00 US/Eastern"}})
    assert trader.buy() == QUEUED
    complaint = trader.events[-1]
    assert isinstance(complaint, Complained)
    assert complaint.text == (
        "Order Message:\nBUY 10 AAA ARCA\n"
        "Warning: Your order will not be placed at the exchange until 2026-11-23 11:00:00 US/Eastern"
    )
    assert trader.wait(minutes=29) == []
    assert trader.wait(minutes=2) == FILLED[1:]
    assert trader.venue.executions[0].time == datetime(2026, 11, 23, 16, tzinfo=UTC)


def test_after_the_close_it_waits_for_the_next_session() -> None:
    trader = Trader()
    trader.wait(hours=6)
    assert trader.buy() == QUEUED
    assert trader.wait(hours=16) == []
    assert trader.wait(hours=2) == FILLED[1:]
    assert trader.venue.executions[0].time == datetime(2026, 11, 24, 14, 30, tzinfo=UTC)


def test_where_nothing_opens_it_waits_until_the_hours_change() -> None:
    trader = Trader(market={"AAA": {"hours": "closed"}})
    assert trader.buy() == QUEUED
    assert trader.venue.next_due is None
    assert "until further notice" in trader.events[-1].text  # type: ignore[union-attr]
    assert trader.change(market={"AAA": {"hours": "always"}}) == FILLED[1:]


def test_nothing_fills_while_the_market_is_closed() -> None:
    trader = Trader()
    trader.buy(limit="98")
    assert trader.change(market={"AAA": {"hours": "closed", "ask": "97"}}) == []
    assert trader.change(market={"AAA": {"hours": "always"}})[0] == "1 bought 10 at 97"


def test_an_order_for_the_day_ends_with_the_session() -> None:
    trader = Trader()
    trader.buy(limit="98")
    trader.buy(limit="98", tif="GTC")
    assert trader.venue.next_due == datetime(2026, 11, 23, 21, tzinfo=UTC)
    assert trader.wait(hours=5, minutes=29) == []
    assert trader.wait(minutes=1) == ["1 Cancelled 0/10"]
    order = trader.order(1)
    assert (order.completed_status, order.completed_at) == ("Cancelled by System", trader.now)
    assert [order.ticket.order_id for order in trader.venue.open_orders] == [2]


def test_an_order_ends_with_the_session_as_it_is_now() -> None:
    trader = Trader()
    trader.buy(limit="98")
    trader.change(market={"AAA": {"hours": "09:30-11:00 US/Eastern"}})
    assert trader.wait(minutes=31) == ["1 Cancelled 0/10"]


def test_a_cancel_ends_a_working_order() -> None:
    trader = Trader()
    trader.buy(limit="98")
    assert trader.cancel() == CANCELLED
    assert trader.order().completed_status == "Cancelled by Trader"
    assert trader.venue.next_due is None


def test_a_cancel_keeps_what_is_filled() -> None:
    trader = Trader(fills={"delay_ms": 5, "slices": 2})
    trader.buy()
    trader.wait(milliseconds=5)
    assert trader.cancel() == ["1 Cancelled 5/10", "1 error 202"]
    assert trader.wait(hours=1) == []
    assert trader.held() == 105


def test_what_is_due_comes_before_the_cancel() -> None:
    trader = Trader(fills={"delay_ms": 5})
    trader.buy()
    trader.now += timedelta(milliseconds=5)
    assert trader.cancel() == [*FILLED[1:], "1 error 10148"]
    assert trader.events[-1] == Complained(
        client_id=7,
        order_id=1,
        code=10148,
        text="OrderId 1 that needs to be cancelled cannot be cancelled, state: Filled.",
    )


def test_a_cancelled_order_cannot_be_cancelled_again() -> None:
    trader = Trader()
    trader.buy(limit="98")
    trader.cancel()
    assert trader.cancel() == ["1 error 10148"]
    assert trader.events[-1].text.endswith("state: Cancelled.")  # type: ignore[union-attr]


@pytest.mark.parametrize(("order_id", "client"), [(2, 7), (1, 8)])
def test_an_order_is_cancelled_by_its_own_client_only(order_id: int, client: int) -> None:
    trader = Trader()
    trader.buy(limit="98")
    assert trader.cancel(order_id, client=client) == [f"{order_id} error 10147"]
    assert trader.order().working


def test_all_orders_of_all_clients_are_cancelled() -> None:
    trader = Trader()
    trader.buy(limit="98")
    trader.buy(limit="98", client_id=8)
    trader.buy()
    assert lines(trader.venue.cancel_all(trader.now)) == [
        "1 Cancelled 0/10",
        "1 error 202",
        "2 Cancelled 0/10",
        "2 error 202",
    ]


def test_ids_are_told_above_all_that_were_seen() -> None:
    trader = Trader()
    assert trader.venue.next_order_id == 1
    trader.buy(order_id=41)
    assert trader.venue.next_order_id == 42
    trader.buy(quantity="0.5", order_id=50)
    assert trader.venue.next_order_id == 51
    trader.buy(order_id=3, client_id=8)
    assert trader.venue.next_order_id == 51


def test_permanent_ids_and_execution_ids_are_unique_and_the_same_in_every_run() -> None:
    runs = []
    for _ in range(2):
        trader = Trader(fills={"delay_ms": 0, "slices": 2})
        trader.buy()
        trader.sell()
        orders, executions = trader.venue.completed, trader.venue.executions
        assert len({order.perm_id for order in orders}) == 2
        assert len({execution.exec_id for execution in executions}) == 4
        runs.append(([order.perm_id for order in orders], [execution.exec_id for execution in executions]))
    assert runs[0] == runs[1]
    assert runs[0][1][0] == "0000e0d5.6789abcd.01.01"


def test_yesterday_is_not_listed() -> None:
    trader = Trader()
    trader.buy()
    trader.buy(limit="98", tif="GTC")
    trader.wait(days=1)
    assert (trader.venue.completed, trader.venue.executions) == ((), ())
    assert len(trader.venue.open_orders) == 1


def test_a_sale_beyond_the_holding_makes_a_short_in_a_margin_account() -> None:
    trader = Trader()
    trader.sell(quantity=130)
    assert (trader.held(), trader.account.positions[101].average_cost) == (Decimal(-30), Decimal("99.99"))


def test_each_symbol_may_fill_in_its_own_way() -> None:
    trader = Trader(fills={"delay_ms": 0, "commission": "none"}, market={"BBB": {"fills": {"slices": 2}}})
    trader.buy("AAA")
    trader.buy("BBB")
    assert [execution.shares for execution in trader.venue.executions] == [10, 5, 5]
    assert [execution.commission for execution in trader.venue.executions] == [0, 0, 0]


def test_a_preview_tells_what_would_change_and_changes_nothing() -> None:
    trader = Trader()
    before = trader.venue.scenario
    assert trader.venue.preview(trader.ticket("BUY", "BBB")) == Preview(
        commission=Decimal("1.00"),
        initial_margin_before=Decimal("2500.00"),
        initial_margin_change=Decimal("125.00"),
        equity_before=Decimal("20000.00"),
        equity_change=Decimal("-1.10"),
    )
    assert trader.venue.scenario is before
    assert (trader.venue.open_orders, trader.venue.next_order_id) == ((), 1)


def test_a_preview_is_refused_as_the_order_would_be() -> None:
    trader = Trader()
    for ticket in (trader.ticket("BUY", quantity="0.5"), trader.ticket("BUY", quantity=5000)):
        preview = trader.venue.preview(ticket)
        assert trader.venue.place(ticket, trader.now)[0] == preview
    assert isinstance(trader.venue.preview(trader.ticket("BUY", tif="")), Preview)


def test_a_correction_counts_instead_of_what_it_corrects() -> None:
    trader = Trader()
    trader.buy()
    execution = trader.venue.executions[0]
    assert lines(trader.venue.correct(execution.exec_id, Decimal("99.01"), trader.now)) == [
        "1 bought 10 at 99.01 in revision 2",
        "1 costs 1.00",
    ]
    assert trader.cash == Decimal("9008.90")
    assert trader.order().filled == 10
    assert trader.order().average_price == Decimal("99.01")
    lines(trader.venue.correct(execution.exec_id, Decimal("98.01"), trader.now))
    ids = [execution.exec_id for execution in trader.venue.executions]
    assert ids == [f"0000e0d5.6789abcd.01.{revision:02d}" for revision in (1, 2, 3)]
    assert trader.cash == Decimal("9018.90")
    assert [execution.time for execution in trader.venue.executions] == [NOW] * 3


def test_the_average_of_a_correction_is_of_the_prices_that_stand() -> None:
    trader = Trader(fills={"delay_ms": 0, "slices": 2})
    trader.buy()
    trader.venue.correct(trader.venue.executions[1].exec_id, Decimal("102.01"), trader.now)
    assert trader.venue.executions[-1].average_price == trader.order().average_price == Decimal("101.01")


def test_only_an_execution_can_be_corrected() -> None:
    with pytest.raises(ScenarioError, match="exec_id: there is no execution '1'"):
        Trader().venue.correct("1", Decimal(1), NOW)


def test_somebody_else_places_an_order() -> None:
    trader = Trader()
    events = trader.venue.place_stated({"contract": "BBB", "side": "BUY", "quantity": 3}, trader.now)
    (execution,) = (event.execution for event in events if isinstance(event, Printed))
    assert (execution.ticket.client_id, execution.ticket.order_ref, execution.shares) == (99, "", Decimal(3))
    trader.venue.place_stated(
        {"contract": "101", "client": 0, "side": "SELL", "quantity": 5, "limit_price": "150", "order_ref": "by hand"},
        trader.now,
    )
    (order,) = trader.venue.open_orders
    assert (order.ticket.con_id, order.ticket.client_id, order.ticket.order_ref) == (101, 0, "by hand")
    assert (order.ticket.order_type, order.ticket.limit_price) == ("LMT", Decimal(150))


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ({"side": "BUY", "quantity": 1}, "order.contract: 0 contracts fit"),
        ({"contract": "AAA", "amount": 3}, "order: unknown key 'amount'"),
        ({"contract": "AAA", "side": "SHORT"}, "order.side: 'SHORT' is none of BUY, SELL"),
        ({"contract": "AAA"}, "order: needs a side and a quantity"),
    ],
)
def test_an_order_of_somebody_else_is_read_strictly(order: dict[str, object], problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        Trader().venue.place_stated(order, NOW)


@pytest.mark.parametrize("change", [{"market": {"BBB": None}}, {"accounts": {"DU2": None}}])
def test_what_orders_are_about_stays(change: dict[str, object]) -> None:
    trader = Trader(accounts={"DU2": {"cash": "1000"}})
    assert trader.venue.changed(change)
    trader.buy("BBB", account="DU2", limit=1)
    with pytest.raises(ScenarioError, match="order 1100000001 needs account DU2 and contract 102"):
        trader.venue.changed(change)
