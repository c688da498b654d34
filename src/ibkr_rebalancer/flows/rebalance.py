"""The main job: targets, snapshot, plan. `plan`, `execute` and `watch` all take this path."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ibkr_rebalancer.core.allocation import Allocation, parse_allocation
from ibkr_rebalancer.core.errors import AllocationRejected, AllocationUnavailable, RebalancerError, Refused
from ibkr_rebalancer.core.instruments import Contract, ContractQuery
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Account, Underweight
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot, TradingMode
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose
from ibkr_rebalancer.core.targets import own_targets
from ibkr_rebalancer.flows.snapshot import take_snapshots
from ibkr_rebalancer.ports import AllocationSource, Clock, MarketView, Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with all that it was made from."""

    account: Account
    document: bytes
    """The allocation document as received."""
    allocation: Allocation
    snapshot: Snapshot
    plan: Plan

    @property
    def named(self) -> Mapping[ContractQuery, Contract]:
        """The contracts of its targets that were looked up by name: whose `con_id` is not the owner's own word."""
        chosen = {self.account.policy.query(symbol): contract for symbol, contract in self.snapshot.targets.items()}
        return {query: contract for query, contract in chosen.items() if query.con_id is None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    document: bytes
    allocation: Allocation


async def plan_accounts(
    accounts: Sequence[Account],
    *,
    mode: TradingMode,
    market: MarketView,
    source: AllocationSource,
    clock: Clock,
    observer: Observer,
    purpose_of: Callable[[AccountId], Purpose] = lambda _account: REBALANCE,
) -> Mapping[AccountId, Planned | RebalancerError]:
    """A plan for each account, or why it has none; one account's trouble is not another's.

    Raises:
        GatewayUnavailable, GatewayRefused: the gateway fails or says no to what concerns all accounts.
        Refused: in live trading, the clocks disagree (`CLOCK_SKEW`).
    """
    fetched = await _fetch_allocations(accounts, source, observer)
    wanted = {
        account.account_id: _queries(account, targets.allocation)
        for account in accounts
        if isinstance(targets := fetched[account.account_id], _Fetched)
    }
    strictest = min((account.policy.limits.max_quote_age_s for account in accounts), default=ZERO)
    snapshots = await take_snapshots(
        wanted, max_quote_age_s=strictest, mode=mode, market=market, clock=clock, observer=observer
    )
    plans: dict[AccountId, Planned | RebalancerError] = {}
    for account in accounts:
        match fetched[account.account_id]:
            case _Fetched() as targets:
                plans[account.account_id] = _plan(
                    account, targets, snapshots[account.account_id], purpose_of(account.account_id)
                )
            case error:
                plans[account.account_id] = error
    return plans


async def _fetch_allocations(
    accounts: Sequence[Account], source: AllocationSource, observer: Observer
) -> Mapping[AccountId, _Fetched | RebalancerError]:
    for account in accounts:
        text = f"Fetching the targets of {account.account_id}"
        observer.notify(Notice(event="allocation.fetch", text=text, account=account.account_id))
    async with asyncio.TaskGroup() as group:
        tasks = {account.account_id: group.create_task(_fetch_allocation(account, source)) for account in accounts}
    return {account_id: task.result() for account_id, task in tasks.items()}


async def _fetch_allocation(account: Account, source: AllocationSource) -> _Fetched | RebalancerError:
    try:
        document = await source.fetch(account)
        any_sum_below = account.policy.underweight is Underweight.CASH
        allocation = parse_allocation(document, account.layout, any_sum_below=any_sum_below)
        return _Fetched(document=document, allocation=allocation)
    except (AllocationUnavailable, AllocationRejected) as error:
        return error


def _queries(account: Account, allocation: Allocation) -> Mapping[str, ContractQuery]:
    """What to look up."""
    return {symbol: account.policy.query(symbol) for symbol in own_targets(allocation, account.policy).symbols}


def _plan(
    account: Account, targets: _Fetched, snapshot: Snapshot | RebalancerError, purpose: Purpose
) -> Planned | RebalancerError:
    if isinstance(snapshot, RebalancerError):
        return snapshot
    try:
        plan = plan_rebalance(targets.allocation, snapshot=snapshot, policy=account.policy, purpose=purpose)
    except Refused as refusal:
        return refusal
    return Planned(
        account=account,
        document=targets.document,
        allocation=targets.allocation,
        snapshot=snapshot,
        plan=plan,
    )
