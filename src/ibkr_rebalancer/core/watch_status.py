"""What a running watch last knew, as it lets others know: a fold of its notices. Pure.

What the journal says besides, it need not know: whether trading is halted, which events wait, what was done last for
each account, and between which times messages may have been missed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.inbox import Entry, PutOff, told
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.report import RunMode

LONGEST_SILENCE = timedelta(seconds=60)
"""For how long the working loop of a watch may not have turned; it does so every 5 s."""


class Health(Enum):
    """How well something is that the watch depends on."""

    UP = "up"
    DEGRADED = "degraded"
    """It does what it must, but with less to fall back on."""
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How something is, and since when."""

    health: Health
    since: datetime
    text: str
    """The sentence of the newest notice about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Something that happened, as it was told."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchStatus:
    """What a watch last knew."""

    pid: int
    started: datetime
    beat: datetime
    """When its working loop last turned."""
    mode: TradingMode
    dry_run: bool
    """Whether every event is a dry run."""
    gateway: Condition | None = None
    """None before the first try."""
    events: Condition | None = None
    newest_event: Told | None = None


GATEWAY: Mapping[str, Health] = {"gateway.up": Health.UP, "gateway.down": Health.DOWN}
EVENTS: Mapping[str, Health] = {
    "events.up": Health.UP,
    "events.degraded": Health.DEGRADED,
    "events.down": Health.DOWN,
}
"""The notices that tell of each."""


def noted(status: WatchStatus, notice: Notice, *, at: datetime) -> WatchStatus:
    """The status after a notice; most make no difference."""
    news = Told(at=at, text=notice.text)
    match notice:
        case Notice(event=event) if event in GATEWAY:
            return replace(status, gateway=_condition(status.gateway, GATEWAY[event], news))
        case Notice(event=event) if event in EVENTS:
            return replace(status, events=_condition(status.events, EVENTS[event], news))
        case Notice(event="event.received" | "event.repeated"):
            return replace(status, newest_event=news)
        case _:
            return status


def _condition(before: Condition | None, health: Health, told: Told) -> Condition:
    since = before.since if before is not None and before.health is health else told.at
    return Condition(health=health, since=since, text=told.text)


def headline(status: WatchStatus) -> str:
    """The status in a line, without an account."""
    money = f"{status.mode.value}, {'dry runs only' if status.dry_run else 'rebalancing'}"
    return f"Watching ({money}). Gateway {_said(status.gateway)}. Events {_said(status.events)}."


def _said(condition: Condition | None) -> str:
    if condition is None:
        return "not known yet"
    since = f"{condition.health.value} since {condition.since:%Y-%m-%d %H:%M:%S} UTC"
    return since if condition.health is Health.UP else f"{since}: {condition.text.rstrip('.')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An event that is still to be carried out for an account."""

    account: AccountId
    event_id: str
    mode: RunMode
    due: datetime
    tries: int
    """How often it was put off."""
    code: str
    """The reason code of why it was put off last; empty if it never was."""
    reason: str
    """The same as a sentence."""


def waiting(entry: Entry, *, dry_run: bool) -> Waiting:
    """What a pending entry waits for; `dry_run` is whether every event is one."""
    last = entry.steps[-1] if entry.steps else None
    put_off = last if isinstance(last, PutOff) else None
    return Waiting(
        account=entry.account,
        event_id=entry.event.event_id,
        mode=RunMode.DRY_RUN if dry_run else entry.event.mode,
        due=put_off.due if put_off else entry.event.received,
        tries=len(entry.steps),
        code=put_off.code if put_off else "",
        reason=put_off.text if put_off else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done last about an event for an account, whichever process did it."""

    account: AccountId
    event_id: str
    at: datetime
    code: str
    """The reason code; empty if all went well."""
    text: str


def done(entry: Entry) -> Done:
    """The last step of an entry, which has one."""
    step = entry.steps[-1]
    return Done(
        account=entry.account, event_id=entry.event.event_id, at=step.at, code=step.code, text=told(entry, step)
    )


def require_alive(status: WatchStatus | None, *, watcher: str | None, now: datetime, state: str) -> WatchStatus:
    """The status of a watch that is at work; `watcher` is the process that watches by its lock.

    Raises:
        Refused: there is none (`WATCH_NOT_RUNNING`), or its working loop does not turn (`WATCH_STALLED`).
    """
    heard = f"was heard of last at {status.beat:%Y-%m-%d %H:%M:%S} UTC" if status else "has not been heard of"
    if watcher is None:
        last = f" The last one, pid {status.pid}, {heard}." if status else ""
        raise Refused(
            "WATCH_NOT_RUNNING",
            f"No watch is at work whose state is in {state}.{last}",
            hint="Start it: rebalancer watch. If one is at work, name its state folder with --state.",
        )
    if status is None or abs(now - status.beat) > LONGEST_SILENCE:
        raise Refused(
            "WATCH_STALLED",
            f"The watch ({watcher}) {heard}; it should be every few seconds. Events may not be carried out.",
            hint=f"See its log, and whether there is room in {state}. Then end it and start it again: before it does "
            "anything else, it finds out what became of orders.",
        )
    return status
