"""Events: messages of an Ably channel that say "look now", and whether to trade. Pure.

An event never chooses the account, the size, the symbols or the limits: of its payload only `execution` counts, and an
`event_id`, by which a publisher may say that two messages are one event.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ibkr_rebalancer.core.documents import digest, encode
from ibkr_rebalancer.core.report import RunMode

TRADES = "rebalance"
"""The one value of `execution` that trades."""

LARGEST_PAYLOAD = 65_536
"""Characters or bytes of a payload that is read at all; Ably publishes no larger messages."""

SHOWN = 60
"""Characters of a stranger's text that a sentence shows."""

KEPT = 500
"""Characters of a payload that are kept to be looked at."""

LONGEST_STATED_ID = 200

WINDOW = 4_000
"""Characters of a text that are searched for secrets, to keep the first `KEPT` of them; at their end one may be cut in
two."""

MOST_AHEAD = timedelta(minutes=1)
"""By how much Ably's clock is believed to be ahead of ours; whatever is dated further ahead has a wrong date."""

Redact = Callable[[str], str]
"""Takes secrets out of a text. A stranger chose it, and what is kept of it may be shown to anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message as it came over a channel, live or out of its history."""

    channel: str
    serial: str
    """Ably's name for the message in its channel; empty if it gave none."""
    message_id: str
    """The publisher's or Ably's id of it; empty if it has none."""
    data: object
    """The payload: JSON that was decoded, text, bytes (also changeable ones), or None."""
    undecoded: str
    """What of the payload's encoding nobody here can undo, such as a cipher; empty for a payload that can be read."""
    published: datetime
    """By Ably's clock, aware UTC."""
    received: datetime
    """By ours, aware UTC."""
    was_changed: bool = False
    """Whether it was updated or deleted before it came here: what it said when it was published is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A delivery, read: what it asks for."""

    event_id: str
    """Ours: the same for every delivery of one message. Events with the same id share an identity."""
    channel: str
    serial: str
    message_id: str
    stated_id: str
    """`event_id` of the payload; empty if it has none."""
    published: datetime
    received: datetime
    mode: RunMode
    note: str
    """Why it is a dry run; empty for one that trades."""
    payload: str
    """Its beginning, to be looked at."""

    @property
    def stands_at(self) -> datetime:
        """Where it stands among the events of an account, aware UTC: when it was published; if that cannot be
        believed, when it was received. What is dated into a distant future must not be newer than all that follows."""
        return self.published if self.published <= self.received + MOST_AHEAD else self.received


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the history of a channel was looked at; both by Ably's clock, aware UTC, as soon as it is known."""

    since: datetime
    """When it was first listened to: what was published before is no event."""
    until: datetime
    """Everything that was in its history then has been taken."""
    by_our_clock: bool = False
    """Whether Ably could not be asked for the time so far: both are what the clock of this computer said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Messages that were published on a channel between two moments may never have come here."""

    channel: str
    since: datetime
    until: datetime
    """Both by Ably's clock, aware UTC."""
    why: str
    """A sentence."""


def event_of(delivery: Delivery, redact: Redact = str) -> Event:
    """What the delivery asks for, without secrets; every delivery is an event."""
    mode, note = mode_of(delivery.data, redact)
    if delivery.undecoded:
        encoding = _shown(delivery.undecoded, redact)
        mode, note = RunMode.DRY_RUN, f"its payload is encoded as {encoding}, which is not read here"
    if delivery.was_changed:
        mode, note = RunMode.DRY_RUN, "it was changed or deleted before it was read here"
    stated_id = _distinct(_stated_id(delivery.data), redact)
    delivery = replace(delivery, message_id=_distinct(delivery.message_id, redact))
    most_certain, *_ = _names(delivery, stated_id)
    return Event(
        event_id=digest([delivery.channel, most_certain]),
        channel=delivery.channel,
        serial=delivery.serial,
        message_id=delivery.message_id,
        stated_id=stated_id,
        published=delivery.published,
        received=delivery.received,
        mode=mode,
        note=note,
        payload=_text(delivery.data, redact),
    )


def mode_of(data: object, redact: Redact = str) -> tuple[RunMode, str]:
    """Whether a payload trades, and why not, without secrets: a total function.

    An object whose `execution` is exactly the text `rebalance` does, also as text or UTF-8 that holds the JSON of one.
    Everything else is a dry run.
    """
    if data is None:
        return RunMode.DRY_RUN, "it has no payload"
    content = _read(data)
    if not isinstance(content, dict):
        return RunMode.DRY_RUN, "its payload cannot be read as a JSON object"
    if "execution" not in content:
        return RunMode.DRY_RUN, "its payload has no execution"
    execution = content["execution"]
    if isinstance(execution, str) and execution == TRADES:
        return RunMode.REBALANCE, ""
    return RunMode.DRY_RUN, f"its execution is {_shown(execution, redact)}, not {TRADES!r}"


def identities(event: Event) -> tuple[str, ...]:
    """What the event is known by in its channel, the most certain first; two that share one of them are the same."""
    return _names(event, event.stated_id)


def _names(message: Delivery | Event, stated_id: str) -> tuple[str, ...]:
    named = {"serial": message.serial, "message": message.message_id, "stated": stated_id}
    return tuple(f"{kind} {name}" for kind, name in named.items() if name) or (
        f"published {encode(message.published)}",
    )


def _stated_id(data: object) -> str:
    content = _read(data)
    stated = content.get("event_id") if isinstance(content, dict) else None
    if isinstance(stated, int) and not isinstance(stated, bool):
        stated = str(stated) if abs(stated) < 10**LONGEST_STATED_ID else ""  # Python writes no number of any length
    return stated if isinstance(stated, str) and len(stated) <= LONGEST_STATED_ID else ""


def _read(data: object) -> object:
    """The JSON in text or bytes; anything else as it is. None if it cannot be read, or says two things at once."""
    if not isinstance(data, str | bytes | bytearray):
        return data
    if len(data) > LARGEST_PAYLOAD:
        return None
    try:
        text = data if isinstance(data, str) else data.decode()
        return json.loads(text, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):  # what nests too deeply was made to do harm
        return None


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is there twice")
    return content


def _distinct(name: str, redact: Redact) -> str:
    """A name without secrets, and still another one than every other name."""
    shown = redact(name)
    return name if shown == name else f"{shown} {digest([name])}"


def _text(data: object, redact: Redact) -> str:
    """The beginning of the payload as one line of printable text; nothing of what nests too deeply."""
    try:
        text = data if isinstance(data, str) else "" if data is None else repr(data)
    except (ValueError, RecursionError):
        return ""
    clean = redact(text[:WINDOW])
    if len(text) > WINDOW:
        clean = clean[: max(0, len(clean) - WINDOW // 2)]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in clean[:KEPT])


def _shown(value: object, redact: Redact) -> str:
    text = _text([value], redact)[1:-1]
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
