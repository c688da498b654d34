"""What `allocations:` may say in accounts.yaml: where an account's targets come from, and how they are laid out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ibkr_rebalancer.config.findings import shown, unfit
from ibkr_rebalancer.config.keys import Key, Section, matching, one_of
from ibkr_rebalancer.core.addresses import is_loopback
from ibkr_rebalancer.core.layout import Format, Layout, WeightUnit, format_of


def read_url(text: str) -> str:
    """An http or https URL that leads somewhere, without a name or password.

    Raises:
        ValueError: it is not one.
    """
    parts = urlsplit(text)
    leads_somewhere = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    if not leads_somewhere or "@" in parts.netloc or not re.fullmatch(r"[!-~]+", text):
        raise ValueError(text)
    return text


def _file(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError(text)
    format_of(text)
    return text


def _path(text: str) -> str:
    if not text or not text.isprintable() or text != text.strip():
        raise ValueError(text)
    return text


def _variable(text: str) -> str:
    """The name of a variable of the owner's own; one that has a meaning here, or for the gateway, is sent to nobody."""
    if not re.fullmatch(
        r"(?!(IBKR|REALTIME|REBALANCER|TRADING|LOG|NOTIFICATION|HEARTBEAT)_)[A-Z_][A-Z0-9_]*(?<!_FILE)", text
    ):
        raise ValueError(text)
    return text


def layout_of(allocations: Mapping[str, Any]) -> Layout | None:
    """The layout of the document, if anything is said of it, by the values of the keys under `allocations:`."""
    said = {name: allocations[name] for name in LAYOUT if name in allocations}
    if "file" in allocations and format_of(allocations["file"]) is Format.CSV:
        said["format"] = Format.CSV
    return Layout(**said) if said else None


def _check_source(allocations: Mapping[str, Any], line: int) -> None:
    """Whether the keys under `allocations:` name one source, and one layout."""
    given = [name for name in allocations if allocations[name] is not False]
    if not {"url", "file"} & set(given):
        raise unfit(
            line,
            "CONFIG_MISSING_KEY",
            "allocations.url is missing, and so is allocations.file.",
            hint="Add one of them: the address or the file that the targets are taken from.",
        )
    for name, excluded in _exclusions(allocations):
        if others := [other for other in excluded if other in given]:
            raise unfit(
                line,
                "CONFIG_CONFLICT",
                f"allocations.{name} leaves no meaning to {', '.join(others)}.",
                hint=f"Remove {' and '.join(others)}, or {name}.",
            )
    layout = layout_of(allocations)
    if layout and layout.symbol == layout.weight:
        raise unfit(
            line,
            "CONFIG_CONFLICT",
            f"allocations.symbol and allocations.weight are both {shown(layout.weight)}.",
            hint="Name the place of each in a row.",
        )
    if "url" in given:
        _check_transport(allocations, line)


def _exclusions(allocations: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Keys that are given, each with those that cannot stand beside it."""
    if "file" in allocations:
        yield "file", ("url", "allow_http", "api_key_env")
        if format_of(allocations["file"]) is Format.CSV:
            yield "file", ("rows", "by_symbol", "name", "date")
    if "by_symbol" in allocations:
        yield "by_symbol", ("rows", "symbol", "weight")


def _check_transport(allocations: Mapping[str, Any], line: int) -> None:
    url = urlsplit(allocations["url"])
    if url.scheme == "http" and not allocations["allow_http"] and not is_loopback(allocations["url"]):
        raise unfit(
            line,
            "CONFIG_INSECURE_URL",
            f"allocations.url asks {url.hostname} over plain http, which shows the API key to the whole network.",
            hint="Use https, or set allow_http: true beside the url if the way there is safe.",
        )


BEARER_KEY = matching(
    r"[!-~]+",
    must="printable ASCII without spaces",
    meaning="the bearer key sent to every allocations.url that has no api_key_env",
    example="your-allocation-key",
    secret=True,
)
OWN_KEY = replace(BEARER_KEY, meaning="the bearer key of the sources whose api_key_env it is")
"""What a variable is that the owner has chosen."""

PATH = "a path such as data.rows"

LAYOUT: Mapping[str, Key] = {
    "rows": Key(
        meaning="the path to the list of rows, . if the document is that list; without it the document must say "
        "status: success, and has its rows in data.allocations",
        must=PATH,
        read=_path,
        example="portfolio.holdings",
    ),
    "by_symbol": Key(
        meaning="instead of rows, the path to an object whose names are symbols and whose values are weights",
        must=PATH,
        read=_path,
        example="weights",
    ),
    "symbol": Key(
        meaning="where in a row its symbol stands: a name, a path, or in a row that is a list its number, counted from "
        "1; in CSV, a name of the header",
        must="a name or number",
        read=_path,
        example="ticker",
    ),
    "weight": Key(
        meaning="where in a row its weight stands, likewise", must="a name or number", read=_path, example="3"
    ),
    "unit": one_of(
        {unit.value: unit for unit in WeightUnit},
        meaning='what weights are written in; percent takes texts such as "60.00%", too',
        example="percent",
    ),
    "name": Key(
        meaning="the path to what the targets are called, shown with every plan",
        must=PATH,
        read=_path,
        example="portfolio.title",
    ),
    "date": Key(
        meaning="the path to the day they are of, shown likewise", must=PATH, read=_path, example="rebalanceDate"
    ),
}
"""What `allocations:` says of a document that is not in the usual format; the fields of `core.layout.Layout`."""

ALLOCATIONS = Section(
    meaning="where the targets come from",
    keys={
        "url": Key(
            meaning="where the target weights are fetched; this or file is required",
            must="an https:// address without a user name or password in it",
            read=read_url,
            example='"https://your-api.com/allocations/primary"',
            secret=True,
        ),
        "file": Key(
            meaning="the file that the target weights are read from instead; relative to the folder of accounts.yaml",
            must=f"a path that ends in {' or '.join(f'.{each.value}' for each in Format)}",
            read=_file,
            example="targets.csv",
        ),
        "api_key_env": Key(
            meaning="the variable that holds the bearer key for the url; it is set like the variables below, "
            "also as NAME_FILE, and is a secret like them",
            must="a name of capitals that has no other meaning here",
            read=_variable,
            example="GROWTH_API_KEY",
        ),
        "allow_http": one_of(
            {"true": True, "false": False},
            meaning="whether the url may be one without encryption; on this machine it always may",
            example="true",
            default=False,
        ),
        **LAYOUT,
    },
    check=_check_source,
)
