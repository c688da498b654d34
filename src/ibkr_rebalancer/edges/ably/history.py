"""What was published on channels, asked of Ably over REST: what no socket can be trusted to bring."""

from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from ably.rest.rest import AblyRest

from ibkr_rebalancer.core.events import Delivery
from ibkr_rebalancer.edges.ably.address import rest_options
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.messages import past_delivery
from ibkr_rebalancer.edges.ably.troubles import AblyTrouble, answer_of, refusal
from ibkr_rebalancer.ports import Clock

T = TypeVar("T")

KEPT = timedelta(minutes=2)
"""How long Ably keeps every message, whatever the rule of its channel: https://ably.com/docs/storage-history/storage."""

PROTOCOL = "5"
"""The version of Ably's protocol that the requests speak."""

LARGEST_PAGE = 1000

EPOCH = datetime.fromtimestamp(0, UTC)


class History:
    """The past of channels. All methods raise AblyTrouble when it cannot be had."""

    def __init__(self, *, api_key: str, endpoint: str | None, clock: Clock, deadlines: Deadlines) -> None:
        self._api_key = api_key
        self._endpoint = endpoint
        self._clock = clock
        self._deadlines = deadlines
        self._client: AblyRest | None = None

    async def now(self) -> datetime:
        """Ably's clock."""
        milliseconds = await self._asked(lambda client: client.time())
        return EPOCH + timedelta(milliseconds=int(milliseconds))

    async def replay(self, channel: str, since: datetime, take: Callable[[Delivery], None]) -> None:
        """Hand over every event from this time on that is kept, in Ably's order."""
        page = await self._page(channel, start=_milliseconds(since), direction="forwards", limit=LARGEST_PAGE)
        while page is not None:
            for delivery in self._deliveries(channel, page.items):
                take(delivery)
            page = await self._next(page)

    async def reaches(self, channel: str, moment: datetime) -> bool:
        """Whether a message from before this time is still kept, and so, all that were published since."""
        page = await self._page(channel, end=_milliseconds(moment), direction="backwards", limit=1)
        return bool(page.items)

    async def close(self) -> None:
        """Let go of its connections; the next question makes new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _page(self, channel: str, **query: object) -> Any:
        path = f"/channels/{quote(channel, safe='')}/messages"
        return await self._asked(lambda client: _accepted(client.request("GET", path, PROTOCOL, params=query)))

    async def _next(self, page: Any) -> Any:
        """The page after this one; None if it was the last."""
        if not page.has_next():
            return None
        return await self._asked(lambda _: _accepted(page.next()))

    def _deliveries(self, channel: str, items: list[object]) -> Iterator[Delivery]:
        received = self._clock.now()
        for item in items:
            delivery = past_delivery(channel, item, received)
            if delivery is not None:
                yield delivery

    async def _asked(self, question: Callable[[AblyRest], Coroutine[Any, Any, T]]) -> T:
        """The answer within its deadline. After trouble the client is dropped, with its connections and its token."""
        try:
            return await answer_of(partial(self._ask, question), within_s=self._deadlines.answer_s)
        except AblyTrouble:
            await self.close()
            raise

    async def _ask(self, question: Callable[[AblyRest], Coroutine[Any, Any, T]]) -> T:
        """The client is made in here, as it refuses what it cannot read as a key."""
        if self._client is None:
            self._client = AblyRest(self._api_key, use_binary_protocol=False, **rest_options(self._endpoint))
        return await question(self._client)


async def _accepted(asked: Coroutine[Any, Any, Any]) -> Any:
    """The page, unless Ably says no: the SDK returns that like any other.

    Raises:
        AblyTrouble: it does.
    """
    page = await asked
    if not page.success:
        raise AblyTrouble(refusal(page.error_code, page.status_code))
    return page


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)
