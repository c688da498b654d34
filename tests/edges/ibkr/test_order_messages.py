"""What messages about orders say, and how an order is said; unset numbers are no numbers."""

from datetime import UTC, datetime
from decimal import Decimal

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.desk import intent, resting
from tests.support.reading import NOW

from ibkr_rebalancer.core.errors import GatewayUnavailable
from ibkr_rebalancer.core.evidence import Commissioned, Completed, ErrorTold, Evidence, Executed, StatusTold
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.edges.ibkr.order_messages import (
    Charged,
    Complained,
    Ended,
    Opened,
    OrderMessage,
    Printed,
    Stated,
    evidence_in,
    has_figures,
    open_orders_in,
    order_of,
    traded_contract,
    what_if_in,
)
from ibkr_rebalancer.ports import WhatIf

UNSET = 1.7976931348623157e308
UNSET_TEXT = "1.7976931348623157E308"
AT = datetime(2026, 11, 23, 15, 29, tzinfo=UTC)


def opened(status: str = "Submitted", *, action: str = "BUY", quantity: float = 5.0, perm_id: int = 9) -> Opened:
    return Opened(
        at=NOW,
        contract=ib_async.Contract(conId=101, symbol="AAA"),
        order=ib_async.Order(
            orderRef="x", account="DU1", clientId=77, orderId=3, permId=perm_id, action=action, totalQuantity=quantity
        ),
        state=ib_async.OrderState(status=status),
    )


def stated(status: str = "Submitted", *, remaining: float = 3.0, filled: float = 2.0) -> Stated:
    return Stated(
        at=NOW,
        order_id=3,
        client_id=77,
        perm_id=9,
        status=status,
        filled=filled,
        remaining=remaining,
        why_held="locate",
    )


def printed(shares: float, price: float) -> Printed:
    execution = ib_async.Execution(execId="a.01", time=AT, shares=shares, price=price, permId=9)
    return Printed(request=-1, execution=execution)


def charged(commission: float) -> Charged:
    return Charged(report=ib_async.CommissionReport(execId="a.01", commission=commission, currency="USD"))


def ended(*, filled: float = 5.0, at: str = "20261123 10:29:00 US/Eastern") -> Ended:
    order = ib_async.Order(orderRef="rb1-x", permId=9, totalQuantity=0, filledQuantity=filled)
    state = ib_async.OrderState(status="Filled", completedTime=at, completedStatus="Filled Size: 5")
    return Ended(at=NOW, order=order, state=state)


def status(word: str = "Submitted", **changes: object) -> StatusTold:
    said = {"filled": None, "perm_id": 9, "why_held": ""} | changes
    return StatusTold(at=NOW, status=word, **said)  # type: ignore[arg-type]


def completed(at: datetime = AT) -> Completed:
    return Completed(at=at, status="Filled", filled=Decimal(5), perm_id=9, completed_status="Filled Size: 5")


@pytest.mark.parametrize(
    ("message", "evidence"),
    [
        (opened("Filled"), status("Filled")),
        (stated(), status(filled=Decimal(2), why_held="locate")),
        (stated(filled=UNSET), status(why_held="locate")),
        (printed(5.0, 100.01), Executed(at=AT, exec_id="a.01", shares=Decimal(5), price=Decimal("100.01"), perm_id=9)),
        (printed(0.5, 33.3), Executed(at=AT, exec_id="a.01", shares=Decimal("0.5"), price=Decimal("33.3"), perm_id=9)),
        (charged(1.05), Commissioned(exec_id="a.01", commission=Decimal("1.05"), currency="USD")),
        (charged(-0.2), Commissioned(exec_id="a.01", commission=Decimal("-0.2"), currency="USD")),
        (charged(UNSET), None),
        (ended(), completed()),
        (ended(at="20261123 15:29:00 UTC"), completed()),
        (ended(at=""), completed(NOW)),
        (ended(at="20261123 10:29:00"), completed(NOW)),
        (ended(at="20261123 10:29:00 Nowhere/Land"), completed(NOW)),
        (Complained(at=NOW, order_id=3, code=201, text="no"), ErrorTold(at=NOW, code=201, text="no")),
    ],
)
def test_what_a_message_says(message: OrderMessage, evidence: Evidence | None) -> None:
    assert evidence_in(message) == evidence


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (printed(UNSET, 1.0), "the shares or the price of the execution a.01"),
        (printed(1.0, float("nan")), "the shares or the price of the execution a.01"),
        (printed(1.0, float("inf")), "the shares or the price of the execution a.01"),
        (ended(filled=UNSET), "the filled quantity of the completed order rb1-x"),
    ],
)
def test_what_a_message_exists_to_say_and_does_not(message: OrderMessage, words: str) -> None:
    with pytest.raises(GatewayUnavailable, match=words) as caught:
        evidence_in(message)
    assert caught.value.code == "SNAPSHOT_INCOMPLETE"


@pytest.mark.parametrize(
    ("rows", "remaining", "word"),
    [
        ([opened("PreSubmitted")], 5, "PreSubmitted"),
        ([opened("PreSubmitted"), stated()], 3, "Submitted"),
        ([opened(), stated(remaining=5.0), opened(), stated(remaining=1.0)], 1, "Submitted"),
        ([opened("Inactive")], 5, "Inactive"),
    ],
)
def test_an_open_order_as_it_was_told_last(rows: list[object], remaining: int, word: str) -> None:
    (order,) = open_orders_in(rows)
    assert (order.remaining, order.status) == (Decimal(remaining), word)
    assert (order.order_ref, order.account, order.con_id, order.symbol) == ("x", "DU1", 101, "AAA")
    assert (order.client_id, order.perm_id) == (77, 9)


@pytest.mark.parametrize("word", ["Filled", "Cancelled", "ApiCancelled"])
def test_orders_that_end_while_they_are_listed_are_not_open(word: str) -> None:
    assert open_orders_in([opened(word)]) == ()
    assert open_orders_in([opened(), stated(word, remaining=0.0)]) == ()


def test_two_orders_of_one_number_are_two() -> None:
    assert len(open_orders_in([opened(perm_id=8), opened(perm_id=9), stated()])) == 2


@pytest.mark.parametrize(("action", "side"), [("BUY", Side.BUY), ("SELL", Side.SELL), ("SSHORT", Side.SELL)])
def test_the_side_of_an_open_order(action: str, side: Side) -> None:
    (order,) = open_orders_in([opened(action=action)])
    assert order.side is side


@pytest.mark.parametrize("odd", [opened(action=""), opened(action="HOLD"), opened(quantity=UNSET)])
def test_an_open_order_without_its_side_or_size_is_not_passed_over(odd: Opened) -> None:
    with pytest.raises(GatewayUnavailable, match="side or the size of an open order in AAA of DU1"):
        open_orders_in([odd])


def preview(*, margin: str = UNSET_TEXT, commission: float = UNSET, most: float = UNSET, warning: str = "") -> Opened:
    state = ib_async.OrderState(initMarginChange=margin, commission=commission, maxCommission=most, warningText=warning)
    return Opened(at=NOW, contract=ib_async.Contract(), order=ib_async.Order(whatIf=True), state=state)


def what_if(commission: str | None, margin: str | None, warning: str = "") -> WhatIf:
    return WhatIf(
        commission=None if commission is None else Decimal(commission),
        initial_margin_change=None if margin is None else Decimal(margin),
        warning=warning,
    )


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([preview(margin="125.0", commission=1.0)], what_if("1", "125")),
        ([preview(margin="0", most=2.5)], what_if("2.5", "0")),
        ([preview(margin="-10.5")], what_if(None, "-10.5")),
        ([preview(margin="", commission=0.0)], what_if("0", None)),
        ([preview(margin="5", commission=1.0, most=2.0)], what_if("1", "5")),
        ([preview(warning="A."), preview(margin="5")], what_if(None, "5", "A.")),
        ([preview(warning="A."), preview(margin="5", warning="A.")], what_if(None, "5", "A.")),
        ([preview(warning="A."), preview(margin="5", warning="B.")], what_if(None, "5", "A. B.")),
    ],
)
def test_a_preview(rows: list[object], told: WhatIf) -> None:
    assert has_figures(rows)
    assert what_if_in(rows) == told


@pytest.mark.parametrize(
    "rows", [[], [preview()], [preview(warning="Mind.")], [preview(margin="1.7976931348623157e+308")]]
)
def test_a_preview_without_figures(rows: list[object]) -> None:
    assert not has_figures(rows)
    assert what_if_in(rows) == what_if(None, None, "Mind." if "Mind." in str(rows) else "")


@given(st.decimals(min_value="0.0001", max_value=999_999, places=4))
def test_a_limit_is_the_same_number_on_the_wire(price: Decimal) -> None:
    written = str(order_of(resting(limit_price=price.normalize())).lmtPrice)
    assert Decimal(written) == price
    assert "E" not in written


def test_every_sending_has_an_order_of_its_own() -> None:
    """ib_async writes into the order it sends."""
    wanted = intent()
    assert order_of(wanted) is not order_of(wanted)


def test_a_contract_is_its_number() -> None:
    assert traded_contract(ConId(101)) == ib_async.Contract(conId=101, exchange="SMART")
