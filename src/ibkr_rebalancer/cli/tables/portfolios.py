"""What accounts hold and are worth, as tables."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ibkr_rebalancer.cli.tables.labels import held_instrument, labels_of
from ibkr_rebalancer.cli.tables.layout import blocks, new_table, shown_count, shown_price, shown_weight, uncut
from ibkr_rebalancer.core.money import ZERO, share_of
from ibkr_rebalancer.core.portfolio import Holding, Portfolio


def portfolios_view(portfolios: Sequence[Portfolio]) -> RenderableType:
    """One block per account: its positions, the largest first, and its money."""
    return blocks(_portfolio_view(portfolio) for portfolio in portfolios)


def _portfolio_view(portfolio: Portfolio) -> RenderableType:
    balances = portfolio.balances
    title = Text.assemble(
        (portfolio.account, "bold"),
        f"  {balances.account_type}" if balances.account_type else "",
        ("  net liquidation ", "dim"),
        f"{balances.net_liquidation:,.2f} {balances.currency}",
    )
    table = new_table()
    table.add_column("Symbol", no_wrap=True)
    table.add_column("Type", no_wrap=True)
    for heading in ("Held", "Cost", "Price", "Value", "Gain", "Weight"):
        table.add_column(heading, justify="right", no_wrap=True)
    labels = labels_of(map(held_instrument, portfolio.holdings))
    for holding in sorted(portfolio.holdings, key=lambda holding: -abs(holding.market_value or ZERO)):
        table.add_row(labels[holding.position.con_id], *_holding_cells(holding, portfolio))
    for currency, amount in sorted(balances.cash.items()):
        weight = shown_weight(share_of(amount, balances.net_liquidation)) if currency == balances.currency else ""
        table.add_row("Cash", currency, "", "", "", f"{amount:,.2f}", "", weight, style="dim")
    return Group(title, uncut(table))


def _holding_cells(holding: Holding, portfolio: Portfolio) -> list[str]:
    position, balances = holding.position, portfolio.balances
    value, same = holding.market_value, position.currency == balances.currency
    weight = shown_weight(share_of(value or ZERO, balances.net_liquidation)) if same else position.currency
    return [
        position.security_type,
        shown_count(position.quantity),
        shown_price(position.average_cost),
        "–" if holding.market_price is None else shown_price(holding.market_price),
        "–" if value is None else f"{value:,.2f}",
        "" if holding.unrealized_pnl is None else f"{holding.unrealized_pnl:+,.2f}",
        "–" if value is None else weight,
    ]


def balances_view(portfolios: Sequence[Portfolio]) -> RenderableType:
    """One line per account: what it is worth and what of it is cash."""
    table = new_table()
    for heading in ("Account", "Type"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Net liq.", "Cash", "Available", "Positions"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Currency", no_wrap=True)
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
    return uncut(table)
