"""Watches that meet a fault, in virtual time. The judges are the venue, and the reckoning after the journal."""

from pathlib import Path

import pytest
from tests.faults.cases import Row, Watched
from tests.faults.catalogue import CATALOGUE
from tests.support.watch_scene import Stage, play

CASES = [(row, case) for row in CATALOGUE for case in row.cases if isinstance(case, Watched)]


@pytest.mark.parametrize(
    ("row", "case"), [pytest.param(row, case, id=f"{row.number}-{case.how}") for row, case in CASES]
)
def test_a_watch_meets_a_fault(
    row: Row,  # noqa: ARG001 (it names the test)
    case: Watched,
    folder: Path,
) -> None:
    async def story() -> None:
        stage = Stage(folder)
        await case.story(stage)
        assert ", ".join(stage.ends()) == case.ends
        assert tuple(stage.scene.orders) == case.sent
        assert case.says in " ".join(stage.scene.notices.texts)
        assert stage.breaches() == []

    play(story)
