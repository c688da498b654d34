"""What was measured, as tables: for a terminal, for a page and for a program. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Cell = float | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of one part; every row has the same keys."""

    part: str
    headings: Mapping[str, str]
    """By key, in order; what a row has under other keys is for programs only."""
    rows: Sequence[Mapping[str, Cell]]
    circumstances: str
    """Where and when it was measured."""

    @property
    def document(self) -> Mapping[str, object]:
        """For a program."""
        return {"part": self.part, "circumstances": self.circumstances, "rows": list(self.rows)}

    @property
    def text(self) -> str:
        """As Markdown that is as easy to read on a terminal."""
        lines = [list(self.headings.values()), *([shown(row[key]) for key in self.headings] for row in self.rows)]
        words = [all(isinstance(row[key], str) for row in self.rows) for key in self.headings]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        heading, *body = ["| " + " | ".join(_padded(line, widths, words)) + " |" for line in lines]
        rules = ["-" * (width + 1) + ("-" if is_words else ":") for width, is_words in zip(widths, words, strict=True)]
        return "\n".join([heading, f"|{'|'.join(rules)}|", *body, "", self.circumstances])


def _padded(line: Sequence[str], widths: Sequence[int], words: Sequence[bool]) -> list[str]:
    """Words begin on the left, numbers end on the right."""
    cells = zip(line, widths, words, strict=True)
    return [text.ljust(width) if is_words else text.rjust(width) for text, width, is_words in cells]


def shown(value: Cell) -> str:
    """Three digits that mean something, at least the whole number."""
    if not isinstance(value, float):
        return str(value)
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def rewritten(page: str, tables: Sequence[Table]) -> str:
    """The page with these tables in the places that are marked for them.

    Raises:
        ValueError: there is no place for one of them.
    """
    for table in tables:
        place = re.search(rf"(?s)<!-- measured: {table.part} -->\n(.*?)<!-- end -->", page)
        if place is None:
            raise ValueError(f"the page has no place for {table.part}")
        page = f"{page[: place.start(1)]}{table.text}\n{page[place.end(1) :]}"
    return page
