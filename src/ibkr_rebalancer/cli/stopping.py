"""How a command that trades ends when it is told to: by the first signal in good order, by the second at once.

However it ends, nobody is told that nothing was sent when something may have been.
"""

import asyncio
from collections.abc import Callable, Coroutine
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, getsignal
from types import TracebackType
from typing import Any, Self, TypeVar

from ibkr_rebalancer.core.errors import UnknownOutcome
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.ports import Observer

T = TypeVar("T")

BEFORE_ORDERS = frozenset({"orders.send", "orders.reconcile"})
"""The notices without which no order of ours is open at the broker."""
ALL_KNOWN = "orders.known"
"""The one after which none of an account is, until more are sent."""

MAY_BE_OPEN = "Orders may be open at Interactive Brokers, or filled."
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


def run_stoppable(work: Coroutine[Any, Any, T], *, on_stop: Callable[[], None]) -> T:
    """Run it: the first SIGINT, SIGTERM or SIGHUP cancels it, and it may come to its end; the second does not wait.

    A terminal that hangs up may say so more than once: SIGHUP is never the second. Ignored signals stay ignored.

    Raises:
        KeyboardInterrupt: it let itself be cancelled, or the second signal came.
    """
    try:
        return asyncio.run(_stoppable(work, on_stop))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _stoppable(work: Coroutine[Any, Any, T], on_stop: Callable[[], None]) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    stopped = asyncio.Event()

    def stop() -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        hang_up()

    def hang_up() -> None:
        if not stopped.is_set():
            stopped.set()
            task.cancel()
            on_stop()

    for number, handler in ((SIGINT, stop), (SIGTERM, stop), (SIGHUP, hang_up)):
        if getsignal(number) is not SIG_IGN:
            loop.add_signal_handler(number, handler)
    return await task
