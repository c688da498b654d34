"""Where output goes: data to stdout, conversation to stderr; sane in a pipe, at 80 columns and without colour."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ibkr_rebalancer.cli.streams import UNHEARD
from ibkr_rebalancer.core.documents import document
from ibkr_rebalancer.core.errors import EXIT_BUG, RebalancerError, gravest
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.shown_text import shown_text

T = TypeVar("T")

PIPE_WIDTH = 120
"""Columns of a table whose reader is a file or another program and does not say."""


def show(renderable: RenderableType) -> None:
    """Print data for a person."""
    data().print(renderable, crop=False)


def show_sentence(text: str) -> None:
    """Print data that is a sentence, and leave it to the reader where it is broken."""
    data().print(text, soft_wrap=True)


def data() -> Console:
    """The console on standard output."""
    free_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return _console(width=None if free_width else PIPE_WIDTH)


def tell(text: RenderableType) -> None:
    """Say something beside the data, if anybody listens; a log or a mail gets its sentences unbroken."""
    console = conversation()
    with suppress(*UNHEARD):
        console.print(text, soft_wrap=not console.is_terminal)


def conversation() -> Console:
    """The console on standard error."""
    return _console(stderr=True)


def _console(*, width: int | None = None, stderr: bool = False) -> Console:
    """A console that prints texts as they are: what stands in brackets or between colons is not ours to read."""
    return _Console(highlight=False, markup=False, emoji=False, width=width, stderr=stderr)


class _Console(Console):
    """Every way to a terminal, also that of spinners and live views, ends here: of all that is shown only we command
    it, and not what the broker, the targets or a command line say."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=shown_text(segment.text))


def show_document(content: Mapping[str, Any], *, in_one_line: bool = False) -> None:
    """Print data for a program: one JSON document, in one line where more are to follow."""
    print(json.dumps(content, indent=None if in_one_line else 2), flush=True)


def show_outcomes(
    schema: str,
    key: str,
    outcomes: Mapping[AccountId, T | RebalancerError],
    *,
    view: Callable[[Sequence[T]], RenderableType],
    as_json: bool,
    content: Mapping[str, Any] | None = None,
) -> int:
    """End a command that worked on several accounts; the exit code is the gravest of their errors.

    In JSON it is one document: what came out under `key`, and what went wrong under `errors`; or `content`, if that
    says more.

    Raises:
        RebalancerError: in JSON, the only account there is went wrong: then the error is the document.
    """
    errors = {account: outcome for account, outcome in outcomes.items() if isinstance(outcome, RebalancerError)}
    values = [outcome for outcome in outcomes.values() if not isinstance(outcome, RebalancerError)]
    if as_json and len(errors) == 1 and not values:
        raise next(iter(errors.values()))
    if as_json:
        show_document(content or outcomes_document(schema, key, outcomes))
        return gravest(error.exit_code for error in errors.values())
    if values:
        show(view(values))
    for account, error in errors.items():
        tell(account_error_text(account, error))
    return gravest(error.exit_code for error in errors.values())


def outcomes_document(schema: str, key: str, outcomes: Mapping[AccountId, T | RebalancerError]) -> dict[str, Any]:
    """What came out under `key`, and what went wrong under `errors`."""
    values = [outcome for outcome in outcomes.values() if not isinstance(outcome, RebalancerError)]
    errors = [
        {"account": account} | error_content(outcome)
        for account, outcome in outcomes.items()
        if isinstance(outcome, RebalancerError)
    ]
    return document(schema, **{key: values}, errors=errors)


def show_error(error: RebalancerError, *, as_json: bool) -> None:
    """Say what went wrong: the sentence and the hint, or the document `rebalancer.error/1`."""
    if as_json:
        show_document(document("error", error=error_content(error)))
    else:
        tell(error_text(error))


def error_content(error: RebalancerError) -> dict[str, Any]:
    """An error as it stands in documents."""
    return {"code": error.code, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}


def show_interruption(exit_code: int, *, as_json: bool) -> None:
    """Confirm Ctrl-C where no order was at stake."""
    message = "Interrupted. Nothing was sent."
    if as_json:
        show_failure("INTERRUPTED", message, hint="Run the command again.", exit_code=exit_code)
    else:
        tell(message)


def show_bug(bug: Exception, *, as_json: bool) -> None:
    """Own up to a defect of ours, with the traceback that its report needs; notes on it say what was sent."""
    from ibkr_rebalancer.edges.logs import redacted

    trace = redacted("".join(traceback.format_exception(bug)))
    with suppress(*UNHEARD):
        print(trace, file=sys.stderr)
    sent = " ".join(getattr(bug, "__notes__", ["Nothing was sent."]))
    message = f"A defect of rebalancer: {type(bug).__name__}. {sent}"
    hint = "Please report it with the traceback on standard error."
    if as_json:
        show_failure("INTERNAL_ERROR", message, hint=hint, exit_code=EXIT_BUG)
    else:
        tell(Text.assemble(("Error: ", "bold red"), message, "\n", ("Hint: ", "bold"), hint))


def show_failure(code: str, message: str, *, hint: str, exit_code: int) -> None:
    """Print the document of an end that no error of the library stands for."""
    content = {"code": code, "message": message, "hint": hint, "exit_code": exit_code}
    show_document(document("error", error=content))


def account_error_text(account: AccountId, error: RebalancerError) -> Text:
    """The error of one account, which its sentence may not name."""
    return error_text(error, prefix="" if account in error.message else f"{account}: ")


def error_text(error: RebalancerError, *, prefix: str = "") -> Text:
    """An error as a person reads it."""
    return Text.assemble(
        ("Error: ", "bold red"),
        prefix + error.message,
        "\n",
        ("Hint: ", "bold"),
        error.hint,
        "\n",
        (f"{error.code}, exit code {error.exit_code}", "dim"),
    )
