"""Steps for several accounts at the same time: what one comes to, ends none of the others."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from ibkr_rebalancer.flows.reconcile import take_back_cancellation

T = TypeVar("T")


async def side_by_side(steps: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What the steps come to, when all of them have ended.

    A cancellation is handed on to each step, as often as it comes, and what they make of it is the answer to it.

    Raises:
        CancelledError: a step let itself be cancelled.
        BaseException: a step raised what it should not have; of several the first, with a word of the others.
    """
    tasks = [asyncio.create_task(step) for step in steps]
    cancelled = 0
    while running := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError:
            # Each step has begun by now, and can meet it: the loop had them waiting before anybody could wake us.
            cancelled += 1
            for task in running:
                task.cancel()
    ended = [task for task in tasks if not task.cancelled()]
    bugs = [bug for task in ended if (bug := task.exception()) is not None]
    for other in bugs[1:]:
        bugs[0].add_note(f"Meanwhile, for another account: {other!r}")
    if bugs:
        raise bugs[0]
    if len(ended) < len(tasks):
        raise asyncio.CancelledError
    for _ in range(cancelled):
        take_back_cancellation()
    return [task.result() for task in ended]
