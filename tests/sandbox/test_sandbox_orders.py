"""Orders over real sockets: time goes on by itself, each client is told, the log says what is true."""

import asyncio

from ib_async import IB, Contract, LimitOrder, MarketOrder, Trade
from tests.support.sandbox import LOOPBACK, StartSandbox, events, fault, order_messages, sent

from ibkr_rebalancer.sandbox.run import Sandbox

AAA = Contract(secType="STK", conId=101, exchange="SMART")


async def connected(sandbox: Sandbox, client_id: int = 7) -> IB:
    ib = IB()
    await ib.connectAsync(LOOPBACK, sandbox.gateway_port, client_id, account="DU1", raiseSyncErrors=True)
    return ib


def market_order(quantity: int) -> MarketOrder:
    return MarketOrder("BUY", quantity, tif="DAY", account="DU1", orderRef="rb1-x-1")


def limit_order(price: float) -> LimitOrder:
    return LimitOrder("BUY", 5, price, tif="DAY", account="DU1")


async def told(ib: IB, trade: Trade, status: str) -> None:
    async with asyncio.timeout(5):
        while trade.orderStatus.status != status:
            await ib.updateEvent


async def test_a_fill_comes_by_itself_after_its_delay_and_the_latency_either_way(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=20, fills={"delay_ms": 30})
    ib = await connected(sandbox)
    loop = asyncio.get_running_loop()
    before = loop.time()
    trade = ib.placeOrder(AAA, market_order(5))
    await told(ib, trade, "Filled")
    assert loop.time() - before >= 0.07
    ib.disconnect()


async def test_positions_and_account_values_are_told_after_a_fill(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ib = await connected(sandbox)
    watching = await connected(sandbox, 8)
    moved = asyncio.gather(ib.positionEvent, watching.positionEvent)
    ib.placeOrder(AAA, market_order(5))
    async with asyncio.timeout(5):
        await moved
        while ib.portfolio("DU1")[0].position != 105:
            await ib.updateEvent
    assert [position.position for position in watching.positions()] == [105]
    assert {value.value for value in ib.accountValues("DU1") if value.tag == "TotalCashValue"} == {"9498.95"}
    assert not watching.trades()
    ib.disconnect()
    watching.disconnect()


async def test_the_log_tells_a_message_then_what_came_of_it_then_what_was_said(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ib = await connected(sandbox)
    started = len(sandbox.log)
    trade = ib.placeOrder(AAA, market_order(5))
    await told(ib, trade, "Filled")
    ib.disconnect()
    names = [record.get("event") or record["message"] for record in sandbox.log[started:]]
    assert names[:11] == [
        *("placeOrder", "order_message", "order", "openOrder", "orderStatus"),
        *("execution", "order", "commission", "execDetails", "openOrder", "orderStatus"),
    ]
    order, filled = events(sandbox.log, "order")
    about = {"account": "DU1", "con_id": 101, "symbol": "AAA", "side": "BUY", "order_ref": "rb1-x-1", "client_id": 7}
    assert about.items() <= order.items()
    assert (order["status"], order["quantity"], order["price"], order["filled"]) == ("PreSubmitted", "5", None, "0")
    assert (filled["status"], filled["filled"], filled["perm_id"]) == ("Filled", "5", order["perm_id"])
    (execution,), (commission,) = events(sandbox.log, "execution"), events(sandbox.log, "commission")
    assert about.items() <= execution.items()
    assert (execution["quantity"], execution["price"], execution["cumulative"]) == ("5", "100.01", "5")
    assert (commission["exec_id"], commission["commission"]) == (execution["exec_id"], "1.00")


async def test_an_error_about_an_order_is_a_complaint_in_the_log(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ib = await connected(sandbox)
    trade = ib.placeOrder(AAA, market_order(1_000_000))
    await told(ib, trade, "Inactive")
    ib.disconnect()
    (complaint,) = events(sandbox.log, "complaint")
    assert (complaint["client_id"], complaint["order_id"], complaint["code"]) == (7, trade.order.orderId, 201)


async def test_an_order_fills_while_its_client_is_away(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(fills={"delay_ms": 30}, faults=[fault("openOrder", "disconnect", count=1)])
    watching = await connected(sandbox, 8)
    ib = await connected(sandbox)
    gone, moved = asyncio.gather(ib.disconnectedEvent), asyncio.gather(watching.positionEvent)
    ib.placeOrder(AAA, market_order(5))
    async with asyncio.timeout(5):
        await gone
        await moved
    again = await connected(sandbox)
    assert [(fill.execution.orderRef, fill.execution.shares) for fill in again.fills()] == [("rb1-x-1", 5)]
    for client in (again, watching):
        client.disconnect()


async def test_an_order_arrives_although_its_client_is_gone_meanwhile(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=20)
    watching = await connected(sandbox, 8)
    ib = await connected(sandbox)
    moved = asyncio.gather(watching.positionEvent)
    ib.placeOrder(AAA, market_order(5))
    ib.disconnect()
    async with asyncio.timeout(5):
        await moved
    watching.disconnect()
    assert [row["status"] for row in events(sandbox.log, "order")] == ["PreSubmitted", "Filled"]


async def test_a_day_order_ends_when_the_clock_is_set_past_the_close(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ib = await connected(sandbox)
    trade = ib.placeOrder(AAA, limit_order(90))
    await told(ib, trade, "Submitted")
    sandbox.change({"clock": "2026-11-23T21:00:01Z"})
    await told(ib, trade, "Cancelled")
    ib.disconnect()


async def test_a_read_only_gateway_takes_no_orders_until_it_is_set_free(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(read_only=True)
    ib = await connected(sandbox)
    refused = ib.placeOrder(AAA, limit_order(90))
    await told(ib, refused, "ValidationError")
    assert refused.log[-1].errorCode == 321
    assert not events(sandbox.log, "order")
    sandbox.change({"read_only": False})
    taken = ib.placeOrder(AAA, limit_order(90))
    await told(ib, taken, "Submitted")
    ib.disconnect()
    assert len(order_messages(sandbox.log)) == 2


async def test_thirty_orders_at_once_are_all_told(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(accounts={"DU1": {"cash": "1000000"}}, latency_ms=5)
    ib = await connected(sandbox)
    trades = [ib.placeOrder(AAA, market_order(1)) for _ in range(30)]
    for trade in trades:
        await told(ib, trade, "Filled")
    ib.disconnect()
    assert len(sent(sandbox.log, "execDetails")) == 30
    assert len({trade.orderStatus.permId for trade in trades}) == 30
