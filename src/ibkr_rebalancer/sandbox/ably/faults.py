"""What can go wrong between an app and its clients: faults of frames and requests, and disturbances. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from ibkr_rebalancer.sandbox.ably.protocol import Frame, Refused
from ibkr_rebalancer.sandbox.venue.document import (
    Document,
    Keys,
    ScenarioError,
    between,
    check_keys,
    given,
    merged,
    text,
)
from ibkr_rebalancer.sandbox.venue.faults import RealtimeFault

SENT = ("CONNECTED", "DISCONNECTED", "HEARTBEAT", "ATTACHED", "DETACHED", "MESSAGE", "ACK", "NACK", "ERROR", "CLOSED")
"""Frames the client gets; a fault may do anything to them."""
_ASKED = ("error", "drop", "delay", "disconnect")
_SAID = (*_ASKED, "mute", "close")
REQUESTS: Mapping[str, tuple[str, ...]] = {
    "upgrade": _ASKED,
    "time": (*_ASKED, "garbage"),
    "requestToken": (*_ASKED, "garbage"),
    "history": (*_ASKED, "garbage", "alter"),
    "publish": _ASKED,
    "ATTACH": _SAID,
    "DETACH": _SAID,
    "AUTH": _SAID,
    "CLOSE": _SAID,
    "ping": _SAID,
}
"""What clients ask for, and what a fault may do to it. `upgrade` opens a WebSocket, `ping` is the client's HEARTBEAT,
and `publish` is over HTTP or over the socket; the other small ones are over HTTP, the great ones are frames."""
INSTEAD = frozenset({"error", "drop", "mute", "close", "disconnect"})
"""A request that meets one of these is not acted on."""
UNDECODABLE = "c1"
"""The garbage that is sent where none is stated: neither JSON nor msgpack."""


def _frame(where: str, value: object) -> Document:
    if not isinstance(value, dict) or not isinstance(value.get("action"), int):
        raise ScenarioError(where, f"expected a frame with its action as a number, was {value!r}")
    return value


DISTURBANCES: Mapping[str, Keys] = {
    "abort": {"connection": text},
    "close": {"connection": text, "code": between(1000, 4999)},
    "send": {"connection": text, "frame": _frame},
    "stall": {"connection": text},
    "discontinuity": {"connection": text, "channel": text},
    "lose_continuity": {"channel": text},
    "forget": {},
    "expire_tokens": {},
}
"""What can be done to the connections that there are, to all or to one:

- `abort {connection}`: the socket is cut
- `close {code, connection}`: the WebSocket is closed with this code
- `send {frame, connection}`: this frame is sent as it stands
- `stall {connection}`: nothing more is said, and the socket stays open
- `discontinuity {channel, connection}`: an ATTACHED says that messages of the channel may be missing
- `lose_continuity {channel}`: nobody can go on from where they are in the channel; history stays
- `forget`: no connection that there is can be resumed
- `expire_tokens`: all tokens are over; connections by token are told so, and closed
"""
REQUIRED = {"send": "frame", "discontinuity": "channel", "lose_continuity": "channel"}


def check_faults(faults: Iterable[RealtimeFault]) -> None:
    """Refuse faults that could never strike.

    Raises:
        ScenarioError: for a frame or request that doesn't exist, or what can't be done to it.
    """
    for fault in faults:
        where = f"faults: {fault.message}"
        allowed = REQUESTS.get(fault.message)
        if allowed is None and fault.message not in SENT:
            raise ScenarioError(where, f"there is no such frame or request; known are {', '.join((*SENT, *REQUESTS))}")
        if allowed is not None and fault.action not in allowed:
            raise ScenarioError(where, f"{fault.action!r} can't be done to it; {', '.join(allowed)} can")
        if fault.action == "alter" and not fault.parameters:
            raise ScenarioError(where, "alter needs a field")


def read_disturbance(action: str, body: Document) -> Document:
    """What a disturbance takes.

    Raises:
        ScenarioError: there is none such, or it takes something else.
    """
    keys = DISTURBANCES.get(action)
    if keys is None:
        raise ScenarioError("disturb", f"there is no {action!r}; known are {', '.join(DISTURBANCES)}")
    where = f"disturb.{action}"
    check_keys(where, body, set(keys))
    if REQUIRED.get(action, action) not in {action, *body}:
        raise ScenarioError(where, f"needs {REQUIRED[action]!r}")
    return given(where, body, keys)


def fields_of(frame: Mapping[str, Any]) -> dict[str, str]:
    """By which a fault tells it: its channel, and the id and name of its first message."""
    messages = frame.get("messages")
    first = messages[0] if isinstance(messages, list) and messages and isinstance(messages[0], dict) else {}
    found = {"channel": frame.get("channel"), "id": first.get("id"), "name": first.get("name")}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def error_of(fault: RealtimeFault) -> Refused:
    """What an `error` says; without a status, the one that its code begins with."""
    code = int(fault.parameters["code"])
    usual = code // 100 if 400 <= code // 100 <= 599 else 400
    return Refused(code, fault.parameters.get("status", usual), fault.parameters.get("text", "as the sandbox was told"))


def altered(frame: Frame, fault: RealtimeFault) -> Frame:
    """The frame with other fields."""
    changes = dict(fault.parameters)
    within = changes.pop("messages", None)
    result = merged(frame, changes)
    if isinstance(within, dict) and "messages" in frame:
        result["messages"] = [merged(message, within) for message in frame["messages"]]
    elif within is not None:
        result["messages"] = within
    return result
