"""The rebalancer as a library: settings in, plans and reports out.

    async with Rebalancer.open("accounts.yaml") as rebalancer:
        plan = await rebalancer.plan("DU123456")
        report = await rebalancer.execute(plan)

It opens the edges that the settings name and hands them to the flows as ports. The command line uses nothing else.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ibkr_rebalancer.config.loading import load_settings
from ibkr_rebalancer.config.schema import Settings
from ibkr_rebalancer.core.errors import RebalancerError, UsageError
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Account, select_accounts
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, belongs_to
from ibkr_rebalancer.core.report import Report, dry_run_report
from ibkr_rebalancer.edges.allocations import HttpAllocations
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.flows.rebalance import plan_accounts
from ibkr_rebalancer.flows.snapshot import read_portfolios
from ibkr_rebalancer.ports import Observer

if TYPE_CHECKING:
    from ibkr_rebalancer.edges.ibkr.market import GatewayMarket


class Rebalancer:
    """One session: settings, and a gateway connection that is made when a question needs it."""

    def __init__(self, settings: Settings, observer: Observer, connection: AsyncExitStack) -> None:
        self.settings = settings
        self._observer = observer
        self._connection = connection
        self._connecting = asyncio.Lock()
        self._market: GatewayMarket | None = None
        self._clock = SystemClock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, source: Settings | Path | str | None = None, *, observer: Observer | None = None
    ) -> AsyncIterator[Self]:
        """Open a session on settings, on the accounts.yaml at a path, or on the one that is found.

        Raises:
            ConfigError: accounts.yaml or the environment is wrong.
        """
        settings = source if isinstance(source, Settings) else settings_from(source)
        async with AsyncExitStack() as connection:
            yield cls(settings, observer or _Silence(), connection)

    def select(self, *named: str) -> tuple[Account, ...]:
        """The named accounts, or all enabled ones of the trading mode; those passed over are told to the observer."""
        chosen = select_accounts(self.settings.accounts, named, mode=self.settings.mode)
        for account in () if named else self.settings.accounts:
            if account.enabled and not belongs_to(self.settings.mode, account.account_id):
                text = f"{account.account_id} is passed over: it is no {self.settings.mode.value} account."
                self._observer.notify(
                    Notice(event="account.skip", text=text, account=account.account_id, severity=Severity.WARNING)
                )
        return chosen

    async def plan(self, account: str) -> Plan:
        """The plan of one account.

        Raises:
            RebalancerError: there is none, and why.
        """
        (outcome,) = (await self.plans(account)).values()
        if isinstance(outcome, RebalancerError):
            raise outcome
        return outcome

    async def plans(self, *accounts: str) -> Mapping[AccountId, Plan | RebalancerError]:
        """The plan of each account, or why it has none, on one batch of quotes; no name means all enabled accounts.

        Raises:
            RebalancerError: no account can have a plan.
        """
        chosen = self.select(*accounts)
        return await plan_accounts(
            chosen,
            mode=self.settings.mode,
            market=await self._gateway(),
            source=HttpAllocations(api_key=self.settings.allocations_api_key),
            clock=self._clock,
            observer=self._observer,
        )

    async def portfolios(self, *accounts: str) -> Mapping[AccountId, Portfolio | RebalancerError]:
        """What each account holds, or why it cannot be read; no name means all enabled accounts.

        Raises:
            RebalancerError: no account can be read.
        """
        chosen = [account.account_id for account in self.select(*accounts)]
        return await read_portfolios(chosen, market=await self._gateway(), observer=self._observer)

    async def execute(self, plan: Plan, *, dry_run: bool = True) -> Report:
        """Carry out a plan. This version knows only the dry run, which sends nothing.

        Raises:
            UsageError: `dry_run` is False.
        """
        if not dry_run:
            raise trading_is_not_here_yet()
        now = self._clock.now()
        return dry_run_report(plan, started=now, ended=now)

    async def dry_runs(self, *accounts: str) -> Mapping[AccountId, Report | RebalancerError]:
        """Plan each account and report the orders that would be sent; no name means all enabled accounts.

        Raises:
            RebalancerError: no account can have a plan.
        """
        started = self._clock.now()
        plans = await self.plans(*accounts)
        ended = self._clock.now()
        return {
            account: dry_run_report(plan, started=started, ended=ended) if isinstance(plan, Plan) else plan
            for account, plan in plans.items()
        }

    async def _gateway(self) -> "GatewayMarket":
        """The gateway: connected by the first question, and again by the next one after a connection has failed.

        Questions that are still under way on the failed one end with an error.
        """
        async with self._connecting:
            if self._market is None or not self._market.is_of_use:
                await self._connection.aclose()
                self._market = await self._connect()
        return self._market

    async def _connect(self) -> "GatewayMarket":
        from ibkr_rebalancer.edges.ibkr.connection import open_gateway

        at = self.settings.gateway
        self._observer.notify(Notice(event="gateway.connect", text=f"Connecting to {at.host}:{at.port}"))
        gateway = open_gateway(
            host=at.host, port=at.port, client_id=at.client_id, clock=self._clock, observer=self._observer
        )
        return await self._connection.enter_async_context(gateway)


def settings_from(path: Path | str | None = None) -> Settings:
    """The settings of this process: its environment, .env and accounts.yaml.

    Raises:
        ConfigError: one of them is wrong, or there is no accounts.yaml.
    """
    return load_settings(Path(path) if path else None, environ=os.environ, cwd=Path.cwd())


def trading_is_not_here_yet() -> UsageError:
    """What a request to trade meets in this version."""
    return UsageError(
        "TRADING_NOT_AVAILABLE",
        "This version does not send orders; trading comes with the next one. Nothing was sent.",
        hint="Run the command with --dry-run to see the orders it would send.",
    )


class _Silence:
    """An observer for callers who want only the result."""

    def notify(self, notice: Notice) -> None:
        """Let it pass."""
