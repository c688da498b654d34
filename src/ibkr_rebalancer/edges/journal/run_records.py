"""Runs and their orders, put together from the rows that the journal keeps of them."""

from collections import defaultdict

from sqlalchemy import ColumnElement, Connection, RowMapping, select

from ibkr_rebalancer.core.evidence import Evidence
from ibkr_rebalancer.core.order_state import TrackedOrder
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.core.runs import RunFailure, RunStart
from ibkr_rebalancer.edges.journal.store import first_row, whole_rows
from ibkr_rebalancer.edges.journal.tables import evidence, failures, intents, plans, read, reports
from ibkr_rebalancer.ports import RunRecord


def run_record(connection: Connection, run: RowMapping) -> RunRecord:
    """A run with all that came of it; of several plans the one it was begun with."""
    first = first_row(connection, select(plans).where(plans.c.of_run == run["id"]).order_by(plans.c.id))
    report, failure = (
        first_row(connection, select(ends).where(ends.c.of_run == run["id"])) for ends in (reports, failures)
    )
    return RunRecord(
        start=read(RunStart, run["body"]),
        document=first["document"] if first else None,
        plan=read(Plan, first["body"]) if first else None,
        orders=tracked_orders(connection, intents.c.of_plan.in_(select(plans.c.id).where(plans.c.of_run == run["id"]))),
        report=read(Report, report["body"]) if report else None,
        failure=read(RunFailure, failure["body"]) if failure else None,
    )


def tracked_orders(connection: Connection, which: ColumnElement[bool]) -> tuple[TrackedOrder, ...]:
    """The intents that fulfil a condition, each with its evidence, oldest first."""
    heard = defaultdict(list)
    of_them = select(evidence).join(intents).where(which).order_by(evidence.c.id)
    for row in whole_rows(connection, of_them):
        heard[row["of_intent"]].append(read(Evidence, row["body"]))
    return tuple(
        TrackedOrder(intent=read(OrderIntent, row["body"]), evidence=tuple(heard[row["id"]]))
        for row in whole_rows(connection, select(intents).where(which).order_by(intents.c.id))
    )
