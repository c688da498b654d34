"""Each check of events turns red when what reads or orders them is wrong on purpose."""

import pytest
from tests.support import event_defects as defects
from tests.support.inbox_world import Decide, World
from tests.support.payloads import misjudged

from ibkr_rebalancer.core.inbox import agenda
from ibkr_rebalancer.core.report import RunMode

DRY_RUN, REBALANCE = RunMode.DRY_RUN, RunMode.REBALANCE


@pytest.mark.parametrize("wrong", [defects.forgives_spelling, defects.looks_for_the_word, defects.gives_no_reason])
def test_a_word_that_is_not_exact_is_found(wrong: defects.ModeOf) -> None:
    assert misjudged(wrong)


def story(decide: Decide) -> None:
    """A dry run comes after a rebalance that waits, then newer ones of both, and last the oldest of all."""
    world = World(decide)
    world.arrive(2, REBALANCE)
    world.work("later")
    world.arrive(3, DRY_RUN)
    world.work("done")
    world.arrive(5, REBALANCE)
    world.arrive(4, REBALANCE)
    world.work("done")
    world.arrive(1, REBALANCE)
    world.finish()


def test_the_agenda_itself_passes() -> None:
    story(agenda)


@pytest.mark.parametrize(
    ("wrong", "breach"),
    [
        (defects.oldest_wins, "the newest wins"),
        (defects.newest_of_any_mode_wins, "a rebalance is never displaced by a dry run"),
        (defects.forgets_what_was_carried_out, "nothing is carried out after a newer rebalance"),
        (defects.drops_without_a_word, "everything ends"),
    ],
)
def test_a_wrong_agenda_is_found(wrong: Decide, breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        story(wrong)
