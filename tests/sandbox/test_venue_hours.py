"""Trading hours as the gateway writes them."""

from datetime import UTC, datetime

import pytest

from ibkr_rebalancer.sandbox.venue.hours import (
    describe_hours,
    is_open,
    liquid_hours,
    next_open,
    parse_hours,
    session_end,
    trading_hours,
)

FRIDAY = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def test_a_week_of_new_york_has_closed_days_and_the_zone_ib_names() -> None:
    hours = parse_hours("09:30-16:00 America/New_York", {"2026-11-26": "closed", "2026-11-23": "09:30-13:00"})
    assert hours.zone == "US/Eastern"
    assert liquid_hours(hours, FRIDAY).split(";") == [
        "20261120:0930-20261120:1600",
        "20261121:CLOSED",
        "20261122:CLOSED",
        "20261123:0930-20261123:1300",
        "20261124:0930-20261124:1600",
        "20261125:0930-20261125:1600",
        "20261126:CLOSED",
    ]


def test_trading_hours_reach_around_the_liquid_ones() -> None:
    days = trading_hours(parse_hours("09:30-16:00 US/Eastern"), FRIDAY).split(";")
    assert days[:2] == ["20261120:0400-20261120:2000", "20261121:CLOSED"]


def test_today_is_the_contracts_own_day() -> None:
    late = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
    assert liquid_hours(parse_hours("09:30-16:00 US/Eastern"), late).startswith("20261122:CLOSED;")
    assert liquid_hours(parse_hours("09:00-15:00 Asia/Tokyo"), late).startswith("20261123:0900-20261123:1500;")


def test_a_closing_before_the_opening_is_on_the_next_day() -> None:
    hours = parse_hours("18:00-17:00 US/Central")
    assert liquid_hours(hours, FRIDAY).startswith("20261120:1800-20261121:1700;")
    assert trading_hours(hours, FRIDAY) == liquid_hours(hours, FRIDAY)


def test_always_leaves_no_moment_out_and_closed_no_moment_in() -> None:
    sittings = liquid_hours(parse_hours("always"), FRIDAY).split(";")
    assert sittings[:2] == ["20261120:0000-20261121:0000", "20261121:0000-20261122:0000"]
    assert all(sitting.endswith(":CLOSED") for sitting in liquid_hours(parse_hours("closed"), FRIDAY).split(";"))


@pytest.mark.parametrize("text", ["09:30-16:00 US/Eastern", "always", "closed", "18:00-17:00 US/Central"])
@pytest.mark.parametrize("days", [{}, {"2026-11-26": "closed", "2026-11-27": "09:30-13:00"}])
def test_hours_are_described_as_they_are_read(text: str, days: dict[str, str]) -> None:
    assert describe_hours(parse_hours(text, days)) == (text, days)


@pytest.mark.parametrize(
    "text", ["", "09:30-16:00", "09:30-16:00 Mars/Olympus", "09:30-16:00 America", "x-y US/Eastern"]
)
def test_what_is_no_hours_says_how_to_write_them(text: str) -> None:
    with pytest.raises(ValueError, match='is no hours; write "09:30-16:00 US/Eastern", "always" or "closed"'):
        parse_hours(text)


NIGHT = "18:00-17:00 US/Central"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "now", "opened", "opens", "ends"),
    [
        ("09:30-16:00 US/Eastern", "2026-11-20 14:29:59", False, "2026-11-20 14:30", "2026-11-20 21:00"),
        ("09:30-16:00 US/Eastern", "2026-11-20 14:30:00", True, "2026-11-23 14:30", "2026-11-20 21:00"),
        ("09:30-16:00 US/Eastern", "2026-11-20 20:59:59", True, "2026-11-23 14:30", "2026-11-20 21:00"),
        ("09:30-16:00 US/Eastern", "2026-11-20 21:00:00", False, "2026-11-23 14:30", "2026-11-23 18:00"),
        ("09:30-16:00 US/Eastern", "2026-11-25 22:00:00", False, "2026-11-27 14:30", "2026-11-27 21:00"),
        ("09:30-16:00 US/Eastern", "2026-07-20 13:30:00", True, "2026-07-21 13:30", "2026-07-20 20:00"),
        (NIGHT, "2026-11-20 06:00:00", True, "2026-11-21 00:00", "2026-11-20 23:00"),
        (NIGHT, "2026-11-20 23:30:00", False, "2026-11-21 00:00", "2026-11-21 23:00"),
        ("always", "2026-11-22 05:00:00", True, "2026-11-23 05:00", "2026-11-29 05:00"),
        ("closed", "2026-11-20 15:00:00", False, None, None),
    ],
)
def test_sessions(hours: str, now: str, opened: bool, opens: str | None, ends: str | None) -> None:
    """In winter New York is five hours behind, in summer four; Monday 23 closes early, Thursday 26 is closed."""
    eastern = hours.endswith("Eastern")
    days = {"2026-11-26": "closed", "2026-11-23": "09:30-13:00"} if eastern else {}
    known, moment = parse_hours(hours, days), utc(now)
    assert is_open(known, moment) is opened
    assert next_open(known, moment) == (None if opens is None else utc(opens))
    assert session_end(known, moment) == (None if ends is None else utc(ends))
