"""The product's gateway edge, connected to a sandbox: what the tests of reading begin with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tests.support.sandbox import LOOPBACK

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.instruments import Contract, ContractQuery
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.quotes import NoQuote, Quote
from ibkr_rebalancer.edges.ibkr.connection import Deadlines, open_gateway
from ibkr_rebalancer.edges.ibkr.market import GatewayMarket
from ibkr_rebalancer.ports import MarketView

NOW = datetime(2026, 11, 23, 15, 30, 1, tzinfo=UTC)
"""This machine's time in the tests, one second after the sandbox's."""

CLIENT_ID = 10
"""As configured; readers take 12 to 19."""

DU1 = AccountId("DU1")
"""The account of the base scenario."""

SOON_S = 0.1
"""A deadline that a test waits for."""


class StoppedClock:
    """It is always `NOW`."""

    def now(self) -> datetime:
        return NOW


class Notices:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[Notice] = []

    def notify(self, notice: Notice) -> None:
        self.heard.append(notice)

    @property
    def texts(self) -> list[str]:
        return [notice.text for notice in self.heard]


@asynccontextmanager
async def reading(
    port: int,
    *,
    host: str = LOOPBACK,
    observer: Notices | None = None,
    connect_s: float = 10,
    answer_s: float = 10,
    life_s: float | None = None,
    quotes_s: float = 10,
) -> AsyncIterator[GatewayMarket]:
    """A reader of the gateway at `port`, with deadlines that only a broken test meets unless they are given."""
    async with open_gateway(
        host=host,
        port=port,
        client_id=CLIENT_ID,
        clock=StoppedClock(),
        observer=observer or Notices(),
        deadlines=Deadlines(connect_s=connect_s, answer_s=answer_s, life_s=life_s or answer_s, quotes_s=quotes_s),
    ) as market:
        yield market


async def read_everything(market: MarketView, symbols: Sequence[str] = ("AAA", "BBB")) -> list[object]:
    """One of each question, in the order of a snapshot."""
    clock = await market.server_time()
    accounts = await market.managed_accounts()
    positions = await market.positions(accounts)
    portfolios = [await market.portfolio(account) for account in accounts]
    found = await market.contracts([ContractQuery(symbol=symbol) for symbol in symbols])
    quotes = await market.quotes([contract for listed in found.values() for contract in candidates(listed)])
    return [clock.replace(second=0), positions, portfolios, found, quotes]


def candidates(found: Sequence[Contract] | RebalancerError) -> Sequence[Contract]:
    """What a lookup has found; a refusal of it is raised."""
    if isinstance(found, RebalancerError):
        raise found
    return found


def quoted(answer: Quote | NoQuote) -> Quote:
    """The quote that must be there."""
    assert isinstance(answer, Quote)
    return answer


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop go on until the condition holds; the test's timeout is its end."""
    while not condition():  # noqa: ASYNC110 (what is waited for happens in sandbox and library, which set no event)
        await asyncio.sleep(0)
