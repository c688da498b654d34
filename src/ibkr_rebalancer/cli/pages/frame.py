"""What all pages have in common: one file that asks nobody for anything, its headings, figures and tables. Pure.

A browser is told to load nothing and to run nothing, so that what slipped through the escaping could not either.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from ibkr_rebalancer.cli.pages.bars import HATCH
from ibkr_rebalancer.cli.pages.markup import Content, Markup, element, joined
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.version import __version__

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `kind` is how its cells look: `number`, `picture`, `status`, `why` or nothing special."""

    heading: Content
    kind: str = ""


def page(title: str, *content: Content) -> str:
    """The whole file."""
    style = (resources.files(__package__) / "page.css").read_text(encoding="utf-8")
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="format-detection", content="telephone=no"),
        element("title", title),
        element("style", Markup(style)),
    ]
    written = element("footer", f"Written by rebalancer {__version__}.")
    main = element("main", joined([element("h1", title), *content], by="\n"))
    document = element("html", element("head", *head), "\n", element("body", HATCH, main, written), lang="en")
    return f"<!DOCTYPE html>\n{document.html}\n"


def capital(text: str) -> str:
    """The text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def heading(level: int, text: str, **attributes: str) -> Markup:
    return element(f"h{level}", text, **attributes)


def dim(*content: Content) -> Markup:
    """A paragraph of what is only looked up."""
    return element("p", *content, class_="dim")


def figures(pairs: Iterable[tuple[str, Content]]) -> Markup:
    """What a figure means, and the figure."""
    tiles = (element("div", element("dt", name), element("dd", figure)) for name, figure in pairs)
    return element("dl", joined(tiles, by="\n"), class_="figures")


def facts(pairs: Iterable[tuple[str, Content]]) -> Markup:
    """The same for sentences."""
    rows = (element("div", element("dt", name), element("dd", said)) for name, said in pairs)
    return element("dl", joined(rows, by="\n"), class_="facts")


def bullets(sentences: Sequence[Content]) -> Markup:
    return element("ul", joined((element("li", sentence) for sentence in sentences), by="\n"))


def error_block(code: str, message: str, *, hint: str, exit_code: int) -> Markup:
    """What went wrong, and what to do about it."""
    return element(
        "div",
        element("p", element("b", "Error: "), message),
        element("p", element("b", "Hint: "), hint),
        dim(f"{code}, exit code {exit_code}"),
        class_="error",
    )


def side_text(side: Side) -> Markup:
    """The word for a side, in its colour."""
    return element("b", side.value, class_=side.value.lower())


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Content]], *, kind: str = "cards") -> Markup:
    """A table whose first cells name the rows; on a phone each row is a card of its own, or as the `kind` has it.

    Roles are told where HTML has them already, because a browser forgets them with a layout of another kind.
    """
    heads = (element("th", column.heading, scope="col", role="columnheader", class_=column.kind) for column in columns)
    body = (element("tr", *_cells(columns, row), role="row") for row in rows)
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads, role="row"), role="rowgroup"),
        "\n",
        element("tbody", joined(body, by="\n"), role="rowgroup"),
        role="table",
        class_=kind,
    )


def _cells(columns: Sequence[Column], row: Sequence[Content]) -> Iterable[Markup]:
    for place, (column, cell) in enumerate(zip(columns, row, strict=True)):
        if place == 0:
            yield element("th", cell, scope="row", role="rowheader", class_=column.kind)
        else:
            label = column.heading if isinstance(column.heading, str) else ""
            empty = " empty" if cell == "" else ""
            yield element("td", cell, role="cell", data_label=label, class_=f"{column.kind}{empty}")
