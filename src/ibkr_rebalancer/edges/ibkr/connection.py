"""Open a gateway, for reading or as a desk: within one deadline, and with a sentence for every way it fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ibkr_rebalancer.core.errors import Busy, GatewayUnavailable
from ibkr_rebalancer.edges.ibkr.conversation import Conversation
from ibkr_rebalancer.edges.ibkr.link import Link
from ibkr_rebalancer.edges.ibkr.market import GatewayMarket
from ibkr_rebalancer.edges.ibkr.news import OrderNews
from ibkr_rebalancer.edges.ibkr.orders import GatewayOrders
from ibkr_rebalancer.edges.ibkr.troubles import AT_START, ID_TAKEN, NOT_ACCEPTED, Trouble
from ibkr_rebalancer.edges.ibkr.wire import OrderWire, Wire
from ibkr_rebalancer.ports import Clock, Observer, OrderDesk

READERS = range(2, 10)
"""Added to the configured client id: `watch` has the id itself, `execute` the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long the gateway may take, in seconds."""

    connect_s: float = 15.0
    """Until a session has started, all client ids tried."""
    answer_s: float = 20.0
    """For one answer; account updates of large accounts are the slowest."""
    life_s: float = 5.0
    """For a sign of life once an answer did not come: the gateway tells the time at once, or is gone."""
    quotes_s: float = 15.0
    """For one batch of quotes: the gateway itself gives up on missing prices after about eleven."""
    preview_s: float = 10.0
    """For the preview of one order."""
    figures_s: float = 2.0
    """For the figures of a preview that has begun with a warning; there may be none."""


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
        yield _market(conversation, observer, deadlines)
    finally:
        await conversation.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingGateway:
    """One connection, for looking and for trading."""

    market: GatewayMarket
    desk: OrderDesk
    link: Link


@asynccontextmanager
async def open_desk(
    *, host: str, port: int, client_id: int, clock: Clock, observer: Observer, deadlines: Deadlines = DEADLINES
) -> AsyncIterator[TradingGateway]:
    """The gateway at `host:port`, to trade over exactly this client id until the block is left.

    Raises:
        GatewayUnavailable: as for `open_gateway`.
        Busy: the client id is in use (`CLIENT_ID_IN_USE`); there is no other, as only the client that places an order
            can cancel it.
    """
    address = _Address(host, port)
    news = OrderNews(client_id)
    conversation = Conversation[OrderWire](clock, hear_order=news.take)
    ends = asyncio.get_running_loop().time() + deadlines.connect_s
    trouble = await _start(conversation, address, client_id, ends)
    if trouble is ID_TAKEN:
        raise Busy(
            ID_TAKEN.code,
            f"Client id {client_id} is in use at {address}; another run may be at work there.",
            hint=ID_TAKEN.hint,
        )
    _require_started(trouble, address)
    try:
        yield TradingGateway(
            market=_market(conversation, observer, deadlines),
            desk=GatewayOrders(
                conversation,
                news,
                client_id=client_id,
                answer_s=deadlines.answer_s,
                preview_s=deadlines.preview_s,
                figures_s=deadlines.figures_s,
            ),
            link=conversation.link,
        )
    finally:
        await conversation.close()


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


async def _connect(address: _Address, client_id: int, clock: Clock, connect_s: float) -> Conversation[Wire]:
    """A session under the first reader id that is free."""
    ends = asyncio.get_running_loop().time() + connect_s
    for reader in READERS:
        conversation = Conversation[Wire](clock)
        trouble = await _start(conversation, address, client_id + reader, ends)
        if trouble is not ID_TAKEN:
            _require_started(trouble, address)
            return conversation
    raise Busy(
        ID_TAKEN.code,
        f"All client ids for reading, {client_id + READERS[0]} to {client_id + READERS[-1]}, are in use at {address}.",
        hint=ID_TAKEN.hint,
    )


async def _start(conversation: Conversation[Wire], address: _Address, client_id: int, ends: float) -> Trouble | None:
    """Start the session under this client id; or what prevented it, and then nothing is left of it."""
    left_s = max(ends - asyncio.get_running_loop().time(), 0)
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
        if trouble is None:
            unless_started.pop_all()
    return trouble


def _market(conversation: Conversation[Wire], observer: Observer, deadlines: Deadlines) -> GatewayMarket:
    return GatewayMarket(
        conversation,
        observer=observer,
        answer_s=deadlines.answer_s,
        life_s=deadlines.life_s,
        quotes_s=deadlines.quotes_s,
    )


def _require_started(trouble: Trouble | None, address: _Address) -> None:
    if trouble is not None:
        raise AT_START.get(trouble, trouble).at(str(address))


def _reason(error: OSError) -> str:
    """A failed connect in few words; asyncio's own are about its calls, and of several addresses it quotes all."""
    if isinstance(error, ConnectionRefusedError) or error.errno is None:
        return "nothing listens there"
    return error.strerror or type(error).__name__
