"""The desk: what it sends, when it refuses to, and that it hears of every order of ours, whoever tells it and how."""

import asyncio
import time
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
    resting,
    trading,
)
from tests.support.reading import DU1, SOON_S, read_everything, until
from tests.support.sandbox import StartSandbox, fault, order_messages, received, sent

from ibkr_rebalancer.core.errors import GatewayUnavailable, RebalancerError
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_state import Commissioned, Executed
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.edges.ibkr.connection import TradingGateway
from ibkr_rebalancer.sandbox.log import Record
from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT

NEVER = fault("order", "hold") | {"when": "order"}
"""No order fills."""


def order_fault(action: str, **parameters: object) -> dict[str, object]:
    """A fault of the market that every order meets."""
    return {"when": "order", "what": {action: parameters}}


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


def is_charged(order_ref: str) -> object:
    def charged(heard: list[Heard]) -> bool:
        return any(isinstance(each, Commissioned) for each in evidence_of(order_ref, heard))

    return charged


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
        for doing in (desk.place(intent(2)), desk.cancel("rb1-test-1"), desk.order_book(DU1), desk.what_if(intent(3))):
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


async def test_a_link_that_goes_down_stops_orders_that_wait_their_turn(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[NEVER])
    async with trading(sandbox.gateway_port) as gateway:
        sending = asyncio.gather(*(gateway.desk.place(intent(number)) for number in range(60)), return_exceptions=True)
        await until(lambda: len(placed(sandbox.log)) >= 40)
        sandbox.notice(1100)
        sandbox.notice(1102)  # so soon that nobody waits while the link is down
        outcomes = await sending
        stopped = [outcome for outcome in outcomes if isinstance(outcome, GatewayUnavailable)]
        assert {error.code for error in stopped} == {"LINK_DOWN"}
        await gateway.market.server_time()
    assert len(placed(sandbox.log)) == 60 - len(stopped) < 50


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
        assert (await failure_of(desk.heard(within_s=PATIENCE_S))).code == "LINK_DOWN"
        assert await desk.heard(within_s=0) == ()
        await desk.place(intent())

        sandbox.notice(1100)
        sandbox.notice(1101)
        await until(lambda: failures(gateway) == 2)
        await desk.order_book(DU1)
        await desk.place(intent(2))
        assert len(await heard_until(desk, has_status("rb1-test-2", "PreSubmitted")))


async def test_a_failure_is_told_after_what_came_before_it(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        await gateway.desk.place(intent())
        await until(lambda: sent(sandbox.log, "commissionReport"))
        sandbox.kick()
        heard = await heard_until(gateway.desk, is_charged("rb1-test-1"))  # type: ignore[arg-type]
        assert filled("rb1-test-1", heard) == 5
        error = await failure_of(gateway.desk.heard(within_s=PATIENCE_S))
        assert (error.code, error.exit_code) == ("SNAPSHOT_INCOMPLETE", 20)
        assert error.message == "The gateway closed the connection while news of our orders was awaited."
        assert "it was not sent" in (await failure_of(gateway.desk.place(intent(2)))).message
    assert len(placed(sandbox.log)) == 1


async def test_leaving_ends_a_wait_for_news(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    before = asyncio.all_tasks()
    async with trading(sandbox.gateway_port) as gateway:
        waiting = asyncio.ensure_future(gateway.desk.heard(within_s=60))
        await asyncio.sleep(0)
    assert (await failure_of(waiting)).message.startswith("We closed the connection")
    assert asyncio.all_tasks() == before


async def test_giving_up_a_wait_leaves_the_connection_whole(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with trading(sandbox.gateway_port) as gateway:
        tasks = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await gateway.desk.heard(within_s=60)
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
