"""A run that may trade, on one screen: locked, reconciled, planned, confirmed, checked, carried out.

Several accounts share one connection and one batch of quotes, and are carried out side by side; the trouble of one is
not another's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from ibkr_rebalancer.core.checks import (
    require_adopted,
    require_no_foreign_orders,
    require_tradable_prices,
    require_unused,
)
from ibkr_rebalancer.core.errors import (
    Deferred,
    GatewayUnavailable,
    Halted,
    RebalancerError,
    Refused,
    StorageFailed,
)
from ibkr_rebalancer.core.instruments import require_unchanged
from ibkr_rebalancer.core.limits import activity_of, require_within_limits
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.order_book import OrderBook
from ibkr_rebalancer.core.orders import order_refs, require_open
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose
from ibkr_rebalancer.core.report import Report, unsent_report
from ibkr_rebalancer.core.runs import COMMAND, RunStart, run_start
from ibkr_rebalancer.flows.execution import Execution
from ibkr_rebalancer.flows.order_gate import OrderGate
from ibkr_rebalancer.flows.past_purchases import told_of_settlement
from ibkr_rebalancer.flows.rebalance import Planned, plan_accounts
from ibkr_rebalancer.flows.reconcile import PATIENCE, Patience, reconcile
from ibkr_rebalancer.flows.run_ends import OnEnd, as_end, keep_end
from ibkr_rebalancer.flows.shown_plans import as_shown, is_stale, with_trades
from ibkr_rebalancer.flows.side_by_side import side_by_side
from ibkr_rebalancer.flows.snapshot import require_managed
from ibkr_rebalancer.ports import AllocationSource, Clock, Controls, Gateway, Ledger, Observer

ACTIVITY_REACH = timedelta(days=2)
"""How far back the orders are read that can belong to today."""

FRESH = timedelta(seconds=30)
"""How long after its prices were read a plan is carried out as it is."""

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
    code_version: str
    triggers: Mapping[AccountId, str] = field(default_factory=dict)
    """By account, the id of the event that asked for it; the others were asked for by a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """An account that is ours alone, with nothing of earlier runs left in doubt."""

    account: Account
    start: RunStart
    gate: OrderGate
    book: OrderBook
    hold: ExitStack
    """Gives the account back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What the owner wants of a run."""

    confirm: Confirm | None
    printed: Mapping[AccountId, Plan]
    """Plans that are carried out as they are, or not at all."""
    adopt: bool
    purpose: Purpose

    def purpose_of(self, account: AccountId) -> Purpose:
        """What the plan of an account is for; a printed one has its own."""
        printed = self.printed.get(account)
        return self.purpose if printed is None else printed.purpose

    @property
    def adopts(self) -> bool:
        """Whether a person takes it on to sell real holdings that we never traded."""
        return self.adopt or self.confirm is not None


class TradingRun:
    """One run for some accounts."""

    def __init__(
        self, occasion: Occasion, ports: Ports, *, patience: Patience = PATIENCE, on_end: OnEnd = lambda *_: None
    ) -> None:
        self._occasion = occasion
        self._ports = ports
        self._patience = patience
        self._on_end = on_end

    async def rebalance(
        self,
        accounts: Sequence[Account],
        *,
        confirm: Confirm | None = None,
        printed: Sequence[Plan] = (),
        adopt: bool = False,
        purpose: Purpose = REBALANCE,
    ) -> Mapping[AccountId, Report | RebalancerError]:
        """Rebalance each account: what came of it, or why nothing was sent.

        `confirm` is asked before anything is sent, and again when the plans are others by then. Of the accounts of
        `printed`, these very plans are carried out, or refused if they are out of date or have been used; each has a
        purpose of its own. With `adopt`, or when somebody confirms, real holdings that we never traded may be sold too,
        from then on.

        Once the plans are carried out, a cancellation is met by every account for itself: what it has sent is brought
        to a known end, and nothing more is sent.

        Raises:
            GatewayUnavailable, GatewayRefused, Busy: the gateway fails before anything was sent.
            Halted: trading is halted.
            StorageFailed: the journal cannot be trusted.
            CancelledError: cancelled before anything was sent; or again, and orders are left to the next run.
        """
        await self._ports.gateway.session(within_s=0)
        with ExitStack() as held:
            wish = _Wish(
                confirm=confirm,
                printed={plan.account: plan for plan in printed},
                adopt=adopt,
                purpose=purpose,
            )
            return await self._rebalance(accounts, held, wish)

    async def _rebalance(
        self, accounts: Sequence[Account], held: ExitStack, wish: _Wish
    ) -> Mapping[AccountId, Report | RebalancerError]:
        """Every run that begins here has an end, and the journal knows it."""
        begun: dict[AccountId, _Begun | RebalancerError] = {}
        try:
            for account in accounts:
                begun[account.account_id] = await _or_error(self._begin(account, held))
            _raise_what_concerns_all(begun.values())
            runs = _runs(begun)
            planned = await self._fresh(runs, await self._approved(runs, wish), wish)
        except (RebalancerError, asyncio.CancelledError) as error:
            for name, run in _runs(begun).items():
                self._keep_end(run.start, as_end(name, error))
            raise
        for name, failed in begun.items():
            if isinstance(failed, RebalancerError):
                self._on_end(name, failed)
        ends = await side_by_side([self._ended(run, planned[name], wish) for name, run in runs.items()])
        ended = dict(zip(runs, ends, strict=True))
        return {name: ended[name] if isinstance(run, _Begun) else run for name, run in begun.items()}

    async def _ended(
        self, run: _Begun, planned: Planned | RebalancerError | None, wish: _Wish
    ) -> Report | RebalancerError:
        """What the run of one account comes to: journalled, and the account free, as soon as it is known."""
        with run.hold:
            end = self._keep_end(run.start, await _or_error(self._carry_out(run, planned, wish)))
        self._on_end(run.account.account_id, end)
        return end

    async def _begin(self, account: Account, held: ExitStack) -> _Begun:
        """Take hold of the account, begin its run, and find out about everything earlier runs left open.

        What that refuses, is the end of the run: the journal shows that nothing was traded, and why.
        """
        ports = self._ports
        session = await ports.gateway.session(within_s=0)
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
        with ExitStack() as hold:
            hold.enter_context(ports.controls.hold(account.account_id))
            start = run_start(
                account,
                trigger=self._occasion.triggers.get(account.account_id, COMMAND),
                started=ports.clock.now(),
                code_version=self._occasion.code_version,
            )
            ports.ledger.start_run(start)
            try:
                book = await self._reconciled(account, gate)
            except (RebalancerError, asyncio.CancelledError) as error:
                self._keep_end(start, as_end(account.account_id, error))
                raise
            return _Begun(account=account, start=start, gate=gate, book=book, hold=held.enter_context(hold.pop_all()))

    async def _reconciled(self, account: Account, gate: OrderGate) -> OrderBook:
        ports = self._ports
        return await reconcile(
            account.account_id, gate, ledger=ports.ledger, observer=ports.observer, patience=self._patience
        )

    async def _approved(
        self, runs: Mapping[AccountId, _Begun], wish: _Wish
    ) -> Mapping[AccountId, Planned | RebalancerError | None]:
        """The plans that may be carried out; None of those that their owner declines."""
        planned = await self._plan(runs, wish)
        while wish.confirm is not None and (shown := with_trades(planned)):
            if not await wish.confirm([each.plan for each in shown.values()]):
                return {account: None if account in shown else outcome for account, outcome in planned.items()}
            runs = {account: await self._looked_at_again(run) for account, run in runs.items()}
            fresh = await self._plan(runs, wish)
            checked = {account: as_shown(each.plan, fresh[account]) for account, each in shown.items()}
            changes = [outcome for outcome in checked.values() if is_stale(outcome)]
            if wish.printed or not changes:
                return {**planned, **checked}
            for change in changes:
                self._warn("plan.changed", f"{change.message} Here is the new plan")
            planned = fresh
        return planned

    async def _looked_at_again(self, run: _Begun) -> _Begun:
        """The run with the orders of this moment: others may have placed some since, or another state folder ours."""
        await run.gate.resume()
        return replace(run, book=await self._reconciled(run.account, run.gate))

    async def _fresh(
        self,
        runs: Mapping[AccountId, _Begun],
        planned: Mapping[AccountId, Planned | RebalancerError | None],
        wish: _Wish,
    ) -> Mapping[AccountId, Planned | RebalancerError | None]:
        """The same plans, those checked again, together, whose prices are not of this moment: many plans took long to
        make, this machine was asleep, or a clock was set. Where nobody has seen one, a plan of this moment takes its
        place."""
        now = self._ports.clock.now()
        late = {a: each for a, each in with_trades(planned).items() if abs(now - each.snapshot.assembled_at) > FRESH}
        if not late:
            return planned
        looked = {account: await _or_error(self._looked_at_again(runs[account])) for account in late}
        _raise_what_concerns_all(looked.values())
        fresh = await self._plan(_runs(looked), wish)
        failed = {account: each for account, each in looked.items() if isinstance(each, RebalancerError)}
        if wish.confirm is not None:
            fresh = {account: as_shown(late[account].plan, each) for account, each in fresh.items()}
        return {**planned, **fresh, **failed}

    async def _plan(
        self, runs: Mapping[AccountId, _Begun], wish: _Wish
    ) -> Mapping[AccountId, Planned | RebalancerError]:
        """Fresh plans, or the printed ones on fresh snapshots, and of those that a check says no to the refusal."""
        session = await self._ports.gateway.session(within_s=0)
        planned = await plan_accounts(
            [run.account for run in runs.values()],
            mode=self._occasion.mode,
            market=session.market,
            source=self._ports.source,
            clock=self._ports.clock,
            observer=self._ports.observer,
            purpose_of=wish.purpose_of,
        )
        meant = {account: self._as_wished(account, fresh, wish) for account, fresh in planned.items()}
        return {account: self._checked(runs[account], outcome, wish) for account, outcome in meant.items()}

    def _as_wished(
        self, account: AccountId, fresh: Planned | RebalancerError, wish: _Wish
    ) -> Planned | RebalancerError:
        printed = wish.printed.get(account)
        if printed is None:
            return fresh
        try:
            require_unused(printed, self._ports.ledger.known(order_refs(printed)))
        except Refused as used:
            return used
        return as_shown(printed, fresh)

    def _checked(self, run: _Begun, planned: Planned | RebalancerError, wish: _Wish) -> Planned | RebalancerError:
        if isinstance(planned, RebalancerError) or not planned.plan.trades:
            return planned
        try:
            self._require_admissible(run, planned, wish)
        except (Refused, Deferred) as no:
            return no
        told = told_of_settlement(planned, self._ports.ledger)
        if told is not planned and wish.confirm is None:  # who is not asked is not shown the plan
            self._warn("plan.settlement", told.plan.remarks[-1])
        return told

    def _require_admissible(self, run: _Begun, planned: Planned, wish: _Wish) -> None:
        """Check the plan against everything that can say no before anything is sent, all or none.

        Raises:
            Deferred, Refused: something does.
        """
        ledger, account = self._ports.ledger, run.account.account_id
        plan, snapshot, policy = planned.plan, planned.snapshot, run.account.policy
        now = snapshot.taken_at
        activity = activity_of(ledger.orders(account, since=now - ACTIVITY_REACH), day=now.date())
        require_unchanged(planned.named, ledger.pinned())
        require_open(plan.trades, snapshot)
        require_no_foreign_orders(plan, run.book.open_orders)
        require_tradable_prices(plan.trades, snapshot=snapshot, policy=policy)
        require_within_limits(plan, snapshot=snapshot, policy=policy, activity=activity)
        if not wish.adopts:
            adopted, traded = ledger.adopted(account), ledger.traded(account)
            require_adopted(plan, mode=self._occasion.mode, traded=traded, adopted=adopted)

    async def _carry_out(self, run: _Begun, planned: Planned | RebalancerError | None, wish: _Wish) -> Report:
        """Send the plan, if it is one that may be sent."""
        if isinstance(planned, RebalancerError):
            raise planned
        ports = self._ports
        if planned is None:
            return unsent_report(run.start, outcome="declined", ended=ports.clock.now())
        plan = planned.plan
        ports.ledger.keep_plan(run.start.run_id, document=planned.document, snapshot=planned.snapshot, plan=plan)
        if not plan.trades:
            return unsent_report(run.start, outcome="nothing-to-do", ended=ports.clock.now(), plan=plan)
        self._require_admissible(run, planned, wish)
        ports.ledger.pin({query: contract.con_id for query, contract in planned.named.items()})
        if wish.adopts:
            sold = [trade.con_id for trade in plan.trades if trade.side is Side.SELL]
            ports.ledger.adopt(run.account.account_id, sold)
        execution = Execution(
            planned,
            run.start,
            run.gate,
            ledger=ports.ledger,
            clock=ports.clock,
            observer=ports.observer,
            patience=self._patience,
        )
        return await execution.run()

    def _keep_end(self, start: RunStart, end: Report | RebalancerError) -> Report | RebalancerError:
        ports = self._ports
        return keep_end(start, end, ledger=ports.ledger, clock=ports.clock, observer=ports.observer)

    def _warn(self, event: str, text: str) -> None:
        self._ports.observer.notify(Notice(event=event, text=text, severity=Severity.WARNING))


async def _or_error(step: Awaitable[T]) -> T | RebalancerError:
    """What a step for one account comes to."""
    try:
        return await step
    except RebalancerError as error:
        return error


def _runs(begun: Mapping[AccountId, _Begun | RebalancerError]) -> Mapping[AccountId, _Begun]:
    return {account: run for account, run in begun.items() if isinstance(run, _Begun)}


def _raise_what_concerns_all(outcomes: Iterable[object]) -> None:
    """Nothing has been sent yet: what one account met by chance, and the others would meet too, ends it for all."""
    for outcome in outcomes:
        if isinstance(outcome, CONCERNS_ALL):
            raise outcome
