"""Ably's protocol: actions, flags and errors by their numbers, and frames as JSON text or msgpack. Pure.

A frame is the ProtocolMessage of Ably's specification as a plain mapping.
"""

import base64
import json
from enum import IntEnum, IntFlag
from typing import Any

import msgpack

Frame = dict[str, Any]


class Action(IntEnum):
    HEARTBEAT = 0
    ACK = 1
    NACK = 2
    CONNECTED = 4
    DISCONNECTED = 6
    CLOSE = 7
    CLOSED = 8
    ERROR = 9
    ATTACH = 10
    ATTACHED = 11
    DETACH = 12
    DETACHED = 13
    PRESENCE = 14
    MESSAGE = 15
    SYNC = 16
    AUTH = 17


class Flag(IntFlag):
    HAS_BACKLOG = 1 << 1
    RESUMED = 1 << 2
    PUBLISH = 1 << 17
    SUBSCRIBE = 1 << 18


class Refused(Exception):
    """Ably says no: `code` is its own number, `status` the HTTP status that goes with it."""

    def __init__(self, code: int, status: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.status = status
        self.text = text

    @property
    def info(self) -> Frame:
        """As Ably spells it, in a frame as in the body of an answer."""
        return {"code": self.code, "statusCode": self.status, "message": self.text}


def name_of(frame: Frame) -> str:
    """What its action is called; a number that nobody knows stands for itself."""
    action = frame.get("action")
    return Action(action).name if action in set(Action) else str(action)


def packed(document: object, *, binary: bool) -> bytes:
    """For the wire. In JSON, bytes are base64; whoever reads them learns it from the message's `encoding`."""
    if binary:
        packed: bytes = msgpack.packb(document, use_bin_type=True)
        return packed
    return json.dumps(document, default=_base64).encode()


def unpacked(content: bytes, *, binary: bool) -> Any:
    """From the wire.

    Raises:
        Refused: it is neither.
    """
    try:
        if binary:
            # Older spellings of msgpack have text and bytes as one; what is no text then survives as surrogates.
            return msgpack.unpackb(content, raw=False, unicode_errors="surrogateescape", strict_map_key=False)
        return json.loads(content)
    except (ValueError, RecursionError, msgpack.UnpackException) as exc:
        raise Refused(40000, 400, f"can't be decoded: {exc}") from exc


def plain(document: object) -> Any:
    """The document as JSON has it."""
    return json.loads(packed(document, binary=False))


def _base64(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r} is nothing that a frame can carry")
    return base64.b64encode(value).decode()
