"""Send notifications, through apprise: a thread and a short queue for each address, so that none holds up another.

Nobody waits for them but whoever ends, for a moment. What an address does not take is counted and told, and lost.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ibkr_rebalancer.core.addresses import shown_address
from ibkr_rebalancer.core.notices import Notice, Severity

if TYPE_CHECKING:
    import apprise

MOST_WAITING = 50
"""Notifications for one address; more are dropped."""

END_S = 5.0
"""What those that still wait get when the process ends."""

ANSWER_S = 30.0
"""What an address gets that is tried, apprise's first import included."""

SILENT = logging.CRITICAL + 1


class Delivery(Enum):
    """What became of a notification."""

    SENT = "sent"
    FAILED = "failed"
    """The service did not take it, or could not be reached."""
    UNANSWERED = "unanswered"
    """Nobody knows whether it was taken, as nothing was said in time."""
    UNUSABLE = "unusable"
    """The address is none that apprise knows, or lacks something."""


@dataclass(frozen=True, slots=True)
class _Message:
    title: str
    text: str
    is_problem: bool


class Notifications:
    """The addresses that are told."""

    def __init__(self, addresses: Sequence[str], *, tell: Callable[[Notice], None]) -> None:
        """`tell` hears of addresses that fail and work again; it is called in threads, and never waits for long."""
        self._addresses = [
            _Address(address, f"notification address {number} ({shown_address(address)})", tell)
            for number, address in enumerate(addresses, start=1)
        ]

    def send(self, title: str, text: str, is_problem: bool) -> None:
        """Let it be sent; never fails, never waits."""
        for address in self._addresses:
            address.put(_Message(title, text, is_problem))

    def close(self, *, within_s: float = END_S) -> None:
        """Wait until all are sent, no longer than that, and tell which were not."""
        deadline = time.monotonic() + within_s
        for address in self._addresses:
            address.put_end()
        for address in self._addresses:
            address.end(deadline)


def try_out(addresses: Sequence[str], title: str, text: str, *, within_s: float = ANSWER_S) -> list[Delivery]:
    """Send one notification to each address, all at the same time, and wait for what becomes of it."""
    outcomes = [Delivery.UNANSWERED] * len(addresses)

    def work(number: int, address: str) -> None:
        outcomes[number] = _Post(address).deliver(_Message(title, text, is_problem=False))

    threads = [threading.Thread(target=work, args=each, daemon=True) for each in enumerate(addresses)]
    deadline = time.monotonic() + within_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(outcomes)  # not what a late answer still changes


class _Address:
    """One address: what waits for it, and the thread that sends."""

    def __init__(self, address: str, name: str, tell: Callable[[Notice], None]) -> None:
        self._post = _Post(address)
        self._name = name
        self._tell = tell
        self._waiting: queue.Queue[_Message | None] = queue.Queue(MOST_WAITING)
        """None is the end."""
        self._lock = threading.Lock()
        self._unsent = 0
        """Taken, and neither sent nor lost yet."""
        self._lost = 0
        """Dropped, or not taken by the service."""
        self._is_full = False
        self._last = Delivery.SENT
        self._thread = threading.Thread(target=self._work, name="notifications", daemon=True)
        self._thread.start()

    def put(self, message: _Message) -> None:
        try:
            with self._lock:
                self._waiting.put_nowait(message)
                self._unsent += 1
            self._is_full = False
        except queue.Full:
            with self._lock:
                self._lost += 1
            if not self._is_full:
                self._is_full = True
                self._say("notification.dropped", f"{self._name} does not keep up: notifications to it are dropped")

    def put_end(self) -> None:
        with suppress(queue.Full):  # the thread is a daemon, and ends with the process
            self._waiting.put_nowait(None)

    def end(self, deadline: float) -> None:
        """Wait until then for the thread, and tell what has not arrived."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            missing = self._lost + self._unsent
        if missing:
            self._say(
                "notification.lost", f"{missing} notification{'' if missing == 1 else 's'} not sent: {self._name}"
            )

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            delivery = self._post.deliver(message)
            with self._lock:
                self._unsent -= 1
                self._lost += delivery is not Delivery.SENT
            self._tell_change(delivery)

    def _tell_change(self, delivery: Delivery) -> None:
        before, self._last = self._last, delivery
        if delivery is before:
            return
        match delivery:
            case Delivery.SENT:
                self._say("notification.up", f"Notifications arrive again: {self._name}", severity=Severity.STEP)
            case Delivery.UNUSABLE:
                self._say("notification.down", f"apprise cannot use {self._name}. Check NOTIFICATION_URLS")
            case _:
                text = f"A notification was not taken: {self._name}. Try it with: rebalancer test-notification"
                self._say("notification.down", text)

    def _say(self, event: str, text: str, *, severity: Severity = Severity.WARNING) -> None:
        self._tell(Notice(event=event, text=text, severity=severity))


class _Post:
    """A service as apprise knows it, used by one thread."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._known: apprise.Apprise | None = None

    def deliver(self, message: _Message) -> Delivery:
        """Send it in this thread, and wait for the answer for as long as the service has us wait."""
        logging.getLogger("apprise").setLevel(SILENT)  # what it quotes of addresses may be secret
        try:
            import apprise  # noqa: PLC0415 (it takes most of a second, in our thread, and only of those who use it)

            if self._known is None:
                # With a time limit, or asynchronously, it would send in threads that the process has to wait for.
                asset = apprise.AppriseAsset(app_id="rebalancer", async_mode=False, service_timeout=0)
                known = apprise.Apprise(asset=asset)
                if not known.add(self._address):
                    return Delivery.UNUSABLE
                self._known = known
            is_sent = self._known.notify(
                body=message.text,
                title=message.title,
                notify_type=apprise.NotifyType.WARNING if message.is_problem else apprise.NotifyType.INFO,
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception:  # noqa: BLE001 (a hundred services of strangers: what they raise must end nothing of ours)
            return Delivery.FAILED
        return Delivery.SENT if is_sent else Delivery.FAILED
