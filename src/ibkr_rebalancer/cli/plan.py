"""`rebalancer plan`: show what would be traded, and why."""

from pathlib import Path
from typing import Annotated

import typer

from ibkr_rebalancer.cli.options import Accounts, BuyOnly, Config, Html, Json, RaiseCash, Verbose


def plan(
    accounts: Accounts = None,
    *,
    buy_only: BuyOnly = False,
    raise_cash: RaiseCash = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Keep the plans in a file, for `execute --plan FILE`.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    html: Html = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Show what would be traded to reach the targets. Sends nothing.

    Without ACCOUNT, for every enabled account in accounts.yaml. Targets come from the account's allocation URL;
    positions, cash and prices from the gateway.

    \b
    Examples:
      rebalancer plan                    all enabled accounts
      rebalancer plan DU123456           one account
      rebalancer plan DU123456 --json    one JSON document, for a program
      rebalancer plan --html plan.html   a web page with pictures as well
      rebalancer plan -o plan.json       to be looked at, and carried out later
      rebalancer plan --buy-only         what new cash would buy
    """
    from ibkr_rebalancer.cli.files import PLANS, require_room, write_page, write_plans
    from ibkr_rebalancer.cli.output import outcomes_document, show_outcomes
    from ibkr_rebalancer.cli.pages import plans_page
    from ibkr_rebalancer.cli.purposes import purpose_of
    from ibkr_rebalancer.cli.session import in_session
    from ibkr_rebalancer.cli.tables import plans_view
    from ibkr_rebalancer.core.plan_document import sealed

    purpose = purpose_of(buy_only=buy_only, raise_cash=raise_cash)
    if output:
        require_room(output, PLANS)
    outcomes = in_session(lambda session: session.plans(*accounts or (), purpose=purpose), config, verbose=verbose)
    content = sealed(outcomes_document("plan", "plans", outcomes))
    if output and content["plans"]:
        write_plans(output, content)
    if html:
        write_page(html, plans_page(outcomes))
    return show_outcomes("plan", "plans", outcomes, view=plans_view, as_json=as_json, content=content)
