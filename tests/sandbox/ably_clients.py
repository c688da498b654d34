"""Clients of the sandbox's channels: Ably's own, and a bare WebSocket that shows every frame.

async with realtime(sandbox) as client: messages, changes = await watch(client)
async with bare_socket(sandbox) as socket: await socket.attach(); await socket.next("MESSAGE")
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgpack
from ably import AblyRealtime, AblyRest
from tests.support.sandbox import LOOPBACK
from yarl import URL

from ibkr_rebalancer.sandbox.ably.protocol import Action, Frame, name_of
from ibkr_rebalancer.sandbox.run import Sandbox

CHANNEL = "rebalance-primary"
PATIENCE_S = 5
"""Only a broken test waits so long."""


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again, until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 (what is waited for happens in another task, or another process)
            await asyncio.sleep(0.005)


def publisher_key(sandbox: Sandbox) -> str:
    key = sandbox.state()["publisher_key"]
    assert isinstance(key, str)
    return key


@asynccontextmanager
async def realtime(sandbox: Sandbox, **options: Any) -> AsyncIterator[AblyRealtime]:
    """Ably's client on the sandbox: a literal host with its port, and a slash, which is what makes both halves work."""
    options = {"key": sandbox.env["REALTIME_API_KEY"], "realtime_request_timeout": 800, **options}
    client = AblyRealtime(endpoint=f"{LOOPBACK}:{sandbox.ably_port}/", tls=False, **options)
    try:
        yield client
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(client.close(), 2)


@asynccontextmanager
async def rest(sandbox: Sandbox, **options: Any) -> AsyncIterator[AblyRest]:
    """Over plain HTTP the client refuses to send a key, and requests a token with it."""
    options = {"key": sandbox.env["REALTIME_API_KEY"], "use_token_auth": True, **options}
    client = AblyRest(endpoint=LOOPBACK, port=sandbox.ably_port, tls=False, **options)
    try:
        yield client
    finally:
        await client.close()


async def watch(client: AblyRealtime, name: str = CHANNEL, **options: Any) -> tuple[list[Any], list[Any]]:
    """Subscribe; the messages and the changes of the channel's state, which both go on growing."""
    messages: list[Any] = []
    changes: list[Any] = []
    channel = client.channels.get(name, **options)
    channel.on(lambda change: changes.append(change))  # noqa: PLW0108 (the client takes no builtin)
    await asyncio.wait_for(channel.subscribe(lambda message: messages.append(message)), PATIENCE_S)  # noqa: PLW0108
    return messages, changes


@dataclass(frozen=True, slots=True, kw_only=True)
class BareSocket:
    """A WebSocket that does nothing by itself."""

    socket: aiohttp.ClientWebSocketResponse
    binary: bool
    others: list[Frame]
    """Frames that were passed over."""

    async def send(self, action: Action, **fields: Any) -> None:
        frame = {"action": int(action), **fields}
        if self.binary:
            await self.socket.send_bytes(msgpack.packb(frame))
        else:
            await self.socket.send_str(json.dumps(frame))

    async def raw(self) -> aiohttp.WSMessage:
        return await self.socket.receive(PATIENCE_S)

    async def next(self, name: str) -> Frame:
        """The next frame of this action."""
        while True:
            message = await self.raw()
            assert message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, message
            frame: Frame = msgpack.unpackb(message.data) if self.binary else json.loads(message.data)
            if name_of(frame) == name:
                return frame
            self.others.append(frame)

    async def attach(self, channel: str = CHANNEL, **fields: Any) -> Frame:
        await self.send(Action.ATTACH, channel=channel, **fields)
        return await self.next("ATTACHED")

    async def ping(self) -> None:
        """Once it is answered, all that was sent before has arrived."""
        await self.send(Action.HEARTBEAT, id="ping")
        while (await self.next("HEARTBEAT")).get("id") != "ping":
            pass

    async def datas(self, count: int) -> list[Any]:
        """Of so many messages."""
        frames = [await self.next("MESSAGE") for _ in range(count)]
        return [message.get("data") for frame in frames for message in frame["messages"]]


@asynccontextmanager
async def bare_socket(sandbox: Sandbox, *, binary: bool = False, **query: str) -> AsyncIterator[BareSocket]:
    query = {"key": sandbox.env["REALTIME_API_KEY"], "format": "msgpack" if binary else "json", **query}
    if "accessToken" in query:
        del query["key"]
    url = f"http://{LOOPBACK}:{sandbox.ably_port}/"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, params=query, max_msg_size=0) as socket:
        yield BareSocket(socket=socket, binary=binary, others=[])


async def ask(sandbox: Sandbox, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
    """Status, document and headers of an HTTP request with the watcher's key, unless it has another."""
    key = options.pop("key", sandbox.env["REALTIME_API_KEY"])
    url = URL(f"http://{LOOPBACK}:{sandbox.ably_port}{path}", encoded=True)
    headers = {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.request(method, url, timeout=aiohttp.ClientTimeout(PATIENCE_S), **options) as response,
    ):
        return response.status, json.loads(await response.read()), response.headers
