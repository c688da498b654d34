"""What a command is doing, told while it does it: a spinner on a terminal, log lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from rich.text import Text

from ibkr_rebalancer.cli.output import conversation
from ibkr_rebalancer.cli.streams import UNHEARD
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.edges.logs import LogObserver


class Progress:
    """An observer for one command: on a terminal a spinner and lasting warnings, elsewhere log lines."""

    def __init__(self, *, as_log: bool) -> None:
        console = conversation()
        self._log = LogObserver() if as_log or not console.is_terminal else None
        self._status = console.status("Starting")

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(*UNHEARD):
            self._status.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep still while something else is on the screen."""
        self._status.stop()
        yield
        self._start()

    def notify(self, notice: Notice) -> None:
        """Show a step for a moment, a warning for good."""
        with suppress(*UNHEARD):
            self._show(notice)

    def _start(self) -> None:
        if self._log is None:
            self._status.start()

    def _show(self, notice: Notice) -> None:
        if self._log is not None:
            self._log.notify(notice)
        elif notice.severity is Severity.WARNING:
            self._status.console.print(Text.assemble(("Warning: ", "bold yellow"), notice.line))
        else:
            self._status.update(Text(f"{notice.line} …"))
