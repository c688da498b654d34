"""The product's desk, connected to a sandbox: what the tests of orders begin with."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.support.reading import CLIENT_ID, DU1, Notices, StoppedClock
from tests.support.sandbox import LOOPBACK

from ibkr_rebalancer.core.evidence import Commissioned, Evidence, Executed, StatusTold
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.order_book import Heard, OrderBook
from ibkr_rebalancer.core.orders import OrderIntent, OrderType
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.connection import Deadlines, TradingGateway, open_desk
from ibkr_rebalancer.ports import OrderDesk
from ibkr_rebalancer.sandbox.venue.document import Document

DESK_ID = CLIENT_ID + 1
"""The client id of `execute`."""

PATIENCE_S = 10.0
"""For news that only a broken test waits for in vain."""


def intent(number: int = 1, **changes: Any) -> OrderIntent:
    """An order to buy 5 AAA at market; its reference ends in its number."""
    given: dict[str, Any] = {"order_ref": f"rb1-test-{number}", **changes}
    return replace(MARKET_BUY, **given)


MARKET_BUY = OrderIntent(
    order_ref="",
    run_id="run",
    plan_id="plan",
    account=DU1,
    con_id=ConId(101),
    symbol="AAA",
    currency="USD",
    rate=Decimal(1),
    side=Side.BUY,
    quantity=5,
    order_type=OrderType.MARKET,
    limit_price=None,
    position_before=Decimal(100),
    client_id=DESK_ID,
    expires_at=datetime(2026, 11, 23, 21, tzinfo=UTC),
)


def resting(number: int = 1, **changes: Any) -> OrderIntent:
    """An order that the market of the base scenario does not fill."""
    return intent(number, **{"order_type": OrderType.LIMIT, "limit_price": Decimal("90.05"), **changes})


@asynccontextmanager
async def trading(
    port: int,
    *,
    client_id: int = DESK_ID,
    connect_s: float = 10,
    answer_s: float = 10,
    preview_s: float = 10,
    figures_s: float = 10,
) -> AsyncIterator[TradingGateway]:
    """A desk at the gateway, with deadlines that only a broken test meets unless they are given."""
    async with open_desk(
        host=LOOPBACK,
        port=port,
        client_id=client_id,
        clock=StoppedClock(),
        observer=Notices(),
        deadlines=Deadlines(
            connect_s=connect_s,
            answer_s=answer_s,
            life_s=answer_s,
            quotes_s=10,
            preview_s=preview_s,
            figures_s=figures_s,
        ),
    ) as gateway:
        yield gateway


async def heard_until(
    desk: OrderDesk, enough: Callable[[list[Heard]], object], *, account: AccountId = DU1
) -> list[Heard]:
    """All news of the account until it is enough."""
    heard: list[Heard] = []
    async with asyncio.timeout(PATIENCE_S):
        while not enough(heard):
            heard += await desk.heard(account, within_s=PATIENCE_S)
    return heard


def evidence_of(order_ref: str, heard: OrderBook | list[Heard]) -> list[Evidence]:
    """What was heard of one order."""
    listed = heard.heard if isinstance(heard, OrderBook) else heard
    return [each.evidence for each in listed if each.order_ref == order_ref]


def statuses(order_ref: str, heard: OrderBook | list[Heard]) -> list[str]:
    return [each.status for each in evidence_of(order_ref, heard) if isinstance(each, StatusTold)]


def filled(order_ref: str, heard: OrderBook | list[Heard]) -> Decimal:
    """Shares executed, each execution once."""
    prints = {each.exec_id: each.shares for each in evidence_of(order_ref, heard) if isinstance(each, Executed)}
    return sum(prints.values(), Decimal(0))


def has_status(order_ref: str, status: str) -> Callable[[list[Heard]], bool]:
    return lambda heard: status in statuses(order_ref, heard)


def is_charged(order_ref: str) -> Callable[[list[Heard]], bool]:
    return lambda heard: any(isinstance(each, Commissioned) for each in evidence_of(order_ref, heard))


def order_fault(action: str, **parameters: object) -> Document:
    """A fault of the market that every order meets."""
    return {"when": "order", "what": {action: parameters}}
