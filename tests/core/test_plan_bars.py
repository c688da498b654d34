"""The bars for plans, on random accounts of every kind: nothing overspent, no rule broken, near the best there is."""

import time
from functools import cache
from statistics import mean

import pytest
from tests.support.accounts import KINDS, case_of, random_account
from tests.support.judge import Verdict, brute_force_bp, judged, optimum_bp, p95, problem_of, summary

from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Underweight, Unlisted

MEAN_GAP_BP = 5.0
P95_GAP_BP = 20.0
SMALL_KINDS = tuple(kind for kind in KINDS if kind != "large")
ROUND = len(SMALL_KINDS)

pytestmark = [pytest.mark.xdist_group("bars"), pytest.mark.timeout(600), pytest.mark.no_cover]
"""All on one worker, so that the accounts are judged once; watched line by line that would take twice as long."""


def verdicts(first: int, count: int, *, exactly: bool) -> list[Verdict]:
    """`count` accounts, the kinds in turn, numbered from `first`; every second round with rules at random."""
    return [
        judged(random_account(n, kind=SMALL_KINDS[n % ROUND], ruled=is_ruled(n)), exactly=exactly)
        for n in range(first, first + count)
    ]


def is_ruled(number: int) -> bool:
    return number // ROUND % 2 == 1


def told(capsys: pytest.CaptureFixture[str], name: str, found: list[Verdict]) -> None:
    with capsys.disabled():
        print(f"\n{name:8s}", summary(found))  # noqa: T201


@cache
def measured() -> list[Verdict]:
    """Also against the exact optimum."""
    return verdicts(10_000, 120, exactly=True)


@cache
def everything() -> list[Verdict]:
    """A sample of the thousands behind the marker."""
    return measured() + verdicts(0, 240, exactly=False)


def test_no_rule_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "rules", everything())
    assert {str(v.case): v.broken for v in everything() if v.broken} == {}


def test_no_purchase_reaches_into_the_reserve() -> None:
    assert {str(v.case): v.overspent for v in everything() if v.overspent} == {}


def test_once_filled_a_plan_is_not_followed_by_another() -> None:
    assert {str(v.case): v.second_orders for v in everything() if v.wants_again} == {}


def test_plans_come_near_the_exact_optimum(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "optimum", measured())
    gaps = [v.gap_bp for v in measured() if v.gap_bp is not None]
    assert len(gaps) > 0.85 * len(measured())
    assert mean(gaps) <= MEAN_GAP_BP
    assert p95(gaps) <= P95_GAP_BP


def test_the_rules_on_at_random_are_all_of_them() -> None:
    """Each in a fair part of the accounts that are judged, and with the others."""
    cases = [v.case for v in measured() if v.case.ruled]
    counts = {
        "exclude": sum(bool(case.policy.exclude) for case in cases),
        "keep": sum(case.policy.unlisted is Unlisted.KEEP for case in cases),
        "substitutions": sum(bool(case.policy.substitutions) for case in cases),
        "cash": sum(case.policy.underweight is Underweight.CASH for case in cases),
        "buy only": sum(case.purpose.buy_only for case in cases),
        "raise cash": sum(bool(case.purpose.raise_cash) for case in cases),
    }
    assert min(counts.values()) > 5, counts


def test_accounts_of_hundreds_of_names_keep_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    large = [judged(random_account(n, kind="large", ruled=bool(n % 2)), exactly=False) for n in range(5)]
    told(capsys, "large", large)
    assert not [v for v in large if v.broken or v.overspent or v.wants_again]


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_all_bars_hold_on_very_many_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for kind in KINDS:
        numbers = range(50_000, 50_300)
        of_kind = [
            judged(random_account(number, kind=kind, ruled=ruled), exactly=kind != "large")
            for number in numbers
            for ruled in (False, True)
        ]
        told(capsys, kind, of_kind)
        found += of_kind
    told(capsys, "all", found)
    gaps = [v.gap_bp for v in found if v.gap_bp is not None]
    assert not [str(v.case) for v in found if v.broken or v.overspent or v.wants_again]
    assert mean(gaps) <= MEAN_GAP_BP
    assert p95(gaps) <= P95_GAP_BP


def seconds_to_plan(names: int) -> float:
    case = random_account(1, kind="deploy", names=names)
    started = time.perf_counter()
    plan_rebalance(case.allocation, snapshot=case.snapshot, policy=case.policy)
    return time.perf_counter() - started


def test_time_grows_about_as_the_number_of_names() -> None:
    """Quadratic growth would take ten times as long a name at ten times the names."""
    a_name_of_many = min(seconds_to_plan(300) for _ in range(2)) / 300
    assert seconds_to_plan(3_000) / 3_000 < 4 * a_name_of_many


@pytest.mark.long
def test_time_grows_about_as_the_number_of_very_many_names() -> None:
    assert seconds_to_plan(10_000) / 10_000 < 4 * seconds_to_plan(1_000) / 1_000


def test_the_judge_agrees_with_trying_everything() -> None:
    """The exact optimum is what brute force finds, on accounts small enough for it."""
    for text, targets in (
        ("DU1 cash 1_000; AAA @97.3; BBB @41.2/41.4; 3 CCC @150", "AAA 40; BBB 35; CCC 25"),
        ("DU1 cash 210; 4 AAA @97.3; 1 BBB @411; 2 CCC @15/15.4", "AAA 20; BBB 45; CCC 34.5"),
        ("DU1 cash -200; 9 AAA @97.3; 2.6 BBB @41", "AAA 50; BBB 50"),
        ("DU1 cash 900 available 300; 2 AAA @97.3; 3.6 BBB @41; 4 DDD @20", "AAA 50; BBB 50"),
    ):
        problem = problem_of(case_of(text, targets=targets))
        assert optimum_bp(problem, reached_bp=10_000) == pytest.approx(brute_force_bp(problem), abs=0.1)
