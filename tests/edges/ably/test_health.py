"""What is told of the two sides of the line, and what is not."""

import pytest
from tests.support.reading import Notices

from ibkr_rebalancer.edges.ably.deadlines import DEADLINES
from ibkr_rebalancer.edges.ably.health import Health
from ibkr_rebalancer.edges.ably.troubles import Kind, Trouble

LOST = Trouble(kind=Kind.LINE, why="no answer came in time")
REFUSED = Trouble(kind=Kind.KEY, why="Ably refuses the API key (error 40101)")
FORBIDDEN = Trouble(kind=Kind.CAPABILITY, why="the API key may not do that")

UP, DEGRADED, DOWN = "events.up", "events.degraded", "events.down"


class Line:
    """Both sides, and a clock to set."""

    def __init__(self, *channels: str) -> None:
        self.now = 0.0
        self.notices = Notices()
        self.channels = channels
        self.health = Health(channels, observer=self.notices, deadlines=DEADLINES, now=lambda: self.now)

    def live(self, trouble: Trouble | None = None, *, at: float, of: str = "") -> None:
        """Of one channel, or of all."""
        self.now = at
        self.health.hear_live(dict.fromkeys([of] if of else self.channels, trouble))

    def history(self, trouble: Trouble | None = None, *, at: float, of: str = "") -> None:
        self.now = at
        self.health.hear_history(dict.fromkeys([of] if of else self.channels, trouble))

    @property
    def told(self) -> list[str]:
        return [notice.event for notice in self.notices.heard]


@pytest.fixture
def line() -> Line:
    return Line("c")


@pytest.fixture
def well(line: Line) -> Line:
    line.live(at=1)
    line.history(at=1)
    return line


def test_it_is_up_when_both_sides_are_known_to_be(line: Line) -> None:
    line.live(at=1)
    assert line.told == []
    line.history(at=2)
    line.live(at=3)
    assert line.told == [UP]


def test_brief_trouble_is_not_told(well: Line) -> None:
    well.live(LOST, at=10)
    well.live(LOST, at=58)
    well.live(at=58)
    well.history(LOST, at=59)
    well.history(at=62)
    assert well.told == [UP]


def test_lasting_trouble_is_told_once_whatever_changes_in_it(well: Line) -> None:
    for at in range(10, 1000, 10):
        well.live(LOST, at=at)
        well.history(LOST if at % 200 else None, at=at)
    assert well.told == [UP, DOWN]
    well.live(at=1001)
    well.history(at=1002)
    assert well.told == [UP, DOWN, UP]


def test_trouble_of_history_alone_degrades(well: Line) -> None:
    well.history(LOST, at=70)
    assert well.told == [UP, DEGRADED]


@pytest.mark.parametrize("trouble", [REFUSED, FORBIDDEN])
def test_a_refusal_is_told_at_once(well: Line, trouble: Trouble) -> None:
    well.live(trouble, at=2)
    assert well.told == [UP, DOWN]


def test_both_sides_refused_are_one_notice(line: Line) -> None:
    line.live(REFUSED, at=1)
    line.history(REFUSED, at=2)
    line.live(REFUSED, at=300)
    assert line.told == [DOWN]
    assert line.notices.texts[0].count("refuses the API key") == 1


@pytest.mark.parametrize("trouble", [LOST, REFUSED])
@pytest.mark.parametrize("first", ["live", "history"])
def test_the_side_that_mends_first_speaks_for_the_other(line: Line, trouble: Trouble, first: str) -> None:
    line.live(trouble, at=100)
    line.history(trouble, at=100)
    for side in (line.live, line.history) if first == "live" else (line.history, line.live):
        side(at=101)
    assert line.told == [DOWN, UP]


def test_a_missing_capability_is_not_mended_by_the_other_side(line: Line) -> None:
    line.history(FORBIDDEN, at=1)
    line.live(LOST, at=70)
    line.live(at=80)
    assert line.told == [DOWN, DEGRADED]


@pytest.mark.parametrize(("found", "told"), [(None, UP), (FORBIDDEN, DEGRADED)])
def test_an_old_refusal_of_history_is_not_told_before_history_is_read_anew(
    line: Line, found: Trouble | None, told: str
) -> None:
    line.live(FORBIDDEN, at=1)
    line.history(FORBIDDEN, at=1)
    line.now = 301
    line.health.expect_history("c")
    line.live(at=301)
    assert line.told == [DOWN]
    line.history(found, at=302)
    assert line.told == [DOWN, told]


# Several channels


@pytest.fixture
def lines() -> Line:
    """Three channels, of which all is well."""
    lines = Line("a", "b", "c")
    lines.live(at=1)
    lines.history(at=1)
    return lines


def test_only_the_channels_concerned_are_told_of(lines: Line) -> None:
    lines.live(FORBIDDEN, at=2, of="b")
    lines.history(LOST, at=70, of="c")
    assert lines.told == [UP, DOWN, DOWN]
    first = (
        "Events on b are not heard as they are published: the API key may not do that. Ably is asked for them every"
        " 30 s instead."
    )
    second = (
        "Events on c are heard, but none can be looked up afterwards: no answer came in time. It is tried again for"
        " ever; then what was missed is fetched, as far back as Ably keeps it."
    )
    remedy = "The key needs the capabilities subscribe and history on each channel."
    assert lines.notices.texts[1:] == [
        f"{first} Those on a, c are heard as always. {remedy}",
        f"{first} {second} Those on a are heard as always. {remedy}",
    ]


def test_it_is_up_when_all_channels_are_known_to_be() -> None:
    line = Line("a", "b")
    line.live(at=1)
    line.history(at=2, of="a")
    assert line.told == []
    line.history(at=3, of="b")
    assert line.told == [UP]
    assert line.notices.texts == ["Listening for events on a, b."]


def test_what_befalls_all_does_not_change_why_one_is_refused(lines: Line) -> None:
    lines.live(FORBIDDEN, at=2, of="b")
    for at in range(10, 50, 10):
        lines.live(LOST, at=at)
        lines.live(at=at + 5, of="a")
        lines.live(at=at + 5, of="c")
    assert lines.told == [UP, DOWN]


def test_channels_that_mend_one_after_the_other_are_told_of_once(lines: Line) -> None:
    lines.live(LOST, at=70)
    for at, name in ((71, "a"), (72, "b"), (73, "c")):
        lines.live(at=at, of=name)
    assert lines.told == [UP, DOWN, UP]
