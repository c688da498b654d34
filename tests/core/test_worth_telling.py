"""What is worth telling somebody who is not looking, and in which words."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.core.test_report import FILLED, PLAN, START, orders, report
from tests.support.notation import NOW
from tests.support.trading import executed, sent, told
from tests.support.values import st_of

from ibkr_rebalancer.core.errors import (
    Deferred,
    GatewayUnavailable,
    Halted,
    RebalancerError,
    Refused,
    UnknownOutcome,
)
from ibkr_rebalancer.core.inbox import Ended, PutOff
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.notifications import (
    TOPICS,
    Level,
    Notification,
    Weight,
    Wishes,
    event_news,
    is_news,
    notification_of,
    run_notice,
    shortened,
    without_amounts,
)
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.remedies import Remedy
from ibkr_rebalancer.core.report import Report, dry_run_report, unsent_report

DU1 = AccountId("DU1")
ALL, PROBLEMS, BALANCES = Wishes(), Wishes(level=Level.PROBLEMS), Wishes(with_amounts=True)
ENDED = NOW + timedelta(seconds=9)
DONE = report(orders(FILLED, (sent(2), told(3, "Filled", filled=49))))
HALF = report(
    orders(FILLED, (sent(2), executed(3, "1", 10), told(4, "Cancelled", filled=10))),
    trouble=Refused("LIMIT_MAX_REJECTS", "Cash is 4,321.50 USD.", hint="Look."),
)
DRY = dry_run_report(PLAN, trigger="event", started=NOW, ended=ENDED)


def of_run(outcome: Report | RebalancerError, wishes: Wishes = ALL) -> Notification | None:
    return notification_of(run_notice(DU1, outcome), wishes)


def certain(notification: Notification | None) -> Notification:
    assert notification is not None
    return notification


def test_a_run_that_is_done_is_told_in_numbers_that_name_no_money() -> None:
    told_of = certain(of_run(DONE))
    assert told_of.title == "rebalancer: DU1 done"
    assert told_of.text == "2 of 2 orders filled, turnover 198.0%."
    assert told_of.weight is Weight.NEWS
    assert of_run(DONE, PROBLEMS) is None


def test_balances_are_told_to_those_who_want_them() -> None:
    assert "5,000.00" not in certain(of_run(DONE)).text
    assert certain(of_run(DONE, BALANCES)).text.endswith(
        "Before it net liquidation 5,000.00 USD; cash if all fills 98.00 USD."
    )


def test_a_partial_run_names_what_was_not_filled_and_why() -> None:
    lines = certain(of_run(HALF)).text.splitlines()
    assert lines == [
        "1 of 2 orders filled, turnover 120.0%.",
        "BUY 49 AAA: 10 filled, cancelled.",
        "Cash is … USD.",
        "Look.",
    ]
    assert certain(of_run(HALF)).weight is Weight.PROBLEM
    assert certain(of_run(HALF, BALANCES)).text.splitlines()[2] == "Cash is 4,321.50 USD."


@pytest.mark.parametrize(
    ("error", "heading", "weight"),
    [
        (Deferred("MARKET_CLOSED", "It is closed.", hint="Wait."), "deferred", Weight.NEWS),
        (Refused("LIMIT_MAX_ORDER_VALUE", "Too much.", hint="Look."), "refused", Weight.PROBLEM),
        (Halted("HALTED", "Halted.", hint="Resume."), "halted", Weight.PROBLEM),
        (UnknownOutcome("ORDERS_UNKNOWN", "Nobody knows.", hint="Look."), "ORDER OUTCOME UNKNOWN", Weight.PROBLEM),
        (GatewayUnavailable("GATEWAY_DOWN", "Not there.", hint="Start it."), "failed", Weight.PROBLEM),
    ],
)
def test_what_kept_a_run_from_beginning_is_told_with_what_to_do(
    error: RebalancerError, heading: str, weight: Weight
) -> None:
    told_of = certain(of_run(error))
    assert told_of.title == f"rebalancer: DU1 {heading}"
    assert told_of.text == f"{error.message}\n{error.hint}"
    assert told_of.weight is weight


def test_a_failure_of_all_accounts_names_none() -> None:
    notice = run_notice(None, Refused("CODE", "No.", hint="Look."))
    assert certain(notification_of(notice, ALL)).title == "rebalancer: refused"


def test_a_dry_run_is_told_again_only_when_it_comes_to_something_else() -> None:
    first = certain(of_run(DRY))
    assert (first.title, first.text) == ("rebalancer: DU1 dry run done", "2 orders would be sent.")
    again = certain(of_run(replace(DRY, trigger="another event")))
    assert not is_news(again, first)
    assert is_news(certain(of_run(replace(DRY, plan=replace(PLAN, trades=())))), first)


def test_a_run_that_had_nothing_to_do_is_told_once() -> None:
    idle = unsent_report(START, outcome="nothing-to-do", ended=ENDED, plan=PLAN)
    first = certain(of_run(idle))
    assert (first.title, first.text) == ("rebalancer: DU1 done", "Nothing to do.")
    assert not is_news(certain(of_run(replace(idle, trigger="another event"))), first)
    assert is_news(certain(of_run(DONE)), first)


def event_notice(code: str, *, exit_code: int = 0, outcome: Report | RebalancerError | None = None) -> Notice:
    step = Ended(at=NOW, code=code, text="why", exit_code=exit_code, run_id="")
    return Notice(event="event.step", text="what", account=DU1, news=event_news("event", step, outcome))


def test_an_event_that_another_one_stands_for_is_nothing_to_tell() -> None:
    assert notification_of(event_notice("EVENT_SUPERSEDED"), ALL) is None
    assert certain(notification_of(event_notice("EVENT_TOO_OLD"), ALL)).title == "rebalancer: DU1 not carried out"


def test_a_bug_is_told() -> None:
    told_of = certain(notification_of(event_notice("BUG", exit_code=70), PROBLEMS))
    assert (told_of.title, told_of.text) == ("rebalancer: DU1 failed", "what")


def test_what_is_put_off_for_the_same_reason_again_is_told_once() -> None:
    error = GatewayUnavailable("GATEWAY_DOWN", "Not there.", hint="Start it.")
    step = PutOff(at=NOW, due=ENDED, remedy=Remedy.RETURN, code=error.code, text=error.message, run_id="")
    notice = Notice(event="event.step", text="Put off", account=DU1, news=event_news("event", step, error))
    first = certain(notification_of(notice, ALL))
    assert is_news(first, None)
    assert not is_news(certain(notification_of(replace(notice, text="Put off until later"), ALL)), first)
    assert is_news(certain(notification_of(replace(notice, news=event_news("next event", step, error)), ALL)), first)


def test_what_is_put_off_is_deferred_until_it_has_failed() -> None:
    error = GatewayUnavailable("LINK_DOWN", "Not there.", hint="Wait.")
    waits = PutOff(at=NOW, due=ENDED, remedy=Remedy.RETURN, code=error.code, text=error.message, run_id="")
    fails = Ended(at=NOW, code=error.code, text=error.message, exit_code=error.exit_code, run_id="")
    notice = Notice(event="event.step", text="what", account=DU1, news=event_news("event", waits, error))
    first = certain(notification_of(notice, ALL))
    assert (first.title, first.weight) == ("rebalancer: DU1 deferred", Weight.NEWS)
    assert notification_of(notice, PROBLEMS) is None
    last = certain(notification_of(replace(notice, news=event_news("event", fails, error)), PROBLEMS))
    assert (last.title, last.weight) == ("rebalancer: DU1 failed", Weight.PROBLEM)
    assert is_news(last, first)


def test_what_a_run_has_left_undone_is_told_as_that_also_if_another_one_follows() -> None:
    step = PutOff(at=NOW, due=ENDED, remedy=Remedy.PLAN, code=HALF.code, text="why", run_id=HALF.run_id)
    notice = Notice(event="event.step", text="what", account=DU1, news=event_news("event", step, HALF))
    told_of = certain(notification_of(notice, PROBLEMS))
    assert (told_of.title, told_of.weight) == ("rebalancer: DU1 partly done", Weight.PROBLEM)


@pytest.mark.parametrize("event", TOPICS)
def test_what_is_no_run_is_told_as_it_is(event: str) -> None:
    told_of = certain(notification_of(Notice(event=event, text="so it is"), ALL))
    assert told_of.text == "so it is"
    assert (notification_of(Notice(event=event, text="so it is"), PROBLEMS) is None) == (told_of.weight is Weight.NEWS)


def test_progress_is_nothing_to_tell() -> None:
    assert notification_of(Notice(event="orders.send", text="x", severity=Severity.WARNING), BALANCES) is None


def test_relief_is_told_after_a_problem_only() -> None:
    down, up = (
        certain(notification_of(Notice(event=event, text="x"), ALL)) for event in ("gateway.down", "gateway.up")
    )
    assert not is_news(up, None)
    assert is_news(down, None)
    assert not is_news(replace(down, text="another trouble"), down)
    assert is_news(up, down)
    assert not is_news(up, up)
    assert is_news(down, up)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("an order worth 12,345.60 USD is above 1000 USD", "an order worth … USD is above … USD"),
        ("cash of USD 4321.50, or $17, or -12.5", "cash of USD …, or $…, or …"),
        ("34.5 % of it, 12.30% and 30.5 bp", "34.5 % of it, 12.30% and 30.5 bp"),
        ("20 shares of QQQ 3 times, 1,200 shares", "20 shares of QQQ 3 times, 1,200 shares"),
        ("at 127.0.0.1:4002 since 2026-11-23 15:30:00 UTC", "at 127.0.0.1:4002 since 2026-11-23 15:30:00 UTC"),
        ("published 36.2 hours before", "published 36.2 hours before"),
        (
            "It costs 499.95.",
            "It costs ….",
        ),
        ("event 0a1b2c3d4e5f, run 20261123T153000Z-0a1b", "event 0a1b2c3d4e5f, run 20261123T153000Z-0a1b"),
    ],
)
def test_amounts_of_money_are_left_out(text: str, shown: str) -> None:
    assert without_amounts(text) == shown


def test_what_strangers_say_is_kept_short_and_in_its_line() -> None:
    said = Refused("CODE", "one\r\ntwo\x00\n\n" + "x" * 5000, hint="")
    assert certain(of_run(said)).text.splitlines()[0].startswith("one two")
    assert shortened("x" * 5000, 1000) == "x" * 999 + "…"
    assert shortened("x", 1) == "x"


@settings(max_examples=30)
@given(st_of(Report), st.sampled_from([ALL, PROBLEMS]))
def test_whatever_comes_of_a_run_telling_it_fails_for_no_reason(outcome: Report, wishes: Wishes) -> None:
    """It is told in the middle of trading."""
    plan = outcome.plan
    assume(plan is None or all(trade.quantity > 0 for trade in plan.trades))
    told_of = of_run(outcome, wishes)
    assert told_of is None or told_of.title
