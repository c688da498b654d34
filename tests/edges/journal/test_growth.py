"""Years of history: what is asked before every run and every order is found by an index, whatever lies behind."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.journal import (
    ACCOUNT,
    FILLED,
    PLAN,
    RUN,
    begin,
    fill,
    fill_with_orders,
    intent,
    opened,
    statements,
    told,
)
from tests.support.notation import NOW

from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.journal.journal import Journal

ORDERS = 20_000
OPEN = 7


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with many orders of two accounts, all settled but the last few."""
    folder = tmp_path_factory.mktemp("grown")
    with opened(folder) as journal:
        begin(journal)
        fill_with_orders(journal, ORDERS, open_orders=2 * OPEN)
    return folder


def test_the_few_unsettled_orders_are_found_among_many(grown: Path) -> None:
    with opened(grown) as journal:
        assert len(journal.unsettled(ACCOUNT)) == OPEN
        assert len(journal.orders(ACCOUNT, since=NOW + timedelta(minutes=ORDERS - 10))) == 5
        assert len(journal.traded(ACCOUNT)) == 30


LATELY = NOW + timedelta(minutes=ORDERS)


@pytest.mark.parametrize(
    "ask",
    [
        lambda journal: journal.unsettled(ACCOUNT),
        lambda journal: journal.orders(ACCOUNT, since=LATELY),
        lambda journal: journal.traded(ACCOUNT),
        lambda journal: journal.adopted(ACCOUNT),
        lambda journal: journal.run(RUN),
    ],
    ids=["unsettled", "orders", "traded", "adopted", "run"],
)
def test_every_question_is_answered_by_an_index(tmp_path: Path, ask: Callable[[Journal], object]) -> None:
    with opened(tmp_path) as journal:
        fill(journal)
        asked = statements(journal, lambda: ask(journal))

    assert asked
    for statement, plan in asked:
        assert [step for step in plan if step.startswith("SCAN")] == [], statement
        assert any("INDEX" in step or "INTEGER PRIMARY KEY" in step for step in plan), statement


def test_the_newest_runs_are_not_sorted_out_of_all(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        fill(journal)
        (_, plan), *_ = statements(journal, lambda: journal.runs(limit=2))
    assert plan == ["SCAN runs"], "along the newest ids, as far as the limit"


def test_intents_of_another_account_are_not_even_looked_at(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        fill(journal)
        (_, plan), *_ = statements(journal, lambda: journal.unsettled(AccountId("DU2")))
    assert "(account=?)" in plan[0]
    assert any("of_intent=?" in step for step in plan)


def test_the_plan_of_the_run_is_the_one_that_was_kept(grown: Path) -> None:
    with opened(grown) as journal:
        run = journal.run(RUN)
    assert run
    assert (run.plan, len(run.orders)) == (PLAN, ORDERS)
