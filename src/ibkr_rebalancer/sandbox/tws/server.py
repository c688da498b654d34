"""The gateway's socket: bytes between sessions and the loopback interface, with the scenario's latency.

Nothing is decided here.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast

from ibkr_rebalancer.sandbox.delay_line import DelayLine
from ibkr_rebalancer.sandbox.log import Log
from ibkr_rebalancer.sandbox.tws.session import Close, Happened, Output, Received, Send, SendBytes, Session, Traded
from ibkr_rebalancer.sandbox.tws.wire import frame, join_fields
from ibkr_rebalancer.sandbox.venue.oracle import row
from ibkr_rebalancer.sandbox.venue.orders import Event
from ibkr_rebalancer.sandbox.venue.venue import Venue

LOOPBACK = "127.0.0.1"


class Gateway:
    """All connections to one venue."""

    def __init__(self, venue: Venue, *, clock: Callable[[], datetime], log: Log) -> None:
        self.venue = venue
        self.clock = clock
        self.log = log
        self.client_ids: set[int] = set()
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._timer: asyncio.Handle | None = None
        self._shown = venue.told.accounts
        """As those who follow them were told last."""

    async def start(self, port: int) -> int:
        """Listen on loopback; port 0 takes any free one. Returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), LOOPBACK, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.kick()
            await asyncio.gather(*(connection.gone.wait() for connection in self.connections))
            await self._server.wait_closed()
        self._wait(None)

    def refresh(self) -> None:
        """After a change of the venue: let every session tell its client."""
        self._shown = self.venue.told.accounts
        for connection in list(self.connections):
            connection.perform(connection.session.refresh(self.clock()))

    def drive(self) -> None:
        """Let the venue catch up with its clock, tell what happened, and come back when something is due again."""
        now = self.clock()
        self.happened(self.venue.advance(now))
        if self.venue.told.accounts != self._shown:
            self.refresh()
        if self.venue.next_due is None:
            self._wait(None)
        else:
            self._wait(max(0, (self.venue.next_due - now).total_seconds()))

    def happened(self, events: Sequence[Event], *, to: "Connection | None" = None) -> None:
        """Log what happened to orders, and tell every client but this one, which knows."""
        for event in events:
            self.log.write(self.clock(), row(event, self.venue.scenario.market))
        for connection in self.connections - {to}:
            connection.perform(connection.session.tell(events))

    def drive_soon(self) -> None:
        """Once those who act now have been told what comes of it."""
        self._wait(0)

    def _wait(self, seconds: float | None) -> None:
        """Drive in so many seconds, or never."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self.drive)

    def notice(self, code: int, text: str = "") -> None:
        for connection in list(self.connections):
            connection.perform(connection.session.notice(code, text))

    def kick(self, client: int | None = None) -> None:
        """Cut one client's connection, or all of them."""
        for connection in list(self.connections):
            if client in {None, connection.session.client_id}:
                connection.cut()


class Connection(asyncio.Protocol):
    """One socket: a session and the delay line either way."""

    def __init__(self, gateway: Gateway) -> None:
        self.session = Session(gateway.venue, gateway.client_ids)
        self.gone = asyncio.Event()
        self._gateway = gateway
        self._transport: asyncio.Transport | None = None
        self._line = DelayLine()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._gateway.connections.add(self)
        self.perform(self.session.connected())

    def data_received(self, data: bytes) -> None:
        self._line.put(self._latency_ms, lambda: self.perform(self.session.receive(data, self._gateway.clock())))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # how it ended makes no difference
        """What the client had sent before is still on its way, and arrives first."""
        self._transport = None
        self._line.put(self._latency_ms, self._ended)

    def _ended(self) -> None:
        self._line.cancel()
        self.session.closed()
        self._gateway.connections.discard(self)
        self._note({"event": "client_disconnected"})
        self.gone.set()

    def perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Send(message=message, delay_ms=delay_ms):
                    fields = message.fields
                    self._note({"dir": "out", "message": message.layout.name, "fields": fields})
                    self._later(delay_ms, frame(join_fields(fields)))
                case SendBytes(payload=payload):
                    self._note({"dir": "out", "message": "garbage", "fields": [payload.hex()]})
                    self._later(0, payload)
                case Received(message=name, fields=fields):
                    self._note({"dir": "in", "message": name, "fields": list(fields)})
                case Happened(event=event, details=details):
                    self._note({"event": event, **details})
                case Traded(events=events):
                    self._gateway.happened(events, to=self)
                    self._gateway.drive_soon()
                case Close():
                    self._line.put(self._latency_ms, self._close)

    def cut(self) -> None:
        """Close the socket now, whatever is on its way."""
        if self._transport is not None:
            self._line.cancel()
            self._transport.abort()

    def _close(self) -> None:
        """Close the socket once what was written has gone out."""
        if self._transport is not None:
            self._transport.close()

    @property
    def _latency_ms(self) -> int:
        return self._gateway.venue.scenario.latency_ms

    def _later(self, delay_ms: int, payload: bytes) -> None:
        self._line.put(self._latency_ms + delay_ms, lambda: self._write(payload))

    def _write(self, payload: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(payload)

    def _note(self, record: dict[str, object]) -> None:
        self._gateway.log.write(self._gateway.clock(), {"client": self.session.client_id, **record})
