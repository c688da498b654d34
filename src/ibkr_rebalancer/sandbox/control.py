"""The control endpoint: look at the sandbox and change it while it runs, in JSON; docs/sandbox.md has examples.

- `GET /control` shows the state as a scenario, with the venue's time as its clock, and the connected clients
- `PATCH /control` lays part of a scenario over it (RFC 7396); all of it takes effect, or none; followers are told
- `POST /control/order` places an order of somebody else, at market unless it states a limit
- `POST /control/correct` corrects the price of an execution, by its `exec_id`
- `POST /control/kick` cuts one client's connection, or without a client all of them
- `POST /control/notice` sends every client a system message, in the usual words unless told others
"""

import json
from decimal import Decimal
from typing import Any, Protocol

from aiohttp import web

from ibkr_rebalancer.sandbox.venue.document import Document, ScenarioError, number


class Controlled(Protocol):
    def state(self) -> Document: ...
    def change(self, change: Document) -> None: ...
    def kick(self, client: int | None = None) -> None: ...
    def notice(self, code: int, text: str = "") -> None: ...
    def order(self, body: Document) -> None: ...
    def correct(self, exec_id: str, price: Decimal) -> None: ...


def add_control(app: web.Application, sandbox: Controlled) -> None:
    async def show(_: web.Request) -> web.Response:
        return web.json_response(sandbox.state())

    async def change(request: web.Request) -> web.Response:
        try:
            sandbox.change(await _body(request))
        except ScenarioError as exc:
            raise _bad_request(str(exc)) from exc
        return web.json_response(sandbox.state())

    async def kick(request: web.Request) -> web.Response:
        body = await _body(request, "client")
        sandbox.kick(_number(body, "client") if "client" in body else None)
        return web.json_response(sandbox.state())

    async def notice(request: web.Request) -> web.Response:
        body = await _body(request, "code", "text")
        sandbox.notice(_number(body, "code"), str(body.get("text", "")))
        return web.json_response(sandbox.state())

    async def order(request: web.Request) -> web.Response:
        try:
            sandbox.order(await _body(request))
        except ScenarioError as exc:
            raise _bad_request(str(exc)) from exc
        return web.json_response(sandbox.state())

    async def correct(request: web.Request) -> web.Response:
        body = await _body(request, "exec_id", "price")
        try:
            sandbox.correct(str(body.get("exec_id")), number("price", body.get("price")))
        except ScenarioError as exc:
            raise _bad_request(str(exc)) from exc
        return web.json_response(sandbox.state())

    app.router.add_get("/control", show)
    app.router.add_patch("/control", change)
    app.router.add_post("/control/kick", kick)
    app.router.add_post("/control/notice", notice)
    app.router.add_post("/control/order", order)
    app.router.add_post("/control/correct", correct)


async def _body(request: web.Request, *known: str) -> dict[str, Any]:
    """The JSON object in the request; without names of known keys all are."""
    try:
        body = json.loads(await request.text() or "{}")
    except ValueError as exc:
        raise _bad_request(f"no JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise _bad_request("expected an object")
    unknown = set(body) - set(known) if known else set()
    if unknown:
        raise _bad_request(f"unknown key {min(unknown)!r}; known are {', '.join(known)}")
    return body


def _number(body: dict[str, Any], key: str) -> int:
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _bad_request(f"{key} must be a whole number, was {value!r}")
    return value


def _bad_request(problem: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": problem}), content_type="application/json")
