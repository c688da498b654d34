"""Orders of other people: as the control endpoint states them, or as a fault makes them. Pure."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from ibkr_rebalancer.sandbox.venue.document import (
    Document,
    Keys,
    ScenarioError,
    check_keys,
    choice,
    given,
    number,
    text,
    whole,
)
from ibkr_rebalancer.sandbox.venue.faults import OrderFault
from ibkr_rebalancer.sandbox.venue.orders import Ticket
from ibkr_rebalancer.sandbox.venue.scenario import Scenario, find_contract

FOREIGN_CLIENT = 99
"""Whose they are where nobody is named."""
KEYS: Keys = {
    "client": whole,
    "account": text,
    "contract": text,
    "side": choice("BUY", "SELL"),
    "quantity": number,
    "limit_price": number,
    "tif": text,
    "order_ref": text,
}


def read_ticket(body: Document, scenario: Scenario, *, order_id: int) -> Ticket:
    """`{contract: AAA, side: SELL, quantity: 5}`: of the first account and client 99, at market, unless stated.

    The contract is named by its key in the market or its con_id; with a `limit_price` it is a limit order.

    Raises:
        ScenarioError: for anything it doesn't know, naming the place.
    """
    check_keys("order", body, set(KEYS))
    stated = given("order", body, KEYS)
    con_id = find_contract("order.contract", stated.get("contract", ""), scenario.market)
    if not {"side", "quantity"} <= stated.keys():
        raise ScenarioError("order", "needs a side and a quantity")
    return Ticket(
        client_id=stated.get("client", FOREIGN_CLIENT),
        order_id=order_id,
        con_id=con_id,
        account=stated.get("account", next(iter(scenario.accounts))),
        side=stated["side"],
        quantity=stated["quantity"],
        order_type="MKT" if "limit_price" not in stated else "LMT",
        limit_price=stated.get("limit_price"),
        tif=stated.get("tif", "DAY"),
        outside_rth=False,
        order_ref=stated.get("order_ref", ""),
    )


def beside(ticket: Ticket, fault: OrderFault, *, order_id: int) -> Ticket:
    """What another client asks for at the same moment, in the same account and contract."""
    stated: dict[str, Any] = dict(fault.parameters)
    limit = {"order_type": "LMT", "limit_price": stated["limit_price"]} if "limit_price" in stated else {}
    return replace(
        ticket,
        client_id=stated.get("client", FOREIGN_CLIENT),
        order_id=order_id,
        side=stated.get("side", ticket.side),
        quantity=Decimal(stated.get("quantity", ticket.quantity)),
        order_ref="",
        **limit,
    )
