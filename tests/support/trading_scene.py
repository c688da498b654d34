"""A stage for runs that trade: the venue without sockets, a real journal, time that costs nothing.

    scene = TradingScene(tmp_path, accounts={"DU1": {"cash": "10000", "positions": {"AAA": 100}}})
    report = await scene.rebalance(targets(AAA="0.5", BBB="0.5"))
    assert scene.orders == ["SELL 51 AAA", "BUY 99 BBB"]

`scene.gateway.line` breaks the connection at a chosen moment; `scene.change(faults=[...])` breaks the market.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.reading import Notices
from tests.support.scene import Documents
from tests.support.venue_desk import VenueGateway
from tests.support.venue_market import venue_with
from tests.support.virtual_time import LoopClock

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Account, Policy
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.opening import open_journal
from ibkr_rebalancer.flows.reconcile import PATIENCE, Patience
from ibkr_rebalancer.flows.trading import Confirm, Occasion, Ports, TradingRun

START = datetime.fromisoformat("2026-11-23T15:30:00+00:00")
"""A Monday, an hour after the opening in New York."""

DU1 = AccountId("DU1")


def account(account_id: str = "DU1", policy: Policy | None = None) -> Account:
    return Account(
        account_id=AccountId(account_id),
        channel=f"rebalance-{account_id}",
        allocations_url=f"https://targets.example/{account_id}",
        policy=policy or Policy(),
    )


class TradingScene:
    """One venue, one journal, and runs one after the other."""

    def __init__(self, folder: Path, **overlay: Any) -> None:
        self.venue = venue_with(clock=None, **{"market": OPEN, **overlay})
        self.clock = LoopClock(START)
        """The gateway's."""
        self.ours = LoopClock(START)
        """This machine's."""
        self.notices = Notices()
        self.gateway = VenueGateway(self.venue, clock=self.clock, ours=self.ours)
        self.market = self.gateway.market
        self.journal: Journal | None = None
        """That of the run under way."""
        self.folder = folder
        self.mode = TradingMode.PAPER

    async def rebalance(
        self,
        *documents: bytes,
        policy: Policy | None = None,
        confirm: Confirm | None = None,
        printed: Sequence[Plan] = (),
        adopt: bool = False,
        patience: Patience = PATIENCE,
    ) -> Report | RebalancerError:
        """Rebalance DU1 on these targets."""
        outcomes = await self.rebalance_all(
            {"DU1": documents[0]}, policy=policy, confirm=confirm, printed=printed, adopt=adopt, patience=patience
        )
        return outcomes[DU1]

    async def rebalance_all(
        self,
        documents: Mapping[str, bytes],
        *,
        policy: Policy | None = None,
        confirm: Confirm | None = None,
        printed: Sequence[Plan] = (),
        adopt: bool = False,
        patience: Patience = PATIENCE,
    ) -> Mapping[AccountId, Report | RebalancerError]:
        with self.ports(documents) as ports:
            run = TradingRun(Occasion(mode=self.mode, code_version="test"), ports, patience=patience)
            accounts = [account(name, policy) for name in documents]
            return await run.rebalance(accounts, confirm=confirm, printed=printed, adopt=adopt)

    @contextmanager
    def ports(self, documents: Mapping[str, bytes]) -> Iterator[Ports]:
        """The outside world with its journal open."""
        with open_journal(self.folder, mode=self.mode, clock=self.ours, observer=self.notices) as self.journal:
            yield Ports(
                gateway=self.gateway,
                source=Documents(documents),
                ledger=self.journal,
                controls=self.journal,
                clock=self.ours,
                observer=self.notices,
            )

    def change(self, **overlay: Any) -> None:
        """Lay something over the venue as it is."""
        self.venue.become(self.venue.changed(overlay))

    @property
    def orders(self) -> list[str]:
        """What reached the venue, in order."""
        names = {con_id: listing.contract.symbol for con_id, listing in self.venue.scenario.market.listings.items()}
        return [f"{ticket.side} {ticket.quantity:f} {names[ticket.con_id]}" for ticket in self.gateway.placed]

    def held(self, account_id: str = "DU1") -> dict[str, Decimal]:
        """Shares at the venue by symbol."""
        scenario = self.venue.scenario
        return {
            scenario.market.listings[con_id].contract.symbol: holding.quantity
            for con_id, holding in scenario.accounts[account_id].positions.items()
            if holding.quantity
        }

    def cash(self, account_id: str = "DU1") -> Decimal:
        return self.venue.scenario.accounts[account_id].cash["USD"]


def newest_failure(scene: TradingScene) -> str:
    """The reason code for which the newest run has sent nothing, by the journal."""
    with scene.ports({}) as ports:
        (newest,) = ports.ledger.runs(limit=1)
    assert newest.failure is not None
    return newest.failure.code


OPEN: Mapping[str, Any] = {symbol: {"hours": "09:30-16:00 America/New_York"} for symbol in ("AAA", "BBB", "CCC")}

RENAMED: Mapping[str, Any] = {
    "market": {
        "BBB": {"con_id": 999},
        "OLD": {"con_id": 102, "bid": "49.99", "ask": "50.01", "last": "50", "close": "50.50", **OPEN["BBB"]},
    },
    "accounts": {"DU1": {"positions": {"BBB": None, "OLD": 398}}},
}
"""What was bought as BBB is called OLD, and BBB is another company."""

IMPATIENT = replace(PATIENCE, absence_s=30.0)
