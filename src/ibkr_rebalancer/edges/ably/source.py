"""Listen to channels of Ably so that nothing is missed: history is the guarantee, the socket only makes it quick."""

import asyncio
import random
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from ibkr_rebalancer.core.events import Delivery, Gap
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.edges.ably.deadlines import DEADLINES, Deadlines
from ibkr_rebalancer.edges.ably.health import Health
from ibkr_rebalancer.edges.ably.history import KEPT, History
from ibkr_rebalancer.edges.ably.live import Discontinuity, LiveClient, Signal, Sound
from ibkr_rebalancer.edges.ably.own_loop import in_own_loop
from ibkr_rebalancer.edges.ably.troubles import AblyTrouble, Kind, Trouble
from ibkr_rebalancer.ports import Clock, EventSink, Observer

UNHEARD = "Ably was not listened to then, and nothing shows that its history reaches back so far."
"""Why messages may have been missed."""

REMEMBERED = 1_000
"""Messages that are known again here; of those before them the sink knows that it has them."""


class AblyEvents:
    """The event source that is Ably."""

    def __init__(
        self,
        *,
        api_key: str,
        endpoint: str | None,
        clock: Clock,
        observer: Observer,
        deadlines: Deadlines = DEADLINES,
    ) -> None:
        """`endpoint` is `https://host[:port]`, or plain http on this machine; None is Ably itself."""
        self._api_key = api_key
        self._endpoint = endpoint
        self._clock = clock
        self._observer = observer
        self._deadlines = deadlines

    async def listen(self, channels: Collection[str], sink: EventSink) -> None:
        """Hand every message of the channels to the sink, until cancelled; what goes wrong is told and mended.

        What was published before a channel is first listened to is no event. From then on the sink's cursor moves
        along, a little behind the present: to look again from there costs little, and finds what came late.

        Raises:
            StorageFailed: as the sink does.
        """
        names = sorted(set(channels))
        history = History(api_key=self._api_key, endpoint=self._endpoint, clock=self._clock, deadlines=self._deadlines)
        health = Health(names, observer=self._observer, deadlines=self._deadlines, now=asyncio.get_running_loop().time)
        listening = _Listening(names, sink, history, health, self._observer, self._deadlines)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(listening.receive())
                group.create_task(listening.look_back())
                group.create_task(self._stay_connected(names, listening))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await history.close()

    async def _stay_connected(self, names: Collection[str], listening: "_Listening") -> None:
        """One client after the other, with growing pauses unless it has lived for a while."""
        now, d = asyncio.get_running_loop().time, self._deadlines
        pauses, tell = _Pauses(d, d.longest_pause_s), listening.teller()

        async def hear() -> Trouble:
            client = LiveClient(
                api_key=self._api_key,
                endpoint=self._endpoint,
                channels=names,
                clock=self._clock,
                deadlines=d,
                tell=tell,
            )
            return await client.run()

        while True:
            born = now()
            trouble = await in_own_loop(hear, linger_s=2 * d.close_s)
            listening.health.hear_live(trouble)
            if now() - born > d.storm_s:
                pauses.start_over()
            await listening.pause(pauses.after(trouble))


class _Listening:
    """What the socket brings and what history shows, in one sink."""

    def __init__(
        self,
        channels: Collection[str],
        sink: EventSink,
        history: History,
        health: Health,
        observer: Observer,
        deadlines: Deadlines,
    ) -> None:
        self.health = health
        self._channels = channels
        self._sink = sink
        self._history = history
        self._observer = observer
        self._deadlines = deadlines
        self._signals: asyncio.Queue[Signal] = asyncio.Queue()
        self._must_look = asyncio.Event()
        self._answers_again = asyncio.Event()
        self._taken: dict[tuple[str, str], None] = {}
        """What was taken lately, oldest first: history shows it again and again, and need not trouble the sink."""

    def teller(self) -> Callable[[Signal], None]:
        """A function by which another thread hands over what it hears."""
        loop = asyncio.get_running_loop()

        def tell(signal: Signal) -> None:
            with suppress(RuntimeError):  # nobody listens any more, and the loop is closed
                loop.call_soon_threadsafe(self._signals.put_nowait, signal)

        return tell

    async def receive(self) -> None:
        """Keep what the socket brings, in the order in which it does."""
        while True:
            match await self._signals.get():
                case Delivery() as delivery:
                    self._take(delivery)
                case Discontinuity():
                    self._must_look.set()
                case Sound():
                    self.health.hear_live(None)
                case Trouble() as trouble:
                    self.health.hear_live(trouble)

    async def look_back(self) -> None:
        """Look at history now, whenever the socket may have missed something, and by the clock."""
        pauses = _Pauses(self._deadlines, self._deadlines.history_every_s)
        while True:
            self._must_look.clear()
            trouble = await self._look()
            self.health.hear_history(trouble)
            if trouble is None:
                pauses.start_over()
                self._answers_again.set()
                pause_s = self._deadlines.history_every_s
            else:
                self._answers_again.clear()
                pause_s = pauses.after(trouble)
            await _set_within(self._must_look, pause_s)

    async def pause(self, pause_s: float) -> None:
        """Wait; but where Ably did not answer over REST either, no longer than until it does."""
        if self._answers_again.is_set():
            await asyncio.sleep(pause_s)
        else:
            await _set_within(self._answers_again, pause_s)

    async def _look(self) -> Trouble | None:
        """Take what is new on all channels; or what has prevented it on one of them at least."""
        try:
            now = await self._history.now()
        except AblyTrouble as failure:
            return failure.trouble
        forbidden = None
        for channel in self._channels:
            try:
                await self._catch_up(channel, now)
            except AblyTrouble as failure:
                if failure.trouble.kind is not Kind.CAPABILITY:
                    return failure.trouble
                why = f"the API key may not read the history of {channel} (error 40160)"
                forbidden = replace(failure.trouble, why=why)
        return forbidden

    async def _catch_up(self, channel: str, now: datetime) -> None:
        cursor = self._sink.cursor(channel)
        if cursor is None:
            self._sink.advance(channel, now)
            cursor = now
        await self._history.replay(channel, cursor, self._take)
        looked_until = cursor + self._deadlines.overlap
        if now - looked_until > KEPT and not await self._history.reaches(channel, looked_until):
            self._note_gap(Gap(channel=channel, since=looked_until, until=now - KEPT, why=UNHEARD))
        if now - self._deadlines.overlap > cursor:
            self._sink.advance(channel, now - self._deadlines.overlap)

    def _take(self, delivery: Delivery) -> None:
        name = (delivery.channel, delivery.serial)
        if name in self._taken:
            return
        self._sink.take(delivery)
        if delivery.serial:
            self._taken[name] = None
        if len(self._taken) > REMEMBERED:
            del self._taken[next(iter(self._taken))]

    def _note_gap(self, gap: Gap) -> None:
        """Have it kept, and then tell it."""
        self._sink.miss(gap)
        text = (
            f"Events published on {gap.channel} from {gap.since:%Y-%m-%d %H:%M:%S} to {gap.until:%Y-%m-%d %H:%M:%S} UTC"
            f" may have been missed. {gap.why} It keeps messages for 2 minutes, and longer only where a rule of the"
            " channel says so. Events from now on are carried out as always; if one was published then, publish it"
            " again."
        )
        self._observer.notify(Notice(event="events.gap", text=text, severity=Severity.WARNING))


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, no longer than that. Before Python 3.12, `asyncio.wait_for` may swallow a cancellation."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class _Pauses:
    """Pauses between tries: doubling, with jitter; long ones where the next try will end alike."""

    def __init__(self, deadlines: Deadlines, longest_s: float) -> None:
        self._deadlines = deadlines
        self._longest_s = longest_s
        self._next_s = deadlines.shortest_pause_s

    def start_over(self) -> None:
        self._next_s = self._deadlines.shortest_pause_s

    def after(self, trouble: Trouble) -> float:
        """Seconds to wait after this."""
        if trouble.is_refusal:
            return self._deadlines.refused_pause_s
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return pause_s * random.uniform(0.5, 1)  # noqa: S311 (jitter, no secret)
