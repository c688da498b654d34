"""The rebalancer as a library: settings in, plans and reports out.

    async with Rebalancer.open("accounts.yaml") as rebalancer:
        plan = await rebalancer.plan("DU123456")
        report = await rebalancer.execute(plan)

It opens the edges that the settings name and hands them to the flows as ports. The command line uses nothing else.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ibkr_rebalancer.config.loading import load_settings
from ibkr_rebalancer.config.settings import Settings, realtime_key
from ibkr_rebalancer.core.addresses import is_file
from ibkr_rebalancer.core.errors import RebalancerError, UsageError
from ibkr_rebalancer.core.money import amount_text
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Account, select_accounts
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, belongs_to
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose, require_meant
from ibkr_rebalancer.core.report import Report, dry_run_report
from ibkr_rebalancer.core.runs import COMMAND
from ibkr_rebalancer.edges.allocation_files import FileAllocations
from ibkr_rebalancer.edges.allocations import HttpAllocations
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.edges.logs import redactor
from ibkr_rebalancer.flows.rebalance import Planned, plan_accounts
from ibkr_rebalancer.flows.snapshot import read_portfolios
from ibkr_rebalancer.flows.trading import Confirm, Occasion, Ports, TradingRun
from ibkr_rebalancer.flows.watch import Tell, Watch
from ibkr_rebalancer.ports import EXECUTE, EventSource, Observer
from ibkr_rebalancer.records import Silence
from ibkr_rebalancer.version import __version__

if TYPE_CHECKING:  # what these stand on is heavy, and not every command needs it
    from ibkr_rebalancer.edges.ibkr.line import GatewayLine
    from ibkr_rebalancer.edges.ibkr.market import GatewayMarket
    from ibkr_rebalancer.edges.journal.journal import Journal


class Rebalancer:
    """One session: settings, and a gateway connection that is made when a question needs it."""

    def __init__(self, settings: Settings, observer: Observer, edges: AsyncExitStack) -> None:
        self.settings = settings
        self._observer = observer
        self._edges = edges
        self._connection = AsyncExitStack()
        edges.push_async_exit(self._connection)
        self._connecting = asyncio.Lock()
        self._market: GatewayMarket | None = None
        self._line: GatewayLine | None = None
        self._open_journal: Journal | None = None
        self._clock = SystemClock()
        self._source = Targets(settings.allocations_api_keys)

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
            yield cls(settings, observer or Silence(), connection)

    def select(self, *named: str) -> tuple[Account, ...]:
        """The named accounts, or all enabled ones of the trading mode; those passed over are told to the observer."""
        settings = self.settings
        chosen = select_accounts(settings.accounts, named, mode=settings.mode, file=settings.config_path.name)
        for account in () if named else self.settings.accounts:
            if account.enabled and not belongs_to(self.settings.mode, account.account_id):
                text = f"{account.account_id} is passed over: it is no {self.settings.mode.value} account."
                self._observer.notify(
                    Notice(event="account.skip", text=text, account=account.account_id, severity=Severity.WARNING)
                )
        return chosen

    async def plan(self, account: str, *, purpose: Purpose = REBALANCE) -> Plan:
        """The plan of one account.

        Raises:
            RebalancerError: there is none, and why.
        """
        (outcome,) = (await self.plans(account, purpose=purpose)).values()
        if isinstance(outcome, RebalancerError):
            raise outcome
        return outcome

    async def plans(self, *accounts: str, purpose: Purpose = REBALANCE) -> Mapping[AccountId, Plan | RebalancerError]:
        """The plan of each account, or why it has none, on one batch of quotes; no name means all enabled accounts.

        Raises:
            RebalancerError: no account can have a plan.
        """
        chosen = self._select_for(purpose, accounts)
        planned = await plan_accounts(
            chosen,
            mode=self.settings.mode,
            market=await self._gateway(),
            source=self._source,
            clock=self._clock,
            observer=self._observer,
            purpose_of=lambda _account: purpose,
        )
        return {account: each.plan if isinstance(each, Planned) else each for account, each in planned.items()}

    async def portfolios(self, *accounts: str) -> Mapping[AccountId, Portfolio | RebalancerError]:
        """What each account holds, or why it cannot be read; no name means all enabled accounts.

        Raises:
            RebalancerError: no account can be read.
        """
        chosen = [account.account_id for account in self.select(*accounts)]
        return await read_portfolios(chosen, market=await self._gateway(), observer=self._observer)

    async def execute(self, plan: Plan, *, dry_run: bool = True, adopt: bool = False) -> Report:
        """Carry out this very plan, if positions, cash and prices are still what it was made from.

        Only with `dry_run=False` is anything sent.

        Raises:
            RebalancerError: nothing was sent, and why; `PLAN_STALE` if something has changed, `PLAN_USED` if it
                has been carried out before.
        """
        if dry_run:
            now = self._clock.now()
            return dry_run_report(plan, trigger=COMMAND, started=now, ended=now)
        (outcome,) = (await self.carry_out(plan, adopt=adopt)).values()
        if isinstance(outcome, RebalancerError):
            raise outcome
        return outcome

    async def rebalance(
        self,
        *accounts: str,
        confirm: Confirm | None = None,
        adopt: bool = False,
        purpose: Purpose = REBALANCE,
    ) -> Mapping[AccountId, Report | RebalancerError]:
        """Plan each account and carry the plans out; no name means all enabled accounts. It trades.

        `confirm` is asked before anything is sent. With `adopt`, or when it says yes, real holdings that we never
        traded may be sold, from then on.

        Raises:
            RebalancerError: no account can be rebalanced; nothing was sent.
        """
        chosen = self._select_for(purpose, accounts)
        run = await self._trading_run()
        return await run.rebalance(chosen, confirm=confirm, adopt=adopt, purpose=purpose)

    async def carry_out(
        self, *plans: Plan, confirm: Confirm | None = None, adopt: bool = False
    ) -> Mapping[AccountId, Report | RebalancerError]:
        """Carry out these very plans, of one account each, as far as they are still up to date. It trades.

        `confirm` and `adopt` are as for `rebalance`; a plan is never replaced by another one.

        Raises:
            RebalancerError: none can be carried out; nothing was sent.
            ValueError: there is no plan, or there are two for one account.
        """
        named = [plan.account for plan in plans]
        if not named or len(set(named)) < len(named):
            raise ValueError(f"one plan for each account, not {named}")
        accounts = self.select(*named)
        return await (await self._trading_run()).rebalance(accounts, confirm=confirm, printed=plans, adopt=adopt)

    async def dry_runs(
        self, *accounts: str, purpose: Purpose = REBALANCE
    ) -> Mapping[AccountId, Report | RebalancerError]:
        """Plan each account and report the orders that would be sent; no name means all enabled accounts.

        Raises:
            RebalancerError: no account can have a plan.
        """
        started = self._clock.now()
        plans = await self.plans(*accounts, purpose=purpose)
        ended = self._clock.now()
        return {
            account: dry_run_report(plan, trigger=COMMAND, started=started, ended=ended)
            if isinstance(plan, Plan)
            else plan
            for account, plan in plans.items()
        }

    def _select_for(self, purpose: Purpose, named: Sequence[str]) -> tuple[Account, ...]:
        """The accounts of a run; an amount of cash is that of one account.

        Raises:
            UsageError: it cannot be meant (`USAGE`), or cash is to be raised in several (`RAISE_CASH_OF_MANY`).
        """
        require_meant(purpose)
        chosen = self.select(*named)
        if purpose.raise_cash and len(chosen) > 1:
            listed = ", ".join(account.account_id for account in chosen)
            raise UsageError(
                "RAISE_CASH_OF_MANY",
                f"{amount_text(purpose.raise_cash)} in cash is to be raised, and {listed} are {len(chosen)} accounts.",
                hint="Name the one account that it is wanted of.",
            )
        return chosen

    async def _gateway(self) -> "GatewayMarket":
        """The gateway: connected by the first question, and again by the next one after a connection has failed.

        Questions that are still under way on the failed one end with an error.
        """
        async with self._connecting:
            if self._market is None or not self._market.is_of_use:
                await self._connection.aclose()
                self._market = await self._connect()
        return self._market

    async def watch(self, *, dry_run: bool, tell: Tell, beat: Callable[[], None]) -> None:
        """Carry out the events of all enabled accounts until cancelled; with `dry_run`, none of them trades.

        `tell` is given what came of events, and `beat` is called every few seconds as long as all is well.

        Raises:
            ConfigError: there is no key for the event channels (`CONFIG_MISSING_KEY`), or it is none
                (`CONFIG_INVALID_VALUE`).
            Busy: another process watches on this state folder (`WATCH_BUSY`).
            StorageFailed: the journal cannot be trusted or written.
        """
        accounts = self.select()
        events = self._events()
        journal = self._journal()
        self._edges.enter_context(journal.watch())
        watch = Watch(
            accounts,
            Occasion(mode=self.settings.mode, code_version=__version__),
            await self._ports(journal, client_id=self.settings.gateway.client_id),
            events=events,
            inbox=journal.inbox,
            tell=tell,
            beat=beat,
            redact=redactor(self.settings.secrets),
            dry_run=dry_run,
        )
        await watch.run()

    def _events(self) -> EventSource:
        from ibkr_rebalancer.edges.ably.source import AblyEvents

        return AblyEvents(
            api_key=realtime_key(self.settings),
            endpoint=self.settings.realtime.endpoint,
            clock=self._clock,
            observer=self._observer,
        )

    async def _trading_run(self) -> TradingRun:
        return TradingRun(
            Occasion(mode=self.settings.mode, code_version=__version__),
            await self._ports(self._journal(), client_id=self.settings.gateway.client_id + EXECUTE),
        )

    async def _ports(self, journal: "Journal", *, client_id: int) -> Ports:
        if self._line is None:
            from ibkr_rebalancer.edges.ibkr.line import open_line

            at = self.settings.gateway
            self._line = await self._edges.enter_async_context(
                open_line(host=at.host, port=at.port, client_id=client_id, clock=self._clock, observer=self._observer)
            )
        return Ports(
            gateway=self._line,
            source=self._source,
            ledger=journal,
            controls=journal,
            clock=self._clock,
            observer=self._observer,
        )

    def _journal(self) -> "Journal":
        """The journal of the state folder, opened by the first who needs it."""
        if self._open_journal is None:
            from ibkr_rebalancer.edges.journal.opening import open_journal

            self._open_journal = self._edges.enter_context(
                open_journal(
                    self.settings.state_path, mode=self.settings.mode, clock=self._clock, observer=self._observer
                )
            )
        return self._open_journal

    async def _connect(self) -> "GatewayMarket":
        from ibkr_rebalancer.edges.ibkr.connection import open_gateway

        at = self.settings.gateway
        self._observer.notify(Notice(event="gateway.connect", text=f"Connecting to {at.host}:{at.port}"))
        gateway = open_gateway(
            host=at.host, port=at.port, client_id=at.client_id, clock=self._clock, observer=self._observer
        )
        return await self._connection.enter_async_context(gateway)


class Targets:
    """The allocation source of each account: a file, or what HTTP answers."""

    def __init__(self, api_keys: Mapping[str, str]) -> None:
        self._files = FileAllocations()
        self._http = HttpAllocations(api_keys=api_keys)

    async def fetch(self, account: Account) -> bytes:
        source = self._files if is_file(account.allocations_url) else self._http
        return await source.fetch(account)


def settings_from(path: Path | str | None = None, *, state: Path | None = None) -> Settings:
    """The settings of this process: its environment, .env and accounts.yaml; `state` names the journal's folder.

    Raises:
        ConfigError: one of them is wrong, or there is no accounts.yaml.
    """
    return load_settings(Path(path) if path else None, environ=os.environ, cwd=Path.cwd(), state=state)
