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


SECTION_10 = [100, 101, 103, 104, 105, 110, 135, 136, 161, 162, 200, 201, 202, 203, 321, 322, 326, 354, 399, 404, 434]
OF_ORDERS = [2109, 2137, 2161, 10147, 10148, 10241, 10242, 10243, 10311, 10349]


@pytest.mark.parametrize("number", [*SECTION_10, *OF_ORDERS])
def test_every_code_that_concerns_orders_has_a_row(number: int) -> None:
    assert number in CODES


@pytest.mark.parametrize("number", [399, 404, 2109, 2137, 2161, 10349])
def test_whoever_reads_of_a_remark_is_told_that_the_order_lives(number: int) -> None:
    assert explain(number).effect is Effect.NOTE
    assert "lives on" in explain(number).remedy
