"""Open a gateway for reading: the first free reader id, within one deadline, and a sentence for every way it fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ibkr_rebalancer.core.errors import Busy, GatewayUnavailable, RebalancerError
from ibkr_rebalancer.edges.ibkr.conversation import Conversation
from ibkr_rebalancer.edges.ibkr.market import GatewayMarket
from ibkr_rebalancer.edges.ibkr.troubles import CUT_OFF, ID_TAKEN, NOT_THE_PROTOCOL, Trouble
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
        conversation = Conversation(clock)
        trouble = await _start(conversation, address, client_id + reader, ends)
        if trouble is None:
            return conversation
        await conversation.close()
        if trouble is not ID_TAKEN:
            raise _described(trouble, address)
    first, last = client_id + READERS[0], client_id + READERS[-1]
    raise Busy(
        ID_TAKEN.code,
        f"All client ids for reading, {first} to {last}, are in use at the gateway at {address}.",
        hint="Wait until other commands have finished, or set IBKR_CLIENT_ID to numbers that no other program uses.",
    )


async def _start(conversation: Conversation, address: _Address, client_id: int, ends: float) -> Trouble | None:
    """Start the session by the time `ends`; on any error the conversation is closed."""
    try:
        async with asyncio.timeout_at(ends):
            return await conversation.start(address.host, address.port, client_id)
    except TimeoutError as late:
        connected = conversation.connected
        await conversation.close()
        if not connected:
            raise _unreachable(address, "the connection was not accepted in time") from late
        raise _not_ready(address, "accepts connections but does not start a session") from late
    except OSError as error:
        await conversation.close()
        raise _unreachable(address, error.strerror or str(error)) from error
    except BaseException:
        await conversation.close()
        raise


def _described(trouble: Trouble, address: _Address) -> RebalancerError:
    """The sentence for a session that ended before it had begun."""
    if trouble is CUT_OFF:
        return _not_ready(address, "closes the connection before a session has started")
    if trouble is NOT_THE_PROTOCOL:
        return GatewayUnavailable(
            trouble.code,
            f"What answers at {address} is not an Interactive Brokers gateway.",
            hint="Check IBKR_HOST and IBKR_PORT: IB Gateway listens on 4002 (paper) or 4001 (live).",
        )
    return trouble.during(f"a session was being started at {address}")


def _unreachable(address: _Address, reason: str) -> GatewayUnavailable:
    return GatewayUnavailable(
        "GATEWAY_UNREACHABLE",
        f"No gateway can be reached at {address}: {reason}.",
        hint="Start IB Gateway and finish its login (also on the phone, if it asks there), and check IBKR_HOST and "
        "IBKR_PORT: the usual ports are 4002 (paper) and 4001 (live).",
    )


def _not_ready(address: _Address, what: str) -> GatewayUnavailable:
    return GatewayUnavailable(
        "GATEWAY_NOT_READY",
        f"The gateway at {address} {what}.",
        hint="Approve its login on the phone if it waits for that, and check that its API settings allow socket "
        "clients from this machine.",
    )
