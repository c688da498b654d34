"""Notifications through the real apprise to receivers on loopback: whatever they do, nobody waits for them."""

import threading
import time
from collections.abc import Callable

from tests.support.receivers import receiving

from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.edges.notifications import (
    MOST_WAITING,
    Delivery,
    Notifications,
    _Message,
    _Post,
    try_out,
)

NOBODY = "json://127.0.0.1:9/told"
AT_ONCE_S = 0.2
"""What only something that waits for a receiver takes longer for."""


def test_what_is_sent_arrives_as_it_is_in_its_order() -> None:
    told: list[Notice] = []
    with receiving() as receiver:
        notifications = Notifications([receiver.address], tell=told.append)
        notifications.send("One", "5 < 6 & *so* on\nnext line", False)
        notifications.send("Two", "\\n", True)
        notifications.close()
    assert [(each["title"], each["message"], each["type"]) for each in receiver.heard] == [
        ("One", "5 < 6 & *so* on\nnext line", "info"),
        ("Two", "\\n", "warning"),
    ]
    assert told == []


def test_one_that_hangs_holds_up_nobody() -> None:
    told: list[Notice] = []
    with receiving(hangs=True) as hanging, receiving() as receiver:
        begun = time.monotonic()
        notifications = Notifications([hanging.address, receiver.address], tell=told.append)
        for number in range(3):
            notifications.send(f"{number}", "text", False)
        assert time.monotonic() - begun < AT_ONCE_S
        receiver.until(lambda heard: len(heard) == 3)
        begun = time.monotonic()
        notifications.close(within_s=0.1)
        assert time.monotonic() - begun < 0.1 + AT_ONCE_S
        (lost,) = told
        assert lost.event == "notification.lost"
        assert lost.text.startswith("3 notifications not sent: notification address 1 (json://127.0.0.1)")


def test_more_than_it_keeps_up_with_are_dropped_counted_and_told_once() -> None:
    told: list[Notice] = []
    with receiving(hangs=True) as hanging:
        notifications = Notifications([hanging.address], tell=told.append)
        for number in range(3 * MOST_WAITING):
            notifications.send(f"{number}", "text", False)
        notifications.close(within_s=0)
        assert [each.event for each in told] == ["notification.dropped", "notification.lost"]
        assert told[-1].text.startswith(f"{3 * MOST_WAITING} notifications not sent")


def test_one_that_refuses_is_told_once_and_once_when_it_takes_them_again() -> None:
    told: list[Notice] = []
    with receiving(status=500) as receiver:
        notifications = Notifications([receiver.address], tell=told.append)
        notifications.send("One", "text", False)
        notifications.send("Two", "text", False)
        receiver.until(lambda heard: len(heard) == 2)
        receiver.status = 200
        notifications.send("Three", "text", False)
        notifications.close()
    assert [each.event for each in told] == ["notification.down", "notification.up", "notification.lost"]
    assert told[-1].text.startswith("2 notifications not sent")


def test_each_address_is_tried_and_its_end_told() -> None:
    with receiving() as takes, receiving(status=403) as refuses, receiving(hangs=True) as hangs:
        addresses = [takes.address, refuses.address, NOBODY, "nonsense://x", f"{hangs.address}?rto=20"]
        outcomes = try_out(addresses, "title", "text", within_s=1)
    assert outcomes == [
        Delivery.SENT,
        Delivery.FAILED,
        Delivery.FAILED,
        Delivery.UNUSABLE,
        Delivery.UNANSWERED,
    ]


def test_a_service_that_raises_is_one_that_fails() -> None:
    service = _Post(NOBODY)
    service._known = object()  # type: ignore[assignment]
    assert service.deliver(_Message("title", "text", is_problem=False)) is Delivery.FAILED


def test_no_thread_is_left_that_the_process_would_wait_for() -> None:
    """apprise's own, for time limits, would be joined by the interpreter, however long a service hangs."""
    with receiving(hangs=True) as hanging:
        notifications = Notifications([hanging.address], tell=lambda _: None)
        notifications.send("One", "text", False)
        hanging.until(lambda heard: heard)
        notifications.close(within_s=0)
        assert [each for each in threading.enumerate() if not each.daemon] == [threading.main_thread()]


def waits(send: Callable[[str], None]) -> bool:
    begun = time.monotonic()
    send("One")
    return time.monotonic() - begun > AT_ONCE_S


def test_one_that_sends_before_it_returns_is_found() -> None:
    """The seeded defect: sent in the thread of whoever tells."""
    with receiving(hangs=True) as hanging:
        address = f"{hanging.address}?rto=0.5"
        service = _Post(address)
        assert waits(lambda title: service.deliver(_Message(title, "text", is_problem=False)) and None)
        notifications = Notifications([address], tell=lambda _: None)
        assert not waits(lambda title: notifications.send(title, "text", False))
        notifications.close(within_s=0)
