"""One connection to a gateway: a request gets exactly the messages that answer it, whole, or an error.

ib_async's `IB` answers from caches that outlive their truth, takes some refusals for warnings and then waits for ever,
and shows other refusals as empty answers. This stands one step lower, on its `Client`: socket, throttle and message
formats are the library's; which message answers which request is decided here, and nothing is kept afterwards.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar, cast

from ib_async import Client

from ibkr_rebalancer.core.errors import GatewayUnavailable
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.answers import Answer, Answers, Key, Question
from ibkr_rebalancer.edges.ibkr.frames import Frames, NotFramesError
from ibkr_rebalancer.edges.ibkr.link import Link
from ibkr_rebalancer.edges.ibkr.listener import UPDATES_OF, Listener
from ibkr_rebalancer.edges.ibkr.order_messages import OrderMessage
from ibkr_rebalancer.edges.ibkr.room import Room
from ibkr_rebalancer.edges.ibkr.troubles import (
    CLOSED_BY_US,
    CUT_OFF,
    LINK_DOWN,
    NOT_ACCEPTED,
    NOT_THE_PROTOCOL,
    SILENT,
    STUCK,
    TOO_OLD,
    UNANSWERED,
    Trouble,
)
from ibkr_rebalancer.edges.ibkr.wire import Wire
from ibkr_rebalancer.ports import Clock

# Its log shows account numbers and balances, and tells failures that are told here, as errors.
logging.getLogger("ib_async").setLevel(logging.CRITICAL + 1)

W_co = TypeVar("W_co", bound=Wire, covariant=True)
"""What may be sent on the connection: `Wire` by those who look, `OrderWire` by the desk."""


class Conversation(Generic[W_co]):
    """The requests that are under way on one connection. Create it inside the event loop that runs it."""

    def __init__(self, clock: Clock, *, hear_order: Callable[[OrderMessage], None] | None = None) -> None:
        """`hear_order` is told every message about orders; without it none is listened to."""
        self.link = Link()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By `Question.turn`, held by whoever asks such a question."""
        self.answers = Answers()
        self._under_way = 0
        """How many are waiting here for an answer, for their turn, for news or for room to send."""
        self._taken = asyncio.Event()
        """Set unless bytes wait for the network to take them."""
        self._taken.set()
        self._gone = asyncio.Event()
        self._frames = Frames()
        self._listener = Listener(self.answers, self.link, clock, hear_order)
        self._client: Any = Client(self._listener)  # type: ignore[no-untyped-call]  # ib_async leaves it untyped
        self._wire = cast("W_co", self._client)
        self._room = Room(self._client, self.link)
        self._listen()

    @property
    def accounts(self) -> tuple[str, ...]:
        """Those that this login may see."""
        return self._listener.accounts

    @property
    def broken_farms(self) -> frozenset[str]:
        """Data farms that the gateway reports as broken, by name."""
        return self._listener.broken_farms

    async def start(self, host: str, port: int, client_id: int, *, deadline_s: float) -> Trouble | None:
        """Connect and start the session; or the trouble that was met, after which this conversation is of no use.

        Raises:
            OSError: nothing listens there.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + deadline_s
        connecting = asyncio.ensure_future(self._client.connectAsync(host, port, client_id, timeout=None))
        try:
            # A link that is lost and back before anybody looks has left a new, unmet trouble behind.
            while not (connecting.done() or self.link.trouble.done()) and (left_s := ends - loop.time()) > 0:
                await self.link.until(connecting, timeout_s=left_s)
            if self.link.trouble.done():
                return self.link.trouble.result()
            if not connecting.done():
                return SILENT if self._client.conn.isConnected() else NOT_ACCEPTED
            await connecting
            self._client.conn.transport.set_write_buffer_limits(high=0)  # so that we hear when bytes have to wait
            return None
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)

    @property
    def is_of_use(self) -> bool:
        """Whether more may yet be answered here. A lost link mends itself; what is gone or owed may never come."""
        if self.link.trouble.done():
            return self.link.trouble.result() is LINK_DOWN
        return not self.answers.owed

    @property
    def is_at_work(self) -> bool:
        """Whether somebody is in the middle of something here who is not hindered by an answer that is owed: the
        updates of one account are owed to whoever asks for them again, and to nobody else.
        """
        is_sound = not self.link.trouble.done()
        return is_sound and self._under_way > 0 and all(kind.startswith(UPDATES_OF) for kind in self.answers.owed)

    async def close(self) -> None:
        """Leave. Requests still under way end with an error."""
        self.link.fail(CLOSED_BY_US)
        with suppress(OSError):  # the socket may be dead already
            self._client.disconnect()
        if self._client.conn.transport is not None:
            self._client.conn.transport.abort()  # nothing worth waiting for can still be unsent
            await self._gone.wait()

    async def ask(self, question: Question[W_co], *, deadline_s: float) -> list[object]:
        """A request without a number: of a kind one at a time, as nothing tells two answers of a kind apart.

        Raises:
            GatewayUnavailable: no whole answer came by the deadline.
            GatewayRefused: the gateway says no.
        """
        with self._working():
            async with self._turns[question.turn]:
                self.link.require_sound(f"{question.about} was being read")
                return await self._ask_in_turn(question, deadline_s=deadline_s)

    async def _ask_in_turn(self, question: Question[W_co], *, deadline_s: float) -> list[object]:
        if question.kind in self.answers.owed:
            raise UNANSWERED.during(f"{question.about} was to be read")
        await self._room_to_ask(f"{question.about} was being read")
        answer = await self._exchange(
            question.kind, lambda: question.send(self._wire), about=question.about, deadline_s=deadline_s
        )
        rows = self.whole(answer, about=question.about, deadline_s=deadline_s)
        question.stop(self._wire)
        return rows

    async def ask_numbered(
        self,
        send: Callable[[W_co, int], None],
        *,
        about: str,
        deadline_s: float,
        suffices: Callable[[list[object]], bool] = lambda _: False,
        lull_s: Callable[[list[object]], float | None] = lambda _: None,
    ) -> Answer:
        """A request with a number, any number of which may be under way; whether it was answered is for the caller.

        The deadline runs from when it has left.

        `suffices` may see in the rows so far that the rest is not needed; and `lull_s` for how long, after a row that
        does not suffice, more is waited for.

        Raises:
            GatewayUnavailable: the connection failed meanwhile.
        """
        await self._room_to_ask(f"{about} was being read")
        number = self._next_number()
        return await self._exchange(
            number,
            lambda: send(self._wire, number),
            about=about,
            deadline_s=deadline_s,
            suffices=suffices,
            lull_s=lull_s,
        )

    def tell(self, send: Callable[[W_co], None], *, about: str) -> None:
        """Send what has no answer.

        Raises:
            GatewayUnavailable: the connection has failed.
        """
        self.link.require_sound(f"{about} was being read")
        send(self._wire)

    async def dispatch(
        self, send: Callable[[W_co, int], None], *, account: AccountId, about: str, deadline_s: float
    ) -> None:
        """Send what changes the world of an account, with a fresh number; on return all of it has left this process.

        Raises:
            GatewayUnavailable: the connection failed, and the sentence says whether anything was sent.
        """
        with self._working():
            async with self._room.to_send(account, f"{about} was to be sent; it was not sent"):
                send(self._wire, self._next_number())
                await self._see_off(f"{about} was being sent; it may have been sent or not", deadline_s)

    async def until_news(self, news: asyncio.Event, *, timeout_s: float) -> None:
        """Wait for this event, or until the connection fails."""
        with self._working():
            await self.link.until_set(news, timeout_s=timeout_s)

    def whole(self, answer: Answer, *, about: str, deadline_s: float) -> list[object]:
        """The rows of an answer that is complete.

        Raises:
            GatewayUnavailable: it is not (`SNAPSHOT_INCOMPLETE`).
            GatewayRefused: it is a no (`GATEWAY_REFUSED`, `GATEWAY_READ_ONLY`).
        """
        if not answer.finished:
            farms = f" (broken data farms: {', '.join(sorted(self.broken_farms))})" if self.broken_farms else ""
            waited_s = f"{deadline_s:.0f}" if deadline_s >= 10 else f"{deadline_s:.3g}"
            raise GatewayUnavailable(
                "SNAPSHOT_INCOMPLETE",
                f"The gateway did not deliver {about} to the end within {waited_s} s{farms}.",
                hint="Run the command again; if it lasts, restart the gateway.",
            )
        if answer.refusal is not None:
            raise answer.refusal.about(about)
        return answer.rows

    async def _exchange(
        self,
        key: Key,
        send: Callable[[], None],
        *,
        about: str,
        deadline_s: float,
        suffices: Callable[[list[object]], bool] = lambda _: False,
        lull_s: Callable[[list[object]], float | None] = lambda _: None,
    ) -> Answer:
        occupation = f"{about} was being read"
        self.link.require_sound(occupation)
        trouble = self.link.trouble
        ended = asyncio.get_running_loop().create_future()
        answer = Answer(ended=ended, suffices=suffices, lull_s=lull_s)
        with self.answers.expecting(key, answer):
            send()
            with self._working():
                await self.link.until(ended, timeout_s=deadline_s)
            if trouble.done():
                raise trouble.result().during(occupation)
        return answer

    async def _room_to_ask(self, occupation: str) -> None:
        with self._working():
            await self._room.to_ask(occupation)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Count who is in the middle of something."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _see_off(self, occupation: str, deadline_s: float) -> None:
        """Wait until the network has taken everything that was sent."""
        transport = self._client.conn.transport
        if not self._taken.is_set():
            await self.until_news(self._taken, timeout_s=deadline_s)
        if transport.is_closing():
            await asyncio.wait({self.link.trouble})
        elif self._taken.is_set():
            return
        self.link.require_sound(occupation)
        self.link.fail(STUCK)
        self.link.require_sound(occupation)

    def _next_number(self) -> int:
        """Requests and orders are numbered in one row, above every order that the gateway has spoken of."""
        self._client.updateReqId(self._listener.last_order_id + 1)
        number: int = self._client.getReqId()
        return number

    def _listen(self) -> None:
        """Hear all that can happen to the connection, also what the client only logs."""
        connection, decoder = self._client.conn, self._client.decoder
        connection.hasData += self._bytes_arrived
        connection.hasData.error_event += self._bytes_unreadable
        connection.disconnected += self._disconnected
        connection.pause_writing, connection.resume_writing = self._taken.clear, self._taken.set
        self._client.apiError += self._api_error
        ignored = dict.fromkeys(decoder.handlers, lambda _: None)
        decoder.handlers = ignored | {number: decoder.handlers[number] for number in self._listener.heeded}
        decoder.logger = logging.Logger("decoder")  # noqa: LOG001 (its own: only the filter sees the records)
        decoder.logger.addFilter(self._message_lost)

    def _bytes_arrived(self, data: bytes) -> None:
        try:
            self._frames.feed(data)
        except NotFramesError:
            self.link.fail(NOT_THE_PROTOCOL)

    def _bytes_unreadable(self, *_: object) -> None:
        """The client has stumbled over what should have been the greeting."""
        self.link.fail(NOT_THE_PROTOCOL)

    def _message_lost(self, _: logging.LogRecord) -> bool:
        """A message could not be decoded; its log record, suppressed here, is the only sign."""
        self.link.fail(NOT_THE_PROTOCOL)
        return False

    def _api_error(self, text: str) -> None:
        if text.startswith("TWS/gateway version must be"):
            self.link.fail(TOO_OLD)

    def _disconnected(self, _: str) -> None:
        self._gone.set()
        self.link.fail(CUT_OFF)
