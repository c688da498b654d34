"""Room for the next message to leave: what changes the world goes first, and nothing waits in the library's queue.

Above so many messages a second ib_async holds messages back, without a word. There an order would go out although the
link has gone down meanwhile, or would vanish with the connection; a question would wait longer than its deadline when
many ask for much at once; and whatever is to be sent would have to wait for all of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.link import Link


class Room:
    """Who is let through next on one connection. Create it inside the event loop that uses it."""

    def __init__(self, client: Any, link: Link) -> None:
        """`client` is ib_async's."""
        self._client = client
        self._link = link
        self._sending = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._to_send = 0
        """How many messages that change the world are to leave."""
        self._all_sent = asyncio.Event()
        """Set while that is none."""
        self._all_sent.set()

    @asynccontextmanager
    async def to_send(self, account: AccountId, occupation: str) -> AsyncIterator[None]:
        """Wait for room; what changes the world of the account leaves in the block, and nothing else meanwhile.

        Raises:
            GatewayUnavailable: the connection failed before, also if it is over and the account has not been told.
        """
        self._to_send += 1
        self._all_sent.clear()
        try:
            async with self._sending:
                await asyncio.sleep(0)  # the event loop looks at the socket,
                await asyncio.sleep(0)  # and reads it
                self._link.require_informed(account, occupation)
                while (held_s := self._held_back_s()) > 0:
                    await asyncio.wait({self._link.trouble}, timeout=held_s)
                    self._link.require_informed(account, occupation)
                yield
        finally:
            self._to_send -= 1
            if not self._to_send:
                self._all_sent.set()

    async def to_ask(self, occupation: str) -> None:
        """Wait, in the order of asking, for room for a question that is sent without further ado.

        Raises:
            GatewayUnavailable: the connection has failed.
        """
        async with self._asking:
            self._link.require_sound(occupation)
            while self._to_send or self._held_back_s() > 0:
                if self._to_send:
                    await self._link.until_set(self._all_sent, timeout_s=None)
                else:
                    await asyncio.wait({self._link.trouble}, timeout=self._held_back_s())
                self._link.require_sound(occupation)

    def _held_back_s(self) -> float:
        """How long the library would hold a message back that is given to it now, or at least the first before it."""
        sent_at, waiting = self._client._timeQ, self._client._msgQ  # noqa: SLF001  # it tells no other way
        if not waiting and len(sent_at) < self._client.MaxRequests:
            return 0
        left_s: float = sent_at[0] + self._client.RequestsInterval - asyncio.get_running_loop().time()
        return max(left_s, 0) + 0.001 if waiting else left_s + 0.001
