"""What exactly is sent: references, prices on the grid, the session an order lives in, and when nothing may be sent."""

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.notation import NOW, SESSION, con_id, snapshot
from tests.support.trading import planned

from ibkr_rebalancer.core.errors import Deferred, Refused
from ibkr_rebalancer.core.hours import Session
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.orders import (
    OrderIntent,
    OrderType,
    is_ours,
    limit_price,
    order_intents,
    order_ref,
    require_open,
)
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot
from ibkr_rebalancer.core.quotes import Prices

SWITCH = "DU1 cash 1_000; 100 OLD @49.98/50; 10.5 AAA @99.99/100.01; BBB @20/20.02"
TARGETS = "AAA 50; BBB 50"
DEFAULTS = Policy()


def intents(account: Snapshot, plan: Plan, policy: Policy = DEFAULTS, *, attempt: int = 1) -> tuple[OrderIntent, ...]:
    return order_intents(
        plan.trades, plan=plan, snapshot=account, policy=policy, run_id="run-1", client_id=52, attempt=attempt
    )


def closed_for(account: Snapshot, symbol: str, sessions: tuple[Session, ...] | None) -> Snapshot:
    """The account, the contract of one symbol having other hours."""
    contract = replace(account.contracts[con_id(symbol)], sessions=sessions)
    return replace(account, contracts={**account.contracts, contract.con_id: contract})


def prices(bid: str, ask: str) -> Prices:
    return Prices(bid=Decimal(bid), ask=Decimal(ask), value=(Decimal(bid) + Decimal(ask)) / 2, remark=None)


def test_every_trade_of_the_plan_becomes_the_order_that_was_printed() -> None:
    account, plan = planned(SWITCH, TARGETS)
    sent = intents(account, plan)
    assert [(i.side, i.symbol, i.con_id, i.quantity) for i in sent] == [
        (t.side, t.symbol, t.con_id, t.quantity) for t in plan.trades
    ]
    assert [i.side for i in sent] == [Side.SELL, Side.BUY, Side.BUY]
    assert {(i.account, i.plan_id, i.run_id, i.client_id) for i in sent} == {("DU1", plan.plan_id, "run-1", 52)}
    assert {i.symbol: i.position_before for i in sent} == {"OLD": 100, "AAA": Decimal("10.5"), "BBB": 0}
    assert {i.expires_at for i in sent} == {SESSION.closes}
    assert {(i.order_type, i.limit_price) for i in sent} == {(OrderType.MARKET, None)}


def test_sells_go_before_buys_and_the_largest_first_whatever_the_order_they_come_in() -> None:
    account, plan = planned(SWITCH, TARGETS)
    shuffled = order_intents(
        plan.trades[::-1], plan=plan, snapshot=account, policy=Policy(), run_id="run-1", client_id=52
    )
    assert shuffled == intents(account, plan)


def test_limit_orders_are_priced_from_the_snapshot_they_are_sent_from() -> None:
    _, plan = planned(SWITCH, TARGETS)
    fresh = snapshot(SWITCH.replace("20/20.02", "20/20.10"), targets=TARGETS)
    policy = Policy(order_type=OrderType.LIMIT, limit_offset_bp=Decimal(30))
    assert {i.symbol: (i.order_type, i.limit_price) for i in intents(fresh, plan, policy)} == {
        "OLD": (OrderType.LIMIT, Decimal("49.84")),  # 49.98 x 0.997 = 49.83006, up
        "AAA": (OrderType.LIMIT, Decimal("100.31")),  # 100.01 x 1.003 = 100.31003, down
        "BBB": (OrderType.LIMIT, Decimal("20.16")),  # 20.10 x 1.003 = 20.1603, down
    }
    assert {i.symbol: i.quantity for i in intents(fresh, plan, policy)} == {t.symbol: t.quantity for t in plan.trades}


def test_a_limit_order_without_a_price_is_refused_and_a_market_order_needs_none() -> None:
    account, plan = planned(SWITCH, TARGETS)
    unquoted = replace(account, quotes={key: q for key, q in account.quotes.items() if key != con_id("OLD")})
    with pytest.raises(Refused) as caught:
        intents(unquoted, plan, Policy(order_type=OrderType.LIMIT))
    assert caught.value.code == "PRICE_MISSING"
    assert caught.value.message == "There is no price for the limit order to SELL 100 OLD."
    assert caught.value.hint == "Check the market data subscription of this user, and run the command again."
    assert len(intents(unquoted, plan)) == 3


@pytest.mark.parametrize(
    ("side", "bid", "ask", "tick", "offset", "limit"),
    [
        (Side.BUY, "99.99", "100.01", "0.01", "30", "100.31"),
        (Side.SELL, "99.99", "100.01", "0.01", "30", "99.70"),
        (Side.BUY, "99.99", "100.01", "0.01", "0", "100.01"),
        (Side.SELL, "99.99", "100.01", "0.01", "0", "99.99"),
        (Side.BUY, "2.00", "2.05", "0.05", "30", "2.05"),
        (Side.SELL, "2.00", "2.05", "0.05", "30", "2.00"),
        (Side.BUY, "10.004", "10.006", "0.01", "0", "10.01"),
        (Side.SELL, "10.004", "10.006", "0.01", "0", "10.00"),
        (Side.SELL, "0.004", "0.006", "0.01", "30", "0.01"),
    ],
)
def test_a_limit_stays_within_its_offset_and_never_between_bid_and_ask(
    side: Side, bid: str, ask: str, tick: str, offset: str, limit: str
) -> None:
    offered = limit_price(side, prices=prices(bid, ask), tick_size=Decimal(tick), offset_bp=Decimal(offset))
    assert offered == Decimal(limit)


@given(
    side=st.sampled_from(Side),
    bid=st.decimals(1, 5000, places=4),
    spread=st.decimals(0, 10, places=4),
    tick=st.sampled_from(["0.0001", "0.005", "0.01", "0.05", "1"]),
    offset=st.integers(0, 1000),
)
def test_a_limit_is_on_the_grid_marketable_and_at_most_a_tick_off_its_offset(
    side: Side, bid: Decimal, spread: Decimal, tick: str, offset: int
) -> None:
    quoted, step = prices(str(bid), str(bid + spread)), Decimal(tick)
    limit = limit_price(side, prices=quoted, tick_size=step, offset_bp=Decimal(offset))
    part = Decimal(offset) / 10_000
    assert limit % step == 0
    if side is Side.BUY:
        assert quoted.ask <= limit < max(quoted.ask * (1 + part) + Decimal("1e-18"), quoted.ask + step)
    else:
        assert step <= limit <= max(quoted.bid, step)
        assert limit > min(quoted.bid * (1 - part) - Decimal("1e-18"), quoted.bid - step)


def test_a_reference_names_one_trade_of_one_plan() -> None:
    trade = (AccountId("DU1"), "plan", ConId(1), Side.BUY)
    refs = {
        order_ref(*trade),
        order_ref(*trade, attempt=2),
        order_ref(AccountId("DU2"), "plan", ConId(1), Side.BUY),
        order_ref(AccountId("DU1"), "other", ConId(1), Side.BUY),
        order_ref(AccountId("DU1"), "plan", ConId(2), Side.BUY),
        order_ref(AccountId("DU1"), "plan", ConId(1), Side.SELL),
    }
    assert len(refs) == 6
    assert order_ref(*trade) == order_ref(*trade)
    assert all(re.fullmatch(r"rb1-[a-z2-7]{16}-[12]", ref) for ref in refs)


def test_our_references_are_told_from_others_by_how_they_begin() -> None:
    assert is_ours(order_ref(AccountId("DU1"), "plan", ConId(1), Side.BUY))
    assert not any(is_ours(ref) for ref in ("", "rb1", "RB1-abc-1", "x-rb1-abc-1"))


def test_a_second_attempt_has_its_own_reference() -> None:
    account, plan = planned(SWITCH, TARGETS)
    for first, second in zip(intents(account, plan), intents(account, plan, attempt=2), strict=True):
        assert second == replace(first, order_ref=f"{first.order_ref.removesuffix('1')}2")


def test_the_last_minute_of_the_session_is_open() -> None:
    account, plan = planned(SWITCH, TARGETS)
    late = replace(account, taken_at=SESSION.closes - timedelta(minutes=1))
    assert set(require_open(plan.trades, late).values()) == {SESSION}


def test_one_closed_market_holds_back_every_order() -> None:
    account, plan = planned(SWITCH, TARGETS)
    tomorrow = Session(opens=NOW + timedelta(hours=23), closes=NOW + timedelta(hours=29))
    with pytest.raises(Deferred) as caught:
        intents(closed_for(account, "BBB", (tomorrow,)), plan)
    assert caught.value.code == "MARKET_CLOSED"
    assert caught.value.message == (
        "Market closed at 2026-11-23 15:30 UTC for BBB; next open 2026-11-24 14:30 UTC. None of the 3 orders was sent."
    )
    assert caught.value.hint == "Run the command again when the market is open."


def test_the_next_open_is_when_the_last_of_them_opens_and_not_told_when_one_is_not_known() -> None:
    account, plan = planned(SWITCH, TARGETS)
    later = Session(opens=SESSION.closes + timedelta(hours=20), closes=SESSION.closes + timedelta(hours=26))
    latest = Session(opens=later.opens + timedelta(days=1), closes=later.closes + timedelta(days=1))
    after = replace(closed_for(account, "BBB", (SESSION, later)), taken_at=SESSION.closes)
    for sessions, words in (
        ((latest,), "for AAA, BBB, OLD; next open 2026-11-25 17:00 UTC. None"),
        ((), "for AAA, BBB, OLD. None"),
    ):
        known = closed_for(closed_for(after, "AAA", sessions), "OLD", (later,))
        with pytest.raises(Deferred) as caught:
            require_open(plan.trades, known)
        assert words in caught.value.message


def test_hours_that_nobody_knows_refuse() -> None:
    account, plan = planned(SWITCH, TARGETS)
    with pytest.raises(Refused) as caught:
        intents(closed_for(closed_for(account, "OLD", None), "BBB", None), plan)
    assert caught.value.code == "HOURS_UNKNOWN"
    assert caught.value.message == (
        "The gateway gave no readable trading hours for BBB, OLD. None of the 3 orders was sent."
    )
    assert caught.value.hint == (
        "Run the command again; if it lasts, look the contract up in TWS, or take it out of the targets."
    )
