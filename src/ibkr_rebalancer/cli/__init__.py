"""The command `rebalancer`: its commands, and the one place where errors become sentences and exit codes.

Commands parse, call the library and print; they return their exit code. Nothing heavy is imported before a command
runs, so that `--help` is instant.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
from typer.exceptions import TyperException

from ibkr_rebalancer.cli.accounts import accounts
from ibkr_rebalancer.cli.demo import demo
from ibkr_rebalancer.cli.execute import execute
from ibkr_rebalancer.cli.halt import halt
from ibkr_rebalancer.cli.plan import plan
from ibkr_rebalancer.cli.positions import positions
from ibkr_rebalancer.cli.resolve import resolve
from ibkr_rebalancer.cli.resume import resume
from ibkr_rebalancer.cli.runs import runs
from ibkr_rebalancer.cli.sandbox import sandbox
from ibkr_rebalancer.cli.signals import Signalled, ignore_signals
from ibkr_rebalancer.cli.status import status
from ibkr_rebalancer.cli.streams import READER_GONE, OutputFailed, let_go, prepare_streams
from ibkr_rebalancer.cli.trial import test_notification
from ibkr_rebalancer.cli.watch import watch
from ibkr_rebalancer.core.errors import EXIT_BUG, EXIT_DONE, RebalancerError, UsageError
from ibkr_rebalancer.version import __version__

EXIT_INTERRUPTED = 130
"""The shell's convention for Ctrl-C, as `Signalled` has it for others; nothing was under way that could be left half
done.

A run that had begun has an end of its own in the journal: `INTERRUPTED`, with the exit code of what is deferred.
"""

app = typer.Typer(
    name="rebalancer",
    help="Bring Interactive Brokers accounts to their target weights.\n\n"
    "Start with `rebalancer demo`, which needs no account, gateway or network.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(plan, execute, watch, positions, accounts, status, runs, halt, resume, resolve, test_notification),
    *(sandbox, demo),
):
    app.command(no_args_is_help=False)(command)


def main() -> None:
    """Run the command line of this process and exit."""
    prepare_streams()
    signalled = Signalled()
    signalled.listen()
    exit_code = run(sys.argv[1:], signalled)
    let_go()
    ignore_signals()
    sys.exit(exit_code)


def run(arguments: Sequence[str], signalled: Signalled | None = None) -> int:
    """Run one command line; every error ends here, as a sentence with a hint, and its exit code is returned."""
    signalled = signalled or Signalled()
    try:
        return _run(arguments, signalled)
    except OutputFailed as failure:
        if signalled.is_other:  # a terminal that hangs up is gone before the last view can be left on it
            return signalled.exit_code
        message = f"standard output cannot be written: {failure}."
        error = UsageError("OUTPUT_FAILED", message, hint="Make room where it goes, or send it elsewhere.")
        return _told(error, ())


def _run(arguments: Sequence[str], signalled: Signalled) -> int:
    try:
        exit_code = app(args=list(arguments) or ["--help"], prog_name="rebalancer", standalone_mode=False)
    except RebalancerError as error:
        return _told(error, arguments)
    except TyperException as misuse:
        return _told(_usage_error(misuse, arguments), arguments)
    except (KeyboardInterrupt, typer.Abort):
        return _told_interruption(arguments, signalled.exit_code)
    except READER_GONE:
        return EXIT_DONE
    except OutputFailed:
        raise
    except Exception as bug:  # noqa: BLE001 (the CLI boundary: whatever is left is our bug, and is shown as one)
        return _told_bug(bug, arguments)
    if exit_code == EXIT_INTERRUPTED:  # typer's word for Ctrl-C inside a command
        return _told_interruption(arguments, signalled.exit_code)
    return exit_code or (signalled.exit_code if signalled.is_other else EXIT_DONE)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"rebalancer {__version__}", flush=True)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """What may stand before the command."""


def _told(error: RebalancerError, arguments: Sequence[str]) -> int:
    from ibkr_rebalancer.cli.output import show_error

    with suppress(*READER_GONE):
        show_error(error, as_json="--json" in arguments)
    return error.exit_code


def _usage_error(misuse: TyperException, arguments: Sequence[str]) -> UsageError:
    command = next((word for word in arguments if not word.startswith("-")), None)
    known = {
        registered.callback.__name__.replace("_", "-") for registered in app.registered_commands if registered.callback
    }
    asked = f"rebalancer {command} --help" if command in known else "rebalancer --help"
    return UsageError("USAGE", misuse.format_message(), hint=f"See {asked}.")


def _told_interruption(arguments: Sequence[str], exit_code: int) -> int:
    from ibkr_rebalancer.cli.output import show_interruption

    with suppress(*READER_GONE):
        show_interruption(exit_code, as_json="--json" in arguments)
    return exit_code


def _told_bug(bug: Exception, arguments: Sequence[str]) -> int:
    from ibkr_rebalancer.cli.output import show_bug

    with suppress(*READER_GONE):
        show_bug(bug, as_json="--json" in arguments)
    return EXIT_BUG
