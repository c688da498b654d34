"""Tell somebody who is not looking what has changed: an observer that makes notifications of notices."""

from collections.abc import Callable
from dataclasses import replace

from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.notifications import (
    LONGEST_TEXT,
    LONGEST_TITLE,
    Notification,
    Weight,
    Wishes,
    is_news,
    may_be_told,
    notification_of,
    shortened,
)
from ibkr_rebalancer.ports import Observer

Send = Callable[[str, str, bool], None]
"""Takes a title, a text and whether it is a problem; never fails, never waits."""


class Teller:
    """Passes every notice on, and sends what is worth telling, once per change."""

    def __init__(self, wishes: Wishes, *, send: Send, clean: Callable[[str], str], observer: Observer) -> None:
        """`clean` takes out what nobody may read."""
        self._wishes = wishes
        self._send = send
        self._clean = clean
        self._observer = observer
        self._told: dict[str, Notification] = {}
        """The last one of each topic."""

    def notify(self, notice: Notice) -> None:
        self._observer.notify(notice)
        self.tell(notice)

    def tell(self, notice: Notice) -> None:
        """Send what is worth telling of it, and pass nothing on."""
        notification = notification_of(self._cleaned(notice), self._wishes) if may_be_told(notice) else None
        if notification is None or not is_news(notification, self._told.get(notification.topic)):
            return
        self._told[notification.topic] = notification
        title, text = self._clean(notification.title), self._clean(notification.text)
        self._send(
            shortened(title, LONGEST_TITLE), shortened(text, LONGEST_TEXT), notification.weight is Weight.PROBLEM
        )

    def _cleaned(self, notice: Notice) -> Notice:
        """The notice as anybody may read it; before anything is cut or left out, which could hide half a secret."""
        news = notice.news and replace(notice.news, hint=self._clean(notice.news.hint))
        return replace(notice, text=self._clean(notice.text), news=news)
