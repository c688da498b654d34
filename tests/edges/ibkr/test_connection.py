"""Every way a session can fail to start: the code, the sentence, what to do, the exit code. And how one ends."""

import asyncio
import logging
import socket
import time
from contextlib import AsyncExitStack
from functools import partial

import pytest
from tests.support.reading import CLIENT_ID, SOON_S, read_everything, reading, until
from tests.support.sandbox import LOOPBACK, StartSandbox, events, fault, order_messages, received, sent

from ibkr_rebalancer.core.errors import Busy, GatewayUnavailable, RebalancerError
from ibkr_rebalancer.sandbox.run import Sandbox

SMALL_NONSENSE = "00000004" + "61626300"
"""A frame as it should be, with `abc` in it."""


async def failure(port: int, *, host: str = LOOPBACK, connect_s: float = 10) -> RebalancerError:
    """The error of connecting to this port."""
    with pytest.raises(RebalancerError) as caught:
        async with reading(port, host=host, connect_s=connect_s):
            pass
    return caught.value


@pytest.fixture
def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


async def test_nothing_listens(closed_port: int) -> None:
    error = await failure(closed_port)
    assert isinstance(error, GatewayUnavailable)
    assert error.exit_code == 20
    assert error.code == "GATEWAY_UNREACHABLE"
    assert error.message == f"No gateway can be reached at 127.0.0.1:{closed_port}: nothing listens there."
    assert "4002 (paper)" in error.hint
    assert "4001 (live)" in error.hint
    assert "phone" in error.hint


async def test_nothing_listens_at_any_address_of_the_host(closed_port: int) -> None:
    """Where localhost is both ::1 and 127.0.0.1, two connections fail."""
    error = await failure(closed_port, host="localhost")
    assert error.message == f"No gateway can be reached at localhost:{closed_port}: nothing listens there."


async def test_a_host_without_an_address(closed_port: int) -> None:
    error = await failure(closed_port, host="gateway.invalid")
    assert error.code == "GATEWAY_UNREACHABLE"
    assert error.message.startswith(f"No gateway can be reached at gateway.invalid:{closed_port}: ")


async def test_a_connection_that_is_never_accepted() -> None:
    """A listener whose queue is full lets the connection hang, as a firewall does that drops packets."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        error = await failure(listener.getsockname()[1], connect_s=SOON_S)
    assert error.code == "GATEWAY_UNREACHABLE"
    assert error.message.startswith("Nothing accepted the connection in time at 127.0.0.1:")


@pytest.mark.parametrize("message", ["handshake", "managedAccounts", "nextValidId"])
async def test_accepted_but_silent(start_sandbox: StartSandbox, message: str) -> None:
    sandbox = await start_sandbox(faults=[fault(message, "mute")])
    error = await failure(sandbox.gateway_port, connect_s=SOON_S)
    assert isinstance(error, GatewayUnavailable)
    assert error.exit_code == 20
    assert error.code == "GATEWAY_NOT_READY"
    assert "No session was started by the gateway that accepts connections at" in error.message
    assert "phone" in error.hint


@pytest.mark.parametrize("message", ["connect", "handshake", "startApi", "managedAccounts", "nextValidId"])
async def test_hung_up_on_while_starting_is_told_at_once(start_sandbox: StartSandbox, message: str) -> None:
    sandbox = await start_sandbox(faults=[fault(message, "disconnect")])
    error = await failure(sandbox.gateway_port)
    assert error.exit_code == 20
    assert error.code == "GATEWAY_NOT_READY"
    assert "Before a session had started, the connection was closed by the gateway at" in error.message
    assert "API settings" in error.hint


async def test_a_web_server_on_that_port(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    error = await failure(sandbox.allocations_port)
    assert isinstance(error, GatewayUnavailable)
    assert error.exit_code == 20
    assert error.code == "GATEWAY_PROTOCOL"
    address = f"{LOOPBACK}:{sandbox.allocations_port}"
    assert error.message == f"Something that is not an Interactive Brokers gateway answers at {address}."
    assert "IBKR_PORT" in error.hint


@pytest.mark.parametrize("nonsense", ["00000000", "7fffffff", "ffffffff", SMALL_NONSENSE, "0000000261620000"])
@pytest.mark.parametrize("message", ["handshake", "managedAccounts"])
async def test_nonsense_instead_of_a_greeting(start_sandbox: StartSandbox, message: str, nonsense: str) -> None:
    sandbox = await start_sandbox(faults=[fault(message, "garbage", parameters={"hex": nonsense})])
    error = await failure(sandbox.gateway_port)
    assert error.code == "GATEWAY_PROTOCOL"


async def test_a_gateway_that_is_too_old(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("handshake", "alter", parameters={"serverVersion": "150"})])
    error = await failure(sandbox.gateway_port)
    assert error.exit_code == 20
    assert error.code == "GATEWAY_TOO_OLD"
    assert error.hint == "Update IB Gateway or TWS."


async def test_a_gateway_without_accounts(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("managedAccounts", "alter", parameters={"accounts": ""})])
    error = await failure(sandbox.gateway_port)
    assert error.exit_code == 20
    assert error.code == "GATEWAY_NO_ACCOUNTS"
    assert error.message.startswith("A gateway that manages no account answers at")


async def test_a_gateway_that_is_offline(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("managedAccounts", "notice", parameters={"code": 1100})])
    error = await failure(sandbox.gateway_port)
    assert error.exit_code == 20
    assert error.code == "LINK_DOWN"


async def test_a_link_that_is_lost_and_back_before_the_session_starts(start_sandbox: StartSandbox) -> None:
    """Both notices come in one piece, and the greeting goes on after it."""
    sandbox = await start_sandbox(
        faults=[
            fault("managedAccounts", "notice", parameters={"code": 1102}),
            fault("managedAccounts", "notice", parameters={"code": 1100}),
            fault("nextValidId", "delay", parameters={"ms": 30}),
        ]
    )
    async with reading(sandbox.gateway_port) as market:
        assert await market.server_time()
    told = [record["fields"][3] for record in sent(sandbox.log, "error")]
    assert told.index("1100") < told.index("1102")


async def test_a_link_that_comes_back_does_not_put_the_deadline_off(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(
        faults=[
            fault("managedAccounts", "notice", parameters={"code": 1102}),
            fault("managedAccounts", "notice", parameters={"code": 1100}),
            fault("nextValidId", "mute"),
        ]
    )
    error = await failure(sandbox.gateway_port, connect_s=SOON_S)
    assert error.code == "GATEWAY_NOT_READY"


async def test_readers_take_the_first_free_id(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port), reading(sandbox.gateway_port), reading(sandbox.gateway_port):
        started = [record["fields"][2] for record in received(sandbox.log, "startApi")]
    assert started == ["12", "12", "13", "12", "13", "14"]


async def test_all_ids_in_use(start_sandbox: StartSandbox) -> None:
    """Eight readers fit beside each other; the ninth is told so at once, long before any deadline."""
    sandbox = await start_sandbox()
    async with AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(reading(sandbox.gateway_port))
        began = time.monotonic()
        error = await failure(sandbox.gateway_port, connect_s=30)
        assert time.monotonic() - began < 5
    assert isinstance(error, Busy)
    assert error.exit_code == 15
    assert error.code == "CLIENT_ID_IN_USE"
    assert f"{CLIENT_ID + 2} to {CLIENT_ID + 9}" in error.message
    assert "IBKR_CLIENT_ID" in error.hint


async def test_the_deadline_is_for_all_ids_together(start_sandbox: StartSandbox) -> None:
    in_use = fault("startApi", "error", count=2, parameters={"code": 326})
    sandbox = await start_sandbox(faults=[in_use, fault("startApi", "mute", after=2)])
    error = await failure(sandbox.gateway_port, connect_s=SOON_S)
    assert error.code == "GATEWAY_NOT_READY"
    assert len(received(sandbox.log, "startApi")) == 3


def left_so_far(sandbox: Sandbox, count: int) -> bool:
    return len(events(sandbox.log, "client_disconnected")) == count


async def test_leaving_frees_the_id_and_leaves_nothing_behind(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    before = asyncio.all_tasks()
    for left in (1, 2, 3):
        async with reading(sandbox.gateway_port) as market:
            await read_everything(market)
        assert asyncio.all_tasks() == before
        await until(partial(left_so_far, sandbox, left))
    assert {record["fields"][2] for record in received(sandbox.log, "startApi")} == {"12"}


async def test_leaving_because_of_an_error_closes_too(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    with pytest.raises(ZeroDivisionError):
        async with reading(sandbox.gateway_port):
            raise ZeroDivisionError
    await until(lambda: events(sandbox.log, "client_disconnected"))
    async with reading(sandbox.gateway_port):
        pass
    assert {record["fields"][2] for record in received(sandbox.log, "startApi")} == {"12"}


async def test_cancelled_while_connecting(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("handshake", "mute")])
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON_S), reading(sandbox.gateway_port):
            pass
    assert asyncio.all_tasks() == before


async def test_nothing_of_ib_async_reaches_the_log(
    start_sandbox: StartSandbox, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO it writes positions with their account, at DEBUG every frame, and as errors what we tell ourselves."""
    sandbox = await start_sandbox(faults=[fault("positionEnd", "garbage", parameters={"hex": SMALL_NONSENSE})])
    with caplog.at_level(logging.DEBUG):
        await failure(closed_port)
        async with reading(sandbox.gateway_port) as market:
            with pytest.raises(GatewayUnavailable):
                await read_everything(market)
    assert [record.name for record in caplog.records if record.name.startswith(("ib_async", "eventkit"))] == []


async def test_a_session_sends_only_what_reads(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        await read_everything(market)
    assert {record["message"] for record in received(sandbox.log)} == {
        "handshake",
        "startApi",
        "reqCurrentTime",
        "reqPositions",
        "cancelPositions",
        "reqAccountUpdates",
        "reqContractDetails",
        "reqMarketDataType",
        "reqMktData",
    }
    assert not order_messages(sandbox.log)
