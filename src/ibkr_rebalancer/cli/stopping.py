"""How a command that trades ends when it is told to: by the first signal in good order, by the second at once.

However it ends, nobody is told that nothing was sent when something may have been.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM
from socket import socketpair
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from ibkr_rebalancer.core.errors import UnknownOutcome
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import MAY_BE_OPEN
from ibkr_rebalancer.ports import Observer

T = TypeVar("T")

BEFORE_ORDERS = frozenset({"orders.send", "orders.reconcile"})
"""The notices without which no order of ours is open at the broker."""
ALL_KNOWN = "orders.known"
"""The one after which none of an account is, until more are sent."""

ASK_AGAIN = "Run the command again: before it does anything else, it finds out what became of them."


class AtStake:
    """An observer who knows whether orders may be at the broker, and lets no end of the command hide it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._orders = set[AccountId | None]()
        """The accounts that may have orders at the broker."""

    def notify(self, notice: Notice) -> None:
        """Pass it on, and remember what it means."""
        if notice.event in BEFORE_ORDERS:
            self._orders.add(notice.account)
        elif notice.event == ALL_KNOWN:
            self._orders.discard(notice.account)
        self._observer.notify(notice)

    def tell_stop(self) -> None:
        """Say what goes on after the first signal; without orders nothing does."""
        if self._orders:
            text = "Stopping: no further order is sent, and what is open is looked after. Ctrl-C again ends at once"
            self._observer.notify(Notice(event="run.stop", text=text, severity=Severity.WARNING))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell of the orders when something else than a report ends the command.

        Raises:
            UnknownOutcome: a signal ended it before all of them had an end (`STOPPED_AT_ONCE`).
        """
        if not self._orders or error is None:
            return
        if isinstance(error, KeyboardInterrupt):
            raise UnknownOutcome(
                "STOPPED_AT_ONCE", f"Ended before all was known. {MAY_BE_OPEN}", hint=ASK_AGAIN
            ) from error
        error.add_note(f"{MAY_BE_OPEN} {ASK_AGAIN}")


async def stoppable(work: Coroutine[Any, Any, T], *, on_stop: Callable[[], None]) -> T:
    """Do it: the first SIGINT, SIGTERM or SIGHUP cancels it, and it may come to its end; the second does not wait.

    A terminal that hangs up may say so more than once: SIGHUP is never the second. Ignored signals stay ignored. Once
    it has ended, all are: what came of it is still to be told, and the exit code says it too.

    Raises:
        CancelledError: it let itself be cancelled.
        KeyboardInterrupt: out of the event loop, by the second signal.
    """
    task = asyncio.create_task(work)
    stopped, ended = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        if not stopped.is_set():
            hang_up()
        elif not (task.done() or ended.is_set()):
            ended.set()
            raise KeyboardInterrupt

    def hang_up() -> None:
        if not (task.done() or stopped.is_set()):
            stopped.set()
            task.cancel()
            on_stop()

    with _met({SIGINT: stop, SIGTERM: stop, SIGHUP: hang_up}):
        return await task


@contextmanager
def _met(answers: Mapping[int, Callable[[], None]]) -> Iterator[None]:
    """Answer signals in the event loop, but for those that are ignored; then ignore them until the process ends.

    The loop's own handlers end with the loop, and leave a moment in which a signal is deadly.
    """
    loop, met = asyncio.get_running_loop(), [number for number in answers if signal.getsignal(number) is not SIG_IGN]
    here, there = socketpair()

    def answer() -> None:
        for number in here.recv(1):
            answers[number]()

    with here, there:
        there.setblocking(False)
        signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        loop.add_reader(here, answer)
        for number in met:
            signal.signal(number, _noted)
        try:
            yield
        finally:
            for number in met:
                signal.signal(number, SIG_IGN)
            signal.set_wakeup_fd(-1)
            loop.remove_reader(here)


def _noted(number: int, frame: FrameType | None) -> None:
    """The event loop has been woken, and answers."""
