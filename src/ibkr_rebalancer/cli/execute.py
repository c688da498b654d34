"""`rebalancer execute`: carry out the plan or, in a dry run, show the orders it would send."""

from typing import Annotated

import typer

from ibkr_rebalancer.cli.options import Accounts, Config, Json, Verbose


def execute(
    accounts: Accounts = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the orders and send none.")] = False,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Carry out the plan. This version has the dry run only; trading comes with the next one.

    \b
    Examples:
      rebalancer execute --dry-run                    all enabled accounts
      rebalancer execute DU123456 --dry-run --json    one JSON document
    """
    from ibkr_rebalancer.app import trading_is_not_here_yet

    if not dry_run:
        raise trading_is_not_here_yet()

    from ibkr_rebalancer.cli.output import show_outcomes
    from ibkr_rebalancer.cli.session import in_session
    from ibkr_rebalancer.cli.tables import runs_view

    outcomes = in_session(lambda session: session.dry_runs(*accounts or ()), config, verbose=verbose)
    return show_outcomes("run", "runs", outcomes, view=runs_view, as_json=as_json)
