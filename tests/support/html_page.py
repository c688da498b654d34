"""A page as a strict reader sees it: `read_page(text)` fails where a browser would have to guess.

page = read_page(text)
assert page.tables["In the order of sending; sales first"][0][:2] == ["SPY", "SELL"]
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta"}


@dataclass(slots=True)
class Element:
    """An element with what stands in it."""

    tag: str
    attributes: Mapping[str, str]
    content: "list[Element | str]" = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.content)

    def all(self, *tags: str) -> "Iterator[Element]":
        """The elements of these tags within, or all of them, in the order of the page."""
        for part in self.content:
            if isinstance(part, Element):
                if part.tag in tags or not tags:
                    yield part
                yield from part.all(*tags)

    def texts(self, *tags: str) -> list[str]:
        return [element.text for element in self.all(*tags)]

    def of_class(self, name: str) -> "list[Element]":
        return [element for element in self.all() if name in element.attributes.get("class", "").split()]

    @property
    def tables(self) -> "dict[str, list[list[str]]]":
        """The rows of each table by its caption, without its headings."""
        return {
            table.texts("caption")[0]: [[cell.text for cell in row.all("th", "td")] for row in table.all("tr")][1:]
            for table in self.all("table")
        }

    @property
    def figures(self) -> dict[str, str]:
        """What is told as a name and a figure or a sentence."""
        return dict(zip(self.texts("dt"), self.texts("dd"), strict=True))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> says something twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].content.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> ends <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].content.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def read(self, text: str) -> Element:
        self.feed(text)
        self.close()
        assert len(self._open) == 1, f"<{self._open[-1].tag}> has no end"
        return self.root


def read_page(text: str) -> Element:
    """The document; every tag that begins ends where it should."""
    assert text.startswith("<!DOCTYPE html>\n<html ")
    return _Reader().read(text)
