"""Plan files as they are found: read up to a size that no plan has, and only if not everybody may have written them."""

import stat
from pathlib import Path

from ibkr_rebalancer.core.errors import ConfigError, UsageError
from ibkr_rebalancer.core.plan_document import PlanDocument, read_plans

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
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
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


def _require_guarded(path: Path) -> None:
    """A digest tells what was edited, and not what somebody else has made."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
        raise ConfigError(
            "INSECURE_PATH",
            f"Every user of this machine may write {path}, and so decide what is traded. Nothing was sent.",
            hint=f"Make the plan anew, or run: chmod o-w {path}",
        )
