"""Values as tables a person likes to read: at 80 columns and wider, in a pipe, and without colour.

Words and signs carry the meaning; colour only repeats it (blue for buying, yellow for selling, which differ for
every kind of colour vision). Nothing here rounds anything that is used again.
"""

from ibkr_rebalancer.cli.tables.accounts import accounts_view, shown_url
from ibkr_rebalancer.cli.tables.findings import findings_view
from ibkr_rebalancer.cli.tables.history import RunsView, run_view, summary
from ibkr_rebalancer.cli.tables.orders import order_view
from ibkr_rebalancer.cli.tables.plans import plans_view
from ibkr_rebalancer.cli.tables.portfolios import balances_view, portfolios_view
from ibkr_rebalancer.cli.tables.runs import runs_view
from ibkr_rebalancer.cli.tables.status import StatusReport, status_view

__all__ = [
    "RunsView",
    "StatusReport",
    "accounts_view",
    "balances_view",
    "findings_view",
    "order_view",
    "plans_view",
    "portfolios_view",
    "run_view",
    "runs_view",
    "shown_url",
    "status_view",
    "summary",
]
