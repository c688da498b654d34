"""One connection to a gateway: a request gets exactly the messages that answer it, whole, or an error.

ib_async's `IB` answers from caches that outlive their truth, takes some refusals for warnings and then waits for ever,
and shows other refusals as empty answers. This stands one step lower, on its `Client`: socket, throttle and message
formats are the library's; which message answers which request is decided here, and nothing is kept afterwards.
"""

# ruff: noqa: N802 (the names of messages and requests are ib_async's)

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ib_async import AccountValue, Client, Contract, ContractDetails, PortfolioItem, Position

from ibkr_rebalancer.core.errors import GatewayRefused, GatewayUnavailable
from ibkr_rebalancer.edges.ibkr.codes import CODES, Effect, explain
from ibkr_rebalancer.edges.ibkr.frames import Frames, NotFramesError
from ibkr_rebalancer.edges.ibkr.translate import DATA_KINDS, Tick
from ibkr_rebalancer.edges.ibkr.troubles import (
    CLOSED_BY_US,
    CUT_OFF,
    ID_TAKEN,
    LINK_DOWN,
    NO_ACCOUNTS,
    NOT_ACCEPTED,
    NOT_THE_PROTOCOL,
    SILENT,
    TOO_OLD,
    UNANSWERED,
    Trouble,
)
from ibkr_rebalancer.edges.ibkr.wire import Wire
from ibkr_rebalancer.ports import Clock

SYSTEM = -1
"""The request id of messages that are about no numbered request."""
HEARD = (1, 4, 6, 7, 9, 10, 15, 49, 52, 54, 57, 58, 61, 62)
"""The messages we listen to, by id; the other known ones are not even read."""
MESSAGES_PER_S = Client.MaxRequests / Client.RequestsInterval
"""Above this ib_async holds messages back."""

# Its log shows account numbers and balances, and tells failures that are told here, as errors.
logging.getLogger("ib_async").setLevel(logging.CRITICAL + 1)

Key = int | str
"""What a message carries to say which request it answers: the request's number, or for the few requests that
have none, their kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The gateway's no to one request."""

    code: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What has come in reply to one request; it stays unfinished if the deadline passes first."""

    rows: list[object] = field(default_factory=list)
    ended: asyncio.Future[Refusal | None]
    """Done when the answer is whole, or refused."""
    suffices: Callable[[list[object]], bool]

    @property
    def finished(self) -> bool:
        return self.ended.done()

    @property
    def refusal(self) -> Refusal | None:
        return self.ended.result() if self.finished else None

    def end(self, refusal: Refusal | None = None) -> None:
        if not self.finished:
            self.ended.set_result(refusal)


class Conversation:
    """The requests that are under way on one connection. Create it inside the event loop that runs it."""

    def __init__(self, clock: Clock) -> None:
        self.accounts: tuple[str, ...] = ()
        self.broken_farms: frozenset[str] = frozenset()
        """Data farms that the gateway reports as broken, by name."""
        self._clock = clock
        self._answers: dict[Key, Answer] = {}
        self._unnumbered = asyncio.Lock()
        self._owed: set[str] = set()
        """Kinds of requests given up: their messages may still come, and would pass for the next one's of that kind."""
        self._trouble: asyncio.Future[Trouble] = asyncio.get_running_loop().create_future()
        """Done while nothing can be asked; renewed when the link to Interactive Brokers is back."""
        self._gone = asyncio.Event()
        self._frames = Frames()
        self._client: Any = Client(self)  # type: ignore[no-untyped-call]  # ib_async leaves it untyped
        self._wire: Wire = self._client
        self._listen()

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
            while not (connecting.done() or self._trouble.done()) and (left_s := ends - loop.time()) > 0:
                either: set[asyncio.Future[Any]] = {connecting, self._trouble}
                await asyncio.wait(either, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if self._trouble.done():
                return self._trouble.result()
            if not connecting.done():
                return SILENT if self._client.conn.isConnected() else NOT_ACCEPTED
            await connecting
            return None
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)

    @property
    def is_of_use(self) -> bool:
        """Whether more may yet be answered here. A lost link mends itself; what is gone or owed may never come."""
        if self._trouble.done():
            return self._trouble.result() is LINK_DOWN
        return not self._owed

    async def close(self) -> None:
        """Leave. Requests still under way end with an error."""
        self._break(CLOSED_BY_US)
        with suppress(OSError):  # the socket may be dead already
            self._client.disconnect()
        if self._client.conn.transport is not None:
            self._client.conn.transport.abort()  # nothing worth waiting for can still be unsent
            await self._gone.wait()

    async def ask(
        self, kind: str, *, about: str, send: Callable[[Wire], None], stop: Callable[[Wire], None], deadline_s: float
    ) -> list[object]:
        """A request without a number: one at a time, as nothing tells two answers apart.

        `stop` ends the subscription that some of these requests also are.

        Raises:
            GatewayUnavailable: no whole answer came by the deadline.
            GatewayRefused: the gateway says no.
        """
        async with self._unnumbered:
            self._require_sound(about)
            if kind in self._owed:
                raise UNANSWERED.during(f"{about} was to be read")
            answer = await self._exchange(kind, lambda: send(self._wire), about=about, deadline_s=deadline_s)
            rows = self.whole(answer, about=about, deadline_s=deadline_s)
            stop(self._wire)
            return rows

    async def ask_numbered(
        self,
        send: Callable[[Wire, int], None],
        *,
        about: str,
        deadline_s: float,
        suffices: Callable[[list[object]], bool] = lambda _: False,
    ) -> Answer:
        """A request with a number, any number of which may be under way; whether it was answered is for the caller.

        `suffices` may see in the rows so far that the rest is not needed.

        Raises:
            GatewayUnavailable: the connection failed meanwhile.
        """
        self._require_sound(about)
        number: int = self._client.getReqId()
        return await self._exchange(
            number, lambda: send(self._wire, number), about=about, deadline_s=deadline_s, suffices=suffices
        )

    def tell(self, send: Callable[[Wire], None], *, about: str) -> None:
        """Send what has no answer.

        Raises:
            GatewayUnavailable: the connection has failed.
        """
        self._require_sound(about)
        send(self._wire)

    def whole(self, answer: Answer, *, about: str, deadline_s: float) -> list[object]:
        """The rows of an answer that is complete.

        Raises:
            GatewayUnavailable: it is not (`SNAPSHOT_INCOMPLETE`).
            GatewayRefused: it is a no.
        """
        if not answer.finished:
            farms = f" (broken data farms: {', '.join(sorted(self.broken_farms))})" if self.broken_farms else ""
            raise GatewayUnavailable(
                "SNAPSHOT_INCOMPLETE",
                f"The gateway did not deliver {about} to the end within {deadline_s:.3g} s{farms}.",
                hint="Run the command again; if it lasts, restart the gateway.",
            )
        if answer.refusal is not None:
            no = answer.refusal
            raise GatewayRefused(
                "GATEWAY_REFUSED",
                f"The gateway refused {about}: {explain(no.code).meaning} (code {no.code}: {no.text}).",
                hint=explain(no.code).remedy,
            )
        return answer.rows

    async def _exchange(
        self,
        key: Key,
        send: Callable[[], None],
        *,
        about: str,
        deadline_s: float,
        suffices: Callable[[list[object]], bool] = lambda _: False,
    ) -> Answer:
        self._require_sound(about)
        trouble = self._trouble
        answer = Answer(ended=asyncio.get_running_loop().create_future(), suffices=suffices)
        self._answers[key] = answer
        try:
            send()
            either: set[asyncio.Future[Any]] = {answer.ended, trouble}
            await asyncio.wait(either, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
            if trouble.done():
                raise trouble.result().during(f"{about} was being read")
            return answer
        finally:
            del self._answers[key]
            if isinstance(key, str) and not answer.finished:
                self._owed.add(key)

    def _require_sound(self, about: str) -> None:
        if self._trouble.done():
            raise self._trouble.result().during(f"{about} was being read")

    def _break(self, trouble: Trouble) -> None:
        """End all requests, and let none begin. The first trouble stays; only a lost link can get worse, or better."""
        self._mend()
        if not self._trouble.done():
            self._trouble.set_result(trouble)

    def _mend(self) -> None:
        if self._trouble.done() and self._trouble.result() is LINK_DOWN:
            self._trouble = asyncio.get_running_loop().create_future()

    def _listen(self) -> None:
        """Hear all that can happen to the connection, also what the client only logs."""
        connection, decoder = self._client.conn, self._client.decoder
        connection.hasData += self._bytes_arrived
        connection.hasData.error_event += self._bytes_unreadable
        connection.disconnected += self._disconnected
        self._client.apiError += self._api_error
        ignored = dict.fromkeys(decoder.handlers, lambda _: None)
        decoder.handlers = ignored | {number: decoder.handlers[number] for number in HEARD}
        decoder.logger = logging.Logger("decoder")  # noqa: LOG001 (its own: only the filter sees the records)
        decoder.logger.addFilter(self._message_lost)

    def _bytes_arrived(self, data: bytes) -> None:
        try:
            self._frames.feed(data)
        except NotFramesError:
            self._break(NOT_THE_PROTOCOL)

    def _bytes_unreadable(self, *_: object) -> None:
        """The client has stumbled over what should have been the greeting."""
        self._break(NOT_THE_PROTOCOL)

    def _message_lost(self, _: logging.LogRecord) -> bool:
        """A message could not be decoded; its log record, suppressed here, is the only sign."""
        self._break(NOT_THE_PROTOCOL)
        return False

    def _api_error(self, text: str) -> None:
        if text.startswith("TWS/gateway version must be"):
            self._break(TOO_OLD)

    def _disconnected(self, _: str) -> None:
        self._gone.set()
        self._break(CUT_OFF)

    def _collect(self, key: Key, row: object) -> None:
        answer = self._answers.get(key)
        if answer is not None:
            answer.rows.append(row)
            if answer.suffices(answer.rows):
                answer.end()

    def _end(self, key: Key, refusal: Refusal | None = None) -> None:
        answer = self._answers.get(key)
        if answer is not None:
            answer.end(refusal)
        elif isinstance(key, str):
            self._owed.discard(key)

    # What follows is called by ib_async's client and decoder, a message at a time.

    def connectAck(self) -> None:
        """The handshake is done."""

    def setEventsDone(self) -> None:
        """The socket is gone; `_disconnected` has it."""

    def connectionClosed(self) -> None:
        """The same, of a session that was ready."""

    def nextValidId(self, number: int) -> None:
        """Part of the greeting, which the client itself waits for."""

    def managedAccounts(self, accounts: str) -> None:
        self.accounts = tuple(account for account in accounts.split(",") if account)
        if not self.accounts:
            self._break(NO_ACCOUNTS)

    def currentTime(self, epoch_s: int) -> None:
        self._collect("time", datetime.fromtimestamp(epoch_s, UTC))
        self._end("time")

    def position(self, account: str, contract: Contract, quantity: float, average_cost: float) -> None:
        self._collect("positions", Position(account, contract, quantity, average_cost))

    def positionEnd(self) -> None:
        self._end("positions")

    def updateAccountValue(self, key: str, value: str, currency: str, account: str) -> None:
        self._collect(updates_of(account), AccountValue(account, key, value, currency, ""))

    def updatePortfolio(  # noqa: PLR0917 (the decoder passes them so)
        self,
        contract: Contract,
        quantity: float,
        price: float,
        value: float,
        average_cost: float,
        unrealized: float,
        realized: float,
        account: str,
    ) -> None:
        item = PortfolioItem(contract, quantity, price, value, average_cost, unrealized, realized, account)
        self._collect(updates_of(account), item)

    def accountDownloadEnd(self, account: str) -> None:
        self._end(updates_of(account))

    def contractDetails(self, number: int, details: ContractDetails) -> None:
        self._collect(number, details)

    def contractDetailsEnd(self, number: int) -> None:
        self._end(number)

    def marketDataType(self, number: int, kind: int) -> None:
        self._collect(number, DATA_KINDS[kind])

    def priceSizeTick(self, number: int, kind: int, price: float, size: float) -> None:  # noqa: ARG002 (price only)
        self._collect(number, Tick(kind=kind, price=price, received_at=self._clock.now()))

    def tickSnapshotEnd(self, number: int) -> None:
        self._end(number)

    def error(self, number: int, code: int, text: str, _: str) -> None:
        match explain(code).effect:
            case Effect.LINK_LOST:
                self._break(LINK_DOWN)
            case Effect.LINK_BACK:
                self._mend()
            case Effect.ID_TAKEN:
                self._break(ID_TAKEN)
            case Effect.FARM_BROKEN:
                self.broken_farms |= {_farm(text)}
            case Effect.FARM_OK:
                self.broken_farms -= {_farm(text)}
            case Effect.ENDS:
                self._refused(number, Refusal(code=code, text=text))
            case Effect.NOTE:
                pass  # what it is about goes on

    def _refused(self, number: int, refusal: Refusal) -> None:
        """A no without a number is about the request that has none, if the code is known to end requests."""
        if number != SYSTEM:
            self._end(number, refusal)
        elif refusal.code in CODES:
            for key in self._answers:
                if isinstance(key, str):
                    self._end(key, refusal)


def updates_of(account: str) -> str:
    """The kind of request that account updates of this account answer."""
    return f"updates of {account}"


def _farm(text: str) -> str:
    """The name at the end of `Market data farm connection is broken:usfarm`."""
    return text.rpartition(":")[2].strip()
