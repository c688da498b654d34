"""What has been asked on a connection and is not answered yet, and which message answers what."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ibkr_rebalancer.core.errors import GatewayRefused
from ibkr_rebalancer.core.order_codes import readable
from ibkr_rebalancer.edges.ibkr.codes import CODES, INVALID, explain
from ibkr_rebalancer.edges.ibkr.wire import Wire

SYSTEM = -1
"""The request id of messages that are about no numbered request."""

Key = int | str
"""What a message carries to say which request it answers: the request's number, or for the few requests that
have none, their kind."""

T = TypeVar("T")
W_contra = TypeVar("W_contra", bound=Wire, contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[W_contra]):
    """A request without a number."""

    kind: str
    about: str
    """The part of a sentence that names what is asked for."""
    send: Callable[[W_contra], None]
    stop: Callable[[W_contra], None] = lambda _: None
    """Ends the subscription that some of these requests also are."""
    shares: str = ""
    """What it shares with questions of other kinds of which the gateway answers one at a time."""

    @property
    def turn(self) -> str:
        """Of questions with the same one, only one is asked at a time."""
        return self.shares or self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The gateway's no to one request."""

    code: int
    text: str

    def about(self, what: str) -> GatewayRefused:
        """The error it is to whoever has asked for this."""
        code = explain(self.code, self.text)
        sentence = f"The gateway refused {what}: {code.meaning} (code {self.code}: {readable(self.text)})."
        if self.is_read_only:
            return GatewayRefused("GATEWAY_READ_ONLY", sentence, hint=code.remedy)
        return GatewayRefused("GATEWAY_REFUSED", sentence, hint=code.remedy)

    @property
    def is_read_only(self) -> bool:
        """Whether the gateway takes no orders at all, and maybe tells of none."""
        return self.code == INVALID and "read-only" in self.text.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What has come in reply to one request; it stays unfinished if the deadline passes first."""

    rows: list[object] = field(default_factory=list)
    ended: asyncio.Future[Refusal | None]
    """Done when the answer is whole, or refused."""
    suffices: Callable[[list[object]], bool]
    """Sees in the rows so far that the rest is not needed."""
    lull_s: Callable[[list[object]], float | None]
    """How long after these rows, which do not suffice, the answer is taken as it stands; None waits for its end."""

    @property
    def finished(self) -> bool:
        return self.ended.done()

    @property
    def refusal(self) -> Refusal | None:
        return self.ended.result() if self.finished else None

    def add(self, row: object) -> None:
        self.rows.append(row)
        if self.suffices(self.rows):
            self.end()
        elif (lull_s := self.lull_s(self.rows)) is not None:
            self.ended.get_loop().call_later(lull_s, self.end)

    def end(self, refusal: Refusal | None = None) -> None:
        if not self.finished:
            self.ended.set_result(refusal)


class Answers:
    """The answers that are under way."""

    def __init__(self) -> None:
        self.owed: set[str] = set()
        """Kinds of requests given up: their messages may still come, and would pass for the next one's of that kind."""
        self._open: dict[Key, Answer] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._open

    @contextmanager
    def expecting(self, key: Key, answer: Answer) -> Iterator[None]:
        """Give what comes for this key to this answer, until the block is left."""
        self._open[key] = answer
        try:
            yield
        finally:
            del self._open[key]
            if isinstance(key, str) and not answer.finished:
                self.owed.add(key)

    def collect(self, key: Key, row: object) -> None:
        """A row of an answer; nothing, if nobody waits for it."""
        answer = self._open.get(key)
        if answer is not None:
            answer.add(row)

    def end(self, key: Key, refusal: Refusal | None = None) -> None:
        """An answer is whole, or refused."""
        answer = self._open.get(key)
        if answer is not None:
            answer.end(refusal)
        elif isinstance(key, str):
            self.owed.discard(key)

    def refuse(self, number: int, refusal: Refusal) -> None:
        """A no without a number is about the requests that have none, if the code is known to end requests."""
        if number != SYSTEM:
            self.end(number, refusal)
        elif refusal.code in CODES:
            for key in self._open:
                if isinstance(key, str):
                    self.end(key, refusal)


async def together(requests: Sequence[Awaitable[T]]) -> list[T]:
    """The results of all, or the first error; by then all have ended."""
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    results: list[T] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
