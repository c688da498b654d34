"""Years of history: what is asked before every run and every order is found by an index, whatever lies behind."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select
from tests.support.journal import ACCOUNT, FILLED, PLAN, RUN, begin, fill, intent, opened, statements
from tests.support.notation import NOW, con_id

from ibkr_rebalancer.core.documents import encode
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.tables import intents, outcomes, plans, sealed, written

ORDERS = 20_000
OPEN = 7


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with many orders of two accounts, all settled but the last few."""
    folder = tmp_path_factory.mktemp("grown")
    with opened(folder) as journal:
        begin(journal)
        with journal._store.writing("") as connection:
            _add_orders(connection)
    return folder


def _add_orders(connection: Connection) -> None:
    plan = connection.execute(select(plans.c.id)).scalar_one()
    body, state = written(encode(intent())), written(encode(FILLED))
    rows = [
        sealed(
            of_plan=plan,
            order_ref=intent(number).order_ref,
            account="DU2" if number % 2 else ACCOUNT,
            con_id=con_id(f"S{number % 60}"),
            side="BUY" if number % 3 else "SELL",
            kept_at=(NOW + timedelta(minutes=number)).isoformat(timespec="microseconds"),
            body=body,
        )
        for number in range(ORDERS)
    ]
    connection.execute(insert(intents), rows)
    settled = [sealed(of_intent=number + 1, body=state) for number in range(ORDERS - 2 * OPEN)]
    connection.execute(insert(outcomes), settled)


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
