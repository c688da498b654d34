"""The process's streams: there are always three, output takes any text and tells its own failures apart, and they are
let go quietly."""

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from ibkr_rebalancer.cli.outlets import drain_outlets

NEAREST = {"█": "#", "▓": "+", "░": ".", "│": "|", "→": ">", "–": "-", "×": "x", "…": "..."}
"""What our tables and sentences use beyond ASCII, and what is written where the encoding has no such character."""

READER_GONE = (BrokenPipeError, SystemExit)
"""What a closed pipe ends output with: typer and rich make an exit of it. Nobody is left to be told anything."""
UNHEARD = (OSError, SystemExit)
"""What anything said on standard error may meet; there is nowhere else to say so."""


class OutputFailed(Exception):
    """Standard output cannot be written, and this is why: a full disk, a terminal that is gone, a stream that the
    process was started without. No defect of ours."""


def prepare_streams() -> None:
    """Let no character end a command (what a stream's encoding lacks is written as the nearest ASCII), and let
    failures of standard output be `OutputFailed`.

    A stream that the process was started without (`>&-`) is opened before a file or a connection takes its place:
    nothing can be read, what is said is lost, and data that cannot be written is a failure.
    """
    codecs.register_error("nearest", _nearest)
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    if sys.stdout is None:
        sys.stdout = _StandardOutput(os.fdopen(os.open(os.devnull, os.O_RDONLY), "wb"), errors="nearest")
    elif isinstance(sys.stdout, TextIOWrapper):
        sys.stdout = _StandardOutput(
            sys.stdout.buffer,
            encoding=sys.stdout.encoding,
            errors="nearest",
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr.reconfigure(errors="nearest")


def let_go() -> None:
    """Write out what is left, into nothing where that fails; the interpreter would complain at its end."""
    drain_outlets()
    for stream in (sys.stdout.buffer, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _StandardOutput(TextIOWrapper):
    """Every way to standard output, also that of libraries, ends here."""

    def write(self, text: str, /) -> int:
        with _failures_told():
            return super().write(text)

    def flush(self) -> None:
        with _failures_told():
            super().flush()


@contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(error.strerror) from error


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(NEAREST.get(character, "?") for character in lacking), error.end
