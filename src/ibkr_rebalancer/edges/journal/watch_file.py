"""The file in which a running watch keeps what it knows, for `rebalancer status`: not history, and lost without harm.

It is not synced: what a power loss leaves of it is older than the boot, or nothing that can be read.
"""

import json
from pathlib import Path

from ibkr_rebalancer.core.documents import decode, encode
from ibkr_rebalancer.core.watch_status import WatchStatus
from ibkr_rebalancer.edges.journal.folder import replace_file

NAME = "watch.json"


class WatchFile:
    """The file of one state folder; only the process that holds the lock of the watch writes it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def keep(self, status: WatchStatus) -> str:
        """Put this status in the place of the last one; why that could not be done, or nothing. It never fails."""
        try:
            replace_file(self.path, json.dumps(encode(status)).encode(), is_durable=False)
        except OSError as error:
            return f"{self.path}: {error.strerror or error}"
        return ""

    def status(self) -> WatchStatus | None:
        """What was kept last; None if nothing was, or nothing that this version can read."""
        try:
            status: WatchStatus = decode(WatchStatus, json.loads(self.path.read_bytes()))
        except (OSError, ValueError):
            return None
        return status
