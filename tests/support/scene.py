"""A stage for flows: a venue without sockets, targets in memory, a clock that goes by hand, somebody who listens."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.support.reading import NOW, Notices
from tests.support.venue_market import Meanwhile, VenueMarket, WoundClock, venue_with

from ibkr_rebalancer.core.errors import AllocationUnavailable, RebalancerError
from ibkr_rebalancer.core.instruments import ContractQuery
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Account, Limits
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot, TradingMode
from ibkr_rebalancer.flows.rebalance import Planned, plan_accounts
from ibkr_rebalancer.flows.snapshot import take_snapshots

__all__ = ["NOW", "Documents", "Scene"]

MAX_QUOTE_AGE_S = Limits().max_quote_age_s


class Documents:
    """An allocation source in memory: by account, a document or why there is none."""

    def __init__(self, documents: Mapping[str, bytes] | Mapping[str, bytes | AllocationUnavailable]) -> None:
        self._documents = documents

    async def fetch(self, account: Account) -> bytes:
        document = self._documents[account.account_id]
        if isinstance(document, AllocationUnavailable):
            raise document
        return document


class Scene:
    """The base scenario with an overlay; the gateway's clock stands still, ours is a second ahead of it."""

    def __init__(self, *, meanwhile: Meanwhile | None = None, **overlay: Any) -> None:
        self.venue = venue_with(**overlay)
        self.clock = WoundClock(NOW)
        self.notices = Notices()
        self.market = VenueMarket(self.venue, clock=self.clock, meanwhile=meanwhile)

    async def snapshots(
        self,
        wanted: Mapping[str, tuple[ContractQuery, ...]],
        *,
        mode: TradingMode = TradingMode.PAPER,
        max_quote_age_s: Decimal = MAX_QUOTE_AGE_S,
    ) -> Mapping[AccountId, Snapshot | RebalancerError]:
        """Snapshots of these accounts, each with the contracts of its queries."""
        return await take_snapshots(
            {AccountId(name): {query.symbol: query for query in queries} for name, queries in wanted.items()},
            max_quote_age_s=max_quote_age_s,
            mode=mode,
            market=self.market,
            clock=self.clock,
            observer=self.notices,
        )

    async def plans(
        self,
        documents: Mapping[str, bytes | AllocationUnavailable],
        *accounts: Account,
        mode: TradingMode = TradingMode.PAPER,
    ) -> Mapping[AccountId, Plan | RebalancerError]:
        """Plans for these accounts on these documents."""
        planned = await plan_accounts(
            accounts,
            mode=mode,
            market=self.market,
            source=Documents(documents),
            clock=self.clock,
            observer=self.notices,
        )
        return {account: each.plan if isinstance(each, Planned) else each for account, each in planned.items()}

    def change(self, **overlay: Any) -> None:
        """Lay something over the venue as it is."""
        self.venue.become(self.venue.changed(overlay))

    @property
    def questions(self) -> list[str]:
        """What the venue was asked, in order."""
        return [question for question, _ in self.market.asked]

    def asked_for(self, question: str) -> list[Any]:
        """The arguments of every question of this kind."""
        return [argument for kind, argument in self.market.asked if kind == question]
