"""`rebalancer halt`: let no order leave any more, from any process on this state folder."""

from typing import Annotated

import typer

from ibkr_rebalancer.cli.options import Config, Json, State, Verbose
from ibkr_rebalancer.core.errors import EXIT_DONE, NOT_HALTED, RebalancerError

Reason = Annotated[list[str] | None, typer.Argument(metavar="REASON", hidden=True)]
NO_REASON = "no reason given"


def halt(
    reason: Reason = None,
    config: Config = None,
    state: State = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Halt all trading, until `rebalancer resume`.

    A run at work sends no further order. REASON is kept for whoever meets it later. The gateway is not asked for
    anything, and nothing in accounts.yaml matters.

    \b
    Examples:
      rebalancer halt
      rebalancer halt the targets of today look wrong
    """
    from ibkr_rebalancer.cli.output import show_document, show_sentence
    from ibkr_rebalancer.cli.session import on_journal
    from ibkr_rebalancer.core.documents import document

    said = " ".join(reason or [NO_REASON])
    try:
        now, where = on_journal(
            lambda records: (records.halt(said), str(records.state_path)), config, state=state, verbose=verbose
        )
    except RebalancerError as error:
        raise _unhalted(error) from error
    if as_json:
        show_document(document("halt", halt=now, state=where))
    else:
        show_sentence(f"Trading is halted: {now.reason}.\nNo order leaves any process whose state is in {where}.")
    return EXIT_DONE


def _unhalted(error: RebalancerError) -> RebalancerError:
    """The same error, which must not let anybody believe that trading is halted."""
    if NOT_HALTED in error.message:
        return error
    return type(error)(error.code, f"{NOT_HALTED} {error.message}", hint=error.hint)
