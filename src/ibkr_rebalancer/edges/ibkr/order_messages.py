"""The gateway's messages about orders, and what each says of one; our orders as the gateway takes them. Pure.

What is absent becomes None, and what must not be absent is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import ib_async

from ibkr_rebalancer.core.errors import GatewayUnavailable
from ibkr_rebalancer.core.evidence import Commissioned, Completed, ErrorTold, Evidence, Executed, StatusTold
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import decimal_of
from ibkr_rebalancer.core.orders import OpenOrder, OrderIntent, OrderType
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.translate import number_of, rows_of
from ibkr_rebalancer.ports import WhatIf

LIVE = -1
"""The request id of executions that nobody asked for: they happen now."""
CLOSED = {"Filled", "Cancelled", "ApiCancelled"}
"""Statuses of orders that are not open any more; an inactive one may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """`openOrder`: an order as it stands, or the preview of one."""

    at: datetime
    contract: ib_async.Contract
    order: ib_async.Order
    state: ib_async.OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """`orderStatus`, which names the order by its numbers only."""

    at: datetime
    order_id: int
    client_id: int
    perm_id: int
    status: str
    filled: float
    remaining: float
    why_held: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """`execDetails`."""

    request: int
    execution: ib_async.Execution


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """`commissionReport`, which names only the print."""

    report: ib_async.CommissionReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """`completedOrder`, which has neither the order's number nor its client id."""

    at: datetime
    order: ib_async.Order
    state: ib_async.OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class Complained:
    """`error` about an order, or about a request that has been given up."""

    at: datetime
    order_id: int
    code: int
    text: str


OrderMessage = Opened | Stated | Printed | Charged | Ended | Complained


def evidence_in(message: OrderMessage) -> Evidence | None:
    """What the message says of its order; None for a commission that is not known yet.

    Raises:
        GatewayUnavailable: it lacks a figure that it exists to tell (`SNAPSHOT_INCOMPLETE`).
    """
    match message:
        case Opened(at=at, order=order, state=state):
            return StatusTold(at=at, status=state.status, filled=None, perm_id=order.permId, why_held="")
        case Stated():
            return StatusTold(
                at=message.at,
                status=message.status,
                filled=number_of(message.filled),
                perm_id=message.perm_id,
                why_held=message.why_held,
            )
        case Printed(execution=execution):
            return _executed(execution)
        case Charged(report=report):
            return _commissioned(report)
        case Ended():
            return _completed(message)
        case Complained(at=at, code=code, text=text):
            return ErrorTold(at=at, code=code, text=text)


def account_in(message: OrderMessage) -> AccountId | None:
    """The account of the order, where the message says it."""
    told = ""
    match message:
        case Opened(order=order) | Ended(order=order):
            told = order.account
        case Printed(execution=execution):
            told = execution.acctNumber
    return AccountId(told) if told else None


def open_orders_in(rows: Sequence[object]) -> tuple[OpenOrder, ...]:
    """The orders in a list of open orders, each as it was told last.

    Raises:
        GatewayUnavailable: the side or the size of one is not told (`SNAPSHOT_INCOMPLETE`).
    """
    stated = {(row.client_id, row.order_id, row.perm_id): row for row in rows_of(Stated, rows)}
    listed = {_numbers(row.order): row for row in rows_of(Opened, rows)}
    orders = [_open_order(row, stated.get(numbers)) for numbers, row in listed.items()]
    return tuple(order for order in orders if order.status not in CLOSED)


def has_figures(rows: Sequence[object]) -> bool:
    """Whether this preview tells what the order would cost."""
    return any(_preview(row) for row in rows_of(Opened, rows))


def what_if_in(rows: Sequence[object]) -> WhatIf:
    """The preview in these rows: its figures, if there are any, and every warning."""
    previews = rows_of(Opened, rows)
    commission, margin = next(filter(None, map(_preview, reversed(previews))), (None, None))
    warnings = dict.fromkeys(row.state.warningText for row in previews if row.state.warningText)
    return WhatIf(commission=commission, initial_margin_change=margin, warning=" ".join(warnings))


def order_of(intent: OrderIntent, *, what_if: bool = False) -> ib_async.Order:
    """The order as it is sent, nothing left to presets; a new one each time, as sending changes it.

    Raises:
        ValueError: a limit order without a limit, or a market order with one.
    """
    if (intent.order_type is OrderType.LIMIT) != (intent.limit_price is not None):
        raise ValueError(f"{intent.order_ref} is a {intent.order_type.value} order at {intent.limit_price}")
    order = ib_async.Order(
        action=intent.side.value,
        totalQuantity=intent.quantity,
        orderType=intent.order_type.value,
        tif="DAY",
        outsideRth=False,
        account=intent.account,
        orderRef=intent.order_ref,
        transmit=True,
        whatIf=what_if,
    )
    if intent.limit_price is not None:
        order.lmtPrice = Decimal(f"{intent.limit_price:f}")  # written out by ib_async as it stands, without exponent
    return order


def traded_contract(con_id: ConId) -> ib_async.Contract:
    """What to trade: the conId says what, SMART lets the broker choose where."""
    return ib_async.Contract(conId=con_id, exchange="SMART")


def _numbers(order: ib_async.Order) -> tuple[int, int, int]:
    return order.clientId, order.orderId, order.permId


def _executed(execution: ib_async.Execution) -> Executed:
    shares, price = number_of(execution.shares), number_of(execution.price)
    if shares is None or price is None:
        raise _lacking(f"the shares or the price of the execution {execution.execId}")
    return Executed(at=execution.time, exec_id=execution.execId, shares=shares, price=price, perm_id=execution.permId)


def _commissioned(report: ib_async.CommissionReport) -> Commissioned | None:
    commission = number_of(report.commission)
    if commission is None:
        return None
    return Commissioned(exec_id=report.execId, commission=commission, currency=report.currency)


def _completed(row: Ended) -> Completed:
    """Its total quantity is 0 once it is filled; the filled quantity is what counts."""
    filled = number_of(float(row.order.filledQuantity))
    if filled is None:
        raise _lacking(f"the filled quantity of the completed order {row.order.orderRef}")
    return Completed(
        at=_time_in(row.state.completedTime) or row.at,
        status=row.state.status,
        filled=filled,
        perm_id=row.order.permId,
        completed_status=row.state.completedStatus,
    )


def _time_in(text: str) -> datetime | None:
    """The moment in `20261123 10:30:00 US/Eastern`, aware UTC; None if it is written in another way."""
    moment, _, zone = text.rpartition(" ")
    try:
        local = datetime.strptime(moment, "%Y%m%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone))
    except (ValueError, ZoneInfoNotFoundError):
        return None
    return local.astimezone(UTC)


def _open_order(row: Opened, stated: Stated | None) -> OpenOrder:
    order, contract = row.order, row.contract
    remaining = number_of(stated.remaining if stated else order.totalQuantity)
    if remaining is None or order.action[:1] not in {"B", "S"}:
        raise _lacking(f"the side or the size of an open order in {contract.symbol} of {order.account}")
    return OpenOrder(
        order_ref=order.orderRef,
        account=AccountId(order.account),
        con_id=ConId(contract.conId),
        symbol=contract.symbol,
        side=Side.BUY if order.action.startswith("B") else Side.SELL,
        remaining=remaining,
        status=stated.status if stated else row.state.status,
        perm_id=order.permId,
        client_id=order.clientId,
    )


def _preview(row: Opened) -> tuple[Decimal | None, Decimal | None] | None:
    """Commission and change of the initial margin, None as long as neither is told."""
    told = number_of(row.state.commission)
    commission = told if told is not None else number_of(row.state.maxCommission)
    margin = _figure_in(row.state.initMarginChange)
    return None if commission is None and margin is None else (commission, margin)


def _figure_in(text: str) -> Decimal | None:
    figure = decimal_of(text)
    return None if figure is None or number_of(float(figure)) is None else figure


def _lacking(what: str) -> GatewayUnavailable:
    return GatewayUnavailable(
        "SNAPSHOT_INCOMPLETE",
        f"The gateway does not give {what}.",
        hint="Run the command again; if it lasts, restart the gateway.",
    )
