"""What the journal costs: to open it with years of orders in it, and to keep one order more, from intent to outcome."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.support.journal import FILLED, begin, fill_with_orders, intent, opened, told

from ibkr_rebalancer.edges.journal.journal import Journal

ORDERS = (0, 10_000, 100_000)
MORE = 20
"""Orders that are kept to find out what one costs."""


def rows(runs: int) -> Iterator[Mapping[str, float | int | str]]:
    """Each size; the best of three or more, an order as the mean of some."""
    for orders in ORDERS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with opened(folder) as journal:
                begin(journal)
                fill_with_orders(journal, orders)
            open_s = min(_seconds(partial(_open, folder)) for _ in range(max(runs, 3)))
            with opened(folder) as journal:
                keep_s = min(_seconds(partial(_keep, journal, orders + MORE * turn)) for turn in range(max(runs, 3)))
            size = (folder / "journal.db").stat().st_size
        yield {"orders": orders, "mib": size / 2**20, "open_ms": 1000 * open_s, "order_ms": 1000 * keep_s / MORE}


def _open(folder: Path) -> None:
    with opened(folder):
        pass


def _keep(journal: Journal, first: int) -> None:
    """As a run does: the intent before it is sent, what is heard of it, and what has become of it."""
    for number in range(first, first + MORE):
        journal.intend(intent(number))
        journal.observe([told(number)])
        journal.observe([told(number, status="Filled", second=1)])
        journal.settle(intent(number).order_ref, FILLED)


def _seconds(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
