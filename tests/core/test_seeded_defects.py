"""Each check of plans turns red when a planner is wrong on purpose."""

from tests.support import defects
from tests.support.accounts import case_of
from tests.support.judge import broken_rules, given_up, judged, left_owing, planned, three_dear_shares

from ibkr_rebalancer.core.planner import plan_rebalance

TARGETS = "BBB 50; CCC 50"
LOAN = case_of("DU1 cash -5_000; 150 AAA @100; BBB @37", targets="AAA 90; BBB 10")
SWITCH = case_of("DU1 cash 10_000; 300.6 AAA @100; BBB @37/37.02; CCC @81", targets=TARGETS)


def test_the_planner_itself_passes_every_check() -> None:
    verdict = judged(SWITCH, exactly=True)
    assert verdict.broken == []
    assert verdict.overspent == verdict.second_orders == 0
    assert verdict.gap_bp is not None
    assert verdict.gap_bp < 20


def test_overspending_is_found() -> None:
    assert judged(SWITCH, exactly=False, planner=defects.forgets_the_reserve).overspent > 0


def test_a_loan_that_is_paid_back_by_half_is_found() -> None:
    assert left_owing(planned(LOAN), LOAN) == 0
    assert left_owing(defects.goes_half_way(LOAN), LOAN) > 0


def test_names_that_come_off_too_short_are_found() -> None:
    assert given_up(planned(SWITCH), SWITCH) <= three_dear_shares(SWITCH)
    assert given_up(defects.goes_half_way(SWITCH), SWITCH) > three_dear_shares(SWITCH)


def test_a_sale_beyond_whole_shares_is_found() -> None:
    assert broken_rules(defects.sells_fractions_whole(SWITCH), SWITCH)[0] == "sells 301 AAA of 300.6 held"


def test_a_purchase_before_a_sale_is_found() -> None:
    assert broken_rules(defects.buys_before_it_sells(SWITCH), SWITCH) == ["a buy stands before a sell"]


def test_crossing_is_found() -> None:
    assert "two orders in one contract" in broken_rules(defects.sells_and_buys_the_same(SWITCH), SWITCH)


def test_a_second_plan_is_found() -> None:
    assert judged(SWITCH, exactly=False, planner=defects.goes_half_way).wants_again


def test_idle_cash_is_found() -> None:
    gap = judged(SWITCH, exactly=True, planner=defects.buys_nothing).gap_bp
    assert gap is not None
    assert gap > 5_000


def test_a_holding_that_should_have_gone_is_found() -> None:
    assert broken_rules(defects.keeps_what_should_go(SWITCH), SWITCH)[-1].endswith("has no weight and is kept")


def test_a_trade_in_what_is_not_ours_is_found() -> None:
    """The same trades, judged in an account where what they sell is an option."""
    option = case_of("DU1 cash 10_000; 300.6 AAA OPT @100; BBB @37/37.02; CCC @81", targets=TARGETS)
    assert "AAA is not ours to trade" in broken_rules(planned(SWITCH), option)


def test_planning_is_what_is_judged() -> None:
    assert planned(SWITCH) == plan_rebalance(SWITCH.allocation, snapshot=SWITCH.snapshot, policy=SWITCH.policy)
