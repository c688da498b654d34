"""Every invariant can be broken: a mistake that is made on purpose, and the story that brings it to light."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support import trading_defects as wrong
from tests.support.sandbox import order_fault
from tests.support.troubles import PEACE, Trouble
from tests.support.world import Alter, World

from ibkr_rebalancer.core.order_book import OrderBook
from ibkr_rebalancer.core.order_state import OrderState, OrderStatus
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.policy import Limits, OrderType, Policy
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.purchases import shrunk
from ibkr_rebalancer.core.quotes import Prices
from ibkr_rebalancer.core.report import Report, execution_report
from ibkr_rebalancer.flows.order_gate import OrderGate

ROOT = Path(__file__).parents[2]
SLOW = {"delay_ms": 1_000_000}
"""Longer than any run."""
STUCK = order_fault("partial", parameters={"shares": 30}, order={"symbol": "AAA"})
SENT_ONCE = 10
"""The point after the first order has been placed."""


async def switches(world: World, trouble: Trouble = PEACE) -> None:
    """All of AAA is to become BBB."""
    world.want({"BBB": "1"})
    await world.run(trouble)


async def holds_a_future(world: World) -> None:
    future = {"con_id": 901, "sec_type": "FUT", "bid": "100", "ask": "101", "last": "100", "average_cost": "60"}
    world.change(market={"FUT": future}, accounts={"DU1": {"positions": {"FUT": 50}}})
    await world.run()


async def meets_a_stuck_order(world: World) -> None:
    world.change(faults=[STUCK])
    await switches(world)


async def is_cut_off_after_sending(world: World) -> None:
    world.change(fills=SLOW)
    await switches(world, Trouble(cut_at_send=1))


async def is_refused_in_the_middle(world: World) -> None:
    """A purchase lacks funds when half of it is filled; another one is not allowed, and leaves its money."""
    late = {"ms": 1000, "code": 201, "text": "INSUFFICIENT FUNDS"}
    world.change(
        faults=[
            order_fault("partial", parameters={"shares": 90}, order={"symbol": "BBB"}, count=1),
            order_fault("cancelled", parameters=late, order={"symbol": "BBB"}, count=1),
            order_fault("reject", parameters={"text": "No trading permissions"}, order={"symbol": "CCC"}),
        ]
    )
    world.want({"BBB": "0.5", "CCC": "0.5"})
    await world.run()


async def sends_limit_orders(world: World) -> None:
    world.decide(Policy(order_type=OrderType.LIMIT))
    await switches(world)


async def runs_after_a_halt(world: World) -> None:
    world.halt()
    await switches(world)


async def runs_while_another_runs(world: World) -> None:
    world.change(fills=SLOW)
    world.want({"BBB": "1"})
    await world.run_two(PEACE, PEACE, 0.3)


async def runs_after_a_kill(world: World) -> None:
    world.change(fills=SLOW)
    await switches(world, Trouble(dies_at=SENT_ONCE))
    await world.run()


async def errs_about_an_open_order(world: World) -> None:
    world.change(fills=SLOW)
    await switches(world, Trouble(dies_at=SENT_ONCE))
    await world.resolve_all()
    await world.run()


async def looks_at_nothing_and_runs(world: World) -> None:
    world.change(fills=SLOW)
    await switches(world, Trouble(dies_at=SENT_ONCE))
    await world.look_at_nothing()
    await world.run()


async def is_lied_to(world: World) -> None:
    world.change(fills=SLOW)
    await switches(world, Trouble(lied_to=1))


async def switches_and_does_so_again(world: World) -> None:
    await switches(world)
    await world.again()


async def goes_to_and_fro(world: World) -> None:
    world.decide(Policy(limits=Limits(max_same_side_per_day=1)))
    for symbol in ("BBB", "AAA", "BBB"):
        world.want({symbol: "1"})
        await world.run()


async def is_warned_of_an_order(world: World) -> None:
    warning = order_fault("warn", parameters={"code": 10349, "text": "TIF set to DAY"})
    world.change(fills=SLOW, faults=[warning])
    await switches(world)


async def comes_to_rest(world: World) -> None:
    await switches(world)
    await world.calm()


async def fills_the_disk(world: World) -> None:
    await switches(world, Trouble(storage_fails_at=3))


async def is_corrected(world: World) -> None:
    price = order_fault("correct", parameters={"price": "99.90", "ms": 100}, order={"symbol": "AAA"})
    world.change(fills={"delay_ms": 700, "slices": 4}, faults=[price])
    await switches(world)


async def deploys_while_prices_rise(world: World) -> None:
    """By less than what makes a plan another one, and more than the reserve can pay."""
    world.sell_out()
    world.want({"CCC": "1"})
    await world.run(Trouble(prices_turn=Decimal("1.0045"), answer=True))


async def deploys_at_limits(world: World) -> None:
    world.sell_out()
    world.decide(Policy(order_type=OrderType.LIMIT, limit_offset_bp=Decimal(100)))
    world.want({"CCC": "1"})
    await world.run()


async def does_not_look_back(account: AccountId, gate: OrderGate, **_: object) -> OrderBook:
    """In place of reconciling."""
    return await gate.session.desk.order_book(account)


async def does_not_wait(*_: object, **__: object) -> None:
    """In place of bringing orders to their end."""


async def takes_no_last_look(*_: object, **__: object) -> None:
    """In place of looking once more before the first order."""


async def sees_every_fill(*_: object, **__: object) -> None:
    """In place of waiting for the positions to show what was filled."""


def does_nothing(*_: object) -> None:
    """In place of looking whether something is open."""


def calls_it_done(*arguments: Any, **named: Any) -> Report:
    return replace(execution_report(*arguments, **named), outcome="done", exit_code=0)


def is_rich(*_: object) -> Mapping[str, Decimal]:
    return {"USD": Decimal(1_000_000)}


def forgets_what_has_filled(intent: OrderIntent, **_: object) -> OrderIntent | None:
    return shrunk(intent, filled=0)


def costs_the_ask(_: Side, *, prices: Prices, **__: object) -> Decimal:
    return prices.ask


def is_filled(state: OrderState) -> bool:
    return state.status is OrderStatus.FILLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A mistake in the ports, or in place of functions of the product, and the breach that it must come to."""

    breach: str
    story: Callable[[World], Any]
    ports: Alter = lambda ports, _: ports
    functions: Mapping[str, Any] = field(default_factory=dict)


FLOWS = "ibkr_rebalancer.flows"
EXECUTION = f"{FLOWS}.execution"
TAKES_FILLS_AS_SEEN = {f"{FLOWS}.reconcile._require_fills_shown": sees_every_fill}
OVERLOOKS = {
    f"{FLOWS}.docket.Docket.take_back": does_nothing,
    f"{FLOWS}.reconcile.require_none_open": does_nothing,
    f"{FLOWS}.last_look.require_none_open": does_nothing,
}
"""What is open is nobody's business once it has an outcome."""
DEFECTS = {
    "trades in a dry run": Defect(breach="I1 ", story=World.dry_run, ports=wrong.trades_in_a_dry_run),
    "sends again on timeout": Defect(breach="I3 ", story=is_cut_off_after_sending, ports=wrong.sends_again_on_timeout),
    "writes the intent after sending": Defect(breach="I4 ", story=switches, ports=wrong.writes_after_sending),
    "float money": Defect(breach="I4 ", story=sends_limit_orders, ports=wrong.counts_money_in_floats),
    "keeps no targets": Defect(breach="I5 ", story=switches, ports=wrong.keeps_no_targets),
    "sends a smaller order after one that filled": Defect(
        breach="I6 ",
        story=switches,
        functions={f"{EXECUTION}.lacked_funds": is_filled, f"{EXECUTION}.shrunk": forgets_what_has_filled},
    ),
    "tries all of an order again that filled in part": Defect(
        breach="I6 ", story=is_refused_in_the_middle, functions={f"{EXECUTION}.shrunk": forgets_what_has_filled}
    ),
    "plans on holdings of yesterday": Defect(
        breach="I7 ", story=switches_and_does_so_again, ports=wrong.remembers_holdings(), functions=TAKES_FILLS_AS_SEEN
    ),
    "spends what it has not": Defect(
        breach="I8 ",
        story=meets_a_stuck_order,
        functions={f"{EXECUTION}.cash_after_fills": is_rich, f"{EXECUTION}.disagreeing": lambda *_: []},
    ),
    "buys at the prices of the plan": Defect(
        breach="I8 ", story=deploys_while_prices_rise, ports=wrong.remembers_prices()
    ),
    "counts limit orders at the ask": Defect(
        breach="I8 ",
        story=deploys_at_limits,
        functions={
            "ibkr_rebalancer.core.policy.Policy.purchase_reserve": Policy.reserve,
            "ibkr_rebalancer.core.purchases.limit_price": costs_the_ask,
        },
    ),
    "buys before the sales are proven": Defect(
        breach="I9 ",
        story=switches,
        functions={
            f"{EXECUTION}.settle": does_not_wait,
            f"{EXECUTION}.Execution._require_clear_sight": lambda _: None,
        },
    ),
    "ignores a halt": Defect(breach="I10 halted", story=runs_after_a_halt, ports=wrong.ignores_a_halt),
    "takes no lock": Defect(breach="I10 account not held", story=runs_while_another_runs, ports=wrong.takes_no_lock),
    "does not reconcile": Defect(
        breach="I10 an order of an earlier run",
        story=runs_after_a_kill,
        functions={
            f"{FLOWS}.trading.reconcile": does_not_look_back,
            f"{EXECUTION}.look_before_sending": takes_no_last_look,
        },
    ),
    "takes a person's word against the list of open orders": Defect(
        breach="I10 an order of an earlier run", story=errs_about_an_open_order, functions=OVERLOOKS
    ),
    "takes an order for absent that is listed again": Defect(
        breach="I7 ", story=looks_at_nothing_and_runs, functions=OVERLOOKS
    ),
    "takes the word for a cancel": Defect(
        breach="I9 ", story=is_lied_to, functions={f"{FLOWS}.reconcile._was_cancelled": lambda _: False}
    ),
    "sells an option": Defect(breach="I11 ", story=switches, ports=wrong.takes_options_for_stocks),
    "cancels everything": Defect(breach="I12 ", story=meets_a_stuck_order, ports=wrong.cancels_everything),
    "forgets what it sent today": Defect(breach="I13 ", story=goes_to_and_fro, ports=wrong.forgets_what_it_sent),
    "takes an error for a cancel": Defect(
        breach="I14 ",
        story=is_warned_of_an_order,
        ports=wrong.takes_errors_for_cancels,
        functions={f"{FLOWS}.reconcile._was_cancelled": lambda _: False},
    ),
    "ignores half of a look": Defect(breach="I14 ", story=is_cut_off_after_sending, ports=wrong.sees_half_a_book),
    "never gets there": Defect(breach="I15 ", story=comes_to_rest, ports=wrong.loses_purchases),
    "does it all again": Defect(
        breach="I16 ", story=switches_and_does_so_again, ports=wrong.remembers_holdings(), functions=TAKES_FILLS_AS_SEEN
    ),
    "overshoots": Defect(
        breach="I17 ", story=switches_and_does_so_again, ports=wrong.remembers_holdings(), functions=TAKES_FILLS_AS_SEEN
    ),
    "plans otherwise than it keeps": Defect(breach="I18 ", story=switches, ports=wrong.plans_otherwise_than_it_keeps),
    "takes a cut list for a whole one": Defect(
        breach="I20 ",
        story=switches,
        ports=wrong.takes_a_cut_list_for_a_whole_one,
        functions={f"{FLOWS}.snapshot.require_agreement": lambda *_: None},
    ),
    "lets an option excuse a cut list": Defect(
        breach="I20 ",
        story=comes_to_rest,
        ports=wrong.misses_the_stocks,
        functions={"ibkr_rebalancer.core.portfolio._require_same_worth": lambda _: None},
    ),
    "lets a future excuse a cut list": Defect(
        breach="I20 ",
        story=holds_a_future,
        ports=wrong.misses_the_stocks,
        functions={"ibkr_rebalancer.core.portfolio._require_same_stocks": lambda _: None},
    ),
    "goes on without a journal": Defect(breach="I19 ", story=fills_the_disk, ports=wrong.overlooks_a_full_disk),
    "counts corrections twice": Defect(
        breach="I24 ", story=is_corrected, functions={"ibkr_rebalancer.core.evidence._root": lambda name: name}
    ),
    "reports the plan": Defect(
        breach="I25 ", story=meets_a_stuck_order, functions={f"{EXECUTION}.execution_report": calls_it_done}
    ),
}
ELSEWHERE = {
    2: "tests/cli/test_failures.py",
    21: "tests/cli/test_secrets.py",
    22: "tests/faults/test_endurance.py",
    23: "tests/cli/test_stopping.py",
}
"""What no story at the venue can show: the account of the other mode, secrets, memory that stays flat, signals."""


def told(defect: Defect, folder: Path) -> list[str]:
    """The breaches that the story brings."""
    world = World(folder / "state", alter=defect.ports)
    try:
        world.play(defect.story(world))
    finally:
        world.close()
    return world.witness.breaches


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_breaks_the_invariant_that_forbids_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defect = DEFECTS[name]
    for place, function in defect.functions.items():
        monkeypatch.setattr(place, function)
    breaches = told(defect, tmp_path)
    assert any(breach.startswith(defect.breach) for breach in breaches), breaches


@pytest.mark.parametrize("name", DEFECTS)
def test_the_same_story_breaks_nothing_without_the_defect(name: str, tmp_path: Path) -> None:
    assert not told(replace(DEFECTS[name], ports=lambda ports, _: ports), tmp_path)


def test_every_invariant_has_its_defect() -> None:
    broken = {int(defect.breach.split()[0].removeprefix("I")) for defect in DEFECTS.values()}
    assert sorted([*broken, *ELSEWHERE]) == list(range(1, 26))
    assert all((ROOT / place).is_file() for place in ELSEWHERE.values())
