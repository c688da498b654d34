"""The product's Ably edge, listening to a sandbox; and the SDK by itself, as control.

    async with listening(sandbox, sink) as listener:
        sandbox.publish(CHANNEL, {"execution": "rebalance"})
        await until(lambda: sink.taken)

What was published is in the sandbox's log; `published(sandbox)` and `sink.serials` are to be the same.
"""

import asyncio
import socket
import threading
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from ably.realtime.realtime import AblyRealtime
from tests.support.reading import Notices
from tests.support.sandbox import LOOPBACK, events

from ibkr_rebalancer.core.events import Cursor, Delivery, Gap
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.source import AblyEvents
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.sandbox.run import Sandbox
from ibkr_rebalancer.sandbox.venue.document import Document

CHANNEL = "rebalance-primary"

SOCKET_ALONE = Deadlines(
    answer_s=2.0,
    retry_s=0.05,
    close_s=0.1,
    ping_every_s=0.1,
    pong_s=0.5,
    attach_s=1.5,
    storm_s=2.0,
    shortest_pause_s=0.01,
    longest_pause_s=0.1,
    refused_pause_s=0.2,
    history_every_s=60.0,
    patience_s=0.3,
)
"""Everything is quick, but history is looked at only when something calls for it."""

QUICK = replace(SOCKET_ALONE, history_every_s=0.1)

HISTORY_ALONE = replace(QUICK, ping_every_s=60.0, attach_s=60.0)
"""What the socket has missed is found by the clock: its watch never does anything."""


class Kept:
    """A sink that keeps everything in memory, once, as the journal does."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []
        self.cursors: dict[str, Cursor] = {}
        self.gaps: list[Gap] = []
        self.failure: Exception | None = None
        """Raised instead of keeping anything."""

    def take(self, delivery: Delivery) -> None:
        if self.failure is not None:
            raise self.failure
        if (delivery.channel, delivery.serial) not in {(known.channel, known.serial) for known in self.taken}:
            self.taken.append(delivery)

    def miss(self, gap: Gap) -> None:
        self.gaps.append(gap)

    def cursor(self, channel: str) -> Cursor | None:
        return self.cursors.get(channel)

    def begin(self, channel: str, since: datetime, *, by_our_clock: bool) -> None:
        self.cursors[channel] = Cursor(since=since, until=since, by_our_clock=by_our_clock)

    def advance(self, channel: str, until: datetime) -> None:
        assert self.cursors[channel].until <= until
        assert not self.cursors[channel].by_our_clock
        self.cursors[channel] = replace(self.cursors[channel], until=until)

    @property
    def serials(self) -> list[str]:
        return [delivery.serial for delivery in self.taken]


def source(
    sandbox: Sandbox, *, notices: Notices | None = None, deadlines: Deadlines = QUICK, **changed: Any
) -> AblyEvents:
    """The edge as the product opens it; `changed` are other arguments."""
    arguments: dict[str, Any] = {
        "api_key": sandbox.env["REALTIME_API_KEY"],
        "endpoint": sandbox.env["REALTIME_ENDPOINT"],
        "clock": SystemClock(),
        "observer": notices or Notices(),
        "deadlines": deadlines,
    }
    return AblyEvents(**arguments | changed)


@asynccontextmanager
async def listening(
    sandbox: Sandbox,
    sink: Kept,
    channels: Collection[str] = (CHANNEL,),
    *,
    notices: Notices | None = None,
    deadlines: Deadlines = QUICK,
    attached: bool = True,
    **changed: Any,
) -> AsyncIterator[asyncio.Task[None]]:
    """Listen until the block is left, from the moment on when all channels are attached and were looked back on."""
    attaches, looks = len(sent(sandbox, "ATTACHED")), len(events(sandbox.log, "history"))
    task = asyncio.create_task(source(sandbox, notices=notices, deadlines=deadlines, **changed).listen(channels, sink))
    task.add_done_callback(_show_failure)
    try:
        if attached:
            # History is looked at once at the start, and once for the first channel that is attached.
            await until(lambda: len(sent(sandbox, "ATTACHED")) - attaches >= len(channels))
            await until(lambda: len(events(sandbox.log, "history")) - looks >= 2 * len(channels))
        yield task
    finally:
        has_ended = task.done()  # which is for the test to judge
        task.cancel()
        await asyncio.wait({task})
        assert has_ended or task.cancelled()


def _show_failure(task: asyncio.Task[None]) -> None:
    """A test that waits for something would not learn that nobody listens any more."""
    if not task.cancelled() and task.exception() is not None:
        traceback.print_exception(task.exception())


@asynccontextmanager
async def sdk_alone(sandbox: Sandbox, channel: str = CHANNEL, **options: Any) -> AsyncIterator[tuple[Any, list[Any]]]:
    """Ably's own client with a plain subscription, attached; and what it has delivered."""
    client = AblyRealtime(
        sandbox.env["REALTIME_API_KEY"],
        **{
            "endpoint": f"{LOOPBACK}:{sandbox.ably_port}/",
            "tls": False,
            "fallback_hosts": [],
            "realtime_request_timeout": 300,
            "disconnected_retry_timeout": 50,
            "channel_retry_timeout": 50,
        }
        | options,
    )
    heard: list[Any] = []

    def hear(message: Any) -> None:
        heard.append(message)

    try:
        await asyncio.wait_for(client.channels.get(channel).subscribe(hear), 5)
        yield client, heard
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(client.close(), 1)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in [task for task in others if "/ably/" in task.get_coro().cr_code.co_filename]:  # type: ignore[union-attr]
            task.cancel()
        await asyncio.sleep(0)


async def publish_together(sandbox: Sandbox, *messages: Document, channel: str = CHANNEL) -> None:
    """Publish messages as one, so that they share a frame, with the key that may do it."""
    key = b64encode(str(sandbox.state()["publisher_key"]).encode()).decode()
    url = f"{sandbox.env['REALTIME_ENDPOINT']}/channels/{channel}/messages"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Basic {key}"}) as session,
        session.post(url, json=list(messages)) as response,
    ):
        assert response.status == 201, await response.text()


def published(sandbox: Sandbox) -> list[str]:
    """The serials of all that was published, in order; updates and deletes are none."""
    return [str(record["serial"]) for record in events(sandbox.log, "published") if record["action"] == 0]


def sent(sandbox: Sandbox, frame: str) -> list[dict[str, Any]]:
    """The frames of this kind that clients have got."""
    return [record for record in sandbox.log if record.get("dir") == "out" and record["message"] == frame]


def connects(sandbox: Sandbox) -> int:
    """How often a client has connected."""
    return len(events(sandbox.log, "connected"))


async def until(condition: Callable[[], object]) -> None:
    """Wait for what happens in the client's thread; the test's timeout is its end."""
    while not condition():  # noqa: ASYNC110 (what is waited for sets no event)
        await asyncio.sleep(0.002)


def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def tasks() -> list[str]:
    """What the loop of the test works on, but for what the sandbox does."""
    files = [str(task.get_coro().cr_code.co_filename) for task in asyncio.all_tasks()]  # type: ignore[union-attr]
    return [name for name in files if not any(part in name for part in ("/sandbox/", "/aiohttp/", "/asyncio/"))]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def threads() -> list[str]:
    """Of the edge's clients."""
    return [thread.name for thread in threading.enumerate() if thread.name == "ably"]
