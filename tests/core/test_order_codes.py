"""The table of codes about orders: every row says what it means and what a person can do, and each can be met."""

from collections import Counter

import pytest
from tests.support.broker_words import ALSO_SAID, OTHERS, REASONS, ROWS, words_of

from ibkr_rebalancer.core.order_codes import FUNDS, ORDER_CODES, REJECTED, OrderCode, OrderEffect, order_code, readable
from ibkr_rebalancer.core.order_state import RECOGNISING, REJECTING
from ibkr_rebalancer.core.purchases import speaks_of_funds

FACTS = [103, 104, 105, 110, 135, 136, 161, 200, 201, 202, 321, 399, 404, 434, 2109, 2137, 2161, 10147, 10148, 10349]
REPORTED = [109, 200, 203, 355, 382, 383, 387, 388, 451, 460, *range(10241, 10250), 10311]

each_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


@each_row
def test_every_row_has_a_meaning_and_a_remedy(row: OrderCode) -> None:
    assert len(row.meaning) > 10
    assert row.meaning[0].islower(), "it stands in the middle of a sentence"
    assert not row.meaning.endswith(".")
    assert len(row.remedy) > 20
    assert row.remedy[0].isupper()
    assert row.remedy.endswith(".")


@each_row
def test_the_words_of_each_row_lead_to_it(row: OrderCode) -> None:
    assert order_code(row.code, words_of(row)) is row


@pytest.mark.parametrize(("kind", "reason"), ALSO_SAID)
def test_what_else_is_said_of_a_kind_leads_to_it(kind: str, reason: str) -> None:
    row = order_code(REJECTED, f"Order rejected - reason:{reason}")
    assert row is not None
    assert row.kind == kind


def test_every_code_has_one_row_for_the_rest_of_it_the_last() -> None:
    last = {row.code: row for row in ORDER_CODES}
    assert all(not row.words for row in last.values())
    assert Counter(row.code for row in ORDER_CODES if not row.words) == Counter(last.keys())
    assert len(ROWS) == len(ORDER_CODES), "a kind has one row"
    assert all(bool(row.kind) is bool(row.words) for row in ORDER_CODES)
    assert all(word == word.lower() for row in ORDER_CODES for word in row.words)


@pytest.mark.parametrize("code", [*FACTS, *REPORTED])
def test_every_code_that_is_known_to_be_said_of_orders_has_a_row(code: int) -> None:
    assert order_code(code) is not None


def test_a_code_that_nobody_has_written_down_has_none() -> None:
    assert order_code(77777, "insufficient funds") is None


def test_what_was_written_for_a_browser_is_made_readable() -> None:
    assert (
        readable("Ineligible; reasons:<br>No KID. You may<br> close it.")
        == "Ineligible; reasons: No KID. You may close it."
    )


def test_every_kind_has_words_of_the_broker() -> None:
    kinds = {(row.code, row.kind) for row in ORDER_CODES if row.words}
    assert kinds == {*((REJECTED, kind) for kind in REASONS), *OTHERS}


@each_row
def test_only_want_of_money_is_called_so_also_in_our_own_sentence(row: OrderCode) -> None:
    """Such a refusal before the sales stops nothing, and later a smaller one is tried: no other may pass for it."""
    sentence = f"The broker would reject the order: {row.meaning} (code {row.code}: {words_of(row)}). It was not sent."
    assert speaks_of_funds(sentence) is (row is FUNDS)


@each_row
def test_a_remark_says_that_the_order_lives(row: OrderCode) -> None:
    assert ("lives on" in row.remedy) is (row.effect is OrderEffect.LIVES)


@each_row
def test_what_a_row_says_of_an_order_is_what_its_state_is_derived_from(row: OrderCode) -> None:
    """A refusal buries an order once a look does not find it; a remark or a cancel is told only of one that exists."""
    assert (row.code in REJECTING) is (row.effect is OrderEffect.REFUSED)
    if row.effect in {OrderEffect.LIVES, OrderEffect.ENDED}:
        assert row.code in RECOGNISING
