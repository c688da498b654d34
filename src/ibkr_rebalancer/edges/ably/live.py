"""One realtime client of the SDK, for as long as it is of any use: it hears, and is watched from outside.

The SDK may call itself connected for ever without a socket, swallow errors, and try again without a pause. So it is
believed nothing: it is pinged, its reconnects are counted, and once in doubt it is dropped, with its thread and loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakSet

from ably.realtime.realtime import AblyRealtime
from ably.types.channelstate import ChannelState
from ably.types.connectionstate import ConnectionState

from ibkr_rebalancer.core.events import Delivery
from ibkr_rebalancer.edges.ably.address import socket_options
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.messages import live_delivery
from ibkr_rebalancer.edges.ably.troubles import AblyTrouble, Kind, Trouble, answer_of, trouble_of
from ibkr_rebalancer.ports import Clock

logging.getLogger("ably").setLevel(logging.CRITICAL + 1)
"""It logs the key, and a traceback for whatever is mended here; what matters of that is told in sentences."""


@dataclass(frozen=True, slots=True)
class Discontinuity:
    """A channel is attached, and what was published before may not have been heard."""


@dataclass(frozen=True, slots=True)
class Sound:
    """All channels are attached, and Ably has just answered."""


Signal = Delivery | Discontinuity | Sound | Trouble
"""What is heard of a client; a Trouble is one that it lives on with, as other channels are well."""


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
        self._lost_since = self._born = _now()
        self._is_attached = False
        self._failure: Trouble | None = None
        self._forbidden: dict[str, Trouble] = {}
        """Channels that the key may not subscribe to."""
        self._reason: Trouble | None = None
        """What the SDK has said last about why it is not connected or attached."""
        self._ping: asyncio.Task[float] | None = None
        self._ping_at = 0.0
        self._transports: WeakSet[Any] = WeakSet()

    async def run(self) -> Trouble:
        """Hear until it is of no use any more, and tell why."""
        d = self._deadlines
        client = AblyRealtime(
            self._api_key,
            transport_params={"heartbeats": "true", "echo": "false"},
            realtime_request_timeout=d.answer_s * 1000,
            disconnected_retry_timeout=d.retry_s * 1000,
            suspended_retry_timeout=d.retry_s * 1000,
            channel_retry_timeout=d.retry_s * 1000,
            **socket_options(self._endpoint),
        )
        try:
            subscriptions = self._subscribe(client)
            while (trouble := self._trouble(client)) is None:
                await self._change()
            del subscriptions
            return trouble
        finally:
            await self._drop(client)

    def _subscribe(self, client: Any) -> list[asyncio.Task[None]]:
        """Listen to everything before anything can happen; a subscription waits for its channel without a limit."""
        client.connection.on(self._hear_connection)
        client.connection.connection_manager.on("transport.pending", self._hear_transport)
        subscriptions = []
        for name in self._channels:
            channel = client.channels.get(name)
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

    def _channel_listener(self, channel: str) -> Callable[[Any], None]:
        def hear(change: Any) -> None:
            """A change of the channel's state; an ATTACHED that finds it attached is one too."""
            if change.current == ChannelState.ATTACHED and not change.resumed:
                self._tell(Discontinuity())
            if change.reason is not None:
                self._reason = trouble_of(change.reason)
            if change.current == ChannelState.FAILED:
                self._fail(channel, trouble_of(change.reason))
            self._changed.set()

        return hear

    def _hear_connection(self, change: Any) -> None:
        if change.reason is not None:
            self._reason = trouble_of(change.reason)
        if change.current == ConnectionState.CONNECTED and change.previous != ConnectionState.CONNECTED:
            self._connects.append(_now())
        elif change.current == ConnectionState.FAILED:
            self._failure = trouble_of(change.reason)
        self._changed.set()

    def _hear_transport(self, transport: Any) -> None:
        self._transports.add(transport)

    def _fail(self, channel: str, trouble: Trouble) -> None:
        """The SDK never attaches a failed channel again. The others may go on without one that is forbidden."""
        if trouble.kind is Kind.CAPABILITY:
            why = f"the API key may not subscribe to {channel} (error 40160)"
            self._forbidden[channel] = replace(trouble, why=why)
            self._tell(self._forbidden[channel])
        else:
            self._failure = trouble

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
        if self._forbidden and now - self._born > d.refused_pause_s:
            return next(iter(self._forbidden.values()))
        self._see_channels(client, now)
        if not self._is_attached and now - self._lost_since > d.attach_s:
            return self._reason or Trouble(kind=Kind.LINE, why="no connection was made in time")
        return self._pinged(client, now)

    def _see_channels(self, client: Any, now: float) -> None:
        was_attached = self._is_attached
        channels = [client.channels.get(name) for name in self._channels if name not in self._forbidden]
        self._is_attached = client.connection.state == ConnectionState.CONNECTED and all(
            channel.state == ChannelState.ATTACHED for channel in channels
        )
        if self._is_attached and not was_attached:
            self._ping_at = now
        elif was_attached and not self._is_attached:
            self._lost_since = now

    def _pinged(self, client: Any, now: float) -> Trouble | None:
        """What came of the last ping, if it matters; the next one is sent when it is time to."""
        if self._ping is not None and self._ping.done():
            error, self._ping = self._ping.exception(), None
            self._ping_at = now + self._deadlines.ping_every_s
            if isinstance(error, AblyTrouble) and self._is_attached:
                return error.trouble
            if error is None and self._is_attached and not self._forbidden:
                self._tell(Sound())
        if self._ping is None and self._is_attached and now >= self._ping_at:
            ping = answer_of(client.connection.ping, within_s=self._deadlines.pong_s)
            self._ping = asyncio.create_task(ping)
            self._ping.add_done_callback(lambda _: self._changed.set())
        return None

    async def _change(self) -> None:
        """Wait for something to happen, or for the time to look."""
        d, now = self._deadlines, _now()
        times = [d.ping_every_s]
        if not self._is_attached:
            times.append(self._lost_since + d.attach_s - now)
        elif self._ping is None:
            times.append(self._ping_at - now)
        if self._forbidden:
            times.append(self._born + d.refused_pause_s - now)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(min(times), 0) + 0.001):
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
