"""The app's port: WebSocket and REST on one loopback port. Nothing is decided here."""

import asyncio
import base64
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import WSMsgType, web

from ibkr_rebalancer.sandbox.ably.app import App
from ibkr_rebalancer.sandbox.ably.channels import MAX_LIMIT, Batch, Query
from ibkr_rebalancer.sandbox.ably.keys import Grant, milliseconds
from ibkr_rebalancer.sandbox.ably.messages import read_drafts
from ibkr_rebalancer.sandbox.ably.protocol import Refused, packed, unpacked
from ibkr_rebalancer.sandbox.ably.session import Close, Note, Output, Published, Send, Session
from ibkr_rebalancer.sandbox.log import Log

MSGPACK = "application/x-msgpack"


class Server:
    """All connections to one app, and its REST API."""

    def __init__(self, app: App, *, clock: Callable[[], datetime], log: Log) -> None:
        self.app = app
        self.clock = clock
        self.log = log
        self.connections: set[Connection] = set()

    def routes(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/time", self._time)
        application.router.add_post("/keys/{key}/requestToken", self._request_token)
        application.router.add_get("/channels/{channel}/messages", self._history)
        application.router.add_post("/channels/{channel}/messages", self._publish)
        application.router.add_get("/{any:.*}", self._upgrade)
        return application

    def publish(self, channel: str, body: object, *, by: str) -> Batch | None:
        """Take messages in and deliver them; None if they were published before.

        Raises:
            Refused: they are none.
        """
        batch = self.app.publish(channel, read_drafts(body), self.clock())
        self.published(batch, channel, by=by)
        return batch

    def abort(self) -> None:
        """Cut all sockets."""
        for connection in list(self.connections):
            connection.perform([Close(code=None)])

    def published(self, batch: Batch | None, channel: str, *, by: str) -> None:
        if batch is None:
            self.note({"event": "published_again", "channel": channel, "by": by})
            return
        for message in batch.messages:
            shown = message.document(binary=False)
            self.note({"event": "published", "channel": channel, "by": by, **shown})
        self.deliver(batch)

    def deliver(self, batch: Batch) -> None:
        for connection in list(self.connections):
            connection.perform(connection.session.deliver(batch))

    def note(self, record: dict[str, Any]) -> None:
        self.log.write(self.clock(), record)

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        binary = request.query.get("format") == "msgpack"
        socket = web.WebSocketResponse(max_msg_size=0)
        if not socket.can_prepare(request).ok:
            return self._refused(request, Refused(40400, 404, f"there is nothing at {request.path}"))
        await socket.prepare(request)
        connection = Connection(self, socket, request, binary=binary)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
        return socket

    async def _time(self, request: web.Request) -> web.Response:
        return self._answer(request, [milliseconds(self.clock())])

    async def _request_token(self, request: web.Request) -> web.Response:
        try:
            key = request.match_info["key"]
            body = unpacked(await request.read(), binary=request.content_type == MSGPACK)
            proven = "Authorization" in request.headers and self._grant(request).key_name == key
            details = self.app.keyring.issue(key, body, self.clock(), key_proven=proven)
        except Refused as refused:
            return self._refused(request, refused)
        self.note({"event": "token_issued", "key": key, "expires": details["expires"]})
        return self._answer(request, details, status=201)

    async def _publish(self, request: web.Request) -> web.Response:
        channel = request.match_info["channel"]
        try:
            grant = self._grant(request)
            grant.check("publish", channel)
            body = unpacked(await request.read(), binary=request.content_type == MSGPACK)
            drafts = read_drafts(body)
            batch = self.app.publish(channel, drafts, self.clock())
        except Refused as refused:
            return self._refused(request, refused)
        self.published(batch, channel, by="rest")
        if batch is None:
            serials = self.app.channel(channel, self.clock()).serials_of(draft.id for draft in drafts)
            return self._answer(request, {"channel": channel, "serials": serials}, status=201)
        serials = [message.serial for message in batch.messages]
        return self._answer(request, {"channel": channel, "messageId": batch.id, "serials": serials}, status=201)

    async def _history(self, request: web.Request) -> web.Response:
        channel = request.match_info["channel"]
        try:
            self._grant(request).check("history", channel)
            query = _query(request)
        except Refused as refused:
            return self._refused(request, refused)
        page = self.app.channel(channel, self.clock()).history(query)
        shown = [message.document(binary=_binary(request)) for message in page.messages]
        parameters = {key: value for key, value in request.query.items() if key not in {"after", "key", "accessToken"}}
        links = {"first": parameters, **({"next": parameters | {"after": page.next}} if page.next else {})}
        link = ", ".join(f'<./messages?{urlencode(query)}>; rel="{rel}"' for rel, query in links.items())
        self.note(
            {
                "event": "history",
                "channel": channel,
                "query": dict(request.query),
                "serials": [m.serial for m in page.messages],
            }
        )
        return self._answer(request, shown, headers={"Link": link})

    def _grant(self, request: web.Request) -> Grant:
        """Who asks.

        Raises:
            Refused: nobody we know.
        """
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if not given:
            kind, given = "Key", request.query.get("key", "")
        try:
            text = given if kind == "Key" else base64.b64decode(given).decode()
        except ValueError as exc:
            raise Refused(40101, 401, "the authorization can't be decoded") from exc
        keyring = self.app.keyring
        return keyring.by_token(text, self.clock()) if kind == "Bearer" else keyring.by_key(text)

    def _answer(
        self, request: web.Request, document: object, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> web.Response:
        binary = _binary(request)
        kind = MSGPACK if binary else "application/json"
        return web.Response(
            status=status, body=packed(document, binary=binary), content_type=kind, headers=headers or {}
        )

    def _refused(self, request: web.Request, refused: Refused) -> web.Response:
        self.note({"event": "realtime_refused", "path": request.path, **refused.info})
        headers = {"X-Ably-Errorcode": str(refused.code), "X-Ably-Errormessage": refused.text}
        return self._answer(request, {"error": refused.info}, status=refused.status, headers=headers)


class Connection:
    """One WebSocket and its session."""

    def __init__(self, server: Server, socket: web.WebSocketResponse, request: web.Request, *, binary: bool) -> None:
        self.session = Session(server.app, binary=binary)
        self._server = server
        self._socket = socket
        self._request = request
        self._binary = binary
        self._outbox: asyncio.Queue[Send | Close] = asyncio.Queue()

    async def run(self) -> None:
        """Until either side has enough."""
        writer = asyncio.create_task(self._write())
        try:
            self.perform(self.session.open(self._request.query, self._server.clock()))
            async for message in self._socket:
                if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    break
                content = message.data.encode() if isinstance(message.data, str) else message.data
                frame = unpacked(content, binary=message.type is WSMsgType.BINARY)
                self.perform(self.session.receive(frame, self._server.clock()))
        finally:
            writer.cancel()
            self.session.disconnected(self._server.clock())
            self._note({"event": "client_disconnected"})

    def perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Note(record=record):
                    self._note(record)
                case Published(batch=batch):
                    self._server.published(batch, batch.channel, by="socket")
                case Close(code=None):
                    self._cut()
                case Send() | Close():
                    self._outbox.put_nowait(output)

    async def _write(self) -> None:
        """Send what is due, in order; the idle interval without anything makes a heartbeat."""
        idle_s = self._server.app.settings.max_idle_ms / 1000 / 3
        with suppress(ConnectionResetError):
            while True:
                try:
                    output = await asyncio.wait_for(self._outbox.get(), idle_s)
                except TimeoutError:
                    self.perform(self.session.heartbeat())
                    continue
                if isinstance(output, Close):
                    await self._socket.close(code=output.code or 1000)
                    return
                await self._send(output)

    async def _send(self, output: Send) -> None:
        content = packed(output.frame, binary=self._binary)
        if self._binary:
            await self._socket.send_bytes(content)
        else:
            await self._socket.send_str(content.decode())

    def _cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    def _note(self, record: dict[str, Any]) -> None:
        about = {"client": self.session.client_id, "connection": self.session.connection_id}
        self._server.note({**about, **record})


def _binary(request: web.Request) -> bool:
    return MSGPACK in request.headers.get("Accept", "") or request.query.get("format") == "msgpack"


def _query(request: web.Request) -> Query:
    given = request.query
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
