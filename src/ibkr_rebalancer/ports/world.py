"""All else outside: targets, time, whoever supervises this process, and whoever is told."""

from datetime import datetime
from typing import Protocol

from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.policy import Account


class AllocationSource(Protocol):
    """Where target weights come from."""

    async def fetch(self, account: Account) -> bytes:
        """The allocation document of the account, as received.

        Raises:
            AllocationUnavailable: it could not be had within the deadline.
        """
        ...


class Clock(Protocol):
    """This machine's time."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class Supervisor(Protocol):
    """Whoever has started this process, and restarts it when it does not go on. Nothing here fails or waits."""

    def ready(self) -> None:
        """The start is over. What has been said is not said again."""
        ...

    def status(self, text: str) -> None:
        """What goes on, in a sentence that anybody may read. What has been said is not said again."""
        ...

    def beat(self) -> None:
        """The work goes on."""
        ...

    def stopping(self) -> None:
        """The end has begun."""
        ...

    def extend(self, *, by_s: float) -> None:
        """The end needs so much longer from now on; said again before that, it needs more."""
        ...


class Observer(Protocol):
    """Whoever wants to know what is going on."""

    def notify(self, notice: Notice) -> None:
        """Take note; never fail, never wait."""
        ...
