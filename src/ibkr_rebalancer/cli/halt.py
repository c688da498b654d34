"""`rebalancer halt`: let no order leave any more, from any process on this state folder."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ibkr_rebalancer.cli.options import Config, Json, State, Verbose
from ibkr_rebalancer.core.errors import EXIT_DONE, NOT_HALTED, RebalancerError

if TYPE_CHECKING:
    from ibkr_rebalancer.ports import Halt
    from ibkr_rebalancer.records import Records

Reason = Annotated[list[str] | None, typer.Argument(metavar="REASON", hidden=True)]
NO_REASON = "no reason given"

HALTED = "TRADING IS HALTED."
"""What a failure says that comes after the halt."""

CONFIRMED_WITHIN_S = 10.0
"""A watch looks for a halt every few seconds."""
ASKED_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A watch that is running on the state folder."""

    process: str
    """With its pid."""
    confirmed: bool
    """Whether it has said that it has seen the halt."""


def halt(
    reason: Reason = None,
    config: Config = None,
    state: State = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Halt all trading, until `rebalancer resume`.

    A run at work sends no further order. REASON is kept for whoever meets it later. The gateway is not asked for
    anything, and nothing in accounts.yaml matters. A running watch is given some seconds to confirm that it knows.

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
        now, watch, where = on_journal(lambda records: _halted(records, said), config, state=state, verbose=verbose)
    except RebalancerError as error:
        raise _unhalted(error) from error
    if as_json:
        show_document(document("halt", halt=now, state=where, watch=watch))
    else:
        show_sentence(f"Trading is halted: {now.reason}.\nNo order leaves any process whose state is in {where}.")
        if watch is not None:
            show_sentence(_sentence(watch))
    return EXIT_DONE


def _halted(records: "Records", reason: str) -> "tuple[Halt, Watch | None, str]":
    """The halt, whether a watch knows of it, and the folder that it is kept in."""
    try:
        now = records.halt(reason)
        watch = _confirmed(records, now)
    except KeyboardInterrupt:
        standing = records.halted()
        if standing is None:
            raise
        now, watch = standing, _watch(records, standing)
    return now, watch, str(records.state_path)


def _confirmed(records: "Records", halt: "Halt") -> Watch | None:
    """The watch when it has confirmed, or had its time; None if none is running, or not any more."""
    deadline = time.monotonic() + CONFIRMED_WITHIN_S
    try:
        while (watch := _watch(records, halt)) and not watch.confirmed and time.monotonic() < deadline:
            time.sleep(ASKED_EVERY_S)
    except RebalancerError as error:
        text = f"{HALTED} Whether a watch has seen it cannot be read. {error.message}"
        raise type(error)(error.code, text, hint=error.hint) from error
    return watch


def _watch(records: "Records", halt: "Halt") -> Watch | None:
    process = records.watcher()
    return None if process is None else Watch(process=process, confirmed=records.is_acknowledged(halt))


def _sentence(watch: Watch) -> str:
    if watch.confirmed:
        return f"The watch ({watch.process}) has confirmed it."
    return (
        f"The watch ({watch.process}) has not confirmed it. None of its orders leaves either, as it asks before each; "
        "but look at its log, or end it: it may hang."
    )


def _unhalted(error: RebalancerError) -> RebalancerError:
    """The same error, which must not let anybody believe that trading is halted when it is not."""
    if NOT_HALTED in error.message or error.message.startswith(HALTED):
        return error
    return type(error)(error.code, f"{NOT_HALTED} {error.message}", hint=error.hint)
