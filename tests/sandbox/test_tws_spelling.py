"""Orders as both clients spell them, with every part an order can have: read whole, with nothing left over."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import ib_async
import ibapi.client
import ibapi.contract
import ibapi.order
import ibapi.order_condition
import ibapi.tag_value
import ibapi.wrapper
import pytest
from tests.support.sandbox import scenario_with

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT
from ibkr_rebalancer.sandbox.tws.session import SERVER_VERSION
from ibkr_rebalancer.sandbox.tws.tickets import ticket
from ibkr_rebalancer.sandbox.tws.wire import Message, split_fields

Clients = SimpleNamespace
"""The classes of a client library."""
Changed = Callable[[Clients, Any, Any], None]
"""Makes another order of a plain one: from the library's classes, the contract and the order."""


class IbAsync(ib_async.Client):
    """Its encoder, with what it would send."""

    def __init__(self) -> None:
        self._serverVersion = SERVER_VERSION
        self.sent: list[str] = []

    def isConnected(self) -> bool:  # noqa: N802  # its name
        return True

    def sendMsg(self, msg: str) -> None:  # noqa: N802  # its name
        self.sent += split_fields(msg.encode())


class Ibapi(ibapi.client.EClient):  # type: ignore[misc]  # it has no types
    """Its encoder, with what it would send."""

    def __init__(self) -> None:
        super().__init__(ibapi.wrapper.EWrapper())
        self.serverVersion_ = SERVER_VERSION
        self.sent: list[str] = []

    def isConnected(self) -> bool:  # noqa: N802  # its name
        return True

    def sendMsg(self, number: int, msg: str) -> None:  # noqa: N802  # its name
        self.sent += [str(number), *split_fields(msg.encode())]


def ibapi_conditions() -> list[Any]:
    of = ibapi.order_condition
    return [
        of.PriceCondition(0, 101, "SMART", True, 100.5),
        of.TimeCondition(True, "20261123 15:30:00 UTC"),
        of.MarginCondition(True, 30),
        of.ExecutionCondition("STK", "SMART", "AAA"),
        of.VolumeCondition(101, "SMART", True, 1000),
        of.PercentChangeCondition(101, "SMART", True, 1.5),
    ]


def ib_async_conditions() -> list[Any]:
    return [
        ib_async.PriceCondition(price=100.5, conId=101, exch="SMART"),
        ib_async.TimeCondition(time="20261123 15:30:00 UTC"),
        ib_async.MarginCondition(percent=30),
        ib_async.ExecutionCondition(secType="STK", exch="SMART", symbol="AAA"),
        ib_async.VolumeCondition(volume=1000, conId=101, exch="SMART"),
        ib_async.PercentChangeCondition(changePercent=1.5, conId=101, exch="SMART"),
    ]


IB_ASYNC = Clients(
    client=IbAsync,
    contract=ib_async.Contract,
    order=ib_async.Order,
    leg=ib_async.ComboLeg,
    leg_price=ib_async.OrderComboLeg,
    pair=ib_async.TagValue,
    delta_neutral=ib_async.DeltaNeutralContract,
    conditions=ib_async_conditions,
)
IBAPI = Clients(
    client=Ibapi,
    contract=ibapi.contract.Contract,
    order=ibapi.order.Order,
    leg=ibapi.contract.ComboLeg,
    leg_price=ibapi.order.OrderComboLeg,
    pair=ibapi.tag_value.TagValue,
    delta_neutral=ibapi.contract.DeltaNeutralContract,
    conditions=ibapi_conditions,
)


def spelled(clients: Clients, change: Changed) -> Message:
    contract, order = clients.contract(), clients.order()
    contract.conId, contract.secType, contract.exchange = 101, "STK", "SMART"
    order.action, order.totalQuantity, order.orderType, order.tif, order.account = "BUY", 20, "MKT", "DAY", "DU1"
    change(clients, contract, order)
    client = clients.client()
    client.placeOrder(12, contract, order)
    return FROM_CLIENT[3].read(client.sent)


def with_order(**values: Any) -> Changed:
    def change(_: Clients, __: Any, order: Any) -> None:
        for name, value in values.items():
            setattr(order, name, value)

    return change


def with_legs(clients: Clients, contract: Any, order: Any) -> None:
    contract.secType, contract.comboLegs = "BAG", [clients.leg(), clients.leg()]
    order.orderComboLegs, order.smartComboRoutingParams = [clients.leg_price()], [clients.pair("NonGuaranteed", "1")]


def with_algo(clients: Clients, _: Any, order: Any) -> None:
    order.algoStrategy, order.algoParams = "Vwap", [clients.pair("maxPctVol", "0.1"), clients.pair("noTakeLiq", "1")]


def with_delta_neutral_contract(clients: Clients, contract: Any, _: Any) -> None:
    contract.deltaNeutralContract = clients.delta_neutral()
    contract.deltaNeutralContract.conId = 102


def with_conditions(clients: Clients, _: Any, order: Any) -> None:
    order.conditions = clients.conditions()


def routed_to_ibkrats(_: Clients, contract: Any, __: Any) -> None:
    contract.exchange = "IBKRATS"


PLAIN_ORDERS: dict[str, Changed] = {
    "market": with_order(),
    "limit": with_order(orderType="LMT", lmtPrice=90.5, orderRef="rb1-x-1", outsideRth=True),
    "to the cent": with_order(orderType="LMT", action="SELL", lmtPrice=0.01, totalQuantity=1),
}
OTHER_ORDERS: dict[str, Changed] = {
    "what-if": with_order(whatIf=True),
    "delta neutral": with_order(deltaNeutralOrderType="MKT"),
    "scale": with_order(scalePriceIncrement=0.5),
    "no scale": with_order(scalePriceIncrement=0.0),
    "hedge": with_order(hedgeType="D", hedgeParam="1"),
    "peg bench": with_order(orderType="PEG BENCH"),
    "peg best": with_order(orderType="PEG BEST", competeAgainstBestOffset=0.02),
    "peg best up to mid": with_order(orderType="PEG BEST", competeAgainstBestOffset=math.inf),
    "peg mid": with_order(orderType="PEG MID"),
    "by cash": with_order(cashQty=500),
    "legs": with_legs,
    "algo": with_algo,
    "delta neutral contract": with_delta_neutral_contract,
    "conditions": with_conditions,
    "ibkrats": routed_to_ibkrats,
}


@pytest.mark.parametrize("clients", [IB_ASYNC, IBAPI], ids=["ib_async", "ibapi"])
@pytest.mark.parametrize("order", OTHER_ORDERS)
def test_every_kind_of_order_is_read_whole(clients: Clients, order: str) -> None:
    message = spelled(clients, OTHER_ORDERS[order])
    assert (message["orderId"], message["whatIf"], message["manualOrderTime"]) == (
        "12",
        str(int(order == "what-if")),
        "",
    )


@pytest.mark.parametrize("order", PLAIN_ORDERS)
def test_a_plain_order_is_the_same_ticket_whoever_spells_it(order: str) -> None:
    tickets = [
        ticket(spelled(clients, PLAIN_ORDERS[order]), client_id=7, scenario=scenario_with())
        for clients in (IB_ASYNC, IBAPI)
    ]
    assert tickets[0] == tickets[1]
    assert (tickets[0].limit_price is None) == (order == "market")
