"""The heartbeat to a monitor on loopback."""

import time
from collections.abc import Callable

import pytest
from tests.support.receivers import receiving

from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.edges.heartbeat import Heartbeat


def unexpected(notice: Notice) -> None:
    pytest.fail(notice.text)


def beat_until(heart: Heartbeat, condition: Callable[[], object]) -> None:
    """As a working loop does."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        heart.beat()
        time.sleep(0.002)


def test_it_is_passed_on_once_in_its_time_and_not_by_itself() -> None:
    with receiving() as monitor, Heartbeat(monitor.url, tell=unexpected) as heart:
        for _ in range(100):
            heart.beat()
        monitor.until(lambda heard: heard)
        heart.beat()
        assert monitor.heard == [{"path": "/beat"}]


def test_it_goes_on_as_long_as_the_loop_does() -> None:
    with receiving() as monitor, Heartbeat(monitor.url, tell=unexpected, every_s=0.01) as heart:
        beat_until(heart, lambda: len(monitor.heard) >= 3)
        heard = len(monitor.heard)
        monitor.until(lambda _: time.monotonic())
        assert len(monitor.heard) <= heard + 1


def test_a_monitor_that_refuses_is_told_once_and_once_when_it_hears_again() -> None:
    told: list[Notice] = []
    with receiving(status=302) as monitor, Heartbeat(monitor.url, tell=told.append, every_s=0.01) as heart:
        beat_until(heart, lambda: len(monitor.heard) >= 3)
        assert [each.event for each in told] == ["heartbeat.down"]
        assert told[0].text.endswith("http://127.0.0.1 does not hear that this watch works: it answers 302")
        monitor.status = 200
        beat_until(heart, lambda: len(told) == 2)
    assert told[-1].event == "heartbeat.up"


def test_one_that_hangs_or_is_not_there_holds_up_nobody() -> None:
    told: list[Notice] = []
    with receiving(hangs=True) as monitor:
        begun = time.monotonic()
        with Heartbeat(monitor.url, tell=told.append, every_s=0) as heart:
            heart.beat()
            monitor.until(lambda heard: heard)
            heart.beat()
        assert time.monotonic() - begun < 1
    with Heartbeat("http://127.0.0.1:9/secret-part", tell=told.append) as heart:
        heart.beat()
        beat_until(heart, lambda: told)
    assert "does not answer (ConnectionError)" in told[0].text
    assert "secret" not in told[0].text
