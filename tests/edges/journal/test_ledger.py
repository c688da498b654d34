"""The journal as the record of runs and orders: what is kept is answered, in order, once, and for good."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from tests.support.journal import (
    ACCOUNT,
    DOCUMENT,
    FILLED,
    OTHER,
    PLAN,
    RUN,
    SNAPSHOT,
    begin,
    everything,
    fill,
    intent,
    opened,
    report,
    start,
    told,
)
from tests.support.notation import NOW, con_id
from tests.support.venue_market import WoundClock

from ibkr_rebalancer.core.errors import StorageFailed
from ibkr_rebalancer.core.evidence import Executed, Listed, Sent
from ibkr_rebalancer.core.instruments import ContractQuery
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_state import OrderStatus, TrackedOrder
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.tables import HISTORY
from ibkr_rebalancer.ports import Controls, Inbox, Ledger, RunRecord


def test_a_journal_is_ledger_controls_and_inbox(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as journal:
        faces: tuple[Ledger, Controls, Inbox] = (journal, journal, journal.inbox)
        assert len(faces) == 3


def test_a_new_journal_knows_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as journal:
        assert journal.is_new
        assert everything(journal) == (
            (),
            None,
            (),
            (),
            frozenset(),
            frozenset(),
            {},
            None,
            False,
            (),
            None,
            (),
            (),
            None,
        )


def test_a_run_from_its_start_to_its_report(tmp_path: Path) -> None:
    sell, buy = intent(1), intent(2, symbol="BBB", side=Side.BUY)
    sent = Sent(at=NOW)
    with opened(tmp_path / "state") as journal:
        journal.start_run(start())
        assert journal.run(RUN) == RunRecord(
            start=start(), document=None, plan=None, orders=(), report=None, failure=None
        )

        journal.keep_plan(RUN, document=DOCUMENT, snapshot=SNAPSHOT, plan=PLAN)
        journal.intend(sell)
        journal.intend(buy)
        journal.observe([Heard(order_ref=sell.order_ref, evidence=sent)])
        orders = (TrackedOrder(intent=sell, evidence=(sent,)), TrackedOrder(intent=buy, evidence=()))
        unended = RunRecord(start=start(), document=DOCUMENT, plan=PLAN, orders=orders, report=None, failure=None)
        assert journal.run(RUN) == unended

        journal.end_run(report())
        assert journal.run(RUN) == replace(unended, report=report())


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as journal:
        fill(journal)
        kept = everything(journal)

    with opened(tmp_path / "state") as journal:
        assert not journal.is_new
        assert everything(journal) == kept


def test_evidence_stands_in_the_order_it_came_and_once(tmp_path: Path) -> None:
    heard = [told(1), told(1, status="Filled"), told(2), told(1)]
    with opened(tmp_path / "state") as journal:
        begin(journal)
        journal.intend(intent(1))
        journal.intend(intent(2))
        journal.observe(heard[:2])
        journal.observe([])
        journal.observe(heard)

        first, second = journal.unsettled(ACCOUNT)
    assert first.evidence == (told(1).evidence, told(1, status="Filled").evidence)
    assert second.evidence == (told(2).evidence,)


def test_corrections_of_a_print_are_evidence_of_their_own(tmp_path: Path) -> None:
    prints = [
        Executed(at=NOW, exec_id=f"0001.01.0{n}", shares=Decimal(5), price=Decimal(10), perm_id=7) for n in (1, 2)
    ]
    with opened(tmp_path / "state") as journal:
        begin(journal)
        journal.intend(intent())
        journal.observe([Heard(order_ref=intent().order_ref, evidence=evidence) for evidence in prints])

        (order,) = journal.unsettled(ACCOUNT)
    assert order.evidence == tuple(prints)


def test_an_order_is_unsettled_until_its_outcome_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as journal:
        begin(journal)
        begin(journal, "other", account=OTHER)
        for number in (3, 1, 2):
            journal.intend(intent(number))
        journal.intend(intent(4, run_id="other", account=OTHER))

        assert [order.intent for order in journal.unsettled(ACCOUNT)] == [intent(3), intent(1), intent(2)]
        journal.settle(intent(1).order_ref, FILLED)
        assert [order.intent for order in journal.unsettled(ACCOUNT)] == [intent(3), intent(2)]
        assert [order.intent.account for order in journal.unsettled(OTHER)] == [OTHER]


def test_an_outcome_may_be_kept_again(tmp_path: Path) -> None:
    """A process that was killed right after it settles the order anew; late news may change what it was."""
    with opened(tmp_path / "state") as journal:
        begin(journal)
        journal.intend(intent())
        for state in (FILLED, FILLED, replace(FILLED, commission=Decimal("1.01"))):
            journal.settle(intent().order_ref, state)

        assert journal.unsettled(ACCOUNT) == ()


def test_an_order_that_is_listed_has_no_outcome_until_it_gets_another(tmp_path: Path) -> None:
    ref = intent().order_ref
    with opened(tmp_path / "state") as journal:
        begin(journal)
        journal.intend(intent())
        for second in range(3):
            journal.settle(ref, replace(FILLED, commission=Decimal("1.01")))
            journal.settle(ref, FILLED)
            assert journal.unsettled(ACCOUNT) == ()
            listed = Heard(order_ref=ref, evidence=Listed(at=NOW + timedelta(seconds=second), status="Submitted"))
            assert journal.observe([listed]) == [listed]
            (order,) = journal.unsettled(ACCOUNT)
            assert order.evidence[-1] == listed.evidence
            assert journal.observe([listed]) == []
        assert journal.recall([ref, "rb1-never-1"]) == (order,)
        assert journal.recall([]) == ()


@pytest.mark.parametrize("status", [status for status in OrderStatus if not status.is_terminal])
def test_what_is_not_the_end_is_no_outcome(tmp_path: Path, status: OrderStatus) -> None:
    with opened(tmp_path / "state") as journal:
        begin(journal)
        journal.intend(intent())
        with pytest.raises(ValueError, match=f"{status.value} is no outcome"):
            journal.settle(intent().order_ref, replace(FILLED, status=status))

        assert len(journal.unsettled(ACCOUNT)) == 1


def test_orders_since_a_moment(tmp_path: Path) -> None:
    """The moment itself is included, whatever zone it is told in, and microseconds count."""
    clock = WoundClock(NOW)
    with opened(tmp_path / "state", clock=clock) as journal:
        begin(journal)
        begin(journal, "other", account=OTHER)
        for number in (1, 2, 3):
            journal.intend(intent(number))
            clock.advance(0.5)
        journal.intend(intent(4, run_id="other", account=OTHER))

        def since(seconds: float) -> list[str]:
            orders = journal.orders(ACCOUNT, since=NOW + timedelta(seconds=seconds))
            return [order.intent.order_ref[-3] for order in orders]

        assert [since(-1), since(0), since(0.000001), since(0.5), since(1), since(1.1)] == [
            ["1", "2", "3"],
            ["1", "2", "3"],
            ["2", "3"],
            ["2", "3"],
            ["3"],
            [],
        ]


def test_what_was_ever_traded(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as journal:
        begin(journal)
        begin(journal, "other", account=OTHER)
        journal.intend(intent(1))
        journal.intend(intent(2))
        journal.intend(intent(3, symbol="BBB", side=Side.BUY))
        journal.intend(intent(4, run_id="other", account=OTHER, symbol="CCC"))
        assert not journal.traded(ACCOUNT), "an intent is no trade"
        journal.settle(intent(1).order_ref, FILLED)
        journal.settle(intent(3).order_ref, replace(FILLED, status=OrderStatus.CANCELLED, filled=1))
        journal.settle(intent(4).order_ref, FILLED)

        assert journal.traded(ACCOUNT) == {(con_id("AAA"), Side.SELL), (con_id("BBB"), Side.BUY)}


def test_an_order_that_filled_nothing_has_traded_nothing(tmp_path: Path) -> None:
    """What was learnt last counts: shares that were told late, or taken back by a correction; and nothing of an order
    that is open again."""
    unfilled = replace(FILLED, status=OrderStatus.REJECTED, filled=0, average_price=None)
    ref, sale = intent(1).order_ref, {(con_id("AAA"), Side.SELL)}
    with opened(tmp_path / "state") as journal:
        begin(journal)
        journal.intend(intent(1))
        journal.settle(ref, unfilled)
        assert not journal.traded(ACCOUNT)
        journal.settle(ref, FILLED)
        assert journal.traded(ACCOUNT) == sale
        journal.settle(ref, replace(unfilled, reason="corrected"))
        assert not journal.traded(ACCOUNT)
        journal.settle(ref, replace(FILLED, reason="resolved by hand: seen"))
        assert journal.traded(ACCOUNT) == sale
        journal.observe([Heard(order_ref=ref, evidence=Listed(at=NOW, status="Submitted"))])
        assert not journal.traded(ACCOUNT)


def test_the_newest_runs_come_first(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as journal:
        for run_id in ("b", "c", "a"):
            journal.start_run(start(run_id))

        assert [run.start.run_id for run in journal.runs(limit=2)] == ["a", "c"]
        assert [run.start.run_id for run in journal.runs(limit=9)] == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        *[("2026-a", "2026-a"), ("2026-ab", "2026-ab"), ("2027", "2027-%_"), ("2027-%", "2027-%_")],
        *[(asked, None) for asked in ("20", "2026", "2028", "%", "____", "2027-%_x", "2027-A")],
    ],
)
def test_a_run_is_found_by_the_beginning_of_its_id(tmp_path: Path, asked: str, found: str | None) -> None:
    with opened(tmp_path / "state") as journal:
        for run_id in ("2026-a", "2026-ab", "2027-%_"):
            journal.start_run(start(run_id))

        run = journal.run(asked)
    assert (run.start.run_id if run else None) == found


def test_of_several_plans_a_run_shows_the_first_and_the_orders_of_all(tmp_path: Path) -> None:
    """After the sells, buys are planned again."""
    again = replace(PLAN, plan_id="again")
    with opened(tmp_path / "state") as journal:
        begin(journal)
        journal.keep_plan(RUN, document=DOCUMENT, snapshot=SNAPSHOT, plan=again)
        journal.intend(intent(1))
        journal.intend(replace(intent(2), plan_id="again"))

        run = journal.run(RUN)
    assert run
    assert run.plan == PLAN
    assert [order.intent.plan_id for order in run.orders] == [PLAN.plan_id, "again"]


def test_holdings_are_adopted_for_one_account_and_for_good(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as journal:
        journal.adopt(ACCOUNT, [con_id("AAA")])
        journal.adopt(ACCOUNT, [con_id("AAA"), con_id("BBB")])
        journal.adopt(OTHER, [])

        assert journal.adopted(ACCOUNT) == {con_id("AAA"), con_id("BBB")}
        assert journal.adopted(OTHER) == frozenset()


def test_the_contract_pinned_last_counts(tmp_path: Path) -> None:
    aaa, bbb = ContractQuery(symbol="AAA"), ContractQuery(symbol="BBB", exchange="IBIS", currency="EUR")
    first, second = {aaa: con_id("A1"), bbb: con_id("B")}, {aaa: con_id("A2")}
    with opened(tmp_path / "state") as journal:
        for contracts in (first, second, first, first):
            journal.pin(contracts)

        assert journal.pinned() == first
        assert ContractQuery(symbol="BBB") not in journal.pinned()


@pytest.mark.parametrize("table", [table.name for table in HISTORY])
@pytest.mark.parametrize("deed", ["UPDATE {} SET seal = ''", "DELETE FROM {}"])
def test_history_cannot_be_changed(tmp_path: Path, table: str, deed: str) -> None:
    with opened(tmp_path / "state") as journal:
        fill(journal)
        kept = everything(journal)
        with (
            journal._store.engine.connect() as connection,
            pytest.raises(IntegrityError, match=f"{table} is history: nothing in it is changed or removed"),
        ):
            connection.exec_driver_sql(deed.format(table))

        assert everything(journal) == kept


def test_a_reference_is_used_once(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as journal:
        begin(journal)
        begin(journal, "other")
        journal.intend(intent())
        with pytest.raises(StorageFailed) as caught:
            journal.intend(replace(intent(run_id="other"), quantity=11))

        assert [order.intent for order in journal.unsettled(ACCOUNT)] == [intent()]
    assert caught.value.code == "JOURNAL_CONFLICT"
    assert caught.value.message == (
        f"{tmp_path}/state/journal.db already holds something else under that name, or lacks what it follows from "
        "(UNIQUE constraint failed: intents.order_ref). SELL 11 AAA (rb1-0000000000000001-1) was not sent. "
        "What this process may have at work at the broker: rb1-0000000000000001-1."
    )


def _start_twice(journal: Journal) -> None:
    journal.start_run(start())


def _plan_without_run(journal: Journal) -> None:
    journal.keep_plan("gone", document=DOCUMENT, snapshot=SNAPSHOT, plan=PLAN)


def _plan_twice(journal: Journal) -> None:
    journal.keep_plan(RUN, document=DOCUMENT, snapshot=SNAPSHOT, plan=PLAN)


def _order_without_plan(journal: Journal) -> None:
    journal.intend(replace(intent(), plan_id="gone"))


def _order_without_run(journal: Journal) -> None:
    journal.intend(intent(run_id="gone"))


def _outcome_without_order(journal: Journal) -> None:
    journal.settle("rb1-gone", FILLED)


def _report_without_run(journal: Journal) -> None:
    journal.end_run(report("gone"))


def _report_twice(journal: Journal) -> None:
    journal.end_run(report())
    journal.end_run(report())


@pytest.mark.parametrize(
    "contradict",
    [
        *[_start_twice, _plan_without_run, _plan_twice, _order_without_plan, _order_without_run],
        *[_outcome_without_order, _report_without_run, _report_twice],
    ],
)
def test_what_does_not_follow_is_refused(tmp_path: Path, contradict: Callable[[Journal], None]) -> None:
    with opened(tmp_path / "state") as journal:
        begin(journal)
        with pytest.raises(StorageFailed) as caught:
            contradict(journal)

    assert caught.value.code == "JOURNAL_CONFLICT"
    with opened(tmp_path / "state") as journal:
        assert journal.unsettled(ACCOUNT) == ()


def test_evidence_about_an_order_that_is_not_there_means_lost_history(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as journal:
        begin(journal)
        journal.intend(intent(1))
        with pytest.raises(StorageFailed) as caught:
            journal.observe([told(1), told(2)])

        assert journal.unsettled(ACCOUNT) == (TrackedOrder(intent=intent(1), evidence=()),)
    assert caught.value.code == "JOURNAL_LOST"
    assert "the broker tells of rb1-0000000000000002-1" in caught.value.message


@pytest.mark.parametrize("body", [b"", b"\x00\xff no JSON", DOCUMENT, bytes(range(256)) * 4096])
def test_the_document_is_kept_as_it_came(tmp_path: Path, body: bytes) -> None:
    with opened(tmp_path / "state") as journal:
        journal.start_run(start())
        journal.keep_plan(RUN, document=body, snapshot=SNAPSHOT, plan=PLAN)

        run = journal.run(RUN)
    assert run
    assert run.document == body
