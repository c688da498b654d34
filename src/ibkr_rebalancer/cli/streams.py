"""The process's output streams: they take any text, tell their own failures apart, and are let go quietly."""

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

NEAREST = {"█": "#", "▓": "+", "░": ".", "│": "|", "→": ">", "–": "-", "×": "x", "…": "..."}
"""What our tables and sentences use beyond ASCII, and what is written where the encoding has no such character."""

READER_GONE = (BrokenPipeError, SystemExit)
"""What a closed pipe ends output with: typer and rich make an exit of it. Nobody is left to be told anything."""
UNHEARD = (OSError, SystemExit)
"""What anything said on standard error may meet; there is nowhere else to say so."""


class OutputFailed(Exception):
    """Standard output cannot be written, and this is why: a full disk, a terminal that is gone. No defect of ours."""


def prepare_streams() -> None:
    """Let no character end a command (what a stream's encoding lacks is written as the nearest ASCII), and let
    failures of standard output be `OutputFailed`."""
    codecs.register_error("nearest", _nearest)
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr.reconfigure(errors="nearest")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout = _StandardOutput(
            sys.stdout.buffer,
            encoding=sys.stdout.encoding,
            errors="nearest",
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )


def let_go() -> None:
    """Write out what is left, into nothing where that fails; the interpreter would complain at its end."""
    for stream in filter(None, (sys.__stdout__, sys.__stderr__)):
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
