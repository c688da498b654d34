import pytest

from ibkr_rebalancer.edges.ibkr.codes import CODES, Effect, explain


@pytest.mark.parametrize("number", CODES)
def test_every_code_says_what_it_means_and_what_to_do(number: int) -> None:
    code = CODES[number]
    assert code.meaning[0].islower(), "it stands in the middle of a sentence"
    assert not code.meaning.endswith(".")
    assert code.remedy[0].isupper()
    assert code.remedy.endswith(".")


@pytest.mark.parametrize(("number", "effect"), [(99999, Effect.ENDS), (2099, Effect.ENDS), (2100, Effect.NOTE)])
def test_a_code_without_a_row_ends_its_request_unless_it_is_a_warning(number: int, effect: Effect) -> None:
    assert explain(number).effect is effect
    assert explain(2199).effect is Effect.NOTE
    assert explain(2200).effect is Effect.ENDS
