"""Sales of what may not be paid for yet: told in a cash account, for what this journal has bought."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.support.notation import NOW
from tests.support.trading import executed, intent, planned, sent, told, tracked

from ibkr_rebalancer.core.evidence import Evidence
from ibkr_rebalancer.core.order_state import TrackedOrder
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.portfolio import Balances
from ibkr_rebalancer.core.settlement import SETTLEMENT_REACH, settlement_remark, settles_on

ACCOUNT, PLAN = planned("DU1 cash 0; 100 OLD @50; 10 KEPT @50; AAA @100", "KEPT 10; AAA 90")
"""On a Monday it sells 100 OLD, and of KEPT none."""
FUNDS = replace(ACCOUNT.portfolio.balances, available_funds=Decimal(100), buying_power=Decimal(100))
DAY_S = 24 * 60 * 60


def traded(order: str, *, days_ago: int, evidence: tuple[Evidence, ...] | None = None) -> TrackedOrder:
    """An order of a few days ago, filled unless `evidence` says something else."""
    made, when = intent(order), -days_ago * DAY_S
    filled = (sent(when), executed(when + 1, "a.01", 100), told(when + 1, "Filled", filled=100))
    expired = replace(made, expires_at=made.expires_at - timedelta(days=days_ago))
    return tracked(expired, *(filled if evidence is None else evidence))


def remark(*orders: TrackedOrder, balances: Balances = FUNDS) -> str | None:
    return settlement_remark(PLAN, orders, balances=balances)


def test_the_story_is_on_a_monday() -> None:
    assert NOW.date() == date(2026, 11, 23)
    assert NOW.weekday() == 0
    assert [trade.symbol for trade in PLAN.trades if trade.side is Side.SELL] == ["OLD"]


@pytest.mark.parametrize(("day", "settles"), [(23, 24), (24, 25), (26, 27), (27, 30), (28, 30), (29, 30)], ids=str)
def test_a_trade_settles_on_the_next_weekday(day: int, settles: int) -> None:
    assert settles_on(date(2026, 11, day)) == date(2026, 11, settles)


@pytest.mark.parametrize(("days_ago", "is_told"), [(0, True), (3, True), (4, False), (7, False)])
def test_what_was_bought_today_or_on_friday_is_told(days_ago: int, is_told: bool) -> None:
    """The Thursday before had settled on Friday."""
    assert (remark(traded("BUY 100 OLD", days_ago=days_ago)) is not None) is is_told
    assert timedelta(days=3) < SETTLEMENT_REACH


def test_without_an_execution_the_day_of_the_session_counts() -> None:
    untold = (sent(0), told(1, "Filled", filled=100))
    assert remark(traded("BUY 100 OLD", days_ago=3, evidence=untold)) is not None
    assert remark(traded("BUY 100 OLD", days_ago=4, evidence=untold)) is None


def test_the_remark_names_what_was_bought_when_and_what_it_does_not_know() -> None:
    text = remark(traded("BUY 100 OLD", days_ago=3), traded("BUY 9 OLD", days_ago=4))
    assert text is not None
    assert text.startswith("In a cash account selling OLD (bought on 2026-11-20) can count as free-riding")
    assert text.endswith("Only what was bought from this state folder is known.")


@pytest.mark.parametrize(
    "harmless",
    [
        traded("SELL 100 OLD", days_ago=0),
        traded("BUY 100 KEPT", days_ago=0),
        traded("BUY 100 OLD", days_ago=0, evidence=(sent(0), told(1, "Cancelled", filled=0))),
    ],
    ids=["sold", "not sold now", "not filled"],
)
def test_anything_else_is_not_told(harmless: TrackedOrder) -> None:
    assert remark(harmless) is None


@pytest.mark.parametrize(
    ("buying_power", "available", "begins"),
    [
        ("100", "100", "In a cash account selling"),
        ("90", "100", "In a cash account selling"),
        (None, "100", "If this is a cash account, selling"),
        ("0", "0", "If this is a cash account, selling"),
        ("400", "100", None),
    ],
)
def test_a_margin_account_is_told_by_its_buying_power(
    buying_power: str | None, available: str, begins: str | None
) -> None:
    power = None if buying_power is None else Decimal(buying_power)
    balances = replace(FUNDS, available_funds=Decimal(available), buying_power=power)
    text = remark(traded("BUY 100 OLD", days_ago=0), balances=balances)
    assert text is None if begins is None else (text or "").startswith(begins)
