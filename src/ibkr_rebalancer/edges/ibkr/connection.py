"""Open a gateway for reading: the first free reader id, within one deadline, and a sentence for every way it fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ibkr_rebalancer.core.errors import Busy, GatewayUnavailable
from ibkr_rebalancer.edges.ibkr.conversation import Conversation
from ibkr_rebalancer.edges.ibkr.market import GatewayMarket
from ibkr_rebalancer.edges.ibkr.troubles import AT_START, ID_TAKEN, NOT_ACCEPTED, Trouble
from ibkr_rebalancer.ports import Clock, Observer

READERS = range(2, 10)
"""Added to the configured client id: `watch` has the id itself, `execute` the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long the gateway may take, in seconds."""

    connect_s: float = 15.0
    """Until a session has started, all client ids tried."""
    answer_s: float = 20.0
    """For one answer; account updates of large accounts are the slowest."""
    quotes_s: float = 15.0
    """For one batch of quotes: the gateway itself gives up on missing prices after about eleven."""


DEADLINES = Deadlines()


@asynccontextmanager
async def open_gateway(
    *, host: str, port: int, client_id: int, clock: Clock, observer: Observer, deadlines: Deadlines = DEADLINES
) -> AsyncIterator[GatewayMarket]:
    """The gateway at `host:port`, to be looked at until the block is left.

    Raises:
        GatewayUnavailable: `GATEWAY_UNREACHABLE`, `GATEWAY_NOT_READY`, `GATEWAY_PROTOCOL`, `GATEWAY_TOO_OLD`,
            `GATEWAY_NO_ACCOUNTS` or `LINK_DOWN`.
        Busy: all client ids for readers are in use (`CLIENT_ID_IN_USE`).
    """
    conversation = await _connect(_Address(host, port), client_id, clock, deadlines.connect_s)
    try:
        yield GatewayMarket(conversation, observer=observer, answer_s=deadlines.answer_s, quotes_s=deadlines.quotes_s)
    finally:
        await conversation.close()


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


async def _connect(address: _Address, client_id: int, clock: Clock, connect_s: float) -> Conversation:
    """A session under the first reader id that is free."""
    ends = asyncio.get_running_loop().time() + connect_s
    for reader in READERS:
        outcome = await _start(address, client_id + reader, clock, ends)
        if isinstance(outcome, Conversation):
            return outcome
        if outcome is not ID_TAKEN:
            raise AT_START.get(outcome, outcome).at(str(address))
    raise Busy(
        ID_TAKEN.code,
        f"All client ids for reading, {client_id + READERS[0]} to {client_id + READERS[-1]}, are in use at {address}.",
        hint=ID_TAKEN.hint,
    )


async def _start(address: _Address, client_id: int, clock: Clock, ends: float) -> Conversation | Trouble:
    """A session under this client id, or what prevented it; then nothing is left of it."""
    left_s = max(ends - asyncio.get_running_loop().time(), 0)
    conversation = Conversation(clock)
    async with AsyncExitStack() as unless_started:
        unless_started.push_async_callback(conversation.close)
        try:
            trouble = await conversation.start(address.host, address.port, client_id, deadline_s=left_s)
        except OSError as error:
            raise GatewayUnavailable(
                NOT_ACCEPTED.code,
                f"No gateway can be reached at {address}: {_reason(error)}.",
                hint=NOT_ACCEPTED.hint,
            ) from error
        if trouble is not None:
            return trouble
        unless_started.pop_all()
    return conversation


def _reason(error: OSError) -> str:
    """A failed connect in few words; asyncio's own are about its calls, and of several addresses it quotes all."""
    if isinstance(error, ConnectionRefusedError) or error.errno is None:
        return "nothing listens there"
    return error.strerror or type(error).__name__
