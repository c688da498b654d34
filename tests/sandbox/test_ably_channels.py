"""Channels without a socket: what is kept, for how long, in which order, and where a client may go on."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.sandbox.ably.channels import Batch, Channel, Query
from ibkr_rebalancer.sandbox.ably.keys import milliseconds
from ibkr_rebalancer.sandbox.ably.messages import Draft, read_drafts
from ibkr_rebalancer.sandbox.ably.protocol import Refused

NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)


def later(**parts: float) -> datetime:
    return NOW + timedelta(**parts)


def published(channel: Channel, data: str, now: datetime = NOW, **more: object) -> Batch:
    batch = channel.publish(read_drafts({"data": data, **more}), now)
    assert batch is not None
    return batch


def datas(batches: list[Batch] | None) -> list[object]:
    assert batches is not None
    return [message.draft.data for batch in batches for message in batch.messages]


def pages(channel: Channel, *, forwards: bool, limit: int) -> list[list[object]]:
    shown: list[list[object]] = []
    after = None
    while True:
        page = channel.history(Query(forwards=forwards, limit=limit, after=after))
        shown.append([message.draft.data for message in page.messages])
        if page.next is None:
            return shown
        after = page.next


@given(st.integers(0, 25), st.integers(1, 7), st.booleans())
def test_the_pages_of_a_history_are_all_of_it_once(count: int, limit: int, forwards: bool) -> None:
    channel = Channel("c", NOW)
    for number in range(count):
        published(channel, str(number), later(milliseconds=number // 3))
    shown = pages(channel, forwards=forwards, limit=limit)
    wanted = [str(number) for number in range(count)]
    assert [data for page in shown for data in page] == (wanted if forwards else wanted[::-1])
    assert all(len(page) == limit for page in shown[:-1])


def test_a_history_has_its_ends_included_and_stops_at_a_serial() -> None:
    channel = Channel("c", NOW)
    batches = [published(channel, str(number), later(seconds=number)) for number in range(5)]
    start, end = milliseconds(later(seconds=1)), milliseconds(later(seconds=3))
    shown = channel.history(Query(start=start, end=end, forwards=True)).messages
    assert [message.draft.data for message in shown] == ["1", "2", "3"]
    shown = channel.history(Query(from_serial=batches[2].serial, limit=2)).messages
    assert [message.draft.data for message in shown] == ["2", "1"]


def test_history_reaches_as_far_as_messages_are_kept() -> None:
    channel = Channel("c", NOW)
    published(channel, "old")
    published(channel, "new", later(seconds=60))
    channel.forget(later(seconds=121), retention_ms=120_000)
    assert pages(channel, forwards=True, limit=10) == [["new"]]


def test_serials_grow_also_when_the_clock_is_set_back() -> None:
    channel = Channel("c", NOW)
    serials = [published(channel, "x", now).serial for now in (NOW, NOW, later(hours=-1), later(seconds=1))]
    assert serials == sorted(set(serials))


def test_an_id_is_published_once_in_two_minutes_and_again_thereafter() -> None:
    channel = Channel("c", NOW)
    first = published(channel, "a", id="same")
    assert channel.publish([Draft(data="b", id="same")], later(seconds=119)) is None
    assert channel.serials_of(["same"]) == [first.messages[0].serial]
    again = published(channel, "c", later(seconds=121), id="same")
    assert again.messages[0].id == first.messages[0].id
    assert again.serial > first.serial


def test_a_client_goes_on_where_it_was() -> None:
    channel = Channel("c", NOW)
    start = channel.position
    places = [published(channel, data).serial for data in "abc"]
    assert datas(channel.since(start, NOW)) == ["a", "b", "c"]
    assert datas(channel.since(places[1], NOW)) == ["c"]
    assert datas(channel.since(places[2], later(days=1))) == []


def test_a_client_that_was_away_for_too_long_cant_go_on_though_history_has_it_all() -> None:
    channel = Channel("c", NOW)
    first = published(channel, "a").serial
    published(channel, "b", later(seconds=1))
    assert channel.since(first, later(seconds=122)) is None
    assert pages(channel, forwards=True, limit=10) == [["a", "b"]]


def test_nobody_goes_on_once_continuity_is_lost_or_from_a_place_that_never_was() -> None:
    channel = Channel("c", NOW)
    place = published(channel, "a").serial
    assert channel.since("99999999999999-000@sandbox:000", NOW) is None
    channel.lose_continuity(NOW)
    assert channel.since(place, NOW) is None
    assert datas(channel.since(channel.position, NOW)) == []
    assert pages(channel, forwards=True, limit=10) == [["a"]]


@pytest.mark.parametrize(
    ("rewind", "seen"),
    [("1", ["3"]), ("2", ["2", "3"]), ("0", []), ("1m", ["2", "3"]), ("30s", ["3"]), ("9m", ["0", "1", "2", "3"])],
)
def test_rewind(rewind: str, seen: list[str]) -> None:
    channel = Channel("c", NOW)
    for number in range(4):
        published(channel, str(number), later(seconds=40 * number))
    assert datas(channel.rewound(rewind, later(seconds=120))) == seen


def test_rewind_has_a_hundred_messages_at_most() -> None:
    channel = Channel("c", NOW)
    for number in range(120):
        published(channel, str(number))
    assert len(channel.rewound("2m", NOW)) == len(channel.rewound("110", NOW)) == 100


@pytest.mark.parametrize("rewind", ["", "m", "2h", "-1", "two"])
def test_what_is_no_rewind(rewind: str) -> None:
    with pytest.raises(Refused, match="rewind is a number of messages"):
        Channel("c", NOW).rewound(rewind, NOW)


def test_an_update_and_a_delete_are_seen_live_and_as_the_last_of_their_message_in_history() -> None:
    channel = Channel("c", NOW)
    place = channel.position
    first, second = published(channel, "a"), published(channel, "b")
    published(channel, "a2", later(seconds=1), action=1, serial=first.serial)
    published(channel, "", later(seconds=2), action=2, serial=second.serial)
    assert datas(channel.since(place, NOW)) == ["a", "b", "a2", ""]
    shown = channel.history(Query(forwards=True)).messages
    assert [(message.draft.data, message.draft.action) for message in shown] == [("a2", 1), ("", 2)]
    assert [message.serial for message in shown] == [first.serial, second.serial]
    with pytest.raises(Refused, match="keeps no message with serial gone"):
        published(channel, "x", action=2, serial="gone")


def test_an_ephemeral_message_is_kept_nowhere() -> None:
    channel = Channel("c", NOW)
    place = channel.position
    published(channel, "gone", extras={"ephemeral": True})
    assert datas(channel.since(place, NOW)) == datas(channel.rewound("5", NOW)) == []
    assert pages(channel, forwards=True, limit=10) == [[]]
