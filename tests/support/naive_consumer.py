"""A consumer as one would write it at first: subscribe with Ably's client, and act on each message as it comes.

`python -m tests.support.naive_consumer KEY HOST:PORT FILE CHANNEL...` writes a line `begun SERIAL on CHANNEL` before it
acts on a message that says rebalance, and `ended …` after it; of any other message it only says that it has read it. It
has no history and no inbox, and is what chaos must be able to break.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from ably.realtime.realtime import AblyRealtime

ACTS_S = 0.05
"""As long as a quick run takes."""


async def consume(key: str, place: str, file: Path, channels: list[str]) -> None:
    """For ever."""
    client = AblyRealtime(key, endpoint=f"{place}/", tls=False, fallback_hosts=[], disconnected_retry_timeout=100)
    busy = asyncio.Lock()

    async def act(channel: str, message: Any) -> None:
        key = f"{message.serial} on {channel}"
        if not asks(message.data):
            note("read", key)
            return
        async with busy:
            note("begun", key)
            await asyncio.sleep(ACTS_S)
            note("ended", key)

    def listener(channel: str) -> Callable[[Any], Coroutine[Any, Any, None]]:
        async def hear(message: Any) -> None:
            await act(channel, message)

        return hear

    def note(*words: str) -> None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{' '.join(words)}\n")

    for channel in channels:
        await client.channels.get(channel).subscribe(listener(channel))
    note("ready")
    await asyncio.Event().wait()


def asks(data: object) -> bool:
    """Whether a payload asks for a rebalance."""
    try:
        content = json.loads(data) if isinstance(data, str) else data
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("execution") == "rebalance"


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
