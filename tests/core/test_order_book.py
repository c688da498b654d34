"""What a whole look at the broker's orders proves about those we are in doubt of."""

from decimal import Decimal

from tests.support.notation import con_id
from tests.support.trading import at, completed, executed, told, tracked

from ibkr_rebalancer.core.order_book import Heard, OrderBook, evidence_of
from ibkr_rebalancer.core.order_state import Missing
from ibkr_rebalancer.core.orders import OpenOrder
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


def missing(shares: int) -> Heard:
    return Heard(order_ref=REF, evidence=Missing(at=at(5), position=Decimal(shares)))


def test_an_order_that_is_nowhere_is_missing_and_its_position_is_noted() -> None:
    positions = [held(7), held(8, "BBB"), held(9, account="DU2")]
    assert evidence_of(book(), positions, orders=[ORDER]) == [missing(7)]
    assert evidence_of(book(), [], orders=[ORDER]) == [missing(0)]


def test_what_nobody_doubts_is_not_missing() -> None:
    assert evidence_of(book(), [], orders=[]) == []


def test_an_order_that_is_open_is_not_missing() -> None:
    shown = OpenOrder(
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
    assert evidence_of(book(open_orders=(shown,)), [], orders=[ORDER]) == []


def test_an_order_that_is_among_the_completed_is_not_missing() -> None:
    end = Heard(order_ref=REF, evidence=completed(3, "Cancelled"))
    assert evidence_of(book(end), [], orders=[ORDER]) == [end]


def test_executions_alone_do_not_show_where_an_order_is() -> None:
    """Partly filled, neither open nor completed: what became of the rest is in doubt."""
    half = Heard(order_ref=REF, evidence=executed(1, "a.01", 50))
    status = Heard(order_ref=REF, evidence=told(1, "Submitted", filled=50))
    assert evidence_of(book(half, status), [held(50)], orders=[ORDER]) == [half, status, missing(50)]
