"""Bars in SVG: what stays, what comes, what goes, and a mark where it should be. Pure.

The three differ by shape (solid, hatched, a dashed outline), so that neither colour nor a colour printer is needed. All
lengths are percent of the width that the browser has. A bar is for the eye only: its figures stand in words beside it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from ibkr_rebalancer.cli.pages.markup import Markup, element, joined
from ibkr_rebalancer.core.money import ZERO

STEPS = tuple(map(Decimal, ("0.01", "0.02", "0.05", "0.1", "0.2", "0.25", "0.5", "1", "2", "5", "10")))
"""Distances between two lines of an axis, as fractions."""
MOST_STEPS = 5
HATCH = element(
    "svg",
    element(
        "pattern",
        element("rect", width="6", height="6", class_="hatch-ground"),
        element("rect", width="2.5", height="6", class_="hatch-line"),
        id="hatch",
        width="6",
        height="6",
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    ),
    class_="definitions",
    aria_hidden="true",
)
"""What hatched bars are filled with; it has to be on the page once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How long a bar is: `most` fills the width."""

    most: Decimal
    lines: tuple[Decimal, ...]
    """Where the axis has a line, zero and `most` included."""

    def percent(self, figure: Decimal) -> str:
        """The place of a figure; what is out of range stands at its end."""
        return f"{min(max(figure / self.most, ZERO), Decimal(1)) * 100:.3f}%"


def scale_for(figures: Iterable[Decimal]) -> Scale:
    """A scale with round lines for fractions, on which all of them have room."""
    highest = max(figures, default=ZERO)
    step = next((step for step in STEPS if step * MOST_STEPS >= highest), STEPS[-1])
    count = max(1, int((highest / step).to_integral_value(ROUND_CEILING)))
    return Scale(most=count * step, lines=tuple(step * place for place in range(count + 1)))


def axis(scale: Scale) -> Markup:
    """The figures at the lines of a scale, in percent."""
    labels = [
        element("text", f"{line * 100:.0f}%", x=scale.percent(line), y="11", class_=f"label {_anchor(line, scale)}")
        for line in scale.lines
    ]
    return element("svg", *labels, class_="axis", aria_hidden="true")


def bar(now: Decimal, after: Decimal, *, target: Decimal | None, scale: Scale) -> Markup:
    """From now to after, on the lines of the scale; what is below zero or beyond the scale is cut off."""
    lines = [_line(scale.percent(place), "grid") for place in scale.lines]
    kept = min(now, after)
    parts = [("kept", ZERO, kept), ("added", kept, after), ("removed", kept, now)]
    rects = [_rect(kind, max(start, ZERO), min(end, scale.most), scale) for kind, start, end in parts]
    mark = [] if target is None else [_mark(scale.percent(target))]
    return element("svg", *lines, *filter(None, rects), *mark, class_="bar", aria_hidden="true")


def share_bar(part: Decimal, whole: Decimal) -> Markup:
    """How much of a whole there is, and in outline what is missing."""
    return bar(whole, part, target=None, scale=Scale(most=whole, lines=()))


def legend(*, kept: str = "kept", added: str = "", removed: str = "", target: str = "") -> Markup:
    """What each shape means, for those that have a meaning here."""
    full, scale = Decimal(1), Scale(most=Decimal(1), lines=())
    shown: Sequence[tuple[str, Markup]] = (
        (kept, bar(full, full, target=None, scale=scale)),
        (added, bar(ZERO, full, target=None, scale=scale)),
        (removed, bar(full, ZERO, target=None, scale=scale)),
        (target, bar(ZERO, ZERO, target=Decimal("0.5"), scale=scale)),
    )
    return element("p", joined((element("span", key, word) for word, key in shown if word), by=" "), class_="legend")


def _anchor(line: Decimal, scale: Scale) -> str:
    return "first" if line == 0 else "last" if line == scale.most else "between"


def _rect(kind: str, start: Decimal, end: Decimal, scale: Scale) -> Markup | None:
    if end <= start:
        return None
    return element("rect", x=scale.percent(start), y="5", width=scale.percent(end - start), height="12", class_=kind)


def _line(x: str, kind: str) -> Markup:
    return element("line", x1=x, x2=x, y1="0", y2="22", class_=kind)


def _mark(x: str) -> Markup:
    """A line with a head, set off from what it stands on."""
    head = element("svg", element("path", d="M-4.5 0h9L0 6z", class_="target-head"), x=x, y="0", class_="head")
    return joined([_line(x, "target-edge"), _line(x, "target"), head])
