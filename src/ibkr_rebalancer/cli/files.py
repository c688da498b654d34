"""Files that a command was asked to write: whole or not at all, for nobody else's eyes."""

import os
from pathlib import Path
from stat import S_ISREG
from tempfile import mkstemp

from ibkr_rebalancer.cli.output import tell
from ibkr_rebalancer.core.errors import UsageError

PAGE_START = b"<!DOCTYPE html>"
"""How every web page begins."""


def write_page(path: Path, page: str) -> None:
    """Put a web page where there is no file yet, or another page or an empty file, and say where it is.

    Raises:
        UsageError: it cannot be written, or would take the place of something else (`OUTPUT_FAILED`).
    """
    try:
        if not _may_replace(path):
            raise UsageError(
                "OUTPUT_FAILED",
                f"{path} is there already, and is no web page; it was left as it is.",
                hint="Name another file, or remove this one.",
            )
        _replace(path, page.encode(errors="replace"))
    except OSError as error:
        raise UsageError(
            "OUTPUT_FAILED",
            f"The page cannot be written to {path}: {error.strerror or error}.",
            hint="Name a file in a folder that is there, that you may write to and that has room.",
        ) from error
    tell(f"The page is in {path}")


def _may_replace(path: Path) -> bool:
    """Whether nothing of worth is lost; a link, a device or a pipe is not ours to put a file in the place of."""
    try:
        is_file = S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True
    if not is_file:
        return False
    with path.open("rb") as there:
        start = there.read(len(PAGE_START))
    return start in {b"", PAGE_START}


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
