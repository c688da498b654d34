"""The socket on which a service manager hears its services: the receiving half of sd_notify(3)."""

import socket
from types import TracebackType
from typing import Self


class NotifySocket:
    """Bound until the block is left; `name` is what stands in `NOTIFY_SOCKET`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        self._socket.bind(f"\0{self.name[1:]}" if self.name.startswith("@") else self.name)
        self._socket.setblocking(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def heard(self) -> list[str]:
        """The datagrams since the last call, oldest first."""
        heard = []
        while True:
            try:
                heard.append(self._socket.recv(100_000).decode())
            except BlockingIOError:
                return heard
