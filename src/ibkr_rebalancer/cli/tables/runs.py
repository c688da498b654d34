"""What came of runs, as tables: what was planned, what was sent, what the broker filled of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.cli.tables.labels import labels_of, planned_instrument
from ibkr_rebalancer.cli.tables.layout import (
    REASON_CELLS,
    SIDE_STYLE,
    blocks,
    has_room,
    new_table,
    shown_account,
    shown_price,
    uncut,
)
from ibkr_rebalancer.cli.tables.plans import PlanView
from ibkr_rebalancer.core.errors import EXIT_PARTIAL, UnknownOutcome
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.order_state import OrderStatus
from ibkr_rebalancer.core.plan import Plan, Side, Trade
from ibkr_rebalancer.core.report import OrderReport, Report, RunMode

NEXT_STEPS = {
    EXIT_PARTIAL: "Run the command again: it plans anew from what is held then.",
    UnknownOutcome.exit_code: "Look for these orders in TWS or Client Portal, then tell what you found, for each:",
}
"""What to do after a run that ended with this exit code, where no trouble says more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """An order beside the trade that it was made for."""

    trade: Trade
    planned: int | None
    """Shares; None for a further order of the same trade."""
    order: OrderReport | None
    reason: str
    """Why it is not simply filled as planned."""
    missing: int | None
    """Planned minus filled, and 0 where more was filled; None but for the last order of a trade."""


def runs_view(reports: Sequence[Report]) -> RenderableType:
    """One block per run."""
    return blocks(RunReport(report) for report in reports)


class RunReport:
    """What came of a run, laid out for the width it is given."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report = self._report
        match report.plan:
            case Plan() as plan if report.mode is RunMode.DRY_RUN:
                yield PlanView(plan)
                yield _dry_run_line(report)
            case Plan() as plan if plan.trades:
                yield _title(report)
                yield Traded(report, plan)
                yield from _next_step(report)
            case Plan() as plan:
                yield PlanView(plan)
            case None:
                yield _title(report)
                yield Text("Nothing was sent.", "bold")


def _dry_run_line(report: Report) -> Text:
    count = len(report.orders)
    what = f"{_orders(count)} planned, none sent" if count else "nothing to do"
    return Text.assemble(("Dry run: ", "bold"), f"{what}. ", (f"Run {report.run_id}", "dim"))


def _title(report: Report) -> Text:
    return Text.assemble(
        (f"Run for {shown_account(report.account)}", "bold"),
        (f"\n{report.started:%Y-%m-%d %H:%M:%S} to {report.ended:%H:%M:%S} UTC  run {report.run_id}", "dim"),
    )


class Traded:
    """What became of each trade of a plan, and what that comes to, laid out for the width it is given."""

    def __init__(self, report: Report, plan: Plan) -> None:
        self._report = report
        self._plan = plan

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report, plan = self._report, self._plan
        lines = [line for trade in plan.trades for line in _lines(trade, report)]
        others = [*map(planned_instrument, plan.skips), *map(planned_instrument, plan.untouched)]
        labels = labels_of([*map(planned_instrument, plan.trades), *others])
        table, reasons = _table(lines, labels, wide=False), [line for line in lines if line.reason]
        if has_room(table, console, options, beside=REASON_CELLS):
            yield _table(lines, labels, wide=True)
        else:
            yield table
            if reasons:
                yield _reasons(reasons, labels)
                yield ""
        yield _totals(report, plan)
        yield Text(_sentence(report, plan), "bold")
        if report.trouble:
            yield Text.assemble(("Why: ", "bold"), report.trouble, (f" ({report.code})", "dim"))


def _lines(trade: Trade, report: Report) -> list[_Line]:
    """The orders made for a trade, or that there is none; the first says what was planned, the last what is missing."""
    made = [order for order in report.orders if (order.con_id, order.side) == (trade.con_id, trade.side)]
    missing = max(0, trade.quantity - sum(order.filled for order in made))
    cut = next((a for a in report.adjustments if a.con_id == trade.con_id and trade.side is Side.BUY), None)
    shown: list[OrderReport | None] = [*made] or [None]
    return [
        _Line(
            trade=trade,
            planned=trade.quantity if place == 0 else None,
            order=order,
            reason="; ".join(filter(None, [cut.reason if cut and place == 0 else "", order.reason if order else ""])),
            missing=missing if place == len(shown) - 1 else None,
        )
        for place, order in enumerate(shown)
    ]


def _table(lines: Sequence[_Line], labels: Mapping[ConId, str], *, wide: bool) -> Table:
    table = new_table()
    table.add_column("Symbol", no_wrap=True)
    table.add_column("Side", no_wrap=True)
    for heading in ("Planned", "Sent", "Filled", "Missing", "Price", "Commission"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    if wide:
        table.add_column("Why", ratio=1)
    for line in lines:
        table.add_row(labels[line.trade.con_id], *_cells(line), *([line.reason] if wide else []))
    return uncut(table)


def _cells(line: _Line) -> list[RenderableType]:
    order, trade = line.order, line.trade
    is_sent = order is not None and order.order_ref is not None and order.status != OrderStatus.ABSENT.value
    price = order.average_price if order else None
    return [
        Text(trade.side.value, SIDE_STYLE[trade.side]),
        "" if line.planned is None else f"{line.planned:,}",
        f"{order.quantity:,}" if order and is_sent else "–",
        f"{order.filled:,}" if order and is_sent else "–",
        f"{line.missing:,}" if line.missing else "",
        "" if price is None else shown_price(price),
        f"{order.commission:,.2f}" if order and order.filled else "",
        Text(order.status if order and is_sent else "not sent", "" if not line.missing else "bold"),
    ]


def _reasons(lines: Sequence[_Line], labels: Mapping[ConId, str]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", ratio=1)
    for line in lines:
        table.add_row(labels[line.trade.con_id], line.reason)
    return table


def _totals(report: Report, plan: Plan) -> RenderableType:
    moved = {side: _money(report.orders, side) for side in Side}
    commission = sum((order.commission for order in report.orders), ZERO)
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True)
    net = moved[Side.SELL] - moved[Side.BUY] - commission
    table.add_row(Text("Sold", "dim"), f"{moved[Side.SELL]:,.2f}", Text("Commission", "dim"), f"{commission:,.2f}")
    table.add_row(
        Text("Bought", "dim"), f"{moved[Side.BUY]:,.2f}", Text("Cash moved", "dim"), f"{net:+,.2f} {plan.currency}"
    )
    return uncut(table)


def _money(orders: Sequence[OrderReport], side: Side) -> Decimal:
    """What changed hands for the shares whose price is known."""
    return sum((o.filled * o.average_price for o in orders if o.side is side and o.average_price is not None), ZERO)


def _sentence(report: Report, plan: Plan) -> str:
    trades = len(plan.trades)
    lacking = [missing for trade in plan.trades if (missing := _lines(trade, report)[-1].missing)]
    total = sum(lacking)
    lack = f"{total:,} shares are" if total > 1 else f"{total or 'no'} share is"
    filled = f"{trades - len(lacking)} of {_orders(trades)} filled in full, {lack} missing."
    match report.outcome:
        case "done":
            return f"Done: {'the one order is' if trades == 1 else f'all {trades} orders are'} filled."
        case "unknown":
            unknown = sum(order.status == OrderStatus.UNKNOWN.value for order in report.orders)
            doubt = (
                f"nobody can say what became of {_orders(unknown)}"
                if unknown
                else "something came of an order that never must"
            )
            return f"Unknown: {doubt}. {filled}"
        case outcome:
            return f"{outcome.capitalize()}: {filled}"


def _next_step(report: Report) -> Iterator[Text]:
    hint = report.hint or NEXT_STEPS.get(report.exit_code)
    if hint:
        unknown = [order.order_ref for order in report.orders if order.status == OrderStatus.UNKNOWN.value]
        commands = [f"\n  rebalancer resolve {order_ref} --filled N --note TEXT" for order_ref in unknown]
        yield Text.assemble(("Next: ", "bold"), hint, *commands)


def _orders(count: int) -> str:
    return f"{count} order{'' if count == 1 else 's'}"
