"""The options that several commands share, so that they read alike everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Accounts = Annotated[
    list[str] | None,
    typer.Argument(metavar="ACCOUNT", hidden=True),
]
"""Told of in the text of each command: typer would put its Python type into a list of arguments."""
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        help="Path of accounts.yaml, if it is not in one of the usual places.",
        show_default=False,
    ),
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="FOLDER",
        help="Folder of the journal, if it is not the usual one; -v shows which.",
        show_default=False,
    ),
]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write a web page with pictures as well; it needs nothing but a browser.",
        show_default=False,
    ),
]
BuyOnly = Annotated[bool, typer.Option("--buy-only", help="Invest the cash there is, and sell nothing.")]
RaiseCash = Annotated[
    str | None,
    typer.Option(
        "--raise-cash",
        metavar="AMOUNT",
        help="Have this much cash beyond the reserve, in the account's currency.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking, where nobody could answer.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Tell each step, and where settings come from.")]
