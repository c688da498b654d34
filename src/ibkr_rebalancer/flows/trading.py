"""A run that may trade, on one screen: locked, reconciled, planned, confirmed, checked, carried out.

Several accounts share one connection and one batch of quotes; the trouble of one is not another's.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TypeGuard, TypeVar

from ibkr_rebalancer.core.admission import PLAN_STALE, require_admissible, require_same
from ibkr_rebalancer.core.errors import GatewayUnavailable, Halted, RebalancerError, Refused, StorageFailed
from ibkr_rebalancer.core.limits import activity_of, day_began
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.order_book import OrderBook
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.report import Report, RunStart, run_failure, run_start, unsent_report
from ibkr_rebalancer.flows.execution import Execution
from ibkr_rebalancer.flows.order_gate import OrderGate
from ibkr_rebalancer.flows.rebalance import Planned, plan_accounts
from ibkr_rebalancer.flows.reconcile import PATIENCE, Patience, reconcile
from ibkr_rebalancer.flows.snapshot import require_managed
from ibkr_rebalancer.ports import AllocationSource, Clock, Controls, Gateway, GatewaySession, Ledger, Observer

CONNECT_S = 15.0
"""For the gateway, at the start of a run."""

CONCERNS_ALL = (GatewayUnavailable, Halted, StorageFailed)

Confirm = Callable[[Sequence[Plan]], Awaitable[bool]]
"""Shows plans to a person and asks whether to carry them out."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All of the outside world that a trading run needs."""

    gateway: Gateway
    source: AllocationSource
    ledger: Ledger
    controls: Controls
    clock: Clock
    observer: Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why a run takes place, and under which rules."""

    mode: TradingMode
    trigger: str
    """What asked for it: `command`, or the id of an event."""
    code_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """An account that is ours alone, with nothing of earlier runs left in doubt."""

    account: Account
    start: RunStart
    gate: OrderGate
    book: OrderBook


class TradingRun:
    """One run for some accounts."""

    def __init__(self, occasion: Occasion, ports: Ports, *, patience: Patience = PATIENCE) -> None:
        self._occasion = occasion
        self._ports = ports
        self._patience = patience

    async def rebalance(
        self, accounts: Sequence[Account], *, confirm: Confirm | None = None, printed: Plan | None = None
    ) -> Mapping[AccountId, Report | RebalancerError]:
        """Rebalance each account: what came of it, or why nothing was sent.

        `confirm` is asked before anything is sent, and again when the plans are others by then. `printed`, a plan of
        the only account, is carried out as it is, or refused if it is out of date.

        Raises:
            GatewayUnavailable, GatewayRefused, Busy: the gateway fails before anything was sent.
            Halted: trading is halted.
            StorageFailed: the journal cannot be trusted.
        """
        session = await self._ports.gateway.session(within_s=CONNECT_S)
        with ExitStack() as held:
            begun = {a.account_id: await _or_error(self._begin(a, session, held)) for a in accounts}
            _raise_what_concerns_all(begun.values())
            runs = {account: run for account, run in begun.items() if isinstance(run, _Begun)}
            ended = await self._rebalance(runs, session, confirm, printed)
        return {account: ended[account] if isinstance(run, _Begun) else run for account, run in begun.items()}

    async def _rebalance(
        self,
        runs: Mapping[AccountId, _Begun],
        session: GatewaySession,
        confirm: Confirm | None,
        printed: Plan | None,
    ) -> Mapping[AccountId, Report | RebalancerError]:
        """From here on every run has an end, and the journal knows it."""
        try:
            planned = await self._approved(runs, session, confirm, printed)
        except RebalancerError as error:
            for run in runs.values():
                self._keep_end(run, error)
            raise
        ended: dict[AccountId, Report | RebalancerError] = {}
        for account, run in runs.items():
            ended[account] = await _or_error(self._carry_out(run, planned[account]))
            self._keep_end(run, ended[account])
        return ended

    async def _begin(self, account: Account, session: GatewaySession, held: ExitStack) -> _Begun:
        """Take hold of the account, find out about everything earlier runs left open, and begin its run."""
        ports = self._ports
        gate = OrderGate(
            account.account_id,
            session,
            gateway=ports.gateway,
            controls=ports.controls,
            clock=ports.clock,
            observer=ports.observer,
        )
        gate.require_running()
        require_managed(account.account_id, await session.market.managed_accounts())
        held.enter_context(ports.controls.hold(account.account_id))
        book = await reconcile(
            account.account_id,
            gate,
            ledger=ports.ledger,
            clock=ports.clock,
            observer=ports.observer,
            patience=self._patience,
        )
        start = run_start(
            account,
            trigger=self._occasion.trigger,
            started=ports.clock.now(),
            code_version=self._occasion.code_version,
        )
        ports.ledger.start_run(start)
        return _Begun(account=account, start=start, gate=gate, book=book)

    async def _approved(
        self,
        runs: Mapping[AccountId, _Begun],
        session: GatewaySession,
        confirm: Confirm | None,
        printed: Plan | None,
    ) -> Mapping[AccountId, Planned | RebalancerError | None]:
        """The plans that may be carried out; None of those that their owner declines."""
        planned = await self._plan(runs, session)
        if printed is not None:
            return {account: _as_printed(printed, fresh) for account, fresh in planned.items()}
        while confirm is not None and (shown := _with_trades(planned)):
            if not await confirm([each.plan for each in shown.values()]):
                return {account: None if account in shown else outcome for account, outcome in planned.items()}
            fresh = await self._plan(runs, session)
            checked = {account: _as_printed(each.plan, fresh[account]) for account, each in shown.items()}
            changes = [outcome for outcome in checked.values() if _is_stale(outcome)]
            if not changes:
                return {**planned, **checked}
            for change in changes:
                self._warn("plan.changed", f"{change.message} Here is the new plan")
            planned = fresh
        return planned

    async def _plan(
        self, runs: Mapping[AccountId, _Begun], session: GatewaySession
    ) -> Mapping[AccountId, Planned | RebalancerError]:
        return await plan_accounts(
            [run.account for run in runs.values()],
            mode=self._occasion.mode,
            market=session.market,
            source=self._ports.source,
            clock=self._ports.clock,
            observer=self._ports.observer,
        )

    async def _carry_out(self, run: _Begun, planned: Planned | RebalancerError | None) -> Report:
        """Check the plan against everything that can say no, and carry it out."""
        if isinstance(planned, RebalancerError):
            raise planned
        if planned is None:
            return unsent_report(run.start, outcome="declined", ended=self._ports.clock.now())
        ledger, account = self._ports.ledger, run.account.account_id
        ledger.keep_plan(run.start.run_id, document=planned.document, snapshot=planned.snapshot, plan=planned.plan)
        if not planned.plan.trades:
            return unsent_report(run.start, outcome="nothing-to-do", ended=self._ports.clock.now(), plan=planned.plan)
        require_admissible(
            planned.plan,
            snapshot=planned.snapshot,
            policy=run.account.policy,
            mode=self._occasion.mode,
            activity=activity_of(ledger.orders(account, since=day_began(planned.snapshot.taken_at))),
            ours=frozenset(con_id for con_id, _ in ledger.traded(account)) | ledger.adopted(account),
            open_orders=run.book.open_orders,
        )
        execution = Execution(
            planned,
            run.start,
            run.gate,
            ledger=ledger,
            clock=self._ports.clock,
            observer=self._ports.observer,
            patience=self._patience,
        )
        return await execution.run()

    def _keep_end(self, run: _Begun, end: Report | RebalancerError) -> None:
        """Journal the end of a run. A journal that fails only now must not hide what was sent."""
        try:
            if isinstance(end, Report):
                self._ports.ledger.end_run(end)
            else:
                self._ports.ledger.fail_run(run_failure(run.start, end, ended=self._ports.clock.now()))
        except StorageFailed as failure:
            self._warn("journal.failed", f"{failure.message} The end of run {run.start.run_id} is not in the journal")

    def _warn(self, event: str, text: str) -> None:
        self._ports.observer.notify(Notice(event=event, text=text, severity=Severity.WARNING))


async def _or_error(step: Awaitable[T]) -> T | RebalancerError:
    """What a step for one account comes to."""
    try:
        return await step
    except RebalancerError as error:
        return error


def _raise_what_concerns_all(outcomes: Iterable[object]) -> None:
    """Nothing has been sent yet: what one account met by chance, and the others would meet too, ends it for all."""
    for outcome in outcomes:
        if isinstance(outcome, CONCERNS_ALL):
            raise outcome


def _is_stale(outcome: Planned | RebalancerError) -> TypeGuard[Refused]:
    return isinstance(outcome, Refused) and outcome.code == PLAN_STALE


def _with_trades(planned: Mapping[AccountId, Planned | RebalancerError]) -> Mapping[AccountId, Planned]:
    return {a: each for a, each in planned.items() if isinstance(each, Planned) and each.plan.trades}


def _as_printed(printed: Plan, fresh: Planned | RebalancerError) -> Planned | RebalancerError:
    """The printed plan on the fresh snapshot, if that is still what the plan was made from."""
    if isinstance(fresh, RebalancerError):
        return fresh
    try:
        require_same(printed, fresh.plan, fresh.snapshot)
    except Refused as stale:
        return stale
    return replace(fresh, plan=printed)
