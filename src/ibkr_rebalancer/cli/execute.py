"""`rebalancer execute`: carry out the plan or, in a dry run, show the orders it would send."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ibkr_rebalancer.cli.options import Accounts, BuyOnly, Config, Json, RaiseCash, State, Verbose, Yes
from ibkr_rebalancer.core.errors import UsageError

if TYPE_CHECKING:
    from ibkr_rebalancer.app import Rebalancer
    from ibkr_rebalancer.cli.trading import Outcomes
    from ibkr_rebalancer.flows.trading import Confirm


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
    buy_only: BuyOnly = False,
    raise_cash: RaiseCash = None,
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
      rebalancer execute DU123456 --raise-cash 5000     before a withdrawal
    """
    from ibkr_rebalancer.cli.asking import is_anybody_there
    from ibkr_rebalancer.cli.kept_plans import dry_runs, kept_plans
    from ibkr_rebalancer.cli.output import show_outcomes
    from ibkr_rebalancer.cli.purposes import purpose_of
    from ibkr_rebalancer.cli.session import in_session
    from ibkr_rebalancer.cli.tables import runs_view
    from ibkr_rebalancer.cli.trading import trade

    named = accounts or ()
    purpose = purpose_of(buy_only=buy_only, raise_cash=raise_cash)
    asked = ["--buy-only"] * buy_only + ["--raise-cash"] * (raise_cash is not None)
    plans = kept_plans(plan, beside=[*named, *asked]) if plan else ()

    async def looked_at(session: "Rebalancer") -> "Outcomes":
        return await dry_runs(session, plans) if plans else await session.dry_runs(*named, purpose=purpose)

    async def carried_out(session: "Rebalancer", confirm: "Confirm | None") -> "Outcomes":
        if plans:
            return await session.carry_out(*plans, confirm=confirm, adopt=adopt)
        return await session.rebalance(*named, confirm=confirm, adopt=adopt, purpose=purpose)

    if dry_run:
        outcomes = in_session(looked_at, config, state=state, verbose=verbose)
        return show_outcomes("run", "runs", outcomes, view=runs_view, as_json=as_json)
    if not yes and not is_anybody_there():
        raise UsageError(
            "NOT_CONFIRMED",
            "Nobody can be asked here whether to send orders. Nothing was sent.",
            hint="Add --yes to send them, or --dry-run to see them.",
        )
    return trade(carried_out, asks=not yes, config=config, state=state, as_json=as_json, verbose=verbose)
