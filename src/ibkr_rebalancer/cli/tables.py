"""Values as tables a person likes to read: at 80 columns and wider, in a pipe, and without colour.

Words and signs carry the meaning; colour only repeats it (blue for buying, yellow for selling, which differ for
every kind of colour vision). Nothing here rounds anything that is used again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from urllib.parse import urlsplit

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.config.schema import Settings
from ibkr_rebalancer.core.instruments import STOCK, ConId
from ibkr_rebalancer.core.money import BASIS_POINT, ZERO, share_of
from ibkr_rebalancer.core.plan import Plan, Side, Skip, Trade, Untouched
from ibkr_rebalancer.core.portfolio import Holding, Portfolio
from ibkr_rebalancer.core.report import Report

WIDE = 110
"""Columns from which the reasons stand in the plan's own table."""
BAR_CELLS = 16
BAR_LEGEND = " █ kept   ▓ bought   ░ sold   │ target"
SIDE_STYLE = {Side.BUY: "blue", Side.SELL: "yellow"}

Line = Trade | Skip


def plans_view(plans: Sequence[Plan]) -> RenderableType:
    """One block per plan."""
    return _blocks(_Responsive(plan) for plan in plans)


def runs_view(reports: Sequence[Report]) -> RenderableType:
    """The plan of each dry run, and that nothing of it was sent."""
    return _blocks(Group(_Responsive(report.plan), _run_line(report)) for report in reports)


def _run_line(report: Report) -> Text:
    count = len(report.orders)
    what = f"{count} order{'' if count == 1 else 's'} planned, none sent" if count else "nothing to do"
    return Text.assemble(("Dry run: ", "bold"), f"{what}. ", (f"Run {report.run_id}", "dim"))


class _Responsive:
    """A plan that lays itself out for the width it is given."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plan, wide = self._plan, options.max_width >= WIDE
        yield _plan_title(plan)
        lines: list[Line] = [*plan.trades, *plan.skips]
        labels = _labels([*map(_instrument, lines), *map(_instrument, plan.untouched)])
        if lines:
            yield _lines_table(lines, labels, wide=wide)
            if not wide:
                yield _reasons_table(lines, labels)
            yield Text(BAR_LEGEND, "dim")
            yield ""
        yield _summary(plan)
        if plan.untouched:
            yield ""
            yield _untouched_table(plan, labels)
        for remark in plan.remarks:
            yield Text.assemble(("Note: ", "bold"), remark)


def _plan_title(plan: Plan) -> Text:
    strategy = plan.strategy.strategy_long_name or plan.strategy.name
    dated = f" of {plan.strategy.as_of}" if plan.strategy.as_of else ""
    return Text.assemble(
        (f"Plan for {plan.account}", "bold"),
        f"  {strategy}{dated}" if strategy else "",
        (f"\n{plan.as_of:%Y-%m-%d %H:%M} UTC  net liquidation ", "dim"),
        f"{plan.net_liquidation:,.2f} {plan.currency}",
        (f"  plan {plan.plan_id}", "dim"),
    )


def _lines_table(lines: Sequence[Line], labels: Mapping[ConId, str], *, wide: bool) -> Table:
    table = _table()
    table.add_column("Symbol", no_wrap=True)
    for heading in ("Held", "Target", "Trade", "Price", "Value", "Now", "Want", "After"):
        table.add_column(heading, justify="right", no_wrap=True)
    if wide:
        table.add_column("", no_wrap=True)
        table.add_column("Why", ratio=1)
    widest = max(max(_now_want_after(line)) for line in lines)
    for line in lines:
        cells: list[RenderableType] = [labels[line.con_id], *_line_cells(line)]
        if wide:
            cells += [_bar(line, widest), line.reason]
        table.add_row(*cells)
    return _uncut(table)


def _line_cells(line: Line) -> list[RenderableType]:
    now, want, after = (f"{weight:.1%}" for weight in _now_want_after(line))
    if isinstance(line, Skip):
        return [_count(line.held), _count(line.held), "–", _price(line.price), "", now, want, after]
    return [
        _count(line.held),
        _count(line.target_quantity),
        Text(f"{line.side.value} {line.quantity:,}", SIDE_STYLE[line.side]),
        _price(line.price),
        f"{line.notional:,.0f}",
        now,
        want,
        after,
    ]


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


def _reasons_table(lines: Sequence[Line], labels: Mapping[ConId, str]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", ratio=1)
    widest = max(max(_now_want_after(line)) for line in lines)
    for line in lines:
        table.add_row(labels[line.con_id], _bar(line, widest), line.reason)
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
    table.add_row(Text("Orders", "dim"), f"{len(plan.trades)}", Text("Drift", "dim"), gone)
    return _uncut(table)


def _untouched_table(plan: Plan, labels: Mapping[ConId, str]) -> Table:
    table = _table("Untouched")
    table.add_column("Symbol", no_wrap=True)
    table.add_column("Type", no_wrap=True)
    table.add_column("Held", justify="right", no_wrap=True)
    table.add_column("Value", justify="right", no_wrap=True)
    table.add_column("Why", ratio=1)
    for line in plan.untouched:
        value = "–" if line.market_value is None else f"{line.market_value:,.0f} {line.currency}"
        table.add_row(labels[line.con_id], line.security_type, _count(line.quantity), value, line.reason)
    return _uncut(table)


def portfolios_view(portfolios: Sequence[Portfolio]) -> RenderableType:
    """One block per account: its positions, the largest first, and its money."""
    return _blocks(_portfolio_view(portfolio) for portfolio in portfolios)


def _portfolio_view(portfolio: Portfolio) -> RenderableType:
    balances = portfolio.balances
    title = Text.assemble(
        (portfolio.account, "bold"),
        f"  {balances.account_type}" if balances.account_type else "",
        ("  net liquidation ", "dim"),
        f"{balances.net_liquidation:,.2f} {balances.currency}",
    )
    table = _table()
    table.add_column("Symbol", no_wrap=True)
    table.add_column("Type", no_wrap=True)
    for heading in ("Held", "Cost", "Price", "Value", "Gain", "Weight"):
        table.add_column(heading, justify="right", no_wrap=True)
    labels = _labels([_held_instrument(holding) for holding in portfolio.holdings])
    for holding in sorted(portfolio.holdings, key=lambda holding: -abs(holding.market_value or ZERO)):
        table.add_row(labels[holding.position.con_id], *_holding_cells(holding, portfolio))
    for currency, amount in sorted(balances.cash.items()):
        weight = f"{share_of(amount, balances.net_liquidation):.1%}" if currency == balances.currency else ""
        table.add_row("Cash", currency, "", "", "", f"{amount:,.2f}", "", weight, style="dim")
    return Group(title, _uncut(table))


def _holding_cells(holding: Holding, portfolio: Portfolio) -> list[str]:
    position, balances = holding.position, portfolio.balances
    value, same = holding.market_value, position.currency == balances.currency
    weight = f"{share_of(value or ZERO, balances.net_liquidation):.1%}" if same else position.currency
    return [
        position.security_type,
        _count(position.quantity),
        _price(position.average_cost),
        "–" if holding.market_price is None else _price(holding.market_price),
        "–" if value is None else f"{value:,.2f}",
        "" if holding.unrealized_pnl is None else f"{holding.unrealized_pnl:+,.2f}",
        "–" if value is None else weight,
    ]


def balances_view(portfolios: Sequence[Portfolio]) -> RenderableType:
    """One line per account: what it is worth and what of it is cash."""
    table = _table()
    for heading in ("Account", "Type"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Net liq.", "Cash", "Available", "Positions"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for portfolio in portfolios:
        balances = portfolio.balances
        table.add_row(
            portfolio.account,
            balances.account_type,
            f"{balances.net_liquidation:,.2f}",
            f"{balances.total_cash:,.2f}",
            f"{balances.available_funds:,.2f}",
            f"{len(portfolio.holdings)}",
            balances.currency,
        )
    return _uncut(table)


def accounts_view(settings: Settings) -> RenderableType:
    """What accounts.yaml says: a line per account, and where its targets come from."""
    table = _table()
    for heading in ("Account", "Enabled", "Reserve", "Min gain"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Channel", overflow="fold")
    addresses = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    addresses.add_column(no_wrap=True)
    addresses.add_column(overflow="fold", style="dim")
    for account in settings.accounts:
        table.add_row(
            account.account_id,
            "yes" if account.enabled else "no",
            f"{account.policy.cash_reserve_pct} %",
            f"{account.policy.min_gain_bp} bp",
            account.channel,
        )
        addresses.add_row(account.account_id, shown_url(account.allocations_url))
    where = Text(f"{settings.config_path}", "dim", no_wrap=True, overflow="ignore")
    return Group(where, f"{settings.mode.value.capitalize()} trading", _uncut(table), addresses)


def shown_url(url: str) -> str:
    """A URL without its query, which may hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


@dataclass(frozen=True, slots=True)
class _Instrument:
    """What tells the lines of a view apart."""

    symbol: str
    security_type: str
    primary_exchange: str
    con_id: ConId


def _instrument(line: Line | Untouched) -> _Instrument:
    security_type = line.security_type if isinstance(line, Untouched) else STOCK
    return _Instrument(line.symbol, security_type, line.primary_exchange, line.con_id)


def _held_instrument(holding: Holding) -> _Instrument:
    position = holding.position
    return _Instrument(position.symbol, position.security_type, holding.primary_exchange, position.con_id)


def _labels(instruments: Iterable[_Instrument]) -> Mapping[ConId, str]:
    """The symbol of each contract; of those that share it with the exchange, or if that is the same, the con_id."""

    def name(instrument: _Instrument) -> tuple[str, str]:
        return instrument.symbol, instrument.security_type

    labels = {}
    for (symbol, _), group in groupby(sorted(instruments, key=name), key=name):
        alike = list(group)
        exchanges = {instrument.primary_exchange for instrument in alike}
        apart = len(exchanges) == len(alike) and "" not in exchanges
        for one in alike:
            mark = f" {one.primary_exchange if apart else one.con_id}" if len(alike) > 1 else ""
            labels[one.con_id] = f"{symbol}{mark}"
    return labels


def _table(title: str | None = None) -> Table:
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True
    )


def _uncut(table: Table) -> Table:
    """The table, its figures kept whole: a line too long for the terminal is broken there and loses no digit."""
    for column in table.columns:
        if column.no_wrap:
            column.min_width = max((cell_len(str(cell)) for cell in (column.header, *column.cells)), default=0)
    return table


def _blocks(parts: Iterable[RenderableType]) -> RenderableType:
    """Parts with an empty line between them."""
    spaced: list[RenderableType] = []
    for part in parts:
        spaced += ["", part] if spaced else [part]
    return Group(*spaced)


def _count(quantity: Decimal) -> str:
    """A number of shares, fractions only where there are any."""
    return f"{quantity:,f}" if quantity != quantity.to_integral_value() else f"{quantity:,.0f}"


def _price(price: Decimal) -> str:
    """A price with two decimals, or up to four where it has them."""
    return f"{price:,.2f}" if round(price, 2) == price else f"{round(price, 4).normalize():,f}"
