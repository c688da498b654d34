"""Work in a loop of its own: its outcome, its end, and what it leaves."""

import asyncio
import gc
import threading

import pytest
from tests.support.channels import threads, until

from ibkr_rebalancer.edges.ably.own_loop import in_own_loop


async def test_the_result_is_that_of_the_work() -> None:
    async def work() -> int:
        return threading.get_ident()

    assert await in_own_loop(work, linger_s=5) != threading.get_ident()


async def test_a_bug_in_it_is_raised() -> None:
    async def work() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_own_loop(work, linger_s=5)


async def test_when_the_caller_is_cancelled_the_work_is_and_may_tidy_up() -> None:
    story = []

    async def work() -> int:
        try:
            story.append("begun")
            await asyncio.Event().wait()
        finally:
            story.append("tidied up")
        return 1

    task = asyncio.create_task(in_own_loop(work, linger_s=5))
    await until(lambda: story)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert story == ["begun", "tidied up"]
    await until(lambda: not threads())


async def test_work_that_does_not_end_is_left_behind() -> None:
    begun, released = threading.Event(), threading.Event()

    async def work() -> int:
        begun.set()
        released.wait(5)  # as a name service that does not answer
        return 1

    task = asyncio.create_task(in_own_loop(work, linger_s=0.01))
    await until(begun.is_set)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert threads()
    released.set()
    await until(lambda: not threads())


async def test_what_it_leaves_behind_is_heard_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def work() -> int:
        failing = asyncio.create_task(fail())
        await asyncio.wait({failing})
        asyncio.create_task(asyncio.Event().wait())  # noqa: RUF006 (that is the point)
        return 1

    assert await in_own_loop(work, linger_s=5) == 1
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
