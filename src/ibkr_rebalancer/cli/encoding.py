"""Characters that an output's encoding lacks: written as the nearest ASCII, so that none of them ends a command."""

import codecs
import sys
from io import TextIOWrapper

NEAREST = {"█": "#", "▓": "+", "░": ".", "│": "|", "→": ">", "–": "-", "×": "x", "…": "..."}
"""What our tables and sentences use beyond ASCII."""


def make_encodable() -> None:
    """Let standard output and standard error take any text, whatever the locale's encoding is."""
    codecs.register_error("nearest", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="nearest")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(NEAREST.get(character, "?") for character in lacking), error.end
