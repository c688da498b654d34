"""Runs in processes of their own, as cron or a person starts them: signals, kills, and readers who have gone.

The judge is the sandbox's log.
"""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from tests.support.commands import SECOND, Here
from tests.support.notify_socket import NotifySocket
from tests.support.sandbox import events, order_fault
from tests.support.watching import TRADES, watching

from ibkr_rebalancer.core.orders import OURS
from ibkr_rebalancer.sandbox.log import Record

PLANNED = [("SELL", "SPY"), ("BUY", "QQQ"), ("BUY", "TLT")]
"""The orders of the second account of the packaged scenario."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_in_good_order(here: Here, number: int) -> None:
    here.sandbox.change({"faults": [order_fault("hold")]})
    with here.start("execute", SECOND, "--yes", "--json") as process:
        here.sandbox.until(ours)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 12, out
    assert '"outcome": "interrupted"' in out
    assert ours(here.sandbox.log) == PLANNED[:1]
    assert not working(here.sandbox.log)


def test_a_process_that_is_killed_is_caught_up_with(here: Here) -> None:
    """The next one finds its order, and the account free."""
    here.sandbox.change({"faults": [order_fault("hold")]})
    with here.start("execute", SECOND, "--yes") as process:
        here.sandbox.until(ours)
        process.kill()
        process.communicate(timeout=60)
    assert working(here.sandbox.log)
    here.sandbox.change({"faults": []})

    ended = here.run("execute", SECOND, "--yes")
    assert ended.exit_code == 0, ended.err
    assert ours(here.sandbox.log) == PLANNED
    references = [row["order_ref"] for row in first_words(here.sandbox.log)]
    assert max(Counter(references).values()) == 1
    assert not working(here.sandbox.log)


def test_a_reader_who_has_gone_changes_nothing(here: Here) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = here.finish("execute", SECOND, "--yes", "-v", stderr=write)
    os.close(write)
    assert ended.exit_code == 0
    assert ours(here.sandbox.log) == PLANNED
    assert not working(here.sandbox.log)


def test_a_watch_that_hangs_is_silent_and_is_caught_up_with(here: Here, tmp_path: Path) -> None:
    """It is stopped in the middle of a run, and killed for its silence."""
    here.sandbox.change({"faults": [order_fault("hold")]})
    with NotifySocket(f"{tmp_path}/notify") as supervisor:
        env = {"NOTIFY_SOCKET": supervisor.name, "WATCHDOG_USEC": "60000000"}
        with watching(here, env=env) as watch:
            watch.publish(TRADES, "rebalance-secondary")
            here.sandbox.until(ours)
            assert "WATCHDOG=1" in "\n".join(supervisor.heard())
            watch.process.send_signal(signal.SIGSTOP)
            supervisor.heard()
            deliveries = len(events(here.sandbox.log, "delivered"))
            watch.publish("{}", "rebalance-secondary")
            here.sandbox.until(lambda log: len(events(log, "delivered")) > deliveries)
            assert supervisor.heard() == []
    here.sandbox.change({"faults": []})
    with watching(here) as watch:
        here.sandbox.until(lambda log: len(ours(log)) == len(PLANNED) and not working(log))
        assert watch.stop()[0] == 0
    assert ours(here.sandbox.log) == PLANNED


def test_a_watch_whose_key_is_refused_stays(here: Here) -> None:
    with watching(here, once="events.down", env={"REALTIME_API_KEY": "sandbox.watcher:wrong"}) as watch:
        watch.publish(TRADES, "rebalance-secondary")
        assert watch.stop()[0] == 0
    assert not ours(here.sandbox.log)


def ours(log: list[Record]) -> list[tuple[str, str]]:
    """Side and symbol of each order of ours, as the venue got them."""
    return [(row["side"], row["symbol"]) for row in first_words(log)]


def first_words(log: list[Record]) -> list[Record]:
    """The first row of each order of ours."""
    rows = {row["perm_id"]: row for row in reversed(events(log, "order")) if row["order_ref"].startswith(OURS)}
    return [rows[perm_id] for perm_id in sorted(rows)]


def working(log: list[Record]) -> list[Record]:
    """Orders of ours that are still open."""
    last = {row["perm_id"]: row for row in events(log, "order") if row["order_ref"].startswith(OURS)}
    return [row for row in last.values() if row["working"]]
