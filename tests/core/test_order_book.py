"""What a whole look says of our orders: all that is told, and of doubtful ones that are nowhere, just that."""

from dataclasses import replace
from decimal import Decimal

from tests.support.notation import con_id
from tests.support.trading import at, completed, executed, intent, sent, told, tracked

from ibkr_rebalancer.core.order_book import Heard, OrderBook, evidence_of
from ibkr_rebalancer.core.order_state import Evidence, Missing, TrackedOrder
from ibkr_rebalancer.core.orders import OpenOrder
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.portfolio import AccountId, Position

BUY, SALE = tracked("BUY 10 AAA", sent(0)), tracked(intent("SELL 5 OLD", before=7), sent(0))


def heard(order: TrackedOrder, evidence: Evidence) -> Heard:
    return Heard(order_ref=order.intent.order_ref, evidence=evidence)


def book(*told: Heard, still_open: tuple[TrackedOrder, ...] = ()) -> OrderBook:
    return OrderBook(
        taken_at=at(60),
        open_orders=tuple(
            OpenOrder(
                order_ref=order.intent.order_ref,
                account=order.intent.account,
                con_id=order.intent.con_id,
                symbol=order.intent.symbol,
                side=Side.BUY,
                remaining=Decimal(10),
                status="Submitted",
                perm_id=7,
                client_id=52,
            )
            for order in still_open
        ),
        heard=told,
    )


def position(symbol: str, quantity: str, account: str = "DU1") -> Position:
    return Position(
        account=AccountId(account),
        con_id=con_id(symbol),
        symbol=symbol,
        security_type="STK",
        currency="USD",
        quantity=Decimal(quantity),
        average_cost=Decimal(1),
    )


def missing(order: TrackedOrder, held: str) -> Heard:
    return heard(order, Missing(at=at(60), position=Decimal(held)))


def test_what_is_nowhere_is_missing_with_the_shares_held_in_its_own_account() -> None:
    positions = [position("OLD", "7"), position("OLD", "99", account="DU2"), position("BBB", "3")]
    assert evidence_of(book(), positions, doubtful=[BUY, SALE]) == [missing(BUY, "0"), missing(SALE, "7")]


def test_what_is_open_or_completed_is_not_missing() -> None:
    ended = heard(SALE, completed(30, "Cancelled"))
    assert evidence_of(book(ended, still_open=(BUY,)), [], doubtful=[BUY, SALE]) == [ended]


def test_an_execution_or_a_status_alone_does_not_show_where_an_order_is() -> None:
    """It may have been cancelled since; whether it has, its state decides from all the evidence."""
    some = [heard(BUY, executed(30, "a.01", 4)), heard(SALE, told(30, "Submitted"))]
    assert evidence_of(book(*some), [], doubtful=[BUY, SALE]) == [*some, missing(BUY, "0"), missing(SALE, "0")]


def test_only_doubtful_orders_are_said_to_be_missing() -> None:
    assert evidence_of(book(), [], doubtful=[]) == []
    other = replace(BUY, intent=replace(BUY.intent, order_ref="rb1-other-1"))
    assert evidence_of(book(still_open=(other,)), [], doubtful=[BUY]) == [missing(BUY, "0")]
