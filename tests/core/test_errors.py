"""One error class per exit code, and one order of graveness."""

import pytest

from ibkr_rebalancer.core import errors
from ibkr_rebalancer.core.errors import GRAVEST_FIRST, RebalancerError, Refused, gravest


def test_every_error_class_has_its_own_exit_code_in_the_order_of_graveness() -> None:
    codes = [kind.exit_code for kind in RebalancerError.__subclasses__()]
    assert len(codes) == len(set(codes))
    assert set(codes) < set(GRAVEST_FIRST)
    assert len(GRAVEST_FIRST) == len(set(GRAVEST_FIRST))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {
        words[1]: int(words[2])
        for line in (errors.__doc__ or "").splitlines()
        if (words := line.split()) and words[0] in {"├──", "└──"}
    }
    assert drawn == {kind.__name__: kind.exit_code for kind in RebalancerError.__subclasses__()}


def test_an_error_keeps_its_code_sentence_and_hint() -> None:
    error = Refused("CODE", "It happened.", hint="Do this.")
    assert (str(error), error.code, error.message, error.hint) == ("It happened.", "CODE", "It happened.", "Do this.")


@pytest.mark.parametrize(
    ("codes", "worst"), [([], 0), ([0, 0], 0), ([0, 10], 10), ([11, 24, 0], 24), ([20, 78, 2], 78), ([12, 13, 14], 13)]
)
def test_the_gravest_code_speaks_for_all(codes: list[int], worst: int) -> None:
    assert gravest(codes) == worst
