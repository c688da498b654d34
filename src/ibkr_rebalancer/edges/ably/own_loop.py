"""A coroutine in a thread and an event loop of its own: what it starts and leaves behind ends there, unheard."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)


async def in_own_loop(work: Callable[[], Coroutine[Any, Any, T]], *, linger_s: float) -> T:
    """What the coroutine returns, once all that it has started has ended too.

    If the caller is cancelled, so is the coroutine, and the caller waits for its end; but no longer than `linger_s`,
    after which the thread is left behind: being a daemon, it keeps no process from exiting.
    """
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    outcome: Future[T | None] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                result = runner.run(_until(stop, work))
        except BaseException as error:  # noqa: BLE001 (carried over to the awaiting task, not handled here)
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    loop.set_exception_handler(_whisper)
    threading.Thread(target=run, name="ably", daemon=True).start()
    ended = asyncio.wrap_future(outcome)
    try:
        result = await asyncio.shield(ended)
    except asyncio.CancelledError:
        with suppress(RuntimeError):  # it has just ended by itself
            loop.call_soon_threadsafe(stop.set)
        await asyncio.wait({ended}, timeout=linger_s)
        ended.cancel()
        raise
    if result is None:
        raise AssertionError("nobody has told it to stop")
    return result


async def _until(stop: asyncio.Event, work: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
    """What the coroutine returns; None if it was told to stop."""
    working, stopping = asyncio.create_task(work()), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        if working.cancelled():
            raise AssertionError("nobody has cancelled it")
        return working.result()
    working.cancel()
    await asyncio.wait({working})
    return None


def _whisper(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001 (asyncio's signature)
    """Tasks that were dropped, or whose errors nobody has asked for."""
    logger.debug("%s", context["message"])
