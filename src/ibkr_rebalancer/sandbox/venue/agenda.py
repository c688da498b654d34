"""What is due to happen, and when. No clock: it is told the time."""

from collections.abc import Callable, Hashable
from datetime import datetime
from itertools import count

from ibkr_rebalancer.sandbox.venue.orders import Event

Happening = Callable[[datetime], list[Event]]
"""Takes the time it happens at."""


class Agenda:
    """Happenings by key; those of one moment happen in the order they were put down."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, tuple[datetime, int, Happening]] = {}
        self._count = count()

    @property
    def next_due(self) -> datetime | None:
        return min((at for at, _, _ in self._entries.values()), default=None)

    def put(self, key: Hashable, at: datetime, happening: Happening) -> None:
        """In place of what the key stands for so far."""
        self._entries[key] = (at, next(self._count), happening)

    def put_by(self, key: Hashable, at: datetime, happening: Happening) -> None:
        """Unless it is due earlier already."""
        if key not in self._entries or at < self._entries[key][0]:
            self.put(key, at, happening)

    def drop(self, key: Hashable) -> None:
        self._entries.pop(key, None)

    def take(self, now: datetime) -> tuple[datetime, Happening] | None:
        """The first of what is due by now, with the time it is due at."""
        key = min(self._entries, key=lambda key: self._entries[key][:2], default=None)
        if key is None or self._entries[key][0] > now:
            return None
        at, _, happening = self._entries.pop(key)
        return at, happening
