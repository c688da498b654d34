"""One realtime client of the SDK, for as long as it is of any use: it hears, and is watched from outside.

The SDK may call itself connected for ever without a socket, swallow errors, and try again without a pause. So it is
believed nothing: it is pinged, its reconnects are counted, and once in doubt it is dropped, with its thread and loop.
What is wrong with one channel alone is no such doubt.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from ably.realtime.realtime import AblyRealtime
from ably.types.channelstate import ChannelState
from ably.types.connectionstate import ConnectionState

from ibkr_rebalancer.core.events import Delivery
from ibkr_rebalancer.edges.ably.address import socket_options
from ibkr_rebalancer.edges.ably.attachments import UNATTACHED, Attachment
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.messages import live_delivery
from ibkr_rebalancer.edges.ably.troubles import AblyTrouble, Kind, Trouble, answer_of, trouble_of
from ibkr_rebalancer.ports import Clock

logging.getLogger("ably").setLevel(logging.CRITICAL + 1)
"""It logs the key, and a traceback for whatever is mended here; what matters of that is told in sentences."""


@dataclass(frozen=True, slots=True)
class Discontinuity:
    """The channel is attached, and what was published before may not have been heard."""

    channel: str


@dataclass(frozen=True, slots=True)
class Hearing:
    """How well channels are heard just now: attached while Ably answers (None), or what is wrong with each."""

    channels: Mapping[str, Trouble | None]


@dataclass(frozen=True, slots=True)
class Renewal:
    """The key is refused on a channel at least; whether it still is, only another connection shows."""


Signal = Delivery | Discontinuity | Hearing
"""What is heard of a client."""


class LiveClient:
    """A client that is made, heard and watched in `run`, all in one event loop."""

    def __init__(
        self,
        *,
        api_key: str,
        endpoint: str | None,
        channels: Collection[str],
        clock: Clock,
        deadlines: Deadlines,
        tell: Callable[[Signal], None],
    ) -> None:
        self._api_key = api_key
        self._endpoint = endpoint
        self._channels = channels
        self._clock = clock
        self._deadlines = deadlines
        self._tell = tell

        self._changed = asyncio.Event()
        self._connects: deque[float] = deque()
        """When it has connected, lately."""
        self._attachments: dict[str, Attachment] = {}
        self._attached: frozenset[str] = frozenset()
        """The channels that were attached at the last look."""
        self._born = _now()
        self._deaf_since: float | None = self._born
        """Since when there is no connection, or no channel attached that could be; None while it hears."""
        self._is_connected = False
        self._failure: Trouble | None = None
        self._reason: Trouble | None = None
        """What the SDK has said last about why it is not connected."""
        self._ping: asyncio.Task[float] | None = None
        self._ping_at = 0.0
        self._transports: WeakSet[Any] = WeakSet()

    async def run(self) -> Trouble | Renewal:
        """Hear until it is of no use any more, and tell why."""
        try:
            client = await answer_of(self._made, within_s=self._deadlines.answer_s)
        except AblyTrouble as failure:
            return failure.trouble
        try:
            subscriptions = self._subscribe(client)
            client.connect()
            while (end := self._trouble(client) or self._renewal()) is None:
                await self._change()
            del subscriptions
            return end
        finally:
            await self._drop(client)

    async def _made(self) -> Any:
        """The client, which refuses what it cannot read as a key."""
        d = self._deadlines
        return AblyRealtime(
            self._api_key,
            auto_connect=False,  # not before we listen
            transport_params={"heartbeats": "true", "echo": "false"},
            realtime_request_timeout=d.answer_s * 1000,
            disconnected_retry_timeout=d.retry_s * 1000,
            suspended_retry_timeout=d.retry_s * 1000,
            channel_retry_timeout=d.retry_s * 1000,
            **socket_options(self._endpoint),
        )

    def _subscribe(self, client: Any) -> list[asyncio.Task[None]]:
        """Listen to everything before anything can happen; a subscription waits for its channel without a limit."""
        client.connection.on(self._hear_connection)
        client.connection.connection_manager.on("transport.pending", self._hear_transport)
        subscriptions = []
        for name in self._channels:
            channel = client.channels.get(name)
            self._attachments[name] = Attachment(channel, self._deadlines, _now())
            channel.on(self._channel_listener(name))
            # An event of the name `error` that nobody has asked for by name is an exception in the SDK's emitter.
            wanted = (channel.subscribe(self._listener(name)), channel.subscribe("error", _ignore))
            subscriptions += [asyncio.create_task(subscription) for subscription in wanted]
        return subscriptions

    def _listener(self, channel: str) -> Callable[[Any], None]:
        """The SDK wants a function, and swallows what it raises."""

        def hear(message: Any) -> None:
            delivery = live_delivery(channel, message, self._clock.now())
            if delivery is not None:
                self._tell(delivery)

        return hear

    def _channel_listener(self, name: str) -> Callable[[Any], None]:
        def hear(change: Any) -> None:
            """A change of the channel's state; an ATTACHED that finds it attached is one too."""
            attachment = self._attachments[name]
            attachment.hear(change, _now())
            if change.current == ChannelState.ATTACHED and not change.resumed:
                self._tell(Discontinuity(name))
            elif change.current == ChannelState.FAILED:
                self._tell(Hearing({name: attachment.trouble}))
            self._changed.set()

        return hear

    def _hear_connection(self, change: Any) -> None:
        if change.reason is not None:
            self._reason = trouble_of(change.reason)
        if change.current == ConnectionState.CONNECTED and change.previous != ConnectionState.CONNECTED:
            self._connects.append(_now())
            self._ping_at = _now() + self._deadlines.ping_every_s
        elif change.current == ConnectionState.FAILED:
            self._failure = trouble_of(change.reason)
        if change.current != ConnectionState.CONNECTED and self._ping is not None:
            self._ping.cancel()  # it would say nothing of the next connection
            self._ping = None
        self._changed.set()

    def _hear_transport(self, transport: Any) -> None:
        self._transports.add(transport)

    def _trouble(self, client: Any) -> Trouble | None:
        """Why the client is of no use any more; None while it may be. Pings it when it is time to."""
        d, now = self._deadlines, _now()
        self._changed.clear()
        while self._connects and self._connects[0] < now - d.storm_s:
            self._connects.popleft()
        if self._failure is not None:
            return self._failure
        if len(self._connects) > d.storm_connects:
            return Trouble(kind=Kind.LINE, why=f"the connection broke {len(self._connects)} times in a row")
        self._is_connected = client.connection.state == ConnectionState.CONNECTED
        self._see_channels(now)
        if self._deaf_since is not None and now - self._deaf_since > d.attach_s:
            return self._why_deaf()
        if not self._is_connected:
            return None
        for attachment in self._attachments.values():
            if attachment.is_stuck(now):
                return UNATTACHED
            attachment.ask_again(now, self._changed.set)
        return self._pinged(client, now)

    def _renewal(self) -> Renewal | None:
        """Due now and then, for the sake of channels on which the key is refused."""
        is_due = _now() - self._born >= self._deadlines.refused_pause_s
        return Renewal() if is_due and any(each.is_refused for each in self._attachments.values()) else None

    def _see_channels(self, now: float) -> None:
        """Whether it hears. It goes on without channels that have failed: those are asked for again."""
        every = self._attachments.items()
        attached = frozenset(name for name, each in every if self._is_connected and each.is_attached)
        if attached - self._attached:
            self._ping_at = now
        self._attached = attached
        if attached or (self._is_connected and all(each.has_failed for _, each in every)):
            self._deaf_since = None
        elif self._deaf_since is None:
            self._deaf_since = now

    def _why_deaf(self) -> Trouble:
        if not self._is_connected:
            return self._reason or Trouble(kind=Kind.LINE, why="no connection was made in time")
        reasons = [each.trouble for each in self._attachments.values() if not each.has_failed]
        return next((reason for reason in reasons if reason is not None and not reason.is_refusal), UNATTACHED)

    def _pinged(self, client: Any, now: float) -> Trouble | None:
        """What came of the last ping, if it matters; the next one is sent when it is time to."""
        if self._ping is not None and self._ping.done():
            error, self._ping = self._ping.exception(), None
            if isinstance(error, AblyTrouble):
                return error.trouble
            self._tell(Hearing({name: each.trouble for name, each in self._attachments.items()}))
        if self._ping is None and now >= self._ping_at:
            self._ping_at = now + self._deadlines.ping_every_s
            ping = answer_of(client.connection.ping, within_s=self._deadlines.pong_s)
            self._ping = asyncio.create_task(ping)
            self._ping.add_done_callback(lambda _: self._changed.set())
        return None

    async def _change(self) -> None:
        """Wait for something to happen, or for the time to look."""
        d, now = self._deadlines, _now()
        times = [now + d.ping_every_s]
        if self._deaf_since is not None:
            times.append(self._deaf_since + d.attach_s)
        if any(each.is_refused for each in self._attachments.values()):
            times.append(self._born + d.refused_pause_s)
        if self._is_connected:
            times += [each.again_at for each in self._attachments.values() if each.again_at is not None]
            times += [self._ping_at] if self._ping is None else []
        with suppress(TimeoutError):
            async with asyncio.timeout(max(min(times) - now, 0) + 0.001):
                await self._changed.wait()

    async def _drop(self, client: Any) -> None:
        """Say goodbye if that is possible, and cut every socket that it has ever opened, even if cancelled."""
        try:
            with suppress(AblyTrouble):
                await answer_of(client.close, within_s=self._deadlines.close_s)
        finally:
            for transport in list(self._transports):
                if transport.websocket is not None:
                    transport.websocket.transport.abort()
        await asyncio.sleep(0)  # what is aborted is closed in the next turn


def _ignore(message: object) -> None:
    """Listen to nothing."""


def _now() -> float:
    """Monotonic; the SDK's own measure of silence moves with the clock on the wall."""
    return asyncio.get_running_loop().time()
