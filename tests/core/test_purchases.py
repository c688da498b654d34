"""What is bought after the sales: the printed purchases, or less where cash or prices make it less."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.support.accounts import KINDS, Case, random_account
from tests.support.judge import planned as plan_of
from tests.support.notation import NOW, con_id, fill, snapshot
from tests.support.trading import charged, executed, intent, planned, resolved, told, tracked

from ibkr_rebalancer.core.commissions import commission
from ibkr_rebalancer.core.limits import IDLE, require_within_limits
from ibkr_rebalancer.core.order_state import OrderState, OrderStatus, TrackedOrder, order_state
from ibkr_rebalancer.core.orders import OrderType, order_intents, order_ref
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.policy import Limits, Policy
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot
from ibkr_rebalancer.core.purchases import (
    Adjustment,
    Purchases,
    cash_after_fills,
    lacked_funds,
    plan_purchases,
    shrunk,
)
from ibkr_rebalancer.core.purpose import Purpose
from ibkr_rebalancer.core.quotes import DataKind

DEPLOY = "DU1 cash 10_000; AAA @100; BBB @10; CCC @2_000"
TARGETS = "AAA 50; BBB 30; CCC 20"
"""Buys 50 AAA, 297 BBB and 1 CCC for 9,973.49 with commissions, and keeps 25.00 in reserve."""
DEFAULTS = Policy()
LIMIT = Policy(order_type=OrderType.LIMIT, limit_offset_bp=Decimal(100))


def purchases(
    cash: str, *, available: str | None = None, policy: Policy = DEFAULTS, fresh: Snapshot | None = None
) -> Purchases:
    """Those of DEPLOY, with so much cash when they are due."""
    account, plan = planned(DEPLOY, TARGETS)
    return plan_purchases(
        plan,
        cash={"USD": Decimal(cash)},
        available_funds=Decimal(available or cash),
        snapshot=fresh or account,
        policy=policy,
    )


def bought(found: Purchases) -> dict[str, int]:
    return {trade.symbol: trade.quantity for trade in found.trades}


def quoting(text: str) -> Snapshot:
    return snapshot(text, targets=TARGETS)


def test_with_the_planned_cash_the_printed_purchases_are_sent_to_the_share() -> None:
    _, plan = planned(DEPLOY, TARGETS)
    found = purchases("10_000")
    assert found == Purchases(trades=plan.trades, adjustments=())


def test_sales_may_use_up_half_the_reserve_before_anything_is_cut() -> None:
    """9,973.49 and half of 25.00."""
    assert bought(purchases("9_985.99")) == {"AAA": 50, "BBB": 297, "CCC": 1}
    found = purchases("9_985.98")
    assert bought(found) == {"AAA": 50, "BBB": 296, "CCC": 1}
    assert found.adjustments == (
        Adjustment(
            symbol="BBB",
            con_id=con_id("BBB"),
            planned=297,
            sent=296,
            reason="9,973.48 can be spent, and all purchases would cost 9,973.49",
        ),
    )


@pytest.mark.parametrize(
    ("policy", "kept"), [(DEFAULTS, "1_012.50"), (replace(LIMIT, limit_offset_bp=Decimal(0)), "1_000")]
)
def test_cash_that_is_to_be_raised_is_left_whole_whatever_is_left_of_the_reserve(policy: Policy, kept: str) -> None:
    """Nine shares cost 901 with the commission; 1,025 of reserve has 1,000 that was asked for in it."""
    account, plan = planned("DU1 cash 10_000; AAA @100", "AAA 100")
    (trade,) = plan.trades
    raising = replace(
        plan,
        trades=(replace(trade, quantity=9),),
        cash_by_currency=(replace(plan.cash_by_currency[0], cash_reserve=Decimal(1_025)),),
        purpose=Purpose(raise_cash=Decimal(1_000)),
    )
    for lack, count in ((Decimal(0), 9), (Decimal("0.01"), 8)):
        cash = Decimal(kept) + 901 - lack
        found = plan_purchases(raising, cash={"USD": cash}, available_funds=cash, snapshot=account, policy=policy)
        assert bought(found) == {"AAA": count}


def test_the_broker_caps_what_is_spent() -> None:
    assert bought(purchases("10_000", available="9_973.49")) == {"AAA": 50, "BBB": 297, "CCC": 1}
    assert bought(purchases("10_000", available="9_973.48")) == {"AAA": 50, "BBB": 296, "CCC": 1}
    assert bought(purchases("9_985.98", available="1_000_000")) == {"AAA": 50, "BBB": 296, "CCC": 1}


@pytest.mark.parametrize(
    ("cash", "quantities"),
    [
        ("9_000", {"AAA": 50, "BBB": 198, "CCC": 1}),
        ("5_000", {"AAA": 31, "BBB": 188}),
        ("1_000", {"AAA": 6, "BBB": 38}),
        ("100", {"BBB": 8}),
    ],
)
def test_all_are_cut_to_one_level_and_what_is_left_buys_single_shares(cash: str, quantities: dict[str, int]) -> None:
    """A dear share keeps its place when cheap ones can make room for it, and loses it when they cannot."""
    found = purchases(cash)
    assert bought(found) == quantities
    assert {a.symbol: (a.planned, a.sent) for a in found.adjustments} == {
        symbol: (count, quantities.get(symbol, 0))
        for symbol, count in {"AAA": 50, "BBB": 297, "CCC": 1}.items()
        if quantities.get(symbol, 0) < count
    }


@pytest.mark.parametrize("cash", ["12.50", "12", "0", "-500"])
def test_with_nothing_to_spend_nothing_is_bought(cash: str) -> None:
    found = purchases(cash)
    assert found.trades == ()
    assert [(a.symbol, a.sent) for a in found.adjustments] == [("AAA", 0), ("BBB", 0), ("CCC", 0)]


def test_to_the_last_cent_everything_is_bought_and_with_nothing_nothing_is_wanted() -> None:
    """One share of a dollar costs it and a cent of commission."""
    account, plan = planned("DU1 cash 100; AAA @1", "AAA 100", Policy(cash_reserve_pct=Decimal(0)))
    one = replace(plan, trades=(replace(plan.trades[0], quantity=1),))
    for cash, count in (("1.01", 1), ("1.00", 0), ("0.5", 0)):
        found = plan_purchases(
            one, cash={"USD": Decimal(cash)}, available_funds=Decimal(cash), snapshot=account, policy=Policy()
        )
        assert sum(trade.quantity for trade in found.trades) == count


def test_less_than_a_dollar_buys_what_costs_less() -> None:
    account, plan = planned("DU1 cash 100; AAA @0.51", "AAA 100", Policy(cash_reserve_pct=Decimal(0)))
    found = plan_purchases(
        plan, cash={"USD": Decimal("0.60")}, available_funds=Decimal("0.60"), snapshot=account, policy=Policy()
    )
    assert bought(found) == {"AAA": 1}


def test_limit_orders_tell_the_commission_at_the_ask() -> None:
    """At 0.99 a share is worth 1 %: 0.0099, up to the cent; at the limit it would be 0.0100."""
    account, plan = planned("DU1 cash 1_000; AAA @0.50/0.51", "AAA 100")
    limit = Policy(order_type=OrderType.LIMIT, limit_offset_bp=Decimal(1_000))
    found = plan_purchases(
        plan, cash={"USD": Decimal(100)}, available_funds=Decimal(100), snapshot=account, policy=limit
    )
    (trade,) = found.trades
    assert trade.commission == commission(trade.quantity, Decimal("0.51"), "USD")


def test_what_is_held_counts_towards_the_common_level() -> None:
    """300 AAA of 400 are held, 0 BBB of 400: the money goes to BBB, the most underweight, first."""
    account, plan = planned(
        "DU1 cash 5_000; 300 AAA @10; BBB @10", "AAA 50; BBB 50", Policy(cash_reserve_pct=Decimal(0))
    )
    assert {t.symbol: t.quantity for t in plan.trades} == {"AAA": 100, "BBB": 399}
    found = plan_purchases(
        plan, cash={"USD": Decimal(2_001)}, available_funds=Decimal(9_999), snapshot=account, policy=Policy()
    )
    assert bought(found) == {"BBB": 200}


def test_dearer_quotes_cut_and_cheaper_ones_change_nothing() -> None:
    dearer = purchases("10_000", fresh=quoting(DEPLOY.replace("AAA @100", "AAA @101")))
    assert bought(dearer) == {"AAA": 50, "BBB": 293, "CCC": 1}
    assert [a.reason for a in dearer.adjustments] == ["9,987.50 can be spent, and all purchases would cost 10,023.49"]
    cheaper = purchases("10_000", fresh=quoting(DEPLOY.replace("AAA @100", "AAA @90")))
    assert bought(cheaper) == {"AAA": 50, "BBB": 297, "CCC": 1}
    assert [(t.symbol, t.price, t.notional) for t in cheaper.trades] == [
        ("AAA", Decimal(90), Decimal(4_500)),
        ("BBB", Decimal(10), Decimal(2_970)),
        ("CCC", Decimal(2_000), Decimal(2_000)),
    ]


def test_a_purchase_that_is_cut_is_described_anew() -> None:
    aaa, bbb = purchases("5_000", fresh=quoting(DEPLOY.replace("BBB @10", "BBB @9.98/10.02"))).trades
    assert (aaa.symbol, bbb.symbol) == ("AAA", "BBB")
    assert (bbb.quantity, bbb.price, bbb.notional) == (188, Decimal("10.02"), Decimal("1883.76"))
    assert (bbb.commission, bbb.target_quantity, bbb.held) == (Decimal(1), Decimal(188), Decimal(0))
    assert bbb.spread_cost == Decimal("3.76")
    assert bbb.weight_after == Decimal("0.188000")
    assert bbb.reason == "underweight by 29.91%; 2 shares short, cash goes further elsewhere"


def test_the_largest_purchase_goes_first_at_the_fresh_prices() -> None:
    turned = purchases("1_000_000", fresh=quoting(DEPLOY.replace("BBB @10", "BBB @100")))
    assert [trade.symbol for trade in turned.trades] == ["BBB", "AAA", "CCC"]


def test_limit_orders_are_paid_at_their_limit_at_worst() -> None:
    """At 1 % above the ask all cost 9,973.49 + 99.70, and may take all there is; the orders still tell the ask."""
    assert bought(purchases("10_073.19", policy=LIMIT)) == {"AAA": 50, "BBB": 297, "CCC": 1}
    found = purchases("10_073.18", policy=LIMIT)
    assert bought(found) == {"AAA": 50, "BBB": 296, "CCC": 1}
    assert [trade.price for trade in found.trades] == [100, 10, 2_000]
    assert [cut.reason for cut in found.adjustments] == [
        "10,073.18 can be spent, and all purchases would cost 10,073.19 at their limits"
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bid": None, "ask": None}, "BBB has no price."),
        ({"is_halted": True}, "Trading in BBB is halted."),
        (
            {"bid": Decimal(10), "ask": Decimal(11)},
            "BUY 297 BBB meets a bid and ask 9.53 % apart; max_spread_pct is 3.",
        ),
        ({"close": Decimal(5)}, "BUY 297 BBB meets a price 100.00 % off the previous close; max_gap_pct is 30."),
        (
            {"received_at": NOW - timedelta(minutes=2)},
            "BUY 297 BBB relies on a quote that is 120.00 s old; max_quote_age_s is 60.",
        ),
    ],
)
def test_a_purchase_without_a_usable_quote_is_left_out_with_its_reason(
    changes: dict[str, Decimal | None], reason: str
) -> None:
    fresh = quoting(DEPLOY)
    odd = replace(fresh.quotes[con_id("BBB")], **changes)  # type: ignore[arg-type]  # by name
    found = purchases("10_000", fresh=replace(fresh, quotes={**fresh.quotes, con_id("BBB"): odd}))
    assert bought(found) == {"AAA": 50, "CCC": 1}
    assert found.adjustments == (Adjustment(symbol="BBB", con_id=con_id("BBB"), planned=297, sent=0, reason=reason),)


def test_real_money_buys_nothing_on_delayed_quotes() -> None:
    account, plan = planned(DEPLOY.replace("DU1", "U1"), TARGETS)
    delayed = {key: replace(q, data=DataKind.DELAYED, close=q.bid) for key, q in account.quotes.items()}
    found = plan_purchases(
        plan,
        cash={"USD": Decimal(10_000)},
        available_funds=Decimal(10_000),
        snapshot=replace(account, quotes=delayed),
        policy=Policy(),
    )
    assert found.trades == ()
    assert found.adjustments[0].reason == "The quote of AAA is delayed, and real money is at stake."


def aaa_within(limits: Limits, ask: str, order_type: OrderType = OrderType.MARKET) -> tuple[int, list[str]]:
    """How many of 50 AAA, planned at 100 in an account of 10,000, are bought at a dearer price, and why not all."""
    account, plan = planned(DEPLOY, TARGETS)
    policy = Policy(limits=limits, order_type=order_type)
    require_within_limits(plan, snapshot=account, policy=policy, activity=IDLE)
    found = purchases("1_000_000", policy=policy, fresh=quoting(DEPLOY.replace("AAA @100", f"AAA @{ask}")))
    return bought(found)["AAA"], [cut.reason for cut in found.adjustments]


def costing(value: str, most: str) -> str:
    return f"BUY 50 AAA costs {value} in the account's currency; max_order_value is {most}."


def taking(part: str) -> str:
    return f"BUY 50 AAA costs {part} % of net liquidation; max_order_pct is 50."


@pytest.mark.parametrize(
    ("value", "ask", "count", "reasons"),
    [
        ("5000", "100", 50, []),
        ("5000", "100.01", 49, [costing("5000.50", "5000")]),
        ("5000.50", "100.01", 50, []),
        ("5000.49", "100.01", 49, [costing("5000.50", "5000.49")]),
        ("5000", "102.04", 49, [costing("5102.00", "5000")]),
        ("5000", "102.05", 48, [costing("5102.50", "5000")]),
    ],
)
def test_a_purchase_that_has_become_dearer_keeps_the_limit_on_its_value(
    value: str, ask: str, count: int, reasons: list[str]
) -> None:
    assert aaa_within(Limits(max_order_value=Decimal(value)), ask) == (count, reasons)


@pytest.mark.parametrize(
    ("ask", "count", "reasons"),
    [
        ("100", 50, []),
        ("100.01", 49, [taking("50.01")]),
        ("102.04", 49, [taking("51.02")]),
        ("102.05", 48, [taking("51.03")]),
    ],
)
def test_a_purchase_that_has_become_dearer_keeps_the_limit_on_its_part_of_the_account(
    ask: str, count: int, reasons: list[str]
) -> None:
    assert aaa_within(Limits(max_order_pct=Decimal(50)), ask) == (count, reasons)


def test_a_limit_order_keeps_them_at_its_limit() -> None:
    """0.3 % above the ask."""
    assert aaa_within(Limits(max_order_value=Decimal(5_015)), "100", OrderType.LIMIT) == (50, [])
    assert aaa_within(Limits(max_order_value=Decimal("5014.99")), "100", OrderType.LIMIT) == (
        49,
        [f"At its limit price {costing('5015.00', '5014.99')}"],
    )


def test_what_not_even_a_share_may_cost_is_not_bought() -> None:
    found = purchases("1_000_000", policy=Policy(limits=Limits(max_order_value=Decimal("99.99"))))
    assert bought(found) == {"BBB": 9}
    assert {cut.symbol: cut.sent for cut in found.adjustments} == {"AAA": 0, "BBB": 9, "CCC": 0}


def test_a_limit_and_a_lack_of_money_are_both_told() -> None:
    policy = Policy(limits=Limits(max_order_value=Decimal(4_999)))
    aaa = purchases("5_000", policy=policy).adjustments[0]
    assert aaa.reason == (
        "BUY 50 AAA costs 5000.00 in the account's currency; max_order_value is 4999. "
        "4,987.50 can be spent, and all purchases would cost 9,873.49"
    )


def cost(found: Purchases, policy: Policy, plan: Plan, fresh: Snapshot) -> Decimal:
    """What the orders would take at the worst, judged by the orders themselves."""
    sent = order_intents(found.trades, plan=plan, snapshot=fresh, policy=policy, run_id="r", client_id=52)
    asks = {trade.con_id: trade.price for trade in found.trades}
    prices = [(i.quantity, i.limit_price or asks[i.con_id]) for i in sent]
    return sum((count * price + commission(count, price, "USD") for count, price in prices), Decimal(0))


@settings(max_examples=60)
@given(
    case=st.builds(
        lambda kind, seed: random_account(seed, kind=kind, names=8),
        st.sampled_from(["deploy", "switch", "deposit", "drift", "messy", "accrual"]),
        st.integers(0, 10**6),
    ),
    spent=st.integers(0, 12_000),
    drift=st.integers(9_800, 10_200),
    policy=st.sampled_from([DEFAULTS, LIMIT]),
)
def test_whatever_became_of_cash_and_prices_nothing_is_overspent(
    case: Case, spent: int, drift: int, policy: Policy
) -> None:
    """`spent` ten-thousandths of the planned costs are there to spend; every ask has moved to `drift` of itself."""
    plan = plan_of(case)
    printed = {t.con_id: t.quantity for t in plan.trades if t.side is Side.BUY}
    assume(printed)
    quotes = {
        key: replace(
            q, ask=max(q.bid or Decimal(0), ((q.ask or Decimal(0)) * drift / 10_000).quantize(Decimal("0.01")))
        )
        for key, q in case.snapshot.quotes.items()
    }
    fresh = replace(case.snapshot, quotes=quotes)
    floor = Decimal(0) if policy.order_type is OrderType.LIMIT else plan.cash_reserve / 2
    planned_costs = sum((t.notional + t.commission for t in plan.trades if t.side is Side.BUY), Decimal(0))
    cash = floor + planned_costs * spent / 10_000
    loose = replace(policy, limits=replace(policy.limits, max_spread_pct=Decimal(10_000)))

    found = plan_purchases(plan, cash={"USD": cash}, available_funds=cash, snapshot=fresh, policy=loose)

    sent = {trade.con_id: trade.quantity for trade in found.trades}
    adjusted = {a.con_id: (a.planned, a.sent) for a in found.adjustments}
    paid = cost(found, loose, plan, fresh)
    assert all(0 < count <= printed[key] for key, count in sent.items())
    assert {k: (count, sent.get(k, 0)) for k, count in printed.items() if sent.get(k, 0) < count} == adjusted
    assert cash - paid >= floor
    assert list(found.trades) == sorted(found.trades, key=lambda t: (-t.notional, t.symbol))
    for trade in plan.trades:
        if trade.con_id in adjusted:
            one_more = [replace(t, quantity=t.quantity + (t.con_id == trade.con_id)) for t in found.trades]
            if trade.con_id not in sent:
                one_more.append(replace(trade, quantity=1, price=quotes[trade.con_id].ask or Decimal(0)))
            grown = replace(found, trades=tuple(one_more))
            assert cash - cost(grown, loose, plan, fresh) < floor


@settings(max_examples=100)
@given(
    case=st.builds(
        lambda kind, seed: random_account(seed, kind=kind, names=8),
        st.sampled_from([kind for kind in KINDS if kind != "large"]),
        st.integers(0, 10**6),
    ),
    order_type=st.sampled_from(OrderType),
)
def test_with_all_sales_filled_at_their_bid_the_printed_purchases_are_sent_to_the_share(
    case: Case, order_type: OrderType
) -> None:
    """Limit orders too, which are counted at their limits now, and were planned at the ask."""
    policy = replace(case.policy, order_type=order_type, limits=Limits(max_spread_pct=Decimal(10_000)))
    plan = plan_of(replace(case, policy=policy))
    sales = tuple(trade for trade in plan.trades if trade.side is Side.SELL)
    sold = fill(replace(plan, trades=sales), case.snapshot)
    found = plan_purchases(
        plan,
        cash=sold.portfolio.cash_to_invest(["USD"]),
        available_funds=sold.portfolio.balances.available_funds,
        snapshot=sold,
        policy=policy,
    )
    assert found == Purchases(trades=plan.trades[len(sales) :], adjustments=())


def known(order: TrackedOrder) -> tuple[TrackedOrder, OrderState]:
    return order, order_state(order)


def ledger(cash: Decimal, orders: Sequence[tuple[TrackedOrder, OrderState]]) -> Decimal | None:
    """The dollars of an account that has nothing else."""
    counted = cash_after_fills({"USD": cash}, orders)
    return None if counted is None else counted["USD"]


def test_the_ledger_is_cash_and_proven_fills_less_commissions() -> None:
    sale = tracked("SELL 100 OLD", executed(1, "a.01", 60, "50"), executed(2, "b.01", 40, "49.50"))
    charges = charged("a.01", "0.60"), charged("b.01", "0.40")
    purchase = tracked("BUY 10 AAA", executed(3, "c.01", 10, "20"), charged("c.01", "0.35"))
    nothing = tracked("BUY 5 BBB", told(1, "Cancelled", filled=0))
    told_all = replace(sale, evidence=(*sale.evidence, *charges))
    assert ledger(Decimal(1_000), []) == 1_000
    assert ledger(Decimal(1_000), [known(nothing)]) == 1_000
    assert ledger(Decimal(1_000), [known(told_all), known(purchase), known(nothing)]) == Decimal("5778.65")


def test_a_commission_that_has_not_been_told_is_estimated_never_lower_than_what_has() -> None:
    sale = tracked("SELL 1000 OLD", executed(1, "a.01", 600, "50"), executed(2, "b.01", 400, "50"))
    assert ledger(Decimal(0), [known(sale)]) == 49_995
    one_told = replace(sale, evidence=(*sale.evidence, charged("a.01", "3.00")))
    assert ledger(Decimal(0), [known(one_told)]) == 49_995
    dear = replace(sale, evidence=(*sale.evidence, charged("a.01", "9.00")))
    assert ledger(Decimal(0), [known(dear)]) == 49_991


def test_the_estimate_is_made_at_the_average_price() -> None:
    """Ten shares at 1: not 1.00, but 1 % of 10."""
    cheap = tracked("BUY 10 AAA", executed(1, "a.01", 4, "1.5"), executed(2, "b.01", 6, "0.6667"))
    assert ledger(Decimal(100), [known(cheap)]) == Decimal("89.8898")


def test_a_fill_without_a_price_leaves_no_ledger() -> None:
    filled = tracked("SELL 100 OLD", told(1, "Filled", filled=100))
    assert ledger(Decimal(0), [known(filled)]) is None
    half = replace(filled, evidence=(*filled.evidence, executed(1, "a.01", 50)))
    assert ledger(Decimal(0), [known(half)]) is None
    by_hand = replace(filled, evidence=(resolved(9, 100),))
    assert ledger(Decimal(0), [known(by_hand)]) is None
    taken_back = tracked("SELL 100 OLD", executed(1, "a.01", 100), executed(2, "a.02", 0))
    assert ledger(Decimal(7), [known(taken_back)]) == 7


def rejected(reason: str, status: OrderStatus = OrderStatus.REJECTED) -> OrderState:
    return OrderState(
        status=status, filled=0, average_price=None, commission=Decimal(0), reason=reason, perm_ids=frozenset()
    )


@pytest.mark.parametrize(
    ("reason", "funds"),
    [
        ("Order rejected - reason:The available funds in your account are in sufficient (201)", True),
        ("YOUR EQUITY WITH LOAN VALUE [5 USD] MUST EXCEED THE INITIAL MARGIN [9 USD] (201)", True),
        ("Order rejected - reason:Insufficient settled cash (201)", True),
        ("Order rejected - reason:No trading permissions (201)", False),
        ("KID is not available (201)", False),
        ("", False),
    ],
)
def test_a_rejection_for_want_of_money_is_known_by_its_words(reason: str, funds: bool) -> None:
    assert lacked_funds(rejected(reason)) is funds
    assert not lacked_funds(rejected(reason, OrderStatus.CANCELLED))
    assert not lacked_funds(rejected(reason, OrderStatus.SENT))


@pytest.mark.parametrize(
    ("quantity", "filled", "less"),
    [(100, 0, 95), (20, 0, 19), (19, 0, 18), (2, 0, 1), (100, 60, 38), (100, 1, 94), (100, 98, 1)],
)
def test_the_one_second_attempt_is_a_twentieth_smaller_than_what_is_left_and_at_least_a_share(
    quantity: int, filled: int, less: int
) -> None:
    first = intent(f"BUY {quantity} AAA", limit="10.03")
    second = shrunk(first, filled=filled)
    assert second == replace(
        first, quantity=less, order_ref=order_ref(AccountId("DU1"), "plan", con_id("AAA"), Side.BUY, attempt=2)
    )
    assert second is not None
    assert shrunk(second, filled=0) is None


@pytest.mark.parametrize(("quantity", "filled"), [(1, 0), (100, 99), (100, 100), (100, 139)])
def test_where_a_single_share_is_left_or_none_nothing_is_tried_again(quantity: int, filled: int) -> None:
    assert shrunk(intent(f"BUY {quantity} AAA"), filled=filled) is None
