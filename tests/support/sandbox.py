"""A running sandbox for tests, and readers of its log.

    async def test_reads_positions(start_sandbox: StartSandbox) -> None:
        sandbox = await start_sandbox(accounts={"DU1": {"cash": "1000", "positions": {"AAA": 5}}})
        ...connect to LOOPBACK, sandbox.gateway_port...
        sandbox.change({"market": {"AAA": {"bid": "9.50"}}})     # takes effect at once; subscribers are told
        sandbox.kick(); sandbox.notice(1100)
        sandbox.publish("rebalance-primary", {"execution": "rebalance"}, id="event-7")
        sandbox.disturb("close", code=1011)                      # docs/channels.md; clients: tests.sandbox.ably_clients
        assert not order_messages(sandbox.log)

`BASE` is the scenario underneath: paper account DU1, USD 10,000 and 100 AAA; AAA, BBB, CCC live at 100, 50, 20 with a
cent of spread either side; a Monday at 10:30 in New York. What is given is laid over it (RFC 7396: mappings merge, None
removes).
Import the fixture `start_sandbox` in your conftest.py. Outside a test: `async with sandbox_with(...) as sandbox:`.
A fault: `faults=[fault("positionEnd", "drop", count=1)]`, and of the channels `realtime_fault("MESSAGE", "drop")`.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from ibkr_rebalancer.sandbox.log import Record
from ibkr_rebalancer.sandbox.run import Sandbox, run_sandbox
from ibkr_rebalancer.sandbox.tws.messages import ORDER_MESSAGES
from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.scenario import Scenario, read_scenario
from ibkr_rebalancer.sandbox.venue.venue import Venue

LOOPBACK = "127.0.0.1"

BASE: Document = {
    "clock": "2026-11-23T15:30:00Z",
    "accounts": {"DU1": {"cash": "10000", "positions": {"AAA": 100}}},
    "market": {
        "AAA": {"con_id": 101, "bid": "99.99", "ask": "100.01", "last": "100", "close": "99", "name": "ALPHA"},
        "BBB": {"con_id": 102, "bid": "49.99", "ask": "50.01", "last": "50", "close": "50.50", "name": "BETA"},
        "CCC": {"con_id": 103, "bid": "19.99", "ask": "20.01", "last": "20", "close": "20", "name": "GAMMA"},
    },
    "channels": ["rebalance-primary"],
    "allocations": {
        "primary": {
            "status": "success",
            "data": {
                "allocations": [{"symbol": "AAA", "allocation": 0.5}, {"symbol": "BBB", "allocation": 0.5}],
                "name": "even",
            },
        }
    },
}

StartSandbox = Callable[..., Awaitable[Sandbox]]


def scenario_with(**overlay: Any) -> Scenario:
    """The base scenario with this laid over it, as a change of a running sandbox would be."""
    return Venue(read_scenario(BASE)).changed(overlay)


@asynccontextmanager
async def sandbox_with(**overlay: Any) -> AsyncIterator[Sandbox]:
    async with run_sandbox(scenario_with(**overlay)) as sandbox:
        yield sandbox


@pytest.fixture
async def start_sandbox() -> AsyncIterator[StartSandbox]:
    """Start as many sandboxes as the test wants; they end with it."""
    async with AsyncExitStack() as stack:

        async def start(**overlay: Any) -> Sandbox:
            return await stack.enter_async_context(sandbox_with(**overlay))

        yield start


def fault(message: str, action: str, /, *, parameters: Document | None = None, **when: Any) -> Document:
    """A fault's record: `fault("reqMktData", "error", parameters={"code": 354}, where={"symbol": "AAA"})`."""
    return {"when": {"message": message, **when}, "what": {action: parameters or {}}}


def order_fault(
    action: str, /, *, parameters: Document | None = None, order: Document | None = None, **when: Any
) -> Document:
    """A fault of the market: `order_fault("partial", parameters={"shares": 3}, order={"symbol": "AAA"}, count=1)`."""
    return {"when": {"order": order or {}, **when}, "what": {action: parameters or {}}}


def realtime_fault(message: str, action: str, /, *, parameters: Document | None = None, **when: Any) -> Document:
    """A fault of the channels: `realtime_fault("MESSAGE", "drop", where={"channel": "rebalance-primary"}, count=1)`."""
    return {"when": {"realtime": message, **when}, "what": {action: parameters or {}}}


def received(log: list[Record], message: str | None = None) -> list[Record]:
    """The frames that clients have sent, of one kind or all."""
    return [record for record in log if record.get("dir") == "in" and message in {None, record["message"]}]


def sent(log: list[Record], message: str | None = None) -> list[Record]:
    """The frames that the gateway has sent, of one kind or all."""
    return [record for record in log if record.get("dir") == "out" and message in {None, record["message"]}]


def events(log: list[Record], event: str | None = None) -> list[Record]:
    """What happened beside frames: `order_message`, `client_disconnected`, `allocation_request`, `fault`, `changed`.

    And what became of orders, whatever clients were told: `order`, `execution`, `commission`, `complaint`. Of the
    channels: `published` (what exists), `delivered` (what was written to a socket), `attached`, `history` and others.
    """
    return [record for record in log if "event" in record and event in {None, record["event"]}]


def order_messages(log: list[Record]) -> list[Record]:
    """Every message that would have traded; a test that only reads asserts that there are none."""
    return [record for record in log if record.get("message") in ORDER_MESSAGES.values() and "event" in record]


def read_log(text: str) -> list[Record]:
    """The records of a log file."""
    return [json.loads(line) for line in text.splitlines()]
