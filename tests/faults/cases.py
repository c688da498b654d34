"""What a row of the fault catalogue is made of: cases, each for one driver."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.stage import Moment, Person
from tests.support.watch_scene import Stage

from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.sandbox.venue.document import Document

ALL_BBB: Mapping[str, str] = {"BBB": "1"}
"""The account holds 10,000 and 100 AAA at about 100: all of it is to become BBB at about 50."""

SELL, BUY = "SELL 100 AAA", "BUY 398 BBB"
"""The orders of that plan."""
SOLD, BOUGHT = "SELL 100/100 AAA filled", "BUY 398/398 BBB filled"
"""How they are told when all fills."""

DONE, NOTHING = "0 done", "0 nothing-to-do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way a fault comes about, and how the run that meets it must end."""

    how: str
    ends: str
    """Exit code with reason code or outcome: `20 LINK_DOWN`, `12 partial`. The reason code speaks for a run that has
    sent nothing."""
    sent: tuple[str, ...] = ()
    """What this run sends, in order, by the venue."""
    told: tuple[str, ...] | None = None
    """How the report tells of each order, side filled/quantity symbol status; None is not looked at."""
    says: str = ""
    """Part of what the report or the error says."""
    then: str | None = None
    """How the first run after it ends, once the fault is gone; None is not looked at."""
    settles: str = NOTHING
    """What the runs after it come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded(Case):
    """Over the venue without sockets, in virtual time."""

    moment: Moment | None = None
    history: Mapping[str, str] | None = None
    """The targets of a run before, that meets nothing."""
    venue: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the base scenario."""
    targets: Mapping[str, str] = field(default_factory=lambda: ALL_BBB)
    then_targets: Mapping[str, str] | None = None
    """Of the runs after it, if they are others."""
    policy: Policy | None = None
    then_policy: Policy | None = None
    then_after_s: float = 60
    """From one run to the next."""
    account: str = "DU1"
    """One that begins with U is real."""
    adopt: bool = False
    person: Person | None = None
    shown: tuple[tuple[str, ...], ...] = ()
    """What that person is shown, each time."""
    overdraws: bool = False
    """The fault itself takes the account's cash or holdings below nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired(Case):
    """Over sockets, with the real client, by the library."""

    faults: Sequence[Document] = ()
    change: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the scenario."""
    hurry: Mapping[str, float] = field(default_factory=dict)
    """Deadlines of the gateway edge that are met, in seconds."""
    targets_within_s: float = 20.0
    """The deadline of the allocation source."""
    entry: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the account's entry in accounts.yaml."""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Case):
    """A watch over the venue without sockets, in virtual time. It ends as its runs do, one after the other."""

    story: Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table of faults in the facts about reliability, 2.3."""

    number: int
    fault: str
    cases: tuple[Case, ...] = ()
    void: str = ""
    """Why there is nothing to run."""
    instead: str = ""
    """What holds where the design, or another row of it, decides otherwise than the table."""
    proven_by: tuple[str, ...] = ()
    """Tests elsewhere that go through all the ways it can come about: `tests/edges/test_x.py::test_y`."""
    processes: tuple[str, ...] = ()
    """Tests of `test_process_faults` that run it with real processes."""


def order_fault(action: str, symbol: str = "", **parameters: Any) -> Document:
    """A fault of the market, that all orders in this symbol meet."""
    return {"when": {"order": {"symbol": symbol} if symbol else {}}, "what": {action: parameters}}


def faults(*records: Document) -> dict[str, Any]:
    return {"faults": list(records)}


def answer(body: object, **http: Any) -> dict[str, Any]:
    """Another answer of the allocation source."""
    return {"allocations": {"primary": {"http": {"body": body, **http}}}}


def weights(**by_symbol: float) -> Document:
    """An allocation document."""
    rows = [{"symbol": symbol, "allocation": weight} for symbol, weight in by_symbol.items()]
    return {"status": "success", "data": {"allocations": rows}}


def listing(symbol: str, **facts: Any) -> dict[str, Any]:
    """A change of the market in one symbol."""
    return {"market": {symbol: facts}}
