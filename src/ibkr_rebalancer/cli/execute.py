"""`rebalancer execute`: carry out the plan or, in a dry run, show the orders it would send."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ibkr_rebalancer.cli.options import Accounts, Config, Json, State, Verbose, Yes
from ibkr_rebalancer.core.errors import UsageError

if TYPE_CHECKING:
    from ibkr_rebalancer.app import Rebalancer
    from ibkr_rebalancer.core.plan import Plan
    from ibkr_rebalancer.core.portfolio import AccountId
    from ibkr_rebalancer.core.report import Report


def execute(
    accounts: Accounts = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the orders and send none, whatever else.")] = False,
    yes: Yes = False,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            metavar="FILE",
            help="Carry out these plans, which `plan -o FILE` has kept, and no others.",
            show_default=False,
        ),
    ] = None,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Let real holdings that rebalancer never traded be sold, from now on."),
    ] = False,
    config: Config = None,
    state: State = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Carry out the plan: sales first, then purchases.

    Without ACCOUNT, that of every enabled account in accounts.yaml. Purchases are made with the cash there is then. On
    a terminal it shows the plans and asks once before anything is sent. Elsewhere nothing is sent without --yes. A plan
    from a file is carried out once, and only if positions, targets and settings are as they were, and cash and prices
    nearly so.

    \b
    Examples:
      rebalancer execute DU123456               shows the plan, asks, trades
      rebalancer execute --yes                  all enabled accounts, from cron
      rebalancer execute --dry-run --json       one JSON document, nothing sent
      rebalancer execute --plan plan.json       what `plan -o plan.json` has kept
    """
    from ibkr_rebalancer.cli.asking import is_anybody_there
    from ibkr_rebalancer.cli.output import show_outcomes
    from ibkr_rebalancer.cli.session import in_session
    from ibkr_rebalancer.cli.tables import runs_view
    from ibkr_rebalancer.cli.trading import trade

    named, plans = accounts or (), _kept(plan, accounts)
    if dry_run:
        outcomes = in_session(
            lambda session: _dry_runs(session, plans) if plans else session.dry_runs(*named),
            config,
            state=state,
            verbose=verbose,
        )
        return show_outcomes("run", "runs", outcomes, view=runs_view, as_json=as_json)
    if not yes and not is_anybody_there():
        raise UsageError(
            "NOT_CONFIRMED",
            "Nobody can be asked here whether to send orders. Nothing was sent.",
            hint="Add --yes to send them, or --dry-run to see them.",
        )
    return trade(named, plans, asks=not yes, adopt=adopt, config=config, state=state, as_json=as_json, verbose=verbose)


def _kept(file: Path | None, accounts: Sequence[str] | None) -> "Sequence[Plan]":
    """The plans of the file, if there is one; they say which accounts are meant.

    Raises:
        UsageError: accounts are named beside it, or it is no plan file.
        Refused: it has been changed.
    """
    from ibkr_rebalancer.cli.output import tell
    from ibkr_rebalancer.edges.plan_files import load_plans

    if file is None:
        return ()
    if accounts:
        raise UsageError(
            "USAGE",
            f"--plan {file} says itself which accounts are meant, and {' '.join(accounts)} stands beside it.",
            hint="Leave out either of them; `rebalancer plan ACCOUNT -o FILE` makes a file for some accounts.",
        )
    document = load_plans(file)
    for each in document.errors:
        tell(f"Note: {file} has no plan for {each.account}: {each.message}")
    return document.plans


async def _dry_runs(session: "Rebalancer", plans: "Sequence[Plan]") -> "Mapping[AccountId, Report]":
    """What the plans would send, by their own word: nobody is asked whether they are still up to date."""
    session.select(*(plan.account for plan in plans))
    return {plan.account: await session.execute(plan) for plan in plans}
