"""HTTP servers that do what no decent library would: a test writes down, byte by byte, what is sent and when.

    async with raw_server(saying(b"HTTP/1.1 200 OK\\r\\n\\r\\n{}")) as server:
        ...ask server.url...
    assert server.requests

A script is what happens on each connection. Leaving the block waits until every client has left too.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from tests.support.sandbox import LOOPBACK

TLS_NAME = "allocations.test"
CERTIFICATE = Path(__file__).with_name("certificate.pem")
"""Of `TLS_NAME`; whoever trusts it trusts this server, and nobody does unless told."""

DRIP_S = 0.005
"""Between two bytes: far below any deadline for one read."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One client's connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[str]

    @property
    def port(self) -> int:
        """The server's."""
        return int(self.writer.get_extra_info("sockname")[1])

    @property
    def has_left(self) -> bool:
        return self.reader.at_eof() or self.writer.is_closing()

    async def request(self) -> str:
        """Read a request's head; bodies have no place here."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.requests.append(head)
        return head

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def drip(self, data: bytes) -> None:
        """Send these bytes one by one, over and over, until the client has left."""
        for byte in cycle(data):
            if self.has_left:
                return
            await self.send(bytes([byte]))
            await asyncio.sleep(DRIP_S)  # the fault itself, not a wait for something

    async def pour(self, data: bytes) -> None:
        """Send these bytes over and over, as fast as the client takes them, until it has left."""
        while not self.has_left:
            if self.writer.transport.get_write_buffer_size() < len(data):
                self.writer.write(data)
            await asyncio.sleep(0)

    async def left(self) -> None:
        """Wait until the client has closed its end."""
        await self.reader.read()

    def reset(self) -> None:
        """Cut the connection as a crash would: no end, an error."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def start_tls(self) -> None:
        await self.writer.start_tls(server_context())


Script = Callable[[Peer], Awaitable[None]]


@dataclass(slots=True)
class RawServer:
    """A listening server; `requests` has the head of every request read so far, in order."""

    port: int = 0
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/targets"


@asynccontextmanager
async def raw_server(script: Script, *, tls: bool = False) -> AsyncIterator[RawServer]:
    """Serve the script on loopback until the block is left and no client is there any more."""
    server = RawServer()
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(_serve(script, Peer(reader, writer, server.requests))))

    listening = await asyncio.start_server(connected, LOOPBACK, 0, ssl=server_context() if tls else None)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await asyncio.gather(*connections)
        await listening.wait_closed()


async def _serve(script: Script, peer: Peer) -> None:
    # Clients leave in the middle of things here; that is what is tested.
    with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
        await script(peer)
    if peer.has_left:  # nobody takes what may still be unsent
        peer.writer.transport.abort()
    peer.writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await peer.writer.wait_closed()


def saying(*answers: bytes) -> Script:
    """Answer the requests of all connections with these, in turn; the last one serves all that follow."""
    waiting = list(answers)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(waiting.pop(0) if len(waiting) > 1 else waiting[0])

    return script


def ok(body: bytes, *headers: str) -> bytes:
    """A whole good answer."""
    return head(200, *headers, f"Content-Length: {len(body)}") + body


def head(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *headers, "", ""]).encode("latin-1")


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that is ours, and on which nothing listens."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield held.getsockname()[1]
