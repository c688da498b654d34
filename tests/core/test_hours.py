"""Regular sessions as the gateway tells them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.core.hours import Session, is_open, next_open, next_open_of_all, parse_liquid_hours

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


# Contracts of several venues


def calendar(*spans: str, zone: str = NEW_YORK) -> tuple[Session, ...]:
    """Sessions as `DAY HOURS`, such as `1127 0930-1300`; of days that are closed nothing."""
    text = ";".join(f"2026{day}:{hours}" for day, hours in (span.split() for span in spans))
    sessions = parse_liquid_hours(text, time_zone=zone)
    assert sessions is not None
    return sessions


THANKSGIVING = calendar(
    "1125 0930-1600", "1126 CLOSED", "1127 0930-1300", "1128 CLOSED", "1129 CLOSED", "1130 0930-1600"
)
LONDON = calendar(*(f"{day} 0800-1630" for day in ("1125", "1126", "1127", "1130")), zone="Europe/London")
TOKYO = calendar(*(f"{day} 0900-1530" for day in ("1125", "1126", "1127", "1130", "1201")), zone="Asia/Tokyo")
HONG_KONG = calendar(*(f"1127 {hours}" for hours in ("0930-1200", "1300-1600")), zone="Asia/Hong_Kong")
CHRISTMAS = calendar("1224 0930-1300", "1225 CLOSED", "1228 0930-1600", "1229 0930-1600")
BOXING_DAY = calendar("1224 0800-1230", "1225 CLOSED", "1228 CLOSED", "1229 0800-1630", zone="Europe/London")


@pytest.mark.parametrize(
    ("calendars", "after", "expected"),
    [
        ([THANKSGIVING], utc(25, 21), utc(27, 14, 30)),
        ([THANKSGIVING], utc(26, 16), utc(27, 14, 30)),
        ([THANKSGIVING], utc(27, 18), utc(30, 14, 30)),
        ([THANKSGIVING], utc(29, 16), utc(30, 14, 30)),
        ([THANKSGIVING], utc(30, 21), None),
        ([THANKSGIVING, LONDON], utc(25, 17), utc(27, 14, 30)),
        ([THANKSGIVING, LONDON], utc(27, 9), utc(27, 14, 30)),
        ([THANKSGIVING, LONDON], utc(27, 17), utc(30, 14, 30)),
        ([THANKSGIVING, LONDON, THANKSGIVING], utc(27, 18), utc(30, 14, 30)),
        ([CHRISTMAS, BOXING_DAY], utc(24, 13, month=12), utc(29, 14, 30, month=12)),
        ([HONG_KONG, LONDON], utc(27, 4, 30), utc(27, 8)),
        ([THANKSGIVING, TOKYO], utc(25, 21), utc(27, 14, 30)),
        ([THANKSGIVING, ()], utc(25, 21), None),
        ([THANKSGIVING, LONDON], utc(30, 17), None),
    ],
    ids=[
        "the eve of a holiday",
        "a holiday",
        "after an early close",
        "Sunday",
        "nobody knows",
        "the other one has a holiday",
        "the other one opens later",
        "the other one closed early",
        "one of many",
        "open on the same day and never together",
        "after a break for lunch",
        "never together: the last that opens",
        "nobody knows of one",
        "nobody knows of those that are closed",
    ],
)
def test_several_are_waited_for_until_all_are_open(
    calendars: list[tuple[Session, ...]], after: datetime, expected: datetime | None
) -> None:
    assert next_open_of_all(calendars, after=after) == expected


@given(
    st.lists(st.sampled_from([THANKSGIVING, LONDON, TOKYO, HONG_KONG]), min_size=1, max_size=3),
    st.integers(0, 6 * 24 * 4).map(lambda quarters: utc(25, 0) + timedelta(minutes=15 * quarters)),
)
def test_whenever_they_are_open_together_soon_it_is_told(calendars: list[tuple[Session, ...]], after: datetime) -> None:
    told = next_open_of_all(calendars, after=after)
    quarters = [after + timedelta(minutes=15 * ahead) for ahead in range(1, 6 * 24 * 4)]
    together = [moment for moment in quarters if all(is_open(sessions, at=moment) for sessions in calendars)]
    opens = {session.opens for sessions in calendars for session in sessions}
    first = next((moment for moment in together if moment in opens), None)
    assert first is None or told == first
