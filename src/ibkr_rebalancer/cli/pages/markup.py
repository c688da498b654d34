"""HTML that cannot be broken from outside: whatever is a `str` is escaped, and only what was made here is not. Pure.

    element("td", "a < b", class_="why")     # <td class="why">a &lt; b</td>

What stands in it may come from the allocation source, the broker or a command line.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from ibkr_rebalancer.core.shown_text import shown_text

VOID = frozenset({"meta", "col"})
"""Elements that have no end tag."""


@dataclass(frozen=True, slots=True)
class Markup:
    """Text that is HTML already."""

    html: str


Content = str | Markup

NO_BREAK = "\u00a0"
"""A blank at which no line ends."""


def element(name: str, /, *content: Content, **attributes: str) -> Markup:
    """The element; `class_` is `class` and `aria_label` is `aria-label`."""
    given = "".join(f' {_attribute(key)}="{_html(value)}"' for key, value in attributes.items())
    end = "" if name in VOID else f"</{name}>"
    return Markup(f"<{name}{given}>{joined(content).html}{end}")


def joined(parts: Iterable[Content], *, by: str = "") -> Markup:
    """Parts one after the other."""
    return Markup(by.join(_html(part) for part in parts))


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _html(content: Content) -> str:
    return content.html if isinstance(content, Markup) else escape(shown_text(content))
