"""Real watches in chaos: whatever is published is kept once, ends once, and is carried out at most once, in order.

Faults of channels and gateway strike all the time, and processes are killed where it hurts. The judges are the
sandbox's log and the journal. Of the channels one fails all the time, and one the key may not have: that is no harm to
the others. A consumer that only subscribes is in the same chaos, and fails before the same judge.
"""

import secrets
from pathlib import Path

import pytest
from tests.support.chaos import HASTY_WATCH, chaos


def test_a_short_chaos_loses_nothing_and_does_nothing_twice(folder: Path) -> None:
    with chaos(folder, seed=20261123, watch=HASTY_WATCH) as scene:
        scene.begin()
        scene.rage(kills=2, faults=100)
        scene.calm()
        assert scene.breaches() == []
        naive = scene.naive_breaches()
    assert any(each.startswith("missing") for each in naive)
    assert any(each.startswith("carried out twice") for each in naive)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_minutes_of_chaos(folder: Path) -> None:
    seed = secrets.randbelow(10**9)
    print(f"seed {seed}")  # noqa: T201 (how to have the same weather again; the processes take their own time)
    with chaos(folder, seed=seed) as scene:
        scene.begin()
        scene.rage_for(minutes=10)
        scene.calm()
        assert scene.breaches() == []
        assert scene.naive_breaches()
        print(f"{len(scene.published)} events, {scene.strikes} faults, {scene.kills} watches ended")  # noqa: T201
