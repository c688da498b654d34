"""How well events are heard, told when it changes and not before: brief troubles are mended without a word."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.troubles import Kind, Trouble
from ibkr_rebalancer.ports import Observer

UP, DEGRADED, DOWN = "events.up", "events.degraded", "events.down"
"""All is well; only what comes over the socket is heard; the socket brings nothing, of one channel at least."""


@dataclass(slots=True, eq=False)
class _Side:
    """The socket, or history, of one channel."""

    well_at: float
    """When it was last known to be well."""
    is_known: bool = False
    trouble: Trouble | None = None
    """What lasts, or is a refusal."""

    def hear(self, trouble: Trouble | None, now: float, patience_s: float) -> bool:
        """Whether it is well again after what was known of it."""
        if trouble is None:
            is_mended = self.trouble is not None
            self.well_at, self.is_known, self.trouble = now, True, None
            return is_mended
        is_refused = self.trouble is not None and self.trouble.is_refusal
        if trouble.is_refusal or (now - self.well_at >= patience_s and not is_refused):
            self.is_known, self.trouble = True, trouble
        return False

    def forgive(self, now: float) -> None:
        """Something else is well again: this will be in a moment, if their trouble was the same."""
        if self.trouble is not None and self.trouble.kind is not Kind.CAPABILITY:
            self._forget(now)

    def doubt(self, now: float) -> None:
        """It is asked anew: what was refused before may be granted."""
        if self.trouble is not None and self.trouble.is_refusal:
            self._forget(now)

    def _forget(self, now: float) -> None:
        self.well_at, self.is_known, self.trouble = now, False, None


@dataclass(frozen=True, slots=True)
class _Channel:
    """Two reports make one state: is the socket sound, and can history be read?"""

    live: _Side
    history: _Side

    @property
    def sides(self) -> tuple[_Side, _Side]:
        return self.live, self.history

    @property
    def is_known(self) -> bool:
        return all(side.is_known for side in self.sides)

    @property
    def event(self) -> str:
        return DOWN if self.live.trouble is not None else DEGRADED if self.history.trouble is not None else UP

    @property
    def troubles(self) -> tuple[Trouble | None, Trouble | None]:
        return self.live.trouble, self.history.trouble

    @property
    def told_as(self) -> object:
        """What has to change to be told again."""
        kinds = (trouble.kind for trouble in self.troubles if trouble is not None and trouble.is_refusal)
        return self.event, frozenset(kinds)


class Health:
    """What is known of all channels together."""

    def __init__(
        self, channels: Collection[str], *, observer: Observer, deadlines: Deadlines, now: Callable[[], float]
    ) -> None:
        self._channels = {name: _Channel(_Side(now()), _Side(now())) for name in channels}
        self._observer = observer
        self._deadlines = deadlines
        self._now = now
        """Monotonic, in seconds."""
        self._told: object = None

    def hear_live(self, found: Mapping[str, Trouble | None]) -> None:
        """The socket has just been found to bring these channels, or this is wrong with one."""
        self._hear({name: self._channels[name].live for name in found}, found)

    def hear_history(self, found: Mapping[str, Trouble | None]) -> None:
        """History of these channels has just been read, or this is wrong with it."""
        self._hear({name: self._channels[name].history for name in found}, found)

    def expect_history(self, channel: str) -> None:
        """History of the channel is about to be read: a refusal of minutes ago is not told as that of today."""
        self._channels[channel].history.doubt(self._now())

    def _hear(self, sides: Mapping[str, _Side], found: Mapping[str, Trouble | None]) -> None:
        now, patience_s = self._now(), self._deadlines.patience_s
        mended = [side for name, side in sides.items() if side.hear(found[name], now, patience_s)]
        if mended:
            others = {side for channel in self._channels.values() for side in channel.sides} - set(sides.values())
            for side in others:
                side.forgive(now)
        self._tell()

    def _tell(self) -> None:
        channels = self._channels
        state = {name: channel.told_as for name, channel in channels.items()}
        if state == self._told or not all(channel.is_known for channel in channels.values()):
            return
        self._told = state
        event = next(event for event in (DOWN, DEGRADED, UP) if event in {each.event for each in channels.values()})
        if event == UP:
            self._observer.notify(Notice(event=UP, text=f"Listening for events on {', '.join(channels)}."))
        else:
            text = " ".join([*self._facts(), *_remedies(channels.values())])
            self._observer.notify(Notice(event=event, text=text, severity=Severity.WARNING))

    def _facts(self) -> Iterator[str]:
        """What is wrong, of which channels, why, and what that means for events; and what is well."""
        alike: defaultdict[tuple[Trouble | None, Trouble | None], list[str]] = defaultdict(list)
        for name, channel in self._channels.items():
            alike[channel.troubles].append(name)
        well = alike.pop((None, None), [])
        for (live, history), names in alike.items():
            yield self._fact(", ".join(names), live, history)
        if well:
            yield f"Those on {', '.join(well)} are heard as always."

    def _fact(self, names: str, live: Trouble | None, history: Trouble | None) -> str:
        reasons = " and ".join(dict.fromkeys(trouble.why for trouble in (live, history) if trouble is not None))
        every = f"Ably is asked for them every {self._deadlines.history_every_s:g} s"
        if live is None:
            text = f"Events on {names} are heard, but none can be looked up afterwards: {reasons}."
        elif history is None:
            text = f"Events on {names} are not heard as they are published: {reasons}. {every} instead."
        else:
            text = f"Events on {names} are not heard: {reasons}."
        if history is not None and history.kind is Kind.CAPABILITY:
            return f"{text} What is published while there is no connection, or this program is not running, is missed."
        if history is not None:
            return f"{text} It is tried again for ever; then what was missed is fetched, as far back as Ably keeps it."
        return text


def _remedies(channels: Iterable[_Channel]) -> Iterator[str]:
    kinds = {trouble.kind for channel in channels for trouble in channel.troubles if trouble is not None}
    if Kind.KEY in kinds:
        yield "Check REALTIME_API_KEY, and that the key is not revoked."
    elif Kind.CAPABILITY in kinds:
        yield "The key needs the capabilities subscribe and history on each channel."
