"""The desk: what it sends, when it refuses to, and that it hears of every order of ours, whoever tells it and how."""

import asyncio
import time
from contextlib import AsyncExitStack
from decimal import Decimal

import pytest
from tests.support.desk import (
    DESK_ID,
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
from tests.support.reading import DU1, SOON_S, read_everything, until
from tests.support.sandbox import StartSandbox, fault, order_messages, received, sent

from ibkr_rebalancer.core.errors import Busy, GatewayRefused, GatewayUnavailable, RebalancerError, Refused
from ibkr_rebalancer.core.evidence import Commissioned, Completed, ErrorTold, Executed
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.connection import TradingGateway
from ibkr_rebalancer.sandbox.log import Record
from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT

DU2 = AccountId("DU2")
NEVER = fault("order", "hold") | {"when": "order"}
"""No order fills."""


def placed(log: list[Record]) -> list[dict[str, str]]:
    """Every `placeOrder` that the gateway has received, field by field."""
    return [FROM_CLIENT[3].read(record["fields"]).texts for record in received(log, "placeOrder")]


def failures(gateway: TradingGateway) -> int:
    """How often the link has failed, as far as the gateway's message has arrived."""
    return gateway.desk._conversation.link.failures  # type: ignore[attr-defined,no-any-return]


async def failure_of(doing: object) -> RebalancerError:
    with pytest.raises(RebalancerError) as caught:
        await doing  # type: ignore[misc]  # whatever can be awaited
    return caught.value


# Sending


async def test_a_market_order_says_all_that_presets_could_change(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent(side=Side.SELL, quantity=100))
        await until(lambda: placed(sandbox.log))
    (order,) = placed(sandbox.log)
    said = {
        "conId": "101",
        "symbol": "",
        "exchange": "SMART",
        "action": "SELL",
        "totalQuantity": "100",
        "orderType": "MKT",
        "lmtPrice": "",
        "auxPrice": "",
        "tif": "DAY",
        "outsideRth": "0",
        "account": "DU1",
        "orderRef": "rb1-test-1",
        "transmit": "1",
        "whatIf": "0",
        "cashQty": "",
    }
    assert {name: order[name] for name in said} == said


@pytest.mark.parametrize("price", ["90.05", "90", "9E+1", "0.0001", "123456.7", "90.10"])
async def test_a_limit_goes_out_as_it_was_decided(start_sandbox: StartSandbox, price: str) -> None:
    sandbox = await start_sandbox(market={"AAA": {"min_tick": "0.0001"}})
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(resting(limit_price=Decimal(price)))
        await until(lambda: placed(sandbox.log))
    (order,) = placed(sandbox.log)
    assert order["orderType"] == "LMT"
    assert "E" not in order["lmtPrice"]
    assert Decimal(order["lmtPrice"]) == Decimal(price)


async def test_what_a_desk_refuses_to_send_at_all(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        with pytest.raises(ValueError, match="meant for client id 10, not 11"):
            await gateway.desk.place(intent(client_id=10))
        with pytest.raises(ValueError, match="LMT order at None"):
            await gateway.desk.place(resting(limit_price=None))
        with pytest.raises(ValueError, match="MKT order at 5"):
            await gateway.desk.place(intent(limit_price=Decimal(5)))
        await gateway.market.server_time()
    assert not order_messages(sandbox.log)


async def test_orders_are_numbered_above_all_that_was_seen(start_sandbox: StartSandbox) -> None:
    """Of this client and of others; requests are counted in the same row."""
    sandbox = await start_sandbox(faults=[NEVER])
    async with trading(sandbox.gateway_port) as first, trading(sandbox.gateway_port, client_id=77) as second:
        for number in range(1, 4):
            await first.desk.place(intent(number))
        await heard_until(first.desk, has_status("rb1-test-3", "PreSubmitted"))
        await second.desk.order_book(DU1)
        await second.desk.place(intent(4, client_id=77))
        await until(lambda: len(placed(sandbox.log)) == 4)
    ids = [int(order["orderId"]) for order in placed(sandbox.log)]
    assert ids == sorted(set(ids))


async def test_reading_and_trading_share_a_connection(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[NEVER])
    async with trading(sandbox.gateway_port) as gateway:
        assert gateway.desk.client_id == DESK_ID
        before = await read_everything(gateway.market)
        await gateway.desk.place(intent())
        assert await read_everything(gateway.market) == before
        assert await gateway.desk.what_if(intent(2))
    assert [record["fields"][2] for record in received(sandbox.log, "startApi")] == ["11"]


async def test_a_burst_of_60_orders_is_sent_and_none_is_held_back_unsaid(start_sandbox: StartSandbox) -> None:
    """45 messages a second is what ib_async lets through; what it holds back is lost when the connection is."""
    sandbox = await start_sandbox(faults=[NEVER])
    async with trading(sandbox.gateway_port) as gateway:
        began = time.monotonic()
        for number in range(60):
            await gateway.desk.place(intent(number))
            assert not gateway.desk._conversation._client._msgQ  # type: ignore[attr-defined]  # nothing waits
        assert 0.5 < time.monotonic() - began < 3
        await until(lambda: len(placed(sandbox.log)) == 60)


async def test_a_burst_that_is_cut_says_of_every_order_whether_it_was_sent(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[NEVER, fault("placeOrder", "disconnect", after=30)])
    async with trading(sandbox.gateway_port) as gateway:
        outcomes = await asyncio.gather(
            *(gateway.desk.place(intent(number)) for number in range(60)), return_exceptions=True
        )
    arrived = {order["orderRef"] for order in placed(sandbox.log)}
    told = {f"rb1-test-{number}": str(outcome) for number, outcome in enumerate(outcomes)}
    unsent = {order_ref for order_ref, words in told.items() if "it was not sent" in words}
    uncertain = {order_ref for order_ref, words in told.items() if "it may have been sent or not" in words}
    assert len(unsent) >= 10
    assert not unsent & arrived
    assert {order_ref for order_ref, words in told.items() if words == "None"} == told.keys() - unsent - uncertain
    assert {outcome.code for outcome in outcomes if isinstance(outcome, RebalancerError)} == {"SNAPSHOT_INCOMPLETE"}


async def test_what_reading_still_has_to_send_goes_first(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[NEVER])
    async with trading(sandbox.gateway_port) as gateway:
        found = await gateway.market.contracts([])
        reading = asyncio.gather(*(gateway.market.server_time() for _ in range(50)))
        await asyncio.sleep(0)
        assert found == {}
        await gateway.desk.place(intent())
        await until(lambda: placed(sandbox.log))
        await reading


def throttle(gateway: TradingGateway) -> None:
    """Let five messages leave in a tenth of a second."""
    client = gateway.desk._conversation._client  # type: ignore[attr-defined]
    client.MaxRequests, client.RequestsInterval = 5, 0.1


async def test_orders_and_cancels_leave_before_questions_that_wait(start_sandbox: StartSandbox) -> None:
    """Of one account, while another asks for much."""
    sandbox = await start_sandbox(faults=[NEVER], accounts={"DU2": {"cash": "9999"}})
    async with trading(sandbox.gateway_port) as gateway:
        throttle(gateway)
        previews = [asyncio.ensure_future(gateway.desk.what_if(intent(n, account=DU2))) for n in range(10, 60)]
        await until(lambda: len(placed(sandbox.log)) >= 5)
        await gateway.desk.place(intent())
        await gateway.desk.cancel(intent())
        await until(lambda: received(sandbox.log, "cancelOrder"))
        before = [order["orderRef"] for order in placed(sandbox.log)]
        assert len(before) < 30
        await asyncio.gather(*previews)
    assert before.index("rb1-test-1") < 15
    ids = [int(order["orderId"]) for order in placed(sandbox.log)]
    assert ids == sorted(set(ids)), "what waits has no number yet"


async def test_a_deadline_runs_from_when_a_question_has_left(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port, preview_s=0.4) as gateway:
        throttle(gateway)
        began = time.monotonic()
        await asyncio.gather(*(gateway.desk.what_if(intent(n)) for n in range(50)))
        assert time.monotonic() - began > 0.8


async def test_whoever_waits_to_ask_hears_of_a_connection_that_fails(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[NEVER])
    async with trading(sandbox.gateway_port) as gateway:
        gateway.desk._conversation._client.RequestsInterval = 60  # type: ignore[attr-defined]
        asking = [asyncio.ensure_future(gateway.desk.what_if(intent(n))) for n in range(60)]
        sending = asyncio.ensure_future(gateway.desk.place(intent(99)))
        await until(lambda: len(placed(sandbox.log)) >= 40)
        sandbox.kick()
        async with asyncio.timeout(PATIENCE_S):
            outcomes = await asyncio.gather(sending, *asking, return_exceptions=True)
    assert {outcome.code for outcome in outcomes if isinstance(outcome, RebalancerError)} == {"SNAPSHOT_INCOMPLETE"}
    assert isinstance(outcomes[-1], GatewayUnavailable)


async def test_a_network_that_takes_nothing_any_more(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port, answer_s=SOON_S) as gateway:
        (connected,) = sandbox._gateway.connections
        connected._transport.pause_reading()  # type: ignore[union-attr]
        gateway.desk._conversation._client.conn.transport.write(bytes(20_000_000))  # type: ignore[attr-defined]
        error = await failure_of(gateway.desk.place(intent()))
        assert "it may have been sent or not" in error.message
        assert "took nothing any more" in error.message
        again = await failure_of(gateway.desk.place(intent(2)))
        assert "it was not sent" in again.message
        connected._transport.abort()  # type: ignore[union-attr]


async def test_a_network_that_breaks_before_it_has_taken_an_order(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port, answer_s=60) as gateway:
        (connected,) = sandbox._gateway.connections
        connected._transport.pause_reading()  # type: ignore[union-attr]
        gateway.desk._conversation._client.conn.transport.write(bytes(20_000_000))  # type: ignore[attr-defined]
        placing = asyncio.ensure_future(gateway.desk.place(intent()))
        await until(lambda: gateway.desk._conversation._client.conn.numMsgSent > 2)  # type: ignore[attr-defined]
        connected._transport.abort()  # type: ignore[union-attr]
        error = await failure_of(placing)
    assert error.message.startswith("The gateway closed the connection while the order to BUY 5 AAA")
    assert error.message.endswith("was being sent; it may have been sent or not.")


# A link or a connection that fails


@pytest.mark.parametrize("code", [1100, 2110])
async def test_nothing_is_sent_while_the_link_is_down(start_sandbox: StartSandbox, code: int) -> None:
    sandbox = await start_sandbox(faults=[NEVER])
    async with trading(sandbox.gateway_port) as gateway:
        desk = gateway.desk
        await desk.place(intent())
        await heard_until(desk, has_status("rb1-test-1", "PreSubmitted"))
        sandbox.notice(code)
        down = await failure_of(heard_until(desk, lambda _: False))
        for doing in (desk.place(intent(2)), desk.cancel(intent()), desk.order_book(DU1), desk.what_if(intent(3))):
            error = await failure_of(doing)
            assert isinstance(error, GatewayUnavailable)
            assert (error.code, error.exit_code) == ("LINK_DOWN", 20)
        error = await failure_of(desk.place(intent(2)))
    assert down.code == "LINK_DOWN"
    assert error.message == (
        "The gateway was not connected to Interactive Brokers while the order to BUY 5 AAA in DU1 (rb1-test-2) was to "
        "be sent; it was not sent."
    )
    assert [order["orderRef"] for order in placed(sandbox.log)] == ["rb1-test-1"]
    assert not received(sandbox.log, "cancelOrder")


async def test_a_link_lost_a_moment_ago_stops_the_next_order(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        sandbox.notice(1100)
        assert (await failure_of(gateway.desk.place(intent(2)))).code == "LINK_DOWN"
    assert len(placed(sandbox.log)) == 1


@pytest.mark.parametrize("after", [40, 44])
async def test_a_link_that_goes_down_stops_orders_that_wait_their_turn(start_sandbox: StartSandbox, after: int) -> None:
    """Whether the next one is still to be sent at once (after 40), or is being held back (after 44)."""
    sandbox = await start_sandbox(faults=[NEVER])
    async with trading(sandbox.gateway_port) as gateway:
        client = gateway.desk._conversation._client  # type: ignore[attr-defined]
        client.RequestsInterval = 60  # on a busy machine a second is over too soon
        sending = asyncio.gather(*(gateway.desk.place(intent(number)) for number in range(60)), return_exceptions=True)
        await until(lambda: len(placed(sandbox.log)) >= after)
        for _ in range(after - 40):
            await asyncio.sleep(0)  # the next one begins to wait
        sandbox.notice(1100)
        sandbox.notice(1102)  # so soon that nobody meets a link that is down
        outcomes = await sending
        stopped = [outcome for outcome in outcomes if isinstance(outcome, GatewayUnavailable)]
        assert {error.code for error in stopped} == {"LINK_DOWN"}
        del client.RequestsInterval
        await gateway.market.server_time()
    assert len(placed(sandbox.log)) == 60 - len(stopped) <= 44


async def test_after_an_interruption_nothing_is_sent_before_it_is_known(start_sandbox: StartSandbox) -> None:
    """What was said meanwhile is lost; so it is told once, by whatever is asked first, or made good by a look."""
    sandbox = await start_sandbox(faults=[NEVER])
    async with trading(sandbox.gateway_port) as gateway:
        desk = gateway.desk
        sandbox.notice(1100)
        sandbox.notice(1102)
        await until(lambda: failures(gateway) == 1)
        error = await failure_of(desk.place(intent()))
        assert (error.code, "it was not sent" in error.message) == ("LINK_DOWN", True)
        assert (await failure_of(desk.heard(DU1, within_s=PATIENCE_S))).code == "LINK_DOWN"
        assert await desk.heard(DU1, within_s=0) == ()
        await desk.place(intent())

        sandbox.notice(1100)
        sandbox.notice(1101)
        await until(lambda: failures(gateway) == 2)
        await desk.order_book(DU1)
        await desk.place(intent(2))
        assert len(await heard_until(desk, has_status("rb1-test-2", "PreSubmitted")))


@pytest.mark.parametrize("is_told", ["by a wait", "by a look"])
async def test_each_account_learns_of_an_interruption_for_itself(start_sandbox: StartSandbox, is_told: str) -> None:
    """That one of them has been told, or has looked, lets no other send."""
    sandbox = await start_sandbox(faults=[NEVER], accounts={"DU2": {"cash": "9999"}})
    async with trading(sandbox.gateway_port) as gateway:
        desk = gateway.desk
        sandbox.notice(1100)
        sandbox.notice(1102)
        await until(lambda: failures(gateway) == 1)
        if is_told == "by a wait":
            assert (await failure_of(desk.heard(DU1, within_s=PATIENCE_S))).code == "LINK_DOWN"
        else:
            await desk.order_book(DU1)
        await desk.place(intent())
        error = await failure_of(desk.place(intent(2, account=DU2)))
        assert (error.code, "it was not sent" in error.message) == ("LINK_DOWN", True)
        assert (await failure_of(desk.heard(DU2, within_s=PATIENCE_S))).code == "LINK_DOWN"
        await desk.place(intent(2, account=DU2))
        await until(lambda: len(placed(sandbox.log)) == 2)
    assert [order["account"] for order in placed(sandbox.log)] == [DU1, DU2]


async def test_all_who_wait_for_news_are_woken_by_an_interruption(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        waiting = [asyncio.ensure_future(gateway.desk.heard(account, within_s=60)) for account in (DU1, DU2)]
        await asyncio.sleep(0)
        sandbox.notice(1100)
        sandbox.notice(1102)
        assert [(await failure_of(each)).code for each in waiting] == ["LINK_DOWN"] * 2


async def test_a_failure_is_told_after_what_came_before_it(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await until(lambda: sent(sandbox.log, "commissionReport"))
        sandbox.kick()
        heard = await heard_until(gateway.desk, is_charged("rb1-test-1"))
        assert filled("rb1-test-1", heard) == 5
        error = await failure_of(gateway.desk.heard(DU1, within_s=PATIENCE_S))
        assert (error.code, error.exit_code) == ("SNAPSHOT_INCOMPLETE", 20)
        assert error.message == "The gateway closed the connection while news of our orders was awaited."
        assert "it was not sent" in (await failure_of(gateway.desk.place(intent(2)))).message
    assert len(placed(sandbox.log)) == 1


async def test_leaving_ends_a_wait_for_news(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    before = asyncio.all_tasks()
    async with trading(sandbox.gateway_port) as gateway:
        waiting = asyncio.ensure_future(gateway.desk.heard(DU1, within_s=60))
        await asyncio.sleep(0)
    assert (await failure_of(waiting)).message.startswith("We closed the connection")
    assert asyncio.all_tasks() == before


async def test_giving_up_a_wait_leaves_the_connection_whole(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        tasks = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await gateway.desk.heard(DU1, within_s=60)
        assert asyncio.all_tasks() == tasks
        await gateway.desk.place(intent())
        assert await heard_until(gateway.desk, has_status("rb1-test-1", "Filled"))


@pytest.mark.parametrize("value", ["nan", "1.7976931348623157E308"])
@pytest.mark.parametrize("field", ["shares", "price"])
async def test_an_execution_without_its_figures_is_not_passed_over(
    start_sandbox: StartSandbox, field: str, value: str
) -> None:
    sandbox = await start_sandbox(faults=[fault("execDetails", "alter", parameters={field: value})])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        error = await failure_of(heard_until(gateway.desk, lambda _: False))
        assert error.code == "GATEWAY_PROTOCOL"


async def test_an_execution_whose_time_has_no_zone_is_not_passed_over(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("execDetails", "alter", parameters={"time": "20261123  10:30:00"})])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        assert (await failure_of(heard_until(gateway.desk, lambda _: False))).code == "GATEWAY_PROTOCOL"


@pytest.mark.parametrize("zone", ["US/Eastern", "America/New_York"])
async def test_times_of_executions_are_utc(start_sandbox: StartSandbox, zone: str) -> None:
    told = fault("execDetails", "alter", parameters={"time": f"20261123 10:30:07 {zone}"})
    sandbox = await start_sandbox(faults=[told])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        heard = await heard_until(gateway.desk, has_status("rb1-test-1", "Filled"))
    (execution,) = [each for each in evidence_of("rb1-test-1", heard) if isinstance(each, Executed)]
    assert execution.at.isoformat() == "2026-11-23T15:30:07+00:00"


# Looking at all orders

BOOK_PARTS = {
    "reqAllOpenOrders": ("openOrderEnd", "the list of open orders"),
    "reqExecutions": ("execDetailsEnd", "the executions of DU1"),
    "reqCompletedOrders": ("completedOrdersEnd", "the list of completed orders"),
    "reqCurrentTime": ("currentTime", "the gateway's clock"),
}


async def test_a_book_of_nothing(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        book = await gateway.desk.order_book(DU1)
    assert (book.open_orders, book.heard) == ((), ())
    assert book.taken_at.isoformat() == "2026-11-23T15:30:00+00:00"
    asked = [record["message"] for record in received(sandbox.log) if record["message"] in BOOK_PARTS]
    assert asked == list(BOOK_PARTS), "what is open is asked first, so that nothing falls in between"
    (completed,) = received(sandbox.log, "reqCompletedOrders")
    assert completed["fields"] == ["99", "0"], "also those that were not placed over the API"


async def test_a_book_shows_everybodys_open_orders(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[order_fault("partial", shares=3)], accounts={"DU2": {"cash": "9999"}})
    async with trading(sandbox.gateway_port) as ours, trading(sandbox.gateway_port, client_id=77) as theirs:
        await ours.desk.place(intent(side=Side.SELL))
        await theirs.desk.place(
            resting(order_ref="", account=DU2, con_id=ConId(102), limit_price=Decimal(40), client_id=77)
        )
        await heard_until(ours.desk, lambda heard: filled("rb1-test-1", heard) == 3)
        book = await ours.desk.order_book(DU1)
    listed = {order.client_id: order for order in book.open_orders}
    assert (listed[11].order_ref, listed[11].account, listed[11].symbol, listed[11].con_id) == (
        "rb1-test-1", "DU1", "AAA", 101,
    )  # fmt: skip
    assert (listed[11].side, listed[11].remaining, listed[11].status) == (Side.SELL, Decimal(2), "Submitted")
    assert (listed[77].order_ref, listed[77].account, listed[77].symbol) == ("", "DU2", "BBB")
    assert (listed[77].side, listed[77].remaining) == (Side.BUY, Decimal(5))
    assert {order.perm_id for order in book.open_orders} == {1_100_000_001, 1_100_000_002}
    assert {heard.order_ref for heard in book.heard} == {"rb1-test-1"}
    assert filled("rb1-test-1", book) == 3


async def test_a_book_tells_only_of_orders_of_the_account(start_sandbox: StartSandbox) -> None:
    """Those of another account may be in another state folder's journal, and unknown to this one."""
    sandbox = await start_sandbox(accounts={"DU2": {"cash": "9999"}})
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent(account=DU2))
        await gateway.desk.place(resting(2, account=DU2))
        await gateway.desk.place(resting(3))
        await heard_until(gateway.desk, has_status("rb1-test-1", "Filled"), account=DU2)
        book = await gateway.desk.order_book(DU1)
    assert {heard.order_ref for heard in book.heard} == {"rb1-test-3"}
    assert {order.order_ref for order in book.open_orders} == {"rb1-test-2", "rb1-test-3"}


async def test_a_book_tells_what_became_of_todays_orders(start_sandbox: StartSandbox) -> None:
    """To a desk that has just come and knows nothing of them."""
    sandbox = await start_sandbox(fills={"slices": 2})
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent(quantity=10))
        await gateway.desk.place(resting(2))
        await heard_until(gateway.desk, has_status("rb1-test-2", "Submitted"))
        await gateway.desk.cancel(intent(2))
        await heard_until(gateway.desk, has_status("rb1-test-2", "Cancelled"))
        await until(lambda: len(sent(sandbox.log, "commissionReport")) == 2)
    async with trading(sandbox.gateway_port) as gateway:
        book = await gateway.desk.order_book(DU1)
        assert await gateway.desk.heard(DU1, within_s=0) == (), "what was asked for is no news"
    first, second = evidence_of("rb1-test-1", book), evidence_of("rb1-test-2", book)
    assert filled("rb1-test-1", book) == 10
    assert sum(each.commission for each in first if isinstance(each, Commissioned)) == 1
    (filled_order,) = [each for each in first if isinstance(each, Completed)]
    assert (filled_order.status, filled_order.filled, filled_order.completed_status) == (
        "Filled",
        Decimal(10),
        "Filled Size: 10",
    )
    (cancelled,) = second
    assert isinstance(cancelled, Completed)
    assert (cancelled.status, cancelled.filled, cancelled.perm_id) == ("Cancelled", Decimal(0), 1_100_000_002)
    assert cancelled.completed_status == "Cancelled by Trader"


async def test_a_completed_order_without_its_reference_is_known_by_its_permanent_id(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox(faults=[fault("completedOrder", "alter", parameters={"orderRef": ""})])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, has_status("rb1-test-1", "Filled"))
        book = await gateway.desk.order_book(DU1)
    assert any(isinstance(each, Completed) for each in evidence_of("rb1-test-1", book))


async def test_executions_are_asked_of_the_account(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(accounts={"DU2": {"cash": "9999"}})
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent(account=DU2))
        await heard_until(gateway.desk, is_charged("rb1-test-1"), account=DU2)
        assert filled("rb1-test-1", await gateway.desk.order_book(DU1)) == 0
        assert filled("rb1-test-1", await gateway.desk.order_book(DU2)) == 5


@pytest.mark.parametrize("request_name", BOOK_PARTS)
async def test_a_book_that_lacks_an_end_is_no_book(start_sandbox: StartSandbox, request_name: str) -> None:
    end, part = BOOK_PARTS[request_name]
    sandbox = await start_sandbox(faults=[fault(end, "drop")])
    async with trading(sandbox.gateway_port, answer_s=SOON_S) as gateway:
        error = await failure_of(gateway.desk.order_book(DU1))
    assert isinstance(error, GatewayUnavailable)
    assert (error.code, error.exit_code) == ("SNAPSHOT_INCOMPLETE", 20)
    assert f"did not deliver {part} to the end within 0.1" in error.message


@pytest.mark.parametrize("request_name", BOOK_PARTS)
async def test_a_book_that_is_refused_in_part_is_no_book(start_sandbox: StartSandbox, request_name: str) -> None:
    sandbox = await start_sandbox(faults=[fault(request_name, "error", parameters={"code": 322})])
    async with trading(sandbox.gateway_port, answer_s=60) as gateway, asyncio.timeout(PATIENCE_S):
        error = await failure_of(gateway.desk.order_book(DU1))
    assert isinstance(error, GatewayRefused)
    assert error.code == "GATEWAY_REFUSED"


async def test_a_book_of_a_gateway_that_only_reads(start_sandbox: StartSandbox) -> None:
    read_only = {"code": 321, "text": "cause - The API interface is currently in Read-Only mode."}
    sandbox = await start_sandbox(faults=[fault("reqAllOpenOrders", "error", parameters=read_only)])
    async with trading(sandbox.gateway_port) as gateway:
        error = await failure_of(gateway.desk.order_book(DU1))
    assert (error.code, error.exit_code) == ("GATEWAY_READ_ONLY", 21)
    assert "Read-Only API" in error.hint


async def test_a_completed_order_without_its_filled_quantity(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("completedOrder", "alter", parameters={"filledQuantity": ""})])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, has_status("rb1-test-1", "Filled"))
        error = await failure_of(gateway.desk.order_book(DU1))
    assert error.code == "SNAPSHOT_INCOMPLETE"
    assert error.message == "The gateway does not give the filled quantity of the completed order rb1-test-1."


async def test_a_book_and_a_market_take_turns(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=1)
    async with trading(sandbox.gateway_port) as gateway, asyncio.timeout(PATIENCE_S):
        await asyncio.gather(
            *(gateway.desk.order_book(DU1) for _ in range(3)),
            *(gateway.market.server_time() for _ in range(3)),
            *(gateway.market.positions([DU1]) for _ in range(3)),
        )


async def test_two_accounts_that_look_at_once_are_each_told_of_their_own(start_sandbox: StartSandbox) -> None:
    """While both are being filled."""
    sandbox = await start_sandbox(latency_ms=2, fills={"delay_ms": 3, "slices": 5}, accounts={"DU2": {"cash": "9999"}})
    async with trading(sandbox.gateway_port) as gateway:
        for number in range(1, 5):
            await gateway.desk.place(intent(number, account=DU1 if number % 2 else DU2))
        books = await asyncio.gather(*(gateway.desk.order_book(account) for account in (DU1, DU2) * 3))
        first = await heard_until(
            gateway.desk, lambda heard: is_charged("rb1-test-1")(heard) and is_charged("rb1-test-3")(heard)
        )
        second = await heard_until(
            gateway.desk, lambda heard: is_charged("rb1-test-2")(heard) and is_charged("rb1-test-4")(heard), account=DU2
        )
    assert {each.order_ref for book in books[::2] for each in (*book.heard, *first)} == {"rb1-test-1", "rb1-test-3"}
    assert {each.order_ref for book in books[1::2] for each in (*book.heard, *second)} == {"rb1-test-2", "rb1-test-4"}
    assert [filled(ref, first) for ref in ("rb1-test-1", "rb1-test-3")] == [5, 5]
    assert [filled(ref, second) for ref in ("rb1-test-2", "rb1-test-4")] == [5, 5]
    assert len(received(sandbox.log, "reqExecutions")) == 6


async def test_news_of_one_account_waits_while_another_listens(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(accounts={"DU2": {"cash": "9999"}})
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent(2, account=DU2))
        await gateway.desk.place(intent())
        ours = await heard_until(gateway.desk, is_charged("rb1-test-1"))
        assert await gateway.desk.heard(DU1, within_s=0) == ()
        theirs = await heard_until(gateway.desk, is_charged("rb1-test-2"), account=DU2)
    assert {each.order_ref for each in ours} == {"rb1-test-1"}
    assert {each.order_ref for each in theirs} == {"rb1-test-2"}
    assert filled("rb1-test-2", theirs) == 5
    assert "PreSubmitted" in statuses("rb1-test-2", theirs), "from its first word on"


async def test_news_while_a_book_is_read_is_in_both(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=5)
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        book = await gateway.desk.order_book(DU1)
        assert "PreSubmitted" in statuses("rb1-test-1", book)
        assert await heard_until(gateway.desk, is_charged("rb1-test-1"))


# Previews


async def test_a_preview_tells_costs_and_places_nothing(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        preview = await gateway.desk.what_if(intent())
        book = await gateway.desk.order_book(DU1)
        assert await gateway.desk.heard(DU1, within_s=0) == ()
    assert (preview.commission, preview.initial_margin_change, preview.warning) == COSTS
    assert (book.open_orders, book.heard) == ((), ())
    (asked,) = placed(sandbox.log)
    assert (asked["whatIf"], asked["orderRef"], asked["tif"]) == ("1", "rb1-test-1", "DAY")


async def test_previews_of_many_orders_at_once(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=5)
    async with trading(sandbox.gateway_port) as gateway:
        previews = await asyncio.gather(*(gateway.desk.what_if(intent(n, quantity=n)) for n in range(1, 20)))
    assert [preview.initial_margin_change for preview in previews] == [25 * n for n in range(1, 20)]


COSTS = (Decimal(1), Decimal(125), "")
"""Of 5 AAA in the base scenario."""
FIRST_A_WARNING = fault(
    "openOrder", "precede", where={"whatIf": "1"},
    parameters={"initMarginChange": "1.7976931348623157E308", "commission": "", "warningText": "Mind the gap."},
)  # fmt: skip
ONLY_A_WARNING = FIRST_A_WARNING | {"what": {"alter": FIRST_A_WARNING["what"]["precede"]}}


async def test_a_preview_waits_for_its_figures(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[FIRST_A_WARNING])
    async with trading(sandbox.gateway_port) as gateway:
        preview = await gateway.desk.what_if(intent())
    assert (preview.commission, preview.initial_margin_change, preview.warning) == (*COSTS[:2], "Mind the gap.")


async def test_a_preview_is_not_over_with_a_warning(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[ONLY_A_WARNING])
    async with trading(sandbox.gateway_port, preview_s=SOON_S) as gateway:
        error = await failure_of(gateway.desk.what_if(intent()))
    assert error.code == "SNAPSHOT_INCOMPLETE"


async def test_a_preview_that_is_only_a_warning(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[ONLY_A_WARNING])
    async with trading(sandbox.gateway_port, figures_s=SOON_S) as gateway:
        preview = await gateway.desk.what_if(intent())
    assert (preview.commission, preview.initial_margin_change, preview.warning) == (None, None, "Mind the gap.")


@pytest.mark.parametrize("code", [110, 200, 201, 203, 434, 10243, 10311, 77777])
async def test_a_preview_that_would_be_rejected(start_sandbox: StartSandbox, code: int) -> None:
    refusal = {"when": "preview", "what": {"reject": {"code": code, "text": "No trading permissions."}}}
    sandbox = await start_sandbox(faults=[refusal])
    async with trading(sandbox.gateway_port) as gateway:
        error = await failure_of(gateway.desk.what_if(intent()))
    assert isinstance(error, Refused)
    assert (error.code, error.exit_code) == ("ORDER_WOULD_BE_REJECTED", 11)
    assert "the order to BUY 5 AAA in DU1 (rb1-test-1)" in error.message
    assert f"(code {code}: No trading permissions.)" in error.message
    assert error.message.endswith("It was not sent.")
    assert error.hint


async def test_a_preview_at_a_gateway_that_only_reads(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(read_only=True)
    async with trading(sandbox.gateway_port, preview_s=60) as gateway, asyncio.timeout(PATIENCE_S):
        error = await failure_of(gateway.desk.what_if(intent()))
    assert isinstance(error, GatewayRefused)
    assert (error.code, error.exit_code) == ("GATEWAY_READ_ONLY", 21)
    assert "Read-Only mode" in error.message
    assert "Read-Only API" in error.hint


async def test_an_invalid_preview_at_a_gateway_that_trades(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        error = await failure_of(gateway.desk.what_if(intent(account="DU9")))
    assert error.code == "ORDER_WOULD_BE_REJECTED"
    assert "Invalid account code" in error.message


async def test_a_preview_that_never_comes(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("placeOrder", "drop")])
    async with trading(sandbox.gateway_port, preview_s=SOON_S) as gateway:
        error = await failure_of(gateway.desk.what_if(intent()))
    assert error.code == "SNAPSHOT_INCOMPLETE"
    assert "the preview of the order to BUY 5 AAA in DU1 (rb1-test-1) to the end within 0.1 s" in error.message


# Cancelling


async def test_a_cancellation_and_what_comes_of_it(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[order_fault("partial", shares=2)])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, lambda heard: filled("rb1-test-1", heard) == 2)
        await gateway.desk.cancel(intent())
        heard = await heard_until(gateway.desk, lambda heard: ErrorTold in map(type, evidence_of("rb1-test-1", heard)))
    assert {"PendingCancel", "Cancelled"} <= set(statuses("rb1-test-1", heard))
    (said,) = [each for each in evidence_of("rb1-test-1", heard) if isinstance(each, ErrorTold)]
    assert said.code == 202
    (cancelled,) = received(sandbox.log, "cancelOrder")
    assert cancelled["fields"] == ["4", "1", placed(sandbox.log)[0]["orderId"], ""]


async def test_cancelling_what_has_filled_is_heard_as_an_error_and_kills_nothing(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, has_status("rb1-test-1", "Filled"))
        await gateway.desk.cancel(intent())
        heard = await heard_until(gateway.desk, lambda heard: ErrorTold in map(type, evidence_of("rb1-test-1", heard)))
    (said,) = [each for each in evidence_of("rb1-test-1", heard) if isinstance(each, ErrorTold)]
    assert said.code == 10148
    assert "Cancelled" not in statuses("rb1-test-1", heard)


async def test_cancelling_what_fills_in_that_moment(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[order_fault("fill_on_cancel")])
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await heard_until(gateway.desk, has_status("rb1-test-1", "PreSubmitted"))
        await gateway.desk.cancel(intent())
        heard = await heard_until(gateway.desk, has_status("rb1-test-1", "Filled"))
    assert filled("rb1-test-1", heard) == 5


async def test_an_order_of_an_earlier_connection_is_cancelled_once_a_look_has_shown_it(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(resting())
        await heard_until(gateway.desk, has_status("rb1-test-1", "Submitted"))
    async with trading(sandbox.gateway_port) as gateway:
        error = await failure_of(gateway.desk.cancel(intent()))
        assert isinstance(error, GatewayRefused)
        assert (error.code, error.exit_code) == ("ORDER_NOT_CANCELLABLE", 21)
        assert "rb1-test-1 is not known to be open under client id 11" in error.message
        assert not received(sandbox.log, "cancelOrder")
        await gateway.desk.order_book(DU1)
        await gateway.desk.cancel(intent())
        await heard_until(gateway.desk, has_status("rb1-test-1", "Cancelled"))


async def test_an_order_of_another_client_id_is_not_cancelled_over_this_one(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port, client_id=10) as watch, trading(sandbox.gateway_port) as gateway:
        await watch.desk.place(resting(client_id=10))
        await heard_until(watch.desk, has_status("rb1-test-1", "Submitted"))
        book = await gateway.desk.order_book(DU1)
        assert statuses("rb1-test-1", book) == ["Submitted", "Submitted"]
        assert (await failure_of(gateway.desk.cancel(intent()))).code == "ORDER_NOT_CANCELLABLE"
    assert not received(sandbox.log, "cancelOrder")


# Opening


async def test_a_desk_has_one_client_id_and_no_other(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(trading(sandbox.gateway_port))
        error = await failure_of(stack.enter_async_context(trading(sandbox.gateway_port, connect_s=60)))
    assert isinstance(error, Busy)
    assert (error.code, error.exit_code) == ("CLIENT_ID_IN_USE", 15)
    assert error.message == (
        f"Client id 11 is in use at 127.0.0.1:{sandbox.gateway_port}; another run may be at work there."
    )
    assert [record["fields"][2] for record in received(sandbox.log, "startApi")] == ["11", "11"]


@pytest.mark.parametrize(
    ("message", "action", "code"),
    [
        ("handshake", "mute", "GATEWAY_NOT_READY"),
        ("startApi", "disconnect", "GATEWAY_NOT_READY"),
        ("handshake", "garbage", "GATEWAY_PROTOCOL"),
    ],
)
async def test_a_desk_that_cannot_be_opened(start_sandbox: StartSandbox, message: str, action: str, code: str) -> None:
    sandbox = await start_sandbox(faults=[fault(message, action)])
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        error = await failure_of(stack.enter_async_context(trading(sandbox.gateway_port, connect_s=SOON_S)))
    assert (error.code, error.exit_code) == (code, 20)
    assert asyncio.all_tasks() == before


async def test_leaving_a_desk_frees_its_id_and_leaves_nothing_behind(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    before = asyncio.all_tasks()
    for number in range(3):
        async with trading(sandbox.gateway_port) as gateway:
            await gateway.desk.place(intent(number))
            await heard_until(gateway.desk, has_status(f"rb1-test-{number}", "Filled"))
        assert asyncio.all_tasks() == before
        await until(lambda: not sandbox.state()["clients"])
