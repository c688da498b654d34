"""The script of `observation`, run by ib_async."""

import asyncio

from ib_async import IB, Contract, Option, RequestError, Stock, Ticker
from tests.sandbox.observation import CLIENT_ID, Facts, Observation, contract_facts, details_facts
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
