"""Who may do what: keys, the tokens made from them, and capabilities. Pure; the time is an argument."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ibkr_rebalancer.sandbox.ably.protocol import Frame, Refused

Capability = Mapping[str, tuple[str, ...]]
"""Operations by channel; `*` is any operation, a channel `*` any, `name:*` any that starts so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    name: str
    secret: str
    capability: Capability

    @property
    def text(self) -> str:
        return f"{self.name}:{self.secret}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a connection or a request may do, and until when."""

    key_name: str
    capability: Capability
    client_id: str | None = None
    expires: int | None = None
    """In milliseconds since 1970; a key has no end."""

    def check(self, operation: str, channel: str) -> None:
        """
        Raises:
            Refused: the capability doesn't have it (40160).
        """
        if not _allows(self.capability, operation, channel):
            raise Refused(40160, 401, f"{self.key_name} has no permission to {operation} on channel {channel}")

    def check_time(self, now: datetime) -> None:
        """
        Raises:
            Refused: the token is over (40142).
        """
        if self.expires is not None and self.expires <= milliseconds(now):
            raise Refused(40142, 401, "token expired")


class Keyring:
    """The keys of one app, and the tokens in use."""

    def __init__(self, keys: list[Key], *, token_ttl_ms: int) -> None:
        self.token_ttl_ms = token_ttl_ms
        self._keys = {key.name: key for key in keys}
        self._tokens: dict[str, Grant] = {}
        self._dead: set[str] = set()
        self._nonces: set[str] = set()

    def replace_keys(self, keys: list[Key]) -> None:
        """Other capabilities; tokens that exist keep what they were given."""
        self._keys = {key.name: key for key in keys}

    def by_key(self, text: str) -> Grant:
        """
        Raises:
            Refused: there is no such key (40400), or its secret is another (40101).
        """
        name, _, secret = text.partition(":")
        key = self._find(name)
        if not hmac.compare_digest(secret.encode(), key.secret.encode()):
            raise Refused(40101, 401, f"the secret of key {name} is another")
        return Grant(key_name=name, capability=key.capability)

    def by_token(self, token: str, now: datetime) -> Grant:
        """
        Raises:
            Refused: there is no such token (40101), or it is over (40142).
        """
        if token in self._dead:
            raise Refused(40142, 401, "token expired")
        grant = self._tokens.get(token)
        if grant is None:
            raise Refused(40101, 401, "there is no such token")
        grant.check_time(now)
        return grant

    def issue(self, key_name: str, request: object, now: datetime, *, key_proven: bool) -> Frame:
        """TokenDetails for a TokenRequest; one that isn't signed needs the key itself beside it.

        The request's timestamp is not compared with the time: the sandbox may live in another one.

        Raises:
            Refused: the signature isn't that of the key (40101), the nonce is used (40104), or the capability asked for
                has nothing in common with the key's (40160).
        """
        if not isinstance(request, dict):
            raise Refused(40000, 400, "a token request is an object")
        key = self._find(key_name)
        if request.get("mac") is not None:
            self._check_signature(request, key)
        elif not key_proven:
            raise Refused(40101, 401, "the token request is not signed")
        capability = _narrowed(key.capability, request.get("capability"))
        issued = milliseconds(now)
        expires = issued + int(request.get("ttl") or self.token_ttl_ms)
        client_id = request.get("clientId")
        token = f"{key.name}.token-{len(self._tokens) + 1}-{hashlib.sha256(key.secret.encode()).hexdigest()[:8]}"
        self._tokens[token] = Grant(key_name=key.name, capability=capability, client_id=client_id, expires=expires)
        details = {
            "token": token,
            "keyName": key.name,
            "issued": issued,
            "expires": expires,
            "capability": json.dumps(capability),
            "clientId": client_id,
        }
        return {name: value for name, value in details.items() if value is not None}

    def expire_tokens(self) -> None:
        """Let all tokens be over that exist now."""
        self._dead |= set(self._tokens)

    def _find(self, name: str) -> Key:
        key = self._keys.get(name)
        if key is None:
            raise Refused(40400, 404, "there is no such key")
        return key

    def _check_signature(self, request: Mapping[str, Any], key: Key) -> None:
        names = ("keyName", "ttl", "capability", "clientId", "timestamp", "nonce")
        signed = "".join(f"{_or_nothing(request.get(name))}\n" for name in names)
        mac = base64.b64encode(hmac.digest(key.secret.encode(), signed.encode(), "sha256")).decode()
        if not hmac.compare_digest(mac.encode(), str(request["mac"]).encode()):
            raise Refused(40101, 401, "the signature of the token request is not that of the key")
        nonce = str(request.get("nonce"))
        if nonce in self._nonces:
            raise Refused(40104, 401, "the nonce of the token request was used before")
        self._nonces.add(nonce)


def milliseconds(now: datetime) -> int:
    return int(now.timestamp() * 1000)


def _or_nothing(value: object) -> object:
    return "" if value is None else value


def _allows(capability: Capability, operation: str, channel: str) -> bool:
    return any(
        _covers(pattern, channel) and ("*" in operations or operation in operations)
        for pattern, operations in capability.items()
    )


def _covers(pattern: str, channel: str) -> bool:
    return pattern in {"*", channel} or (pattern.endswith(":*") and channel.startswith(pattern[:-1]))


def _narrowed(held: Capability, wanted: object) -> dict[str, tuple[str, ...]]:
    """What is both held and wanted; wanting nothing in particular is wanting all of it."""
    if wanted in (None, ""):
        return dict(held)
    asked = json.loads(wanted) if isinstance(wanted, str) else wanted
    if not isinstance(asked, dict):
        raise Refused(40000, 400, f"a capability is an object, was {wanted!r}")
    narrowed: dict[str, tuple[str, ...]] = {}
    for channel, operations in asked.items():
        both = _both(held, str(channel), operations)
        if both:
            narrowed[str(channel)] = both
    if "*" in asked:
        everywhere = {name: _shared(operations, asked["*"]) for name, operations in held.items()}
        narrowed |= {name: operations for name, operations in everywhere.items() if operations}
    if not narrowed:
        raise Refused(40160, 401, "the key has nothing of the capability asked for")
    return narrowed


def _both(held: Capability, channel: str, wanted: list[str]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            operation
            for pattern, operations in held.items()
            if _covers(pattern, channel)
            for operation in _shared(operations, wanted)
        )
    )


def _shared(held: tuple[str, ...], wanted: list[str]) -> tuple[str, ...]:
    if "*" in wanted:
        return held
    return tuple(operation for operation in wanted if "*" in held or operation in held)
