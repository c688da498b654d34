"""Streams that nobody waits for: what a watch says is written by a thread, and left out where nobody reads it.

A pipe that is not read, a terminal that is held (Ctrl-S) or a disk that hangs would otherwise stop whoever writes, and
with it the orders that are under way.
"""

import io
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MOST_BYTES = 1_000_000
"""Of what waits for a reader; the rest is left out, and counted."""

END_S = 2.0
"""For what still waits when the process ends."""


class Outlet(io.RawIOBase):
    """A file of the operating system, written by a thread of its own; what is flushed together is written whole, or
    not at all."""

    def __init__(self, descriptor: int, *, tell: Callable[[int], None], most_bytes: int = MOST_BYTES) -> None:
        """`tell` is called in the thread, once there is room again, with the number of lines that were left out."""
        super().__init__()
        self.name = descriptor
        """As of a file that was opened by its descriptor."""
        self._descriptor = descriptor
        self._tell = tell
        self._most_bytes = most_bytes
        self._begun: list[bytes] = []
        """What is not flushed yet."""
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        """The first of them is being written."""
        self._bytes = 0
        """Of all that waits."""
        self._left_out = 0
        """Lines, since that was told last."""
        self._is_gone = False
        """Whether the reader has closed its end: nobody is left to be told anything."""
        threading.Thread(target=self._write_on, name="outlet", daemon=True).start()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: "ReadableBuffer", /) -> int:
        """Take it; never fails, never waits."""
        taken = bytes(data)
        with self._changed:
            self._begun.append(taken)
        return len(taken)

    def flush(self) -> None:
        """Let what was written since the last time be written out, if there is room for it."""
        if not self._begun:  # at the end of the interpreter the thread is stopped wherever it is, also with the lock
            return
        with self._changed:
            whole, self._begun = b"".join(self._begun), []
            if self._is_gone:
                return
            if self._waiting and self._bytes + len(whole) > self._most_bytes:
                self._left_out += whole.count(b"\n")
                return
            self._waiting.append(whole)
            self._bytes += len(whole)
            self._changed.notify_all()

    def drain(self, *, within_s: float) -> bool:
        """Wait until all is written, no longer than that; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, within_s)

    def _write_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                whole = self._waiting[0]
            is_written = self._is_written(whole)
            with self._changed:
                self._waiting.popleft()
                self._bytes -= len(whole)
                left_out = self._left_out = self._left_out + (0 if is_written else whole.count(b"\n"))
                if is_written:
                    self._left_out = 0
                self._changed.notify_all()
            if is_written and left_out:
                self._tell(left_out)

    def _is_written(self, whole: bytes) -> bool:
        """Write it; a disk that is full today may have room tomorrow."""
        left = memoryview(whole)
        try:
            while left and not self._is_gone:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:  # whoever has started us shares the file, and has it so
                    select.select([], [self._descriptor], [])
        except BrokenPipeError:
            self._is_gone = True
        except OSError:
            return False
        return True


def let_nobody_wait(tell: Callable[[str], None]) -> None:
    """Let standard output and standard error be outlets until the process ends, if they are files of the operating
    system; `tell` is told what was left out, also of what it says itself."""
    sys.stdout = _outlet_for(sys.stdout, "standard output", tell)
    sys.stderr = _outlet_for(sys.stderr, "standard error", tell)


def _outlet_for(stream: TextIO, name: str, tell: Callable[[str], None]) -> TextIO:
    try:
        descriptor = stream.fileno()
    except OSError:
        return stream

    def tell_lines(lines: int) -> None:
        tell(f"Nobody has read {name} for a while: {lines} lines were left out of it")

    outlet = Outlet(descriptor, tell=tell_lines)
    return io.TextIOWrapper(outlet, encoding=stream.encoding, errors=stream.errors)


def drain_outlets() -> None:
    """Give what still waits a moment to be written."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(outlet := getattr(stream, "buffer", None), Outlet):
            outlet.drain(within_s=END_S)
