"""One connection to a gateway for trading, found again when it is lost: the same one if it mends, else a new one."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from ibkr_rebalancer.core.errors import Busy, GatewayUnavailable
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.edges.ibkr.connection import TradingGateway, open_desk
from ibkr_rebalancer.ports import Clock, GatewaySession, Observer, OrderDesk

SHORTEST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
"""Between two tries, doubling from the one to the other."""

Opener = Callable[[int], AbstractAsyncContextManager[TradingGateway]]
"""Connects under a client id."""


@asynccontextmanager
async def open_line(
    *, host: str, port: int, client_id: int, clock: Clock, observer: Observer
) -> AsyncIterator["GatewayLine"]:
    """A line to the gateway at `host:port` that connects when it is first asked to, and ends with the block.

    It has this client id and no other: who else has it is waited for.
    """

    def opener(client_id: int) -> AbstractAsyncContextManager[TradingGateway]:
        observer.notify(Notice(event="gateway.connect", text=f"Connecting to {host}:{port}"))
        return open_desk(host=host, port=port, client_id=client_id, clock=clock, observer=observer)

    line = GatewayLine(opener, client_id=client_id)
    try:
        yield line
    finally:
        await line.hang_up()


class GatewayLine:
    """A gateway that can be lost and found again, by several who use it at the same time."""

    def __init__(self, opener: Opener, *, client_id: int) -> None:
        self._opener = opener
        self._client_id = client_id
        self._open = AsyncExitStack()
        self._gateway: TradingGateway | None = None
        self._trying = asyncio.Lock()
        self._failed = 0
        """How many tries have."""
        self._last_failure: Busy | GatewayUnavailable | None = None
        self._pause_s = SHORTEST_PAUSE_S
        self._next_try = 0.0
        """On the loop's clock; earlier ones are made by those only who have not tried yet."""

    async def session(self, *, within_s: float) -> GatewaySession:
        """The present connection if it is sound; else the same one once its link is back, or a new one.

        It tries at least once, and again with growing pauses until the time is up: also while our client id is in use,
        as a gateway may take a while to notice that a connection is gone. Whoever comes in the middle of a try shares
        what it comes to, and all who wait have one pause.

        Raises:
            GatewayUnavailable: it was not to be had.
            Busy: another process uses our client id (`CLIENT_ID_IN_USE`).
        """
        now = asyncio.get_running_loop().time
        ends = now() + within_s
        while True:
            try:
                return await self._try()
            except (Busy, GatewayUnavailable):
                if now() >= ends:
                    raise
            while (left_s := min(self._next_try, ends) - now()) > 0:  # noqa: ASYNC110 (others may put it off meanwhile)
                await asyncio.sleep(left_s)

    @asynccontextmanager
    async def over(self, client_id: int) -> AsyncIterator[OrderDesk]:
        """A desk over another client id, until the block is left.

        Raises:
            GatewayUnavailable: it was not to be had.
            Busy: another process uses this client id (`CLIENT_ID_IN_USE`).
        """
        async with self._opener(client_id) as gateway:
            yield gateway.desk

    async def hang_up(self) -> None:
        """Leave the gateway."""
        self._gateway = None
        await self._open.aclose()

    async def _try(self) -> GatewaySession:
        """One try, or the failure of the one that was under way; one that was given up has not failed."""
        failed = self._failed
        async with self._trying:
            if self._last_failure is not None and self._failed > failed:
                raise self._last_failure
            try:
                session = await self._connected()
            except (Busy, GatewayUnavailable) as failure:
                self._put_off(failure)
                raise
            self._pause_s = SHORTEST_PAUSE_S
        return session

    def _put_off(self, failure: Busy | GatewayUnavailable) -> None:
        """Let those who wait pause a little longer than the last time."""
        self._failed += 1
        self._last_failure = failure
        now = asyncio.get_running_loop().time()
        if now >= self._next_try:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._next_try = now + self._pause_s * random.uniform(0.5, 1)  # noqa: S311 (jitter, no secret)

    async def _connected(self) -> GatewaySession:
        """What there is, unless it is of no use any more; what others are at work on is left to them."""
        market = self._gateway.market if self._gateway is not None else None
        if market is not None and not market.is_of_use and not market.is_at_work:
            await self.hang_up()
        if self._gateway is None:
            self._gateway = await self._open.enter_async_context(self._opener(self._client_id))
        self._gateway.link.require_sound("it was to be used again")
        return GatewaySession(market=self._gateway.market, desk=self._gateway.desk)
