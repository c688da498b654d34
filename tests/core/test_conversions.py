"""Money that lacks in its currency: what the plan names to be converted is there, and once it is, all goes well."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.accounts import Case, case_of, random_account
from tests.support.judge import costs_of, planned, problem_of
from tests.support.notation import fill

from ibkr_rebalancer.core.conversions import Conversion, conversions
from ibkr_rebalancer.core.managed import sort_holdings
from ibkr_rebalancer.core.money import BASIS_POINT
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose
from ibkr_rebalancer.core.sizing import purses_of, size_positions
from ibkr_rebalancer.core.targets import own_targets

ZERO = Decimal(0)
DUST = Decimal("1e-9")
HALVES = "SPY 50; VWCE 50"
DEPOSIT = case_of("DU1 cash 60_000 EUR 0; 10 SPY EUR @550; 20 VWCE @120", targets=HALVES)
NEARLY_ALL_VWCE = "DU1 cash 1_000 EUR 0; 500 VWCE @120; SPY EUR @550"
STUCK = case_of("DU1 cash 200 EUR 0; 49 SPY EUR @550; 50 VWCE @120", targets="SPY 90; VWCE 10")

abroad = st.builds(
    lambda seed, names, ruled: random_account(seed, kind="abroad", names=names, ruled=ruled),
    st.integers(0, 10**9),
    st.integers(3, 12),
    st.booleans(),
)


def orders(plan: Plan) -> list[str]:
    return [f"{trade.side.value} {trade.quantity} {trade.symbol}" for trade in plan.trades]


def notes(plan: Plan) -> list[str]:
    return [text for text in plan.remarks if "lacks" in text]


def filled(case: Case, plan: Plan) -> Case:
    return replace(case, snapshot=fill(plan, case.snapshot))


def exchanges_named(case: Case, plan: Plan) -> Sequence[Conversion]:
    """What the remarks of this plan are made from."""
    targets = own_targets(case.allocation, case.policy)
    names, _ = sort_holdings(targets, snapshot=case.snapshot, policy=case.policy, purpose=case.purpose)
    purses = purses_of(case.snapshot.portfolio, names, case.policy, case.purpose)
    sizing = size_positions(names, purses=purses, nearest=case.policy.rounds_to_nearest)
    return conversions(names, sizing if plan.trades else sizing.held(names, purses), purses).exchanges


def converted(account: Snapshot, exchanges: Sequence[Conversion]) -> Snapshot:
    """The account once a person has made exactly these exchanges, which a broker makes at its rate."""
    balances = account.portfolio.balances
    cash = dict(balances.cash)
    for each in exchanges:
        bought = each.pays * balances.rate(each.source) / balances.rate(each.target)
        cash[each.source] = cash.get(each.source, ZERO) - each.pays
        cash[each.target] = cash.get(each.target, ZERO) + bought
    return replace(account, portfolio=replace(account.portfolio, balances=replace(balances, cash=cash)))


def went_wrong(case: Case, plan: Plan, exchanges: Sequence[Conversion]) -> list[str]:
    """What should not happen when a plan has filled, these exchanges are made and the next plan fills, too."""
    rate = case.snapshot.portfolio.balances.rate
    wrong = [
        f"{each.pays} {each.source} is not {each.brings} {each.target}"
        for each in exchanges
        if abs(each.pays * rate(each.source) - each.brings * rate(each.target)) > DUST
    ]
    after = filled(case, plan)
    ready = replace(after, snapshot=converted(after.snapshot, exchanges))
    problem, then = problem_of(ready), planned(ready)
    had = after.snapshot.portfolio.balances.cash
    for currency, amount in ready.snapshot.portfolio.balances.cash.items():
        if amount < min(ZERO, had.get(currency, ZERO)):
            wrong.append(f"{amount} {currency} is left by the exchange")
    wrong += [f"{c.cash_after} {c.currency}" for c in then.cash_by_currency if c.cash_after < min(c.cash, -DUST)]
    bought = {trade.con_id for trade in plan.trades if trade.side is Side.BUY}
    sources = {each.source for each in exchanges}
    for trade in then.trades:
        more_than_rounding = trade.quantity > 1 and trade.notional > costs_of(then, problem)
        if trade.side is Side.SELL and trade.currency in sources and trade.con_id in bought and more_than_rounding:
            wrong.append(f"sells {trade.quantity} {trade.symbol}, which was just bought")
        if trade.side is Side.SELL and trade.currency in sources and "raise cash" in trade.reason:
            wrong.append(f"sells {trade.symbol} to raise what was converted")
    if then.drift_after > max(then.drift_before, plan.drift_after) + BASIS_POINT:
        wrong.append("targets are further off")
    return wrong


@settings(max_examples=60)
@given(abroad)
@example(DEPOSIT)
@example(STUCK)
def test_who_converts_exactly_what_is_named_comes_nearer_and_owes_nothing(case: Case) -> None:
    """Sales of single shares aside, which were rounded up with cash left over."""
    if case.policy.rounds_to_nearest:  # takes no costs off
        return
    plan = planned(case)
    assert went_wrong(case, plan, exchanges_named(case, plan)) == []


@pytest.mark.parametrize("part", ["pays", "brings"])
def test_an_exchange_named_without_the_rate_is_found(part: str) -> None:
    """Dollars for euros and the other way round: it is the amount in euros that needs one."""
    case = DEPOSIT if part == "brings" else case_of("DU1 cash 0 EUR 60_000; 10 SPY @550; VWCE EUR @120", targets=HALVES)
    plan = planned(case)
    named = exchanges_named(case, plan)
    assert named
    assert went_wrong(case, plan, named) == []
    without = [replace(each, pays=each.worth) if part == "pays" else replace(each, brings=each.worth) for each in named]
    assert went_wrong(case, plan, without)


def test_what_is_named_is_there_once_the_plan_has_filled() -> None:
    """Without sales it is the cash there is, less the reserve in dollars; what lacks even then is told."""
    plan = planned(case_of(NEARLY_ALL_VWCE, targets=HALVES, purpose=Purpose(buy_only=True)))
    assert orders(plan) == []
    first, rest = notes(plan)
    assert "convert about 923.75 USD to EUR, which gives about 839.77 EUR." in first
    assert rest == (
        "EUR lacks about 26,873.78 EUR more for its targets: that would first have to come from sales in other "
        "currencies, which this plan does not make."
    )


def test_what_is_overweight_is_sold_for_what_lacks_in_another_currency() -> None:
    """It brings the targets no nearer before somebody converts; a plan that did not sell would be stuck for ever."""
    plan = planned(case_of(NEARLY_ALL_VWCE, targets=HALVES))
    assert orders(plan) == ["SELL 247 VWCE"]
    (note,) = notes(plan)
    assert note.endswith(" EUR, once the sales in USD are done.")


def test_an_account_gets_from_its_sales_over_the_exchange_to_its_targets() -> None:
    """And between two steps nothing is asked for again."""
    first = planned(STUCK)
    assert orders(first) == ["SELL 20 VWCE"]
    sold = filled(STUCK, first)
    assert orders(planned(sold)) == []
    ready = replace(sold, snapshot=converted(sold.snapshot, exchanges_named(STUCK, first)))
    second = planned(ready)
    assert orders(second) == ["BUY 4 SPY"]
    assert orders(planned(filled(ready, second))) == []


def test_nothing_that_is_wanted_is_sold_for_a_part_of_the_reserve_that_others_have() -> None:
    """Who pays in dollars has the reserve in dollars, until euros are there; these then keep their part."""
    plan = planned(DEPOSIT)
    assert orders(plan) == ["BUY 264 VWCE"]
    dollars, euros = plan.cash_by_currency
    assert euros.cash_after == 0
    assert dollars.cash_after > dollars.cash_reserve + euros.cash_reserve * euros.rate
    ready = filled(DEPOSIT, plan)
    ready = replace(ready, snapshot=converted(ready.snapshot, exchanges_named(DEPOSIT, plan)))
    for line in planned(ready).cash_by_currency:
        assert line.cash_after >= line.cash_reserve


def test_what_one_currency_lacks_of_the_reserve_no_purchase_takes_from_the_others() -> None:
    """A fourth share would come nearer, and leave the dollars' own part: 24 of 29."""
    plan = planned(case_of("DU1 cash 800 EUR 0; 100 AAA EUR @100; BBB @194", targets="AAA 94; BBB 6"))
    assert orders(plan) == ["BUY 3 BBB"]
    dollars, euros = plan.cash_by_currency
    assert euros.cash_after == 0
    assert dollars.cash_after >= dollars.cash_reserve + euros.cash_reserve * euros.rate - DUST


@pytest.mark.parametrize(
    ("cash", "purpose"), [("2_000 EUR -10", REBALANCE), ("20 EUR 5_000", Purpose(raise_cash=Decimal(500)))]
)
def test_a_loan_and_cash_to_be_raised_are_met_by_sales_whatever_others_have(cash: str, purpose: Purpose) -> None:
    plan = planned(case_of(f"DU1 cash {cash}; 100 SPY EUR @100; 100 VWCE @110", targets=HALVES, purpose=purpose))
    assert any(trade.reason.startswith("sold to raise cash") for trade in plan.trades)
    for line in plan.cash_by_currency:
        assert line.cash_after >= (line.cash_reserve if line.cash < 0 or purpose.raise_cash else 0)
