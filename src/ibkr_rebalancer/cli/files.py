"""Files that a command was asked to write: whole or not at all, for nobody else's eyes."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from tempfile import mkstemp
from typing import Any

from ibkr_rebalancer.cli.output import tell
from ibkr_rebalancer.core.errors import UsageError

START_BYTES = 100
"""As much as is read of a file to see what it is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file, which takes the place of an older one of its kind."""

    name: str
    content: str
    """What is in it, as a sentence begins with it."""
    start: re.Pattern[bytes]
    """How every one of its kind begins."""


PAGE = Kind("web page", "The page", re.compile(rb"<!DOCTYPE html>"))
PLANS = Kind("plan file", "The plan", re.compile(rb'\s*\{\s*"schema"\s*:\s*"rebalancer\.plan/'))


def write_page(path: Path, page: str) -> None:
    """Put a web page where there is no file yet, or another page or an empty file, and say where it is.

    Raises:
        UsageError: as `require_room` says.
    """
    _write(path, page.encode(errors="replace"), PAGE)


def write_plans(path: Path, content: Mapping[str, Any]) -> None:
    """Put a document of plans where there is no file yet, or older plans or an empty file, and say where it is.

    Raises:
        UsageError: as `require_room` says.
    """
    _write(path, (json.dumps(content, indent=2) + "\n").encode(), PLANS)


def require_room(path: Path, kind: Kind) -> None:
    """Check that such a file may be written there, before it is known what is in it.

    Raises:
        UsageError: it cannot be written, or would take the place of something else (`OUTPUT_FAILED`).
    """
    try:
        may_replace = _may_replace(path, kind)
    except OSError as error:
        raise _unwritable(path, kind, error) from error
    if not may_replace:
        raise UsageError(
            "OUTPUT_FAILED",
            f"{path} is there already, and is no {kind.name}; it was left as it is.",
            hint="Name another file, or remove this one.",
        )


def _write(path: Path, body: bytes, kind: Kind) -> None:
    require_room(path, kind)
    try:
        _replace(path, body)
    except OSError as error:
        raise _unwritable(path, kind, error) from error
    tell(f"{kind.content} is in {path}")


def _may_replace(path: Path, kind: Kind) -> bool:
    """Whether nothing of worth is lost; a link, a device or a pipe is not ours to put a file in the place of."""
    try:
        is_file = S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        path.parent.stat()
        return True
    if not is_file:
        return False
    with path.open("rb") as there:
        start = there.read(START_BYTES)
    return not start or kind.start.match(start) is not None


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = mkstemp(dir=path.parent, prefix=".rebalancer-")  # only its owner may read or write it
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _unwritable(path: Path, kind: Kind, error: OSError) -> UsageError:
    return UsageError(
        "OUTPUT_FAILED",
        f"{kind.content} cannot be written to {path}: {error.strerror or error}.",
        hint="Name a file in a folder that is there, that you may write to and that has room.",
    )
