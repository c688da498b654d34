"""What was said and what happened: JSON lines, each on disk before the next thing happens, and in memory.

A frame is `{"t", "dir": "in" or "out", "client", "message", "fields"}`, its fields exactly as on the wire,
id first; everything else is `{"t", "event", ...}`. `t` is the venue's time.

Every message that would trade is an `order_message` too, whatever becomes of it. What becomes of orders in the market
is told by the rows of `venue.oracle`: whatever clients were told, this is what is true.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Log:
    def __init__(self, path: Path | None) -> None:
        self.records: list[Record] = []
        self._file = path.open("a", encoding="utf-8") if path else None

    def write(self, now: datetime, record: Record) -> None:
        stamped = {"t": now.isoformat(), **record}
        self.records.append(stamped)
        if self._file:
            self._file.write(json.dumps(stamped, default=str) + "\n")
            self._file.flush()

    def close(self) -> None:
        if self._file:
            self._file.close()
