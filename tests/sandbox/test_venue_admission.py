"""Which orders are taken, and what the others are told."""

from typing import Any

import pytest
from tests.sandbox.trader import Trader

from ibkr_rebalancer.sandbox.venue.orders import Complained

CASH = {"type": "CASH", "cash": "1000", "positions": {"AAA": 10}}


def complaint(trader: Trader) -> Complained:
    return next(event for event in trader.events if isinstance(event, Complained))


@pytest.mark.parametrize(
    ("ticket", "code", "text"),
    [
        ({"account": "DU9"}, 321, "Error validating request.-'bS' : cause - Invalid account code 'DU9'."),
        ({"con_id": 999}, 200, "No security definition has been found for the request"),
        ({"quantity": "0"}, 434, "The order size cannot be zero."),
        ({"quantity": "-1"}, 434, "The order size cannot be zero."),
        ({"quantity": "1.5"}, 10243, "Fractional-sized order cannot be placed via API."),
        ({"limit": "100.005"}, 110, "The price does not conform to the minimum price variation for this contract."),
        ({"limit": "0"}, 110, "The price does not conform"),
        ({"order_type": "LMT"}, 110, "The price does not conform"),
    ],
)
def test_what_is_malformed_never_becomes_an_order(ticket: dict[str, Any], code: int, text: str) -> None:
    trader = Trader()
    assert trader.buy(**ticket) == [f"1 error {code}"]
    assert complaint(trader).text.startswith(text)
    assert (trader.venue.open_orders, trader.venue.completed) == ((), ())


@pytest.mark.parametrize("working", [True, False])
def test_an_order_id_is_used_once_by_a_client(working: bool) -> None:
    trader = Trader()
    trader.buy(limit="98" if working else None)
    assert trader.buy(order_id=1) == ["1 error 103"]
    assert trader.buy(order_id=1, client_id=8)[0] == "1 PreSubmitted 0/10"


@pytest.mark.parametrize(
    ("ticket", "reason"),
    [
        ({"order_type": "STP"}, "Order type STP is not supported"),
        ({"tif": "IOC"}, "Invalid time in force IOC."),
        ({"contract": "EUR"}, "No trading permissions for CASH."),
    ],
)
def test_what_the_broker_does_not_do_is_rejected(ticket: dict[str, Any], reason: str) -> None:
    trader = Trader(market={"EUR": {"sec_type": "CASH", "ask": "1.10"}})
    assert trader.buy(**ticket) == ["1 error 201", "1 Inactive 0/10"]
    assert complaint(trader).text.startswith(f"Order rejected - reason:{reason}")
    (order,) = trader.venue.completed
    assert order.completed_status == complaint(trader).text
    assert trader.wait(hours=1) == []


def test_without_a_tif_the_preset_is_taken_and_the_order_lives_on() -> None:
    trader = Trader()
    assert trader.buy(tif="", limit="98") == ["1 PreSubmitted 0/10", "1 error 10349", "1 Submitted 0/10"]
    assert complaint(trader).text == "Order TIF was set to DAY based on order preset."
    assert trader.order().ticket.tif == "DAY"


@pytest.mark.parametrize(
    ("cash", "ticket", "taken"),
    [
        ("1001.10", {}, True),  # 10 at 100.01 and 1.00
        ("1001.09", {}, False),
        ("981.00", {"limit": "98"}, True),
        ("980.99", {"limit": "98"}, False),
        ("1", {"contract": "EEE", "quantity": 1}, False),  # in its own currency only
    ],
)
def test_a_cash_account_pays_cost_and_commission_in_cash(cash: str, ticket: dict[str, Any], taken: bool) -> None:
    euro = {"currency": "EUR", "ask": "30", "last": "30"}
    account = {"type": "CASH", "cash": cash, "positions": None}
    trader = Trader(accounts={"DU1": account}, market={"EEE": euro}, rates={"EURUSD": "1.25"})
    assert (trader.buy(**ticket)[-1] != f"1 Inactive 0/{ticket.get('quantity', 10)}") is taken
    assert trader.cash >= 0


def test_what_is_lacking_is_told_in_the_words_of_the_gateway() -> None:
    trader = Trader(accounts={"DU1": {**CASH, "cash": "1001.09"}})
    trader.buy()
    assert complaint(trader).text == (
        "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION "
        "YOUR EQUITY WITH LOAN VALUE [1001.09 USD] MUST EXCEED THE INITIAL MARGIN [1001.10 USD]"
    )


@pytest.mark.parametrize(("cushion", "limit", "taken"), [(0, None, True), (5, None, False), (5, "100.01", True)])
def test_a_cash_account_may_have_to_keep_a_cushion_for_market_orders(
    cushion: int, limit: str | None, taken: bool
) -> None:
    trader = Trader(accounts={"DU1": {**CASH, "cash": "1050", "market_cushion_pct": cushion}})
    assert (trader.buy(limit=limit)[-1] == "1 costs 1.00") is taken


def test_orders_under_way_are_paid_for() -> None:
    trader = Trader(accounts={"DU1": CASH})
    trader.buy("BBB", 12, limit="49")  # 589.00 with its commission; 22 CCC take 419.00
    assert trader.buy("CCC", 22, limit="19")[0] == "2 error 201"
    trader.cancel(1)
    assert trader.buy("CCC", 22, limit="19")[0] == "3 PreSubmitted 0/22"


def test_a_cash_account_sells_what_it_holds_and_no_more() -> None:
    trader = Trader(accounts={"DU1": CASH})
    assert trader.sell(quantity=11) == ["1 error 201", "1 Inactive 0/11"]
    assert "Short sale is not allowed in a cash account" in complaint(trader).text
    trader.sell(quantity=6, limit="101")
    assert trader.sell(quantity=5)[0] == "3 error 201"
    assert trader.sell(quantity=4)[-2] == "4 Filled 4/4"
    assert trader.sell("BBB", 1)[0] == "5 error 201"


@pytest.mark.parametrize(
    ("side", "quantity", "taken"),
    [
        ("BUY", 699, True),  # 17,500 available, and a quarter of 100.01 for each
        ("BUY", 700, False),
        ("SELL", 100, True),  # closing is free
        ("SELL", 800, True),  # 700 short at 99.99
        ("SELL", 801, False),
    ],
)
def test_a_margin_account_opens_what_its_equity_bears(side: str, quantity: int, taken: bool) -> None:
    trader = Trader(fills={"delay_ms": 5})
    lines = (trader.buy if side == "BUY" else trader.sell)(quantity=quantity)
    assert lines == ([f"1 PreSubmitted 0/{quantity}"] if taken else ["1 error 201", f"1 Inactive 0/{quantity}"])


def test_a_margin_account_bears_its_orders_under_way_too() -> None:
    trader = Trader()
    trader.buy("BBB", 1000, limit="49")
    assert trader.buy("BBB", 500, limit="49")[0] == "2 error 201"
    assert "[20000.00 USD] MUST EXCEED THE INITIAL MARGIN [20875.00 USD]" in complaint(trader).text


def test_a_margin_account_without_room_can_still_close() -> None:
    trader = Trader(accounts={"DU1": {"cash": "-9999"}})
    assert trader.buy(quantity=1)[0] == "1 error 201"
    assert trader.sell(quantity=100)[-2] == "2 Filled 100/100"
