"""Starting and stopping: ports, announcement, log, latency."""

import asyncio
import json
import struct
from pathlib import Path

import pytest
from tests.support.sandbox import LOOPBACK, StartSandbox, fault, read_log, sandbox_with, scenario_with

from ibkr_rebalancer.sandbox.run import load_scenario, run_sandbox
from ibkr_rebalancer.sandbox.tws.wire import frame
from ibkr_rebalancer.sandbox.venue.document import ScenarioError


async def test_the_announcement_is_what_a_user_must_know(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    announced = json.loads(json.dumps(sandbox.announcement()))
    assert announced == {
        "schema": "rebalancer.sandbox/1",
        "gateway_port": sandbox.gateway_port,
        "ably_port": sandbox.ably_port,
        "allocations_port": sandbox.allocations_port,
        "control_url": f"http://127.0.0.1:{sandbox.allocations_port}/control",
        "env": {
            "IBKR_HOST": "127.0.0.1",
            "IBKR_PORT": str(sandbox.gateway_port),
            "TRADING_MODE": "paper",
            "REALTIME_API_KEY": "sandbox.watcher:watcher-secret",
            "REALTIME_ENDPOINT": f"http://127.0.0.1:{sandbox.ably_port}",
            "ALLOCATIONS_API_KEY": "sandbox-key",
        },
    }


async def test_an_account_that_is_no_paper_account_is_traded_live(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(accounts={"U1": {}})
    assert sandbox.env["TRADING_MODE"] == "live"


async def test_it_listens_on_loopback_only(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    for port in (sandbox.gateway_port, sandbox.ably_port, sandbox.allocations_port):
        _, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.close()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.2", port)


async def test_ports_can_be_chosen_and_are_free_again_afterwards() -> None:
    async with sandbox_with() as first:
        ports = first.gateway_port, first.ably_port, first.allocations_port
        with pytest.raises(OSError, match="address already in use"):
            async with run_sandbox(scenario_with(), gateway_port=ports[0]):
                pass
    async with run_sandbox(
        scenario_with(), gateway_port=ports[0], ably_port=ports[1], allocations_port=ports[2]
    ) as again:
        assert (again.gateway_port, again.ably_port, again.allocations_port) == ports


async def test_stopping_cuts_open_connections() -> None:
    async with sandbox_with() as sandbox:
        reader, writer = await asyncio.open_connection(LOOPBACK, sandbox.gateway_port)
        writer.write(b"API\0" + frame(b"v157..178"))
        await reader.readexactly(4)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(1000)
    writer.close()
    assert sandbox.log[-1]["event"] == "client_disconnected"


async def test_the_log_is_on_disk_line_by_line_and_the_same_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.log"
    async with run_sandbox(scenario_with(), log=path) as sandbox:
        reader, writer = await asyncio.open_connection(LOOPBACK, sandbox.gateway_port)
        writer.write(b"API\0" + frame(b"v157..178"))
        await reader.readexactly(4)
        assert read_log(path.read_text()) == sandbox.log
        writer.close()
    assert read_log(path.read_text()) == sandbox.log
    handshake, version, left = sandbox.log
    assert (handshake["dir"], handshake["message"], handshake["fields"]) == ("in", "handshake", ["v157..178"])
    assert (version["dir"], version["message"], version["fields"][0]) == ("out", "handshake", "178")
    assert (left["event"], left["client"]) == ("client_disconnected", None)
    assert handshake["t"].startswith("2026-11-23T15:30:0")


async def test_latency_is_on_every_frame_either_way(start_sandbox: StartSandbox) -> None:
    """A round trip takes twice the one-way delay, and answers keep their order."""
    sandbox = await start_sandbox(latency_ms=20)
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(LOOPBACK, sandbox.gateway_port)
    before = loop.time()
    writer.write(b"API\0" + frame(b"v157..178") + frame(b"71\0002\0007\0\0"))
    messages = [await read_frame(reader) for _ in range(6)]
    assert loop.time() - before >= 0.04
    assert [message.split(b"\0")[0] for message in messages] == [b"178", b"15", b"9", b"4", b"4", b"4"]
    writer.close()


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    return await reader.readexactly(length)


async def test_a_delayed_message_is_overtaken(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("managedAccounts", "delay", parameters={"ms": 30})])
    reader, writer = await asyncio.open_connection(LOOPBACK, sandbox.gateway_port)
    writer.write(b"API\0" + frame(b"v157..178") + frame(b"71\0002\0007\0\0"))
    messages = [await read_frame(reader) for _ in range(6)]
    assert [message.split(b"\0")[0] for message in messages] == [b"178", b"9", b"4", b"4", b"4", b"15"]
    writer.close()


async def test_garbage_is_sent_as_it_is(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("handshake", "garbage", parameters={"hex": "deadbeef"})])
    reader, writer = await asyncio.open_connection(LOOPBACK, sandbox.gateway_port)
    writer.write(b"API\0" + frame(b"v157..178"))
    assert await reader.readexactly(4) == bytes.fromhex("deadbeef")
    writer.close()


async def test_a_fault_that_could_never_strike_stops_the_start() -> None:
    with pytest.raises(ScenarioError, match="there is no message 'nothing'"):
        async with sandbox_with(faults=[fault("nothing", "drop")]):
            pass


def test_a_scenario_file(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("accounts: {DU5: {cash: 1}}")
    assert list(load_scenario(path).accounts) == ["DU5"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("a: [", "scenario.yaml: no YAML: "), ("", "scenario: expected a mapping, was None")],
)
def test_a_file_that_is_no_scenario(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=problem):
        load_scenario(path)
