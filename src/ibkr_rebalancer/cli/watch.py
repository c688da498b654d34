"""`rebalancer watch`: carry out events as they come, until it is told to stop."""

from typing import Annotated

import typer

from ibkr_rebalancer.cli.options import Config, State, Verbose
from ibkr_rebalancer.cli.signals import meet_as_ctrl_c
from ibkr_rebalancer.core.errors import EXIT_DONE


def watch(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make every event a dry run, whatever it asks for.")
    ] = False,
    config: Config = None,
    state: State = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document in a line for each end of a run, instead of tables.")
    ] = False,
    verbose: Verbose = False,
) -> int:
    """Wait for events, and rebalance their accounts.

    It listens to the channels of all enabled accounts in accounts.yaml, for ever. An event whose `execution` is exactly
    "rebalance" trades; any other one is a dry run. While the market is closed it waits for the open. What was published
    while nobody listened is made good, as far as Ably keeps it. Ctrl-C or SIGTERM end it in good order.

    \b
    Examples:
      rebalancer watch                          as a service, or on a terminal
      rebalancer watch --dry-run                listen, and never trade
      rebalancer watch --json >runs.jsonl       what came of each event
    """
    meet_as_ctrl_c()
    try:
        from ibkr_rebalancer.cli.watching import watch_until_told

        return watch_until_told(dry_run=dry_run, config=config, state=state, as_json=as_json, verbose=verbose)
    except KeyboardInterrupt:  # before it listened for signals, or the second one, and no order is open
        return EXIT_DONE
