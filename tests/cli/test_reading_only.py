"""No command but `execute`, told to, puts an order on the wire: the sandbox's log is the witness."""

import asyncio
from collections.abc import Callable
from typing import Any

import ib_async
import pytest
from tests.support.commands import FIRST, Here
from tests.support.sandbox import LOOPBACK, order_messages, received

from ibkr_rebalancer.edges.ibkr.market import GatewayMarket
from ibkr_rebalancer.sandbox.tws.messages import ORDER_MESSAGES

COMMANDS = (
    "plan",
    "plan DU123456 --json",
    "execute",
    "execute DU123456",
    "execute --dry-run",
    "execute DU123456 --dry-run --json",
    "positions",
    "accounts",
    "accounts --check",
    "runs",
    "halt",
    "resume",
)

READING = {
    "handshake",
    "startApi",
    "reqCurrentTime",
    "reqPositions",
    "cancelPositions",
    "reqAccountUpdates",
    "reqContractDetails",
    "reqMarketDataType",
    "reqMktData",
    "cancelMktData",
}
"""All that the commands have to say to a gateway."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_only_reads(here: Here, command: str) -> None:
    ended = here.run(*command.split())
    assert ended.exit_code == (0 if "execute" not in command or "--dry-run" in command else 2)
    assert not order_messages(here.sandbox.log)
    assert {record["message"] for record in received(here.sandbox.log)} <= READING


def test_following_only_reads(here: Here) -> None:
    with here.start("positions", "--follow", "--every", "1") as process:
        here.sandbox.until(lambda log: len(received(log, "reqPositions")) > 1)
        process.terminate()
        process.communicate(timeout=10)
    assert not order_messages(here.sandbox.log)


SENDERS: dict[str, Callable[[Any], object]] = {
    "placeOrder": lambda ib: ib.placeOrder(ib_async.Stock("QQQ", "SMART", "USD"), ib_async.MarketOrder("BUY", 1)),
    "cancelOrder": lambda ib: ib.client.cancelOrder(1, ""),
    "reqGlobalCancel": lambda ib: ib.client.reqGlobalCancel(),
}
"""How a program trades or meddles with orders."""


@pytest.mark.parametrize("message", SENDERS)
def test_the_witness_sees_an_order(here: Here, message: str) -> None:
    """The seeded defect: the same log, and something that does trade."""
    _trade(here, SENDERS[message])
    assert [record["message"] for record in order_messages(here.sandbox.log)] == [message]
    assert message in ORDER_MESSAGES.values()


def test_a_command_that_trades_would_be_seen(here: Here) -> None:
    """The seeded defect inside a command: a market view that also places an order."""
    reads = GatewayMarket.server_time

    async def trades(market: GatewayMarket) -> object:
        contract = ib_async.Stock("QQQ", "SMART", "USD")
        market._conversation._client.placeOrder(9, contract, ib_async.MarketOrder("BUY", 1))
        return await reads(market)

    here.monkeypatch.setattr(GatewayMarket, "server_time", trades)
    here.run("plan", FIRST)
    assert [record["message"] for record in order_messages(here.sandbox.log)] == ["placeOrder"]


def _trade(here: Here, send: Callable[[Any], object]) -> None:
    async def connected() -> None:
        ib = ib_async.IB()
        await ib.connectAsync(LOOPBACK, here.sandbox.inside.gateway_port, clientId=1, timeout=10)
        try:
            send(ib)
            await ib.reqCurrentTimeAsync()
        finally:
            ib.disconnect()

    asyncio.run(connected())
