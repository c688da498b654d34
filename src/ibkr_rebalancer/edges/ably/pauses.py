"""When what has failed is tried again: after pauses that double, with jitter; long ones where it will fail alike."""

import asyncio
import random
from contextlib import suppress

from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.troubles import Trouble


class Pauses:
    """Pauses between tries of one thing."""

    def __init__(self, deadlines: Deadlines, longest_s: float) -> None:
        self._deadlines = deadlines
        self._longest_s = longest_s
        self._next_s = deadlines.shortest_pause_s

    def start_over(self) -> None:
        self._next_s = self._deadlines.shortest_pause_s

    def after(self, trouble: Trouble) -> float:
        """Seconds to wait after this."""
        if trouble.is_refusal:
            return self._deadlines.refused_pause_s
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return pause_s * random.uniform(0.5, 1)  # noqa: S311 (jitter, no secret)


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, no longer than that. Before Python 3.12, `asyncio.wait_for` may swallow a cancellation."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
