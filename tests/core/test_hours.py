"""Regular sessions as the gateway tells them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.core.hours import Session, is_open, next_open, parse_liquid_hours

NEW_YORK = "US/Eastern"


def utc(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


WEEK = "20261123:0930-20261123:1600;20261124:CLOSED;20261125:0930-20261125:1300"


def test_sessions_are_read_in_the_zone_of_the_contract() -> None:
    assert parse_liquid_hours(WEEK, time_zone=NEW_YORK) == (
        Session(opens=utc(23, 14, 30), closes=utc(23, 21)),
        Session(opens=utc(25, 14, 30), closes=utc(25, 18)),
    )


def test_the_older_form_repeats_only_the_time() -> None:
    assert parse_liquid_hours("20261123:0930-1600", time_zone=NEW_YORK) == (
        Session(opens=utc(23, 14, 30), closes=utc(23, 21)),
    )


def test_summer_time_moves_the_session() -> None:
    assert parse_liquid_hours("20260701:0930-20260701:1600", time_zone=NEW_YORK) == (
        Session(opens=utc(1, 13, 30, month=7), closes=utc(1, 20, month=7)),
    )


def test_sessions_come_in_time_order_however_they_are_listed() -> None:
    listed = parse_liquid_hours("20261125:1300-20261125:1600;20261125:0900-20261125:1130;", time_zone="Asia/Hong_Kong")
    assert listed is not None
    assert [session.opens.hour for session in listed] == [1, 5]


@pytest.mark.parametrize("text", ["20261124:CLOSED", "20261124:CLOSED;20261125:CLOSED"])
def test_closed_days_have_no_session(text: str) -> None:
    assert parse_liquid_hours(text, time_zone=NEW_YORK) == ()


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("", NEW_YORK),
        ("always", NEW_YORK),
        ("20261123:0930", NEW_YORK),
        ("20261123:0930-20261123:2400", NEW_YORK),
        ("20261123:1600-20261123:0930", NEW_YORK),
        ("20261123:0930-20261123:0930", NEW_YORK),
        ("20261323:0930-20261323:1600", NEW_YORK),
        ("20261123:0930-1130-1600", NEW_YORK),
        (WEEK, ""),
        (WEEK, "JST"),
        (WEEK, "America"),
        (WEEK, "../etc/passwd"),
        (WEEK, "x" * 5_000),
        ("00010101:0000-00010101:0100", "Asia/Tokyo"),
        ("99991231:2300-99991231:2359", NEW_YORK),
    ],
)
def test_hours_that_cannot_be_read_are_unknown_not_closed(text: str, zone: str) -> None:
    assert parse_liquid_hours(text, time_zone=zone) is None


@given(st.text(max_size=60), st.sampled_from([NEW_YORK, "UTC"]) | st.text(max_size=20))
def test_any_text_is_read_or_unknown(text: str, zone: str) -> None:
    sessions = parse_liquid_hours(text, time_zone=zone)
    assert sessions is None or all(session.opens < session.closes for session in sessions)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (utc(23, 14, 29), False),
        (utc(23, 14, 30), True),
        (utc(23, 20, 59), True),
        (utc(23, 21), False),
        (utc(24, 16), False),
    ],
)
def test_a_session_includes_its_first_moment_and_not_its_last(moment: datetime, expected: bool) -> None:
    sessions = parse_liquid_hours(WEEK, time_zone=NEW_YORK)
    assert sessions is not None
    assert is_open(sessions, at=moment) is expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (utc(22, 0), utc(23, 14, 30)),
        (utc(23, 14, 30), utc(25, 14, 30)),
        (utc(24, 0), utc(25, 14, 30)),
        (utc(25, 15), None),
    ],
)
def test_the_next_open_is_later_than_the_moment(moment: datetime, expected: datetime | None) -> None:
    sessions = parse_liquid_hours(WEEK, time_zone=NEW_YORK)
    assert sessions is not None
    assert next_open(sessions, after=moment) == expected
