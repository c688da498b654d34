"""Readings of payloads and agendas that are wrong in one way each: what the checks of both must catch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ibkr_rebalancer.core.events import mode_of
from ibkr_rebalancer.core.inbox import Agenda, Ended, Entry, agenda
from ibkr_rebalancer.core.report import RunMode

ModeOf = Callable[[object], tuple[RunMode, str]]

TRADES = (RunMode.REBALANCE, "")


def forgives_spelling(data: object) -> tuple[RunMode, str]:
    """Takes capitals and blanks for what was meant."""
    if isinstance(data, dict) and str(data.get("execution")).strip().lower() == "rebalance":
        return TRADES
    return mode_of(data)


def looks_for_the_word(data: object, *_: object) -> tuple[RunMode, str]:
    """Trades on whatever has the word in it."""
    text = data.decode() if isinstance(data, bytes) else str(data)
    return TRADES if "rebalance" in text else mode_of(data)


def gives_no_reason(data: object) -> tuple[RunMode, str]:
    return mode_of(data)[0], ""


def oldest_wins(pending: Sequence[Entry], *, carried_out: datetime | None, max_age: timedelta, now: datetime) -> Agenda:
    """Carries events out one after the other, as a queue would."""
    oldest = min(pending, key=lambda entry: entry.event.published, default=None)
    return agenda([oldest] if oldest else [], carried_out=carried_out, max_age=max_age, now=now)


def newest_of_any_mode_wins(
    pending: Sequence[Entry], *, carried_out: datetime | None, max_age: timedelta, now: datetime
) -> Agenda:
    """Lets a dry run take the place of a rebalance."""
    newest = max(pending, key=lambda entry: entry.event.published, default=None)
    what = agenda([newest] if newest else [], carried_out=carried_out, max_age=max_age, now=now)
    end = Ended(at=now, code="EVENT_SUPERSEDED", text="", exit_code=0, run_id="")
    return replace(what, dropped=[*what.dropped, *[(entry, end) for entry in pending if entry is not newest]])


def forgets_what_was_carried_out(
    pending: Sequence[Entry], *, carried_out: datetime | None, max_age: timedelta, now: datetime
) -> Agenda:
    """Carries out whatever comes late."""
    del carried_out
    return agenda(pending, carried_out=None, max_age=max_age, now=now)


def drops_without_a_word(
    pending: Sequence[Entry], *, carried_out: datetime | None, max_age: timedelta, now: datetime
) -> Agenda:
    """Leaves what is overtaken pending for ever."""
    return replace(agenda(pending, carried_out=carried_out, max_age=max_age, now=now), dropped=[])
