"""The file that says how much history the journal beside it has at least: it makes what is missing noticed.

A database that was deleted, put back from an old backup, or copied without its `-wal` file opens without a word,
and with it orders and halts that were in it are forgotten. The marker is written when a journal is made, and after
each commit gets the number of rows committed. That is not synced: after a power loss it may say too little, never
too much.
"""

import os
from contextlib import suppress
from pathlib import Path

from ibkr_rebalancer.edges.journal.folder import make_file, open_private

NAME = "journal.marker"

_BEGIN, _END = b"Remove this file only to give up the history of journal.db. Rows: ", b"\n"
_DIGITS = 12


class Marker:
    """The marker of one state folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._descriptor: int | None = None

    def rows(self) -> int | None:
        """How many rows the journal has at least, or None if it was never told.

        Raises:
            ValueError: it says something else.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        digits = content.removeprefix(_BEGIN).removesuffix(_END)
        if not digits.isdigit() or content != _content(int(digits)):
            raise ValueError("the marker is not as it was written")
        return int(digits)

    def make(self, rows: int) -> None:
        """Write the file, durably."""
        make_file(self.path, _content(rows))

    def note(self, rows: int) -> None:
        """Remember that so many rows are committed."""
        if self._descriptor is None:
            self._descriptor = open_private(self.path)
        os.pwrite(self._descriptor, _content(rows), 0)

    def close(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)


def _content(rows: int) -> bytes:
    return b"%s%0*d%s" % (_BEGIN, _DIGITS, rows, _END)
