"""Trading hours of a contract, written as the gateway writes them. Pure: the time is an argument."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Sitting = tuple[time, time]
"""Opening and closing; a closing at or before the opening falls on the next day."""

DAYS_AHEAD = 7
EXTENDED: Sitting = (time(4), time(20))
"""Pre-market opening and after-hours closing of the trading hours around shorter liquid hours."""

IB_ZONES = {"America/New_York": "US/Eastern", "America/Chicago": "US/Central"}
"""The gateway names American zones by their older ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    regular: Sitting | None
    zone: str
    weekends: bool = False
    days: Mapping[date, Sitting | None] = field(default_factory=dict)
    """Days that differ from the regular ones; None is a closed day."""

    def sitting(self, day: date) -> Sitting | None:
        if day in self.days:
            return self.days[day]
        return self.regular if self.weekends or day.weekday() < 5 else None


NEW_YORK = Hours(regular=(time(9, 30), time(16)), zone="US/Eastern")
ALWAYS = Hours(regular=(time(0), time(0)), zone="US/Eastern", weekends=True)
"""Open at every moment, weekends included: one sitting runs into the next."""
CLOSED = Hours(regular=None, zone="US/Eastern")


NAMED = {"always": ALWAYS, "closed": CLOSED}


class HoursError(ValueError):
    """The text states no hours."""

    def __init__(self, text: str) -> None:
        super().__init__(f'{text!r} is no hours; write "09:30-16:00 US/Eastern", "always" or "closed"')


def parse_hours(text: str, days: Mapping[str, str] | None = None) -> Hours:
    """Read `09:30-16:00 US/Eastern`, `always` or `closed`; `days` gives dates their own."""
    own = {date.fromisoformat(day): _parse_sitting(sitting) for day, sitting in (days or {}).items()}
    if text in NAMED:
        return replace(NAMED[text], days=own)
    sitting, _, zone = text.partition(" ")
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, ZoneInfoNotFoundError) as exc:  # a folder of zones is an OSError
        raise HoursError(text) from exc
    return Hours(regular=_parse_sitting(sitting), zone=IB_ZONES.get(zone, zone), days=own)


def describe_hours(hours: Hours) -> tuple[str, dict[str, str]]:
    """The inverse of `parse_hours`."""
    days = {day.isoformat(): _describe_sitting(sitting) for day, sitting in hours.days.items()}
    for name, named in NAMED.items():
        if hours == replace(named, days=hours.days):
            return name, days
    return f"{_describe_sitting(hours.regular)} {hours.zone}", days


def liquid_hours(hours: Hours, now: datetime) -> str:
    """The coming days as `20261123:0930-20261123:1600;20261128:CLOSED;...`, in the contract's zone."""
    return ";".join(_written(day, hours.sitting(day)) for day in _days(hours, now))


def trading_hours(hours: Hours, now: datetime) -> str:
    """As `liquid_hours`, with pre-market and after-hours trading around sittings that fit inside it."""
    return ";".join(_written(day, _extended(hours.sitting(day))) for day in _days(hours, now))


def trading_day(hours: Hours, now: datetime) -> date:
    return now.astimezone(ZoneInfo(hours.zone)).date()


def is_open(hours: Hours, now: datetime) -> bool:
    """Whether it trades; at the closing itself it doesn't any more."""
    return any(opens <= now < closes for opens, closes in _sessions(hours, now))


def next_open(hours: Hours, now: datetime) -> datetime | None:
    """The first opening after this moment, None if there is none in the days that are told."""
    return next((opens for opens, _ in _sessions(hours, now) if opens > now), None)


def session_end(hours: Hours, now: datetime) -> datetime | None:
    """When an order of this moment that is good for the day ends: the closing of this session or of the next one.

    Sittings that run into one another are one session.
    """
    end: datetime | None = None
    for opens, closes in _sessions(hours, now):
        if (end is None and closes > now) or end == opens:
            end = closes
    return end


def _sessions(hours: Hours, now: datetime) -> list[tuple[datetime, datetime]]:
    """From yesterday on, whose sitting may run into today."""
    zone = ZoneInfo(hours.zone)
    today = trading_day(hours, now)
    sittings = [(day, hours.sitting(day)) for day in (today - timedelta(days=1), *_days(hours, now))]
    return [
        (
            datetime.combine(day, sitting[0], zone).astimezone(UTC),
            datetime.combine(_closing_day(day, sitting), sitting[1], zone).astimezone(UTC),
        )
        for day, sitting in sittings
        if sitting is not None
    ]


def _days(hours: Hours, now: datetime) -> list[date]:
    today = trading_day(hours, now)
    return [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD)]


def _written(day: date, sitting: Sitting | None) -> str:
    if sitting is None:
        return f"{day:%Y%m%d}:CLOSED"
    opens, closes = sitting
    return f"{day:%Y%m%d}:{opens:%H%M}-{_closing_day(day, sitting):%Y%m%d}:{closes:%H%M}"


def _closing_day(day: date, sitting: Sitting) -> date:
    opens, closes = sitting
    return day + timedelta(days=1) if closes <= opens else day


def _parse_sitting(text: str) -> Sitting | None:
    if text == "closed":
        return None
    try:
        opens, closes = map(time.fromisoformat, text.split("-"))
    except ValueError as exc:
        raise HoursError(text) from exc
    return opens, closes


def _describe_sitting(sitting: Sitting | None) -> str:
    return "closed" if sitting is None else f"{sitting[0]:%H:%M}-{sitting[1]:%H:%M}"


def _extended(sitting: Sitting | None) -> Sitting | None:
    if sitting is None or sitting[1] <= sitting[0]:
        return sitting
    return min(sitting[0], EXTENDED[0]), max(sitting[1], EXTENDED[1])
