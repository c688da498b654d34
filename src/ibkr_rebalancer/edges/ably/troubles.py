"""What goes wrong with Ably, in words for people; never in the SDK's own, which may quote the key."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from ably.util.exceptions import AblyException

T = TypeVar("T")


class Kind(Enum):
    """What kind of trouble it is."""

    LINE = "line"
    """Ably cannot be reached, or does not answer as it should; that may be over soon."""
    KEY = "key"
    """It says no to the key."""
    CAPABILITY = "capability"
    """The key is good, but may not do this on this channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why something could not be had from Ably."""

    kind: Kind
    why: str
    """Half a sentence, to stand after a colon."""

    @property
    def is_refusal(self) -> bool:
        """Whether it will be the same in a minute, unless somebody does something."""
        return self.kind is not Kind.LINE


class AblyTrouble(Exception):
    """Something could not be had from Ably."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.why)
        self.trouble = trouble


async def answer_of(call: Callable[[], Coroutine[Any, Any, T]], *, within_s: float) -> T:
    """What a call of the SDK returns.

    Raises:
        AblyTrouble: it took too long, or raised whatever it may; there is no end to the kinds of that.
    """
    [outcome] = await asyncio.gather(_in_time(call, within_s), return_exceptions=True)
    if isinstance(outcome, BaseException):
        raise AblyTrouble(trouble_of(outcome)) from outcome
    return outcome


async def _in_time(call: Callable[[], Coroutine[Any, Any, T]], within_s: float) -> T:
    async with asyncio.timeout(within_s):
        return await call()


def trouble_of(error: BaseException | None) -> Trouble:
    """The trouble behind an error of the SDK; None if it gave none."""
    match error:
        case AblyTrouble(trouble=trouble):
            return trouble
        case AblyException(code=code, status_code=status):
            return refusal(code, status)
        case TimeoutError():
            return Trouble(kind=Kind.LINE, why="no answer came in time")
        case None:
            return Trouble(kind=Kind.LINE, why="the connection was lost")
        case _:
            return Trouble(kind=Kind.LINE, why=f"the connection failed ({type(error).__name__})")


def refusal(code: object, status: object) -> Trouble:
    """What Ably's number for an error means: https://github.com/ably/ably-common/blob/main/protocol/errors.json."""
    number = int(code) if str(code).isdecimal() and isinstance(code, int | str) else 0
    if number == 40160:
        return Trouble(kind=Kind.CAPABILITY, why=f"the API key has no permission for it (error {number})")
    if 40140 <= number < 40150:  # a token of the key; another will be made
        return Trouble(kind=Kind.LINE, why=f"the login was not taken (error {number})")
    if status in {401, 403} or number in {40005, 40400}:
        return Trouble(kind=Kind.KEY, why=f"Ably refuses the API key (error {number or status})")
    if number in {50003, 80003, 80002, 90007}:  # the SDK's own, for deadlines of its own
        return Trouble(kind=Kind.LINE, why="no answer came in time")
    return Trouble(kind=Kind.LINE, why=f"Ably answered with an error ({number or status})")
