"""Where events come from."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from ibkr_rebalancer.core.events import Cursor, Delivery, Gap


class EventSink(Protocol):
    """Where messages of channels end up: kept before anybody acts on them.

    All methods raise StorageFailed when nothing can be kept.
    """

    def take(self, delivery: Delivery) -> None:
        """Keep a message; one that is there already is not kept twice. Durable when it returns."""
        ...

    def miss(self, gap: Gap) -> None:
        """Keep that messages may have been missed. Durable when it returns."""
        ...

    def cursor(self, channel: str) -> Cursor | None:
        """How far the channel was looked at; None for one that is new."""
        ...

    def begin(self, channel: str, since: datetime, *, by_our_clock: bool) -> None:
        """The channel is listened to from this time on, whatever its cursor was: a time of Ably's, or of this
        computer's clock until Ably's is known."""
        ...

    def advance(self, channel: str, until: datetime) -> None:
        """Its history has been looked at until this time; the cursor never goes back."""
        ...


class EventSource(Protocol):
    """Where events come from."""

    async def listen(self, channels: Collection[str], sink: EventSink) -> None:
        """Hand every message of the channels to the sink, until cancelled: also those that nobody was there to hear,
        as far back as they are kept, from the sink's cursor on.

        What goes wrong is told and mended, for ever.

        Raises:
            StorageFailed: as the sink does.
        """
        ...
