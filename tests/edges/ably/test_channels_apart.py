"""Several channels, or a start without Ably: what is wrong with one, or for a while, loses nothing of the others."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from tests.support.channels import (
    CHANNEL,
    QUICK,
    SOCKET_ALONE,
    Kept,
    connects,
    listening,
    published,
    sent,
    until,
)
from tests.support.reading import Notices
from tests.support.sandbox import StartSandbox, events, realtime_fault

from ibkr_rebalancer.edges.ably import catch_up
from ibkr_rebalancer.sandbox.run import Sandbox
from ibkr_rebalancer.sandbox.venue.document import Document

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ably")

BAD, LATER = "a-bad-one", "z-later"
"""Before and after the good channel in the alphabet, by which they are looked at."""
REBALANCE: Document = {"execution": "rebalance"}
MUTE = realtime_fault("MESSAGE", "drop")
FAILING = [
    realtime_fault(request, "error", parameters={"code": 40010, "status": 400}, where={"channel": BAD})
    for request in ("ATTACH", "history")
]
PATIENT = replace(QUICK, refused_pause_s=60)
"""What is refused is not asked for again in a test, unless something calls for it."""


def looks(sandbox: Sandbox, channel: str = CHANNEL) -> int:
    """How often the history of the channel was read."""
    return sum(record["channel"] == channel for record in events(sandbox.log, "history"))


def down(notices: Notices) -> list[str]:
    return [notice.text for notice in notices.heard if notice.event == "events.down"]


# A channel that the key does not cover


async def test_history_is_read_as_often_as_ever_beside_a_forbidden_channel(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(channels=[CHANNEL], faults=[MUTE]), Kept()
    async with listening(sandbox, sink, [BAD, CHANNEL], deadlines=PATIENT, attached=False):
        await until(lambda: looks(sandbox) > 3)
        sandbox.publish(CHANNEL, REBALANCE)
        await until(lambda: sink.taken)
    assert connects(sandbox) == 1


async def test_the_socket_is_left_only_for_a_moment_to_ask_for_a_forbidden_channel(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(channels=[CHANNEL]), Kept()
    deadlines = replace(SOCKET_ALONE, refused_pause_s=1.5)
    async with listening(sandbox, sink, [BAD, CHANNEL], deadlines=deadlines, attached=False):
        await until(lambda: sent(sandbox, "ATTACHED"))
        begun = asyncio.get_running_loop().time()
        await until(lambda: len(sent(sandbox, "ATTACHED")) == 2)
        assert asyncio.get_running_loop().time() - begun < 2 * deadlines.refused_pause_s - 0.5
        sandbox.publish(CHANNEL, REBALANCE)
        await until(lambda: sink.taken)


async def test_each_channel_is_told_of_as_it_is(start_sandbox: StartSandbox) -> None:
    sandbox, notices = await start_sandbox(channels=[CHANNEL, LATER]), Notices()
    async with listening(sandbox, Kept(), [BAD, CHANNEL, LATER], notices=notices, deadlines=PATIENT, attached=False):
        await until(lambda: notices.heard)
    (text,) = notices.texts
    assert text == (
        f"Events on {BAD} are not heard: the API key may not subscribe to them (error 40160) and the API key may not"
        " read their history (error 40160). What is published while there is no connection, or this program is not"
        f" running, is missed. Those on {CHANNEL}, {LATER} are heard as always. The key needs the capabilities"
        " subscribe and history on each channel."
    )


async def test_a_channel_that_the_key_covers_again_is_told_of_once(start_sandbox: StartSandbox) -> None:
    """It is heard before its history is read: what was said of that minutes ago is nothing to tell."""
    sandbox, notices = await start_sandbox(realtime={"operations": []}), Notices()
    deadlines = replace(QUICK, refused_pause_s=0.5)
    async with listening(sandbox, Kept(), notices=notices, deadlines=deadlines, attached=False):
        await until(lambda: down(notices))
        slow = realtime_fault("history", "delay", parameters={"ms": 200})
        sandbox.change({"realtime": {"operations": ["subscribe", "history"]}, "faults": [slow]})
        await until(lambda: notices.heard[-1].event == "events.up")
    assert [notice.event for notice in notices.heard] == ["events.down", "events.up"]


# A channel with any other error


async def test_a_channel_that_fails_is_tried_again_alone(start_sandbox: StartSandbox) -> None:
    """The others are heard and looked at as ever, over the same connection; it misses nothing either."""
    sandbox, sink, notices = await start_sandbox(channels=[BAD, CHANNEL, LATER], faults=FAILING), Kept(), Notices()
    async with listening(sandbox, sink, [BAD, CHANNEL, LATER], notices=notices, attached=False):
        await until(lambda: len(sent(sandbox, "ATTACHED")) == 2 and len(sink.cursors) == 3)
        for channel in (BAD, CHANNEL, LATER):
            sandbox.publish(channel, REBALANCE)
        await until(lambda: {delivery.channel for delivery in sink.taken} == {CHANNEL, LATER})
        sandbox.change({"faults": [*FAILING, MUTE]})
        sandbox.publish(CHANNEL, "found by the clock")
        await until(lambda: len(sink.taken) == 3)
        await until(lambda: down(notices))
        sandbox.change({"faults": []})
        await until(lambda: set(sink.serials) == set(published(sandbox)))
        await until(lambda: notices.heard[-1].event == "events.up")
    assert connects(sandbox) == 1
    assert sink.gaps == []
    (text,) = down(notices)
    assert text == (
        f"Events on {BAD} are not heard: Ably answered with an error (40010). It is tried again for ever; then what was"
        f" missed is fetched, as far back as Ably keeps it. Those on {CHANNEL}, {LATER} are heard as always."
    )


async def test_a_channel_that_is_never_attached_takes_no_other_with_it(start_sandbox: StartSandbox) -> None:
    """Not even a client is replaced for it."""
    silent = realtime_fault("ATTACH", "drop", where={"channel": BAD})
    sandbox, sink, notices = await start_sandbox(channels=[BAD, CHANNEL], faults=[silent]), Kept(), Notices()
    deadlines = replace(QUICK, answer_s=0.3, attach_s=0.5)
    async with listening(sandbox, sink, [BAD, CHANNEL], notices=notices, deadlines=deadlines, attached=False):
        await until(lambda: down(notices))
        sandbox.publish(CHANNEL, REBALANCE)
        await until(lambda: sink.taken)
        sandbox.change({"faults": []})
        await until(lambda: notices.heard[-1].event == "events.up")
    assert connects(sandbox) == 1
    assert down(notices)[0].startswith(f"Events on {BAD} are not heard as they are published:")


async def test_no_channel_waits_for_the_history_of_another(start_sandbox: StartSandbox) -> None:
    """Neither when it is looked at by the clock, nor when it is called for."""
    silent = [f"silent-{number}" for number in range(6)]
    faults = [MUTE, *(realtime_fault("history", "drop", where={"channel": name}) for name in silent)]
    sandbox, sink = await start_sandbox(channels=[*silent, CHANNEL], faults=faults), Kept()
    deadlines = replace(QUICK, answer_s=1.5, shortest_pause_s=10, longest_pause_s=10)
    async with listening(sandbox, sink, [*silent, CHANNEL], deadlines=deadlines, attached=False):
        await until(lambda: looks(sandbox) > 3)
        assert asked_in_vain(sandbox) == len(silent)
        sandbox.publish(CHANNEL, REBALANCE)
        await until(lambda: sink.taken)
        assert asked_in_vain(sandbox) == len(silent)


def asked_in_vain(sandbox: Sandbox) -> int:
    """How often history did not answer."""
    return sum((record["message"], record["action"]) == ("history", "drop") for record in events(sandbox.log, "fault"))


async def test_a_gap_is_judged_by_the_time_at_which_history_answers(
    start_sandbox: StartSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ably still kept when the look began may be gone by then."""
    monkeypatch.setattr(catch_up, "KEPT", timedelta(seconds=0.4))
    slow = realtime_fault("history", "delay", parameters={"ms": 500}, count=1)
    sandbox, sink = await start_sandbox(faults=[slow]), Kept()
    begun = clock_of(sandbox)
    sink.begin(CHANNEL, begun, by_our_clock=False)
    async with listening(sandbox, sink, attached=False):
        await until(lambda: sink.gaps)
    assert sink.gaps[0].since == begun


# A start while Ably cannot be reached

AWAY = [realtime_fault(request, "error", parameters={"code": 50003, "status": 503}) for request in ("time", "upgrade")]


async def test_what_is_published_while_ably_is_away_at_the_very_first_start_is_found(
    start_sandbox: StartSandbox,
) -> None:
    """Our clock may be days ahead of Ably's: it is not what counts."""
    sandbox, sink = await start_sandbox(), Kept()
    sandbox.publish(CHANNEL, "before")
    then = sandbox.state()["clock"]
    await until(lambda: sandbox.state()["clock"][:23] > then[:23])
    sandbox.change({"faults": AWAY})
    async with listening(sandbox, sink, attached=False):
        await until(lambda: len(events(sandbox.log, "fault")) > 2)
        sandbox.publish(CHANNEL, REBALANCE)
        await until(lambda: len(events(sandbox.log, "fault")) > 6)
        assert sink.taken == []
        sandbox.change({"faults": []})
        await until(lambda: sink.taken)
    assert [delivery.data for delivery in sink.taken] == [REBALANCE]


@dataclass
class OurClock:
    """So far ahead of that of the sandbox, or behind it."""

    sandbox: Sandbox
    ahead: timedelta

    def now(self) -> datetime:
        return clock_of(self.sandbox) + self.ahead


async def begin_without_ably(sandbox: Sandbox, sink: Kept, clock: OurClock) -> None:
    """A process that ends before it has ever reached Ably."""
    sandbox.change({"faults": AWAY})
    async with listening(sandbox, sink, attached=False, clock=clock):
        await until(lambda: sink.cursors)
    sandbox.change({"faults": []})


@pytest.mark.parametrize("ahead", [0, 10, -10])
async def test_the_very_first_start_counts_though_it_never_reached_ably(
    start_sandbox: StartSandbox, ahead: int
) -> None:
    """Whatever our clock says, nothing from before it is an event, and everything from then on is."""
    sandbox, sink = await start_sandbox(faults=[MUTE]), Kept()
    clock = OurClock(sandbox, timedelta(minutes=ahead))
    sandbox.publish(CHANNEL, "before")
    sandbox.change({"clock": (clock_of(sandbox) + timedelta(seconds=5)).isoformat()})
    await begin_without_ably(sandbox, sink, clock)
    sandbox.change({"clock": (clock_of(sandbox) + timedelta(seconds=5)).isoformat()})
    sandbox.publish(CHANNEL, REBALANCE)
    await begin_without_ably(sandbox, sink, clock)  # once more, which changes nothing
    async with listening(sandbox, sink, clock=clock):
        await until(lambda: sink.taken)
    assert [delivery.data for delivery in sink.taken] == [REBALANCE]
    assert sink.gaps == []


@pytest.mark.parametrize("ahead", [0, 10, -10])
async def test_what_is_missed_while_ably_stays_away_from_the_start_is_told(
    start_sandbox: StartSandbox, ahead: int
) -> None:
    """From the first start on, and not from before."""
    sandbox, sink = await start_sandbox(), Kept()
    clock = OurClock(sandbox, timedelta(minutes=ahead))
    begun = clock_of(sandbox)
    await begin_without_ably(sandbox, sink, clock)
    ended = clock_of(sandbox)
    sandbox.change({"clock": (ended + timedelta(minutes=10)).isoformat()})
    async with listening(sandbox, sink, clock=clock):
        await until(lambda: sink.gaps)
    [gap] = sink.gaps
    assert begun <= gap.since <= ended + timedelta(seconds=QUICK.answer_s)


@pytest.mark.parametrize("by_our_clock", [True, False])
async def test_a_cursor_of_a_clock_that_was_put_back_hides_nothing_for_good(
    start_sandbox: StartSandbox, by_our_clock: bool
) -> None:
    """Since when there are events, nobody knows any more: that is told, and what is published from now on is found."""
    sandbox, sink, notices = await start_sandbox(faults=[MUTE]), Kept(), Notices()
    clock = OurClock(sandbox, timedelta(0))
    sandbox.publish(CHANNEL, "before, or not")
    sandbox.change({"clock": (clock_of(sandbox) + timedelta(seconds=5)).isoformat()})
    sink.begin(CHANNEL, clock.now() + timedelta(days=5), by_our_clock=by_our_clock)
    async with listening(sandbox, sink, notices=notices, clock=clock):
        sandbox.publish(CHANNEL, REBALANCE)
        await until(lambda: sink.taken)
    assert [delivery.data for delivery in sink.taken] == [REBALANCE]
    [gap] = sink.gaps
    assert gap.why == catch_up.PUT_BACK
    assert [gap.why in notice.text for notice in notices.heard if notice.event == "events.gap"] == [True]


# History alone is away


async def test_a_gap_tells_whether_the_socket_was_there(start_sandbox: StartSandbox) -> None:
    sandbox, sink, notices = await start_sandbox(), Kept(), Notices()
    away = realtime_fault("history", "error", parameters={"code": 40160, "status": 401})
    async with listening(sandbox, sink, notices=notices, deadlines=QUICK):
        sandbox.change({"faults": [away]})
        await until(lambda: len(events(sandbox.log, "fault")) > 1)
        sandbox.change({"clock": (clock_of(sandbox) + timedelta(minutes=10)).isoformat()})
        sandbox.publish(CHANNEL, REBALANCE)
        await until(lambda: sink.taken)
        sandbox.change({"faults": []})
        await until(lambda: sink.gaps)
    assert connects(sandbox) == 1
    [text] = [notice.text for notice in notices.heard if notice.event == "events.gap"]
    assert "What was published then came over the socket; but history, which alone shows" in text
    assert sink.gaps[0].why in text


# A key that is none


@pytest.mark.parametrize("key", ["nonsense", "a:b:c", "x:", ":x"])
async def test_a_key_that_ably_s_client_cannot_read_is_told(start_sandbox: StartSandbox, key: str) -> None:
    sandbox, notices = await start_sandbox(), Notices()
    async with listening(sandbox, Kept(), notices=notices, attached=False, api_key=key) as task:
        await until(lambda: notices.heard)
        assert not task.done()
    assert [notice.event for notice in notices.heard] == ["events.down"]


def clock_of(sandbox: Sandbox) -> datetime:
    return datetime.fromisoformat(sandbox.state()["clock"])
