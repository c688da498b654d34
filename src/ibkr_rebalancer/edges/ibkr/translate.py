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
from ibkr_rebalancer.core.money import decimal_of
from ibkr_rebalancer.core.portfolio import AccountId, Balances, Holding, Portfolio, Position
from ibkr_rebalancer.core.quotes import DataKind, Quote

UNSET = 1.7976931348623157e308
"""How the gateway writes a number that it does not have."""

DATA_KINDS = {1: DataKind.LIVE, 2: DataKind.FROZEN, 3: DataKind.DELAYED, 4: DataKind.DELAYED_FROZEN}
"""The values of `marketDataType`."""

BID, ASK, LAST, CLOSE = (1, 66), (2, 67), (4, 68), (9, 75)
"""The tick types of each price, live (or frozen) and delayed."""
DELAYED_TICKS = range(66, 77)

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One price of a quote."""

    kind: int
    """The gateway's tick type."""
    price: float
    """-1, or 0, when there is none."""
    received_at: datetime


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
    priced = [tick for tick in (_newest(ticks, side) for side in (BID, ASK, LAST, CLOSE)) if tick is not None]
    if not priced:
        return None
    return Quote(
        bid=_price(_newest(ticks, BID)),
        ask=_price(_newest(ticks, ASK)),
        last=_price(_newest(ticks, LAST)),
        close=_price(_newest(ticks, CLOSE)),
        data=_data_kind(rows_of(DataKind, rows), priced),
        received_at=max(tick.received_at for tick in priced),
    )


def has_all_prices(rows: Sequence[object]) -> bool:
    """Whether a quote of these ticks could not become fuller."""
    ticks = rows_of(Tick, rows)
    return all(_newest(ticks, side) is not None for side in (BID, ASK, LAST, CLOSE))


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
    price, value = number_of(item.marketPrice), number_of(item.marketValue)
    if price is None or value is None:
        raise _incomplete(f"The gateway gives no market value for {item.contract.symbol} in {item.account}.")
    return Holding(
        position=_position(item.account, item.contract, item.position, item.averageCost),
        market_price=price,
        market_value=value,
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
    cash = {currency: _amount(account, values, key, currency) for key, currency in values if key == "CashBalance"}
    if not cash:
        raise _lacking(account, "CashBalance")
    return Balances(
        account_type=_required(account, values, "AccountType", ""),
        currency=base,
        net_liquidation=_amount(account, values, "NetLiquidation", base),
        total_cash=_amount(account, values, "TotalCashValue", base),
        settled_cash=decimal_of(values.get(("SettledCash", base), "")),
        available_funds=_amount(account, values, "AvailableFunds", base),
        cash={currency: amount for currency, amount in cash.items() if currency != "BASE"},
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
