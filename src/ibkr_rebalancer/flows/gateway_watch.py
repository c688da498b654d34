"""Keep the connection to the gateway, for as long as it takes: it restarts every day, and may wait for a person."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ibkr_rebalancer.core.errors import Busy, GatewayRefused, GatewayUnavailable, RebalancerError
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.ports import Gateway, Observer

GATEWAY_S = 30.0
"""How often a gateway that is there is asked for the time."""
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""Between two tries to find a gateway that is not there, doubling from the one to the other."""


class GatewayWatch:
    """Keeps the connection to the gateway, for ever; every change is told once."""

    def __init__(self, gateway: Gateway, observer: Observer) -> None:
        self.is_ready: bool | None = None
        """Whether it is there, knows who we are and answers; None before the first try."""
        self._gateway = gateway
        self._observer = observer
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """Somebody has met trouble: look at once."""
        self._doubted.set()

    async def keep(self, *, on_change: Callable[[], None]) -> None:
        """Look after it until cancelled."""
        pause_s = SHORTEST_PAUSE_S
        while True:
            self._doubted.clear()
            trouble = await self._trouble()
            if self.is_ready != (trouble is None):
                self._tell(trouble)
                self.is_ready = trouble is None
                on_change()
            pause_s = SHORTEST_PAUSE_S if trouble is None else min(2 * pause_s, LONGEST_PAUSE_S)
            await within(GATEWAY_S if trouble is None else pause_s, self._doubted)

    async def _trouble(self) -> RebalancerError | None:
        try:
            session = await self._gateway.session(within_s=0)
            await session.market.server_time()
        except (Busy, GatewayRefused, GatewayUnavailable) as trouble:
            return trouble
        return None

    def _tell(self, trouble: RebalancerError | None) -> None:
        if trouble is not None:
            notice = Notice(
                event="gateway.down",
                text=f"Events wait for the gateway. {trouble.message} {trouble.hint}",
                severity=Severity.WARNING,
            )
        else:
            severity = Severity.STEP if self.is_ready is None else Severity.WARNING
            notice = Notice(event="gateway.up", text="The gateway is there", severity=severity)
        self._observer.notify(notice)


async def within(time_s: float, event: asyncio.Event) -> None:
    """Wait for it, and no longer. (`wait_for` loses a cancellation that comes together with the event.)"""
    with suppress(TimeoutError):
        async with asyncio.timeout(time_s):
            await event.wait()
