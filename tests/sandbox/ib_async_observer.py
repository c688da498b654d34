"""The scripts of `observation`, run by ib_async."""

import asyncio
from collections.abc import Callable, Iterable

from ib_async import IB, Contract, Fill, Option, Order, RequestError, Stock, Ticker, Trade
from tests.sandbox.observation import (
    CANCELLED,
    CLIENT_ID,
    LEFT_OPEN,
    PREVIEWED,
    REFUSED,
    SWEPT,
    TWO_PARTS,
    Facts,
    Observation,
    Trading,
    Wanted,
    contract_facts,
    details_facts,
)
from tests.support.sandbox import LOOPBACK

DEADLINE_S = 5


async def observe(port: int) -> Observation:
    ib = IB()
    ib.RaiseRequestErrors = True
    async with asyncio.timeout(DEADLINE_S):
        await ib.connectAsync(LOOPBACK, port, CLIENT_ID, account="DU1", raiseSyncErrors=True)
        try:
            return await _observe(ib)
        finally:
            ib.disconnect()


async def _observe(ib: IB) -> Observation:
    aaa = Stock("AAA", "SMART", "USD", conId=101)
    bbb = Stock("BBB", "SMART", "USD", conId=102)
    option = Option("AAA", "20261218", 110, "C", "SMART")
    (stock_details,) = await ib.reqContractDetailsAsync(Stock("AAA", "SMART", "USD"))
    (option_details,) = await ib.reqContractDetailsAsync(option)
    (live,) = await ib.reqTickersAsync(aaa)
    delayed_unasked = await refused(ib, bbb)
    ib.reqMarketDataType(3)
    (delayed,) = await ib.reqTickersAsync(bbb)
    profit, single = ib.reqPnL("DU1"), ib.reqPnLSingle("DU1", "", 101)
    await ib.pnlSingleEvent
    return Observation(
        managed_accounts=ib.managedAccounts(),
        positions={(p.account, contract_facts(p.contract)): (p.position, p.avgCost) for p in ib.positions()},
        account_values={(v.account, v.tag, v.currency): v.value for v in ib.accountValues("DU1")},
        portfolio={contract_facts(item.contract): tuple(item[1:-1]) for item in ib.portfolio("DU1")},
        summary={(v.account, v.tag, v.currency): v.value for v in await ib.accountSummaryAsync()},
        details={101: details_facts(stock_details), 105: details_facts(option_details)},
        unknown=await unknown(ib, Stock("NOPE", "SMART", "USD")),
        ambiguous=[
            found.contract.conId
            for found in await ib.reqContractDetailsAsync(Stock("TWO", "SMART", "USD"))
            if found.contract
        ],
        live=quote_facts(live),
        halted=live.halted,
        delayed_unasked=delayed_unasked,
        delayed=quote_facts(delayed),
        bars=[
            (f"{bar.date:%Y%m%d}", bar.open, bar.high, bar.low, bar.close, bar.volume, bar.average, bar.barCount)
            for bar in await ib.reqHistoricalDataAsync(aaa, "", "5 D", "1 day", "TRADES", useRTH=True)
        ],
        profit=(profit.dailyPnL, profit.unrealizedPnL, profit.realizedPnL),
        profit_of_position=(single.position, single.dailyPnL, single.unrealizedPnL, single.realizedPnL, single.value),
        current_time=(await ib.reqCurrentTimeAsync()).timestamp(),
    )


async def unknown(ib: IB, contract: Contract) -> tuple[int, str]:
    try:
        await ib.reqContractDetailsAsync(contract)
    except RequestError as exc:
        return exc.code, exc.message
    return 0, ""


async def refused(ib: IB, contract: Contract) -> tuple[int, str]:
    try:
        await ib.reqTickersAsync(contract)
    except RequestError as exc:
        return exc.code, exc.message
    return 0, ""


def quote_facts(ticker: Ticker) -> Facts:
    return {
        "type": ticker.marketDataType,
        "bid": (ticker.bid, ticker.bidSize),
        "ask": (ticker.ask, ticker.askSize),
        "last": (ticker.last, ticker.lastSize),
        "close": ticker.close,
    }


async def observe_trading(port: int) -> Trading:
    async with asyncio.timeout(DEADLINE_S):
        ib = await connected(port)
        errors: list[tuple[int, int, str]] = []
        ib.errorEvent += lambda number, code, text, _: errors.append((number, code, text))
        trades = await _trade(ib)
        preview = await ib.whatIfOrderAsync(contract_of(PREVIEWED), order_of(PREVIEWED))
        trades.append(ib.placeOrder(contract_of(LEFT_OPEN), order_of(LEFT_OPEN)))
        await until(ib, lambda: trades[-1].orderStatus.status == "Submitted")
        ib.disconnect()
        again = await connected(port)
        try:
            completed = await again.reqCompletedOrdersAsync(apiOnly=False)
            still_open = await again.reqOpenOrdersAsync()
            executions = again.fills()  # asked for at the start; asking again returns them without their commissions
        finally:
            again.disconnect()
    refs = {trade.order.orderId: trade.order.orderRef for trade in trades}
    return Trading(
        ended={trade.order.orderRef: ending(trade) for trade in trades},
        fills=fill_facts(fill for trade in trades for fill in trade.fills),
        commissions=commission_facts(fill for trade in trades for fill in trade.fills),
        errors=[(refs[number], code, text) for number, code, text in errors if number in refs],
        preview=(
            *(float(preview.initMarginChange), float(preview.initMarginAfter), float(preview.equityWithLoanChange)),
            *(preview.commission, preview.commissionCurrency, preview.warningText),
        ),
        perm_ids={trade.order.orderRef: trade.orderStatus.permId for trade in trades},
        fills_again=fill_facts(executions),
        commissions_again=commission_facts(executions),
        completed={
            order.orderRef: (trade.orderStatus.status, float(order.totalQuantity), float(order.filledQuantity))
            for trade, order in ((trade, trade.order) for trade in completed)
        },
        open={
            order.orderRef: (status.status, float(order.totalQuantity), status.remaining, order.lmtPrice)
            for order, status in ((trade.order, trade.orderStatus) for trade in still_open)
        },
        perm_ids_again={trade.order.orderRef: trade.order.permId for trade in (*completed, *still_open)},
    )


async def connected(port: int) -> IB:
    ib = IB()
    ib.RaiseRequestErrors = True
    await ib.connectAsync(LOOPBACK, port, CLIENT_ID, account="DU1", raiseSyncErrors=True)
    return ib


async def _trade(ib: IB) -> list[Trade]:
    """All but the last order, each to its end."""
    two = ib.placeOrder(contract_of(TWO_PARTS), order_of(TWO_PARTS))
    await until(ib, lambda: len(two.fills) == 2 and all(fill.commissionReport.execId for fill in two.fills))
    cancelled = ib.placeOrder(contract_of(CANCELLED), order_of(CANCELLED))
    await until(ib, lambda: cancelled.orderStatus.status == "Submitted")
    ib.cancelOrder(cancelled.order)
    await until(ib, cancelled.isDone)
    swept = [ib.placeOrder(contract_of(wanted), order_of(wanted)) for wanted in SWEPT]
    await until(ib, lambda: all(trade.orderStatus.status == "Submitted" for trade in swept))
    ib.reqGlobalCancel()  # type: ignore[no-untyped-call]  # of the library
    await until(ib, lambda: all(trade.isDone() for trade in swept))
    refused = ib.placeOrder(contract_of(REFUSED), order_of(REFUSED))
    await until(ib, lambda: refused.orderStatus.status == "Inactive")
    return [two, cancelled, *swept, refused]


async def until(ib: IB, holds: Callable[[], bool]) -> None:
    while not holds():
        await ib.updateEvent


def contract_of(wanted: Wanted) -> Contract:
    return Contract(secType="STK", conId=wanted.con_id, exchange="SMART")


def order_of(wanted: Wanted) -> Order:
    order = Order(action="BUY", totalQuantity=wanted.quantity, orderType="MKT", tif="DAY")
    order.account, order.orderRef = "DU1", wanted.ref
    if wanted.limit is not None:
        order.orderType, order.lmtPrice = "LMT", wanted.limit
    return order


def ending(trade: Trade) -> tuple[object, ...]:
    status = trade.orderStatus
    return status.status, float(status.filled), float(status.remaining), status.avgFillPrice


def fill_facts(fills: Iterable[Fill]) -> Facts:
    facts: Facts = {}
    for done in (fill.execution for fill in fills):
        part = (done.side, float(done.shares), done.price, float(done.cumQty), done.avgPrice)
        facts.setdefault(done.orderRef, []).append(part)
    return facts


def commission_facts(fills: Iterable[Fill]) -> Facts:
    facts: Facts = {}
    for fill in fills:
        report = fill.commissionReport
        facts.setdefault(fill.execution.orderRef, []).append((report.commission, report.currency))
    return facts
