"""`rebalancer resume`: end a halt."""

from typing import TYPE_CHECKING

from ibkr_rebalancer.cli.halt import NO_REASON, Reason
from ibkr_rebalancer.cli.options import Config, Json, State, Verbose
from ibkr_rebalancer.core.errors import EXIT_DONE

if TYPE_CHECKING:
    from ibkr_rebalancer.ports import Halt
    from ibkr_rebalancer.records import Records


def resume(
    reason: Reason = None,
    config: Config = None,
    state: State = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """End a halt. Nothing is sent by it: trading goes on with the next run.

    REASON is kept.

    \b
    Examples:
      rebalancer resume
      rebalancer resume the targets are corrected
    """
    from ibkr_rebalancer.cli.output import show_document, show_sentence
    from ibkr_rebalancer.cli.session import on_journal
    from ibkr_rebalancer.core.documents import document

    said = " ".join(reason or [NO_REASON])
    ended, where = on_journal(lambda records: _resumed(records, said), config, state=state, verbose=verbose)
    if as_json:
        show_document(document("halt", halt=None, state=where, watch=None))
    elif ended is None:
        show_sentence(f"Trading was not halted for any process whose state is in {where}.")
    else:
        since = f"{ended.at:%Y-%m-%d %H:%M} UTC"
        show_sentence(f"Trading may go on. It was halted since {since}: {ended.reason}.\nThe state is in {where}.")
    return EXIT_DONE


def _resumed(records: "Records", reason: str) -> "tuple[Halt | None, str]":
    """The halt that is ended, if there is one, and the folder that says so."""
    halted = records.halted()
    if halted is not None:
        records.resume(reason)
    return halted, str(records.state_path)
