"""A connected gateway: to be looked at only, or to trade with."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.instruments import ConId, Contract, ContractQuery
from ibkr_rebalancer.core.order_book import Heard, OrderBook
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Position
from ibkr_rebalancer.core.quotes import NoQuote, Quote


class MarketView(Protocol):
    """A connected gateway, to be looked at only: nothing here can trade.

    Every answer is whole or an error: nothing returns less because something went wrong. All methods raise
    GatewayUnavailable when the gateway is lost, late or cut off, and GatewayRefused when it says no. Of questions
    that are asked for several things together, what concerns only one of them is part of the answer.
    """

    async def server_time(self) -> datetime:
        """The gateway's clock, aware UTC, to the second."""
        ...

    async def managed_accounts(self) -> tuple[AccountId, ...]:
        """The accounts that this login may see."""
        ...

    async def positions(self, accounts: Collection[AccountId]) -> tuple[Position, ...]:
        """The holdings of these accounts; what is odd about those of others troubles nobody."""
        ...

    async def portfolio(self, account: AccountId) -> Portfolio:
        """Balances and marked holdings of one account.

        Raises:
            GatewayUnavailable: also when it is only this account that is not ready, or lacks a figure.
        """
        ...

    async def contracts(
        self, queries: Sequence[ContractQuery]
    ) -> Mapping[ContractQuery, Sequence[Contract] | RebalancerError]:
        """Every contract that fits each query, none for an unknown symbol; or why this one could not be looked up."""
        ...

    async def quotes(self, contracts: Sequence[Contract]) -> Mapping[ConId, Quote | NoQuote]:
        """Fresh prices of all these contracts in one batch, or why one has none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The broker's preview of an order; nothing was placed."""

    commission: Decimal | None
    """Estimated, at most; None when the broker gives none."""
    initial_margin_change: Decimal | None
    warning: str


EXECUTE = 1
"""Added to the configured client id by whoever executes plans; `watch` has the id itself, readers the next ones."""


class OrderDesk(Protocol):
    """The one door through which orders leave. Beside it stands a MarketView on the same connection.

    Several accounts use it at the same time: what is heard, and that something may have been missed, each is told for
    itself. All methods raise GatewayUnavailable when the gateway is lost, late or cut off.
    """

    @property
    def client_id(self) -> int:
        """The API client id of this connection."""
        ...

    @property
    def turn(self) -> AbstractAsyncContextManager[None]:
        """The turn to place one order: whoever has it may still decide not to, while the others wait."""
        ...

    async def order_book(self, account: AccountId) -> OrderBook:
        """Open orders of all clients, then executions, then completed orders of the account: whole or an error."""
        ...

    async def what_if(self, intent: OrderIntent) -> WhatIf:
        """Ask what the order would do, without placing it.

        Raises:
            Refused: the broker would refuse it (`ORDER_WOULD_BE_REJECTED`).
            GatewayRefused: the gateway takes no orders at all (`GATEWAY_READ_ONLY`).
        """
        ...

    async def place(self, intent: OrderIntent) -> None:
        """Send the order; on return all of it has left this process. Whether it was taken is heard later.

        Raises:
            GatewayUnavailable: the connection failed; the order may have been sent or not.
        """
        ...

    async def cancel(self, intent: OrderIntent) -> None:
        """Ask the broker to cancel an order of ours that was placed over this client id; heard later."""
        ...

    async def heard(self, account: AccountId, *, within_s: float) -> Sequence[Heard]:
        """What has arrived about our orders in the account since its last call; waits for the first piece, no longer.

        What arrives while nobody listens for the account is kept for it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySession:
    """One connection to the gateway over which orders may leave, looked at from both sides."""

    market: MarketView
    desk: OrderDesk


class Gateway(Protocol):
    """The gateway as something that can be lost and found again."""

    async def session(self, *, within_s: float) -> GatewaySession:
        """The present connection if it is sound; else the same one once its link is back, or a new one, for all.

        Raises:
            GatewayUnavailable: there was none within the time.
            Busy: another process uses our client id.
        """
        ...

    def over(self, client_id: int) -> AbstractAsyncContextManager[OrderDesk]:
        """A desk over another client id, until the block is left: only there can be cancelled what went out over it.

        Raises:
            GatewayUnavailable: there was none.
            Busy: another process uses this client id.
        """
        ...
