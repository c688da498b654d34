"""Whoever is told: HTTP servers on loopback that take notifications and heartbeats, refuse them, or hang.

with receiving() as receiver:
    ...json://127.0.0.1:{receiver.port}/...
    receiver.until(lambda heard: len(heard) == 1)
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WITHIN_S = 20
"""What only a broken test waits for."""


@dataclass
class Receiver:
    """A server and what it has heard."""

    port: int = 0
    status: int = 200
    """What it answers."""
    lets_go: threading.Event = field(default_factory=threading.Event)
    """It answers once this is set."""
    heard: list[dict[str, Any]] = field(default_factory=list)
    """The bodies that were sent, and of requests without one their path."""

    @property
    def address(self) -> str:
        """Where notifications go, in apprise's words."""
        return f"json://127.0.0.1:{self.port}/told"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/beat"

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.heard]

    def until(self, condition: Callable[[list[dict[str, Any]]], object]) -> None:
        """Wait until what was heard is so."""
        deadline = time.monotonic() + WITHIN_S
        while not condition(self.heard):
            assert time.monotonic() < deadline, self.heard
            time.sleep(0.005)


@contextmanager
def receiving(*, hangs: bool = False, status: int = 200) -> Iterator[Receiver]:
    """A receiver; one that hangs answers nobody before the block is left, or it is told to let go."""
    receiver = Receiver(status=status)
    if not hangs:
        receiver.lets_go.set()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            receiver.heard.append({"path": self.path})
            self._answer()

        def do_POST(self) -> None:
            receiver.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (as it is called there)
            pass

        def _answer(self) -> None:
            receiver.lets_go.wait(WITHIN_S)
            try:
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:  # nobody has waited
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.lets_go.set()
        server.shutdown()
        server.server_close()
        thread.join(WITHIN_S)
