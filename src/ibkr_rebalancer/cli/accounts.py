"""`rebalancer accounts`: list what accounts.yaml says, and on request what the gateway says to it."""

from dataclasses import replace
from typing import Annotated

import typer

from ibkr_rebalancer.cli.options import Config, Json, Verbose
from ibkr_rebalancer.core.errors import EXIT_DONE


def accounts(
    check: Annotated[bool, typer.Option("--check", help="Ask the gateway about each enabled account.")] = False,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """List the accounts of accounts.yaml.

    Without --check nothing is asked of anybody: it shows what is configured.

    \b
    Examples:
      rebalancer accounts            what is configured
      rebalancer accounts --check    and what the gateway knows of it
    """
    from ibkr_rebalancer.cli.output import show, show_document, show_outcomes
    from ibkr_rebalancer.cli.progress import Progress
    from ibkr_rebalancer.cli.session import in_session, read_settings, tell_settings
    from ibkr_rebalancer.cli.tables import accounts_view, balances_view, shown_url
    from ibkr_rebalancer.core.documents import document

    if check:
        outcomes = in_session(lambda session: session.portfolios(), config, verbose=verbose)
        return show_outcomes("positions", "portfolios", outcomes, view=balances_view, as_json=as_json)
    settings = read_settings(config, verbose=verbose)
    with Progress(as_log=verbose) as progress:
        tell_settings(settings, progress)
    if as_json:
        listed = [
            replace(account, allocations_url=shown_url(account.allocations_url, secrets=settings.secrets))
            for account in settings.accounts
        ]
        show_document(document("accounts", mode=settings.mode, accounts=listed))
    else:
        show(accounts_view(settings))
    return EXIT_DONE
