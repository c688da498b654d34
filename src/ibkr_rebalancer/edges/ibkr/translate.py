"""ib_async's objects into our values. Pure; what is absent becomes None, and what must not be absent is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

import ib_async

from ibkr_rebalancer.core.errors import GatewayUnavailable
from ibkr_rebalancer.core.hours import parse_liquid_hours
from ibkr_rebalancer.core.instruments import STOCK, ConId, Contract, ContractQuery
from ibkr_rebalancer.core.money import ZERO, amount_text, decimal_of
from ibkr_rebalancer.core.portfolio import AccountId, Balances, Holding, Portfolio, Position
from ibkr_rebalancer.core.quotes import DataKind, Quote, market_flaw

UNSET = 1.7976931348623157e308
"""How the gateway writes a number that it does not have."""

DATA_KINDS = {1: DataKind.LIVE, 2: DataKind.FROZEN, 3: DataKind.DELAYED, 4: DataKind.DELAYED_FROZEN}
"""The values of `marketDataType`."""

BID, ASK, LAST, CLOSE = (1, 66), (2, 67), (4, 68), (9, 75)
"""The tick types of each price, live (or frozen) and delayed."""
DELAYED_TICKS = range(66, 77)
HALTED = (49, 90)
"""The tick types of a halt, live and delayed: 1 (by the exchange) or 2 (for volatility); 0 is none, -1 not known."""

CASH_TOLERANCE = Decimal("0.001")
"""Of all cash, owed or owned: what the rounding of exchange rates can make."""
ONE = Decimal(1)
"""Of the base currency: what the rounding of amounts can make."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One price of a quote."""

    kind: int
    """The gateway's tick type."""
    price: float
    """-1, or 0, when there is none."""
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltTick:
    """The gateway's word on whether trading in a contract is halted."""

    is_halted: bool


def number_of(value: float) -> Decimal | None:
    """The number a float was read from, digit for digit; None for unset, NaN and infinities."""
    return None if value == UNSET else decimal_of(repr(value).removesuffix(".0"))


def position_of(row: ib_async.Position) -> Position:
    """A row of the position list.

    Raises:
        GatewayUnavailable: quantity or cost are no numbers (`SNAPSHOT_INCOMPLETE`).
    """
    return _position(row.account, row.contract, row.position, row.avgCost)


def portfolio_of(account: AccountId, rows: Sequence[object]) -> Portfolio:
    """The account's balances and holdings; of rows about the same thing the last is true.

    Raises:
        GatewayUnavailable: the account is not ready (`ACCOUNT_NOT_READY`), or a figure is missing
            (`SNAPSHOT_INCOMPLETE`).
        Refused: a currency has cash and no rate (`EXCHANGE_RATE_MISSING`).
    """
    values = {(row.tag, row.currency): row.value for row in rows_of(ib_async.AccountValue, rows)}
    items = {row.contract.conId: row for row in rows_of(ib_async.PortfolioItem, rows)}
    holdings = tuple(_holding(item) for item in items.values() if item.position)
    return Portfolio(account=account, balances=_balances(account, values), holdings=holdings)


def rows_of(kind: type[Row], rows: Sequence[object]) -> list[Row]:
    """Those of the rows that are of this kind."""
    return [row for row in rows if isinstance(row, kind)]


def contract_of(details: ib_async.ContractDetails) -> Contract:
    """A contract that the gateway has described.

    Raises:
        GatewayUnavailable: it has no identity or no price step (`SNAPSHOT_INCOMPLETE`).
    """
    described = details.contract or ib_async.Contract()
    tick_size = number_of(details.minTick)
    if not described.conId or not tick_size:
        raise _incomplete(f"The gateway's description of {described.symbol} lacks its conId or its price step.")
    return Contract(
        con_id=ConId(described.conId),
        symbol=described.symbol,
        security_type=described.secType,
        currency=described.currency,
        primary_exchange=described.primaryExchange,
        name=details.longName,
        tick_size=tick_size,
        price_magnifier=details.priceMagnifier or 1,
        sessions=parse_liquid_hours(details.liquidHours, time_zone=details.timeZoneId),
    )


def wanted_contract(query: ContractQuery) -> ib_async.Contract:
    """What to ask for: by conId alone if there is one, else a stock by its symbol."""
    if query.con_id is not None:
        return ib_async.Contract(conId=query.con_id)
    return ib_async.Contract(
        secType=STOCK,
        symbol=query.symbol,
        exchange=query.exchange,
        currency=query.currency,
        primaryExchange=query.primary_exchange or "",
    )


def priced_contract(contract: Contract) -> ib_async.Contract:
    """What to ask prices of: the conId says what, SMART says from all exchanges together."""
    return ib_async.Contract(conId=contract.con_id, exchange="SMART")


def quote_of(rows: Sequence[object]) -> Quote | None:
    """The quote in these ticks, None when they hold no price."""
    ticks = rows_of(Tick, rows)
    bid, ask, last, close = (_newest(ticks, side) for side in (BID, ASK, LAST, CLOSE))
    priced = [tick for tick in (bid, ask, last, close) if tick is not None]
    if not priced:
        return None
    market = [] if market_flaw(_price(bid), _price(ask)) else [tick for tick in (bid, ask) if tick is not None]
    instead = [tick for tick in (last, close) if tick is not None][:1]
    return Quote(
        bid=_price(bid),
        ask=_price(ask),
        last=_price(last),
        close=_price(close),
        data=_data_kind(rows_of(DataKind, rows), priced),
        is_halted=any(tick.is_halted for tick in rows_of(HaltTick, rows)[-1:]),
        received_at=max(tick.received_at for tick in market or instead or priced),
    )


def has_all_prices(rows: Sequence[object]) -> bool:
    """Whether these ticks have all that a plan asks for: a market and the previous close, or else every price."""
    ticks = rows_of(Tick, rows)
    bid, ask, last, close = (_price(_newest(ticks, side)) for side in (BID, ASK, LAST, CLOSE))
    market = market_flaw(bid, ask) is None
    return close is not None and (market or None not in {bid, ask, last})


def tells_of_halts(rows: Sequence[object]) -> bool:
    """Whether the gateway has said if trading is halted."""
    return bool(rows_of(HaltTick, rows))


def _newest(ticks: Sequence[Tick], side: tuple[int, int]) -> Tick | None:
    """The latest tick of this side, None when it says that there is no price."""
    of_side = [tick for tick in ticks if tick.kind in side]
    return of_side[-1] if of_side and _price(of_side[-1]) is not None else None


def _price(tick: Tick | None) -> Decimal | None:
    price = number_of(tick.price) if tick is not None else None
    return price if price is not None and price > 0 else None


def _data_kind(said: Sequence[DataKind], priced: Sequence[Tick]) -> DataKind:
    """What the gateway says, unless a tick type says less; live only when the gateway says so."""
    kind = said[-1] if said else DataKind.FROZEN
    if any(tick.kind in DELAYED_TICKS for tick in priced):
        return DataKind.DELAYED_FROZEN if kind is DataKind.DELAYED_FROZEN else DataKind.DELAYED
    return kind


def _position(account: str, contract: ib_async.Contract, quantity: float, average_cost: float) -> Position:
    held, cost = number_of(quantity), number_of(average_cost)
    if held is None or cost is None:
        raise _incomplete(f"The gateway gives no quantity or no cost for {contract.symbol} in {account}.")
    return Position(
        account=AccountId(account),
        con_id=ConId(contract.conId),
        symbol=contract.symbol,
        security_type=contract.secType,
        currency=contract.currency,
        quantity=held,
        average_cost=cost,
    )


def _holding(item: ib_async.PortfolioItem) -> Holding:
    return Holding(
        position=_position(item.account, item.contract, item.position, item.averageCost),
        primary_exchange=item.contract.primaryExchange,
        market_price=number_of(item.marketPrice),
        market_value=number_of(item.marketValue),
        unrealized_pnl=number_of(item.unrealizedPNL),
    )


AccountValues = dict[tuple[str, str], str]
"""The gateway's figures by key and currency (empty where a figure has none)."""


def _balances(account: AccountId, values: AccountValues) -> Balances:
    if values.get(("AccountReady", "")) == "false":
        raise GatewayUnavailable(
            "ACCOUNT_NOT_READY",
            f"The gateway says that the figures of {account} are not to be relied on just now (AccountReady=false).",
            hint="Interactive Brokers is resetting; run the command again in a few minutes.",
        )
    base = next((currency for key, currency in values if key == "NetLiquidation" and currency), None)
    if base is None:
        raise _lacking(account, "NetLiquidation")
    currencies = [currency for key, currency in values if key == "CashBalance" and currency != "BASE"]
    if base not in currencies:
        raise _lacking(account, f"CashBalance in {base}")
    balances = Balances(
        account_type=_required(account, values, "AccountType", ""),
        currency=base,
        net_liquidation=_amount(account, values, "NetLiquidation", base),
        total_cash=_amount(account, values, "TotalCashValue", base),
        settled_cash=decimal_of(values.get(("SettledCash", base), "")),
        available_funds=_amount(account, values, "AvailableFunds", base),
        cash={currency: _amount(account, values, "CashBalance", currency) for currency in currencies},
        exchange_rates=_rates(values),
        stock_market_value=decimal_of(values.get(("StockMarketValue", "BASE"), "")),
        buying_power=decimal_of(values.get(("BuyingPower", base), "")),
    )
    _require_all_cash(account, balances)
    return balances


def _rates(values: AccountValues) -> dict[str, Decimal]:
    """The rates that are rates; one of a currency that nobody needs may be missing, or 0."""
    told = {currency: decimal_of(text) for (key, currency), text in values.items() if key == "ExchangeRate"}
    return {currency: rate for currency, rate in told.items() if currency != "BASE" and rate is not None and rate > 0}


def _require_all_cash(account: AccountId, balances: Balances) -> None:
    """The cash of the single currencies must add up to the cash of the account: none of them has got lost."""
    converted = [balances.in_base(amount, currency) for currency, amount in balances.cash.items()]
    tolerance = max(ONE, CASH_TOLERANCE * sum(map(abs, converted), ZERO))
    if abs(sum(converted, ZERO) - balances.total_cash) > tolerance:
        listed = ", ".join(f"{amount_text(amount)} {currency}" for currency, amount in sorted(balances.cash.items()))
        raise _incomplete(
            f"The cash of {account}, {listed}, comes to {amount_text(sum(converted, ZERO))} {balances.currency}, "
            f"but its TotalCashValue is {amount_text(balances.total_cash)}."
        )


def _amount(account: AccountId, values: AccountValues, key: str, currency: str) -> Decimal:
    amount = decimal_of(_required(account, values, key, currency))
    if amount is None:
        raise _lacking(account, key)
    return amount


def _required(account: AccountId, values: AccountValues, key: str, currency: str) -> str:
    value = values.get((key, currency))
    if not value:
        raise _lacking(account, key)
    return value


def _lacking(account: AccountId, key: str) -> GatewayUnavailable:
    return _incomplete(f"The gateway's figures of {account} lack {key}.")


def _incomplete(what: str) -> GatewayUnavailable:
    return GatewayUnavailable(
        "SNAPSHOT_INCOMPLETE", what, hint="Run the command again; if it lasts, restart the gateway."
    )
