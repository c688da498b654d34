"""Plans worked out by hand, one behaviour at a time."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.support.notation import NOW, allocation, con_id, snapshot

from ibkr_rebalancer.core.allocation import parse_allocation
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.quotes import DataKind

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
BLEND_TARGETS = "EDC 21.41; QLD 17.79; QQQ 14.1; BTAL 28.17; SPXL 3.68; TQQQ 14.75"


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
    assert "Of 10000.00 cash the broker lets 1000.00 be spent." in plan.remarks


def test_an_unlisted_fraction_stays_and_is_told() -> None:
    plan = planned("DU1 cash 100; 10.5 OLD @10; AAA @10", "AAA 100")
    assert orders(plan)[0] == "SELL 10 OLD"
    assert plan.trades[0].reason == "not in the targets; 0.5 of a share stays, the gateway sells whole ones"
    assert plan.trades[0].target_quantity == Decimal("0.5")


def test_a_target_with_weight_zero_goes_like_one_that_is_not_listed() -> None:
    plan = planned("DU1 cash 100; 10 OLD @10; AAA @10", "AAA 100; OLD 0")
    assert orders(plan)[0] == "SELL 10 OLD"
    assert plan.trades[0].reason == "target weight 0"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("5 XYZ OPT @3", "OPT positions are never traded"),
        ("-5 XYZ @3", "short positions are never traded"),
        ("5 XYZ EUR @3", "held in EUR, not in the account's currency"),
        ("0.4 XYZ @3", "less than one share, which the gateway does not sell"),
        ("5 XYZ @-", "the gateway gave no bid and ask, no last price and no previous close"),
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
    assert [lot.reason for lot in plan.untouched] == ["its quote is 61 s old, the limit is 60 s (max_quote_age_s)"]
    with pytest.raises(Refused) as caught:
        plan_of(replace(account, quotes=aged), "AAA 100")
    assert caught.value.code == "PRICE_STALE"


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
        ("DU1 cash 1_000; AAA EUR @10", "AAA 100", "CURRENCY_MISMATCH", "AAA trades in EUR"),
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


def test_an_account_without_cash_in_its_currency_can_still_sell() -> None:
    account = snapshot("DU1 cash 0; 100 AAA @10; BBB @10", targets="AAA 50; BBB 50")
    foreign = replace(account.portfolio.balances, cash={"EUR": Decimal(250)})
    plan = plan_of(replace(account, portfolio=replace(account.portfolio, balances=foreign)), "AAA 50; BBB 50")
    assert orders(plan)[0].startswith("SELL 5")
    assert "250.00 EUR in cash is not invested: only USD is." in plan.remarks


def test_a_worth_that_differs_from_the_brokers_is_told() -> None:
    account = snapshot("DU1 cash 1_000; 100 AAA @10; 5 XYZ @-", targets="AAA 100")
    dearer = replace(account.portfolio.balances, net_liquidation=Decimal(2_100))
    plan = plan_of(replace(account, portfolio=replace(account.portfolio, balances=dearer)), "AAA 100")
    assert plan.remarks == ("At these prices the account is worth 2005.00; Interactive Brokers says 2100.00.",)


def test_a_worth_in_several_currencies_is_not_compared() -> None:
    account = snapshot("DU1 cash 1_000; 100 AAA @10; 5 XYZ EUR @3", targets="AAA 100")
    dearer = replace(account.portfolio.balances, net_liquidation=Decimal(2_100))
    assert plan_of(replace(account, portfolio=replace(account.portfolio, balances=dearer)), "AAA 100").remarks == ()


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
    assert reasons["DDD"] == "on target to the nearest share"


def test_a_target_too_dear_for_the_cash_is_skipped_with_its_reason() -> None:
    plan = planned("DU1 cash 1_000; AAA @1_500; BBB @10", "AAA 90; BBB 10")
    assert {s.symbol: s.reason for s in plan.skips} == {
        "AAA": "0.60 of a share under the target, cash goes further elsewhere"
    }


def test_purchases_cut_by_the_cash_say_how_many_are_lacking() -> None:
    plan = planned("DU1 cash 10_000 available 5_000; 1 AAA @100; BBB @4_990", "AAA 50; BBB 50")
    (trade,) = plan.trades
    assert trade.reason.startswith("underweight by ")
    skipped = planned("DU1 cash 10_000 available 10; 1 AAA @100", "AAA 100").skips
    assert [skip.reason for skip in skipped] == ["99 shares under the target, cash goes further elsewhere"]
