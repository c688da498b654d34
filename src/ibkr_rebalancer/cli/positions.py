"""`rebalancer positions`: show what accounts hold, once or for as long as one looks."""

import sys
from typing import Annotated

import typer

from ibkr_rebalancer.cli.options import Accounts, Config, Json, Verbose


def positions(
    accounts: Accounts = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Refresh until Ctrl-C.")] = False,
    every: Annotated[
        int, typer.Option("--every", metavar="SECONDS", min=1, max=86_400, help="Pause between refreshes.")
    ] = 5,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Show positions, cash and weights, at broker's marks.

    Without ACCOUNT, of every enabled account in accounts.yaml; on a terminal it asks which one of several is meant.

    \b
    Examples:
      rebalancer positions                      asks which; in a pipe, all
      rebalancer positions DU123456 --follow    refreshes every few seconds
      rebalancer positions --json               one JSON document
    """
    from ibkr_rebalancer.cli.following import follow_portfolios
    from ibkr_rebalancer.cli.output import show_outcomes
    from ibkr_rebalancer.cli.session import in_session, read_settings
    from ibkr_rebalancer.cli.tables import portfolios_view
    from ibkr_rebalancer.core.policy import select_accounts

    named = list(accounts or ())
    if not named and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        settings = read_settings(config, verbose=verbose)
        listed = select_accounts(settings.accounts, (), mode=settings.mode, file=settings.config_path.name)
        named = _ask([account.account_id for account in listed])
    if follow:
        return follow_portfolios(named, every_s=every, config=config, as_json=as_json, verbose=verbose)
    outcomes = in_session(lambda session: session.portfolios(*named), config, verbose=verbose)
    return show_outcomes("positions", "portfolios", outcomes, view=portfolios_view, as_json=as_json)


def _ask(choices: list[str]) -> list[str]:
    """Which account is meant; Enter means all of them."""
    if len(choices) == 1:
        return choices
    for number, choice in enumerate(choices, start=1):
        typer.echo(f"  {number}  {choice}", err=True)
    question = "Which account? (number or id, Enter for all)"
    answer = str(typer.prompt(question, default="", show_default=False, err=True)).strip()
    if answer.isdigit() and 1 <= int(answer) <= len(choices):
        return [choices[int(answer) - 1]]
    return [answer] if answer else []
