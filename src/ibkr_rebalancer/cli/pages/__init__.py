"""Values as web pages: one file each, that a browser shows without asking anybody for anything. Pure."""

from ibkr_rebalancer.cli.pages.plans import plans_page
from ibkr_rebalancer.cli.pages.runs import run_page

__all__ = ["plans_page", "run_page"]
