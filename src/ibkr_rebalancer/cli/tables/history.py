"""Runs as the journal knows them: many in a list, or one told from beginning to end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.cli.tables.layout import WIDE, blocks, new_table, shown_account, uncut
from ibkr_rebalancer.cli.tables.orders import Moment, order_view, outcome
from ibkr_rebalancer.cli.tables.plans import PlanView
from ibkr_rebalancer.cli.tables.runs import Traded
from ibkr_rebalancer.core.allocation import parse_allocation
from ibkr_rebalancer.core.errors import AllocationRejected
from ibkr_rebalancer.core.order_state import TrackedOrder, order_state
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report, RunMode
from ibkr_rebalancer.core.runs import RunFailure
from ibkr_rebalancer.ports import RunRecord

NO_END = "no end"
SHORTEST_ID = len("20261123T153000Z")
"""Characters of a run's id that say when it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run in a line."""

    run_id: str
    account: AccountId
    mode: RunMode
    trigger: str
    started: datetime
    ended: datetime | None
    outcome: str
    """Of its report, the reason code of what kept it from sending anything, or `no end`."""
    code: str
    """The reason code of what kept it from being done; empty if nothing did, or nobody knows."""
    orders: int
    exit_code: int | None


def summary(record: RunRecord) -> RunSummary:
    """The run in a line; what has no end has no exit code."""
    end = record.report or record.failure
    return RunSummary(
        run_id=record.start.run_id,
        account=record.start.account,
        mode=record.report.mode if record.report else RunMode.REBALANCE,
        trigger=record.start.trigger,
        started=record.start.started,
        ended=end.ended if end else None,
        outcome=record.report.outcome if record.report else record.failure.code if record.failure else NO_END,
        code=end.code if end else "",
        orders=len(record.orders),
        exit_code=end.exit_code if end else None,
    )


class RunsView:
    """Runs, a line each, laid out for the width they are given."""

    def __init__(self, records: Sequence[RunRecord]) -> None:
        self._summaries = [summary(record) for record in records]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= WIDE
        if not self._summaries:
            yield Text("There is no run in this journal.")
            return
        table = new_table()
        for heading in ("Began (UTC)", "Run", "Account", "Mode") if wide else ("Run", "Account", "Mode"):
            table.add_column(heading, no_wrap=True)
        table.add_column("Outcome", overflow="fold")
        for heading in ("Orders", "Exit"):
            table.add_column(heading, justify="right", no_wrap=True)
        names = _shortest_names([run.run_id for run in self._summaries])
        for run in self._summaries:
            cells = [names[run.run_id], run.account, run.mode.value, run.outcome, f"{run.orders:,}", _exit(run)]
            table.add_row(*([f"{run.started:%Y-%m-%d %H:%M:%S}"] if wide else []), *cells)
        yield uncut(table)


def _shortest_names(run_ids: Sequence[str]) -> dict[str, str]:
    """How few of its first characters name each run among all of these."""
    names: dict[str, str] = {}
    for length in range(max(map(len, run_ids)), SHORTEST_ID - 1, -1):
        begun = Counter(run_id[:length] for run_id in run_ids)
        names |= {run_id: run_id[:length] for run_id in run_ids if begun[run_id[:length]] == 1}
    return names


def _exit(run: RunSummary) -> str:
    return "–" if run.exit_code is None else f"{run.exit_code}"


def run_view(record: RunRecord, *, next_run: RunRecord | None) -> RenderableType:
    """The run from what asked for it to what was found out after it; `next_run` is the account's next one."""
    marks = marks_of(record, next_run)
    parts: list[RenderableType] = [_beginning(record)]
    if record.plan:
        parts.append(PlanView(record.plan))
    parts += [order_view(order, marks) for order in record.orders]
    return blocks([*parts, _end(record, next_run)])


def marks_of(record: RunRecord, next_run: RunRecord | None) -> list[Moment]:
    """What every order's story is divided by."""
    end = record.report or record.failure
    marks = [Moment(at=end.ended, text="— the run ended —")] if end else []
    if next_run:
        marks.append(Moment(at=next_run.start.started, text=f"— run {next_run.start.run_id} began —"))
    return marks


def _beginning(record: RunRecord) -> RenderableType:
    start = record.start
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1)
    table.add_row("Run", start.run_id)
    table.add_row("Began", f"{start.started:%Y-%m-%d %H:%M:%S} UTC, asked for by {asked_by(start.trigger)}")
    table.add_row("With", f"rebalancer {start.code_version}, settings {start.config_digest}")
    table.add_row("Targets", targets_text(record))
    return Group(Text(f"Run of {shown_account(start.account)}", "bold"), table)


def asked_by(trigger: str) -> str:
    return "a command" if trigger == "command" else f"event {trigger}"


def targets_text(record: RunRecord) -> str:
    if record.document is None:
        return "none kept; the run ended before it had a plan"
    try:
        weights = parse_allocation(record.document, record.start.layout, any_sum_below=True).weights
    except AllocationRejected as rejection:
        return f"not readable any more: {rejection.message}"
    return ", ".join(f"{symbol} {weight:.1%}" for symbol, weight in weights.items())


def _end(record: RunRecord, next_run: RunRecord | None) -> RenderableType:
    """How it ended, and what is known since then."""
    lines: list[RenderableType] = []
    match record.report or record.failure:
        case Report() as report:
            ended = f"{report.ended:%Y-%m-%d %H:%M:%S} UTC"
            lines.append(Text(f"Ended {ended}: {report.outcome}, exit code {report.exit_code}."))
            if report.plan and report.plan.trades:
                lines.append(Traded(report, report.plan))
        case RunFailure() as failure:
            ended = f"{failure.ended:%Y-%m-%d %H:%M:%S} UTC"
            lines.append(Text(f"Ended {ended} before anything was sent, exit code {failure.exit_code}."))
            lines.append(Text(f"{failure.code}: {failure.message}\nHint: {failure.hint}"))
        case None:
            lines.append(Text(no_end(next_run)))
    return Group(*lines, *map(Text, found_later(record)))


def no_end(next_run: RunRecord | None) -> str:
    if next_run is None:
        return "It has no end in the journal: it is still at work, or its process died."
    began = f"{next_run.start.started:%Y-%m-%d %H:%M:%S} UTC"
    return f"Its process died. Run {next_run.start.run_id}, begun {began}, found out what had become of its orders."


def found_later(record: RunRecord) -> list[str]:
    """Of which orders more is known now than when the run reported, and which nobody knows yet."""
    orders = record.report.orders if record.report else ()
    reported = {each.order_ref: (each.status, each.filled, each.average_price, each.commission) for each in orders}
    states = {order.intent.order_ref: order_state(order) for order in record.orders}
    lines = []
    for order in record.orders:
        state = states[order.intent.order_ref]
        before = reported.get(order.intent.order_ref)
        if not state.status.is_terminal:
            lines.append(f"Not known yet: {_named(order)}. If it stays so: rebalancer resolve {order.intent.order_ref}")
        elif before and before != (state.status.value, state.filled, state.average_price, state.commission):
            lines.append(f"Found out later: {_named(order)} is {outcome(state, order.intent)}.")
    return lines


def _named(order: TrackedOrder) -> str:
    return f"{order.intent.side.value} {order.intent.quantity:,} {order.intent.symbol}"
