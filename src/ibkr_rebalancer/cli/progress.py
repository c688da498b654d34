"""What a command is doing, told while it does it: a spinner on a terminal, log lines where somebody asked for them."""

from types import TracebackType
from typing import Self

from rich.status import Status
from rich.text import Text

from ibkr_rebalancer.cli.output import conversation
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.edges.logs import LogObserver


class Progress:
    """An observer that shows steps as they pass, keeps warnings on the screen, and logs both."""

    def __init__(self) -> None:
        self._console = conversation()
        self._status: Status | None = None
        self._log = LogObserver()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status("Starting")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def notify(self, notice: Notice) -> None:
        """Show a step for a moment, a warning for good."""
        self._log.notify(notice)
        if notice.severity is Severity.WARNING:
            self._console.print(Text.assemble(("Warning: ", "bold yellow"), notice.text))
        elif self._status is not None:
            self._status.update(f"{notice.text} …")
