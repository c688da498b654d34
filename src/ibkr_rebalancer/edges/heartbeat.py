"""Ask a monitor's URL while all is well, so that somebody outside notices when nothing does any more."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import requests

from ibkr_rebalancer.core.addresses import shown_address
from ibkr_rebalancer.core.notices import Notice, Severity

EVERY_S = 60.0
"""Between two beats that are passed on."""

ANSWER_S = 10.0
"""For the connection, and for each part of the answer."""


class Heartbeat:
    """Passes on, in a thread of its own, that the working loop turns: at most once a minute, and never waits."""

    def __init__(self, url: str, *, tell: Callable[[Notice], None], every_s: float = EVERY_S) -> None:
        """`tell` hears of it when the monitor does not answer, once, and when it does again; it is called in a
        thread."""
        self._url = url
        self._tell = tell
        self._every_s = every_s
        self._passed_on = -every_s
        """On the monotonic clock."""
        self._is_due = threading.Event()
        self._is_ending = False
        self._is_failing = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._work, name="heartbeat", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending = True
        self._is_due.set()

    def beat(self) -> None:
        """The working loop has turned."""
        now = time.monotonic()
        if now - self._passed_on >= self._every_s:
            self._passed_on = now
            self._is_due.set()

    def _work(self) -> None:
        while True:
            self._is_due.wait()
            self._is_due.clear()
            if self._is_ending:
                return
            self._tell_change(self._trouble())

    def _trouble(self) -> str:
        """Ask the monitor; what is wrong, without a word of the URL but its host. Its answer is of no interest."""
        try:
            with requests.get(self._url, timeout=ANSWER_S, allow_redirects=False, stream=True) as response:
                is_good = requests.codes.ok <= response.status_code < requests.codes.multiple_choices
                return "" if is_good else f"it answers {response.status_code}"
        except (requests.RequestException, ValueError) as error:  # ValueError: what it is told cannot be read
            return f"it does not answer ({type(error).__name__})"

    def _tell_change(self, trouble: str) -> None:
        was_failing, self._is_failing = self._is_failing, bool(trouble)
        if trouble and not was_failing:
            text = f"The monitor at {shown_address(self._url)} does not hear that this watch works: {trouble}"
            self._tell(Notice(event="heartbeat.down", text=text, severity=Severity.WARNING))
        elif was_failing and not trouble:
            self._tell(Notice(event="heartbeat.up", text="The monitor hears again that this watch works"))
