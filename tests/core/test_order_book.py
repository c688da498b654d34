"""What a whole look at the broker's orders proves about those we are in doubt of."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.support.notation import con_id
from tests.support.trading import CLOSE, at, completed, executed, intent, told, tracked

from ibkr_rebalancer.core.evidence import Executed, Listed, Missing
from ibkr_rebalancer.core.order_book import Heard, OrderBook, evidence_of
from ibkr_rebalancer.core.orders import OpenOrder, OrderIntent
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.portfolio import AccountId, Position

ORDER = tracked("BUY 100 AAA")
REF = ORDER.intent.order_ref


def book(*heard: Heard, open_orders: tuple[OpenOrder, ...] = ()) -> OrderBook:
    return OrderBook(taken_at=at(5), open_orders=open_orders, heard=heard)


def held(shares: int, symbol: str = "AAA", account: str = "DU1") -> Position:
    return Position(
        account=AccountId(account),
        con_id=con_id(symbol),
        symbol=symbol,
        security_type="STK",
        currency="USD",
        quantity=Decimal(shares),
        average_cost=Decimal(1),
    )


SALE = intent("SELL 7 BBB", before=7)


def missing(shares: int, order: OrderIntent = ORDER.intent) -> Heard:
    return Heard(order_ref=order.order_ref, evidence=Missing(at=at(5), position=Decimal(shares)))


def test_an_order_that_is_nowhere_is_missing_and_its_position_is_noted() -> None:
    positions = [held(7), held(8, "BBB"), held(9, account="DU2")]
    assert evidence_of(book(), positions, orders=[ORDER]) == [missing(7)]
    assert evidence_of(book(), [], orders=[ORDER]) == [missing(0)]


def test_what_nobody_doubts_is_not_missing() -> None:
    assert evidence_of(book(), [], orders=[]) == []


SHOWN = OpenOrder(
    order_ref=REF,
    account=AccountId("DU1"),
    con_id=con_id("AAA"),
    symbol="AAA",
    side=Side.BUY,
    remaining=Decimal(100),
    status="Submitted",
    perm_id=7,
    client_id=52,
)


def test_an_order_that_is_open_is_not_missing() -> None:
    assert evidence_of(book(open_orders=(SHOWN,)), [], orders=[ORDER]) == []


def test_an_order_that_had_ended_and_is_open_is_listed() -> None:
    listed = Heard(order_ref=REF, evidence=Listed(at=at(5), status="Submitted"))
    ended = replace(ORDER, evidence=(told(1, "Cancelled"),))
    assert evidence_of(book(open_orders=(SHOWN,)), [], orders=[ended]) == [listed]
    assert evidence_of(book(), [], orders=[ended]) == []


def test_orders_of_ours_that_are_open_in_an_account() -> None:
    theirs = replace(SHOWN, order_ref="theirs")
    elsewhere = replace(SHOWN, order_ref="rb1-elsewhere-1", account=AccountId("DU2"))
    assert book(open_orders=(theirs, SHOWN, elsewhere)).ours_open(AccountId("DU1")) == {REF: SHOWN}


@pytest.mark.parametrize(
    ("positions", "filled", "missed"),
    [
        ([held(7, "BBB")], (), [missing(0), missing(7, SALE)]),
        ([held(0, "BBB")], (), [missing(0, SALE)]),
        ([held(4, "BBB")], (executed(1, "a.01", 3),), [missing(0), missing(4, SALE)]),
        ([held(7, "BBB"), held(100)], (), [missing(100), missing(7, SALE)][:1]),
    ],
    ids=["nothing has moved", "a sale is hidden", "what has moved has been told", "a purchase is hidden"],
)
def test_a_look_that_hides_an_order_misses_no_other(
    positions: list[Position], filled: tuple[Executed, ...], missed: list[Heard]
) -> None:
    told_of = [Heard(order_ref=SALE.order_ref, evidence=print_) for print_ in filled]
    assert evidence_of(book(*told_of), positions, orders=[ORDER, tracked(SALE)]) == [*told_of, *missed]


def test_once_its_session_is_over_an_order_that_is_nowhere_is_missing_anyway() -> None:
    late = replace(book(), taken_at=at(CLOSE))
    assert len(evidence_of(late, [held(0, "BBB")], orders=[ORDER, tracked(SALE)])) == 2


def test_an_order_that_is_among_the_completed_is_not_missing() -> None:
    end = Heard(order_ref=REF, evidence=completed(3, "Cancelled"))
    assert evidence_of(book(end), [], orders=[ORDER]) == [end]


def test_executions_alone_do_not_show_where_an_order_is() -> None:
    """Partly filled, neither open nor completed: what became of the rest is in doubt."""
    half = Heard(order_ref=REF, evidence=executed(1, "a.01", 50))
    status = Heard(order_ref=REF, evidence=told(1, "Submitted", filled=50))
    assert evidence_of(book(half, status), [held(50)], orders=[ORDER]) == [half, status, missing(50)]
