"""The process's output streams: they take any text whatever their encoding, and closed ones are let go quietly."""

import codecs
import os
import sys
from io import TextIOWrapper

NEAREST = {"█": "#", "▓": "+", "░": ".", "│": "|", "→": ">", "–": "-", "×": "x", "…": "..."}
"""What our tables and sentences use beyond ASCII, and what is written where the encoding has no such character."""


READER_GONE = (BrokenPipeError, SystemExit)
"""What a closed pipe ends output with: typer and rich make an exit of it. Nobody is left to be told anything."""


def make_encodable() -> None:
    """Let no character end a command: one that a stream's encoding lacks is written as the nearest ASCII."""
    codecs.register_error("nearest", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="nearest")


def let_go() -> None:
    """Write out what is left, into nothing where the reader is gone; the interpreter would complain at its end."""
    for stream in filter(None, (sys.__stdout__, sys.__stderr__)):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(NEAREST.get(character, "?") for character in lacking), error.end
