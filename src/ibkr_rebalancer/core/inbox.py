"""What is still to be done about events: per account one run at a time, and which one next. Pure.

An entry is one event for one account. Its state follows from the steps that were taken for it: without any it is due
at once; one that was put off is due again; one that has ended is history. Opening hours and retries only put it off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from ibkr_rebalancer.core.errors import EXIT_DONE, EXIT_PARTIAL, Deferred, RebalancerError
from ibkr_rebalancer.core.events import Event
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.remedies import Remedy, remedy
from ibkr_rebalancer.core.report import Report, RunMode

SHORTEST: Mapping[Remedy, timedelta] = {
    Remedy.TIME: timedelta(seconds=30),
    Remedy.RETURN: timedelta(seconds=5),
    Remedy.PLAN: timedelta(minutes=1),
}
LONGEST: Mapping[Remedy, timedelta] = {
    Remedy.TIME: timedelta(minutes=15),
    Remedy.RETURN: timedelta(minutes=1),
    Remedy.PLAN: timedelta(minutes=1),
}
"""Between two tries: doubling from the shortest to the longest."""

LONGEST_SESSION = timedelta(hours=12)
"""For how long a reason is given time that keeps it from being known whether the session has ended."""

OPEN_UNKNOWN = timedelta(hours=1)
"""Until a closed market is looked at again, of which the gateway does not say when it opens."""

MOST_NEW_PLANS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOff:
    """The event is carried out again later: nothing was sent, or all that was is proven to have ended."""

    at: datetime
    due: datetime
    remedy: Remedy
    code: str
    """The reason code of why."""
    text: str
    run_id: str
    """The run that was made; empty if none had begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Nothing more is done about the event for this account."""

    at: datetime
    code: str
    """The reason code; empty if all went well."""
    text: str
    exit_code: int
    run_id: str
    """The run that carried it out; empty if none had begun."""


Step = PutOff | Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event for one account, and what has been done about it."""

    event: Event
    account: AccountId
    steps: tuple[Step, ...]
    """Oldest first."""

    @property
    def waits_until(self) -> datetime | None:
        """When it is due again; None if it was never put off, or has ended."""
        match self.steps:
            case (*_, PutOff(due=due)):
                return due
            case _:
                return None

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be carried out by now; at once if nothing has been done about it, wherever clocks stand."""
        return not self.steps or (self.waits_until is not None and self.waits_until <= now)

    def put_off(self, *helps: Remedy) -> tuple[PutOff, ...]:
        """The steps that waited for one of these, oldest first."""
        return tuple(step for step in self.steps if isinstance(step, PutOff) and step.remedy in helps)

    def tries(self, *helps: Remedy) -> tuple[PutOff, ...]:
        """The same since it waited for an open last, newest first: with each session, tries begin anew."""
        lately = takewhile(lambda step: step.remedy is not Remedy.OPEN, reversed(self.put_off(*Remedy)))
        return tuple(step for step in lately if step.remedy in helps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What to do for one account."""

    next: Entry | None
    """To be carried out now."""
    dropped: Sequence[tuple[Entry, Ended]]
    """Not to be carried out at all, and why."""
    wake: datetime | None
    """When the first of those is due that wait."""


def agenda(pending: Sequence[Entry], *, carried_out: datetime | None, max_age: timedelta, now: datetime) -> Agenda:
    """What to do for an account with these pending entries.

    The newest event wins: whatever the older ones announced is in the targets that are fetched for it. A pending
    rebalance is never displaced by a dry run; a dry run that is due together with one would show nothing more.

    `carried_out` is where the newest event stands (`Event.stands_at`) for which the account was rebalanced.
    """
    dropped: list[tuple[Entry, Ended]] = []
    kept: dict[RunMode, Entry] = {}

    def drop(entry: Entry, code: str, text: str) -> None:
        dropped.append((entry, Ended(at=now, code=code, text=text, exit_code=EXIT_DONE, run_id="")))

    for entry in sorted(pending, key=_in_order, reverse=True):
        event = entry.event
        age = event.received - event.published
        if age > max_age and not entry.steps:
            hours = age.total_seconds() / 3600
            drop(entry, "EVENT_TOO_OLD", f"It was published {hours:.1f} hours before it was received.")
        elif event.mode in kept or (carried_out is not None and event.stands_at < carried_out):
            drop(entry, "EVENT_SUPERSEDED", "A newer event of the account stands for it.")
        else:
            kept[event.mode] = entry
    due = {mode: entry for mode, entry in kept.items() if entry.is_due(now)}
    waiting = [entry.waits_until for mode, entry in kept.items() if mode not in due and entry.waits_until is not None]
    if len(due) > 1:
        drop(due.pop(RunMode.DRY_RUN), "EVENT_SUPERSEDED", "A rebalance of the account is due at the same time.")
    return Agenda(next=next(iter(due.values()), None), dropped=dropped, wake=min(waiting, default=None))


def step_after(
    entry: Entry,
    outcome: Report | RebalancerError,
    *,
    open_delay: timedelta,
    now: datetime,
) -> Step:
    """What becomes of an entry whose run came to this."""
    if isinstance(outcome, Report):
        return _after_report(entry, outcome, now)
    helps = remedy(outcome)
    if not _can_help(entry, helps, outcome, now):
        return Ended(at=now, code=outcome.code, text=outcome.message, exit_code=outcome.exit_code, run_id="")
    match outcome:
        case Deferred(until=datetime() as until) if helps is Remedy.OPEN:
            due = max(until + open_delay, now + SHORTEST[Remedy.TIME])  # our clock may be ahead of the market's
        case _ if helps is Remedy.OPEN:
            due = now + OPEN_UNKNOWN
        case _:
            due = now + _pause(entry, helps)
    return PutOff(at=now, due=due, remedy=helps, code=outcome.code, text=outcome.message, run_id="")


def told(entry: Entry, step: Step) -> str:
    """A sentence about a step."""
    what = f"event {entry.event.event_id} for {entry.account}"
    match step:
        case PutOff(remedy=Remedy.RESTART, text=text):
            return f"Goes on with the next start: {what}. {text}"
        case PutOff(due=due, text=text):
            return f"Put off until {due:%Y-%m-%d %H:%M:%S} UTC: {what}. {text}"
        case Ended(exit_code=code, text="") if code == EXIT_DONE:
            return f"Done: {what}"
        case Ended(exit_code=code, text=text) if code == EXIT_DONE:
            return f"Not carried out: {what}. {text}"
        case _:
            return f"Failed: {what}. {step.text}"


def _after_report(entry: Entry, report: Report, now: datetime) -> Step:
    """A run of which all orders are proven to have ended may be followed by one for the rest."""
    helps = Remedy.PERSON
    if report.exit_code == EXIT_PARTIAL:
        helps = Remedy.RESTART if report.outcome == "interrupted" else Remedy.PLAN
    text = report.trouble or _shortcoming(report)
    if helps is Remedy.PERSON or (helps is Remedy.PLAN and len(entry.put_off(helps)) >= MOST_NEW_PLANS):
        return Ended(at=now, code=report.code, text=text, exit_code=report.exit_code, run_id=report.run_id)
    due = now + _pause(entry, helps)
    return PutOff(at=now, due=due, remedy=helps, code=report.code, text=text, run_id=report.run_id)


def _shortcoming(report: Report) -> str:
    """What a run lacks that met no trouble, as a sentence; empty if it lacks nothing."""
    if report.exit_code == EXIT_DONE:
        return ""
    filled = sum(order.filled for order in report.orders)
    planned = sum(trade.quantity for trade in report.plan.trades) if report.plan else 0
    so_far = f"{filled} of {planned} planned shares were bought or sold"
    match report.outcome:
        case "interrupted":
            return f"It was told to stop: {so_far}, and no order of it is open."
        case "partial":
            return f"It was not filled in full: {so_far}, and no order of it is open."
        case outcome:
            return f"Its outcome is {outcome}: {so_far}, as far as the broker has said."


def _can_help(entry: Entry, helps: Remedy, error: RebalancerError, now: datetime) -> bool:
    match helps:
        case Remedy.PERSON:
            return False
        case Remedy.TIME:
            tried = entry.tries(helps)
            return not tried or now - tried[-1].at < LONGEST_SESSION
        case Remedy.OPEN if isinstance(error, Deferred):
            return not _was_tried_before(entry, error.closed_at)
        case _:
            return True


def _was_tried_before(entry: Entry, closed_at: datetime | None) -> bool:
    """Whether the session that has ended by now was the one in which a passing reason was to pass."""
    tried = entry.tries(Remedy.TIME, Remedy.PLAN)
    return closed_at is not None and any(step.at < closed_at for step in tried)


def _pause(entry: Entry, helps: Remedy) -> timedelta:
    """Before the next try; none after a restart."""
    if helps not in SHORTEST:
        return timedelta(0)
    doubled: timedelta = SHORTEST[helps] * 2 ** min(len(entry.tries(helps)), 16)
    return min(doubled, LONGEST[helps])


def _in_order(entry: Entry) -> tuple[datetime, str, str]:
    return entry.event.stands_at, entry.event.serial, entry.event.event_id
