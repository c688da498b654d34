"""Messages as Ably sends them, live or out of history, as deliveries. Pure: whatever they hold, nothing is raised."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ibkr_rebalancer.core.events import Delivery

CREATED = 0
"""The action of a message that was published; others change one, remove one or sum some up."""

LONG_AGO = datetime.fromtimestamp(0, UTC)
"""When a message was published that does not say: nothing that old is traded on."""


def live_delivery(channel: str, message: Any, received: datetime) -> Delivery | None:
    """A message of the SDK, which has decoded what it could; None if it is no event, but a change of one."""
    if message.action is not None and message.action != CREATED:
        return None
    return _delivery(
        channel,
        {
            "serial": message.serial,
            "id": message.id,
            "data": message.data,
            "encoding": message.encoding,
            "timestamp": message.timestamp,
        },
        received,
    )


def past_delivery(channel: str, item: object, received: datetime) -> Delivery | None:
    """An item of a page of history, as JSON; None if it is no message.

    History shows a message once, as it stands now. One that was changed is still an event: it was published, and the
    socket may not have brought it.
    """
    if not isinstance(item, Mapping):
        return None
    if (action := item.get("action")) is not None and action != CREATED:
        return replace(_delivery(channel, {**item, "data": None, "encoding": None}, received), was_changed=True)
    return _delivery(channel, item, received)


def decoded(data: object, encoding: str) -> tuple[object, str]:
    """The payload, and what of its encoding could not be undone; the last step of an encoding is the first to undo."""
    steps = [step for step in encoding.split("/") if step]
    while steps:
        try:
            data = _without(steps[-1], data)
        except (ValueError, RecursionError):  # what nests too deeply was made to do harm
            break
        steps.pop()
    return bytes(data) if isinstance(data, bytearray) else data, "/".join(steps)


def _delivery(channel: str, message: Mapping[str, Any], received: datetime) -> Delivery:
    data, undecoded = decoded(message.get("data"), str(message.get("encoding") or ""))
    return Delivery(
        channel=channel,
        serial=str(message.get("serial") or ""),
        message_id=str(message.get("id") or ""),
        data=data,
        undecoded=undecoded,
        published=_moment(message.get("timestamp")),
        received=received,
    )


def _without(step: str, data: object) -> object:
    """Undo one step.

    Raises:
        ValueError: the data is not what the step makes, or nobody here knows the step.
        RecursionError: it is JSON within JSON within JSON.
    """
    match step, data:
        case "utf-8", str():
            return data
        case "utf-8", bytes() | bytearray():
            return data.decode()
        case "base64", str() | bytes() | bytearray():
            return base64.b64decode(data)
        case "json", dict() | list():
            return data
        case "json", str() | bytes() | bytearray():
            return json.loads(data)
    raise ValueError(step)


def _moment(timestamp: object) -> datetime:
    """Milliseconds since 1970."""
    if isinstance(timestamp, int | float):
        try:
            return datetime.fromtimestamp(timestamp / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            pass
    return LONG_AGO
