"""The app's port: WebSocket and REST on one loopback port, with the scenario's latency. Nothing is decided here."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from aiohttp import WSMsgType, web

from ibkr_rebalancer.sandbox.ably.app import App
from ibkr_rebalancer.sandbox.ably.channels import Batch
from ibkr_rebalancer.sandbox.ably.faults import UNDECODABLE, altered, error_of
from ibkr_rebalancer.sandbox.ably.messages import read_drafts
from ibkr_rebalancer.sandbox.ably.protocol import Action, Refused, packed, unpacked
from ibkr_rebalancer.sandbox.ably.rest import MSGPACK, Answer, Request, answer
from ibkr_rebalancer.sandbox.ably.session import (
    Close,
    Note,
    Output,
    Published,
    Send,
    SendBytes,
    Session,
    shown,
    struck,
)
from ibkr_rebalancer.sandbox.delay_line import DelayLine
from ibkr_rebalancer.sandbox.log import Log
from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.faults import RealtimeFault

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CLOSING_S = 1.0
"""Patience with a client that doesn't answer a close."""
HEARTBEATS = 3
"""Within the interval in which a connection must hear something."""


class Server:
    """All connections to one app, and its REST API."""

    def __init__(self, app: App, *, clock: Callable[[], datetime], latency_ms: Callable[[], int], log: Log) -> None:
        self.app = app
        self.clock = clock
        self.latency_ms = latency_ms
        """One way."""
        self.connections: set[Connection] = set()
        self._log = log

    @property
    def connection_ids(self) -> list[str]:
        """Of the channels' clients that are connected just now."""
        return sorted(c.session.connection_id for c in self.connections if c.session.connection_id is not None)

    def routes(self) -> web.Application:
        routes = web.Application()
        routes.router.add_get("/time", self._rest("time"))
        routes.router.add_post("/keys/{subject}/requestToken", self._rest("requestToken"))
        routes.router.add_get("/channels/{subject}/messages", self._rest("history"))
        routes.router.add_post("/channels/{subject}/messages", self._rest("publish"))
        routes.router.add_get("/{any:.*}", self._upgrade)
        return routes

    def publish(self, channel: str, body: object) -> Batch | None:
        """Take messages in and deliver them, for the control endpoint; None if they were published before.

        Raises:
            Refused: they are none.
        """
        batch = self.app.publish(channel, read_drafts(body), self.clock())
        self.published(channel, batch, by="control")
        return batch

    def published(self, channel: str, batch: Batch | None, *, by: str) -> None:
        """Log what was published and deliver it."""
        if batch is None:
            self.note({"event": "published_again", "channel": channel, "by": by})
            return
        for message in batch.messages:
            self.note({"event": "published", "channel": channel, "by": by, **message.document(binary=False)})
        for connection in list(self.connections):
            connection.perform(connection.session.deliver(batch))

    def disturb(self, action: str, parameters: Document) -> None:
        """One of `DISTURBANCES`, to one connection or all."""
        self.app.disturb(action, parameters, self.clock())
        for connection in list(self.connections):
            if parameters.get("connection") in {None, connection.session.connection_id}:
                connection.perform(connection.session.disturb(action, parameters))

    def note(self, record: dict[str, Any]) -> None:
        self._log.write(self.clock(), record)

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=0, timeout=CLOSING_S)
        if not socket.can_prepare(request).ok:
            return self._refused(request, Refused(40400, 404, f"there is nothing at {request.path}"))
        try:
            await self._suffer(request, self._strike("upgrade", {}))
        except Refused as refused:
            return self._refused(request, refused)
        await socket.prepare(request)
        connection = Connection(self, socket, request)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
        return socket

    def _rest(self, name: str) -> Handler:
        """Answer requests of this kind."""

        async def handle(http: web.Request) -> web.Response:
            request = Request(
                name=name,
                subject=http.match_info.get("subject", ""),
                query=http.query,
                headers=http.headers,
                content=await http.read(),
            )
            faults = self._strike(name, {"channel": request.subject})
            try:
                await self._suffer(http, faults)
                return await self._done(http, answer(self.app, request, self.clock()), faults)
            except Refused as refused:
                return self._refused(http, refused)

        return handle

    async def _done(self, http: web.Request, done: Answer, faults: list[RealtimeFault]) -> web.Response:
        """Tell of it, here and to all, and then the client."""
        if done.record is not None:
            self.note(done.record)
        if done.status == 201 and "serials" in done.document:
            self.published(done.document["channel"], done.batch, by="rest")
        document = done.document
        for fault in faults:
            if fault.action == "garbage":
                return web.Response(body=bytes.fromhex(fault.parameters.get("hex", UNDECODABLE)), content_type=MSGPACK)
            if fault.action == "alter":
                document = altered({"messages": document}, fault)["messages"]
        return self._response(http, document, status=done.status, headers={"Link": done.links} if done.links else {})

    def _strike(self, name: str, values: dict[str, str]) -> list[RealtimeFault]:
        faults = self.app.switchboard.strike(name, values, None)
        for fault in faults:
            self.note(struck(fault))
        return faults

    async def _suffer(self, request: web.Request, faults: list[RealtimeFault]) -> None:
        """What befalls a request before it is acted on.

        Raises:
            Refused: it is answered with an error.
        """
        await asyncio.sleep(2 * self.latency_ms() / 1000)
        for fault in faults:
            match fault.action:
                case "error":
                    raise error_of(fault)
                case "delay":
                    await asyncio.sleep(fault.parameters["ms"] / 1000)
                case "drop":
                    await asyncio.Event().wait()  # until the client has enough, which ends this
                case "disconnect" if request.transport is not None:
                    request.transport.abort()
                    await asyncio.Event().wait()

    def _refused(self, request: web.Request, refused: Refused) -> web.Response:
        self.note({"event": "realtime_refused", "path": request.path, **refused.info})
        headers = {"X-Ably-Errorcode": str(refused.code), "X-Ably-Errormessage": refused.text}
        return self._response(request, {"error": refused.info}, status=refused.status, headers=headers)

    def _response(
        self, request: web.Request, document: object, *, status: int, headers: dict[str, str]
    ) -> web.Response:
        binary = Request(name="", query=request.query, headers=request.headers).binary
        kind = MSGPACK if binary else "application/json"
        return web.Response(status=status, body=packed(document, binary=binary), content_type=kind, headers=headers)


class Connection:
    """One WebSocket, its session, and the delay line either way."""

    def __init__(self, server: Server, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._binary = request.query.get("format") == "msgpack"
        self.session = Session(server.app, binary=self._binary)
        self._server = server
        self._socket = socket
        self._request = request
        self._line = DelayLine()
        self._closing = False
        self._outbox: asyncio.Queue[Send | SendBytes | Close] = asyncio.Queue()

    async def run(self) -> None:
        """Until either side has enough."""
        writer = asyncio.create_task(self._write())
        try:
            self.perform(self.session.open(self._request.query, self._server.clock()))
            async for message in self._socket:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    content = message.data.encode() if isinstance(message.data, str) else message.data
                    self._line.put(self._server.latency_ms(), partial(self._receive, content))
        finally:
            self._line.cancel()
            self.session.disconnected(self._server.clock())
            self._note({"event": "client_disconnected"})
            if not self._closing:
                writer.cancel()
            await asyncio.wait([writer])

    def perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Note(record=record):
                    self._note(record)
                case Published(channel=channel, batch=batch):
                    self._server.published(channel, batch, by="socket")
                case Close(code=None):
                    self._cut()
                case Send(delay_ms=delay_ms):
                    self._later(output, delay_ms)
                case SendBytes() | Close():
                    self._later(output, 0)

    def _receive(self, content: bytes) -> None:
        try:
            frame = unpacked(content, binary=self._binary)
        except Refused as refused:
            self._note({"event": "client_refused", "reason": refused.text})
            self.perform([Close(code=1003)])
            return
        self.perform(self.session.receive(frame, self._server.clock()))

    def _later(self, output: Send | SendBytes | Close, delay_ms: int) -> None:
        self._line.put(self._server.latency_ms() + delay_ms, lambda: self._outbox.put_nowait(output))

    async def _write(self) -> None:
        """Send what is due, in order; a while without anything calls for a sign of life."""
        with suppress(ConnectionResetError):
            while True:
                pause_s = self._server.app.settings.max_idle_ms / 1000 / HEARTBEATS
                try:
                    async with asyncio.timeout(pause_s):  # `wait_for` can lose a cancellation
                        output = await self._outbox.get()
                except TimeoutError:
                    self.perform(self.session.tick(self._server.clock()))
                    continue
                if isinstance(output, Close):
                    self._closing = True
                    await self._socket.close(code=output.code or 1000)
                    return
                await self._send(output)

    async def _send(self, output: Send | SendBytes) -> None:
        """Log it, and write it: what is logged has gone out, if the client was still there."""
        if self._socket.closed or self._request.transport is None:
            return
        if isinstance(output, SendBytes):
            self._note({"dir": "out", "message": "garbage", "fields": [output.payload.hex()]})
            content = output.payload
        else:
            self._note({"dir": "out", **shown(output.frame)})
            if output.frame.get("action") == Action.MESSAGE:
                self._note(_delivered(output))
            padding = {"padding": "x" * output.padding} if output.padding else {}
            content = packed(output.frame | padding, binary=self._binary)
        if self._binary:
            await self._socket.send_bytes(content)
        else:
            await self._socket.send_str(content.decode(errors="replace"))

    def _cut(self) -> None:
        self._line.cancel()
        if self._request.transport is not None:
            self._request.transport.abort()

    def _note(self, record: dict[str, Any]) -> None:
        about = {"client": self.session.client_id, "connection": self.session.connection_id}
        self._server.note({**about, **record})


def _delivered(output: Send) -> Document:
    messages = output.frame.get("messages") or []
    serials, ids = ([message.get(key) for message in messages] for key in ("serial", "id"))
    return {"event": "delivered", "channel": output.frame.get("channel"), "serials": serials, "ids": ids}
