"""The allocation API: `GET /allocations/NAME` with a bearer key.

Of a key the log learns only whether it was there and right.
"""

import asyncio
import gzip
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from aiohttp import web

from ibkr_rebalancer.sandbox.log import Log
from ibkr_rebalancer.sandbox.venue.answers import Answer
from ibkr_rebalancer.sandbox.venue.venue import Venue

ENDLESS_CHUNK = b" " * 65536


def add_allocations(
    app: web.Application, venue: Venue, *, api_key: str, clock: Callable[[], datetime], log: Log
) -> None:
    async def allocations(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        given = request.headers.get("Authorization")
        matches = given is not None and hmac.compare_digest(given.encode(), f"Bearer {api_key}".encode())
        answer = _answer(venue, name, authorized=matches)
        record = {"authorization": given is not None, "authorized": matches, "status": answer.status}
        log.write(clock(), {"event": "allocation_request", "name": name, **record})
        await asyncio.sleep(answer.delay_ms / 1000)
        return await _send(request, answer)

    app.router.add_get("/allocations/{name}", allocations)


def _answer(venue: Venue, name: str, *, authorized: bool) -> Answer:
    if not authorized:
        return Answer(status=401, body={"status": "error", "message": "wrong or missing API key"})
    unknown = Answer(status=404, body={"status": "error", "message": f"no allocation {name}"})
    return venue.scenario.allocations.get(name, unknown)


async def _send(request: web.Request, answer: Answer) -> web.StreamResponse:
    headers = {"Content-Type": "application/json"}
    if answer.location is not None:
        headers["Location"] = answer.location
    body = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
    if answer.gzip:
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body)
    if not answer.drip_ms and not answer.endless:
        return web.Response(status=answer.status, headers=headers, body=body)
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    # The client has had enough at some point, which is what such an answer is for.
    with suppress(ConnectionError):
        await _stream(response, body, answer)
    return response


async def _stream(response: web.StreamResponse, body: bytes, answer: Answer) -> None:
    if not answer.drip_ms:
        await response.write(body)
    else:
        for at in range(len(body)):
            await response.write(body[at : at + 1])
            await asyncio.sleep(answer.drip_ms / 1000)
    while answer.endless:
        await response.write(ENDLESS_CHUNK)
