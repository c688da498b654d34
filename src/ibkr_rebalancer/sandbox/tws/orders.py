"""Messages about orders, made of what the venue tells. Pure.

What says nothing about a plain order of shares is sent as captures of real gateways have it.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from ibkr_rebalancer.sandbox.tws.figures import contract_fields, error
from ibkr_rebalancer.sandbox.tws.order_layouts import (
    COMMISSION_REPORT,
    COMPLETED_ORDER,
    EXEC_DETAILS,
    OPEN_ORDER,
    ORDER_STATUS,
)
from ibkr_rebalancer.sandbox.tws.wire import UNSET_DOUBLE, UNSET_INT, Layout, Message
from ibkr_rebalancer.sandbox.venue.hours import NEW_YORK
from ibkr_rebalancer.sandbox.venue.market import Market, exchanges
from ibkr_rebalancer.sandbox.venue.orders import (
    Charged,
    Complained,
    Event,
    Execution,
    Order,
    Preview,
    Printed,
    Ticket,
    Told,
)
from ibkr_rebalancer.sandbox.venue.venue import Venue

LIVE = "-1"
"""The request of an execution that comes by itself."""
SIDES = {"BUY": "BOT", "SELL": "SLD"}
"""Sides as orders and as executions name them."""
ZONE = NEW_YORK.zone
"""Of the times the gateway writes."""
TIME = "%Y%m%d %H:%M:%S"
SMALLEST = Decimal("0.00000001")
"""Step of an average price."""
NO_PRICE = "0.0"
"""The limit of an order without one."""

_ZERO = (
    "auxPrice origin hidden discretionaryAmt shortSaleSlot auctionStrategy blockOrder sweepToFill allOrNone eTradeOnly"
    " firmQuoteOnly parentId triggerMethod volatilityType deltaNeutralConId deltaNeutralShortSale"
    " deltaNeutralShortSaleSlot continuousUpdate referencePriceType optOutSmartRouting notHeld deltaNeutralContract"
    " solicited whatIf randomizeSize randomizePrice adjustableTrailingUnit cashQty isOmsContainer"
    " discretionaryUpToLimitPrice usePriceMgmtAlgo autoCancelParent imbalanceOnly routeMarketableToBbo"
)
_UNSET_INT = "displaySize scaleInitLevelSize scaleSubsLevelSize refFuturesConId"
_UNSET_DOUBLE = (
    "triggerPrice trailStopPriceAgain lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount"
    " initMarginBefore maintMarginBefore equityWithLoanBefore initMarginChange maintMarginChange equityWithLoanChange"
    " initMarginAfter maintMarginAfter equityWithLoanAfter"
)
PLAIN = {
    **dict.fromkeys(_ZERO.split(), "0"),
    **dict.fromkeys(_UNSET_INT.split(), UNSET_INT),
    **dict.fromkeys(_UNSET_DOUBLE.split(), UNSET_DOUBLE),
    "exemptCode": "-1",
    "ocaType": "3",
    "deltaNeutralOrderType": "None",
    "deltaNeutralOpenClose": "?",
    "clearingIntent": "IB",
    "adjustedOrderType": "None",
    "dontUseAutoPriceForHedge": "1",
    "shareholder": "Not an insider or substantial shareholder",
    "parentPermId": "9223372036854775807",
}
"""A plain order of shares; what isn't named is empty."""


def _plain(layout: Layout) -> dict[str, object]:
    return {name: PLAIN.get(name, "") for name in layout.names}


_PLAIN_OPEN = _plain(OPEN_ORDER)
_PLAIN_COMPLETED = _plain(COMPLETED_ORDER)


def told(event: Event, venue: Venue) -> list[Message]:
    """What the client that placed the order hears of an event, in the order of real gateways."""
    market = venue.scenario.market
    match event:
        case Told(order=order):
            return [open_order(order, market), order_status(order)] if _is_told_whole(order) else [order_status(order)]
        case Printed(execution=execution):
            return [exec_details(execution, market)]
        case Charged(execution=execution):
            orders = (*venue.open_orders, *venue.completed)
            filled = [order for order in orders if order.perm_id == execution.perm_id and order.status == "Filled"]
            return [*(charged_order(order, market) for order in filled), commission_report(execution)]
        case Complained(order_id=order_id, code=code, text=text):
            return [error(code, about=str(order_id), text=text)]


def client_of(event: Event) -> int:
    """Whose order it is about."""
    match event:
        case Told(order=order):
            return order.ticket.client_id
        case Printed(execution=execution) | Charged(execution=execution):
            return execution.ticket.client_id
        case Complained(client_id=client_id):
            return client_id


def open_order(order: Order, market: Market) -> Message:
    return OPEN_ORDER.message(**_PLAIN_OPEN | _open(order, market))


def charged_order(order: Order, market: Market) -> Message:
    """A filled order again, now with what it cost."""
    cost = {
        "commission": sum(execution.commission for execution in order.executions),
        "commissionCurrency": market.listings[order.ticket.con_id].contract.currency,
    }
    return OPEN_ORDER.message(**_PLAIN_OPEN | _open(order, market) | cost)


def previewed_order(ticket: Ticket, preview: Preview, market: Market) -> Message:
    """The answer to a what-if; the margin to be maintained is the initial one here."""
    margin, change = preview.initial_margin_before, preview.initial_margin_change
    equity, gain = preview.equity_before, preview.equity_change
    figures = {
        "whatIf": True,
        "status": "PreSubmitted",
        "permId": 0,
        "commission": preview.commission,
        "commissionCurrency": market.listings[ticket.con_id].contract.currency,
        "warningText": preview.warning,
        "equityWithLoanBefore": equity,
        "equityWithLoanChange": gain,
        "equityWithLoanAfter": equity + gain,
        **dict.fromkeys(("initMarginBefore", "maintMarginBefore"), margin),
        **dict.fromkeys(("initMarginChange", "maintMarginChange"), change),
        **dict.fromkeys(("initMarginAfter", "maintMarginAfter"), margin + change),
    }
    return OPEN_ORDER.message(**_PLAIN_OPEN | _asked(ticket, market) | _named(ticket) | figures)


def order_status(order: Order, *, status: str | None = None) -> Message:
    """How far the order has come; `status` is a word for what happens to it just now."""
    last = order.executions[-1] if order.executions else None
    return ORDER_STATUS.message(
        **_named(order.ticket),
        status=status or order.status,
        filled=order.filled,
        remaining=order.remaining,
        avgFillPrice=_rounded(order.average_price),
        permId=order.perm_id,
        parentId=0,
        lastFillPrice=last.price if last else 0,
        whyHeld=order.why_held,
        mktCapPrice=0,
    )


def exec_details(execution: Execution, market: Market, *, request: str = LIVE) -> Message:
    order = execution.ticket
    contract = contract_fields(market.listings[order.con_id].contract)
    return EXEC_DETAILS.message(
        reqId=request,
        **_named(order),
        **contract,
        execId=execution.exec_id,
        time=f"{execution.time.astimezone(ZoneInfo(ZONE)):{TIME}} {ZONE}",
        account=order.account,
        executionExchange=contract["exchange"],
        side=SIDES[order.side],
        shares=execution.shares,
        price=execution.price,
        permId=execution.perm_id,
        liquidation=0,
        cumQty=execution.cumulative,
        avgPrice=_rounded(execution.average_price),
        orderRef=order.order_ref,
        evRule="",
        evMultiplier="",
        modelCode="",
        lastLiquidity=2,  # removed liquidity
        pendingPriceRevision=False,
    )


def commission_report(execution: Execution) -> Message:
    return COMMISSION_REPORT.message(
        execId=execution.exec_id,
        commission=execution.commission,
        currency=execution.currency,
        realizedPNL=UNSET_DOUBLE,
        **{"yield": UNSET_DOUBLE},
        yieldRedemptionDate="",
    )


def completed_order(order: Order, market: Market) -> Message:
    """An order that has come to its end; neither its number nor its client is told, and a filled one counts no more."""
    ended = order.completed_at or order.placed_at
    figures = {
        "permId": order.perm_id,
        "totalQuantity": 0 if order.status == "Filled" else order.ticket.quantity,
        "status": order.status,
        "filledQuantity": order.filled,
        "completedTime": f"{ended.astimezone(ZoneInfo(ZONE)):{TIME}} {ZONE}",
        "completedStatus": order.completed_status,
    }
    return COMPLETED_ORDER.message(**_PLAIN_COMPLETED | _asked(order.ticket, market) | figures)


def listed(orders: Iterable[Order], market: Market) -> list[Message]:
    """Open orders one by one, as every list of them has them."""
    return [message for order in orders for message in (open_order(order, market), order_status(order))]


def reported(executions: Sequence[Execution], venue: Venue, *, request: str) -> list[Message]:
    """Executions and what they cost, as far as that is known: first all of one kind, then all of the other."""
    details = [exec_details(execution, venue.scenario.market, request=request) for execution in executions]
    charged = [execution for execution in executions if execution.exec_id not in venue.untold]
    return [*details, *(commission_report(execution) for execution in charged)]


def _is_told_whole(order: Order) -> bool:
    """Whether an openOrder comes before the status: not in the middle of its fills, and not with its end unfilled."""
    return order.status == "Filled" or (order.working and not order.executions)


def _open(order: Order, market: Market) -> dict[str, object]:
    shares = f"{order.perm_id}.0/{order.ticket.account}/{order.ticket.quantity:f}"
    state = {"permId": order.perm_id, "status": order.status, "sharesAllocation": shares}
    return _asked(order.ticket, market) | _named(order.ticket) | state


def _asked(ticket: Ticket, market: Market) -> dict[str, object]:
    """The order as its client wants it, routed as orders are and with the right of everything that is no option."""
    contract = market.listings[ticket.con_id].contract
    return contract_fields(contract) | {
        "exchange": exchanges(contract)[0],
        "right": contract.right or "?",
        "action": ticket.side,
        "totalQuantity": ticket.quantity,
        "orderType": ticket.order_type,
        "lmtPrice": NO_PRICE if ticket.limit_price is None else ticket.limit_price,
        "tif": ticket.tif,
        "account": ticket.account,
        "orderRef": ticket.order_ref,
        "outsideRth": ticket.outside_rth,
    }


def _named(ticket: Ticket) -> dict[str, object]:
    return {"orderId": ticket.order_id, "clientId": ticket.client_id}


def _rounded(price: Decimal) -> Decimal:
    return price.quantize(SMALLEST)
