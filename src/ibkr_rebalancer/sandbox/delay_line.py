"""A delay line: what is put in comes out later, what is equally late in the order it came."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count


class DelayLine:
    """Does things later, those of equal delay in the order they came."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do it after the delay, at once if that is none."""
        if delay_ms == 0:
            action()
            return
        due = asyncio.get_running_loop().time() + delay_ms / 1000
        heapq.heappush(self._due, (due, next(self._order), action))
        self._wait()

    def cancel(self) -> None:
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._due:
            self._timer = asyncio.get_running_loop().call_at(self._due[0][0], self._run)

    def _run(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            _, _, action = heapq.heappop(self._due)
            action()
        self._wait()
