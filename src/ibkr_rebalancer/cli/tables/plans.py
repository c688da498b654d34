"""Plans as tables: every line with its bar and its reason, then what it costs and what stays untouched."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.cli.tables.labels import labels_of, planned_instrument
from ibkr_rebalancer.cli.tables.layout import (
    REASON_CELLS,
    SIDE_STYLE,
    blocks,
    fits,
    has_room,
    new_table,
    shown_account,
    shown_count,
    shown_in,
    shown_price,
    shown_weight,
    uncut,
)
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import BASIS_POINT
from ibkr_rebalancer.core.plan import Plan, Skip, Trade

BAR_CELLS = 16
BESIDE = BAR_CELLS + REASON_CELLS
BAR_LEGEND = " █ kept   ▓ bought   ░ sold   │ target"

Line = Trade | Skip


def plans_view(plans: Sequence[Plan]) -> RenderableType:
    """One block per plan."""
    return blocks(PlanView(plan) for plan in plans)


class PlanView:
    """A plan that lays itself out for the width it is given."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plan = self._plan
        yield _plan_title(plan)
        lines: list[Line] = [*plan.trades, *plan.skips]
        labels = labels_of(planned_instrument(line) for line in (*lines, *plan.untouched))
        if lines:
            full, short = (_lines_table(plan, lines, labels, costs=costs, wide=False) for costs in (True, False))
            with_reasons = [table for table in (full, short) if has_room(table, console, options, beside=BESIDE)]
            if with_reasons:
                yield _lines_table(plan, lines, labels, costs=full in with_reasons, wide=True)
            else:
                costs_fit = fits(full, console, options)
                yield full if costs_fit else short
                yield _reasons_table(lines, labels, costs=not costs_fit)
            yield Text(BAR_LEGEND, "dim")
            yield ""
        yield _summary(plan)
        if len(plan.cash_by_currency) > 1:
            yield ""
            yield _cash_table(plan)
        elif plan.untouched:
            yield ""
        if plan.untouched:
            yield _untouched_table(plan, labels)
        for remark in plan.remarks:
            yield Text.assemble(("Note: ", "bold"), remark)


def _plan_title(plan: Plan) -> Text:
    strategy = plan.strategy.strategy_long_name or plan.strategy.name
    dated = f" of {plan.strategy.as_of}" if plan.strategy.as_of else ""
    return Text.assemble(
        (f"Plan for {shown_account(plan.account)}", "bold"),
        f"  {strategy}{dated}" if strategy else "",
        (f"\n{plan.as_of:%Y-%m-%d %H:%M} UTC  net liquidation ", "dim"),
        f"{plan.net_liquidation:,.2f} {plan.currency}",
        (f"  plan {plan.plan_id}", "dim"),
    )


def _lines_table(plan: Plan, lines: Sequence[Line], labels: Mapping[ConId, str], *, costs: bool, wide: bool) -> Table:
    table = new_table()
    table.add_column("Symbol", no_wrap=True)
    for heading in ("Held", "Target", "Trade", "Price", "Value", *(["Cost"] if costs else []), "Now", "Want", "After"):
        table.add_column(heading, justify="right", no_wrap=True)
    if wide:
        table.add_column("", no_wrap=True)
        table.add_column("Why", ratio=1)
    widest = max(max(_now_want_after(line)) for line in lines)
    for line in lines:
        cells: list[RenderableType] = [labels[line.con_id], *_order_cells(line, plan.currency)]
        cells += [_cost(line)] if costs else []
        cells += map(shown_weight, _now_want_after(line))
        if wide:
            cells += [_bar(line, widest), line.reason]
        table.add_row(*cells)
    return uncut(table)


def _order_cells(line: Line, account_currency: str) -> list[RenderableType]:
    price = shown_in(line.currency, shown_price(line.price), account_currency)
    if isinstance(line, Skip):
        return [shown_count(line.held), shown_count(line.held), "–", price, ""]
    return [
        shown_count(line.held),
        shown_count(line.target_quantity),
        Text(f"{line.side.value} {line.quantity:,}", SIDE_STYLE[line.side]),
        price,
        f"{line.notional:,.0f}",
    ]


def _cost(line: Line) -> str:
    """Commission and half the spread, in the account's currency."""
    return f"{(line.commission + line.spread_cost) * line.rate:,.2f}" if isinstance(line, Trade) else ""


def _now_want_after(line: Line) -> tuple[Decimal, Decimal, Decimal]:
    after = line.weight_after if isinstance(line, Trade) else line.weight_before
    return line.weight_before, line.weight_target, after


def _bar(line: Line, widest: Decimal) -> Text:
    """Weight after as a bar on the weight now, the target as a tick."""
    now, want, after = (_cells(weight, widest) for weight in _now_want_after(line))
    bar = ["█" if i < min(now, after) else "▓" if i < after else "░" if i < now else " " for i in range(BAR_CELLS)]
    bar[min(want, BAR_CELLS - 1)] = "│"
    return Text("".join(bar), SIDE_STYLE[line.side] if isinstance(line, Trade) else "")


def _cells(weight: Decimal, widest: Decimal) -> int:
    return round(weight / widest * (BAR_CELLS - 1)) if widest else 0


def _reasons_table(lines: Sequence[Line], labels: Mapping[ConId, str], *, costs: bool) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", ratio=1)
    widest = max(max(_now_want_after(line)) for line in lines)
    for line in lines:
        cost = f"; costs {_cost(line)}" if costs and isinstance(line, Trade) else ""
        table.add_row(labels[line.con_id], _bar(line, widest), f"{line.reason}{cost}")
    return table


def _summary(plan: Plan) -> RenderableType:
    if not plan.trades:
        return Text("Nothing to do.", "bold")
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True)
    gone = f"{plan.drift_before / BASIS_POINT:,.0f} bp → {plan.drift_after / BASIS_POINT:,.0f} bp"
    table.add_row(
        Text("Cash", "dim"),
        f"{plan.cash:,.2f} → {plan.cash_after:,.2f}",
        Text("Turnover", "dim"),
        f"{plan.turnover:.1%}",
    )
    table.add_row(
        Text("Reserve", "dim"), f"{plan.cash_reserve:,.2f}", Text("Commission", "dim"), f"about {plan.commission:,.2f}"
    )
    table.add_row(Text("Orders", "dim"), f"{len(plan.trades)}", Text("Spread", "dim"), f"about {plan.spread_cost:,.2f}")
    table.add_row(Text("Drift", "dim"), gone)
    return uncut(table)


def _cash_table(plan: Plan) -> Table:
    """Cash by currency, each in its own."""
    table = new_table("Cash by currency")
    table.add_column("Currency", no_wrap=True)
    for heading in ("Rate", "Now", "After", "Reserve"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in plan.cash_by_currency:
        rate = "" if line.currency == plan.currency else f"{line.rate.normalize():f}"
        amounts = [f"{amount:,.2f}" for amount in (line.cash, line.cash_after, line.cash_reserve)]
        table.add_row(line.currency, rate, *amounts)
    return uncut(table)


def _untouched_table(plan: Plan, labels: Mapping[ConId, str]) -> Table:
    table = new_table("Untouched")
    table.add_column("Symbol", no_wrap=True)
    table.add_column("Type", no_wrap=True)
    table.add_column("Held", justify="right", no_wrap=True)
    table.add_column("Value", justify="right", no_wrap=True)
    table.add_column("Why", ratio=1)
    for line in plan.untouched:
        value = "–" if line.market_value is None else f"{line.market_value:,.0f} {line.currency}"
        table.add_row(labels[line.con_id], line.security_type, shown_count(line.quantity), value, line.reason)
    return uncut(table)
