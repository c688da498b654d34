"""Months of a watch in minutes: nothing that it takes of its machine grows with the events and restarts it has met.

`python -m benchmarks.endurance` shows the same as a table.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from benchmarks.endurance import PER_BURST
from benchmarks.footprint import PRODUCT, held

from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.news import References

BOUNDED = {"ibkr_rebalancer.edges.ably.source._Once._taken"}
"""It remembers a thousand messages, and has a test of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """By how much the last sample may be more than the first."""

    used_kib: int
    objects: int
    own: int
    """Instances of one of the product's classes, or what is in the containers of one attribute."""
    tasks: int = 6
    """Some requests and their deadlines may be under way in the one and not in the other."""
    descriptors: int = 3


def lived(events: int, *, sampled_every: int) -> dict[str, Any]:
    """What a watch in a process of its own has taken."""
    command = [sys.executable, "-m", "benchmarks.endurance", str(events), str(sampled_every), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)  # noqa: T201 (the numbers, for who asks pytest with -rP)
    outcome = json.loads(done.stdout)
    assert isinstance(outcome, dict)
    return outcome


def too_much(outcome: Mapping[str, Any], bounds: Bounds, *, after: int = 0) -> Iterator[str]:
    """What has grown beyond its bounds since the sample of this place."""
    first, last = outcome["samples"][after], outcome["samples"][-1]
    for name in ("used_kib", "objects", "tasks", "descriptors"):
        if last[name] - first[name] > getattr(bounds, name):
            yield f"{name}: from {first[name]} to {last[name]}"
    if last["threads"] != first["threads"]:
        yield f"threads: from {first['threads']} to {last['threads']}"
    for name, more in outcome["grown"].items():
        if name.startswith(PRODUCT) and name not in BOUNDED and more > bounds.own:
            yield f"{name}: {more} more"


def test_what_grows_is_seen() -> None:
    references, before = References(1), held()
    for number in range(50):
        references.placed(number, f"rbl-{number}", AccountId("DU1"))
    assert (held() - before)[f"{PRODUCT}edges.ibkr.news.References._by_number"] == 50


def test_a_watch_stays_as_it_is() -> None:
    """A sample of what follows: two days, and what the second has added."""
    outcome = lived(80, sampled_every=40)
    runs_of_a_day = 40 // PER_BURST
    assert list(too_much(outcome, Bounds(used_kib=6_000, objects=2_000, own=runs_of_a_day - 1))) == []
    assert outcome["restarts"] == 2
    assert outcome["orders"] == 8


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_events_and_daily_restarts_leave_it_as_it_is() -> None:
    outcome = lived(10_000, sampled_every=400)
    assert list(too_much(outcome, Bounds(used_kib=3_000, objects=1_000, own=50), after=2)) == []
    assert outcome["restarts"] == 250
    slow = {name: took_ms for name, took_ms in outcome["journal_ms"].items() if took_ms > 25}
    assert slow.keys() <= {"newest runs", "open the journal"}, "which no event waits for"
