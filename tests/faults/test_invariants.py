"""Whatever happens in whatever order, the invariants hold (reliability.md section 3, as DESIGN amends it).

Hypothesis draws what the market, the gateway, the disk, other people and the operating system do, and when a process
is killed; the witness at the venue judges each step. At the end of every story the faults stop, and it must come to
rest. What nobody can keep is not drawn: shares filled after the broker has called their order cancelled, other people's
orders in the middle of a run, and a broker that hides all orders from a run that goes on to trade. A second order of
the broker's own making is a story of its own: nobody can keep it from trading, but it must be the last.
"""

import tempfile
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.sandbox import order_fault
from tests.support.troubles import Trouble
from tests.support.witness import CLIENT_IDS
from tests.support.world import STOCKS, World, code

from ibkr_rebalancer.core.policy import Limits, OrderType, Policy

MEMORY = Path("/dev/shm")  # noqa: S108 (a disk that costs no time, where there is one)

TARGETS: tuple[dict[str, str], ...] = (
    {"AAA": "1"},
    {"BBB": "1"},
    {"AAA": "0.5", "BBB": "0.5"},
    {"AAA": "0.3", "BBB": "0.3", "CCC": "0.4"},
    {"BBB": "0.25", "CCC": "0.75"},
    {"AAA": "0.9", "CCC": "0.1"},
)
FREE = Limits(max_daily_turnover_pct=Decimal(10_000), max_same_side_per_day=100)
"""Of what would end most stories early."""
POLICIES = (
    Policy(limits=FREE),
    Policy(limits=FREE, cash_reserve_pct=Decimal(2), min_gain_bp=Decimal(100)),
    Policy(limits=FREE, order_type=OrderType.LIMIT),
    Policy(),
    Policy(limits=Limits(max_orders_per_day=7, max_same_side_per_day=2)),
    Policy(limits=Limits(max_orders_per_plan=2, max_turnover_pct=Decimal(150))),
)
FUNDS = "YOUR ORDER IS NOT ACCEPTED. INSUFFICIENT FUNDS"
ALWAYS = 1000
MISBEHAVIOURS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("partial", {"shares": 30}, ALWAYS),
    ("partial", {"shares": 1}, 1),
    ("reject", {}, 1),
    ("reject", {"text": FUNDS}, 1),
    ("reject", {"code": 202}, 1),
    ("hold", {"why": "locate"}, 2),
    ("hold", {"status": "Inactive"}, 1),
    ("cancelled", {"ms": 400}, ALWAYS),
    ("cancelled", {"ms": 900, "code": 201, "text": FUNDS}, 1),
    ("cancel_late", {"ms": 10_000}, ALWAYS),
    ("cancel_late", {"ms": 50_000}, 2),
    ("cancel_late", {}, 1),
    ("fill_on_cancel", {}, 2),
    ("fill_on_cancel", {"shares": 7}, 1),
    ("commission_late", {"ms": 8_000}, ALWAYS),
    ("lag", {"ms": 4_000}, ALWAYS),
    ("lag", {"ms": 40_000}, 1),
    ("warn", {"code": 399, "text": "a warning"}, ALWAYS),
    ("warn", {"code": 10349, "text": "TIF set"}, ALWAYS),
)


def seldom(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly not."""
    return st.one_of(st.none(), st.none(), st.none(), st.none(), values)


def rarely() -> st.SearchStrategy[bool]:
    return st.sampled_from([False, False, False, True])


TROUBLES = st.builds(
    Trouble,
    storage_fails_at=seldom(st.integers(1, 14)),
    keeps_failed_write=st.booleans(),
    cut_at_send=seldom(st.integers(1, 5)),
    arrives=st.booleans(),
    cut_at_question=seldom(st.integers(1, 12)),
    keeps_socket=st.booleans(),
    away_s=st.sampled_from([1.0, 0.0, 20.0, 100.0, None]),
    deaf=rarely(),
    stutters=rarely(),
    lied_to=seldom(st.integers(1, 4)),
    client_id=st.sampled_from([*CLIENT_IDS[:1] * 9, *CLIENT_IDS]),
    halted_after_send=seldom(st.integers(1, 3)),
    interrupted_after_s=seldom(st.sampled_from([0.001, 0.3, 5.0, 60.0, 130.0])),
    prices_turn=seldom(st.sampled_from([Decimal("0.97"), Decimal("0.998"), Decimal("1.0045"), Decimal("1.02")])),
    answer=seldom(st.just(True)),
)
FILLS = st.fixed_dictionaries(
    {
        "delay_ms": st.sampled_from([5, 5, 700, 50_000, 150_000]),
        "slices": st.sampled_from([1, 1, 3]),
        "slippage_bp": st.sampled_from([0, 5, 10]),
    }
)


@dataclass(frozen=True, slots=True)
class Mood:
    """How the market takes orders."""

    fills: dict[str, Any]
    symbol: str
    side: str
    faults: list[tuple[str, dict[str, Any], int]]

    def befall(self, world: World) -> None:
        """From now on."""
        order = {"symbol": self.symbol, "side": self.side}
        faults = [order_fault(action, parameters=how, order=order, count=count) for action, how, count in self.faults]
        world.change(fills=self.fills, faults=faults)


MOODS = st.builds(
    Mood,
    FILLS,
    st.sampled_from(sorted(STOCKS)),
    st.sampled_from(["BUY", "SELL"]),
    st.lists(st.sampled_from(MISBEHAVIOURS), max_size=2),
)


class Trading(RuleBasedStateMachine):
    """One account's life, as short as it is hard."""

    def __init__(self) -> None:
        super().__init__()
        folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.folder = folder
        self.world = World(Path(folder.name) / "state")

    @initialize(mood=MOODS, policy=st.sampled_from(POLICIES), all_cash=st.booleans())
    def begin(self, mood: Mood, policy: Policy, all_cash: bool) -> None:
        if all_cash:
            self.world.sell_out()
        mood.befall(self.world)
        self.world.decide(policy)

    @rule(wanted=st.sampled_from(TARGETS), trouble=TROUBLES, mood=MOODS)
    def rebalances(self, wanted: dict[str, str], trouble: Trouble, mood: Mood) -> None:
        """Other targets, and a run on them that something may befall."""
        self.world.want(wanted)
        mood.befall(self.world)
        self.world.play(self.world.run(trouble))

    @rule(wanted=st.sampled_from(TARGETS), point=st.integers(5, 40), trouble=TROUBLES, mood=MOODS)
    def is_killed(self, wanted: dict[str, str], point: int, trouble: Trouble, mood: Mood) -> None:
        self.world.want(wanted)
        mood.befall(self.world)
        self.world.play(self.world.run(replace(trouble, dies_at=point)))

    @rule(trouble=TROUBLES, point=seldom(st.integers(1, 40)))
    def runs_again(self, trouble: Trouble, point: int | None) -> None:
        """On the same targets."""
        self.world.play(self.world.run(replace(trouble, dies_at=point)))

    @precondition(lambda self: not self.world.venue.open_orders)
    @rule(wanted=st.sampled_from(TARGETS))
    def is_done_once(self, wanted: dict[str, str]) -> None:
        """What is done is done: the same once more has nothing left to send, if nobody paid more than was planned."""
        self.world.change(faults=[], fills={"slippage_bp": 0})
        self.world.want(wanted)
        if code(self.world.play(self.world.run())) == "done":
            self.world.play(self.world.again())

    @rule(
        first=TROUBLES,
        second=TROUBLES,
        later_s=st.sampled_from([0.0, 0.3, 5.0, 125.0]),
        wanted=st.sampled_from(TARGETS),
    )
    def two_processes_run(self, first: Trouble, second: Trouble, later_s: float, wanted: dict[str, str]) -> None:
        self.world.want(wanted)
        self.world.play(self.world.run_two(first, second, later_s))

    @rule()
    def looks_at_nothing(self) -> None:
        self.world.play(self.world.look_at_nothing())

    @rule()
    def person_errs(self) -> None:
        """Whatever has no outcome is declared dead, also what is open."""
        self.world.play(self.world.resolve_all())

    @rule()
    def runs_dry(self) -> None:
        self.world.play(self.world.dry_run())

    @rule(mood=MOODS)
    def market_changes_its_mood(self, mood: Mood) -> None:
        """Also for orders that are open; faults that are gone let go of them."""
        mood.befall(self.world)

    @rule(symbol=st.sampled_from(sorted(STOCKS)), off=st.sampled_from(["0.9990", "1.0010"]))
    def broker_corrects(self, symbol: str, off: str) -> None:
        """The executions to come, a second after each."""
        mark = self.world.venue.scenario.market.listings[STOCKS[symbol]].mark
        price = str((mark * Decimal(off)).quantize(Decimal("0.01")))
        fault = order_fault("correct", parameters={"price": price, "ms": 900}, order={"symbol": symbol})
        self.world.change(faults=[fault])

    @precondition(lambda self: not self.world.venue.open_orders)
    @rule(factor=st.sampled_from([Decimal("0.9"), Decimal("0.99"), Decimal("1.02"), Decimal("1.1")]))
    def prices_move(self, factor: Decimal) -> None:
        self.world.move_prices(factor)

    @rule(policy=st.sampled_from(POLICIES))
    def owner_decides(self, policy: Policy) -> None:
        self.world.decide(policy)

    @rule(wanted=st.sampled_from(TARGETS))
    def runs_while_halted(self, wanted: dict[str, str]) -> None:
        self.world.halt()
        self.world.want(wanted)
        self.world.play(self.world.run())
        self.world.resume()

    @precondition(lambda self: self.world.witness.halted)
    @rule()
    def resumes(self) -> None:
        """After a halt in the middle of a run."""
        self.world.resume()

    @precondition(lambda self: not self.world.venue.open_orders)
    @rule(side=st.sampled_from(["BUY", "SELL"]), symbol=st.sampled_from(sorted(STOCKS)), rests=st.booleans())
    def stranger_trades(self, side: str, symbol: str, rests: bool) -> None:
        """A few shares, or an order that waits in the book for a better price."""
        limit = {"BUY": "5", "SELL": "900"}[side] if rests else None
        if rests or self.world.can_afford(side, symbol, 3):
            self.world.play(self.world.stranger_trades(side, symbol, 3, limit))

    @rule()
    def strangers_leave(self) -> None:
        self.world.play(self.world.strangers_leave())

    @rule(seconds=st.sampled_from([1, 31, 200, 3_600, 21_600, 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.world.play(self.world.pass_time(seconds))

    @rule(seconds=st.sampled_from([-3_600, -30, 30, 3_600]))
    def clock_is_set(self, seconds: int) -> None:
        self.world.set_clock(seconds)

    @invariant()
    def nothing_is_broken(self) -> None:
        assert not self.world.witness.breaches, self.world.witness.breaches

    def teardown(self) -> None:
        """However it went, it comes to rest."""
        try:
            if not self.world.witness.breaches:
                self.world.play(self.world.calm())
                self.nothing_is_broken()
        finally:
            self.world.close()
            self.folder.cleanup()


def check(*, examples: int, steps: int, derandomize: bool) -> None:
    run_state_machine_as_test(
        Trading,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=derandomize,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@given(
    wanted=st.sampled_from(TARGETS),
    symbol=st.sampled_from(sorted(STOCKS)),
    trouble=TROUBLES,
    point=st.none() | st.integers(8, 30),
    fills=FILLS,
    rests_s=st.sampled_from([0, 200]),
)
@settings(max_examples=20, derandomize=True, database=None, deadline=None)
def test_a_second_order_of_the_brokers_own_making_is_the_last(
    wanted: dict[str, str], symbol: str, trouble: Trouble, point: int | None, fills: dict[str, Any], rests_s: int
) -> None:
    """Whatever befalls the run that meets it: it, or the next one that gets so far, halts trading."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(Path(folder) / "state")
        try:
            world.change(fills=fills, faults=[order_fault("duplicate_perm", order={"symbol": symbol}, count=1)])
            world.want(wanted)
            world.play(world.run(replace(trouble, dies_at=point, halted_after_send=None)))
            world.change(faults=[], fills={"delay_ms": 5})
            world.play(world.pass_time(rests_s))
            is_met = len({order.perm_id for order in world.venue.open_orders + world.venue.completed}) > len(
                world.witness.placed
            )
            for _ in range(2):
                if is_met and not world.is_halted:
                    world.play(world.run())
            assert world.is_halted == is_met
        finally:
            world.close()


@pytest.mark.timeout(600)
def test_the_invariants_hold_in_short_stories() -> None:
    """Always the same ones: what a change breaks, and not what luck finds."""
    check(examples=40, steps=10, derandomize=True)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_the_invariants_hold_in_long_stories() -> None:
    check(examples=1000, steps=25, derandomize=False)
