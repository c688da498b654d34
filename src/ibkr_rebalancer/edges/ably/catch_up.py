"""What history shows of channels: all that the socket has not brought, or a gap, told and kept."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from ibkr_rebalancer.core.events import Cursor, Delivery, Gap
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.health import Health
from ibkr_rebalancer.edges.ably.history import KEPT, History
from ibkr_rebalancer.edges.ably.pauses import Pauses, set_within
from ibkr_rebalancer.edges.ably.troubles import AblyTrouble, Kind, Trouble
from ibkr_rebalancer.ports import Clock, EventSink, Observer

UNHEARD = "Nothing shows that the channel was heard all that time, or that Ably's history reaches back so far."
UNPROVEN = (
    "What was published then came over the socket; but history, which alone shows whether all of it did, could not be"
    " read, and nothing shows that it reaches back so far."
)
PUT_BACK = (
    "It may be for longer: the clock that told since when or until when the channel was listened to has been put back."
)
"""Why messages may have been missed."""


class CatchUp:
    """Looks at the history of all channels by the clock, and at once where something calls for it.

    They are looked at side by side, and none waits for another. What is wrong with one is its own: it is tried again
    alone, while the others are looked at as ever.
    """

    def __init__(
        self,
        histories: Mapping[str, History],
        sink: EventSink,
        take: Callable[[Delivery], None],
        health: Health,
        *,
        ably: History,
        clock: Clock,
        observer: Observer,
        deadlines: Deadlines,
    ) -> None:
        """`histories` are those of the channels, one for each, and `ably` is one more, to ask for the time."""
        self.answers_again = asyncio.Event()
        """Set while the history of a channel at least can be read."""
        self._histories = histories
        self._channels = channels = frozenset(histories)
        self._sink = sink
        self._take = take
        self._ably = ably
        self._health = health
        self._observer = observer
        self._deadlines = deadlines

        self._born_at, self._born = _now(), clock.now()
        self._begun_by_ours = dict(self._without_ably())
        """Since when, by our clock, the channels are listened to that have no cursor by Ably's; until it is known."""
        self._called: set[str] = set()
        self._at_work: set[str] = set()
        """The channels whose history is being read."""
        self._found: dict[str, Trouble | None] = {}
        """What came of the looks that have ended, until it is told."""
        self._wake = asyncio.Event()
        self._look_at = self._born_at
        """When all channels are looked at again."""
        self._again_at: dict[str, float] = {}
        """When the channels are tried again that could not be read."""
        self._pauses = Pauses(deadlines, deadlines.history_every_s)
        self._pauses_of = {name: Pauses(deadlines, deadlines.history_every_s) for name in channels}
        self._attached: set[str] = set()
        self._unbroken: set[str] = set()
        """The channels that have been attached ever since their history was last read."""

    def _without_ably(self) -> Iterator[tuple[str, datetime]]:
        for channel in self._channels:
            cursor = self._sink.cursor(channel)
            if cursor is None:
                yield channel, self._born
            elif cursor.by_our_clock:
                yield channel, cursor.since

    def call(self, channel: str) -> None:
        """The channel is attached, and the socket may have missed something before: look now."""
        self._attached.add(channel)
        self._unbroken.discard(channel)
        self._called.add(channel)
        self._health.expect_history(channel)
        self._wake.set()

    def lose(self, channel: str) -> None:
        """The channel is not attached any more."""
        self._attached.discard(channel)
        self._unbroken.discard(channel)

    async def run(self) -> None:
        """Look, for ever."""
        try:
            async with asyncio.TaskGroup() as looks:
                while True:
                    self._wake.clear()
                    self._report()
                    if self._called - self._at_work or _now() >= self._next_at():
                        await self._look(looks)
                    await set_within(self._wake, max(0.0, self._next_at() - _now()))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _next_at(self) -> float:
        return min([self._look_at, *self._again_at.values()])

    async def _look(self, looks: asyncio.TaskGroup) -> None:
        """Begin to look at the channels that were called for, or are not in a pause of their own."""
        asked_at, called = _now(), self._called - self._at_work
        self._called -= called
        try:
            now = await self._ably.now()
        except AblyTrouble as failure:
            self._begin_by_our_clock()
            self.answers_again.clear()
            self._health.hear_history(dict.fromkeys(self._channels, failure.trouble))
            self._again_at.clear()
            self._look_at = _now() + self._pauses.after(failure.trouble)
            return
        self._pauses.start_over()
        self._begin(now, waited=timedelta(seconds=asked_at - self._born_at))
        self._look_at = asked_at + self._deadlines.history_every_s
        waiting = {name for name, at in self._again_at.items() if at > _now()} - called
        due = self._channels - self._at_work - waiting
        self._at_work |= due
        for name in due:
            self._again_at.pop(name, None)
            looks.create_task(self._look_at_one(name, now, asked_at))

    async def _look_at_one(self, channel: str, now: datetime, asked_at: float) -> None:
        """What comes of it is told with that of the others, if those do not take longer."""
        trouble = self._found[channel] = await self._looked_at(channel, now, asked_at)
        self._at_work.discard(channel)
        if trouble is None:
            self.answers_again.set()
        if not self._at_work or channel in self._called:
            self._wake.set()

    def _report(self) -> None:
        found, self._found = self._found, {}
        if found:
            self._health.hear_history(found)

    def _begin(self, now: datetime, *, waited: timedelta) -> None:
        """Give every channel that has none a cursor by Ably's clock, before history can fail for one of them: it is
        listened to since this process has begun, or as long before that as our clock says."""
        begun = now - waited
        for channel, since in self._begun_by_ours.items():
            if since > self._born:
                self._put_back(channel, begun)
            else:
                self._sink.begin(channel, begun - (self._born - since), by_our_clock=False)
        self._begun_by_ours = {}

    def _begin_by_our_clock(self) -> None:
        """Keep since when new channels are listened to, for a process that ends before Ably has told the time."""
        for channel, since in self._begun_by_ours.items():
            if self._sink.cursor(channel) is None:
                self._sink.begin(channel, since, by_our_clock=True)

    def _put_back(self, channel: str, since: datetime) -> None:
        """Begin there instead of in the future, where nothing would ever be found."""
        self._note_gap(Gap(channel=channel, since=since - KEPT, until=since, why=PUT_BACK))
        self._sink.begin(channel, since, by_our_clock=False)

    async def _looked_at(self, channel: str, now: datetime, asked_at: float) -> Trouble | None:
        """Take what is new on the channel; or what has prevented it, and then it is tried again after a pause."""
        try:
            await self._catch_up(channel, now, asked_at)
        except AblyTrouble as failure:
            trouble = failure.trouble
            self._again_at[channel] = _now() + self._pauses_of[channel].after(trouble)
            if trouble.kind is Kind.CAPABILITY:
                return replace(trouble, why="the API key may not read their history (error 40160)")
            return trouble
        self._pauses_of[channel].start_over()
        if channel in self._attached and channel not in self._called:
            self._unbroken.add(channel)
        return None

    async def _catch_up(self, channel: str, now: datetime, asked_at: float) -> None:
        """Take what is new since the last look, and what came late or out of order before that; tell what is lost.

        Ably was asked for the time, `now`, when the loop's was `asked_at`. History may take its own to answer, and
        goes no further back than two minutes from then.
        """
        history, cursor = self._histories[channel], self._cursor(channel, now)
        await history.replay(channel, max(cursor.until - self._deadlines.overlap, cursor.since), self._take)
        kept_since = now + timedelta(seconds=_now() - asked_at) - KEPT
        if kept_since > cursor.until and not await history.reaches(channel, cursor.until):
            why = UNPROVEN if channel in self._unbroken else UNHEARD
            self._note_gap(Gap(channel=channel, since=cursor.until, until=kept_since, why=why))
        if now > cursor.until:
            self._sink.advance(channel, now)

    def _cursor(self, channel: str, now: datetime) -> Cursor:
        cursor = self._sink.cursor(channel)
        if cursor is None:
            raise AssertionError("every channel has been given one")
        if cursor.until - now > self._deadlines.overlap:
            self._put_back(channel, now)
            return Cursor(since=now, until=now)
        return cursor

    def _note_gap(self, gap: Gap) -> None:
        """Have it kept, and then tell it."""
        self._sink.miss(gap)
        text = (
            f"Events published on {gap.channel} from {gap.since:%Y-%m-%d %H:%M:%S} to {gap.until:%Y-%m-%d %H:%M:%S} UTC"
            f" may have been missed. {gap.why} Ably keeps messages for 2 minutes, and longer only where a rule of the"
            " channel says so. Events from now on are carried out as always; if one was published then and nothing was"
            " told of it, publish it again."
        )
        self._observer.notify(Notice(event="events.gap", text=text, severity=Severity.WARNING))


def _now() -> float:
    return asyncio.get_running_loop().time()
