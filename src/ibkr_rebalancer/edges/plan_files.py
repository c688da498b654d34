"""Plan files: written whole and private, or not at all; read up to a size that no plan has."""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibkr_rebalancer.core.errors import ConfigError, UsageError
from ibkr_rebalancer.core.plan_document import PlanDocument, is_plan_document, read_plans

MAX_BYTES = 32 * 2**20
"""Fifty accounts with a thousand lines each come to less."""


def load_plans(path: Path) -> PlanDocument:
    """The plans of a file, exactly as they were made.

    Raises:
        UsageError: it cannot be read (`PLAN_FILE_UNREADABLE`), or is no document of plans (`PLAN_FILE_INVALID`).
        ConfigError: every user of this machine may write it (`INSECURE_PATH`).
        Refused: it has been changed since it was made (`PLAN_EDITED`).
    """
    try:
        _require_guarded(path)
        body = _read(path)
    except OSError as error:
        raise UsageError(
            "PLAN_FILE_UNREADABLE",
            f"{path} cannot be read: {error.strerror or error}. Nothing was sent.",
            hint="Name the file that `rebalancer plan -o FILE` has written.",
        ) from error
    if len(body) > MAX_BYTES:
        raise UsageError(
            "PLAN_FILE_INVALID",
            f"{path} is no plan to carry out: it is larger than {MAX_BYTES:,} bytes. Nothing was sent.",
            hint="Name the file that `rebalancer plan -o FILE` has written.",
        )
    return read_plans(body, file=str(path))


def require_room(path: Path) -> None:
    """Check, before anything is asked for, that plans may be kept there: nothing is replaced but older plans.

    Raises:
        UsageError: the folder is missing, or something else is there (`OUTPUT_FAILED`).
    """
    try:
        if not path.parent.is_dir():
            raise _unwritable(path, f"{path.parent} is no folder")
        if os.path.lexists(path) and not _is_of_plans(path):
            raise _unwritable(path, "it exists, and is no plan file that a newer one may replace")
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def keep_plans(path: Path, content: Mapping[str, Any]) -> None:
    """Write a document of plans for its owner alone, in the place of an older one.

    Raises:
        UsageError: it cannot be written (`OUTPUT_FAILED`); what was there before is there still.
    """
    require_room(path)
    try:
        _write(path, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def _require_guarded(path: Path) -> None:
    """A digest tells what was edited, and not what somebody else has made."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
        raise ConfigError(
            "INSECURE_PATH",
            f"Every user of this machine may write {path}, and so decide what is traded. Nothing was sent.",
            hint=f"Make the plan anew, or run: chmod o-w {path}",
        )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _write(path: Path, body: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=".rebalancer-", dir=path.parent)  # only its owner may read or write it
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _is_of_plans(path: Path) -> bool:
    """Whether nothing else would be lost; an empty file is `mktemp`'s, and links and devices are left alone."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    body = _read(path)
    return not body or is_plan_document(body)


def _unwritable(path: Path, why: str) -> UsageError:
    return UsageError(
        "OUTPUT_FAILED",
        f"The plans cannot be kept in {path}: {why}.",
        hint="Name another file, in a folder that exists and has room; --json prints the same.",
    )
