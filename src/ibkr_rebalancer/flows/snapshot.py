"""Read what plans are decided from: whole for each account, or refused. One batch of quotes serves all accounts.

What needs no answer of another question is asked at the same time.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ibkr_rebalancer.core.errors import GatewayRefused, GatewayUnavailable, RebalancerError, Refused
from ibkr_rebalancer.core.instruments import STOCK, ConId, Contract, ContractQuery, choose_contract, require_known
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
from ibkr_rebalancer.core.quotes import NoQuote, Quote
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
    max_quote_age_s: Decimal,
    mode: TradingMode,
    market: MarketView,
    clock: Clock,
    observer: Observer,
) -> Mapping[AccountId, Snapshot | RebalancerError]:
    """One snapshot per account, with the contracts of its target symbols; or why that account has none.

    Quotes that have become older than `max_quote_age_s` while others were waited for, are asked for once more.

    Raises:
        GatewayUnavailable, GatewayRefused: the gateway fails or says no to what concerns all accounts.
        Refused: in live trading, the clocks disagree (`CLOCK_SKEW`).
    """
    if not wanted:
        return {}
    queries = dict.fromkeys(query for by_symbol in wanted.values() for query in by_symbol.values())
    time = asyncio.create_task(_checked_time(market, clock, mode, observer))
    portfolios = asyncio.create_task(read_portfolios(list(wanted), market=market, observer=observer))
    candidates = asyncio.create_task(_looked_up(sorted(queries, key=lambda query: query.symbol), market, observer))
    await _ended(portfolios, candidates, time)
    taken_at, read, found = time.result(), portfolios.result(), candidates.result()
    readings = {account: _reading(read[account], wanted[account], found) for account in wanted}
    contracts, unknown = await _tradable_contracts([r for r in readings.values() if isinstance(r, _Reading)], market)
    observer.notify(_step("quotes.request", f"Asking for {len(contracts)} quotes"))
    answers = await _fresh_quotes(list(contracts.values()), max_quote_age_s, market, clock)
    assembled_at = clock.now()
    quotes = {con_id: answer for con_id, answer in answers.items() if isinstance(answer, Quote)}
    missing = {con_id: answer for con_id, answer in answers.items() if isinstance(answer, NoQuote)}

    def snapshot(reading: _Reading) -> Snapshot:
        return Snapshot(
            portfolio=reading.portfolio,
            targets=reading.targets,
            quotes=quotes,
            unquoted={**unknown, **missing},
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

    An account that gets no answer while the gateway goes on answering is that account's trouble.

    Raises:
        GatewayUnavailable, GatewayRefused: the gateway fails or says no to what concerns all accounts.
    """
    managed = await market.managed_accounts()
    positions = asyncio.create_task(_listed(accounts, market, observer))
    portfolios = asyncio.create_task(_portfolios(accounts, market, managed, observer))
    await _ended(portfolios, positions)
    return {account: _agreeing(outcome, positions.result()) for account, outcome in portfolios.result().items()}


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


async def _ended(*steps: asyncio.Task[Any]) -> None:
    """Wait until all of them have ended; of their errors that of the first in this order counts.

    A connection that breaks fails all of them, so that the order decides what is told of it.
    """
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _checked_time(market: MarketView, clock: Clock, mode: TradingMode, observer: Observer) -> datetime:
    observer.notify(_step("clock.ask", "Asking the gateway for the time"))
    server_time = await market.server_time()
    _check_clock(server_time, clock, mode, observer)
    return server_time


def _check_clock(server_time: datetime, clock: Clock, mode: TradingMode, observer: Observer) -> None:
    skewed = skew(server_time, clock.now())
    if skewed is None:
        return
    if mode is TradingMode.LIVE:
        raise skewed
    observer.notify(Notice(event="clock.skewed", text=skewed.message, severity=Severity.WARNING))


def skew(server_time: datetime, now: datetime) -> Refused | None:
    """What is wrong if the gateway's clock and this machine's are too far apart for real money (`CLOCK_SKEW`)."""
    apart = abs(server_time - now)
    if apart <= MAX_CLOCK_SKEW:
        return None
    return Refused(
        "CLOCK_SKEW",
        f"The gateway's clock and this machine's are {_spoken(apart)} apart.",
        hint="Set this machine's clock (for example with chrony) and run again.",
    )


async def _looked_up(
    queries: Sequence[ContractQuery], market: MarketView, observer: Observer
) -> Mapping[ContractQuery, Sequence[Contract] | RebalancerError]:
    observer.notify(_step("contracts.lookup", f"Looking up {len(queries)} contracts"))
    return await market.contracts(queries)


def _reading(
    portfolio: Portfolio | RebalancerError,
    by_symbol: Mapping[str, ContractQuery],
    candidates: Mapping[ContractQuery, Sequence[Contract] | RebalancerError],
) -> _Reading | RebalancerError:
    if isinstance(portfolio, RebalancerError):
        return portfolio
    found = {query: candidates[query] for query in by_symbol.values()}
    listed = {query: answer for query, answer in found.items() if not isinstance(answer, RebalancerError)}
    unanswered = [answer for answer in found.values() if isinstance(answer, RebalancerError)]
    try:
        require_known(listed)
        targets = {symbol: choose_contract(q, listed[q]) for symbol, q in by_symbol.items() if q in listed}
    except Refused as refusal:
        return refusal
    return unanswered[0] if unanswered else _Reading(portfolio=portfolio, targets=targets)


async def _listed(accounts: Sequence[AccountId], market: MarketView, observer: Observer) -> Sequence[Position]:
    observer.notify(_step("positions.list", "Listing positions"))
    return await market.positions(accounts)


async def _portfolios(
    accounts: Sequence[AccountId], market: MarketView, managed: Sequence[AccountId], observer: Observer
) -> Mapping[AccountId, Portfolio | RebalancerError]:
    portfolios: dict[AccountId, Portfolio | RebalancerError] = {}
    for account in accounts:
        try:
            require_managed(account, managed)
            observer.notify(_step("account.read", f"Reading {account}", account))
            portfolios[account] = await market.portfolio(account)
        except (Refused, GatewayRefused) as error:
            portfolios[account] = error
        except GatewayUnavailable as error:
            if not await _still_answers(market):
                raise
            portfolios[account] = error
    return portfolios


def _agreeing(portfolio: Portfolio | RebalancerError, positions: Sequence[Position]) -> Portfolio | RebalancerError:
    """The portfolio, if the position list says the same."""
    if isinstance(portfolio, Portfolio):
        try:
            require_agreement(positions, portfolio)
        except Refused as contradiction:
            return contradiction
    return portfolio


async def _still_answers(market: MarketView) -> bool:
    """Tell a gateway that has no answer about one account from one that is gone: the clock always answers."""
    try:
        await market.server_time()
    except GatewayUnavailable:
        return False
    return True


async def _tradable_contracts(
    readings: Sequence[_Reading], market: MarketView
) -> tuple[Mapping[ConId, Contract], Mapping[ConId, NoQuote]]:
    """The contracts of all targets and of all holdings that could be sold, once each; and why some are not known."""
    known = {contract.con_id: contract for reading in readings for contract in reading.targets.values()}
    queries = {
        holding.position.con_id: ContractQuery(
            symbol=holding.position.symbol, con_id=holding.position.con_id, currency=holding.position.currency
        )
        for reading in readings
        for holding in reading.portfolio.holdings
        if holding.position.con_id not in known and obstacle(holding) is None
    }
    found = await market.contracts(sorted(queries.values(), key=lambda query: query.symbol))
    held = {con_id: _held_contract(con_id, found[query]) for con_id, query in queries.items()}
    contracts = {con_id: outcome for con_id, outcome in held.items() if isinstance(outcome, Contract)}
    unknown = {con_id: outcome for con_id, outcome in held.items() if isinstance(outcome, NoQuote)}
    return known | contracts, unknown


def _held_contract(con_id: ConId, found: Sequence[Contract] | RebalancerError) -> Contract | NoQuote:
    """The contract of a stock that is held, by its number; or why there will be no quote of it."""
    if isinstance(found, RebalancerError):
        return NoQuote(reason=found.message.removesuffix("."), remedy=found.hint)
    stocks = [contract for contract in found if contract.con_id == con_id and contract.security_type == STOCK]
    if not stocks:
        return NoQuote(
            reason=f"Interactive Brokers describes no stock with con_id {con_id}", remedy="Trade it by hand in TWS."
        )
    return stocks[0]


async def _fresh_quotes(
    contracts: Sequence[Contract], max_age_s: Decimal, market: MarketView, clock: Clock
) -> Mapping[ConId, Quote | NoQuote]:
    """One batch of quotes, none of them too old because another was waited for.

    The gateway takes seconds to say that a price is missing. Full quotes that have grown too old by then come at once
    when they are asked for again.
    """
    answers = await market.quotes(contracts)
    now = clock.now()
    full = {con_id: answer for con_id, answer in answers.items() if isinstance(answer, Quote) and answer.is_full}
    aged = [c for c in contracts if c.con_id in full and full[c.con_id].age_s(now) > max_age_s]
    return {**answers, **await market.quotes(aged)} if aged else answers


def _spoken(span: timedelta) -> str:
    """`6 s`, `90 min`, `30 h` or `1110 days`: the largest unit of which there are two."""
    for unit, length_s in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if span.total_seconds() >= 2 * length_s:
            return f"{span.total_seconds() / length_s:.0f} {unit}"
    return f"{span.total_seconds():.0f} s"


def _step(event: str, text: str, account: AccountId | None = None) -> Notice:
    return Notice(event=event, text=text, account=account)
