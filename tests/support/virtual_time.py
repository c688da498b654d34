"""An event loop whose time goes on only while nothing else can: waiting two minutes takes no time at all.

Whatever waits for a timer waits in virtual time; whatever waits for a socket would wait for ever, so only for code
that has none.
"""

import asyncio
import selectors
from datetime import datetime, timedelta


class _NeverIdle(selectors.SelectSelector):
    """Where a real selector would wait, the loop's time is set on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for something that never comes")
        self.passed_s += max(timeout, 0)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 0 seconds."""

    def __init__(self) -> None:
        self._never_idle = _NeverIdle()
        super().__init__(self._never_idle)

    def time(self) -> float:
        return self._never_idle.passed_s


class LoopClock:
    """A clock that shows the running loop's time, counted from a moment."""

    def __init__(self, start: datetime) -> None:
        self._start = start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=asyncio.get_running_loop().time())

    def set_on(self, by: timedelta) -> None:
        """Somebody sets it: on, or with a negative time back."""
        self._start += by
