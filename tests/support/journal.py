"""A journal and small true values to keep in it: one account, one plan of two trades, orders numbered from 1.

It imports little: the processes that tests start begin with it. As a program it prints a filled journal as SQL.
"""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import event as database_event
from sqlalchemy import insert, select
from tests.support.events import CHANNEL, ended, event, put_off
from tests.support.notation import NOW, allocation, allocation_body, con_id, snapshot

from ibkr_rebalancer.core.documents import encode
from ibkr_rebalancer.core.errors import EXIT_DONE, Refused
from ibkr_rebalancer.core.events import Gap
from ibkr_rebalancer.core.evidence import Listed, StatusTold
from ibkr_rebalancer.core.instruments import ContractQuery
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_state import OrderState, OrderStatus
from ibkr_rebalancer.core.orders import OrderIntent, OrderType
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.purchases import Adjustment
from ibkr_rebalancer.core.report import OrderReport, Report, RunMode
from ibkr_rebalancer.core.runs import RunStart, run_failure
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.opening import open_journal
from ibkr_rebalancer.edges.journal.tables import intents, outcomes, plans, sealed, written
from ibkr_rebalancer.ports import Clock, Halt, Observer

ACCOUNT = AccountId("DU1")
OTHER = AccountId("DU2")
RUN = "20261123T153000Z-a"
HALT = Halt(at=NOW, reason="the owner is on holiday")

TARGETS = "AAA 50; BBB 50"
DOCUMENT = allocation_body({"AAA": Decimal("0.5"), "BBB": Decimal("0.5")})
SNAPSHOT = snapshot("DU1 cash 1_000; 900 AAA @100; 100 BBB @100", targets=TARGETS)
PLAN = plan_rebalance(allocation(TARGETS), snapshot=SNAPSHOT, policy=Policy())
FILLED = OrderState(
    status=OrderStatus.FILLED,
    filled=10,
    average_price=Decimal("99.95"),
    commission=Decimal("1.00"),
    reason="",
    perm_ids=frozenset({7}),
)


class _Stopped:
    """It is always `NOW`."""

    def now(self) -> datetime:
        return NOW


class _Unheard:
    """An observer that nobody asks."""

    def notify(self, notice: Notice) -> None:
        pass


@contextmanager
def opened(
    folder: Path, *, mode: TradingMode = TradingMode.PAPER, clock: Clock | None = None, observer: Observer | None = None
) -> Iterator[Journal]:
    """The journal in `folder`; its clock stands at `NOW` unless given."""
    with open_journal(folder, mode=mode, clock=clock or _Stopped(), observer=observer or _Unheard()) as journal:
        yield journal


def start(run_id: str = RUN, *, account: AccountId = ACCOUNT, trigger: str = "command") -> RunStart:
    return RunStart(
        run_id=run_id,
        account=account,
        trigger=trigger,
        started=NOW,
        config_digest="0123456789ab",
        code_version="0.1.0",
    )


def begin(journal: Journal, run_id: str = RUN, *, account: AccountId = ACCOUNT) -> None:
    """A run up to its plan."""
    journal.start_run(start(run_id, account=account))
    journal.keep_plan(run_id, document=DOCUMENT, snapshot=SNAPSHOT, plan=PLAN)


def intent(
    number: int = 1,
    *,
    run_id: str = RUN,
    account: AccountId = ACCOUNT,
    symbol: str = "AAA",
    side: Side = Side.SELL,
) -> OrderIntent:
    return OrderIntent(
        order_ref=f"rb1-{number:016d}-1",
        run_id=run_id,
        plan_id=PLAN.plan_id,
        account=account,
        con_id=con_id(symbol),
        symbol=symbol,
        currency="USD",
        rate=Decimal(1),
        side=side,
        quantity=10,
        order_type=OrderType.LIMIT,
        limit_price=Decimal("99.90"),
        position_before=Decimal(900),
        client_id=52,
        expires_at=NOW + timedelta(hours=5),
    )


def told(number: int = 1, *, status: str = "Submitted", second: int = 0) -> Heard:
    """The broker's word about an order."""
    evidence = StatusTold(at=NOW + timedelta(seconds=second), status=status, filled=None, perm_id=7, why_held="")
    return Heard(order_ref=intent(number).order_ref, evidence=evidence)


def report(run_id: str = RUN, *, account: AccountId = ACCOUNT) -> Report:
    order = OrderReport(
        order_ref=intent().order_ref,
        symbol="AAA",
        con_id=con_id("AAA"),
        side=Side.SELL,
        quantity=10,
        filled=10,
        currency="USD",
        rate=Decimal(1),
        average_price=Decimal("99.95"),
        commission=Decimal("1.00"),
        status="filled",
        reason="",
    )
    return Report(
        run_id=run_id,
        account=account,
        plan=PLAN,
        mode=RunMode.REBALANCE,
        trigger="command",
        outcome="done",
        exit_code=EXIT_DONE,
        started=NOW,
        ended=NOW + timedelta(seconds=2),
        orders=(order,),
        adjustments=(Adjustment(symbol="BBB", con_id=con_id("BBB"), planned=3, sent=2, reason="not enough cash"),),
        code="",
        trouble="",
        hint="",
    )


def everything(journal: Journal) -> object:
    """All that the journal answers about `ACCOUNT`, to be compared."""
    return (
        journal.runs(limit=1000),
        journal.run(RUN),
        journal.unsettled(ACCOUNT),
        journal.orders(ACCOUNT, since=datetime(2000, 1, 1, tzinfo=UTC)),
        journal.traded(ACCOUNT),
        journal.adopted(ACCOUNT),
        journal.pinned(),
        journal.halted(),
        journal.is_acknowledged(HALT),
        journal.inbox.pending(),
        journal.inbox.carried_out(ACCOUNT),
        journal.inbox.done_last(),
        journal.inbox.newest_gaps(),
        journal.inbox.cursor(CHANNEL),
    )


def fill(journal: Journal) -> None:
    """Something of every kind: a run that ended, one that did not, orders with and without an outcome, events."""
    begin(journal)
    for number in (1, 2, 3):
        journal.intend(intent(number, side=Side.BUY if number == 2 else Side.SELL))
        journal.observe([told(number), told(number, status="Filled", second=1)])
    journal.settle(intent(1).order_ref, FILLED)
    journal.settle(intent(2).order_ref, replace(FILLED, status=OrderStatus.CANCELLED, filled=0, average_price=None))
    journal.observe([Heard(order_ref=intent(2).order_ref, evidence=Listed(at=NOW, status="Submitted"))])
    journal.end_run(report())
    journal.start_run(start("20261123T160000Z-b"))
    journal.start_run(failed := start("20261123T170000Z-c"))
    journal.fail_run(run_failure(failed, Refused("PLAN_STALE", "It is stale.", hint="Look again."), ended=NOW))
    journal.adopt(ACCOUNT, [con_id("AAA"), con_id("BBB")])
    journal.pin({ContractQuery(symbol=symbol): con_id(symbol) for symbol in ("AAA", "BBB")})
    journal.halt(HALT)
    journal.acknowledge(HALT)
    _fill_inbox(journal)


def _fill_inbox(journal: Journal) -> None:
    """An event that was carried out for one account and waits for another, one that is new, a repetition."""
    inbox = journal.inbox
    inbox.keep(event(1), [ACCOUNT, OTHER])
    inbox.keep(event(2), [ACCOUNT])
    inbox.keep(event(3, message_id="message-1"), [ACCOUNT])
    first, second, _ = inbox.pending()
    journal.start_run(run := start("20261123T180000Z-d", trigger=event(1).event_id))
    journal.end_run(report(run.run_id))
    inbox.take_steps({second: put_off(), first: ended(run_id=run.run_id)})
    for minutes in (1, 2):
        inbox.advance(CHANNEL, NOW + timedelta(minutes=minutes))
        inbox.keep_gap(gap(minutes))


def fill_with_orders(journal: Journal, orders: int, *, open_orders: int = 0) -> None:
    """Years of history: orders of two accounts in turn, below a run that has begun, all settled but the last few."""
    body, state = written(encode(intent())), written(encode(FILLED))
    with journal._store.writing("") as connection:
        plan = connection.execute(select(plans.c.id)).scalar_one()
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
            for number in range(orders)
        ]
        settled = [sealed(of_intent=number + 1, body=state) for number in range(orders - open_orders)]
        for table, content in ((intents, rows), (outcomes, settled)):
            if content:
                connection.execute(insert(table), content)


def gap(minutes: int = 1, *, channel: str = CHANNEL) -> Gap:
    """Ably was not listened to for so long."""
    return Gap(channel=channel, since=NOW, until=NOW + timedelta(minutes=minutes), why="Nobody listened.")


def statements(journal: Journal, ask: Callable[[], object]) -> list[tuple[str, list[str]]]:
    """The queries that a question is answered by, each with SQLite's plan for it."""
    asked: list[tuple[str, Any]] = []

    def note(*told: Any) -> None:
        _, _, statement, parameters, *_ = told
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    database_event.listen(journal._store.engine, "before_cursor_execute", note)
    ask()
    database_event.remove(journal._store.engine, "before_cursor_execute", note)
    with journal._store.engine.connect() as connection:
        return [
            (
                statement,
                [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)],
            )
            for statement, parameters in asked
        ]


def dumped() -> Iterator[str]:
    """A filled journal as the statements that make it again."""
    with TemporaryDirectory() as folder:
        with opened(Path(folder)) as journal:
            fill(journal)
        with closing(sqlite3.connect(Path(folder, "journal.db"))) as connection:
            for name in ("application_id", "user_version"):
                yield f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
            yield from connection.iterdump()


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in dumped())
