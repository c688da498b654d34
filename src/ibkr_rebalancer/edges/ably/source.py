"""Listen to channels of Ably so that nothing is missed: history is the guarantee, the socket only makes it quick."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from ibkr_rebalancer.core.events import Delivery
from ibkr_rebalancer.edges.ably.catch_up import CatchUp
from ibkr_rebalancer.edges.ably.deadlines import DEADLINES, Deadlines
from ibkr_rebalancer.edges.ably.health import Health
from ibkr_rebalancer.edges.ably.history import History
from ibkr_rebalancer.edges.ably.live import Discontinuity, Hearing, LiveClient, Renewal, Signal
from ibkr_rebalancer.edges.ably.own_loop import in_own_loop
from ibkr_rebalancer.edges.ably.pauses import Pauses, set_within
from ibkr_rebalancer.edges.ably.troubles import Trouble
from ibkr_rebalancer.ports import Clock, EventSink, Observer

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

        What was published before a channel is first listened to is no event. From then on the sink's cursor tells until
        when its history was looked at.

        Raises:
            StorageFailed: as the sink does.
        """
        names = sorted(set(channels))
        ably, histories = self._history(), {name: self._history() for name in names}
        health = Health(names, observer=self._observer, deadlines=self._deadlines, now=asyncio.get_running_loop().time)
        once = _Once(sink)
        catch_up = CatchUp(
            histories,
            sink,
            once.take,
            health,
            ably=ably,
            clock=self._clock,
            observer=self._observer,
            deadlines=self._deadlines,
        )
        listening = _Listening(once.take, catch_up, health)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(listening.receive())
                group.create_task(catch_up.run())
                group.create_task(self._stay_connected(names, listening))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            for history in (ably, *histories.values()):
                await history.close()

    def _history(self) -> History:
        """With connections of its own, which it drops in trouble."""
        return History(api_key=self._api_key, endpoint=self._endpoint, clock=self._clock, deadlines=self._deadlines)

    async def _stay_connected(self, names: Collection[str], listening: "_Listening") -> None:
        """One client after the other, with growing pauses unless it has lived for a while."""
        now, d = asyncio.get_running_loop().time, self._deadlines
        pauses, tell = Pauses(d, d.longest_pause_s), listening.teller()

        async def hear() -> Trouble | Renewal:
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
            end = await in_own_loop(hear, linger_s=2 * d.close_s)
            if now() - born > d.storm_s:
                pauses.start_over()
            if isinstance(end, Renewal):
                await asyncio.sleep(d.shortest_pause_s)
            else:
                tell(Hearing(dict.fromkeys(names, end)))
                await listening.pause(pauses.after(end))


class _Once:
    """The sink, which history need not trouble with what it shows again and again."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._taken: dict[tuple[str, str], None] = {}
        """What was taken lately, oldest first."""

    def take(self, delivery: Delivery) -> None:
        name = (delivery.channel, delivery.serial)
        if name in self._taken:
            return
        self._sink.take(delivery)
        if delivery.serial:
            self._taken[name] = None
        if len(self._taken) > REMEMBERED:
            del self._taken[next(iter(self._taken))]


class _Listening:
    """What the threads of clients hand over."""

    def __init__(self, take: Callable[[Delivery], None], catch_up: CatchUp, health: Health) -> None:
        self._take = take
        self._catch_up = catch_up
        self._health = health
        self._signals: asyncio.Queue[Signal] = asyncio.Queue()

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
                case Discontinuity(channel):
                    self._catch_up.call(channel)
                case Hearing(channels):
                    self._hear(channels)

    def _hear(self, channels: Mapping[str, Trouble | None]) -> None:
        for channel, trouble in channels.items():
            if trouble is not None:
                self._catch_up.lose(channel)
        self._health.hear_live(channels)

    async def pause(self, pause_s: float) -> None:
        """Wait; but where Ably did not answer over REST either, no longer than until it does."""
        answers_again = self._catch_up.answers_again
        if answers_again.is_set():
            await asyncio.sleep(pause_s)
        else:
            await set_within(answers_again, pause_s)
