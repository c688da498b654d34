"""What is worth telling somebody who is not looking, in which words, and whether it is news to them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ibkr_rebalancer.core.errors import (
    EXIT_DONE,
    EXIT_PARTIAL,
    Deferred,
    Halted,
    RebalancerError,
    Refused,
    UnknownOutcome,
)
from ibkr_rebalancer.core.inbox import Ended, PutOff, Step
from ibkr_rebalancer.core.money import ZERO, amount_text
from ibkr_rebalancer.core.notices import Notice, RunNews, Severity
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report, RunMode
from ibkr_rebalancer.core.runs import COMMAND

LONGEST_TITLE = 100
LONGEST_TEXT = 1_000
"""Characters; what strangers say can be of any length, and some services take little."""

MOST_ORDERS = 10
"""Of those that were not filled, how many are named."""


class Level(Enum):
    """Which notifications are sent."""

    ALL = "all"
    PROBLEMS = "problems"
    """Those that a person may have to do something about, and the end of what they told of."""


class Weight(Enum):
    """What a notification asks of whoever reads it."""

    NEWS = "news"
    PROBLEM = "problem"
    RELIEF = "relief"
    """A problem that was told is over; without one, there is nothing to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the owner wants to be told."""

    level: Level = Level.ALL
    with_amounts: bool = False
    """Whether balances and other amounts of money may be in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Something to tell."""

    topic: str
    """What it is about; of each topic only changes are told."""
    state: str
    """How that is now: as long as it stays the same, it is not told again."""
    title: str
    text: str
    weight: Weight


TOPICS: Mapping[str, tuple[str, str, Weight]] = {
    "watch.start": ("watch", "the watch has started", Weight.NEWS),
    "watch.stop": ("watch", "the watch has stopped", Weight.NEWS),
    "watch.fail": ("watch", "THE WATCH HAS ENDED", Weight.PROBLEM),
    "watch.halt": ("halt", "trading is halted", Weight.PROBLEM),
    "watch.resume": ("halt", "trading is resumed", Weight.RELIEF),
    "gateway.down": ("gateway", "the gateway is lost", Weight.PROBLEM),
    "gateway.up": ("gateway", "the gateway is back", Weight.RELIEF),
    "events.down": ("events", "events are not heard", Weight.PROBLEM),
    "events.degraded": ("events", "events are heard with less certainty", Weight.PROBLEM),
    "events.up": ("events", "events are heard again", Weight.RELIEF),
    "events.gap": ("gap", "events may have been missed", Weight.PROBLEM),
}
"""The notices that are told as they are: their topic, what they are called, and what they weigh."""

AT_EACH = frozenset({"events.gap", "watch.halt"})
"""Of these each one with other words is another one; the others are a condition, however it is worded."""

UNWORTHY = frozenset({"EVENT_SUPERSEDED"})
"""Why an event is not carried out, where another one stands for it."""

HEADINGS: Mapping[int, str] = {
    EXIT_DONE: "done",
    EXIT_PARTIAL: "partly done",
    Deferred.exit_code: "deferred",
    Refused.exit_code: "refused",
    Halted.exit_code: "halted",
    UnknownOutcome.exit_code: "ORDER OUTCOME UNKNOWN",
}
"""What a run came to, by its exit code; the others have failed. What waits before a run has begun is deferred, whatever
it waits for; what a run has left undone is told as that, also if another one follows."""

ORDINARY = frozenset({EXIT_DONE, Deferred.exit_code})
"""Ends that ask nothing of anybody."""

_NUMBER = r"(?<![\w.:/-])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w:/-]|[.,]\d)"
AMOUNT = re.compile(
    rf"(?P<currency>\b[A-Z]{{3}} |[$€£])?(?P<number>{_NUMBER})"
    r"(?P<unit> ?(?:%|bp\b|of a share|shares?\b|hours?\b|minutes?\b|seconds?\b|s\b)| [A-Z]{3}\b)?"
)
"""A number in a sentence, with what stands around it."""


def notification_of(notice: Notice, wishes: Wishes) -> Notification | None:
    """What to tell of a notice, if anything."""
    if notice.news is not None:
        told = _of_a_run(notice, notice.news, wishes)
    elif notice.event in TOPICS:
        told = _as_it_is(notice, wishes)
    else:
        return None
    is_unwanted = told is not None and wishes.level is Level.PROBLEMS and told.weight is Weight.NEWS
    return None if is_unwanted else told


def may_be_told(notice: Notice) -> bool:
    """Whether there can be anything to tell of it; of most notices there is not."""
    return notice.news is not None or notice.event in TOPICS


def is_news(told: Notification, last: Notification | None) -> bool:
    """Whether a notification tells anything after the last one of its topic."""
    if told.weight is Weight.RELIEF:
        return last is not None and last.weight is Weight.PROBLEM
    return last is None or last.state != told.state


def event_news(trigger: str, step: Step, outcome: Report | RebalancerError | None) -> RunNews:
    """What a step says of the event it was taken for, with the outcome it follows from, if there was one."""
    ended_with = step.exit_code if isinstance(step, Ended) else EXIT_DONE
    return RunNews(
        trigger=trigger,
        exit_code=outcome.exit_code if outcome is not None else ended_with,
        code=step.code,
        hint=outcome.hint if outcome is not None else "",
        report=outcome if isinstance(outcome, Report) else None,
        is_put_off=isinstance(step, PutOff),
    )


def run_notice(account: AccountId | None, outcome: Report | RebalancerError) -> Notice:
    """What came of a run that a command asked for, as a notice; without an account, of all of them."""
    news = RunNews(
        trigger=COMMAND,
        exit_code=outcome.exit_code,
        code=outcome.code,
        hint=outcome.hint,
        report=outcome if isinstance(outcome, Report) else None,
    )
    severity = Severity.STEP if outcome.exit_code == EXIT_DONE else Severity.WARNING
    text = outcome.trouble if isinstance(outcome, Report) else outcome.message
    return Notice(event="run.end", text=text, account=account, severity=severity, news=news)


def without_amounts(text: str) -> str:
    """The sentence without amounts of money: numbers of a currency, and those with decimals or thousands that are
    not counted in anything else."""
    return AMOUNT.sub(_hidden, text)


def shortened(text: str, most: int) -> str:
    """No more of a text than that many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _as_it_is(notice: Notice, wishes: Wishes) -> Notification | None:
    topic, title, weight = TOPICS[notice.event]
    state = f"{notice.event} {notice.text}" if notice.event in AT_EACH else notice.event
    return _notification(topic, state, title, [_sentence(notice.text, wishes)], weight)


def _of_a_run(notice: Notice, news: RunNews, wishes: Wishes) -> Notification | None:
    if news.code in UNWORTHY:
        return None
    report = news.report
    is_dry_run = report is not None and report.mode is RunMode.DRY_RUN
    exit_code = Deferred.exit_code if news.is_put_off and report is None else news.exit_code
    weight = Weight.NEWS if exit_code in ORDINARY else Weight.PROBLEM
    heading = HEADINGS.get(exit_code, "failed")
    if news.exit_code == EXIT_DONE and report is None:
        heading = "not carried out"
    if is_dry_run:
        heading = f"dry run {heading}"
    came_of_it = _summary(report) if report is not None else ""
    lines = [came_of_it, *(_unfilled(report) if report is not None else ())]
    if report is None or news.exit_code != EXIT_DONE:
        lines += [_sentence(notice.text, wishes), _sentence(news.hint, wishes)]
    if wishes.with_amounts and report is not None and report.plan is not None:
        plan = report.plan
        worth, cash = amount_text(plan.net_liquidation), amount_text(plan.cash_after)
        lines.append(f"Before it net liquidation {worth} {plan.currency}; cash if all fills {cash} {plan.currency}.")
    did_nothing = report is not None and (is_dry_run or not report.orders) and news.exit_code == EXIT_DONE
    state = came_of_it if did_nothing else f"{news.trigger} {exit_code} {news.code}"
    account = notice.account or ""
    return _notification(f"run of {account}", state, f"{account} {heading}".strip(), lines, weight)


def _summary(report: Report) -> str:
    """What came of a run, in numbers that name no money."""
    plan = report.plan
    trades = plan.trades if plan is not None else ()
    if report.mode is RunMode.DRY_RUN:
        return f"{_orders(len(trades))} would be sent." if trades else "Nothing to do."
    if report.outcome == "nothing-to-do":
        return "Nothing to do."
    filled = {(order.con_id, order.side): ZERO for order in report.orders}
    for order in report.orders:
        filled[order.con_id, order.side] += order.filled
    whole = sum(filled.get((trade.con_id, trade.side), ZERO) >= trade.quantity for trade in trades)
    turnover = ZERO
    if plan is not None and plan.net_liquidation > 0:
        traded = (trade.notional * filled.get((trade.con_id, trade.side), ZERO) / trade.quantity for trade in trades)
        turnover = sum(traded, ZERO) / plan.net_liquidation  # of the plan's own prices: fills may be in any currency
    return f"{whole} of {_orders(len(trades))} filled, turnover {turnover:.1%}."


def _unfilled(report: Report) -> list[str]:
    """The orders of which something was not filled."""
    if report.mode is RunMode.DRY_RUN:
        return []
    short = [order for order in report.orders if order.filled < order.quantity]
    lines = [
        f"{order.side.value} {order.quantity} {order.symbol}: {order.filled} filled, {order.status}."
        for order in short[:MOST_ORDERS]
    ]
    return [*lines, *([f"And {_orders(len(short) - MOST_ORDERS)} more."] if len(short) > MOST_ORDERS else [])]


def _notification(topic: str, state: str, title: str, lines: list[str], weight: Weight) -> Notification:
    text = "\n".join(" ".join(line.split()) for line in lines if line)
    return Notification(topic=topic, state=state, title=f"rebalancer: {title}", text=text or title, weight=weight)


def _sentence(text: str, wishes: Wishes) -> str:
    short = shortened(text, LONGEST_TEXT)
    return short if wishes.with_amounts else without_amounts(short)


def _hidden(found: re.Match[str]) -> str:
    """The number, or what stands in its place if it is an amount of money."""
    currency, number, unit = found["currency"] or "", found["number"], found["unit"] or ""
    of_money = currency.strip() in {"$", "€", "£"} or re.fullmatch(r" [A-Z]{3}", unit)
    looks_like_money = not unit and ("." in number or "," in number)
    return f"{currency}…{unit}" if of_money or looks_like_money else found[0]


def _orders(count: int) -> str:
    return f"{count} order{'' if count == 1 else 's'}"
