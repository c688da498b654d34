"""What a running watch lets others know of itself: in its state folder for `rebalancer status`, and its supervisor."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.watch_status import WatchStatus, headline, noted
from ibkr_rebalancer.ports import Clock, Observer, Supervisor

KEPT_AGAIN = timedelta(seconds=3)
"""After how long a beat is kept without anything else to keep."""

READY_AT_LATEST = timedelta(seconds=30)
"""After the start it is over, though nobody knows yet whether events come; supervisors wait for 90 s."""

END_S = 30.0
"""What the end is given anew with each beat: many times what passes between two of them."""


class SignsOfLife:
    """An observer of one watch. Before its first beat nothing is kept: the state folder may be that of another one."""

    def __init__(
        self,
        status: WatchStatus,
        *,
        keep: Callable[[WatchStatus], str],
        supervisor: Supervisor,
        clean: Callable[[str], str],
        observer: Observer,
        clock: Clock,
    ) -> None:
        """`keep` never fails, but tells why it could not; `clean` takes out what nobody may read."""
        self._status = status
        self._keep = keep
        self._supervisor = supervisor
        self._clean = clean
        self._observer = observer
        self._clock = clock
        self._kept_at: datetime | None = None
        self._has_changed = False
        """Whether there is more to keep than a beat."""
        self._unkept = ""
        self._is_stopping = False

    def notify(self, notice: Notice) -> None:
        """Pass it on, and remember what has changed; it is kept with the next beat."""
        self._observer.notify(notice)
        status = noted(self._status, replace(notice, text=self._clean(notice.text)), at=self._clock.now())
        if status != self._status:
            self._status, self._has_changed = status, True
            self._supervisor.status(headline(status))

    def beat(self) -> None:
        """The working loop has turned: let others know, and what has changed since it last did."""
        now = self._clock.now()
        self._status = replace(self._status, beat=now)
        if self._has_changed or self._kept_at is None or abs(now - self._kept_at) >= KEPT_AGAIN:
            self._record(now)
        self._supervisor.beat()
        self._supervisor.status(headline(self._status))
        if self._is_stopping:
            self._supervisor.extend(by_s=END_S)
        elif self._status.events is not None or now - self._status.started >= READY_AT_LATEST:
            self._supervisor.ready()

    def stop(self) -> None:
        """It was told to stop; as long as there are beats, orders are being brought to a known end."""
        self._is_stopping = True
        self._supervisor.stopping()

    def _record(self, now: datetime) -> None:
        self._kept_at, self._has_changed = now, False
        before, self._unkept = self._unkept, self._keep(self._status)
        if self._unkept and not before:
            text = f"rebalancer status cannot be told any more what goes on: {self._unkept}"
            self._observer.notify(Notice(event="status.unkept", text=text, severity=Severity.WARNING))
