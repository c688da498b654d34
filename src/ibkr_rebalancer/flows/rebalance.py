"""The main job: targets, snapshot, plan. `plan`, `execute` and `watch` all take this path."""

import asyncio
from collections.abc import Mapping, Sequence

from ibkr_rebalancer.core.allocation import Allocation, parse_allocation
from ibkr_rebalancer.core.errors import AllocationRejected, AllocationUnavailable, RebalancerError, Refused
from ibkr_rebalancer.core.instruments import ContractQuery
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot, TradingMode
from ibkr_rebalancer.flows.snapshot import take_snapshots
from ibkr_rebalancer.ports import AllocationSource, Clock, MarketView, Observer


async def plan_accounts(
    accounts: Sequence[Account],
    *,
    mode: TradingMode,
    market: MarketView,
    source: AllocationSource,
    clock: Clock,
    observer: Observer,
) -> Mapping[AccountId, Plan | RebalancerError]:
    """A plan for each account, or why it has none; one account's trouble is not another's.

    Raises:
        GatewayUnavailable: the gateway fails in the middle; then no account has a plan.
    """
    allocations = await _fetch_allocations(accounts, source, observer)
    wanted = {
        account.account_id: _queries(account, allocation)
        for account in accounts
        if isinstance(allocation := allocations[account.account_id], Allocation)
    }
    snapshots = await take_snapshots(wanted, mode=mode, market=market, clock=clock, observer=observer)
    return {
        account.account_id: _plan(account, allocations[account.account_id], snapshots.get(account.account_id))
        for account in accounts
    }


async def _fetch_allocations(
    accounts: Sequence[Account], source: AllocationSource, observer: Observer
) -> Mapping[AccountId, Allocation | RebalancerError]:
    fetched = await asyncio.gather(*(_fetch_allocation(account, source, observer) for account in accounts))
    return {account.account_id: allocation for account, allocation in zip(accounts, fetched, strict=True)}


async def _fetch_allocation(
    account: Account, source: AllocationSource, observer: Observer
) -> Allocation | RebalancerError:
    observer.notify(
        Notice(
            event="allocation.fetch",
            text=f"Fetching the targets of {account.account_id}",
            account=account.account_id,
        )
    )
    try:
        return parse_allocation(await source.fetch(account))
    except (AllocationUnavailable, AllocationRejected) as error:
        return error


def _queries(account: Account, allocation: Allocation) -> Mapping[str, ContractQuery]:
    """What to look up; a target of weight 0 is only a reason to sell what is held."""
    return {symbol: account.policy.query(symbol) for symbol, weight in allocation.weights.items() if weight}


def _plan(
    account: Account, allocation: Allocation | RebalancerError, snapshot: Snapshot | RebalancerError | None
) -> Plan | RebalancerError:
    match allocation, snapshot:
        case Allocation(), Snapshot():
            try:
                return plan_rebalance(allocation, snapshot=snapshot, policy=account.policy)
            except Refused as refusal:
                return refusal
        case Allocation(), RebalancerError() as error:
            return error
        case RebalancerError() as error, _:
            return error
    raise AssertionError(f"{account.account_id} has an allocation but no snapshot")
