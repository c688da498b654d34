"""Payloads of all kinds over real channels to a real watch: dry runs with a reason, and no order at the gateway."""

from base64 import b64encode
from random import Random
from subprocess import DEVNULL

from tests.support.commands import Here
from tests.support.payloads import strange_payload
from tests.support.reading import Notices
from tests.support.reckoning import notes
from tests.support.sandbox import events, order_messages
from tests.support.watching import TRADES, watching

from ibkr_rebalancer.core.portfolio import TradingMode
from ibkr_rebalancer.core.report import RunMode
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.edges.journal.opening import open_journal

COUNT = 60


def test_strange_payloads_over_the_wire_are_dry_runs_with_a_reason(here: Here) -> None:
    random = Random(20261123)  # noqa: S311 (reproducible, not secret)
    with watching(here, stdout=DEVNULL) as watch:
        for _ in range(COUNT):
            data = strange_payload(random)
            if isinstance(data, bytes):
                watch.publish(b64encode(data).decode(), encoding="base64")
            else:
                watch.publish(data)
        for _ in range(COUNT):
            watch.heard("event.received")
        assert not order_messages(here.sandbox.log)
        watch.publish(TRADES)
        watch.heard("orders.send")
        assert order_messages(here.sandbox.log)
        assert watch.stop()[0] in {0, 12}
    state, clock = here.folder / ".local" / "state" / "ibkr-rebalancer", SystemClock()
    with open_journal(state, mode=TradingMode.PAPER, clock=clock, observer=Notices()) as journal:
        read = notes(journal)
    assert len(read) == len(events(here.sandbox.log, "published")) == COUNT + 1
    assert sorted(note == "" for _, note in read.values()) == [False] * COUNT + [True]
    assert [mode for mode, note in read.values() if note] == [RunMode.DRY_RUN] * COUNT
