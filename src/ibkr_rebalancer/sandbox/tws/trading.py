"""What a client does with orders: place, preview, cancel. No I/O; the time is an argument."""

from datetime import datetime

from ibkr_rebalancer.sandbox.tws.figures import error
from ibkr_rebalancer.sandbox.tws.lookup import Refusal
from ibkr_rebalancer.sandbox.tws.orders import order_status, previewed_order
from ibkr_rebalancer.sandbox.tws.tickets import ticket
from ibkr_rebalancer.sandbox.tws.wire import Message
from ibkr_rebalancer.sandbox.venue.orders import Complained, Event
from ibkr_rebalancer.sandbox.venue.venue import Venue

READ_ONLY = "Error validating request.-'bQ' : cause - The API interface is currently in Read-Only mode."


def trade(request: Message, venue: Venue, client_id: int, now: datetime) -> tuple[list[Message], list[Event]]:
    """Do what an order message asks for; the answers that no event tells, and the events.

    Raises:
        MalformedError: when the message is not the protocol.
        Refusal: when the gateway passes it on to nobody.
    """
    if venue.scenario.read_only:
        raise Refusal(321, READ_ONLY)
    match request.layout.name:
        case "placeOrder" if request["whatIf"] == "1":
            return [_preview(request, venue, client_id)], []
        case "placeOrder":
            return [], venue.place(ticket(request, client_id, venue.scenario), now)
        case "cancelOrder":
            order_id = request.whole("orderId")
            return _pending(order_id, venue, client_id), venue.cancel(client_id, order_id, now)
        case _:
            return [], venue.cancel_all(now)


def _preview(request: Message, venue: Venue, client_id: int) -> Message:
    asked = ticket(request, client_id, venue.scenario)
    match venue.preview(asked):
        case Complained(code=code, text=text):
            return error(code, about=request["orderId"], text=text)
        case preview:
            return previewed_order(asked, preview, venue.scenario.market)


def _pending(order_id: int, venue: Venue, client_id: int) -> list[Message]:
    """That a cancel is under way, before anyone knows what comes of it."""
    named = (client_id, order_id)
    orders = [order for order in venue.open_orders if (order.ticket.client_id, order.ticket.order_id) == named]
    return [order_status(order, status="PendingCancel") for order in orders]
