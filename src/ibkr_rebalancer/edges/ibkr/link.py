"""Whether a connection can be used: sound, or ended or interrupted by a trouble, which some troubles get over."""

import asyncio
from typing import Any

from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.troubles import LINK_DOWN, Trouble


class Link:
    """The way to the gateway, and through it to Interactive Brokers. Create it inside the event loop that uses it."""

    def __init__(self) -> None:
        self.trouble: asyncio.Future[Trouble] = asyncio.get_running_loop().create_future()
        """Done while nothing can be asked; a new one once the link to Interactive Brokers is back."""
        self.failures = 0
        """How often it has failed."""
        self._told: dict[AccountId, int] = {}
        """How many of these failures whoever trades an account knows of. What was said meanwhile was missed, and an
        interruption that is over would else pass unnoticed."""

    def fail(self, trouble: Trouble) -> None:
        """Let nothing more begin. The first trouble stays; only a lost link can get worse, or better."""
        self.mend()
        if not self.trouble.done():
            self.trouble.set_result(trouble)
            self.failures += 1

    def mend(self) -> None:
        """The link to Interactive Brokers is back; a connection that is gone stays so."""
        if self.trouble.done() and self.trouble.result() is LINK_DOWN:
            self.trouble = asyncio.get_running_loop().create_future()

    async def until(self, event: asyncio.Future[Any], *, timeout_s: float | None) -> None:
        """Wait for this, for trouble or for the time to be up, whichever comes first."""
        either: set[asyncio.Future[Any]] = {event, self.trouble}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    async def until_set(self, event: asyncio.Event, *, timeout_s: float | None) -> None:
        """The same for an event."""
        waiting = asyncio.ensure_future(event.wait())
        try:
            await self.until(waiting, timeout_s=timeout_s)
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    def require_sound(self, occupation: str) -> None:
        """Let nobody begin what cannot work.

        Raises:
            GatewayUnavailable: it has failed, while this was to be done.
        """
        if self.trouble.done():
            raise self.trouble.result().during(occupation)

    def tell(self, account: AccountId, *, failures: int) -> None:
        """Whoever trades this account knows of the first so many failures now; others have to be told of their own."""
        self._told[account] = max(failures, self._told.get(account, 0))

    def is_told(self, account: AccountId) -> bool:
        """Whether whoever trades this account knows of every failure."""
        return self._told.get(account, 0) == self.failures

    def require_informed(self, account: AccountId, occupation: str) -> None:
        """Let nobody go on with an account as if nothing had been missed.

        Raises:
            GatewayUnavailable: it has failed, or has failed and recovered and this account has not been told.
        """
        self.require_sound(occupation)
        if not self.is_told(account):
            raise LINK_DOWN.during(occupation)
