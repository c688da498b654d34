"""The scripts of `observation`, run by the broker's own client: callbacks on a thread of its own."""

import inspect
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.order_cancel import OrderCancel
from ibapi.wrapper import EWrapper
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
LAST_WORD = b"49\x001\x000\x00"
"""The time, as the gateway tells it."""

CALLBACKS = (
    "accountDownloadEnd",
    "accountSummary",
    "accountSummaryEnd",
    "accountUpdateMulti",
    "accountUpdateMultiEnd",
    "commissionAndFeesReport",
    "completedOrder",
    "completedOrdersEnd",
    "contractDetails",
    "contractDetailsEnd",
    "currentTime",
    "error",
    "execDetails",
    "execDetailsEnd",
    "historicalData",
    "historicalDataEnd",
    "managedAccounts",
    "marketDataType",
    "nextValidId",
    "openOrder",
    "openOrderEnd",
    "orderStatus",
    "pnl",
    "pnlSingle",
    "position",
    "positionEnd",
    "positionMulti",
    "positionMultiEnd",
    "tickGeneric",
    "tickPrice",
    "tickSize",
    "tickSnapshotEnd",
    "updateAccountValue",
    "updatePortfolio",
)

Answer = tuple[str, tuple[Any, ...]]


def recording(name: str) -> Callable[..., None]:
    def callback(self: Any, *arguments: Any) -> None:
        self.answers.put((name, arguments))

    return callback


Recorder: Any = type("Recorder", (EWrapper, EClient), {name: recording(name) for name in CALLBACKS})


class Client:
    """The broker's client with its callbacks as a stream of answers."""

    def __init__(self) -> None:
        self.ib = Recorder()
        EClient.__init__(self.ib, wrapper=self.ib)
        self.ib.answers = queue.Queue()
        self.order_ids = count(1)

    def until(self, *ends: str) -> list[Answer]:
        """All answers up to the first of these, itself included."""
        answers: list[Answer] = []
        while not answers or answers[-1][0] not in ends:
            answers.append(self.ib.answers.get(timeout=DEADLINE_S))
        return answers

    def until_said(self, name: str, *, times: int = 1, **said: Any) -> list[Answer]:
        """All answers up to so many of this name that say this, by the order of its arguments."""
        answers: list[Answer] = []
        while times:
            answers.append(self.ib.answers.get(timeout=DEADLINE_S))
            times -= answers[-1][0] == name and said.items() <= named(*answers[-1]).items()
        return answers

    def until_error(self, request: int) -> tuple[int, str]:
        while True:
            _, (number, _, code, text, *_) = self.until("error")[-1]
            if number == request:
                return code, text


def named(name: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments of a callback by their names."""
    return dict(zip(list(inspect.signature(getattr(EWrapper, name)).parameters)[1:], arguments, strict=True))


@contextmanager
def connected(port: int, *, leave: Callable[[], object]) -> Iterator[Client]:
    """`leave` cuts the connection from the other side: its own way of leaving takes up to a second.

    A last word that concerns nobody ends the wait of its thread for another one.
    """
    client = Client()
    client.ib.connect(LOOPBACK, port, CLIENT_ID)
    running, reading = threading.Thread(target=client.ib.run), client.ib.reader
    running.start()
    try:
        yield client
    finally:
        leave()
        reading.join(DEADLINE_S)
        client.ib.msg_queue.put(LAST_WORD)
        running.join(DEADLINE_S)


def observe(port: int, *, leave: Callable[[], None]) -> Observation:
    """Blocks: call it on a thread."""
    with connected(port, leave=leave) as client:
        return _observe(client)


def observe_multi(port: int, *, leave: Callable[[], None]) -> tuple[Facts, Facts]:
    """Positions and account values of DU1 by the requests whose answers ib_async doesn't show. Blocks."""
    with connected(port, leave=leave) as client:
        client.until("nextValidId")
        client.ib.reqPositionsMulti(1, "DU1", "")
        positions = every(client.until("positionMultiEnd"), "positionMulti")
        client.ib.reqAccountUpdatesMulti(2, "DU1", "", False)
        values = every(client.until("accountUpdateMultiEnd"), "accountUpdateMulti")
    return (
        {
            (number, account, model, contract_facts(held)): (float(quantity), cost)
            for number, account, model, held, quantity, cost in positions
        },
        {(number, account, model, key, currency): value for number, account, model, key, value, currency in values},
    )


def _observe(client: Client) -> Observation:
    ib = client.ib
    started = client.until("nextValidId")
    ib.reqPositions()
    positions = client.until("positionEnd")
    ib.reqAccountUpdates(True, "DU1")
    updates = client.until("accountDownloadEnd")
    ib.reqAccountSummary(1, "All", SUMMARY_TAGS)
    summary = client.until("accountSummaryEnd")
    ib.reqContractDetails(2, contract("AAA"))
    (stock_details,) = every(client.until("contractDetailsEnd"), "contractDetails")
    ib.reqContractDetails(11, option("AAA", "20261218", 110, "C"))
    (option_details,) = every(client.until("contractDetailsEnd"), "contractDetails")
    ib.reqContractDetails(3, contract("NOPE"))
    unknown = client.until_error(3)
    ib.reqContractDetails(4, contract("TWO"))
    ambiguous = every(client.until("contractDetailsEnd"), "contractDetails")
    ib.reqMktData(5, contract("AAA", con_id=101), "", True, False, [])
    live = client.until("tickSnapshotEnd")
    ib.reqMktData(6, contract("BBB", con_id=102), "", True, False, [])
    delayed_unasked = client.until_error(6)
    ib.reqMarketDataType(3)
    ib.reqMktData(7, contract("BBB", con_id=102), "", True, False, [])
    delayed = client.until("tickSnapshotEnd")
    ib.reqHistoricalData(8, contract("AAA", con_id=101), "", "5 D", "1 day", "TRADES", 1, 1, False, [])
    bars = [bar for _, bar in every(client.until("historicalDataEnd"), "historicalData")]
    ib.reqPnL(9, "DU1", "")
    (profit,) = every(client.until("pnl"), "pnl")
    ib.reqPnLSingle(10, "DU1", "", 101)
    (single,) = every(client.until("pnlSingle"), "pnlSingle")
    ib.reqCurrentTime()
    (time,) = every(client.until("currentTime"), "currentTime")
    return Observation(
        managed_accounts=every(started, "managedAccounts")[0][0].split(","),
        positions={
            (account, contract_facts(held)): (float(quantity), cost)
            for account, held, quantity, cost in every(positions, "position")
        },
        account_values={
            (account, key, currency): value for key, value, currency, account in every(updates, "updateAccountValue")
        },
        portfolio={
            contract_facts(held): (float(quantity), *figures)
            for held, quantity, *figures, _ in every(updates, "updatePortfolio")
        },
        summary={
            (account, tag, currency): value for _, account, tag, value, currency in every(summary, "accountSummary")
        },
        details={101: details_facts(stock_details[1]), 105: details_facts(option_details[1])},
        unknown=unknown,
        ambiguous=[found.contract.conId for _, found in ambiguous],
        live=quote_facts(live, bid=1, ask=2, last=4, close=9, sizes={0: "bid", 3: "ask", 5: "last"}),
        halted=every(live, "tickGeneric")[0][2],
        delayed_unasked=delayed_unasked,
        delayed=quote_facts(delayed, bid=66, ask=67, last=68, close=75, sizes={69: "bid", 70: "ask", 71: "last"}),
        bars=[
            (bar.date, bar.open, bar.high, bar.low, bar.close, float(bar.volume), float(bar.wap), bar.barCount)
            for bar in bars
        ],
        profit=tuple(profit[1:]),
        profit_of_position=(float(single[1]), *single[2:]),
        current_time=float(time[0]),
    )


SUMMARY_TAGS = (
    "AccountType,NetLiquidation,TotalCashValue,SettledCash,BuyingPower,EquityWithLoanValue,GrossPositionValue,"
    "InitMarginReq,MaintMarginReq,AvailableFunds,ExcessLiquidity,Cushion,$LEDGER:ALL"
)


def every(answers: list[Answer], name: str) -> list[tuple[Any, ...]]:
    return [arguments for answer, arguments in answers if answer == name]


def contract(symbol: str, *, con_id: int = 0) -> Any:
    wanted = Contract()
    wanted.conId, wanted.symbol, wanted.secType, wanted.exchange, wanted.currency = (
        con_id,
        symbol,
        "STK",
        "SMART",
        "USD",
    )
    return wanted


def option(symbol: str, expiry: str, strike: float, right: str) -> Any:
    wanted = contract(symbol)
    wanted.secType, wanted.lastTradeDateOrContractMonth, wanted.strike, wanted.right = "OPT", expiry, strike, right
    return wanted


def quote_facts(answers: list[Answer], *, sizes: dict[int, str], close: int, **prices: int) -> Facts:
    priced = {number: price for _, number, price, _ in every(answers, "tickPrice")}
    sized = {sizes[number]: float(size) for _, number, size in every(answers, "tickSize") if number in sizes}
    (kind,) = every(answers, "marketDataType")
    return {
        "type": kind[1],
        "close": priced[close],
        **{side: (priced[number], sized[side]) for side, number in prices.items()},
    }


def observe_trading(port: int, *, leave: Callable[[], None]) -> Trading:
    """Blocks: call it on a thread."""
    with connected(port, leave=leave) as client:
        refs, told = _trade(client)
        preview = _preview(client)
        _place(client, LEFT_OPEN, refs)
        told += client.until_said("orderStatus", status="Submitted")
    with connected(port, leave=leave) as client:
        client.until("nextValidId")
        client.ib.reqCompletedOrders(False)
        completed = every(client.until("completedOrdersEnd"), "completedOrder")
        client.ib.reqOpenOrders()
        still_open = client.until("openOrderEnd")
        client.ib.reqExecutions(77, ExecutionFilter())
        executions = client.until("execDetailsEnd")
    statuses = [(refs[number], status) for number, *status in every(told, "orderStatus")]
    left = {number: status for number, *status in every(still_open, "orderStatus")}
    opened = every(still_open, "openOrder")
    return Trading(
        ended={ref: (status, float(filled), float(rest), price) for ref, (status, filled, rest, price, *_) in statuses},
        fills=fill_facts(told),
        commissions=commission_facts(told),
        errors=[(refs[about], code, text) for about, _, code, text, *_ in every(told, "error") if about in refs],
        preview=preview,
        perm_ids={ref: status[4] for ref, status in statuses},
        fills_again=fill_facts(executions),
        commissions_again=commission_facts(executions),
        completed={
            order.orderRef: (state.status, float(order.totalQuantity), float(order.filledQuantity))
            for _, order, state in completed
        },
        open={
            order.orderRef: (state.status, float(order.totalQuantity), float(left[number][2]), order.lmtPrice)
            for number, _, order, state in opened
        },
        perm_ids_again={order.orderRef: order.permId for _, order, *_ in (*completed, *(row[1:] for row in opened))},
    )


def _trade(client: Client) -> tuple[dict[int, str], list[Answer]]:
    """All but the last order, each to its end; the references by number, and what was told."""
    refs: dict[int, str] = {}
    ((first,),) = every(client.until("nextValidId"), "nextValidId")
    client.order_ids = count(first)
    _place(client, TWO_PARTS, refs)
    told = client.until_said("commissionAndFeesReport", times=2)
    _place(client, CANCELLED, refs)
    told += client.until_said("orderStatus", status="Submitted")
    client.ib.cancelOrder(max(refs), OrderCancel())
    told += client.until_said("error", errorCode=202)
    for wanted in SWEPT:
        _place(client, wanted, refs)
        told += client.until_said("orderStatus", status="Submitted")
    client.ib.reqGlobalCancel(OrderCancel())
    told += client.until_said("error", errorCode=202, times=2)
    _place(client, REFUSED, refs)
    return refs, [*told, *client.until_said("orderStatus", status="Inactive")]


def _place(client: Client, wanted: Wanted, refs: dict[int, str]) -> None:
    number = next(client.order_ids)
    refs[number] = wanted.ref
    client.ib.placeOrder(number, contract("", con_id=wanted.con_id), order_of(wanted))


def _preview(client: Client) -> tuple[Any, ...]:
    asked = order_of(PREVIEWED)
    asked.whatIf = True
    client.ib.placeOrder(next(client.order_ids), contract("", con_id=PREVIEWED.con_id), asked)
    ((_, _, _, state),) = every(client.until("openOrder"), "openOrder")
    return (
        *(float(state.initMarginChange), float(state.initMarginAfter), float(state.equityWithLoanChange)),
        *(state.commissionAndFees, state.commissionAndFeesCurrency, state.warningText),
    )


def order_of(wanted: Wanted) -> Any:
    order = Order()
    order.action, order.totalQuantity, order.tif = "BUY", Decimal(wanted.quantity), "DAY"
    order.account, order.orderRef = "DU1", wanted.ref
    order.orderType = "MKT" if wanted.limit is None else "LMT"
    if wanted.limit is not None:
        order.lmtPrice = wanted.limit
    return order


def fill_facts(answers: list[Answer]) -> Facts:
    facts: Facts = {}
    for done in (execution for _, _, execution in every(answers, "execDetails")):
        part = (done.side, float(done.shares), done.price, float(done.cumQty), done.avgPrice)
        facts.setdefault(done.orderRef, []).append(part)
    return facts


def commission_facts(answers: list[Answer]) -> Facts:
    refs = {execution.execId: execution.orderRef for _, _, execution in every(answers, "execDetails")}
    facts: Facts = {}
    for (report,) in every(answers, "commissionAndFeesReport"):
        facts.setdefault(refs[report.execId], []).append((report.commissionAndFees, report.currency))
    return facts
