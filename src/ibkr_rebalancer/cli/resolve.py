"""`rebalancer resolve`: say what became of an order that nobody else can tell about."""

from pathlib import Path
from typing import Annotated

import typer

from ibkr_rebalancer.cli.options import Config, Json, State, Verbose, Yes
from ibkr_rebalancer.core.errors import EXIT_DONE, UsageError


def resolve(
    order_ref: Annotated[str, typer.Argument(metavar="ORDER_REF", hidden=True)],
    *,
    filled: Annotated[int, typer.Option("--filled", metavar="N", min=0, help="How many shares it has filled.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Where you have seen it; it is kept.")],
    yes: Yes = False,
    config: Config = None,
    state: State = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Say what became of an order of unknown outcome.

    Look for it in TWS or Client Portal first. ORDER_REF is its reference, as errors and `runs` tell it. On a
    terminal it shows what is known of the order and asks. Nothing is sent; the account may be traded again.

    \b
    Examples:
      rebalancer resolve rb1-puolansl4wlbmsma-1 --filled 60 --note "Trades in TWS"
      rebalancer resolve rb1-puolansl4wlbmsma-1 --filled 0 --note gone --yes
    """
    from ibkr_rebalancer.cli.output import show_document, show_sentence
    from ibkr_rebalancer.cli.session import on_journal
    from ibkr_rebalancer.core.documents import document

    if not yes and not _is_confirmed(order_ref, filled, config, state, verbose=verbose):
        show_sentence("Nothing was recorded.")
        return EXIT_DONE
    proven, left = on_journal(
        lambda records: (records.resolve(order_ref, filled=filled, note=note), len(records.unsettled())),
        config,
        state=state,
        verbose=verbose,
    )
    if as_json:
        show_document(document("resolved", order_ref=order_ref, state=proven, unsettled=left))
    else:
        others = "No order is without an outcome." if not left else f"Still without an outcome: {left}."
        show_sentence(
            f"{order_ref} is recorded as {proven.status.value}, with {proven.filled:,} shares filled. {others}"
        )
    return EXIT_DONE


def _is_confirmed(order_ref: str, filled: int, config: Path | None, state: Path | None, *, verbose: bool) -> bool:
    """Whether a person who sees what is known of the order wants this recorded; of an unknown one nobody is asked.

    Raises:
        UsageError: nobody is there (`NOT_CONFIRMED`).
    """
    import asyncio

    from ibkr_rebalancer.cli.asking import confirmed, is_anybody_there
    from ibkr_rebalancer.cli.output import conversation
    from ibkr_rebalancer.cli.session import on_journal
    from ibkr_rebalancer.cli.tables import order_view

    if not is_anybody_there():
        raise UsageError(
            "NOT_CONFIRMED",
            f"Nobody can be asked here about {order_ref}. Nothing was recorded.",
            hint="Add --yes to record it.",
        )
    unsettled = on_journal(lambda records: records.unsettled(), config, state=state, verbose=verbose)
    order = next((order for order in unsettled if order.intent.order_ref == order_ref), None)
    if order is None:
        return True
    conversation().print(order_view(order), crop=False)
    return asyncio.run(confirmed(f"Record that {filled:,} of {order.intent.quantity:,} shares were filled?"))
