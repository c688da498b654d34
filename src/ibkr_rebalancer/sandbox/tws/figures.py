"""Messages made of the venue's state: contracts, prices, holdings, account figures. Pure: no state of their own."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from zlib import crc32

from ibkr_rebalancer.sandbox.tws.codes import CODES
from ibkr_rebalancer.sandbox.tws.messages import TO_CLIENT
from ibkr_rebalancer.sandbox.tws.order_layouts import CONTRACT
from ibkr_rebalancer.sandbox.tws.wire import Message
from ibkr_rebalancer.sandbox.venue.accounts import (
    LEDGER,
    Account,
    AccountValue,
    PortfolioRow,
    account_values,
    portfolio,
    profit,
)
from ibkr_rebalancer.sandbox.venue.hours import liquid_hours, trading_day, trading_hours
from ibkr_rebalancer.sandbox.venue.market import Contract, Listing, Market, exchanges

Rows = dict[tuple[str, ...], Message]
"""Messages by what they speak of: the next one with the same key replaces what the client knew."""

LIVE = {"bid": 1, "ask": 2, "last": 4, "close": 9}
DELAYED = {"bid": 66, "ask": 67, "last": 68, "close": 75}
LAST_TIMESTAMP, DELAYED_TIMESTAMP = 45, 88
HALTED, DELAYED_HALTED = 49, 90
SIZE = 100
"""Of every quote."""
VOLUME, DELAYED_VOLUME = 8, 74
DAILY_VOLUME = 1_000_000
"""Of every trading day."""
NO_PRICE = Decimal(-1)
"""How the gateway says that there is no bid or ask just now."""


def error(code: int, *, about: str = "-1", text: str = "") -> Message:
    """An error about a request or order, or about nothing in particular; `text` replaces the usual words."""
    words = text or CODES.get(code, f"Error {code}")
    return TO_CLIENT["error"].message(id=about, code=code, text=words, advancedRejectJson="")


def managed_accounts(accounts: Iterable[str]) -> Message:
    return TO_CLIENT["managedAccounts"].message(accounts=",".join(accounts))


def contract_details(listing: Listing, *, request: str, exchange: str, now: datetime) -> Message:
    contract = listing.contract
    return TO_CLIENT["contractDetails"].message(
        reqId=request,
        symbol=contract.symbol,
        secType=contract.sec_type,
        lastTradeDate=contract.last_trade_date,
        strike=contract.strike or 0,
        right=contract.right,
        exchange=exchange or exchanges(contract)[0],
        currency=contract.currency,
        localSymbol=contract.local_symbol or contract.symbol,
        marketName=contract.trading_class or contract.symbol,
        tradingClass=contract.trading_class or contract.symbol,
        conId=contract.con_id,
        minTick=contract.min_tick,
        multiplier=contract.multiplier,
        orderTypes="ACTIVETIM,ADJUST,ALERT,ALGO,DAY,GTC,IOC,LMT,MKT,MOC,OPG,STP,WHATIF",
        validExchanges=",".join(exchanges(contract)),
        priceMagnifier=1,
        underConId=0,
        longName=contract.name,
        primaryExchange=contract.primary_exchange,
        contractMonth=contract.last_trade_date[:6],
        industry="",
        category="",
        subcategory="",
        timeZoneId=listing.hours.zone,
        tradingHours=trading_hours(listing.hours, now),
        liquidHours=liquid_hours(listing.hours, now),
        evRule="",
        evMultiplier=0,
        secIds=[{"idType": "ISIN", "id": contract.isin}] if contract.isin else [],
        aggGroup=1,
        underSymbol="",
        underSecType="",
        marketRuleIds=",".join("26" for _ in exchanges(contract)),
        realExpirationDate=contract.last_trade_date,
        stockType=contract.stock_type if contract.sec_type == "STK" else "",
        # As the gateway sends them for stocks, although its API then refuses fractions.
        minSize=Decimal("0.0001"),
        sizeIncrement=Decimal("0.0001"),
        suggestedSizeIncrement=100,
    )


def ticks(listing: Listing, *, request: str, delayed: bool, market_open: bool) -> Rows:
    """The prices of this moment. A missing bid or ask is sent as none; a missing last or close isn't sent."""
    numbers = DELAYED if delayed else LIVE
    quote = listing.quote
    prices = {
        "bid": quote.bid if market_open else None,
        "ask": quote.ask if market_open else None,
        "last": quote.last,
        "close": quote.close,
    }
    rows: Rows = {}
    for side, price in prices.items():
        if price is not None or side in {"bid", "ask"}:
            rows[side,] = TO_CLIENT["tickPrice"].message(
                reqId=request,
                tickType=numbers[side],
                price=NO_PRICE if price is None else price,
                size=0 if price is None or side == "close" else SIZE,
                attribs=1 if side in {"bid", "ask"} else 0,
            )
    rows["volume",] = TO_CLIENT["tickSize"].message(
        reqId=request, tickType=DELAYED_VOLUME if delayed else VOLUME, size=DAILY_VOLUME
    )
    rows["halted",] = TO_CLIENT["tickGeneric"].message(
        reqId=request, tickType=DELAYED_HALTED if delayed else HALTED, value=quote.halted
    )
    return rows


def last_traded(*, request: str, delayed: bool, now: datetime) -> Message:
    number = DELAYED_TIMESTAMP if delayed else LAST_TIMESTAMP
    return TO_CLIENT["tickString"].message(reqId=request, tickType=number, value=int(now.timestamp()))


def daily_bars(listing: Listing, *, request: str, days: int, now: datetime) -> Message:
    """Bars of that many trading days up to today; without a previous close there are none."""
    dates = _sittings(listing, days + 1, now)
    closes = _closes(listing, dates)
    bars = [_bar(dates[age], opened=closes[age + 1], closed=closes[age]) for age in range(len(closes) - 1)]
    since = now - timedelta(days=days)
    return TO_CLIENT["historicalData"].message(
        reqId=request,
        start=f"{since:%Y%m%d  %H:%M:%S}",
        end=f"{now:%Y%m%d  %H:%M:%S}",
        bars=list(reversed(bars)),
    )


def positions(account: Account, market: Market, *, request: str | None = None) -> Rows:
    """Positions as sent to all, or with a request id to one request."""
    layout = TO_CLIENT["position" if request is None else "positionMulti"]
    extra = {} if request is None else {"reqId": request, "modelCode": ""}
    return {
        (account.account_id, str(row.listing.contract.con_id)): layout.message(
            account=account.account_id,
            position=row.quantity,
            avgCost=row.average_cost,
            **contract_fields(row.listing.contract),
            **extra,
        )
        for row in portfolio(account, market)
    }


def account_rows(account: Account, market: Market) -> Rows:
    """Account values, then the portfolio, as one subscription to account updates sends them."""
    values: Rows = {
        (value.key, value.currency): TO_CLIENT["updateAccountValue"].message(
            key=value.key, value=value.value, currency=value.currency, account=account.account_id
        )
        for value in account_values(account, market)
    }
    return values | {
        ("portfolio", str(row.listing.contract.con_id)): _portfolio_row(row, account.account_id)
        for row in portfolio(account, market)
    }


def account_rows_multi(account: Account, market: Market, *, request: str, ledger_only: bool) -> Rows:
    return {
        (value.key, value.currency): TO_CLIENT["accountUpdateMulti"].message(
            reqId=request,
            account=account.account_id,
            modelCode="",
            key=value.key,
            value=value.value,
            currency=value.currency,
        )
        for value in account_values(account, market)
        if not ledger_only or value.key in {*LEDGER, "NetLiquidation"}
    }


def summary_rows(account: Account, market: Market, *, request: str, tags: list[str]) -> Rows:
    return {
        (account.account_id, value.key, value.currency): TO_CLIENT["accountSummary"].message(
            reqId=request, account=account.account_id, tag=value.key, value=value.value, currency=value.currency
        )
        for value in account_values(account, market)
        if _summarised(value, tags)
    }


def pnl(account: Account, market: Market, *, request: str) -> Rows:
    daily, unrealized = profit(portfolio(account, market), account, market)
    values = {"reqId": request, "daily": daily, "unrealized": unrealized, "realized": 0}
    return {("pnl",): TO_CLIENT["pnl"].message(**values)}


def pnl_single(account: Account, market: Market, con_id: int, *, request: str) -> Rows:
    rows = [row for row in portfolio(account, market) if row.listing.contract.con_id == con_id]
    daily, unrealized = profit(rows, account, market)
    message = TO_CLIENT["pnlSingle"].message(
        reqId=request,
        position=sum(row.quantity for row in rows),
        daily=daily,
        unrealized=unrealized,
        realized=0,
        value=sum(row.market_value for row in rows),
    )
    return {("pnl", str(con_id)): message}


def _summarised(value: AccountValue, tags: list[str]) -> bool:
    """`$LEDGER` asks for the ledger in BASE, `$LEDGER:USD` in a currency, `$LEDGER:ALL` in all."""
    if value.key not in LEDGER:
        return value.key in tags
    asked = {"$LEDGER:ALL", f"$LEDGER:{value.currency}"} | ({"$LEDGER"} if value.currency == "BASE" else set())
    return bool(asked & set(tags))


def contract_fields(contract: Contract) -> dict[str, object]:
    """A contract as it stands in positions and executions, with the exchange it is listed at."""
    values = (
        contract.con_id,
        contract.symbol,
        contract.sec_type,
        contract.last_trade_date,
        contract.strike or 0,
        contract.right,
        contract.multiplier,
        contract.primary_exchange,
        contract.currency,
        contract.local_symbol or contract.symbol,
        contract.trading_class or contract.symbol,
    )
    return dict(zip(CONTRACT, values, strict=True))


def _portfolio_row(row: PortfolioRow, account_id: str) -> Message:
    contract = contract_fields(row.listing.contract)
    return TO_CLIENT["updatePortfolio"].message(
        **{name: value for name, value in contract.items() if name != "exchange"},
        primaryExchange=contract["exchange"],
        position=row.quantity,
        marketPrice=row.listing.mark,
        marketValue=row.market_value,
        averageCost=row.average_cost,
        unrealizedPNL=row.unrealized,
        realizedPNL=0,
        account=account_id,
    )


def _sittings(listing: Listing, count: int, now: datetime) -> list[date]:
    """The last trading days, newest first; searched three times as far back as ordinary weeks need."""
    today = trading_day(listing.hours, now)
    days = (today - timedelta(days=age) for age in range(3 * count + 7))
    return [day for day in days if listing.hours.sitting(day) is not None][:count]


def _closes(listing: Listing, dates: list[date]) -> list[Decimal]:
    """Today's last price, the previous close, and before it a path of up to a percent a day, the same in every run."""
    price = listing.quote.close
    if price is None:
        return []
    closes = [listing.quote.last or price]
    for day in dates[1:]:
        closes.append(price)
        wander = Decimal(crc32(f"{listing.contract.con_id}{day}".encode()) % 201 - 100) / 10_000
        price = (price * (1 + wander)).quantize(listing.contract.min_tick)
    return closes


def _bar(day: date, *, opened: Decimal, closed: Decimal) -> dict[str, object]:
    return {
        "date": f"{day:%Y%m%d}",
        "open": opened,
        "high": max(opened, closed),
        "low": min(opened, closed),
        "close": closed,
        "volume": DAILY_VOLUME,
        "wap": (opened + closed) / 2,
        "count": 10_000,
    }
