"""Payloads of all kinds through a whole watch, in virtual time: dry runs with a reason, and no order at the venue."""

import asyncio
from pathlib import Path
from random import Random

import pytest
from tests.support.payloads import strange_payload
from tests.support.reckoning import notes
from tests.support.watch_scene import TRADES, Stage, play

from ibkr_rebalancer.core.report import RunMode


def all_are_dry_runs(folder: Path, *, count: int) -> None:
    """Each with a reason; and then one that trades, so that it is known that any would."""

    async def story() -> None:
        random = Random(20261123)  # noqa: S311 (reproducible, not secret)
        stage = Stage(folder)
        async with stage.watching():
            for _ in range(count):
                stage.say(strange_payload(random))
                await asyncio.sleep(10)
            assert stage.ends() == ["not-sent"] * count
            assert stage.scene.orders == []
            assert stage.scene.journal is not None
            read = notes(stage.scene.journal)
            assert len(read) == count
            assert all(mode is RunMode.DRY_RUN and note for mode, note in read.values())
            stage.say(TRADES)
            await asyncio.sleep(10)
        assert stage.scene.orders == ["SELL 1 AAA", "BUY 200 BBB"]

    play(story)


def test_strange_payloads_are_dry_runs_with_a_reason(tmp_path: Path) -> None:
    all_are_dry_runs(tmp_path, count=100)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_strange_payloads_are_dry_runs_with_a_reason(tmp_path: Path) -> None:
    all_are_dry_runs(tmp_path, count=10_000)
