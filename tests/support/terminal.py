"""A command on a terminal of its own: what it draws, and what a person types.

    with on_terminal(here, "positions") as terminal:
        terminal.err.until("Which account?")
        terminal.type("2")
        assert terminal.end() == 0

Standard output and standard error are two terminals here, so that a test sees which of them was drawn on.
"""

import errno
import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGINT
from threading import Condition, Thread

from tests.support.commands import Here

PATIENCE_S = 30
"""What only a broken test waits for."""


class Screen:
    """Everything that was written to one terminal, control sequences included."""

    def __init__(self, columns: int, rows: int) -> None:
        self.near, self.far = pty.openpty()
        fcntl.ioctl(self.far, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._written = b""
        self._grown = Condition()
        self._reader = Thread(target=self._read)
        self._reader.start()

    @property
    def text(self) -> str:
        return self._written.decode(errors="replace").replace("\r\n", "\n")

    def until(self, text: str) -> None:
        """Wait until this has been written."""
        with self._grown:
            assert self._grown.wait_for(lambda: text in self.text, PATIENCE_S), self.text

    def close(self) -> None:
        """Everybody has let go of the far end; read what is left."""
        os.close(self.far)
        self._reader.join(PATIENCE_S)
        os.close(self.near)

    def _read(self) -> None:
        while piece := self._piece():
            with self._grown:
                self._written += piece
                self._grown.notify_all()

    def _piece(self) -> bytes:
        try:
            return os.read(self.near, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux says that nobody holds the far end any more
                raise
            return b""


class Terminal:
    """A running command with its two screens."""

    def __init__(self, process: "subprocess.Popen[str]", out: Screen, err: Screen) -> None:
        self.process = process
        self.out = out
        self.err = err

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        self.press(f"{line}\n")

    def press(self, keys: str) -> None:
        """Press keys, such as Ctrl-D: `\\x04`."""
        os.write(self.out.near, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(SIGINT)

    def end(self) -> int:
        """Wait for the command to end; its exit code."""
        return self.process.wait(PATIENCE_S)


@contextmanager
def on_terminal(here: Here, *arguments: str, columns: int = 80, rows: int = 50, **variables: str) -> Iterator[Terminal]:
    """Start a command on a terminal; when the block is left it has ended, if need be killed, and all can be read."""
    out, err = Screen(columns, rows), Screen(columns, rows)
    env = {"TERM": "xterm-256color", **variables}
    process = here.start(*arguments, stdin=out.far, stdout=out.far, stderr=err.far, env=env)
    with process:
        try:
            yield Terminal(process, out, err)
        finally:
            process.kill()
            process.wait(PATIENCE_S)
            out.close()
            err.close()
