"""What all tables have in common: their frame, their figures, the colours of the two sides."""

from collections.abc import Iterable
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table

from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode, belongs_to

WIDE = 110
"""Columns from which the reasons stand in the table itself, if they have room."""
REASON_CELLS = 24
"""What a reason needs, so that its words are not cut."""
SIDE_STYLE = {Side.BUY: "blue", Side.SELL: "yellow"}


UNKNOWN = "unknown"
"""What stands for a figure that nobody has told."""


def new_table(title: str | None = None) -> Table:
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True
    )


def uncut(table: Table) -> Table:
    """The table, its figures kept whole: a line too long for the terminal is broken there and loses no digit."""
    for column in table.columns:
        if column.no_wrap:
            column.min_width = max((cell_len(str(cell)) for cell in (column.header, *column.cells)), default=0)
    return table


def has_room(table: Table, console: Console, options: ConsoleOptions, *, beside: int) -> bool:
    """Whether so many columns of the terminal are left beside the table, whatever figures stand in it."""
    return options.max_width >= max(WIDE, _widest(table, console, options) + beside)


def fits(table: Table, console: Console, options: ConsoleOptions) -> bool:
    """Whether no line of the table has to be broken."""
    return options.max_width >= _widest(table, console, options)


def _widest(table: Table, console: Console, options: ConsoleOptions) -> int:
    return Measurement.get(console, options.update(max_width=10 * options.max_width), table).maximum


def blocks(parts: Iterable[RenderableType]) -> RenderableType:
    """Parts with an empty line between them."""
    spaced: list[RenderableType] = []
    for part in parts:
        spaced += ["", part] if spaced else [part]
    return Group(*spaced)


def shown_count(quantity: Decimal) -> str:
    """A number of shares, fractions only where there are any."""
    return f"{quantity:,f}" if quantity != quantity.to_integral_value() else f"{quantity:,.0f}"


def shown_price(price: Decimal) -> str:
    """A price with two decimals, or up to four where it has them."""
    return f"{price:,.2f}" if round(price, 2) == price else f"{round(price, 4).normalize():,f}"


def shown_in(currency: str, amount: str, account_currency: str) -> str:
    """An amount in a currency, which is told where it is another than the account's."""
    return amount if currency == account_currency else f"{amount} {currency}"


def shown_told(figure: Decimal | None) -> str:
    """An amount of money, if all of it has been told."""
    return UNKNOWN if figure is None else f"{figure:,.2f}"


def shown_weight(weight: Decimal) -> str:
    """A part of an account in percent; what rounds to nothing has no sign."""
    return f"{weight:z.1%}"


def shown_account(account: AccountId) -> str:
    """An account with the kind of money in it."""
    kind = TradingMode.PAPER if belongs_to(TradingMode.PAPER, account) else TradingMode.LIVE
    return f"{kind.value} account {account}"
