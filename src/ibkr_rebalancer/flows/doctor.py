"""Ask the world what a run would ask it, and tell each answer: what fails ends no other question.

Nothing here can trade: the gateway is a `MarketView`, and beside it stand two questions, about orders: which there are,
and the preview of one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ibkr_rebalancer.core.doctor import (
    Check,
    EventAccess,
    Finding,
    grave_for,
    on_allocation,
    on_contracts,
    on_events,
    on_known_orders,
    on_mode,
    on_preview,
    on_prices,
    preview_of,
    problem,
    warning,
    well,
)
from ibkr_rebalancer.core.errors import Busy, RebalancerError, Refused, StorageFailed
from ibkr_rebalancer.core.instruments import Contract, ContractQuery, choose_contract
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.order_book import OrderBook
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.flows.rebalance import Fetched, fetch_allocations, queries_of
from ibkr_rebalancer.flows.reconcile import require_known_to
from ibkr_rebalancer.flows.snapshot import read_portfolios, require_managed, skew
from ibkr_rebalancer.ports import AllocationSource, Clock, MarketView, Observer, WhatIf


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Whom to ask. What is asked for raises RebalancerError where it is not to be had."""

    gateway: Callable[[], Awaitable[MarketView]]
    """Connect, once."""
    preview: Callable[[OrderIntent], Awaitable[WhatIf]]
    """`OrderDesk.what_if`, which nothing but an order can answer: whether the gateway takes any."""
    order_book: Callable[[AccountId], Awaitable[OrderBook]]
    """`OrderDesk.order_book`."""
    known: Callable[[Collection[str]], Collection[str]] | None
    """`Ledger.known`; None where the journal cannot be read."""
    client_id: int
    """Of the connection that asks about orders."""
    source: AllocationSource
    events: Callable[[Collection[str]], Awaitable[EventAccess]] | None
    """Try channels; None without a key for them."""
    clock: Clock
    observer: Observer


async def ask_world(accounts: Sequence[Account], mode: TradingMode, world: World) -> list[Finding]:
    """What is found out about these accounts: targets, events and the gateway, all at the same time."""
    async with asyncio.TaskGroup() as group:
        targets = group.create_task(fetch_allocations(accounts, world.source, world.observer))
        events = group.create_task(_events(accounts, world))
        gateway = group.create_task(_gateway(accounts, mode, targets, world))
    return [
        *(_on_targets(account, each) for account, each in targets.result().items()),
        *events.result(),
        *gateway.result(),
    ]


def _on_targets(account: AccountId, targets: Fetched | RebalancerError) -> Finding:
    if isinstance(targets, RebalancerError):
        return problem(Check.ALLOCATION, targets, account)
    return on_allocation(account, targets.allocation)


async def _events(accounts: Sequence[Account], world: World) -> list[Finding]:
    channels = sorted({account.channel for account in accounts})
    if world.events is None or not channels:
        return []
    world.observer.notify(_step("events.try", f"Listening for a moment on {', '.join(channels)}"))
    return on_events(channels, await world.events(channels))


async def _gateway(
    accounts: Sequence[Account],
    mode: TradingMode,
    targets: "asyncio.Task[Mapping[AccountId, Fetched | RebalancerError]]",
    world: World,
) -> list[Finding]:
    world.observer.notify(_step("gateway.connect", "Connecting to the gateway"))
    try:
        market = await world.gateway()
        managed = await market.managed_accounts()
    except RebalancerError as error:
        return [problem(Check.GATEWAY, error)]
    found = [well(Check.GATEWAY, f"The gateway answers, and manages {', '.join(managed)}."), on_mode(managed, mode)]
    ours: list[Account] = []
    for account in accounts:
        try:
            require_managed(account.account_id, managed)
        except RebalancerError as error:
            found.append(problem(Check.MANAGED, error, account.account_id))
        else:
            found.append(well(Check.MANAGED, "The gateway manages it.", account.account_id))
            ours.append(account)
    clock, portfolios, (contracts, on_them), orders = await asyncio.gather(
        _clock(mode, market, world),
        _portfolios(ours, market, world),
        _contracts(ours, targets, market, world),
        _orders(ours, world),  # before the preview, which would be an order in the book
    )
    prices, trading = await asyncio.gather(
        _prices(ours, mode, contracts, market, world), _trading(ours, contracts, world)
    )
    return [*found, *orders, clock, *portfolios, *on_them, *prices, *trading]


async def _orders(accounts: Sequence[Account], world: World) -> list[Finding]:
    """Whether the journal has all orders of ours that the broker tells of: else they might be sent again."""
    if world.known is None or not accounts:
        return []
    world.observer.notify(_step("orders.look", "Comparing the broker's orders with the journal"))
    found = []
    for account in accounts:
        try:
            ours = require_known_to(world.known, account.account_id, await world.order_book(account.account_id))
        except StorageFailed as lost:
            found.append(problem(Check.ORDERS, lost, account.account_id))
        except Busy as error:  # somebody else is asking
            return [*found, warning(Check.ORDERS, error)]
        except RebalancerError as error:
            return [*found, problem(Check.ORDERS, error)]
        else:
            found.append(on_known_orders(account.account_id, ours))
    return found


async def _clock(mode: TradingMode, market: MarketView, world: World) -> Finding:
    try:
        server_time = await market.server_time()
    except RebalancerError as error:
        return problem(Check.CLOCK, error)
    skewed = skew(server_time, world.clock.now())
    if skewed is not None:
        return grave_for(mode, Check.CLOCK, skewed)
    return well(Check.CLOCK, "The gateway's clock and this machine's agree.")


async def _portfolios(accounts: Sequence[Account], market: MarketView, world: World) -> list[Finding]:
    ids = [account.account_id for account in accounts]
    if not ids:
        return []
    try:
        read = await read_portfolios(ids, market=market, observer=world.observer)
    except RebalancerError as error:
        return [problem(Check.PORTFOLIO, error)]
    return [
        problem(Check.PORTFOLIO, each, account)
        if isinstance(each, RebalancerError)
        else well(Check.PORTFOLIO, "Positions and balances are told, and agree.", account)
        for account, each in read.items()
    ]


async def _contracts(
    accounts: Sequence[Account],
    fetching: "asyncio.Task[Mapping[AccountId, Fetched | RebalancerError]]",
    market: MarketView,
    world: World,
) -> tuple[Mapping[AccountId, Mapping[str, Contract]], list[Finding]]:
    """The contracts of each account's targets, as far as they are known, and what is found about them."""
    fetched = await fetching
    wanted = {
        account.account_id: queries_of(account, targets.allocation)
        for account in accounts
        if isinstance(targets := fetched[account.account_id], Fetched)
    }
    queries = dict.fromkeys(query for by_symbol in wanted.values() for query in by_symbol.values())
    if not queries:
        return {}, []
    world.observer.notify(_step("contracts.lookup", f"Looking up {len(queries)} contracts"))
    try:
        answers = await market.contracts(list(queries))
    except RebalancerError as error:
        return {}, [problem(Check.CONTRACTS, error)]
    chosen: dict[AccountId, Mapping[str, Contract]] = {}
    found: list[Finding] = []
    for account, by_symbol in wanted.items():
        meant = {symbol: _chosen(query, answers[query]) for symbol, query in by_symbol.items()}
        chosen[account] = {symbol: each for symbol, each in meant.items() if isinstance(each, Contract)}
        found += [problem(Check.CONTRACTS, e, account) for e in meant.values() if isinstance(e, RebalancerError)]
        if chosen[account]:
            found.append(on_contracts(account, chosen[account]))
    return chosen, found


def _chosen(query: ContractQuery, answer: Sequence[Contract] | RebalancerError) -> Contract | RebalancerError:
    if isinstance(answer, RebalancerError):
        return answer
    try:
        return choose_contract(query, answer)
    except Refused as refusal:
        return refusal


async def _prices(
    accounts: Sequence[Account],
    mode: TradingMode,
    contracts: Mapping[AccountId, Mapping[str, Contract]],
    market: MarketView,
    world: World,
) -> list[Finding]:
    asked = {contract.con_id: contract for chosen in contracts.values() for contract in chosen.values()}
    if not asked:
        return []
    world.observer.notify(_step("quotes.request", f"Asking for {len(asked)} quotes"))
    try:
        quotes = await market.quotes(list(asked.values()))
    except RebalancerError as error:
        return [problem(Check.PRICES, error)]
    return [
        finding
        for account in accounts
        for finding in on_prices(account, mode, contracts.get(account.account_id, {}), quotes)
    ]


async def _trading(
    accounts: Sequence[Account], contracts: Mapping[AccountId, Mapping[str, Contract]], world: World
) -> list[Finding]:
    """Whether the gateway takes orders: a read-only one says no to the preview of one, and to nothing that is read.

    Any account and any contract will do for the question.
    """
    known = ((a.account_id, contract) for a in accounts for contract in contracts.get(a.account_id, {}).values())
    account, contract = next(known, (None, None))
    if account is None or contract is None:
        return []
    world.observer.notify(_step("order.preview", "Asking for the preview of an order, which places none"))
    intent = preview_of(account, contract, client_id=world.client_id, at=world.clock.now())
    try:
        await world.preview(intent)
    except RebalancerError as error:
        return [on_preview(intent, error)]
    return [on_preview(intent, None)]


def _step(event: str, text: str) -> Notice:
    return Notice(event=event, text=text)
