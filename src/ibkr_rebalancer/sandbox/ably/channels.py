"""Channels: what was published, in order, for as long as it is kept. Pure; the time is an argument."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ibkr_rebalancer.sandbox.ably.keys import milliseconds
from ibkr_rebalancer.sandbox.ably.messages import CREATE, Draft, Message
from ibkr_rebalancer.sandbox.ably.protocol import Refused

CONTINUITY_MS = 120_000
"""How far back a client may resume, whatever history keeps; and for how long an id is known as published before."""
MAX_REWIND = 100
MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Messages that were published as one, and go out as one frame."""

    channel: str
    id: str
    messages: tuple[Message, ...]

    @property
    def serial(self) -> str:
        """Where the channel stands after it."""
        return self.messages[-1].version

    @property
    def timestamp(self) -> int:
        return self.messages[0].timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What of a history is asked for."""

    start: int | None = None
    """In milliseconds, included, as is the end."""
    end: int | None = None
    forwards: bool = False
    limit: int = 100
    from_serial: str | None = None
    """The newest message to be shown; what came later is not."""
    after: str | None = None
    """The last message of the page before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    messages: tuple[Message, ...]
    next: str | None
    """What the query for the next page is `after`; None is the end."""


class Channel:
    def __init__(self, name: str, now: datetime) -> None:
        self.name = name
        self._newest = 0
        self._batches: deque[Batch] = deque()
        self._ids: dict[str, int] = {}
        """When each was published, for as long as that matters."""
        self._floor = self._mint(now)
        """A client that has seen all up to here or later has missed nothing that is gone."""
        self.position = self._floor

    def publish(self, drafts: Iterable[Draft], now: datetime, *, connection_id: str | None = None) -> Batch | None:
        """Keep the messages; None if they were published within two minutes before, which their ids tell.

        Raises:
            Refused: an update or delete of a message that isn't kept.
        """
        drafts = list(drafts)
        if self._knows({draft.id for draft in drafts if draft.id is not None}, now):
            return None
        for draft in drafts:
            self._check_target(draft)
        for draft in drafts:
            if draft.id is not None:
                self._ids.pop(draft.id, None)  # so that the oldest stays the first
                self._ids[draft.id] = milliseconds(now)
        batch_id = self._mint(now).partition("@")[0]
        messages = tuple(
            self._message(draft, now, f"{batch_id}:{index}", connection_id) for index, draft in enumerate(drafts)
        )
        batch = Batch(channel=self.name, id=batch_id, messages=messages)
        if not any(_ephemeral(draft) for draft in drafts):
            self._batches.append(batch)
        self.position = batch.serial
        return batch

    def serials_of(self, ids: Iterable[str | None]) -> list[str]:
        """Of messages with these ids that are kept, in their order."""
        wanted = set(ids)
        return [message.serial for message in self._messages() if message.draft.id in wanted]

    def forget(self, now: datetime, *, retention_ms: int) -> None:
        """Let go of what is older than it is kept."""
        while self._batches and self._batches[0].timestamp < milliseconds(now) - retention_ms:
            self._floor = max(self._floor, self._batches.popleft().serial)

    def lose_continuity(self, now: datetime) -> None:
        """Let nobody resume from where they are; history stays."""
        self._floor = self.position = self._mint(now)

    def since(self, serial: str, now: datetime) -> list[Batch] | None:
        """What came after this place; None if that can't be told any more."""
        old = [batch.serial for batch in self._batches if batch.timestamp < milliseconds(now) - CONTINUITY_MS]
        if not max([self._floor, *old]) <= serial <= self.position:
            return None
        return [batch for batch in self._batches if batch.serial > serial]

    def rewound(self, rewind: str, now: datetime) -> list[Batch]:
        """The last so many messages, as `10`, or those of a time, as `2m` or `30s`; at most 100.

        Raises:
            Refused: it is neither.
        """
        number, unit = rewind.rstrip("ms"), rewind[len(rewind.rstrip("ms")) :]
        if not number.isdecimal() or unit not in {"", "s", "m"}:
            raise Refused(40000, 400, f"rewind is a number of messages, or a time as 2m or 30s, was {rewind!r}")
        if unit == "":
            return list(self._batches)[-min(int(number), MAX_REWIND) :] if int(number) else []
        oldest = milliseconds(now) - int(number) * (60_000 if unit == "m" else 1000)
        return [batch for batch in self._batches if batch.timestamp >= oldest][-MAX_REWIND:]

    def history(self, query: Query) -> Page:
        """Messages as they stand now: each once, in the order of creation, the newest first unless asked otherwise."""
        latest: dict[str, Message] = {}
        for message in self._messages():
            latest[message.serial] = message
        created = {message.serial: message.timestamp for message in self._messages() if message.draft.action == CREATE}
        fits = [
            message
            for serial, message in sorted(latest.items())
            if (query.start is None or created.get(serial, message.timestamp) >= query.start)
            and (query.end is None or created.get(serial, message.timestamp) <= query.end)
            and (query.from_serial is None or serial <= query.from_serial)
        ]
        if not query.forwards:
            fits.reverse()
        if query.after is not None:
            after = query.after
            fits = [m for m in fits if (m.serial > after if query.forwards else m.serial < after)]
        page = fits[: query.limit]
        return Page(messages=tuple(page), next=page[-1].serial if len(fits) > len(page) else None)

    def _message(self, draft: Draft, now: datetime, spare_id: str, connection_id: str | None) -> Message:
        version = self._mint(now)
        return Message(
            draft=draft,
            id=draft.id or spare_id,
            serial=version if draft.action == CREATE or draft.serial is None else draft.serial,
            version=version,
            timestamp=milliseconds(now),
            connection_id=connection_id,
        )

    def _check_target(self, draft: Draft) -> None:
        if draft.action != CREATE and draft.serial not in {message.serial for message in self._messages()}:
            raise Refused(40400, 404, f"channel {self.name} keeps no message with serial {draft.serial}")

    def _messages(self) -> Iterable[Message]:
        return (message for batch in self._batches for message in batch.messages)

    def _knows(self, ids: set[str], now: datetime) -> bool:
        """Whether all of these, and there are some, were published a short while ago."""
        while self._ids and next(iter(self._ids.values())) < milliseconds(now) - CONTINUITY_MS:
            del self._ids[next(iter(self._ids))]
        return bool(ids) and ids <= self._ids.keys()

    def _mint(self, now: datetime) -> str:
        """A new place in the channel; places sort as text, also when the clock is set back."""
        self._newest = max(self._newest + 1, milliseconds(now) * 1000)
        return f"{self._newest // 1000:014d}-{self._newest % 1000:03d}@sandbox:000"


def _ephemeral(draft: Draft) -> bool:
    """Whether it goes to those who are there only, into no history, rewind or resume."""
    return isinstance(draft.extras, dict) and draft.extras.get("ephemeral") is True
