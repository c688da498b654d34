"""Plans worked out by hand, one behaviour at a time."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.support.notation import NOW, allocation, con_id, fill, snapshot

from ibkr_rebalancer.core import sizing
from ibkr_rebalancer.core.allocation import parse_allocation
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import OrderType, Policy
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.quotes import DataKind, NoQuote

BLEND = b"""{
  "status": "success",
  "data": {
    "allocations": [
      {"symbol": "EDC", "allocation": 0.2141},
      {"symbol": "QLD", "allocation": 0.1779},
      {"symbol": "QQQ", "allocation": 0.141},
      {"symbol": "BTAL", "allocation": 0.2817},
      {"symbol": "SPXL", "allocation": 0.0368},
      {"symbol": "TQQQ", "allocation": 0.1475}
    ],
    "name": "etf-blend-301-20",
    "strategy_long_name": "ETF Blend 301-20",
    "last_rebalance_on": "2025-06-24",
    "as_of": "2025-06-24"
  }
}"""
CHECK_FEED = (
    "Check the market data subscription of this user (also that no other session holds it), and run the command again."
)
BLEND_TARGETS = "EDC 21.41; QLD 17.79; QQQ 14.1; BTAL 28.17; SPXL 3.68; TQQQ 14.75"


LIMIT = Policy(order_type=OrderType.LIMIT)
"""Purchases leave 42.5 bp: their limits may cost 30 bp more than the ask, and half the reserve may be gone."""


def plan_of(account: Snapshot, targets: str, *, reserve: str = "0.25", gate: str = "5") -> Plan:
    policy = Policy(cash_reserve_pct=Decimal(reserve), min_gain_bp=Decimal(gate))
    return plan_rebalance(allocation(targets), snapshot=account, policy=policy)


def planned(text: str, targets: str, *, reserve: str = "0.25", gate: str = "5") -> Plan:
    return plan_of(snapshot(text, targets=targets), targets, reserve=reserve, gate=gate)


def orders(plan: Plan) -> list[str]:
    return [f"{trade.side.value} {trade.quantity} {trade.symbol}" for trade in plan.trades]


def refusal(text: str, targets: str) -> Refused:
    with pytest.raises(Refused) as caught:
        planned(text, targets)
    return caught.value


def blend(text: str) -> Plan:
    return plan_rebalance(parse_allocation(BLEND), snapshot=snapshot(text, targets=BLEND_TARGETS), policy=Policy())


def test_a_holding_that_is_too_large_pays_for_the_one_that_is_too_small() -> None:
    """Half of 100,010 is 50,005, which is 500.05 shares at 100; 10 in cash pays 2 + 2 of commission."""
    plan = planned("DU1 cash 10; 900 AAA @100; 100 BBB @100", "AAA 50; BBB 50", reserve="0", gate="0")
    assert orders(plan) == ["SELL 400 AAA", "BUY 400 BBB"]
    assert (plan.cash_after, plan.commission, plan.turnover) == (Decimal(6), Decimal(4), Decimal("0.799920"))


def test_without_a_cent_for_the_commission_one_share_less_is_bought() -> None:
    plan = planned("DU1 cash 0; 900 AAA @100; 100 BBB @100", "AAA 50; BBB 50", reserve="0", gate="0")
    assert orders(plan) == ["SELL 400 AAA", "BUY 399 BBB"]


def test_a_blend_of_six_funds_from_all_cash() -> None:
    """100,000 in cash, weights adding up to 0.999, a reserve of 0.25 %, and no spread.

    Commission: BTAL 1,405 x 0.005 = 7.03, EDC 534 x 0.005 = 2.67, four orders at the minimum of 1: 13.70 in all.
    Invested: 0.9975 x (100,000 - 13.70) = 99,736.33. Shares wanted:
        EDC  0.2141 x 99,736.33 / 40  =  533.84      QQQ   0.141 x 99,736.33 / 500 = 28.13
        QLD  0.1779 x 99,736.33 / 120 =  147.86      SPXL 0.0368 x 99,736.33 / 160 = 22.94
        BTAL 0.2817 x 99,736.33 / 20  = 1404.79      TQQQ 0.1475 x 99,736.33 / 80  = 183.89
    Rounded down they cost 99,200 and leave 786.30. Of that 249.97 is the reserve and 0.001 x 99,736.33 = 99.74 meant to
    stay cash: 436.59 is left, which pays one share more of all but QQQ (20 + 40 + 80 + 120 + 160 = 420).
    """
    plan = blend("DU1 cash 100_000; EDC @40; QLD @120; QQQ @500; BTAL @20; SPXL @160; TQQQ @80")
    assert orders(plan) == ["BUY 1405 BTAL", "BUY 534 EDC", "BUY 148 QLD", "BUY 184 TQQQ", "BUY 28 QQQ", "BUY 23 SPXL"]
    assert plan.commission == Decimal("13.70")
    assert plan.cash_after == Decimal("366.30")  # 100,000 - 28,100 - 21,360 - 17,760 - 14,720 - 14,000 - 3,680 - 13.70
    assert plan.strategy.strategy_long_name == "ETF Blend 301-20"
    assert plan.remarks == ("The weights add up to 0.9990: 0.10% is meant to stay cash.",)


def test_a_blend_of_six_funds_from_other_holdings() -> None:
    """The same worth in 100 QQQ, 500 EDC and 1,000 TLT, which is not in the targets; no cash.

    Commission: TLT 5.00, BTAL 7.03, five orders at 1: 17.03. Invested: 0.9975 x (100,000 - 17.03) = 99,733.01.
    Shares wanted: EDC 533.82, QLD 147.85, QQQ 28.12, BTAL 1404.74, SPXL 22.94, TQQQ 183.88. Selling TLT and 72 QQQ
    brings 66,000, the rounded-down purchases cost 65,200; 782.97 is left, of that 249.96 reserve and 99.73 meant to
    stay cash: 433.28 pays the same 420.
    """
    plan = blend("DU1 cash 0; 500 EDC @40; QLD @120; 100 QQQ @500; BTAL @20; SPXL @160; TQQQ @80; 1_000 TLT @30")
    assert orders(plan) == [
        "SELL 72 QQQ",
        "SELL 1000 TLT",
        "BUY 1405 BTAL",
        "BUY 148 QLD",
        "BUY 184 TQQQ",
        "BUY 23 SPXL",
        "BUY 34 EDC",
    ]
    assert plan.commission == Decimal("17.03")
    assert plan.cash_after == Decimal("362.97")  # 66,000 - 28,100 - 17,760 - 14,720 - 3,680 - 1,360 - 17.03


def test_a_plan_tells_what_it_was_made_from_and_what_comes_of_it() -> None:
    plan = planned("DU1 cash 1_000; 90 AAA @99/101; BBB @10", "AAA 50; BBB 50", reserve="1")
    (sale, purchase) = plan.trades
    assert (plan.account, plan.currency, plan.as_of) == ("DU1", "USD", NOW)
    assert (plan.net_liquidation, plan.cash) == (Decimal(10_000), Decimal(1_000))
    assert plan.cash_after == plan.cash + sale.notional - purchase.notional - plan.commission
    assert plan.commission == sale.commission + purchase.commission
    assert plan.turnover == ((sale.notional + purchase.notional) / 10_000).quantize(Decimal("0.000001"))
    assert (sale.price, purchase.price) == (Decimal(99), Decimal(10))
    assert (sale.held, sale.target_quantity) == (Decimal(90), Decimal(90 - sale.quantity))
    assert (sale.weight_before, purchase.weight_before) == (Decimal("0.900000"), Decimal(0))
    assert sale.weight_after == (Decimal(90 - sale.quantity) / 100).quantize(Decimal("0.000001"))
    assert abs(sale.weight_target - Decimal("0.495")) < Decimal("0.0030")
    assert plan.drift_after < Decimal("0.01") < plan.drift_before
    assert plan.cash_reserve <= plan.cash_after


def test_sales_go_at_the_bid_and_come_before_purchases_the_largest_first() -> None:
    plan = planned("DU1 cash 0; 100 AAA @10/10.01; 100 BBB @20/20.01; CCC @5/5.01; DDD @7/7.01", "CCC 20; DDD 80")
    assert [(t.side.value, t.symbol, t.price) for t in plan.trades] == [
        ("SELL", "BBB", Decimal(20)),
        ("SELL", "AAA", Decimal(10)),
        ("BUY", "DDD", Decimal("7.01")),
        ("BUY", "CCC", Decimal("5.01")),
    ]


@pytest.mark.parametrize(("gate", "expected"), [("5", 2), ("100", 2), ("3_000", 0)])
def test_a_plan_must_be_worth_its_trades(gate: str, expected: int) -> None:
    plan = planned("DU1 cash 100; 60 AAA @100; 40 BBB @100", "AAA 50; BBB 50", gate=gate.replace("_", ""))
    assert len(plan.trades) == expected


def test_a_plan_that_is_not_worth_its_trades_says_so_and_changes_nothing() -> None:
    plan = planned("DU1 cash 30; 52 AAA @100; 48 BBB @100", "AAA 50; BBB 50", gate="300")
    assert plan.trades == ()
    assert (plan.cash_after, plan.drift_after) == (Decimal(30), plan.drift_before)
    assert plan.commission == plan.turnover == 0
    assert [skip.symbol for skip in plan.skips] == ["AAA", "BBB"]
    for skip in plan.skips:
        assert skip.reason.startswith("the whole plan would remove 1")
        assert skip.reason.endswith(" bp of drift, less than min_gain_bp 300")


def test_the_gate_does_not_keep_what_should_go() -> None:
    plan = planned("DU1 cash 100; 99 AAA @100; 1 OLD @1", "AAA 100", gate="300")
    assert "SELL 1 OLD" in orders(plan)


def test_the_gate_does_not_keep_an_account_below_its_reserve() -> None:
    plan = planned("DU1 cash -200; 61 AAA @100; 41 BBB @100", "AAA 60; BBB 40", gate="100")
    assert plan.trades
    assert plan.cash_after >= plan.cash_reserve


def test_a_loan_is_paid_back_up_to_the_reserve_before_anything_is_bought() -> None:
    plan = planned("DU1 cash -5_000; 150 AAA @100; BBB @50", "AAA 90; BBB 10")
    assert plan.cash_after >= plan.cash_reserve > 0
    assert plan.trades[0].symbol == "AAA"


def test_cash_that_the_broker_keeps_back_is_not_spent() -> None:
    plan = planned("DU1 cash 10_000 available 1_000; AAA @10", "AAA 100")
    assert plan.cash_after >= 9_000 + plan.cash_reserve
    assert "Of 10,000.00 cash the broker lets 1,000.00 be spent." in plan.remarks


@pytest.mark.parametrize(
    ("available", "bought", "reason", "remark"),
    [
        (
            "0",
            9,
            "the broker lets only 0.00 be spent before the sales",
            "Of 5,000.00 cash the broker lets 0.00 be spent before the sales.",
        ),
        (
            "-500",
            4,
            "available funds are -500.00 before the sales",
            "The broker lets nothing be spent before the sales: available funds are -500.00.",
        ),
    ],
)
def test_sales_bring_what_the_broker_does_not_let_be_spent_before(
    available: str, bought: int, reason: str, remark: str
) -> None:
    plan = planned(f"DU1 cash 5_000 available {available}; 10 OLD @100; AAA @100", "AAA 100")
    assert orders(plan) == ["SELL 10 OLD", f"BUY {bought} AAA"]
    assert plan.trades[1].reason.endswith(f" short, {reason}")
    assert remark in plan.remarks


def test_without_sales_funds_below_nothing_are_told_as_such() -> None:
    plan = planned("DU1 cash 5_000 available -500; AAA @100", "AAA 100")
    assert [skip.reason for skip in plan.skips] == ["49 shares under the target, available funds are -500.00"]
    assert "The broker lets nothing be spent: available funds are -500.00." in plan.remarks


def test_an_unlisted_fraction_stays_and_is_told() -> None:
    plan = planned("DU1 cash 100; 10.5 OLD @10; AAA @10", "AAA 100")
    assert orders(plan)[0] == "SELL 10 OLD"
    assert plan.trades[0].reason == "not in the targets; 0.5 of a share stays: the gateway trades whole ones"
    assert plan.trades[0].target_quantity == Decimal("0.5")


def test_the_fraction_of_a_target_is_told_on_its_line() -> None:
    plan = planned("DU1 cash 0; 10.5 AAA @10; 20.25 BBB @10", "AAA 50; BBB 50", reserve="0", gate="0")
    assert orders(plan) == ["SELL 5 BBB", "BUY 4 AAA"]
    for trade, fraction in zip(plan.trades, ("0.25", "0.5"), strict=True):
        assert trade.reason.endswith(f"; {fraction} of a share stays: the gateway trades whole ones")
    same = planned("DU1 cash 0; 10.5 AAA @10; 10.5 BBB @10", "AAA 50; BBB 50", reserve="0")
    assert {skip.reason for skip in same.skips} == {
        "on target to the nearest share; 0.5 of a share stays: the gateway trades whole ones"
    }


def test_a_fraction_that_is_more_than_its_target_says_so() -> None:
    """Of 790 a twentieth is 39.50, and 0.9 of a share at 100 cannot be sold."""
    plan = planned("DU1 cash 100; 1.9 AAA @100; 50 BBB @10", "AAA 5; BBB 95")
    reason = next(trade.reason for trade in plan.trades if trade.symbol == "AAA")
    assert reason.startswith("overweight by ")
    assert reason.endswith(
        "; 0.9 of a share stays, although it is all that is wanted or more: the gateway trades whole ones"
    )


def test_what_each_trade_costs_adds_up() -> None:
    """Half of the two cents between bid and ask, on each share."""
    plan = planned("DU1 cash 1_000; 100 OLD @9.99/10.01; AAA @49.95/50.05", "AAA 100")
    costs = {trade.symbol: (trade.quantity, trade.commission, trade.spread_cost) for trade in plan.trades}
    assert costs["OLD"] == (100, Decimal("1.00"), Decimal("1.00"))
    assert costs["AAA"] == (39, Decimal("1.00"), Decimal("1.95"))
    assert (plan.commission, plan.spread_cost) == (Decimal("2.00"), Decimal("2.95"))


def test_a_target_with_weight_zero_goes_like_one_that_is_not_listed() -> None:
    plan = planned("DU1 cash 100; 10 OLD @10; AAA @10", "AAA 100; OLD 0")
    assert orders(plan)[0] == "SELL 10 OLD"
    assert plan.trades[0].reason == "target weight 0"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("5 XYZ OPT @3", "OPT positions are never traded"),
        ("-0.1 XYZ @3", "short positions are never traded"),
        ("0.4 XYZ @3", "less than one share, which the gateway does not sell"),
        ("5 XYZ @-", f"the gateway gave no bid and ask, no last price and no previous close. {CHECK_FEED}"),
        (
            "5 XYZ @1/3",
            f"the gateway gave bid 1 and ask 3 more than 10% apart, no last price and no previous close. {CHECK_FEED}",
        ),
    ],
)
def test_what_is_not_ours_stays_untouched_with_its_reason(line: str, reason: str) -> None:
    plan = planned(f"DU1 cash 1_000; AAA @10; {line}", "AAA 100")
    assert [(lot.symbol, lot.reason) for lot in plan.untouched] == [("XYZ", reason)]
    assert orders(plan) == ["BUY 99 AAA"]


def test_an_unlisted_holding_with_an_old_quote_stays_untouched() -> None:
    account = snapshot("DU1 cash 1_000; AAA @10; 5 OLD @3", targets="AAA 100")
    aged = {key: replace(q, received_at=NOW - timedelta(seconds=61)) for key, q in account.quotes.items()}
    plan = plan_of(replace(account, quotes={**account.quotes, con_id("OLD"): aged[con_id("OLD")]}), "AAA 100")
    stale = "its quote is 61 s old, the limit is 60 s (max_quote_age_s)"
    remedy = (
        "Run the command again; if the gateway stays that slow, raise max_quote_age_s under limits: in accounts.yaml."
    )
    assert [lot.reason for lot in plan.untouched] == [f"{stale}. {remedy}"]
    with pytest.raises(Refused) as caught:
        plan_of(replace(account, quotes=aged), "AAA 100")
    assert caught.value.code == "PRICE_STALE"
    assert stale in caught.value.message
    assert caught.value.hint == remedy


def test_why_there_is_no_price_is_told_with_its_remedy() -> None:
    account = snapshot("DU1 cash 1_000; AAA @10; 5 OLD @-", targets="AAA 100")
    why = NoQuote(reason="the market data are another session's (code 10197)", remedy="Log this user out elsewhere.")
    plan = plan_of(replace(account, unquoted={con_id("OLD"): why}), "AAA 100")
    assert [lot.reason for lot in plan.untouched] == [f"{why.reason}. {why.remedy}"]
    with pytest.raises(Refused) as caught:
        plan_of(replace(account, quotes={}, unquoted={con_id("AAA"): why}), "AAA 100")
    assert (caught.value.code, caught.value.hint) == ("PRICE_MISSING", why.remedy)
    assert caught.value.message == f"AAA is a target without a usable price: {why.reason}."


@pytest.mark.parametrize(
    ("text", "targets", "code", "words"),
    [
        ("DU1 cash 0; AAA @10", "AAA 100", "ACCOUNT_EMPTY", "worth 0 USD"),
        ("DU1 cash -10; AAA @10", "AAA 100", "ACCOUNT_EMPTY", "worth -10 USD"),
        (
            "DU1 cash 1_000; -2 AAA @10",
            "AAA 100",
            "TARGET_HELD_SHORT",
            "AAA is a target, but DU1 is 2 shares short of it.",
        ),
        ("DU1 cash 1_000; AAA @-", "AAA 100", "PRICE_MISSING", "AAA is a target without a usable price"),
    ],
)
def test_a_target_that_cannot_be_planned_refuses_by_name(text: str, targets: str, code: str, words: str) -> None:
    error = refusal(text, targets)
    assert error.code == code
    assert words in error.message
    assert error.hint


@pytest.mark.parametrize("line", ["-2 OLD @10", "OLD EUR @10", "OLD @-", "3 OLD @-"])
def test_a_target_with_weight_zero_blocks_nothing(line: str) -> None:
    assert orders(planned(f"DU1 cash 1_000; AAA @10; {line}", "AAA 100; OLD 0")) in (
        ["BUY 99 AAA"],
        ["BUY 97 AAA"],
        ["BUY 101 AAA"],
    )


def test_two_targets_that_mean_the_same_contract_refuse() -> None:
    account = snapshot("DU1 cash 1_000; AAA @10; BBB @10", targets="AAA 50; BBB 50")
    same = replace(account, targets=dict.fromkeys(account.targets, account.targets["AAA"]))
    with pytest.raises(Refused) as caught:
        plan_of(same, "AAA 50; BBB 50")
    assert caught.value.code == "TARGET_TWICE"


def test_cash_in_another_currency_is_not_invested() -> None:
    plan = planned("DU1 cash 1_000 EUR 250; AAA @10", "AAA 100")
    assert orders(plan) == ["BUY 99 AAA"]
    idle, conversion = plan.remarks
    assert idle == "250.00 EUR in cash buys nothing: nothing that is managed is in EUR."
    assert conversion == (
        "USD lacks cash for its targets, and no currency is converted here: convert about 249.09 EUR to USD, "
        "which gives about 274.00 USD."
    )


def test_what_is_owed_in_another_currency_is_not_invested() -> None:
    """10,000 less 8,000 EUR at 1.1 is 1,200: of that 3 is the reserve, and 119 shares at 10 cost 1,191."""
    plan = planned("DU1 cash 10_000 EUR -8_000; AAA @10", "AAA 100")
    assert orders(plan) == ["BUY 119 AAA"]
    assert (plan.cash, plan.cash_after) == (Decimal(1_200), Decimal(9))
    assert plan.remarks == ("Of 10,000.00 USD in cash 1,200.00 counts: 8,800.00 is owed in other currencies.",)


def test_what_short_sales_brought_is_not_invested() -> None:
    """100 sold short at 50 are worth 5,000 of the 10,000; the account is worth 5,000, of which 12.50 is the reserve."""
    plan = planned("DU1 cash 10_000; -100 XYZ @50; AAA @10", "AAA 100")
    assert orders(plan) == ["BUY 498 AAA"]
    assert (plan.cash, plan.cash_after) == (Decimal(5_000), Decimal("17.51"))
    assert plan.remarks == ("Of 10,000.00 USD in cash 5,000.00 counts: 5,000.00 is owed on short positions.",)


def test_a_loan_abroad_and_shorts_are_paid_for_before_anything_is_bought() -> None:
    plan = planned("DU1 cash 900 EUR -1_000; -10 XYZ @20; 200 AAA @10; BBB @10", "AAA 80; BBB 20")
    assert plan.cash == Decimal(-400)
    assert plan.cash_after >= plan.cash_reserve > 0
    assert plan.trades[0].symbol == "AAA"
    (remark,) = plan.remarks
    assert remark.startswith("Of 900.00 USD in cash -400.00 counts: ")
    assert remark.endswith(": 1,100.00 is owed in other currencies and 200.00 is owed on short positions.")


def test_a_short_future_owes_nothing() -> None:
    plan = planned("DU1 cash 1_000; -1 ESZ FUT @200_000; AAA @10", "AAA 100")
    assert orders(plan) == ["BUY 99 AAA"]
    assert plan.remarks == ()


def halted(account: Snapshot, *symbols: str) -> Snapshot:
    quotes = {key: replace(quote, is_halted=key in map(con_id, symbols)) for key, quote in account.quotes.items()}
    return replace(account, quotes=quotes)


@pytest.mark.parametrize("targets", ["AAA 100", "AAA 100; XYZ 0"])
def test_an_unlisted_holding_that_is_halted_stays_untouched_and_blocks_nothing(targets: str) -> None:
    account = snapshot("DU1 cash 1_000; 5 XYZ @10; AAA @10", targets=targets)
    plan = plan_of(halted(account, "XYZ"), targets)
    assert orders(plan) == ["BUY 99 AAA"]
    assert [(lot.symbol, lot.reason) for lot in plan.untouched] == [("XYZ", "trading in it is halted")]
    assert plan.remarks == ()
    assert orders(plan_of(account, targets)) == ["SELL 5 XYZ", "BUY 104 AAA"]


def test_a_plan_that_would_trade_what_is_halted_says_so() -> None:
    account = snapshot("DU1 cash 1_000; BBB @10; AAA @10; 50 CCC @20", targets="AAA 25; BBB 25; CCC 50")
    plan = plan_of(halted(account, "AAA", "BBB", "CCC"), "AAA 25; BBB 25; CCC 50")
    assert orders(plan) == ["BUY 50 AAA", "BUY 49 BBB"]
    assert plan.remarks == ("Trading is halted in AAA, BBB: as long as it is, none of these orders can be sent.",)


def test_a_holding_without_a_mark_stays_untouched_and_counts_nothing() -> None:
    account = snapshot("DU1 cash 1_000; 5 XYZ @3; AAA @10", targets="AAA 100")
    (holding,) = account.portfolio.holdings
    unmarked = replace(holding, market_price=None, market_value=None)
    plan = plan_of(replace(account, portfolio=replace(account.portfolio, holdings=(unmarked,))), "AAA 100")
    (line,) = plan.untouched
    assert (line.market_value, line.reason) == (None, "the gateway gives no market value of it")
    assert orders(plan) == ["BUY 99 AAA"]


def test_a_target_without_a_mark_is_valued_at_the_market() -> None:
    account = snapshot("DU1 cash 100; 90 AAA @10; BBB @10", targets="AAA 50; BBB 50")
    (holding,) = account.portfolio.holdings
    unmarked = replace(holding, market_price=None, market_value=None)
    plan = plan_of(replace(account, portfolio=replace(account.portfolio, holdings=(unmarked,))), "AAA 50; BBB 50")
    assert orders(plan) == ["SELL 40 AAA", "BUY 49 BBB"]


def test_a_short_position_without_a_mark_refuses() -> None:
    account = snapshot("DU1 cash 1_000; -5 XYZ @3; AAA @10", targets="AAA 100")
    (holding,) = account.portfolio.holdings
    unmarked = replace(holding, market_price=None, market_value=None)
    with pytest.raises(Refused) as caught:
        plan_of(replace(account, portfolio=replace(account.portfolio, holdings=(unmarked,))), "AAA 100")
    assert caught.value.code == "SHORT_WITHOUT_VALUE"


def test_a_worth_that_differs_from_the_brokers_is_told() -> None:
    account = snapshot("DU1 cash 1_000; 100 AAA @10; 5 XYZ @-", targets="AAA 100")
    dearer = replace(account.portfolio.balances, net_liquidation=Decimal(2_100))
    plan = plan_of(replace(account, portfolio=replace(account.portfolio, balances=dearer)), "AAA 100")
    assert plan.remarks == ("At these prices the account is worth 2,005.00; Interactive Brokers says 2,100.00.",)


@pytest.mark.parametrize(("stated", "told"), [("2_005", False), ("2_015", False), ("2_100", True)])
def test_a_worth_in_several_currencies_is_compared_at_the_accounts_rates(stated: str, told: bool) -> None:
    account = snapshot("DU1 cash 999; 100 AAA @10; 5 XYZ EUR @2", targets="AAA 100")
    dearer = replace(account.portfolio.balances, net_liquidation=Decimal(stated))
    plan = plan_of(replace(account, portfolio=replace(account.portfolio, balances=dearer)), "AAA 100")
    remark = f"At these prices the account is worth 2,010.00; Interactive Brokers says {Decimal(stated):,.2f}."
    assert (remark in plan.remarks) is told


def test_futures_are_no_part_of_the_worth() -> None:
    assert planned("DU1 cash 1_000; 2 ESZ FUT @200_000; AAA @10", "AAA 100").remarks == ()


def test_a_symbol_that_means_another_contract_is_told() -> None:
    account = snapshot("DU1 cash 1_000; AAA @10; BBB @10", targets="AAA 50; BBB 50")
    meant = replace(account, targets={"AAA": account.targets["AAA"], "CCC": account.targets["BBB"]})
    plan = plan_of(meant, "AAA 50; CCC 50")
    assert plan.remarks == (f"CCC means BBB (con_id {con_id('BBB')}, BBB TRUST).",)
    assert {trade.symbol: trade.con_id for trade in plan.trades}["CCC"] == con_id("BBB")


def test_another_contract_of_a_targets_symbol_goes_and_says_which_one_is_meant() -> None:
    account = snapshot("DU1 cash 100; 10 OLD @10; AAA @10", targets="AAA 100")
    (holding,) = account.portfolio.holdings
    alike = replace(holding, position=replace(holding.position, symbol="AAA"))
    plan = plan_of(replace(account, portfolio=replace(account.portfolio, holdings=(alike,))), "AAA 100")
    assert [(trade.side.value, trade.con_id) for trade in plan.trades] == [
        ("SELL", con_id("OLD")),
        ("BUY", con_id("AAA")),
    ]
    assert (
        plan.trades[0].reason == f"not in the targets, where AAA means another contract (ARCA, con_id {con_id('AAA')})"
    )


@pytest.mark.parametrize(
    ("currency", "remark"),
    [("USD", ()), ("EUR", ("Commissions in EUR are estimated, rather too high than too low.",))],
)
def test_commissions_of_another_schedule_are_told(currency: str, remark: tuple[str, ...]) -> None:
    account = snapshot(f"DU1 cash 1_000; AAA {currency} @10", targets="AAA 100")
    kept = replace(account.portfolio.balances, currency=currency, cash={currency: Decimal(1_000)})
    account = replace(account, portfolio=replace(account.portfolio, balances=kept))
    assert plan_of(account, "AAA 100").remarks == remark
    idle = replace(kept, net_liquidation=Decimal(1), total_cash=Decimal(1), cash={currency: Decimal(1)})
    assert plan_of(replace(account, portfolio=replace(account.portfolio, balances=idle)), "AAA 100").trades == ()


def test_prices_that_are_not_live_are_told() -> None:
    account = snapshot("DU1 cash 1_000; AAA @10; BBB @10; CCC @10", targets="AAA 50; BBB 25; CCC 25")
    delayed = {key: replace(q, data=DataKind.DELAYED) for key, q in account.quotes.items() if key != con_id("CCC")}
    plan = plan_of(replace(account, quotes={**account.quotes, **delayed}), "AAA 50; BBB 25; CCC 25")
    assert plan.remarks == ("Priced by delayed bid and ask: AAA, BBB.",)


def test_a_closed_market_and_unknown_hours_are_told() -> None:
    account = snapshot("DU1 cash 1_000; AAA @10; BBB @10; CCC @10", targets="AAA 50; BBB 25; CCC 25")
    late = NOW - timedelta(hours=3)
    contracts = {**account.contracts, con_id("CCC"): replace(account.contracts[con_id("CCC")], sessions=None)}
    plan = plan_of(replace(account, taken_at=late, contracts=contracts), "AAA 50; BBB 25; CCC 25")
    assert plan.remarks == (
        "Market closed at 2026-11-23 12:30 UTC for AAA, BBB; next open 2026-11-23 14:30 UTC.",
        "The gateway gave no readable trading hours for CCC.",
    )


def test_a_closed_market_without_an_announced_session_is_told_too() -> None:
    account = snapshot("DU1 cash 1_000; AAA @10", targets="AAA 100")
    plan = plan_of(replace(account, taken_at=NOW + timedelta(days=1)), "AAA 100")
    assert plan.remarks == ("Market closed at 2026-11-24 15:30 UTC for AAA.",)


def test_weights_that_were_scaled_are_told() -> None:
    plan = planned("DU1 cash 1_000; AAA @10; BBB @10", "AAA 50.5; BBB 50")
    assert plan.remarks == ("The weights add up to 1.005: scaled to 1.",)


def test_the_reasons_of_trades_and_skips() -> None:
    plan = planned("DU1 cash 100; 60 AAA @100; 20 BBB @100; 1 CCC @1_900; DDD @1_500", "AAA 50; BBB 30; CCC 19; DDD 1")
    reasons = {t.symbol: t.reason for t in plan.trades} | {s.symbol: s.reason for s in plan.skips}
    assert reasons["AAA"].startswith("overweight by 1")
    assert reasons["BBB"].startswith("underweight by 9")
    assert reasons["CCC"] == "on target to the nearest share"
    assert reasons["DDD"] == "the target is 0.07 of a share at 1,500.00, nearer to none than to one"


NONE_FOR_IT = "not enough cash for one: a share costs"


@pytest.mark.parametrize(
    ("text", "targets", "reason"),
    [
        # Nothing else is bought, and the cash does not pay for one.
        ("cash 40; 1 AAA @50", "AAA 100", f"0.80 of a share under the target, {NONE_FOR_IT} 50.00, 39.78 is left"),
        # All of it would not pay for one, whatever else were left.
        (
            "cash 1_000; AAA @1_500; BBB @10",
            "AAA 90; BBB 10",
            f"0.60 of a share under the target, {NONE_FOR_IT} 1,500.00, 896.50 is left",
        ),
        # The broker keeps the cash back: all of it, or what one share would take.
        (
            "cash 10_000 available 10; 1 AAA @100",
            "AAA 100",
            "99 shares under the target, the broker lets only 10.00 be spent",
        ),
        (
            "cash 10_000 available 5_000; 1 BBB @100; AAA @4_990",
            "AAA 50; BBB 50",
            "1 share under the target, the broker lets only 5,000.00 be spent",
        ),
        # Others take it.
        (
            "cash 700; AAA @600; BBB @100",
            "AAA 50; BBB 50",
            "0.58 of a share under the target, cash goes further elsewhere",
        ),
        # A share is worth far more than its target.
        (
            "cash 1_000; AAA @2_000; BBB @10",
            "AAA 40; BBB 60",
            "the target is 0.20 of a share at 2,000.00, nearer to none than to one",
        ),
        ("cash 5; 10 AAA @100", "AAA 100", "on target to the nearest share"),
    ],
)
def test_why_nothing_is_bought(text: str, targets: str, reason: str) -> None:
    plan = planned(f"DU1 {text}", targets)
    assert {skip.symbol: skip.reason for skip in plan.skips}["AAA"] == reason


@pytest.mark.parametrize(
    ("text", "targets", "reason"),
    [
        (
            "cash 1_000 available 500; AAA @100",
            "AAA 100",
            "underweight by 99.65%; 5 shares short, the broker lets only 500.00 be spent",
        ),
        (
            "cash 1_000; BBB @550; AAA @100",
            "AAA 55; BBB 45",
            "underweight by 54.75%; 1 share short, cash goes further elsewhere",
        ),
        (
            "cash 400; 2 BBB @500; AAA @100",
            "AAA 70; BBB 30",
            f"underweight by 69.73%; 1 share short, {NONE_FOR_IT} 100.00, 94.50 is left",
        ),
    ],
)
def test_why_no_more_is_bought(text: str, targets: str, reason: str) -> None:
    plan = planned(f"DU1 {text}", targets)
    assert {trade.symbol: trade.reason for trade in plan.trades}["AAA"] == reason


@pytest.mark.parametrize(
    ("text", "targets", "reason"),
    [
        ("cash -100; 11 AAA @100", "AAA 100", "1 share beyond its target, to raise cash"),
        (
            "cash 32.23; 13 BBB @85.93; 99 AAA @9.30",
            "BBB 56.252; AAA 43.748",
            "4 shares beyond its target, {elsewhere}",
        ),
    ],
)
def test_why_more_is_sold_than_is_over(text: str, targets: str, reason: str) -> None:
    (sale, *_) = planned(f"DU1 {text}", targets, reserve="0", gate="0").trades
    assert sale.reason.endswith(reason.format(elsewhere="cash goes further elsewhere"))


@pytest.mark.parametrize(
    ("text", "targets", "reason"),
    [
        (
            "cash 500; 20 AAA @70; BBB @7",
            "AAA 30; BBB 70",
            "underweight by 69.75%; 0.67 of a share over the target, with cash left over",
        ),
        (
            "cash 500; AAA @30; 90 BBB @7",
            "AAA 62; BBB 38",
            "overweight by 17.91%; 0.92 of a share over the target, to sell brings the account no nearer",
        ),
    ],
)
def test_why_a_share_more_is_held_than_wanted(text: str, targets: str, reason: str) -> None:
    assert {trade.symbol: trade.reason for trade in planned(f"DU1 {text}", targets).trades}["BBB"] == reason


@pytest.mark.parametrize("rounds", [1, 2, 6])
def test_costs_that_have_not_settled_are_paid_all_the_same(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    """Six rounds are enough here, and one or two leave the plan less near to its targets, but never short of cash."""
    monkeypatch.setattr(sizing, "COST_ROUNDS", rounds)
    plan = planned(
        "DU1 cash 1999; AAA @25.34/25.86; 9045 BBB @49.49/52.09; 383 CCC @182.28/186; 16974 DDD @5.11",
        "AAA 1.596; BBB 25.532; CCC 25.532; DDD 47.34",
        reserve="1",
    )
    assert len(plan.trades) == 4
    assert plan.cash_after >= plan.cash_reserve


def test_why_half_a_share_too_many_is_not_sold() -> None:
    plan = planned("DU1 cash 33.03; 8 BBB @168.07; 42 AAA @34.59/35.30", "BBB 48.5821; AAA 51.4179", reserve="1")
    assert {skip.symbol: skip.reason for skip in plan.skips}["AAA"] == (
        "0.55 of a share over the target, to sell brings the account no nearer"
    )


def test_cash_that_stays_uninvested_is_told() -> None:
    plan = planned("DU1 cash 1_000; AAA @2_000; BBB @10", "AAA 40; BBB 60")
    assert orders(plan) == ["BUY 60 BBB"]
    assert plan.remarks == ("396.50 stays uninvested: it pays for no whole share that brings the account nearer.",)


def test_cash_that_the_gate_keeps_idle_is_told() -> None:
    plan = planned("DU1 cash 150; 50 AAA @100; 50 BBB @100", "AAA 50; BBB 50", gate="300")
    assert plan.trades == ()
    assert [remark for remark in plan.remarks if remark.startswith("124.63 stays uninvested: the whole plan would")]


def test_a_loan_is_paid_back_by_a_cheap_share_where_rounding_would_keep_a_dear_one() -> None:
    """Plain rounding keeps AAA (0.98 wanted) and would buy BBB (101.7 wanted); the cash that is owed comes from BBB."""
    plan = planned("DU1 cash -5; 1 AAA @1_000; 100 BBB @10", "AAA 49; BBB 51", reserve="0", gate="0")
    assert orders(plan) == ["SELL 1 BBB"]
    assert plan.trades[0].reason == "sold to raise cash, though underweight by 0.87%"


def test_a_share_too_many_is_not_a_reason_to_sell_many() -> None:
    """Else, from where the plan leads, a second one would find other shares to give up."""
    text, targets = "DU1 cash 1262.84; 2 AAA @716.71/717.87; 40 BBB @8.79", "AAA 86.7734; BBB 13.2266"
    account = snapshot(text, targets=targets)
    again = plan_of(fill(plan_of(account, targets, gate="20"), account), targets, gate="20")
    assert again.trades == ()


def limited(text: str, targets: str, policy: Policy = LIMIT) -> Plan:
    return plan_rebalance(allocation(targets), snapshot=snapshot(text, targets=targets), policy=policy)


def test_limit_orders_leave_what_they_may_cost_more_at_their_limits() -> None:
    """At most 99.75 % is invested at market, at limits 99.575 %."""
    deploy = "DU1 cash 50_000; AAA @50; BBB @100"
    assert orders(planned(deploy, "AAA 50; BBB 50")) == ["BUY 499 AAA", "BUY 249 BBB"]
    plan = limited(deploy, "AAA 50; BBB 50")
    assert orders(plan) == ["BUY 249 BBB", "BUY 497 AAA"]
    assert (plan.cash_after, plan.cash_reserve) == (Decimal("246.26"), Decimal("125.00"))
    assert plan.remarks == (
        "87.50 is kept beyond the reserve: at their limits purchases may cost more than their ask.",
    )


def test_what_is_left_for_limits_is_no_cash_for_another_share() -> None:
    """995 cost 49,754.98; of 245.02, 212.48 stays."""
    (trade,) = limited("DU1 cash 50_000; AAA @50", "AAA 100").trades
    assert trade.quantity == 995
    assert trade.reason == (
        "underweight by 99.74%; 2 shares short, not enough cash for one: a share costs 50.00, 32.53 is left"
    )


def test_what_limits_may_cost_is_nothing_to_sell_for() -> None:
    """Cash is at the reserve and everything on target: only a purchase would have to leave more."""
    plan = limited("DU1 cash 250; 498 AAA @100; 499 BBB @100", "AAA 50; BBB 50")
    assert plan.trades == ()


def test_purchases_at_limits_take_what_sales_bring_less_what_is_to_be_left() -> None:
    """Cash of 250 is the reserve; 175 more is to stay."""
    plan = limited("DU1 cash 250; 548 AAA @100; 449 BBB @100", "AAA 50; BBB 50")
    assert orders(plan) == ["SELL 50 AAA", "BUY 48 BBB"]
    assert plan.cash_after == Decimal(448)


def test_the_seeds_plain_rounding_is_cut_by_what_limits_may_cost_and_only_for_purchases() -> None:
    plain = replace(LIMIT, cash_reserve_pct=Decimal(0), min_gain_bp=Decimal(0))
    text, targets = "DU1 cash 10; 900 AAA @100; 100 BBB @100", "AAA 50; BBB 50"
    assert orders(limited(text, targets, plain)) == ["SELL 400 AAA", "BUY 397 BBB"]
    assert limited("DU1 cash 0; 500 AAA @100; 500 BBB @100", targets, plain).trades == ()
