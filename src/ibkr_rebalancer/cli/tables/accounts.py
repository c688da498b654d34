"""What accounts.yaml says, as tables."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.cli.tables.layout import new_table, uncut
from ibkr_rebalancer.config.settings import Settings
from ibkr_rebalancer.edges.logs import redactor


def accounts_view(settings: Settings) -> RenderableType:
    """What accounts.yaml says: a line per account, and where its targets come from."""
    table = new_table()
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
        addresses.add_row(account.account_id, shown_url(account.allocations_url, secrets=settings.secrets))
    where = Text(f"{settings.config_path}", "dim", no_wrap=True, overflow="ignore")
    return Group(where, f"{settings.mode.value.capitalize()} trading", uncut(table), addresses)


def shown_url(url: str, *, secrets: Iterable[str]) -> str:
    """A URL without its query, which may hold a key, and without what is secret in its path."""
    parts = urlsplit(url)
    return redactor(secrets)(f"{parts.scheme}://{parts.netloc}{parts.path}")
