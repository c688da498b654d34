"""Listening to channels: what is an event, what was missed, and what an owner is told."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.channels import (
    CHANNEL,
    HISTORY_ALONE,
    QUICK,
    SOCKET_ALONE,
    Kept,
    connects,
    descriptors,
    listening,
    publish_together,
    published,
    sent,
    source,
    tasks,
    threads,
    until,
)
from tests.support.reading import Notices
from tests.support.sandbox import StartSandbox, events, realtime_fault

from ibkr_rebalancer.core.events import Delivery
from ibkr_rebalancer.edges.ably import source as ably_source
from ibkr_rebalancer.edges.ably.catch_up import UNHEARD
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.sandbox.run import Sandbox

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ably")

MUTE = [realtime_fault("MESSAGE", "drop")]
"""The socket never brings anything."""

HOW = pytest.mark.parametrize(
    ("faults", "deadlines"), [([], SOCKET_ALONE), (MUTE, HISTORY_ALONE)], ids=["live", "past"]
)


async def test_over_the_socket_all_arrives_in_order(start_sandbox: StartSandbox) -> None:
    sandbox, sink, notices = await start_sandbox(), Kept(), Notices()
    async with listening(sandbox, sink, notices=notices, deadlines=SOCKET_ALONE):
        for number in range(500):
            sandbox.publish(CHANNEL, {"execution": "rebalance", "number": number})
        await until(lambda: len(sink.taken) == 500)
        await until(lambda: notices.heard)
    assert sink.serials == published(sandbox)
    assert notices.texts == [f"Listening for events on {CHANNEL}."]


@HOW
async def test_several_channels(start_sandbox: StartSandbox, faults: Any, deadlines: Deadlines) -> None:
    names = ["one", "zwei/drei?vier#fünf %20", "a:b"]
    sandbox, sink = await start_sandbox(channels=names, faults=faults), Kept()
    async with listening(sandbox, sink, names, deadlines=deadlines):
        for name in names:
            sandbox.publish(name, f"for {name}")
        await until(lambda: len(sink.taken) == 3)
    assert {delivery.channel: delivery.data for delivery in sink.taken} == {name: f"for {name}" for name in names}


@HOW
@pytest.mark.parametrize(
    ("stated", "data", "undecoded"),
    [
        ({"data": {"execution": "rebalance"}}, {"execution": "rebalance"}, ""),
        ({"data": ["rebalance"]}, ["rebalance"], ""),
        ({"data": '{"execution":"rebalance"}'}, '{"execution":"rebalance"}', ""),
        ({"data": ""}, "", ""),
        ({"data": None}, None, ""),
        ({"data": "AAH/", "encoding": "base64"}, b"\x00\x01\xff", ""),
        ({"data": "w6Q=", "encoding": "utf-8/base64"}, "ä", ""),
        ({"data": "eyJhIjoxfQ==", "encoding": "json/utf-8/base64"}, {"a": 1}, ""),
        ({"data": "AAH/", "encoding": "utf-8/cipher+aes-256-cbc/base64"}, b"\x00\x01\xff", "utf-8/cipher+aes-256-cbc"),
        ({"data": "x", "encoding": "rot13"}, "x", "rot13"),
    ],
    ids=["object", "list", "text", "empty", "nothing", "binary", "utf-8", "all steps", "cipher", "unknown"],
)
async def test_a_payload_is_the_same_however_it_comes(
    start_sandbox: StartSandbox, faults: Any, deadlines: Deadlines, stated: Any, data: object, undecoded: str
) -> None:
    sandbox, sink = await start_sandbox(faults=faults), Kept()
    async with listening(sandbox, sink, deadlines=deadlines):
        await publish_together(sandbox, {"id": "mine", **stated})
        await until(lambda: sink.taken)
    [delivery] = sink.taken
    assert (delivery.data, delivery.undecoded, delivery.message_id) == (data, undecoded, "mine")
    assert type(delivery.data) is type(data)
    assert [delivery.serial] == published(sandbox)
    [record] = events(sandbox.log, "published")
    assert delivery.published.timestamp() * 1000 == pytest.approx(record["timestamp"], abs=0.01)


@HOW
async def test_changes_of_a_message_are_no_events(
    start_sandbox: StartSandbox, faults: Any, deadlines: Deadlines
) -> None:
    sandbox, sink = await start_sandbox(faults=faults), Kept()
    async with listening(sandbox, sink, deadlines=deadlines):
        first = sandbox.publish(CHANNEL, "1")
        assert first is not None
        await until(lambda: sink.taken)
        serial = first.messages[0].serial
        sandbox.publish(CHANNEL, {"execution": "rebalance"}, action=1, serial=serial)
        sandbox.publish(CHANNEL, None, action=2, serial=serial)
        sandbox.publish(CHANNEL, "2")
        await until(lambda: len(sink.taken) == 2)
    assert [delivery.data for delivery in sink.taken] == ["1", "2"]


@pytest.mark.parametrize("action", [1, 2], ids=["update", "delete"])
async def test_what_was_changed_before_it_was_heard_is_an_event_still(start_sandbox: StartSandbox, action: int) -> None:
    """History shows only what it has become, and that it was published."""
    sandbox, sink = await start_sandbox(faults=MUTE), Kept()
    async with listening(sandbox, sink, deadlines=SOCKET_ALONE):
        first = sandbox.publish(CHANNEL, {"execution": "rebalance"})
        assert first is not None
        sandbox.publish(CHANNEL, {"execution": "rebalance"}, action=action, serial=first.messages[0].serial)
        sandbox.disturb("discontinuity", channel=CHANNEL)
        await until(lambda: sink.taken)
    [delivery] = sink.taken
    assert (delivery.serial, delivery.data, delivery.was_changed) == (first.messages[0].serial, None, True)


async def test_what_was_published_before_the_first_time_is_no_event(start_sandbox: StartSandbox) -> None:
    """Nor is it one when listening begins again soon after."""
    sandbox, sink = await start_sandbox(), Kept()
    sandbox.publish(CHANNEL, {"execution": "rebalance"})
    then = sandbox.state()["clock"]
    await until(lambda: sandbox.state()["clock"][:23] > then[:23])  # the first look begins with a whole millisecond
    for _ in range(2):
        async with listening(sandbox, sink):
            pass
    assert sink.taken == []
    assert list(sink.cursors) == [CHANNEL]


async def test_what_was_published_while_nobody_listened_is_found(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    for number in range(3):
        async with listening(sandbox, sink):
            sandbox.publish(CHANNEL, f"while listening {number}")
            await until(lambda: set(sink.serials) == set(published(sandbox)))
        sandbox.publish(CHANNEL, f"between {number}")
    async with listening(sandbox, sink):
        await until(lambda: set(sink.serials) == set(published(sandbox)))
    assert len(sink.taken) == 6


async def test_history_is_read_page_by_page(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    async with listening(sandbox, sink):
        pass
    for number in range(0, 2100, 300):
        await publish_together(sandbox, *({"data": str(number + step)} for step in range(300)))
    async with listening(sandbox, sink, deadlines=replace(QUICK, answer_s=10), attached=False):
        await until(lambda: len(sink.taken) == 2100)
    assert [delivery.data for delivery in sink.taken] == [str(number) for number in range(2100)]
    assert sum(record["more"] for record in events(sandbox.log, "history")) >= 2


@pytest.mark.parametrize("how", ["discontinuity", "lose_continuity"])
async def test_a_break_in_a_channel_sends_for_history(start_sandbox: StartSandbox, how: str) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    async with listening(sandbox, sink, deadlines=SOCKET_ALONE):
        sandbox.change({"faults": MUTE})
        sandbox.publish(CHANNEL, "dropped")
        sandbox.disturb(how, channel=CHANNEL)
        if how == "lose_continuity":
            sandbox.disturb("abort")
        await until(lambda: sink.taken)
    assert connects(sandbox) == (1 if how == "discontinuity" else 2)


async def test_a_silent_loss_is_found_by_the_clock(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(faults=MUTE), Kept()
    async with listening(sandbox, sink, deadlines=HISTORY_ALONE):
        sandbox.publish(CHANNEL, "dropped")
        await until(lambda: sink.taken)
    assert connects(sandbox) == 1


async def test_what_comes_late_into_history_is_found(start_sandbox: StartSandbox) -> None:
    """The first looks after it was published do not show it."""
    late = realtime_fault("history", "alter", parameters={"messages": []}, after=2, count=4)
    sandbox, sink = await start_sandbox(faults=[*MUTE, late]), Kept()
    async with listening(sandbox, sink, deadlines=HISTORY_ALONE):
        sandbox.publish(CHANNEL, "late")
        await until(lambda: sink.taken)
    assert len(events(sandbox.log, "history")) > 6


async def test_a_short_drop_is_resumed_and_told_to_nobody(start_sandbox: StartSandbox) -> None:
    sandbox, sink, notices = await start_sandbox(), Kept(), Notices()
    async with listening(sandbox, sink, notices=notices, deadlines=SOCKET_ALONE):
        await until(lambda: notices.heard)
        for number in range(3):
            sandbox.disturb("abort")
            sandbox.publish(CHANNEL, str(number))
            await until(lambda number=number: len(sink.taken) == number + 1)  # type: ignore[misc]
    assert [delivery.data for delivery in sink.taken] == ["0", "1", "2"]
    assert [notice.event for notice in notices.heard] == ["events.up"]
    assert len(events(sandbox.log, "history")) == 2


@pytest.mark.parametrize(
    ("request_", "what", "parameters"),
    [
        ("time", "error", {"code": 50000, "status": 500}),
        ("time", "garbage", {}),
        ("history", "error", {"code": 50000, "status": 500}),
        ("history", "garbage", {"hex": "3c68746d6c3e"}),
        ("history", "disconnect", {}),
        ("history", "drop", {}),
        ("requestToken", "garbage", {}),
        ("requestToken", "disconnect", {}),
    ],
)
async def test_history_that_fails_is_tried_again(
    start_sandbox: StartSandbox, request_: str, what: str, parameters: Any
) -> None:
    failing = realtime_fault(request_, what, parameters=parameters, count=2)
    sandbox, sink = await start_sandbox(faults=[*MUTE, failing]), Kept()
    sink.begin(CHANNEL, clock_of(sandbox), by_our_clock=False)
    sandbox.publish(CHANNEL, "1")
    async with listening(sandbox, sink, attached=False, deadlines=replace(QUICK, answer_s=0.2)):
        await until(lambda: sink.taken)
    assert len(events(sandbox.log, "fault")) >= 2


# What an owner is told


async def noticed(sandbox: Sandbox, notices: Notices, count: int) -> list[str]:
    """The events of the first notices, and of those that come while a good deal more happens."""
    await until(lambda: len(notices.heard) >= count)
    records = len(sandbox.log)
    await until(lambda: len(sandbox.log) >= records + 10)
    return [notice.event for notice in notices.heard]


async def test_a_key_without_history_hears_and_says_what_it_cannot(start_sandbox: StartSandbox) -> None:
    sandbox, sink, notices = await start_sandbox(realtime={"operations": ["subscribe"]}), Kept(), Notices()
    async with listening(sandbox, sink, notices=notices, attached=False):
        assert await noticed(sandbox, notices, 1) == ["events.degraded"]
        sandbox.publish(CHANNEL, "heard")
        await until(lambda: sink.taken)
        sandbox.change({"realtime": {"operations": ["subscribe", "history"]}})
        sandbox.disturb("expire_tokens")
        assert await noticed(sandbox, notices, 2) == ["events.degraded", "events.up"]
    assert notices.texts[0] == (
        "Events on rebalance-primary are heard, but none can be looked up afterwards: the API key may not read"
        " their history (error 40160). What is published while there is no connection, or this program"
        " is not running, is missed. The key needs the capabilities subscribe and history on each channel."
    )


async def test_a_key_that_may_not_subscribe_still_finds_events(start_sandbox: StartSandbox) -> None:
    sandbox, sink, notices = await start_sandbox(realtime={"operations": ["history"]}), Kept(), Notices()
    async with listening(sandbox, sink, notices=notices, attached=False):
        assert await noticed(sandbox, notices, 1) == ["events.down"]
        sandbox.publish(CHANNEL, "found")
        await until(lambda: sink.taken)
        sandbox.change({"realtime": {"operations": ["subscribe", "history"]}})
        assert await noticed(sandbox, notices, 2) == ["events.down", "events.up"]
    assert notices.texts[0] == (
        "Events on rebalance-primary are not heard as they are published: the API key may not subscribe to"
        " them (error 40160). Ably is asked for them every 0.1 s instead. The key needs the capabilities"
        " subscribe and history on each channel."
    )


async def test_a_channel_that_is_forbidden_takes_no_other_with_it(start_sandbox: StartSandbox) -> None:
    sandbox, sink, notices = await start_sandbox(channels=[CHANNEL]), Kept(), Notices()
    deadlines = replace(QUICK, refused_pause_s=60)  # so that no new connection is made meanwhile
    async with listening(sandbox, sink, [CHANNEL, "closed"], notices=notices, attached=False, deadlines=deadlines):
        await until(lambda: sent(sandbox, "ATTACHED") and sink.cursors)
        sandbox.publish(CHANNEL, "heard")
        await until(lambda: sink.taken)
        assert await noticed(sandbox, notices, 1) == ["events.down"]


async def test_what_was_taken_is_remembered_only_for_a_while(
    start_sandbox: StartSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where history is never read, and nothing else says how far one may forget."""
    monkeypatch.setattr(ably_source, "REMEMBERED", 3)
    remembered: list[int] = []
    take = ably_source._Once.take

    def seen(once: ably_source._Once, delivery: Delivery) -> None:
        take(once, delivery)
        remembered.append(len(once._taken))

    monkeypatch.setattr(ably_source._Once, "take", seen)
    sandbox, sink = await start_sandbox(realtime={"operations": ["subscribe"]}), Kept()
    async with listening(sandbox, sink, attached=False):
        await until(lambda: sent(sandbox, "ATTACHED"))
        for number in range(5):
            sandbox.publish(CHANNEL, str(number))
        await until(lambda: len(sink.taken) == 5)
    assert remembered == [1, 2, 3, 3, 3]
    assert sink.serials == published(sandbox)


async def test_a_wrong_key_is_told_once(start_sandbox: StartSandbox) -> None:
    sandbox, notices = await start_sandbox(), Notices()
    async with listening(sandbox, Kept(), notices=notices, attached=False, api_key="sandbox.watcher:wrong") as task:
        assert await noticed(sandbox, notices, 1) == ["events.down"]
        assert not task.done()
    assert notices.texts[0].startswith(
        "Events on rebalance-primary are not heard: Ably refuses the API key (error 40101). It is tried again for ever;"
    )
    assert "wrong" not in notices.texts[0]


async def test_history_that_stays_away_is_told_once(start_sandbox: StartSandbox) -> None:
    sandbox, sink, notices = await start_sandbox(), Kept(), Notices()
    async with listening(sandbox, sink, notices=notices):
        await until(lambda: notices.heard)
        sandbox.change({"faults": [realtime_fault("history", "error", parameters={"code": 50000, "status": 500})]})
        assert await noticed(sandbox, notices, 2) == ["events.up", "events.degraded"]
        sandbox.change({"faults": []})
        assert await noticed(sandbox, notices, 3) == ["events.up", "events.degraded", "events.up"]
    assert "looked up afterwards: Ably answered with an error (50000). It is tried again for ever" in notices.texts[1]


# Gaps


@pytest.mark.parametrize(
    ("away", "retention", "published_before", "is_told"),
    [
        (timedelta(minutes=1), 120_000, False, False),
        (timedelta(minutes=3), 120_000, False, True),
        (timedelta(hours=2), 120_000, False, True),
        (timedelta(hours=2), 120_000, True, True),
        (timedelta(hours=2), 86_400_000, False, True),
        (timedelta(hours=2), 86_400_000, True, False),
    ],
    ids=["short", "a little longer", "default", "default, gone", "persisted, unproven", "persisted"],
)
async def test_a_gap_is_told_unless_history_proves_that_there_is_none(
    start_sandbox: StartSandbox, away: timedelta, retention: int, published_before: bool, is_told: bool
) -> None:
    """Also after the first time that anybody has listened, which was a moment ago."""
    sandbox, sink, notices = await start_sandbox(realtime={"retention_ms": retention}), Kept(), Notices()
    async with listening(sandbox, sink):
        if published_before:
            sandbox.publish(CHANNEL, "before")
            await until(lambda: sink.taken)
        here, looks = clock_of(sandbox), len(events(sandbox.log, "history"))
        await until(lambda: len(events(sandbox.log, "history")) >= looks + 2)
    gone = clock_of(sandbox)
    back = gone + away
    sandbox.change({"clock": back.isoformat()})
    async with listening(sandbox, sink, notices=notices):
        sandbox.publish(CHANNEL, "after")
        await until(lambda: sink.taken and sink.taken[-1].data == "after")
        await until(lambda: notices.heard)
    gaps = [notice.text for notice in notices.heard if notice.event == "events.gap"]
    assert (len(gaps), len(sink.gaps)) == (is_told, is_told)
    for gap, text in zip(sink.gaps, gaps, strict=True):
        assert here <= gap.since <= gone
        told_to = gap.until + timedelta(minutes=2)
        assert back <= told_to <= clock_of(sandbox) + timedelta(seconds=QUICK.answer_s)  # Ably's answers take time
        assert f"on {CHANNEL} from {gap.since:%Y-%m-%d %H:%M:%S} to {gap.until:%Y-%m-%d %H:%M:%S} UTC" in text
        assert (gap.why in text, gap.why) == (True, UNHEARD)


def clock_of(sandbox: Sandbox) -> datetime:
    return datetime.fromisoformat(sandbox.state()["clock"])


# The end


async def test_the_end_leaves_nothing_behind(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with listening(sandbox, Kept()):  # what is imported and made once
        pass
    await settled(sandbox)
    before = in_use()
    for _ in range(3):
        task = asyncio.create_task(source(sandbox).listen([CHANNEL], Kept()))
        attaches = len(sent(sandbox, "ATTACHED"))
        await until(lambda attaches=attaches: len(sent(sandbox, "ATTACHED")) > attaches)  # type: ignore[misc]
        begun = asyncio.get_running_loop().time()
        task.cancel()
        await asyncio.wait({task})
        assert asyncio.get_running_loop().time() - begun < 2 * QUICK.close_s + 1
    await settled(sandbox)
    await until(lambda: in_use() == before)


@pytest.mark.parametrize("when", [0, 1, 5, 20])
async def test_it_may_be_cancelled_at_any_time(start_sandbox: StartSandbox, when: int) -> None:
    """After this many turns of the loop."""
    sandbox = await start_sandbox()
    task = asyncio.create_task(source(sandbox).listen([CHANNEL], Kept()))
    for _ in range(when):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await until(lambda: not threads())


async def test_fifty_clients_leave_no_more_than_one(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    fatal = {"action": 9, "error": {"code": 50000, "statusCode": 500, "message": "no"}}
    async with listening(sandbox, sink, deadlines=replace(SOCKET_ALONE, longest_pause_s=0.01)):
        before: list[int] = []
        for number in range(50):
            attaches = len(sent(sandbox, "ATTACHED"))
            sandbox.disturb("send", frame=fatal)
            await until(lambda attaches=attaches: len(sent(sandbox, "ATTACHED")) > attaches)  # type: ignore[misc]
            if number == 9:
                before = in_use()
        sandbox.publish(CHANNEL, "at last")
        await until(lambda: sink.taken)
        await until(lambda: all(now <= then + 2 for now, then in zip(in_use(), before, strict=True)))
    assert connects(sandbox) > 50


def in_use() -> list[int]:
    return [len(tasks()), descriptors(), len(threads())]


async def settled(sandbox: Sandbox) -> None:
    """Nothing of the client is left on either side."""
    files = 0
    while files != descriptors() or threads() or sandbox.state()["connections"]:
        files = descriptors()
        await asyncio.sleep(0.02)
