"""The traps of ib_async 2.1.0 that concern orders: each shut in the product, and some shown open in the library.

A test named `in_ib_async_itself` shows what a wrapper around the library's `IB` class would have believed. When one of
them fails, the library has been mended, and our way around it can be looked at again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import ib_async
import pytest
from tests.support.desk import (
    PATIENCE_S,
    evidence_of,
    filled,
    has_status,
    heard_until,
    intent,
    is_charged,
    order_fault,
    resting,
    statuses,
    trading,
)
from tests.support.reading import DU1, SOON_S, until
from tests.support.sandbox import LOOPBACK, StartSandbox, fault, received

from ibkr_rebalancer.core.errors import GatewayRefused, GatewayUnavailable
from ibkr_rebalancer.core.evidence import Completed, ErrorTold, Evidence, Executed
from ibkr_rebalancer.core.order_book import Heard, OrderBook

ALIVE = [399, 404, 2109, 2137, 2161, 10349]
"""Errors that name an order which lives on."""
TAKEN_FOR_DEATH = [103, 104, 105, 110, 10147, 10148, 10197]
"""Errors after which ib_async calls an order cancelled or invalid, whatever became of it."""
LIVE_PRINT = {"execDetails": {"reqId": "-1"}}
AAA = ib_async.Contract(conId=101, exchange="SMART")


@asynccontextmanager
async def naive(port: int) -> AsyncIterator[ib_async.IB]:
    """The library as its documentation uses it."""
    ib = ib_async.IB()
    try:
        yield await ib.connectAsync(LOOPBACK, port, clientId=1, timeout=SOON_S)
    finally:
        ib.disconnect()
        await until(lambda: ib.client.conn.transport is None)


def naive_order(**given: object) -> ib_async.Order:
    return ib_async.Order(action="BUY", totalQuantity=5, orderType="MKT", account="DU1", **given)  # type: ignore[arg-type]


def errors_of(order_ref: str, heard: OrderBook | list[Heard]) -> list[int]:
    return [each.code for each in evidence_of(order_ref, heard) if isinstance(each, ErrorTold)]


def all_told(order_ref: str, heard: OrderBook | list[Heard]) -> set[type[Evidence]]:
    return set(map(type, evidence_of(order_ref, heard)))


# 4: completed orders and executions, which some gateways never answer


@pytest.mark.parametrize("request_name", ["reqCompletedOrders", "reqExecutions"])
async def test_trap_4_a_look_that_is_never_answered_is_no_look(start_sandbox: StartSandbox, request_name: str) -> None:
    sandbox = await start_sandbox(faults=[fault(request_name, "drop")])
    async with trading(sandbox.gateway_port, answer_s=SOON_S) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, has_status("rb1-test-1", "Filled"))
        with pytest.raises(GatewayUnavailable, match="did not deliver"):
            await gateway.desk.order_book(DU1)


async def test_trap_4_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("reqCompletedOrders", "drop")])
    async with naive(sandbox.gateway_port) as ib:
        assert ib.trades() == []


# 5: executions of other accounts


async def test_trap_5_executions_are_asked_of_one_account(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.order_book(DU1)
    (asked,) = received(sandbox.log, "reqExecutions")
    assert asked["fields"][3:5] == ["0", "DU1"]


# 6: when the connection dies, what is known of orders dies with it


@pytest.mark.parametrize("message", ["openOrder", "orderStatus", "execDetails", "commissionReport"])
async def test_trap_6_cut_at_any_word_about_an_order_nothing_is_lost(start_sandbox: StartSandbox, message: str) -> None:
    sandbox = await start_sandbox(faults=[fault(message, "disconnect", count=1)])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        with pytest.raises(GatewayUnavailable):
            await heard_until(gateway.desk, lambda _: False)
    await until(lambda: not sandbox.state()["clients"])
    async with trading(sandbox.gateway_port) as gateway:
        async with asyncio.timeout(PATIENCE_S):
            while filled("rb1-test-1", book := await gateway.desk.order_book(DU1)) < 5:
                pass
    assert filled("rb1-test-1", book) == 5
    assert len(received(sandbox.log, "placeOrder")) == 1


async def test_trap_6_cut_before_an_order_arrives(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("placeOrder", "disconnect", count=1)])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        with pytest.raises(GatewayUnavailable):
            await heard_until(gateway.desk, lambda _: False)
    await until(lambda: not sandbox.state()["clients"])
    async with trading(sandbox.gateway_port) as gateway:
        book = await gateway.desk.order_book(DU1)
    assert (book.open_orders, book.heard) == ((), ())


async def test_trap_6_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[order_fault("hold")])
    async with naive(sandbox.gateway_port) as ib:
        trade = ib.placeOrder(AAA, naive_order(tif="DAY"))
        await until(lambda: trade.orderStatus.status == "PreSubmitted")
        sandbox.kick()
        await until(lambda: not ib.isConnected())
        assert ib.trades() == []
        assert trade.orderStatus.status == "PreSubmitted"


# 7: our own disconnecting leaves waits hanging (test_leaving_ends_a_wait_for_news in test_orders.py)
# 8: 1100 changes nothing (test_nothing_is_sent_while_the_link_is_down there)


async def test_trap_8_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with naive(sandbox.gateway_port) as ib:
        sandbox.notice(1100)
        trade = ib.placeOrder(AAA, naive_order(tif="DAY"))
        await until(lambda: trade.orderStatus.status == "Filled")


# 10: what a gateway that only reads says of an order is a warning, and its preview hangs


async def test_trap_10_a_gateway_that_only_reads_is_heard_of_an_order(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(read_only=True)
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        heard = await heard_until(gateway.desk, lambda heard: errors_of("rb1-test-1", heard))
        book = await gateway.desk.order_book(DU1)
    (error,) = evidence_of("rb1-test-1", heard)
    assert isinstance(error, ErrorTold)
    assert (error.code, "Read-Only" in error.text) == (321, True)
    assert (book.open_orders, book.heard) == ((), ())


async def test_trap_10_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(read_only=True)
    async with naive(sandbox.gateway_port) as ib:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ib.whatIfOrderAsync(AAA, naive_order(tif="DAY")), SOON_S)
        trade = ib.placeOrder(AAA, naive_order(tif="DAY"))
        await until(lambda: trade.orderStatus.status == "ValidationError")
        assert trade.isActive()


# 12: two requests of a kind share a key, and the first never ends


async def test_trap_12_looks_take_turns(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=1)
    async with trading(sandbox.gateway_port) as gateway, asyncio.timeout(PATIENCE_S):
        books = await asyncio.gather(*(gateway.desk.order_book(DU1) for _ in range(3)))
    assert len(books) == 3


# 16: an error is taken for the end of an order that lives


@pytest.mark.parametrize("code", [*ALIVE, *TAKEN_FOR_DEATH])
async def test_trap_16_an_error_is_told_and_the_order_fills(start_sandbox: StartSandbox, code: int) -> None:
    sandbox = await start_sandbox(faults=[order_fault("warn", code=code)])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        heard = await heard_until(gateway.desk, is_charged("rb1-test-1"))
        book = await gateway.desk.order_book(DU1)
    assert errors_of("rb1-test-1", heard) == [code]
    assert set(statuses("rb1-test-1", heard)) == {"PreSubmitted", "Filled"}
    assert filled("rb1-test-1", book) == 5


async def test_trap_16_a_preset_finds_nothing_to_set(start_sandbox: StartSandbox) -> None:
    """The sandbox sends 10349 for an order without time in force, as gateways do."""
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        heard = await heard_until(gateway.desk, is_charged("rb1-test-1"))
    assert errors_of("rb1-test-1", heard) == []


async def test_trap_16_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(fills={"delay_ms": 50})
    async with naive(sandbox.gateway_port) as ib:
        trade = ib.placeOrder(AAA, naive_order())
        await until(trade.isDone)
        assert (trade.orderStatus.status, trade.filled()) == ("Cancelled", 0)
        await until(lambda: trade.filled() == 5)


# 17: remarks turn into a status of their own


@pytest.mark.parametrize("code", ALIVE[:5])
async def test_trap_17_statuses_are_the_brokers_words_only(start_sandbox: StartSandbox, code: int) -> None:
    sandbox = await start_sandbox(faults=[order_fault("hold"), order_fault("warn", code=code)])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        heard = await heard_until(gateway.desk, lambda heard: errors_of("rb1-test-1", heard))
        (listed,) = (await gateway.desk.order_book(DU1)).open_orders
    assert set(statuses("rb1-test-1", heard)) == {"PreSubmitted"}
    assert listed.status == "PreSubmitted"


async def test_trap_17_an_order_that_waits_for_the_open_waits(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(market={"AAA": {"hours": "closed"}})
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        heard = await heard_until(gateway.desk, lambda heard: errors_of("rb1-test-1", heard))
    assert errors_of("rb1-test-1", heard) == [399]
    assert set(statuses("rb1-test-1", heard)) == {"PreSubmitted"}


async def test_trap_17_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(market={"AAA": {"hours": "closed"}})
    async with naive(sandbox.gateway_port) as ib:
        trade = ib.placeOrder(AAA, naive_order(tif="DAY"))
        await until(lambda: trade.orderStatus.status == "ValidationError")


# 18: an order is called filled before its executions have come


async def test_trap_18_executions_after_the_last_status_are_heard(start_sandbox: StartSandbox) -> None:
    late = [fault("execDetails", "delay", parameters={"ms": 60}), order_fault("commission_late", ms=30)]
    sandbox = await start_sandbox(faults=late)
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        early = await heard_until(gateway.desk, has_status("rb1-test-1", "Filled"))
        late_news = await heard_until(gateway.desk, is_charged("rb1-test-1"))
    assert filled("rb1-test-1", early) == 0
    assert filled("rb1-test-1", late_news) == 5


@pytest.mark.parametrize("action", ["duplicate", "drop"])
@pytest.mark.parametrize(
    ("message", "last"),
    [
        ("openOrder", is_charged("rb1-test-1")),
        ("orderStatus", is_charged("rb1-test-1")),
        ("execDetails", has_status("rb1-test-1", "Filled")),
        ("commissionReport", has_status("rb1-test-1", "Filled")),
    ],
)
async def test_trap_18_words_that_come_twice_or_never(
    start_sandbox: StartSandbox, message: str, action: str, last: Callable[[list[Heard]], bool]
) -> None:
    sandbox = await start_sandbox(faults=[fault(message, action, where=LIVE_PRINT.get(message, {}))])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, last)
        book = await gateway.desk.order_book(DU1)
    assert filled("rb1-test-1", book) == 5


async def test_trap_18_a_correction_is_heard_beside_what_it_corrects(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[order_fault("correct", price="99.50", ms=5)])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        heard = await heard_until(gateway.desk, lambda heard: filled("rb1-test-1", heard) == 10)
    prints = [each for each in evidence_of("rb1-test-1", heard) if isinstance(each, Executed)]
    assert [each.exec_id[-2:] for each in prints] == ["01", "02"]
    assert [str(each.price) for each in prints] == ["100.01", "99.5"]


# 19: orders of other clients


async def test_trap_19_other_clients_orders_are_seen_and_left_alone(start_sandbox: StartSandbox) -> None:
    """Both clients number their orders alike; what is said of the one is not heard of the other."""
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway, naive(sandbox.gateway_port) as ib:
        await gateway.desk.place(resting())
        await heard_until(gateway.desk, has_status("rb1-test-1", "Submitted"))
        (ours,) = (await gateway.desk.order_book(DU1)).open_orders
        number = int(received(sandbox.log, "placeOrder")[0]["fields"][1])
        theirs = ib.placeOrder(AAA, naive_order(tif="DAY", orderId=number, orderRef="theirs"))
        await until(lambda: theirs.filled() == 5)
        book = await gateway.desk.order_book(DU1)
        news = await gateway.desk.heard(DU1, within_s=0)
    assert ours.client_id == 11
    assert [order.order_ref for order in book.open_orders] == ["rb1-test-1"]
    assert {heard.order_ref for heard in (*book.heard, *news)} == {"rb1-test-1"}
    assert filled("rb1-test-1", book) == 0


async def test_trap_19_an_order_of_ours_from_another_client_is_heard_under_its_reference(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port, client_id=10) as watch, trading(sandbox.gateway_port) as gateway:
        await watch.desk.place(intent(client_id=10))
        await heard_until(watch.desk, is_charged("rb1-test-1"))
        book = await gateway.desk.order_book(DU1)
        with pytest.raises(GatewayRefused):
            await gateway.desk.cancel(intent())
    assert filled("rb1-test-1", book) == 5


async def test_trap_19_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway, naive(sandbox.gateway_port) as ib:
        await gateway.desk.place(resting())
        await heard_until(gateway.desk, has_status("rb1-test-1", "Submitted"))
        errors: list[int] = []
        ib.errorEvent += lambda _, code, *__: errors.append(code)
        (trade,) = await ib.reqAllOpenOrdersAsync()
        ib.cancelOrder(trade.order)
        await until(lambda: 10147 in errors)
        assert trade.orderStatus.status == "PendingCancel", "for ever"


# 20: completed orders have lost their numbers


async def test_trap_20_completed_orders_tell_what_has_filled(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[order_fault("partial", shares=2) | {"when": {"order": {}, "count": 1}}])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await gateway.desk.place(intent(2))
        await heard_until(gateway.desk, has_status("rb1-test-2", "Filled"))
        await gateway.desk.cancel(intent())
        await heard_until(gateway.desk, has_status("rb1-test-1", "Cancelled"))
    async with trading(sandbox.gateway_port) as gateway:
        book = await gateway.desk.order_book(DU1)
    (partial,) = [each for each in evidence_of("rb1-test-1", book) if isinstance(each, Completed)]
    (whole,) = [each for each in evidence_of("rb1-test-2", book) if isinstance(each, Completed)]
    assert (partial.status, partial.filled) == ("Cancelled", Decimal(2))
    assert (whole.status, whole.filled) == ("Filled", Decimal(5))


async def test_trap_20_in_ib_async_itself(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, is_charged("rb1-test-1"))
    async with naive(sandbox.gateway_port) as ib:
        (trade,) = ib.trades()
        assert (trade.order.orderId, trade.order.totalQuantity, trade.orderStatus.filled) == (0, 0, 0)


# 21: sending changes the order that is sent


async def test_trap_21_the_same_intent_is_sent_alike_again(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.what_if(intent())
        await gateway.desk.place(intent())
        await until(lambda: len(received(sandbox.log, "placeOrder")) == 2)
    asked, sent = (record["fields"] for record in received(sandbox.log, "placeOrder"))
    differing = [index for index, (one, other) in enumerate(zip(asked, sent, strict=True)) if one != other]
    assert len(differing) == 2, "its number, and that it is no preview"


# 22: what happens to orders while the link is down is not said afterwards


@pytest.mark.parametrize("back", [1101, 1102])
async def test_trap_22_a_look_after_an_interruption_tells_what_was_missed(
    start_sandbox: StartSandbox, back: int
) -> None:
    unsaid = [
        fault("execDetails", "drop", where={"reqId": "-1"}),
        fault("openOrder", "drop", where={"status": "Filled"}),
        fault("orderStatus", "drop", where={"status": "Filled"}),
    ]
    sandbox = await start_sandbox(faults=unsaid)
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, has_status("rb1-test-1", "PreSubmitted"))
        sandbox.notice(1100)
        with pytest.raises(GatewayUnavailable):
            await heard_until(gateway.desk, lambda _: False)
        sandbox.notice(back)
        await until(lambda: not gateway.desk._conversation.link.trouble.done())  # type: ignore[attr-defined]
        async with asyncio.timeout(PATIENCE_S):
            while filled("rb1-test-1", book := await gateway.desk.order_book(DU1)) < 5:
                pass
    assert Completed in all_told("rb1-test-1", book)


# All of them


async def test_two_orders_of_one_reference_are_told_apart_by_their_permanent_ids(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[order_fault("duplicate_perm"), order_fault("hold")])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, has_status("rb1-test-1", "PreSubmitted"))
        book = await gateway.desk.order_book(DU1)
    assert len({order.perm_id for order in book.open_orders if order.order_ref == "rb1-test-1"}) == 2
    assert len({each.perm_id for each in evidence_of("rb1-test-1", book)}) == 2  # type: ignore[union-attr]


async def test_a_desk_never_cancels_globally(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        public = {name for name in dir(gateway.desk) if not name.startswith("_")}
    assert public == {"cancel", "client_id", "heard", "order_book", "place", "turn", "what_if"}
