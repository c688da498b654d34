"""A contract's regular sessions, read from the gateway's `liquidHours` and asked about one moment. Pure.

The wire form is `20261123:0930-20261123:1600;20261124:CLOSED`, in the zone the contract names (`timeZoneId`);
an older form repeats only the time (`20261123:0930-1600`). Source: TWS API, ContractDetails.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One stretch of regular trading; both ends are aware UTC, the end is exclusive."""

    opens: datetime
    closes: datetime


def parse_liquid_hours(liquid_hours: str, *, time_zone: str) -> tuple[Session, ...] | None:
    """The sessions in `liquid_hours`, in time order; closed days have none.

    None when the text, or its zone, cannot be read: then nobody knows whether the market is open.
    """
    try:
        zone = ZoneInfo(time_zone)
        spans = [span for span in liquid_hours.split(";") if span and not span.endswith(":CLOSED")]
        sessions = [_session(span, zone) for span in spans]
    except (ValueError, OverflowError, OSError, ZoneInfoNotFoundError):  # a zone is looked up as a file name
        return None
    return tuple(sorted(sessions, key=lambda session: session.opens)) if liquid_hours else None


def session_at(sessions: Sequence[Session], *, at: datetime) -> Session | None:
    """The session that `at` lies in; None while the market is closed."""
    return next((session for session in sessions if session.opens <= at < session.closes), None)


def is_open(sessions: Sequence[Session], *, at: datetime) -> bool:
    """Whether `at` lies in one of the sessions."""
    return session_at(sessions, at=at) is not None


def next_open(sessions: Sequence[Session], *, after: datetime) -> datetime | None:
    """When the first session later than `after` opens, if the gateway told us of one."""
    return min((session.opens for session in sessions if session.opens > after), default=None)


def next_open_of_all(calendars: Collection[Sequence[Session]], *, after: datetime) -> datetime | None:
    """When all of these contracts, of which one is closed, are open next at the same time.

    Where the sessions that the gateway told of show no such time, it is when the last of those that are closed opens
    next; None if nobody knows that of one.
    """
    opens = sorted({session.opens for sessions in calendars for session in sessions if session.opens > after})
    together = (moment for moment in opens if all(is_open(sessions, at=moment) for sessions in calendars))
    if first := next(together, None):
        return first
    each = [next_open(sessions, after=after) for sessions in calendars if not is_open(sessions, at=after)]
    return max((moment for moment in each if moment), default=None) if None not in each else None


def last_close(sessions: Sequence[Session], *, before: datetime) -> datetime | None:
    """When the last session ended that was over by then, if the gateway told us of one."""
    return max((session.closes for session in sessions if session.closes <= before), default=None)


def _session(span: str, zone: ZoneInfo) -> Session:
    first, last = span.split("-")
    day = first.partition(":")[0]
    end = last if ":" in last else f"{day}:{last}"
    session = Session(opens=_instant(first, zone), closes=_instant(end, zone))
    if session.closes <= session.opens:
        raise ValueError(f"session {span} ends before it starts")
    return session


def _instant(text: str, zone: ZoneInfo) -> datetime:
    return datetime.strptime(text, "%Y%m%d:%H%M").replace(tzinfo=zone).astimezone(UTC)
