"""Messages: as they are published, kept and sent. Pure."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from ibkr_rebalancer.sandbox.ably.protocol import Frame, Refused

MAX_MESSAGE_SIZE = 65536
"""Of one publish, in bytes of names and data."""
CREATE, UPDATE, DELETE = 0, 1, 2
"""What a message does, as its `action`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message as it is published."""

    name: str | None = None
    data: str | bytes | None = None
    encoding: str = ""
    """How data is to be read, the last step first: `json`, `utf-8/cipher+aes-256-cbc`."""
    id: str | None = None
    client_id: str | None = None
    extras: Any = None
    action: int = CREATE
    serial: str | None = None
    """Of the message that this one updates or deletes."""

    @property
    def size(self) -> int:
        data = self.data.encode() if isinstance(self.data, str) else self.data or b""
        return len(data) + len(self.name or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as the channel has it."""

    draft: Draft
    id: str
    serial: str
    """Of the message as it was created."""
    version: str
    """Its own place among all that happened in the channel; the same as the serial unless it updates or deletes."""
    timestamp: int
    """When it was taken, in milliseconds since 1970."""
    connection_id: str | None = None

    def document(self, *, binary: bool) -> Frame:
        """As it is sent, to readers of msgpack or of JSON."""
        data, encoding = self.draft.data, self.draft.encoding
        if isinstance(data, bytes) and not binary:
            data = base64.b64encode(data).decode()
            encoding = f"{encoding}/base64".lstrip("/")
        stated = {
            "id": self.id,
            "name": self.draft.name,
            "data": data,
            "encoding": encoding or None,
            "clientId": self.draft.client_id,
            "connectionId": self.connection_id,
            "extras": self.draft.extras,
            "timestamp": self.timestamp,
            "serial": self.serial,
            "action": self.draft.action,
            "version": {"serial": self.version, "timestamp": self.timestamp},
        }
        return {key: value for key, value in stated.items() if value is not None}


def read_drafts(body: object) -> list[Draft]:
    """The messages of a publish: one, or several that are published as one.

    Raises:
        Refused: there is none, or what it carries can't be carried.
    """
    bodies = body if isinstance(body, list) else [body]
    if not bodies:
        raise Refused(40000, 400, "there is no message in it")
    drafts = [_read_draft(item) for item in bodies]
    size = sum(draft.size for draft in drafts)
    if size > MAX_MESSAGE_SIZE:
        raise Refused(40009, 400, f"the messages have {size} bytes, the most is {MAX_MESSAGE_SIZE}")
    return drafts


def _read_draft(body: object) -> Draft:
    if not isinstance(body, dict):
        raise Refused(40000, 400, f"a message is an object, was {type(body).__name__}")
    data, encoding = _read_data(body.get("data"), _text(body, "encoding") or "")
    return Draft(
        name=_text(body, "name"),
        data=data,
        encoding=encoding,
        id=_text(body, "id"),
        client_id=_text(body, "clientId"),
        extras=body.get("extras"),
        action=_action(body),
        serial=_text(body, "serial"),
    )


def _action(body: dict[str, Any]) -> int:
    action = body.get("action")
    if action not in {None, CREATE, UPDATE, DELETE}:
        raise Refused(
            40000, 400, f"action is {CREATE} (create), {UPDATE} (update) or {DELETE} (delete), was {action!r}"
        )
    return action or CREATE


def _read_data(data: object, encoding: str) -> tuple[str | bytes | None, str]:
    """Data and its encoding with base64, which is JSON's need only, undone, and objects as their JSON."""
    if isinstance(data, dict | list):
        return json.dumps(data), f"{encoding}/json".lstrip("/")
    if isinstance(data, str) and (encoding == "base64" or encoding.endswith("/base64")):
        try:
            return base64.b64decode(data, validate=True), encoding.removesuffix("base64").rstrip("/")
        except binascii.Error as exc:
            raise Refused(40013, 400, f"data is no base64: {exc}") from exc
    if isinstance(data, str) and not data.isascii():
        try:
            raw = data.encode(errors="surrogateescape")
        except UnicodeEncodeError as exc:
            raise Refused(40013, 400, f"data is no Unicode text: {exc}") from exc
        try:
            return raw.decode(), encoding
        except UnicodeDecodeError:
            return raw, encoding
    if data is None or isinstance(data, str | bytes):
        return data, encoding
    raise Refused(40013, 400, f"data is text, bytes, an object, a list or nothing, was {data!r}")


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise Refused(40000, 400, f"{key} is text, was {value!r}")
    try:
        (value or "").encode()
    except UnicodeEncodeError as exc:
        raise Refused(40000, 400, f"{key} is no Unicode text: {exc}") from exc
    return value
