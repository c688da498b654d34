"""Money of several currencies: sized together at the account's rates, spent each on its own names, never lent."""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support import defects
from tests.support.accounts import Case, case_of, random_account
from tests.support.judge import brute_force_bp, judged, left_owing, optimum_bp, overspent, planned, problem_of
from tests.support.notation import RATES, allocation, fill, snapshot
from tests.support.trading import executed, intent, tracked
from tests.support.trading import planned as planned_on

from ibkr_rebalancer.core.checks import require_same
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.funds import cash_disagrees, disagreeing
from ibkr_rebalancer.core.limits import activity_of, breaches
from ibkr_rebalancer.core.order_state import order_state
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Limits, Policy, Underweight
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.purchases import cash_after_fills, plan_purchases

ZERO = Decimal(0)
MIXED = "USD1 50; EUR1 EUR 50"
TWO = "DU1 cash 5_000 EUR 5_000; AAA @10; BBB EUR @10"
HALVES = "AAA 50; BBB 50"

abroad = st.builds(
    lambda seed, names: random_account(seed, kind="abroad", names=names), st.integers(0, 10**9), st.integers(3, 12)
)


def orders(plan: Plan) -> list[str]:
    return [f"{trade.side.value} {trade.quantity} {trade.symbol}" for trade in plan.trades]


def plan_of(text: str, targets: str, policy: Policy | None = None) -> Plan:
    return planned(case_of(text, targets=targets, policy=policy))


def cash_after(plan: Plan) -> Mapping[str, Decimal]:
    return {line.currency: line.cash_after for line in plan.cash_by_currency}


def test_ideals_are_those_of_the_whole_account_and_each_currency_buys_its_own() -> None:
    """10,500 dollars in all, so 5,233 for each without reserve and costs: all 5,000 dollars, and 475.7 shares at 11."""
    plan = plan_of(TWO, HALVES, Policy(min_gain_bp=ZERO))
    assert orders(plan) == ["BUY 476 BBB", "BUY 498 AAA"]
    euro = next(trade for trade in plan.trades if trade.symbol == "BBB")
    assert (euro.currency, euro.rate) == ("EUR", Decimal("1.1"))
    assert [euro.price, euro.notional] == [10, 5_236]
    assert euro.commission == Decimal("4.76")
    assert plan.commission == Decimal("4.76") * Decimal("1.1") + Decimal("2.49")
    assert cash_after(plan) == {"USD": Decimal("17.51"), "EUR": Decimal("235.24")}
    assert plan.cash_after == Decimal("17.51") + Decimal("235.24") * Decimal("1.1")


def test_the_reserve_is_split_as_the_targets_are() -> None:
    plan = plan_of(TWO, "AAA 20; BBB 80", Policy(cash_reserve_pct=Decimal(1)))
    dollars, euros = plan.cash_by_currency
    whole = plan.net_liquidation / 100
    assert dollars.cash_reserve == pytest.approx(whole / 5, rel=Decimal("0.01"))
    assert euros.cash_reserve * euros.rate == pytest.approx(whole * 4 / 5, rel=Decimal("0.01"))


def test_where_nothing_is_wanted_the_reserve_is_the_base_currencys() -> None:
    policy = Policy(underweight=Underweight.CASH, cash_reserve_pct=Decimal(1))
    plan = plan_of("DU1 cash 1_000; 100 AAA @10; 100 BBB EUR @10", "AAA 0; BBB 0", policy)
    assert orders(plan) == ["SELL 100 BBB", "SELL 100 AAA"]
    dollars, euros = plan.cash_by_currency
    assert dollars.currency == "USD"
    assert euros.cash_reserve == 0
    assert dollars.cash_reserve == pytest.approx(plan.net_liquidation / 100, rel=Decimal("0.01"))


def test_a_reserve_that_all_together_cannot_bring_is_filled_by_each_as_far_as_it_goes() -> None:
    """It goes by net liquidation, of which most is excluded here."""
    policy = Policy(cash_reserve_pct=Decimal(5), exclude=frozenset({"ZZZ"}))
    plan = plan_of("DU1 cash 0 EUR 0; 10 AAA @100; 10 BBB EUR @100; 100 ZZZ @1_000", HALVES, policy)
    assert orders(plan) == ["SELL 10 BBB", "SELL 10 AAA"]
    assert all(0 < line.cash_after < line.cash_reserve for line in plan.cash_by_currency)


def test_what_lacks_in_one_currency_is_told_with_what_to_convert() -> None:
    plan = plan_of("DU1 cash 9_000 EUR 1_000; AAA @10; BBB EUR @10", HALVES)
    (remark,) = [text for text in plan.remarks if "convert" in text]
    assert remark.startswith("EUR lacks cash for its targets, and no currency is converted here: convert about 3,9")
    assert " USD to EUR, which gives about 3,5" in remark
    assert orders(plan)[1] == "BUY 98 BBB"


def test_a_currency_in_which_nothing_is_wanted_keeps_no_reserve_and_counts_as_worth() -> None:
    plan = plan_of("DU1 cash 1_000 EUR 10_000; BBB EUR @10", "BBB 100")
    dollars, euros = plan.cash_by_currency
    assert [dollars.cash, dollars.cash_after, dollars.cash_reserve] == [1_000, 1_000, 0]
    assert euros.cash_after >= euros.cash_reserve > 0
    assert "1,000.00 USD in cash buys nothing: nothing that is managed is in USD." in plan.remarks
    assert plan.trades[0].weight_target > Decimal("0.99")


def test_a_loan_is_paid_back_by_sales_in_its_own_currency() -> None:
    """The dollars could buy euros, but nobody here converts any."""
    plan = plan_of("DU1 cash 5_000 EUR -1_000; 300 AAA @10; 300 BBB EUR @10", HALVES)
    sold = next(trade for trade in plan.trades if trade.side is Side.SELL)
    assert (sold.symbol, sold.quantity) == ("BBB", 102)
    assert sold.reason.startswith("sold to raise cash")
    assert cash_after(plan)["EUR"] > 0


def test_a_loan_that_nothing_can_pay_back_is_not_made_larger() -> None:
    plan = plan_of("DU1 cash 9_000 EUR -1_000; AAA @10; BBB EUR @10", HALVES)
    assert orders(plan) == ["BUY 394 AAA"]
    assert cash_after(plan)["EUR"] == -1_000


def test_a_sale_that_has_filled_leaves_money_that_still_counts() -> None:
    """The dollars' ideals are the same before and after a name in euros is gone for good."""
    case = case_of("DU1 cash 5_000; 100 SAP EUR @20; AAA @10; BBB @10", targets="AAA 60; BBB 40")
    first = planned(case)
    assert "SELL 100 SAP" in orders(first)
    second = planned(replace(case, snapshot=fill(first, case.snapshot)))
    assert second.trades == ()
    assert abs(second.skips[0].weight_target - first.trades[-1].weight_target) < Decimal("0.3")


def test_a_share_that_brings_no_more_than_its_commission_is_kept() -> None:
    """35.6 of the 36 are wanted; to sell one brings three euros, and costs as much."""
    plan = plan_of("DU1 cash 9_875.7 EUR 5; 36 BBB EUR @3; AAA @10", "AAA 98.822; BBB 1.178")
    assert [order.split()[2] for order in orders(plan)] == ["AAA"]


@pytest.mark.parametrize("text", [TWO, "DU1 cash 5_000 EUR -100; 50 AAA @10.01/10.03; 90 BBB EUR @9.97/10.02"])
def test_whatever_currency_the_books_are_in_the_trades_are_the_same(text: str) -> None:
    account = snapshot(text, targets=HALVES)
    in_dollars = plan_rebalance(allocation(HALVES), snapshot=account, policy=Policy())
    in_euros = plan_rebalance(allocation(HALVES), snapshot=kept_in_euros(account), policy=Policy())
    assert sorted(orders(in_euros)) == sorted(orders(in_dollars))
    assert in_euros.currency == "EUR"
    after = cash_after(in_euros)
    assert {c: pytest.approx(amount) for c, amount in after.items()} == cash_after(in_dollars)


def kept_in_euros(account: Snapshot) -> Snapshot:
    """The same account with its books in euros."""
    old = account.portfolio.balances
    rate = RATES["EUR"]
    balances = replace(
        old,
        currency="EUR",
        net_liquidation=old.net_liquidation / rate,
        total_cash=old.total_cash / rate,
        available_funds=old.available_funds / rate,
        exchange_rates={"USD": 1 / rate, "EUR": Decimal(1), "CAD": RATES["CAD"] / rate},
    )
    return replace(account, portfolio=replace(account.portfolio, balances=balances))


def test_a_target_without_a_rate_is_refused() -> None:
    account = snapshot(TWO, targets=HALVES)
    balances = replace(account.portfolio.balances, cash={"USD": Decimal(5_000)}, exchange_rates={})
    with pytest.raises(Refused) as caught:
        plan_rebalance(
            allocation(HALVES),
            snapshot=replace(account, portfolio=replace(account.portfolio, balances=balances)),
            policy=Policy(),
        )
    assert caught.value.code == "EXCHANGE_RATE_MISSING"
    assert caught.value.message == "BBB trades in EUR, and the gateway gives no exchange rate from that to USD."


def test_what_is_quoted_in_pence_is_not_traded() -> None:
    account = snapshot("DU1 cash 5_000; 10 OLD @10; AAA @10", targets="AAA 100")
    pence = {con_id: replace(contract, price_magnifier=100) for con_id, contract in account.contracts.items()}
    told = "its prices are told in 1/100 USD, which nothing here trades in"
    held = {h.position.con_id for h in account.portfolio.holdings}
    only_held = {con_id: pence[con_id] if con_id in held else account.contracts[con_id] for con_id in pence}
    plan = plan_rebalance(allocation("AAA 100"), snapshot=replace(account, contracts=only_held), policy=Policy())
    assert [(lot.symbol, lot.reason) for lot in plan.untouched] == [("OLD", told)]
    with pytest.raises(Refused) as caught:
        plan_rebalance(allocation("AAA 100"), snapshot=replace(account, contracts=pence), policy=Policy())
    assert (caught.value.code, caught.value.message) == ("PRICE_UNIT", f"AAA cannot be planned: {told}.")


@settings(max_examples=60)
@given(abroad)
@example(random_account(64869, kind="abroad", names=7))  # one name alone has to bring all euros, its commission too
def test_what_is_spent_is_there_in_its_own_currency_and_no_loan_grows(case: Case) -> None:
    plan = planned(case)
    assert overspent(plan, case) == left_owing(plan, case) == 0
    own = case.snapshot.portfolio.balances.cash
    for line in plan.cash_by_currency:
        moved = sum(
            (
                (t.notional / t.rate if t.side is Side.SELL else -t.notional / t.rate) - t.commission
                for t in plan.trades
                if t.currency == line.currency
            ),
            ZERO,
        )
        assert line.cash_after == pytest.approx(line.cash + moved)
        assert line.cash <= own.get(line.currency, ZERO)
        assert line.cash_after >= min(ZERO, line.cash)


def test_the_judge_of_several_currencies_agrees_with_trying_everything() -> None:
    case = case_of("DU1 cash 400 EUR 300; AAA @97; 1 BBB EUR @61; 2 CCC EUR @40", targets="AAA 40; BBB 35; CCC 25")
    problem = problem_of(case)
    assert optimum_bp(problem, reached_bp=10_000) == pytest.approx(brute_force_bp(problem), abs=0.1)


UNEVEN = case_of("DU1 cash 9_000 EUR 1_000; AAA @10; BBB EUR @10", targets=HALVES)


def test_a_planner_that_spends_one_currency_on_another_is_found() -> None:
    assert overspent(planned(UNEVEN), UNEVEN) == 0
    assert overspent(defects.pays_euros_with_dollars(UNEVEN), UNEVEN) > 0


def test_a_planner_that_takes_every_currency_for_its_own_is_found() -> None:
    case = case_of("DU1 cash 5_000 CAD 7_000; AAA @10; BBB CAD @10", targets=HALVES)
    right = judged(case, exactly=True)
    wrong = judged(case, exactly=True, planner=defects.forgets_the_rates)
    assert right.gap_bp is not None
    assert wrong.gap_bp is not None
    assert right.gap_bp < 20
    assert wrong.gap_bp > 500


# What is bought, counted and told once orders are out


def test_purchases_are_cut_in_the_currency_that_lacks() -> None:
    account, plan = planned_on(TWO, HALVES)
    cash = {"USD": Decimal(5_000), "EUR": Decimal(1_000)}
    found = plan_purchases(plan, cash=cash, available_funds=Decimal(99_999), snapshot=account, policy=Policy())
    printed = {trade.symbol: trade.quantity for trade in plan.trades}
    assert {t.symbol: t.quantity for t in found.trades} == {"AAA": printed["AAA"], "BBB": 99}
    (cut,) = found.adjustments
    assert cut.symbol == "BBB"
    assert cut.reason.startswith("994.0")
    assert " EUR can be spent, and all purchases in EUR would cost 4,7" in cut.reason


def test_what_the_broker_lets_be_spent_is_shared_by_all_currencies() -> None:
    account, plan = planned_on(TWO, HALVES)
    cash = {"USD": Decimal(5_000), "EUR": Decimal(5_000)}
    found = plan_purchases(plan, cash=cash, available_funds=Decimal(5_000), snapshot=account, policy=Policy())
    paid = {t.currency: t.notional + t.commission * t.rate for t in found.trades}
    assert sum(paid.values()) <= 5_000
    assert min(paid.values()) > 2_300


def test_the_ledger_is_kept_by_currency() -> None:
    buy = replace(intent("BUY 10 BBB", currency="EUR"), rate=Decimal("1.1"))
    order = tracked(buy, executed(1, "a.01", 10, "20"))
    before = {"USD": Decimal(100), "EUR": Decimal(500)}
    after = cash_after_fills(before, [(order, order_state(order))])
    assert after == {"USD": Decimal(100), "EUR": Decimal(297)}  # three euros are the least that is charged
    (counted,) = [activity_of([order], day=buy.expires_at.date()).notional]
    assert counted == 220


def test_the_brokers_cash_is_compared_in_each_currency() -> None:
    balances = snapshot("DU1 cash 10_000 EUR 500; AAA @10", targets="AAA 100").portfolio.balances
    assert disagreeing({"USD": Decimal(10_000), "EUR": Decimal("495.5")}, balances) == []  # 5.275 dollars are near
    off = {"USD": Decimal(10_000), "EUR": Decimal(400)}
    assert disagreeing(off, balances) == ["EUR"]
    assert "there should be 400.00 EUR; the broker says 500.00 EUR in cash." in cash_disagrees(off, balances).message


def test_a_limit_in_money_is_measured_in_the_accounts_currency() -> None:
    account, plan = planned_on(TWO, HALVES)
    euros = next(trade for trade in plan.trades if trade.currency == "EUR")
    assert euros.quantity * euros.price < 5_000 < euros.notional
    policy = Policy(limits=Limits(max_order_value=Decimal(5_000)))
    (breach,) = breaches(plan, snapshot=account, policy=policy, activity=activity_of([], day=account.taken_at.date()))
    assert (breach.limit, breach.measured) == ("max_order_value", euros.notional)


def test_cash_that_has_changed_its_currency_meanwhile_is_a_change() -> None:
    account, plan = planned_on(TWO, HALVES)
    moved = replace(account.portfolio.balances, cash={"USD": Decimal(3_900), "EUR": Decimal(6_000)})
    with pytest.raises(Refused, match=r"now 3,900\.00; EUR cash was 5,000\.00, is now 6,000\.00"):
        require_same(plan, replace(account, portfolio=replace(account.portfolio, balances=moved)), anew=plan)


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        ({"EUR": Decimal("1.1055")}, None),
        ({"EUR": Decimal("1.1056")}, "EUR rate was 1.1, is now 1.1056. "),
        ({}, "EUR rate was 1.1, is now missing. "),
    ],
)
def test_a_rate_may_move_as_a_price_may(rates: Mapping[str, Decimal], told: str | None) -> None:
    account, plan = planned_on(TWO, HALVES)
    moved = replace(account.portfolio.balances, exchange_rates=rates)
    fresh = replace(account, portfolio=replace(account.portfolio, balances=moved))
    if told is None:
        require_same(plan, fresh, anew=plan)
    else:
        with pytest.raises(Refused, match=re.escape(told)):
            require_same(plan, fresh, anew=plan)
