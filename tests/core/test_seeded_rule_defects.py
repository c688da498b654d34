"""Each rule of the owner's turns a check of plans red when a planner forgets it."""

from decimal import Decimal

import pytest
from tests.support import defects
from tests.support.accounts import Case, case_of
from tests.support.judge import broken_rules, judged, left_owing, overspent, planned

from ibkr_rebalancer.core.policy import Policy, Substitution, Underweight, Unlisted
from ibkr_rebalancer.core.purpose import Purpose

TARGETS = "BBB 50; CCC 50"
HELD = "DU1 cash 10_000; 300 AAA @100; 100 BBB @37/37.02; CCC @81; DDD @24"
EXCLUDING = case_of(HELD, targets=TARGETS, policy=Policy(exclude=frozenset({"AAA"})))
KEEPING = case_of(HELD, targets=TARGETS, policy=Policy(unlisted=Unlisted.KEEP))
REPLACING = case_of(HELD, targets=TARGETS, policy=Policy(substitutions={"BBB": Substitution(use="DDD")}))
SCALING = case_of(
    HELD, targets=TARGETS, policy=Policy(substitutions={"BBB": Substitution(use="DDD", scale=Decimal("0.4"))})
)
UNDERWEIGHT = case_of(HELD, targets="BBB 25; CCC 25", policy=Policy(underweight=Underweight.CASH))
BUYING = case_of(HELD, targets=TARGETS, purpose=Purpose(buy_only=True))
RAISING = case_of(HELD, targets=TARGETS, purpose=Purpose(raise_cash=Decimal(12_000)))


@pytest.mark.parametrize("case", [EXCLUDING, KEEPING, REPLACING, SCALING, UNDERWEIGHT, BUYING, RAISING])
def test_the_planner_itself_passes_every_check(case: Case) -> None:
    verdict = judged(case, exactly=True)
    assert verdict.broken == []
    assert verdict.overspent == verdict.second_orders == left_owing(planned(case), case) == 0
    assert verdict.orders
    assert verdict.gap_bp is not None
    assert verdict.gap_bp < 20


def test_a_sale_of_what_is_excluded_is_found() -> None:
    assert broken_rules(defects.ignores_what_is_excluded(EXCLUDING), EXCLUDING) == ["AAA is not ours to trade"]


def test_a_loan_on_what_is_excluded_is_found() -> None:
    assert overspent(defects.borrows_against_what_is_excluded(EXCLUDING), EXCLUDING) > 20_000


def test_a_sale_of_what_is_kept_is_found() -> None:
    assert broken_rules(defects.sells_what_is_unlisted(KEEPING), KEEPING) == ["AAA is not ours to trade"]


def test_a_purchase_of_what_is_replaced_is_found() -> None:
    assert broken_rules(defects.buys_what_is_replaced(REPLACING), REPLACING) == ["buys BBB, which is replaced"]


def test_a_sale_only_to_buy_the_substitute_is_found() -> None:
    plan = defects.sells_what_is_replaced_to_buy_its_substitute(REPLACING)
    assert broken_rules(plan, REPLACING) == ["sells BBB, which counts as what is bought in its place"]


def test_more_of_a_substitute_than_its_scale_is_found() -> None:
    gap = judged(SCALING, exactly=True, planner=defects.forgets_the_scale).gap_bp
    assert gap is not None
    assert gap > 1_000


def test_cash_that_is_invested_against_the_targets_is_found() -> None:
    gap = judged(UNDERWEIGHT, exactly=True, planner=defects.scales_weights_up).gap_bp
    assert gap is not None
    assert gap > 1_000


def test_a_sale_where_only_purchases_are_wanted_is_found() -> None:
    assert broken_rules(defects.forgets_its_purpose(BUYING), BUYING) == ["sells AAA, and nothing is to be sold"]


def test_cash_that_is_not_raised_is_found() -> None:
    plan = defects.forgets_its_purpose(RAISING)
    assert left_owing(plan, RAISING) > 11_000
    assert overspent(plan, RAISING) > 11_000
