"""What came of runs, as tables: what was planned, what was sent, what the broker filled of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.cli.tables.labels import labels_of, planned_instrument
from ibkr_rebalancer.cli.tables.layout import (
    REASON_CELLS,
    SIDE_STYLE,
    UNKNOWN,
    blocks,
    has_room,
    new_table,
    shown_account,
    shown_in,
    shown_price,
    shown_told,
    uncut,
)
from ibkr_rebalancer.cli.tables.plans import PlanView
from ibkr_rebalancer.core.errors import EXIT_PARTIAL, UnknownOutcome
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.order_state import OrderStatus
from ibkr_rebalancer.core.plan import Plan, Side, Trade
from ibkr_rebalancer.core.purchases import Adjustment
from ibkr_rebalancer.core.report import OrderReport, Report, RunMode

NEXT_STEPS = {
    EXIT_PARTIAL: "Run the command again: it plans anew from what is held then.",
    UnknownOutcome.exit_code: "Look for these orders in TWS or Client Portal, then tell what you found, for each:",
}
"""What to do after a run that ended with this exit code, where no trouble says more."""
NOT_SENT = "not sent"
UNTOLD = "Interactive Brokers has not told all prices and commissions. The next run asks again; then see:"
"""What it means that figures of a report are unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An order beside the trade that it was made for."""

    trade: Trade
    planned: int | None
    """Shares; None for a further order of the same trade."""
    order: OrderReport | None
    reason: str
    """Why it is not simply filled as planned."""
    missing: int | None
    """Planned minus filled, and 0 where more was filled; None but for the last order of a trade."""

    @property
    def sent(self) -> OrderReport | None:
        """The order, if it has left."""
        is_sent = self.order and self.order.order_ref is not None and self.order.status != OrderStatus.ABSENT.value
        return self.order if is_sent else None


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
                if any(order.filled and order.commission is None for order in report.orders):
                    yield Text(f"{UNTOLD}\n  rebalancer runs {report.run_id}")
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
        lines = [line for trade in plan.trades for line in lines_of(trade, report.orders, report.adjustments)]
        others = [*map(planned_instrument, plan.skips), *map(planned_instrument, plan.untouched)]
        labels = labels_of([*map(planned_instrument, plan.trades), *others])
        table, reasons = _table(lines, labels, plan.currency, wide=False), [line for line in lines if line.reason]
        if has_room(table, console, options, beside=REASON_CELLS):
            yield _table(lines, labels, plan.currency, wide=True)
        else:
            yield table
            if reasons:
                yield _reasons(reasons, labels)
                yield ""
        yield _totals(report, plan)
        yield Text(sentence(report, plan), "bold")
        if report.trouble:
            yield Text.assemble(("Why: ", "bold"), report.trouble, (f" ({report.code})", "dim"))
        for remedy, symbols in remedies_of(report.orders, labels).items():
            yield Text.assemble((f"For {', '.join(symbols)}: ", "bold"), remedy)


def remedies_of(orders: Iterable[OrderReport], labels: Mapping[ConId, str]) -> Mapping[str, Sequence[str]]:
    """What a person can do about orders that the broker did not want, and for which symbols each is."""
    symbols: dict[str, list[str]] = {}
    for order in orders:
        if order.remedy and labels[order.con_id] not in symbols.setdefault(order.remedy, []):
            symbols[order.remedy].append(labels[order.con_id])
    return symbols


def lines_of(trade: Trade, orders: Sequence[OrderReport], adjustments: Sequence[Adjustment]) -> list[Line]:
    """The orders made for a trade, or that there is none; the first says what was planned, the last what is missing."""
    made = [order for order in orders if (order.con_id, order.side) == (trade.con_id, trade.side)]
    missing = max(0, trade.quantity - sum(order.filled for order in made))
    cut = next((a for a in adjustments if a.con_id == trade.con_id and trade.side is Side.BUY), None)
    shown: list[OrderReport | None] = [*made] or [None]
    return [
        Line(
            trade=trade,
            planned=trade.quantity if place == 0 else None,
            order=order,
            reason="; ".join(filter(None, [cut.reason if cut and place == 0 else "", order.reason if order else ""])),
            missing=missing if place == len(shown) - 1 else None,
        )
        for place, order in enumerate(shown)
    ]


def _table(lines: Sequence[Line], labels: Mapping[ConId, str], account_currency: str, *, wide: bool) -> Table:
    table = new_table()
    table.add_column("Symbol", no_wrap=True)
    table.add_column("Side", no_wrap=True)
    for heading in ("Planned", "Sent", "Filled", "Missing", "Price", "Commission"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    if wide:
        table.add_column("Why", ratio=1)
    for line in lines:
        table.add_row(labels[line.trade.con_id], *_cells(line, account_currency), *([line.reason] if wide else []))
    return uncut(table)


def _cells(line: Line, account_currency: str) -> list[RenderableType]:
    order, sent, trade = line.order, line.sent, line.trade
    return [
        Text(trade.side.value, SIDE_STYLE[trade.side]),
        "" if line.planned is None else f"{line.planned:,}",
        f"{sent.quantity:,}" if sent else "–",
        f"{sent.filled:,}" if sent else "–",
        f"{line.missing:,}" if line.missing else "",
        shown_in(trade.currency, filled_price(order), account_currency) if order and order.filled else "",
        shown_in(trade.currency, shown_told(order.commission), account_currency) if order and order.filled else "",
        Text(sent.status if sent else NOT_SENT, "" if not line.missing else "bold"),
    ]


def _reasons(lines: Sequence[Line], labels: Mapping[ConId, str]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", ratio=1)
    for line in lines:
        table.add_row(labels[line.trade.con_id], line.reason)
    return table


def _totals(report: Report, plan: Plan) -> RenderableType:
    sold, bought = (money_of(report.orders, side) for side in (Side.SELL, Side.BUY))
    commission = charges_of(report.orders)
    net = None if sold is None or bought is None or commission is None else sold - bought - commission
    moved = UNKNOWN if net is None else f"{net:+,.2f} {plan.currency}"
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_row(Text("Sold", "dim"), shown_told(sold), Text("Commission", "dim"), shown_told(commission))
    table.add_row(Text("Bought", "dim"), shown_told(bought), Text("Cash moved", "dim"), moved)
    return uncut(table)


def filled_price(order: OrderReport) -> str:
    return UNKNOWN if order.average_price is None else shown_price(order.average_price)


def money_of(orders: Sequence[OrderReport], side: Side) -> Decimal | None:
    """What changed hands, in the account's currency; None when nobody has told the price of some of it."""
    filled = [order for order in orders if order.side is side and order.filled]
    return sum_told(None if o.average_price is None else o.filled * o.average_price * o.rate for o in filled)


def charges_of(orders: Sequence[OrderReport]) -> Decimal | None:
    """All commissions, in the account's currency; None when one of them has not been told."""
    return sum_told(None if order.commission is None else order.commission * order.rate for order in orders)


def sum_told(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """What they come to; None when one of them is not known."""
    told = [*amounts]
    known = [amount for amount in told if amount is not None]
    return sum(known, ZERO) if len(known) == len(told) else None


def sentence(report: Report, plan: Plan) -> str:
    trades = len(plan.trades)
    lacking = [
        missing for trade in plan.trades if (missing := lines_of(trade, report.orders, report.adjustments)[-1].missing)
    ]
    if not lacking:
        filled = f"{'the one order is' if trades == 1 else f'all {trades} orders are'} filled."
    else:
        total = sum(lacking)
        lack = f"{total:,} shares are" if total > 1 else f"{total or 'no'} share is"
        filled = f"{trades - len(lacking)} of {_orders(trades)} filled in full, {lack} missing."
    match report.outcome:
        case "unknown":
            unknown = sum(order.status == OrderStatus.UNKNOWN.value for order in report.orders)
            doubt = (
                f"nobody can say what became of {_orders(unknown)}"
                if unknown
                else "something came of an order that never must"
            )
            return f"Unknown: {doubt}. {filled}"
        case outcome if outcome != "done" and not lacking:
            return f"{outcome.capitalize()}, though {filled}"
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
