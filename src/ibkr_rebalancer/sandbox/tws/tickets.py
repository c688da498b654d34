"""What a client asks for in the words of the wire: the ticket in its order, the executions it wants to see. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ibkr_rebalancer.sandbox.tws.lookup import Refusal, listing_described
from ibkr_rebalancer.sandbox.tws.orders import SIDES, TIME, ZONE
from ibkr_rebalancer.sandbox.tws.wire import MalformedError, Message, is_unset
from ibkr_rebalancer.sandbox.venue.market import Market
from ibkr_rebalancer.sandbox.venue.orders import Execution, Side, Ticket
from ibkr_rebalancer.sandbox.venue.scenario import Scenario

LEFT_OPEN = (
    "parentId ocaGroup goodAfterTime goodTillDate faGroup faMethod faPercentage modelCode allOrNone minQty hedgeType"
    " algoStrategy cashQty"
)
"""What would make another order of it, and what this gateway knows nothing of."""


def ticket(request: Message, client_id: int, scenario: Scenario) -> Ticket:
    """The order in a `placeOrder`.

    Raises:
        MalformedError: when a side or number in it is none.
        Refusal: when its contract or account isn't one, or when it asks for more than this gateway knows.
    """
    order_id = request.whole("orderId")
    _check_plain(request)
    return Ticket(
        client_id=client_id,
        order_id=order_id,
        con_id=listing_described(request, scenario.market).contract.con_id,
        account=request["account"] or _only_account(scenario),
        side=_side(request),
        quantity=request.number("totalQuantity"),
        order_type=request["orderType"],
        limit_price=None if is_unset(request["lmtPrice"]) else request.number("lmtPrice"),
        tif=request["tif"],
        outside_rth=request["outsideRth"] == "1",
        order_ref=request["orderRef"],
    )


def wanted(executions: Iterable[Execution], request: Message, market: Market) -> list[Execution]:
    """Those that pass the filter of a `reqExecutions`, whose empty fields and client 0 let all pass.

    Raises:
        Refusal: when its time is none.
    """
    since = _since(request["time"])
    return [
        execution
        for execution in executions
        if execution.time >= since and all(request[field] in passing for field, passing in _marks(execution, market))
    ]


def _marks(execution: Execution, market: Market) -> list[tuple[str, set[str]]]:
    """What each field of the filter may say to let it pass."""
    order = execution.ticket
    contract = market.listings[order.con_id].contract
    return [
        ("clientId", {"", "0", str(order.client_id)}),
        ("account", {"", order.account}),
        ("symbol", {"", contract.symbol}),
        ("secType", {"", contract.sec_type}),
        ("exchange", {"", contract.primary_exchange}),
        ("side", {"", order.side, SIDES[order.side]}),
    ]


def _since(text: str) -> datetime:
    """`20261123-15:30:00` is UTC; `20261123 10:30:00 US/Eastern` says its zone, or means the gateway's."""
    if not text:
        return datetime.min.replace(tzinfo=UTC)
    if "-" in text:
        text = text.replace("-", " ") + " UTC"
    day, _, rest = text.partition(" ")
    time, _, zone = rest.partition(" ")
    try:
        return datetime.strptime(f"{day} {time}", TIME).replace(tzinfo=ZoneInfo(zone or ZONE))
    except (ValueError, OSError, ZoneInfoNotFoundError) as exc:  # a folder of zones is an OSError
        raise Refusal(321, f"Error validating request.-'bM' : cause - Invalid time '{text}'.") from exc


def _side(request: Message) -> Side:
    match request["action"]:
        case "BUY" | "SELL" as side:
            return side
        case other:
            raise MalformedError(f"placeOrder: action is {other!r}, neither BUY nor SELL")


def _only_account(scenario: Scenario) -> str:
    if len(scenario.accounts) > 1:
        raise Refusal(435)
    return next(iter(scenario.accounts))


def _check_plain(request: Message) -> None:
    asked = [name for name in LEFT_OPEN.split() if not (is_unset(request[name]) or not request[name].strip("0."))]
    if request.values["conditions"]:
        asked.append("conditions")
    if request["transmit"] != "1":
        asked.append("transmit")
    if asked:
        cause = f"This gateway takes plain orders only, without {', '.join(asked)}."
        raise Refusal(321, f"Error validating request.-'bS' : cause - {cause}")
