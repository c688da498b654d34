"""What accounts hold and are worth, as tables."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from ibkr_rebalancer.cli.tables.labels import held_instrument, labels_of
from ibkr_rebalancer.cli.tables.layout import (
    blocks,
    new_table,
    shown_count,
    shown_in,
    shown_price,
    shown_weight,
    uncut,
)
from ibkr_rebalancer.core.money import ZERO, share_of
from ibkr_rebalancer.core.portfolio import ONE, Balances, Holding, Portfolio


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
    for holding in sorted(portfolio.holdings, key=lambda holding: -_size(holding, balances)):
        table.add_row(labels[holding.position.con_id], *_holding_cells(holding, balances))
    for currency, amount in sorted(balances.cash.items()):
        table.add_row("Cash", currency, *_cash_cells(currency, amount, balances), style="dim")
    return Group(title, uncut(table))


def _holding_cells(holding: Holding, balances: Balances) -> list[str]:
    """Cost and price are in the currency of the holding, what it is worth and has gained in the account's."""
    position, rate = holding.position, _rate(holding.position.currency, balances)
    price, value, gain = holding.market_price, holding.market_value, holding.unrealized_pnl
    unit = position.currency if rate is None else balances.currency
    return [
        position.security_type,
        shown_count(position.quantity),
        shown_price(position.average_cost),
        "–" if price is None else shown_in(position.currency, shown_price(price), balances.currency),
        "–" if value is None else shown_in(unit, f"{value * (rate or ONE):,.2f}", balances.currency),
        "" if gain is None else shown_in(unit, f"{gain * (rate or ONE):+,.2f}", balances.currency),
        "–" if value is None or rate is None else shown_weight(share_of(value * rate, balances.net_liquidation)),
    ]


def _cash_cells(currency: str, amount: Decimal, balances: Balances) -> list[str]:
    """What is there of another currency, and what that is worth in the account's."""
    rate = _rate(currency, balances)
    held = "" if currency == balances.currency else f"{amount:,.2f}"
    if rate is None:
        return [held, "", "", "–", "", "–"]
    weight = shown_weight(share_of(amount * rate, balances.net_liquidation))
    return [held, "", "", f"{amount * rate:,.2f}", "", weight]


def _size(holding: Holding, balances: Balances) -> Decimal:
    return abs(holding.market_value or ZERO) * (_rate(holding.position.currency, balances) or ONE)


def _rate(currency: str, balances: Balances) -> Decimal | None:
    """What a unit is worth in the account's currency; None of what the gateway gives no rate of."""
    return ONE if currency == balances.currency else balances.exchange_rates.get(currency)


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
