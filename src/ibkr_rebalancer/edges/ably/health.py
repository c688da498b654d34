"""How well events are heard, told when it changes and not before: brief troubles are mended without a word."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.troubles import Kind, Trouble
from ibkr_rebalancer.ports import Observer


@dataclass(slots=True)
class _Side:
    """The socket, or history."""

    well_at: float
    """When it was last known to be well."""
    is_known: bool = False
    trouble: Trouble | None = None
    """What lasts, or is a refusal."""


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
        self._hear(self._live, trouble)

    def hear_history(self, trouble: Trouble | None) -> None:
        """History has just been read, or this is wrong with it."""
        self._hear(self._history, trouble)

    def _hear(self, side: _Side, trouble: Trouble | None) -> None:
        if trouble is None:
            side.well_at = self._now()
        elif not trouble.is_refusal and self._now() - side.well_at < self._deadlines.patience_s:
            return
        side.is_known, side.trouble = True, trouble
        self._tell()

    def _tell(self) -> None:
        live, history = self._live.trouble, self._history.trouble
        state = (live and live.kind, history and history.kind)
        if not (self._live.is_known and self._history.is_known) or state == self._told:
            return
        self._told = state
        notice = self._up() if live is None and history is None else self._less(live, history)
        self._observer.notify(notice)

    def _up(self) -> Notice:
        return Notice(event="events.up", text=f"Listening for events on {self._names}.")

    def _less(self, live: Trouble | None, history: Trouble | None) -> Notice:
        if live is None:
            event, text = "events.degraded", f"Events on {self._names} are heard, but none can be looked up afterwards"
        elif history is None:
            event, text = "events.down", f"Events on {self._names} are not heard as they are published"
        else:
            event, text = "events.down", f"Events on {self._names} are not heard"
        reasons = " and ".join(dict.fromkeys(trouble.why for trouble in (live, history) if trouble is not None))
        text = f"{text}: {reasons}. {self._consequence(live, history)}{_remedy(live, history)}"
        return Notice(event=event, text=text, severity=Severity.WARNING)

    def _consequence(self, live: Trouble | None, history: Trouble | None) -> str:
        every = f"every {self._deadlines.history_every_s:g} s"
        if live is not None and history is None:
            return f"Ably is asked for them {every} instead."
        if history is not None and history.kind is Kind.CAPABILITY:
            return "What is published while the connection is lost, or while this program is not running, is missed."
        if live is None:
            return (
                "It is tried again for ever; what is published while the connection is lost comes later, or is missed."
            )
        return "It is tried again for ever; what is published meanwhile is fetched then, as far back as Ably keeps it."


def _remedy(live: Trouble | None, history: Trouble | None) -> str:
    kinds = {trouble.kind for trouble in (live, history) if trouble is not None}
    if Kind.KEY in kinds:
        return " Check REALTIME_API_KEY, and that the key is not revoked."
    if Kind.CAPABILITY in kinds:
        return " The key needs the capabilities subscribe and history on these channels."
    return ""
