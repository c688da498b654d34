"""One connection to a gateway for trading, found again when it is lost: the same one if it mends, else a new one."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from ibkr_rebalancer.core.errors import Busy, GatewayUnavailable
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.edges.ibkr.connection import TradingGateway, open_desk
from ibkr_rebalancer.ports import Clock, GatewaySession, Observer

SHORTEST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
"""Between two tries, doubling from the one to the other."""

Opener = Callable[[], AbstractAsyncContextManager[TradingGateway]]


@asynccontextmanager
async def open_line(
    *, host: str, port: int, client_id: int, clock: Clock, observer: Observer
) -> AsyncIterator["GatewayLine"]:
    """A line to the gateway at `host:port` that connects when it is first asked to, and ends with the block.

    It has this client id and no other: who else has it is waited for.
    """

    def opener() -> AbstractAsyncContextManager[TradingGateway]:
        observer.notify(Notice(event="gateway.connect", text=f"Connecting to {host}:{port}"))
        return open_desk(host=host, port=port, client_id=client_id, clock=clock, observer=observer)

    line = GatewayLine(opener)
    try:
        yield line
    finally:
        await line.hang_up()


class GatewayLine:
    """A gateway that can be lost and found again."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._open = AsyncExitStack()
        self._gateway: TradingGateway | None = None

    async def session(self, *, within_s: float) -> GatewaySession:
        """The present connection if it is sound; else the same one once its link is back, or a new one.

        It tries at least once, and again with growing pauses until the time is up: also while our client id is in use,
        as a gateway may take a while to notice that a connection is gone.

        Raises:
            GatewayUnavailable: it was not to be had.
            Busy: another process uses our client id (`CLIENT_ID_IN_USE`).
        """
        now = asyncio.get_running_loop().time
        ends, pause_s = now() + within_s, SHORTEST_PAUSE_S
        while True:
            try:
                return await self._connected()
            except (Busy, GatewayUnavailable):
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                left_s = ends - now()
                if left_s <= 0:
                    raise
                await asyncio.sleep(min(left_s, pause_s * random.uniform(0.5, 1)))  # noqa: S311 (jitter, no secret)

    async def hang_up(self) -> None:
        """Leave the gateway."""
        self._gateway = None
        await self._open.aclose()

    async def _connected(self) -> GatewaySession:
        if self._gateway is not None and not self._gateway.market.is_of_use:
            await self.hang_up()
        if self._gateway is None:
            self._gateway = await self._open.enter_async_context(self._opener())
        self._gateway.link.require_sound("it was to be used again")
        return GatewaySession(market=self._gateway.market, desk=self._gateway.desk)
