"""`rebalancer init`: write the first accounts.yaml and .env, with the accounts that the gateway knows."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ibkr_rebalancer.cli.options import Json, Verbose
from ibkr_rebalancer.core.errors import EXIT_DONE

if TYPE_CHECKING:
    from ibkr_rebalancer.config.keys import Key
    from ibkr_rebalancer.first_steps import Login

ASKED_FOR = ("REALTIME_API_KEY", "ALLOCATIONS_API_KEY")
"""The secrets that everybody needs who lets events trade."""


def init(
    host: Annotated[str | None, typer.Option("--host", metavar="HOST", help="Where IB Gateway or TWS runs.")] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", min=1, max=65535, help="Its API port, if not 4002 (paper), 4001 (live)."
        ),
    ] = None,
    mode: Annotated[
        Literal["paper", "live"] | None, typer.Option("--mode", metavar="MODE", help="paper, or live for real money.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="PATH",
            help="Where to write accounts.yaml; .env goes beside it.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Write a first accounts.yaml and .env.

    The gateway is asked for its accounts; without one, the id stays to be filled in as well. On a terminal the keys
    are asked for. Only you may read what is written, and nothing that is there already is touched.

    \b
    Examples:
      rebalancer init                            into this folder
      rebalancer init --port 4003 --mode live    from another gateway
      rebalancer init --config conf/accounts.yaml --json
    """
    import asyncio

    from ibkr_rebalancer.cli.asking import is_anybody_there
    from ibkr_rebalancer.cli.output import error_content, error_text, show_document, show_sentence, tell
    from ibkr_rebalancer.cli.progress import Progress
    from ibkr_rebalancer.config.loading import DOTENV
    from ibkr_rebalancer.core.documents import document
    from ibkr_rebalancer.edges.logs import configure_logging
    from ibkr_rebalancer.first_steps import ask_gateway, missing_files, write_files

    configure_logging("INFO" if verbose else "WARNING", secrets=())
    path = Path.cwd() / (config or "accounts.yaml")
    missing = missing_files(path)
    given = {"IBKR_HOST": host, "IBKR_PORT": port, "TRADING_MODE": mode}
    options = {name: str(value) for name, value in given.items() if value is not None}
    with Progress(as_log=verbose) as progress:
        login = asyncio.run(ask_gateway(path, options=options, observer=progress))
    keys = _asked_keys() if is_anybody_there() and not as_json and missing[-1].name == DOTENV else {}
    write_files(missing, login, keys)
    written = [str(file) for file in missing]
    if as_json:
        trouble = None if login.trouble is None else error_content(login.trouble)
        content = {"mode": login.mode, "accounts": login.accounts, "passed_over": login.passed_over}
        show_document(document("init", written=written, **content, gateway_error=trouble))
        return EXIT_DONE
    if login.trouble is not None:
        tell(error_text(login.trouble))
    show_sentence(f"Written, for your eyes only: {' and '.join(written)}.")
    show_sentence(_found(login))
    named = "" if config is None else f" -c {config}"
    show_sentence(f"Fill in what says TO FILL IN, and the keys in .env; then run: rebalancer doctor{named}")
    return EXIT_DONE


def _found(login: "Login") -> str:
    """What is known of accounts, and of those that were left out."""
    kind, at = login.mode.value, f"{login.gateway.host}:{login.gateway.port}"
    if login.trouble is not None:
        return f"The gateway at {at} could not be asked: fill in the account as well."
    left_out = f" Left out, as TRADING_MODE is {kind}: {', '.join(login.passed_over)}." if login.passed_over else ""
    if not login.accounts:
        return f"The gateway at {at} manages no {kind} account: fill it in as well.{left_out}"
    return f"The gateway at {at} manages the {kind} accounts {', '.join(login.accounts)}.{left_out}"


def _asked_keys() -> dict[str, str]:
    """The keys that the environment does not have or tell a file of, typed unseen; Enter leaves one empty."""
    from ibkr_rebalancer.config.environment import FILE_NAMES
    from ibkr_rebalancer.config.schema import ENVIRONMENT

    known = os.environ.get
    files = {name: file_name for file_name, name in FILE_NAMES.items()}
    wanted = [name for name in ASKED_FOR if not (known(name) or known(files[name]))]
    return {name: _asked_key(name, ENVIRONMENT[name]) for name in wanted}


def _asked_key(name: str, key: "Key") -> str:
    from ibkr_rebalancer.cli.asking import unseen
    from ibkr_rebalancer.cli.output import tell

    while answer := unseen(f"{name}, {key.meaning} (it is not shown; Enter leaves it empty)"):
        try:
            key.read(answer)
        except ValueError:
            tell(f"It must be {key.must}.")
        else:
            return answer
    return ""
