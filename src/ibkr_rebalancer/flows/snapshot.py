"""Read what plans are decided from: whole for each account, or refused. One batch of quotes serves all accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ibkr_rebalancer.core.errors import GatewayRefused, RebalancerError, Refused
from ibkr_rebalancer.core.instruments import ConId, Contract, ContractQuery, choose_contract
from ibkr_rebalancer.core.managed import obstacle
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import (
    AccountId,
    Portfolio,
    Position,
    Snapshot,
    TradingMode,
    require_agreement,
)
from ibkr_rebalancer.ports import Clock, MarketView, Observer

MAX_CLOCK_SKEW = timedelta(seconds=5)
"""Between the gateway's clock, which tells whole seconds, and ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """An account, read, with the contracts its targets mean; only the quotes are missing."""

    portfolio: Portfolio
    targets: Mapping[str, Contract]


async def take_snapshots(
    wanted: Mapping[AccountId, Mapping[str, ContractQuery]],
    *,
    mode: TradingMode,
    market: MarketView,
    clock: Clock,
    observer: Observer,
) -> Mapping[AccountId, Snapshot | RebalancerError]:
    """One snapshot per account, with the contracts of its target symbols; or why that account has none.

    Raises:
        GatewayUnavailable, GatewayRefused: the gateway fails or says no to what concerns all accounts.
        Refused: in live trading, the clocks disagree (`CLOCK_SKEW`).
    """
    if not wanted:
        return {}
    observer.notify(_step("clock.ask", "Asking the gateway for the time"))
    taken_at = await market.server_time()
    _check_clock(taken_at, clock, mode, observer)
    portfolios = await read_portfolios(list(wanted), market=market, observer=observer)
    queries = {query for by_symbol in wanted.values() for query in by_symbol.values()}
    observer.notify(_step("contracts.lookup", f"Looking up {len(queries)} contracts"))
    candidates = await market.contracts(sorted(queries, key=lambda query: query.symbol))
    readings = {account: _reading(portfolios[account], wanted[account], candidates) for account in wanted}
    contracts = await _tradable_contracts([r for r in readings.values() if isinstance(r, _Reading)], market)
    observer.notify(_step("quotes.request", f"Asking for {len(contracts)} quotes"))
    quotes = await market.quotes(list(contracts.values()))
    assembled_at = clock.now()

    def snapshot(reading: _Reading) -> Snapshot:
        return Snapshot(
            portfolio=reading.portfolio,
            targets=reading.targets,
            quotes=quotes,
            contracts=contracts,
            taken_at=taken_at,
            assembled_at=assembled_at,
        )

    return {
        account: snapshot(reading) if isinstance(reading, _Reading) else reading
        for account, reading in readings.items()
    }


async def read_portfolios(
    accounts: Sequence[AccountId], *, market: MarketView, observer: Observer
) -> Mapping[AccountId, Portfolio | RebalancerError]:
    """What each account holds, without targets or quotes; or why that account cannot be read.

    Raises:
        GatewayUnavailable, GatewayRefused: the gateway fails or says no to what concerns all accounts.
    """
    managed = await market.managed_accounts()
    observer.notify(_step("positions.list", "Listing positions"))
    positions = await market.positions()
    portfolios: dict[AccountId, Portfolio | RebalancerError] = {}
    for account in accounts:
        try:
            portfolios[account] = await _read_portfolio(account, market, managed, positions, observer)
        except (Refused, GatewayRefused) as error:
            portfolios[account] = error
    return portfolios


def require_managed(account: AccountId, managed: Sequence[AccountId]) -> None:
    """Check that the gateway manages the account, before anything is asked about it.

    Raises:
        GatewayRefused: it does not (`ACCOUNT_NOT_MANAGED`).
    """
    if account not in managed:
        raise GatewayRefused(
            "ACCOUNT_NOT_MANAGED",
            f"The gateway does not manage {account}; it manages {', '.join(managed)}.",
            hint="Check account_id in accounts.yaml, and which user (and mode) the gateway is logged in with.",
        )


def _check_clock(server_time: datetime, clock: Clock, mode: TradingMode, observer: Observer) -> None:
    skew = abs(server_time - clock.now())
    if skew <= MAX_CLOCK_SKEW:
        return
    sentence = f"The gateway's clock and this machine's are {skew.total_seconds():.0f} s apart."
    if mode is TradingMode.LIVE:
        raise Refused("CLOCK_SKEW", sentence, hint="Set this machine's clock (for example with chrony) and run again.")
    observer.notify(Notice(event="clock.skewed", text=sentence, severity=Severity.WARNING))


def _reading(
    portfolio: Portfolio | RebalancerError,
    by_symbol: Mapping[str, ContractQuery],
    candidates: Mapping[ContractQuery, Sequence[Contract]],
) -> _Reading | RebalancerError:
    if isinstance(portfolio, RebalancerError):
        return portfolio
    try:
        targets = {symbol: choose_contract(query, candidates[query]) for symbol, query in by_symbol.items()}
    except Refused as refusal:
        return refusal
    return _Reading(portfolio=portfolio, targets=targets)


async def _read_portfolio(
    account: AccountId,
    market: MarketView,
    managed: Sequence[AccountId],
    positions: Sequence[Position],
    observer: Observer,
) -> Portfolio:
    require_managed(account, managed)
    observer.notify(_step("account.read", f"Reading {account}", account))
    portfolio = await market.portfolio(account)
    require_agreement(positions, portfolio)
    return portfolio


async def _tradable_contracts(readings: Sequence[_Reading], market: MarketView) -> dict[ConId, Contract]:
    """The contracts of all targets, and of all holdings that could be sold, once each."""
    known = {contract.con_id: contract for reading in readings for contract in reading.targets.values()}
    queries = {
        ContractQuery(symbol=p.symbol, con_id=p.con_id, currency=p.currency)
        for reading in readings
        for p in (holding.position for holding in reading.portfolio.holdings)
        if p.con_id not in known and obstacle(p, base_currency=reading.portfolio.balances.currency) is None
    }
    found = await market.contracts(sorted(queries, key=lambda query: query.symbol))
    return known | {contract.con_id: contract for listed in found.values() for contract in listed}


def _step(event: str, text: str, account: AccountId | None = None) -> Notice:
    return Notice(event=event, text=text, account=account)
