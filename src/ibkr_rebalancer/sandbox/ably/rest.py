"""Ably's REST requests: what is asked, read from HTTP, and what is answered. Pure; the time is an argument."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from ibkr_rebalancer.sandbox.ably.app import App
from ibkr_rebalancer.sandbox.ably.channels import MAX_LIMIT, Batch, Query
from ibkr_rebalancer.sandbox.ably.keys import Grant, milliseconds
from ibkr_rebalancer.sandbox.ably.messages import read_drafts
from ibkr_rebalancer.sandbox.ably.protocol import Refused, unpacked

MSGPACK = "application/x-msgpack"
SECRETS = ("key", "accessToken", "access_token")
"""What the log must not learn of a query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked over HTTP."""

    name: str
    """`time`, `requestToken`, `history` or `publish`."""
    subject: str = ""
    """The channel, or the key."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes = b""

    @property
    def binary(self) -> bool:
        """Whether msgpack is wanted."""
        return MSGPACK in self.headers.get("Accept", "") or self.query.get("format") == "msgpack"

    def body(self) -> Any:
        """
        Raises:
            Refused: it is neither JSON nor msgpack.
        """
        return unpacked(self.content, binary=self.headers.get("Content-Type", "").startswith(MSGPACK))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    document: Any
    status: int = 200
    links: str | None = None
    record: dict[str, Any] | None = None
    """For the log."""
    batch: Batch | None = None
    """To be delivered."""


def answer(app: App, request: Request, now: datetime) -> Answer:
    """
    Raises:
        Refused: it can't be read, or isn't allowed.
    """
    match request.name:
        case "time":
            return Answer(document=[milliseconds(now)])
        case "requestToken":
            return _issue(app, request, now)
        case "history":
            return _show(app, request, now)
        case _:
            return _publish(app, request, now)


def _issue(app: App, request: Request, now: datetime) -> Answer:
    proven = "Authorization" in request.headers and _grant(app, request, now).key_name == request.subject
    details = app.keyring.issue(request.subject, request.body(), now, key_proven=proven)
    record = {"event": "token_issued", "key": request.subject, "expires": details["expires"]}
    return Answer(document=details, status=201, record=record)


def _show(app: App, request: Request, now: datetime) -> Answer:
    _grant(app, request, now).check("history", request.subject)
    page = app.channel(request.subject, now).history(_read_query(request.query))
    stated = {key: value for key, value in request.query.items() if key not in SECRETS}
    first = {key: value for key, value in stated.items() if key != "after"}
    links = {"first": first} | ({"next": first | {"after": page.next}} if page.next is not None else {})
    return Answer(
        document=[message.document(binary=request.binary) for message in page.messages],
        links=", ".join(f'<./messages?{urlencode(query)}>; rel="{rel}"' for rel, query in links.items()),
        record={
            "event": "history",
            "channel": request.subject,
            "query": stated,
            "serials": [message.serial for message in page.messages],
            "more": page.next is not None,
        },
    )


def _publish(app: App, request: Request, now: datetime) -> Answer:
    grant = _grant(app, request, now)
    grant.check("publish", request.subject)
    client_id = grant.client_id or _stated_client(request)
    drafts = [replace(draft, client_id=draft.client_id or client_id) for draft in read_drafts(request.body())]
    batch = app.publish(request.subject, drafts, now)
    serials = app.serials_of(request.subject, drafts, batch, now)
    return Answer(document={"channel": request.subject, "serials": serials}, status=201, batch=batch)


def _grant(app: App, request: Request, now: datetime) -> Grant:
    """What they may do who ask.

    Raises:
        Refused: they are nobody we know.
    """
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if not given:
        return app.keyring.by_key(request.query.get("key", ""))
    try:
        text = base64.b64decode(given).decode()
    except ValueError as exc:
        raise Refused(40101, 401, "the authorization is no base64") from exc
    return app.keyring.by_token(text, now) if kind == "Bearer" else app.keyring.by_key(text)


def _stated_client(request: Request) -> str | None:
    stated = request.headers.get("X-Ably-ClientId")
    return None if stated is None else base64.b64decode(stated).decode(errors="replace")


def _read_query(given: Mapping[str, str]) -> Query:
    try:
        query = Query(
            start=int(given["start"]) if "start" in given else None,
            end=int(given["end"]) if "end" in given else None,
            forwards=given.get("direction", "backwards") == "forwards",
            limit=int(given.get("limit", 100)),
            from_serial=given.get("from_serial", given.get("fromSerial")),
            after=given.get("after"),
        )
    except ValueError as exc:
        raise Refused(40003, 400, f"start, end and limit are whole numbers: {exc}") from exc
    if not 1 <= query.limit <= MAX_LIMIT:
        raise Refused(40003, 400, f"limit is 1 to {MAX_LIMIT}, was {query.limit}")
    return query
