"""The control endpoint: look at the sandbox and change it while it runs, in JSON; docs/sandbox.md has examples.

- `GET /control` shows the state as a scenario, with the venue's time as its clock, and the connected clients
- `PATCH /control` lays part of a scenario over it (RFC 7396); all of it takes effect, or none; followers are told
- `POST /control/order` places an order of somebody else, at market unless it states a limit
- `POST /control/correct` corrects the price of an execution, by its `exec_id`
- `POST /control/publish` publishes a message on a channel
- `POST /control/disturb` does something to the channels' connections
- `POST /control/kick` cuts one client's connection, or without a client all of them
- `POST /control/notice` sends every client a system message, in the usual words unless told others
"""

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Protocol

from aiohttp import web

from ibkr_rebalancer.sandbox.venue.document import Document, ScenarioError, mapping, number, text


class Controlled(Protocol):
    def state(self) -> Document: ...
    def change(self, change: Document) -> None: ...
    def kick(self, client: int | None = None) -> None: ...
    def notice(self, code: int, text: str = "") -> None: ...
    def order(self, body: Document) -> None: ...
    def correct(self, exec_id: str, price: Decimal) -> None: ...
    def publish(self, channel: str, /, data: object = None, **more: object) -> object: ...
    def disturb(self, action: str, /, **parameters: object) -> None: ...


def add_control(app: web.Application, sandbox: Controlled) -> None:
    async def show(_: web.Request) -> web.Response:
        return web.json_response(sandbox.state())

    def kick(body: Document) -> None:
        _check(body, "client")
        sandbox.kick(_number(body, "client") if "client" in body else None)

    def notice(body: Document) -> None:
        _check(body, "code", "text")
        sandbox.notice(_number(body, "code"), str(body.get("text", "")))

    def correct(body: Document) -> None:
        _check(body, "exec_id", "price")
        sandbox.correct(str(body.get("exec_id")), number("price", body.get("price")))

    def publish(body: Document) -> None:
        _check(body, "channel", "data", "name", "encoding", "id", "clientId", "extras", "action", "serial")
        sandbox.publish(text("channel", body.pop("channel", None)), **body)

    def disturb(body: Document) -> None:
        if len(body) != 1:
            raise _bad_request(f"expected one thing to do, was {body!r}")
        (action,) = body
        sandbox.disturb(action, **dict(mapping("disturb", body, action)))

    app.router.add_get("/control", show)
    app.router.add_patch("/control", _doing(sandbox.change, sandbox))
    posts = {
        "order": sandbox.order,
        "correct": correct,
        "kick": kick,
        "notice": notice,
        "publish": publish,
        "disturb": disturb,
    }
    for name, act in posts.items():
        app.router.add_post(f"/control/{name}", _doing(act, sandbox))


def _doing(act: Callable[[Document], object], sandbox: Controlled) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Act on what the body says and answer the new state."""

    async def answer(request: web.Request) -> web.Response:
        try:
            act(await _body(request))
        except ScenarioError as exc:
            raise _bad_request(str(exc)) from exc
        return web.json_response(sandbox.state())

    return answer


async def _body(request: web.Request) -> Document:
    """The JSON object in the request."""
    try:
        body = json.loads(await request.text() or "{}")
    except (ValueError, RecursionError, LookupError) as exc:  # the last for a charset that does not exist
        raise _bad_request(f"no JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise _bad_request("expected an object")
    return body


def _check(body: Document, *known: str) -> None:
    unknown = set(body) - set(known)
    if unknown:
        raise _bad_request(f"unknown key {min(unknown)!r}; known are {', '.join(known)}")


def _number(body: Document, key: str) -> int:
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _bad_request(f"{key} must be a whole number, was {value!r}")
    return value


def _bad_request(problem: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": problem}), content_type="application/json")
