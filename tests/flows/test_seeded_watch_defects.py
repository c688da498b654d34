"""The reckoning after a watch turns red when the watch is wrong on purpose."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.watch_defects import DEFECTS, Defect, Story
from tests.support.watch_scene import Stage, play


def told(story: Story, folder: Path, prepare: Callable[[Stage], None]) -> list[str]:
    """What the reckoning finds after the story."""
    found: list[str] = []

    async def played() -> None:
        stage = Stage(folder)
        prepare(stage)
        await story(stage)
        found.extend(stage.breaches())

    play(played)
    return found


@pytest.mark.parametrize("story", sorted({story for _, story, _ in DEFECTS}, key=lambda story: story.__name__))  # type: ignore[attr-defined]
def test_the_watch_itself_passes(story: Story, tmp_path: Path) -> None:
    assert told(story, tmp_path, lambda _: None) == []


@pytest.mark.parametrize(("defect", "story", "breach"), DEFECTS)
def test_a_wrong_watch_is_found(
    defect: Defect, story: Story, breach: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = told(story, tmp_path, lambda stage: defect(stage, monkeypatch))
    assert any(each.startswith(breach) for each in found), found
