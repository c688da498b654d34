"""`rebalancer accounts`: list what accounts.yaml says, and on request what the gateway says to it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ibkr_rebalancer.cli.options import Config, Json, Verbose
from ibkr_rebalancer.core.errors import EXIT_DONE

if TYPE_CHECKING:
    from ibkr_rebalancer.config.settings import Settings


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
    from ibkr_rebalancer.cli.tables import accounts_view, balances_view

    if check:
        outcomes = in_session(lambda session: session.portfolios(), config, verbose=verbose)
        return show_outcomes("positions", "portfolios", outcomes, view=balances_view, as_json=as_json)
    settings = read_settings(config, verbose=verbose)
    with Progress(as_log=verbose) as progress:
        tell_settings(settings, progress)
    if as_json:
        show_document(_accounts_document(settings))
    else:
        show(accounts_view(settings))
    return EXIT_DONE


def _accounts_document(settings: "Settings") -> dict[str, Any]:
    """What accounts.yaml says, in its own words, and without the secrets in its addresses."""
    from ibkr_rebalancer.cli.tables import shown_url
    from ibkr_rebalancer.core.documents import document

    listed = [
        replace(account, allocations_url=shown_url(account.allocations_url, secrets=settings.secrets))
        for account in settings.accounts
    ]
    content = document("accounts", mode=settings.mode, accounts=listed)
    for account, told in zip(listed, content["accounts"], strict=True):
        told["policy"]["order_type"] = account.policy.order_type.word
    return content
