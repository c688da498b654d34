"""Years of history: what is asked before every run and every order is found by an index, whatever lies behind."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy import event as database_event
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


def work_of(journal: Journal, act: Callable[[], object]) -> Counter[str]:
    """How many statements of each kind the database is given, and how many transactions it makes durable."""
    work = Counter[str]()
    engine = journal._store.engine

    def note(*told: Any) -> None:
        work[told[2].split()[0]] += 1

    def commit(_: Connection) -> None:
        work["COMMIT"] += 1

    database_event.listen(engine, "before_cursor_execute", note)
    database_event.listen(engine, "commit", commit)
    act()
    database_event.remove(engine, "before_cursor_execute", note)
    database_event.remove(engine, "commit", commit)
    return work


STEPS: dict[str, tuple[Callable[[Journal], object], Counter[str]]] = {
    "intend": (lambda journal: journal.intend(intent(ORDERS)), Counter(BEGIN=1, SELECT=2, INSERT=1, COMMIT=1)),
    "observe": (lambda journal: journal.observe([told(ORDERS)]), Counter(BEGIN=1, SELECT=2, INSERT=1, COMMIT=1)),
    "settle": (
        lambda journal: journal.settle(intent(ORDERS).order_ref, FILLED),
        Counter(BEGIN=1, SELECT=3, INSERT=1, COMMIT=1),
    ),
}


def test_an_order_costs_the_same_few_statements_whatever_lies_behind(grown: Path, tmp_path: Path) -> None:
    copytree(grown, tmp_path / "grown")
    with opened(tmp_path / "new") as journal:
        begin(journal)
    for folder in ("new", "grown"):
        with opened(tmp_path / folder) as journal:
            work = {name: work_of(journal, partial(step, journal)) for name, (step, _) in STEPS.items()}
        assert work == {name: cost for name, (_, cost) in STEPS.items()}, folder


def test_orders_that_are_decided_together_are_made_durable_together(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        begin(journal)
        work = work_of(journal, lambda: journal.intend(*map(intent, range(30))))
    assert work == Counter(BEGIN=1, SELECT=31, INSERT=30, COMMIT=1)
