"""What the flows need from the outside world, and nothing about who provides it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from ibkr_rebalancer.core.instruments import ConId, Contract, ContractQuery
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Position
from ibkr_rebalancer.core.quotes import Quote


class MarketView(Protocol):
    """A connected gateway, to be looked at only: nothing here can trade.

    Every answer is whole or an error: nothing returns less because something went wrong. All methods raise
    GatewayUnavailable when the gateway is lost, late or cut off, and GatewayRefused when it says no.
    """

    async def server_time(self) -> datetime:
        """The gateway's clock, aware UTC, to the second."""
        ...

    async def managed_accounts(self) -> tuple[AccountId, ...]:
        """The accounts that this login may see."""
        ...

    async def positions(self) -> tuple[Position, ...]:
        """The holdings of all managed accounts."""
        ...

    async def portfolio(self, account: AccountId) -> Portfolio:
        """Balances and marked holdings of one account."""
        ...

    async def contracts(self, queries: Sequence[ContractQuery]) -> Mapping[ContractQuery, Sequence[Contract]]:
        """Every contract that fits each query; an unknown symbol has none."""
        ...

    async def quotes(self, contracts: Sequence[Contract]) -> Mapping[ConId, Quote]:
        """Fresh prices of all these contracts in one batch; a contract without any price is missing."""
        ...


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


class Observer(Protocol):
    """Whoever wants to know what is going on."""

    def notify(self, notice: Notice) -> None:
        """Take note; never fail, never wait."""
        ...
