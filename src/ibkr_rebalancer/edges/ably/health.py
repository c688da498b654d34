"""How well events are heard, told when it changes and not before: brief troubles are mended without a word."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.troubles import Kind, Trouble
from ibkr_rebalancer.ports import Observer

UP, DEGRADED, DOWN = "events.up", "events.degraded", "events.down"
"""All is well; only what comes over the socket is heard; the socket brings nothing."""


@dataclass(slots=True)
class _Side:
    """The socket, or history."""

    well_at: float
    """When it was last known to be well."""
    is_known: bool = False
    trouble: Trouble | None = None
    """What lasts, or is a refusal."""

    def forgive(self, now: float) -> None:
        """The other side is well again: this one will be in a moment, if their trouble was the same."""
        if self.trouble is not None and self.trouble.kind is not Kind.CAPABILITY:
            self.well_at, self.is_known, self.trouble = now, False, None


class Health:
    """Two reports make one state: is the socket sound, and can history be read?"""

    def __init__(
        self, channels: Collection[str], *, observer: Observer, deadlines: Deadlines, now: Callable[[], float]
    ) -> None:
        self._names = ", ".join(channels)
        self._observer = observer
        self._deadlines = deadlines
        self._now = now
        """Monotonic, in seconds."""
        self._live = _Side(now())
        self._history = _Side(now())
        self._told: object = None

    def hear_live(self, trouble: Trouble | None) -> None:
        """The socket has just been found sound, or this is wrong with it."""
        self._hear(self._live, trouble, other=self._history)

    def hear_history(self, trouble: Trouble | None) -> None:
        """History has just been read, or this is wrong with it."""
        self._hear(self._history, trouble, other=self._live)

    def _hear(self, side: _Side, trouble: Trouble | None, *, other: _Side) -> None:
        if trouble is None:
            side.well_at = self._now()
            if side.trouble is not None:
                other.forgive(self._now())
        elif not trouble.is_refusal and self._now() - side.well_at < self._deadlines.patience_s:
            return
        side.is_known, side.trouble = True, trouble
        self._tell()

    def _tell(self) -> None:
        troubles = (self._live.trouble, self._history.trouble)
        event = _event(*troubles)
        state = (event, frozenset(trouble.kind for trouble in troubles if trouble is not None and trouble.is_refusal))
        if not (self._live.is_known and self._history.is_known) or state == self._told:
            return
        self._told = state
        if event == UP:
            self._observer.notify(Notice(event=UP, text=f"Listening for events on {self._names}."))
        else:
            text = f"{self._fact(*troubles)}{_remedy(*troubles)}"
            self._observer.notify(Notice(event=event, text=text, severity=Severity.WARNING))

    def _fact(self, live: Trouble | None, history: Trouble | None) -> str:
        """What is wrong, why, and what that means for events."""
        reasons = " and ".join(dict.fromkeys(trouble.why for trouble in (live, history) if trouble is not None))
        every = f"Ably is asked for them every {self._deadlines.history_every_s:g} s"
        if live is None:
            text = f"Events on {self._names} are heard, but none can be looked up afterwards: {reasons}."
        elif history is None:
            text = f"Events on {self._names} are not heard as they are published: {reasons}. {every} instead."
        else:
            text = f"Events on {self._names} are not heard: {reasons}."
        if history is not None and history.kind is Kind.CAPABILITY:
            return f"{text} What is published while there is no connection, or this program is not running, is missed."
        if history is not None:
            return f"{text} It is tried again for ever; then what was missed is fetched, as far back as Ably keeps it."
        return text


def _event(live: Trouble | None, history: Trouble | None) -> str:
    return DOWN if live is not None else DEGRADED if history is not None else UP


def _remedy(live: Trouble | None, history: Trouble | None) -> str:
    kinds = {trouble.kind for trouble in (live, history) if trouble is not None}
    if Kind.KEY in kinds:
        return " Check REALTIME_API_KEY, and that the key is not revoked."
    if Kind.CAPABILITY in kinds:
        return " The key needs the capabilities subscribe and history on these channels."
    return ""
