"""Accounts are carried out side by side over one gateway: what befalls one of them, or all, and time that passes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.notation import allocation_body
from tests.support.trading_scene import START, TradingScene
from tests.support.venue_desk import VenueDesk
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.errors import GatewayRefused, RebalancerError, StorageFailed
from ibkr_rebalancer.core.evidence import Sent
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_state import OrderStatus, order_state
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.flows.trading import Confirm
from ibkr_rebalancer.ports import Halt

DU1, DU2 = AccountId("DU1"), AccountId("DU2")
SWITCH = allocation_body({"BBB": Decimal(1)})
BOTH = {"DU1": SWITCH, "DU2": SWITCH}
HOLDINGS = {name: {"cash": "10000", "positions": {"AAA": 100}} for name in BOTH}
ALL = ["SELL 100 AAA", "BUY 398 BBB"]
STUCK = {"when": {"order": {"account": "DU1", "side": "SELL"}}, "what": {"hold": {}}}
"""The first account's sale waits two minutes in vain."""


class Killed(BaseException):
    """Nothing of the product takes this for an error."""


class Bug(Exception):
    """A mistake of ours."""


def play(story: Any) -> Any:
    """Run a story in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)


def endings(outcomes: Mapping[AccountId, Report | RebalancerError]) -> list[str]:
    return [each.outcome if isinstance(each, Report) else each.code for each in outcomes.values()]


def orders_of(scene: TradingScene, account: AccountId) -> list[str]:
    placed = zip(scene.gateway.placed, scene.orders, strict=True)
    return [order for ticket, order in placed if ticket.account == account]


# One of them


def test_an_account_whose_order_is_stuck_keeps_no_other_waiting(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, faults=[STUCK])
        bought_at: list[float] = []

        def note(order: OrderIntent) -> None:
            if (order.account, order.side) == (DU2, Side.BUY):
                bought_at.append(asyncio.get_running_loop().time())

        scene.gateway.line.after_send = note
        first, second = (await scene.rebalance_all(BOTH)).values()
        assert isinstance(first, Report)
        assert isinstance(second, Report)
        assert (first.outcome, second.outcome) == ("partial", "done")
        assert orders_of(scene, DU1) == ["SELL 100 AAA", "BUY 199 BBB"]
        assert orders_of(scene, DU2) == ALL
        assert scene.orders[:2] == ["SELL 100 AAA"] * 2
        assert second.ended - START < timedelta(seconds=10)
        assert first.ended - START > timedelta(seconds=120)
        (at,) = bought_at
        assert at < 5
        asked = [question for question, _ in scene.market.asked]
        assert asked.count("quotes") == 1 + 2, "both together, and each before its purchases"

    play(story())


def test_what_is_heard_of_each_account_is_told_of_that_one(tmp_path: Path) -> None:
    """Fills come a few shares at a time, in all accounts at once."""
    many = {f"DU{number}": SWITCH for number in range(1, 6)}
    holdings = {
        name: {"cash": f"{number}000", "positions": {"AAA": 10 * number}} for number, name in enumerate(many, 1)
    }

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=holdings, fills={"delay_ms": 700, "slices": 4})
        outcomes = await scene.rebalance_all(many)
        assert endings(outcomes) == ["done"] * 5
        for account, report in outcomes.items():
            assert isinstance(report, Report)
            told = [(order.side.value, order.filled, order.symbol) for order in report.orders]
            assert [f"{side} {filled} {symbol}" for side, filled, symbol in told] == orders_of(scene, account)
            with scene.ports({}) as ports:
                orders = ports.ledger.orders(account, since=START)
            assert {order.intent.account for order in orders} == {account}
            assert not any("BUY" in order for order in scene.orders[:5])

    play(story())


def test_a_bug_in_one_account_is_told_when_the_others_have_come_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = VenueDesk.place

    async def stumbles(desk: VenueDesk, intent: OrderIntent) -> None:
        if intent.account == DU1:
            raise Bug
        await place(desk, intent)

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, fills={"delay_ms": 5000, "slices": 3})
        monkeypatch.setattr(VenueDesk, "place", stumbles)
        with pytest.raises(Bug):
            await scene.rebalance_all(BOTH)
        assert orders_of(scene, DU1) == []
        assert orders_of(scene, DU2) == ALL
        with scene.ports({}) as ports:
            kept = {run.start.account: run for run in ports.ledger.runs(limit=9)}
        assert (kept[DU1].report, kept[DU1].failure) == (None, None)
        report = kept[DU2].report
        assert report is not None
        assert report.outcome == "done"

    play(story())


# All of them


@pytest.mark.parametrize("trouble", ["cut", "interrupt"])
def test_a_connection_that_breaks_is_found_again_by_all(tmp_path: Path, trouble: str) -> None:
    """What the first has sent is looked for, and it goes on; what the second was about to send was not sent."""

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)

        def happen(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            getattr(scene.gateway.line, trouble)()

        scene.gateway.line.after_send = happen
        assert endings(await scene.rebalance_all(BOTH)) == ["done", "partial"]
        assert orders_of(scene, DU1) == ALL
        assert orders_of(scene, DU2) == ["BUY 199 BBB"]
        with scene.ports({}) as ports:
            assert not ports.ledger.unsettled()
        assert endings(await scene.rebalance_all(BOTH)) == ["nothing-to-do", "done"]
        assert scene.held("DU1") == scene.held("DU2") == {"BBB": 398}

    play(story())


@pytest.mark.parametrize("trouble", ["cut", "interrupt"])
def test_an_interruption_is_told_to_every_account_before_it_sends_more(tmp_path: Path, trouble: str) -> None:
    """All sales are out when the line fails and is back at once: each account looks before it buys."""

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS, fills={"delay_ms": 3000})
        scene.gateway.back_after_s = 0
        books: list[AccountId] = []
        order_book = VenueDesk.order_book

        async def looked(desk: VenueDesk, account: AccountId) -> Any:
            books.append(account)
            return await order_book(desk, account)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(VenueDesk, "order_book", looked)
            running = asyncio.ensure_future(scene.rebalance_all(BOTH))
            await asyncio.sleep(1)
            assert scene.orders == ["SELL 100 AAA"] * 2
            del books[:]
            getattr(scene.gateway.line, trouble)()
            assert endings(await running) == ["done", "done"]
        assert set(books) == {DU1, DU2}
        assert sorted(scene.orders) == sorted(ALL * 2)

    play(story())


def test_a_halt_stops_all_before_their_next_order(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)

        def halt(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            assert scene.journal is not None
            scene.journal.halt(Halt(at=START, reason="a test"))

        scene.gateway.line.after_send = halt
        assert endings(await scene.rebalance_all(BOTH)) == ["halted", "halted"]
        assert scene.orders == ["SELL 100 AAA"], "the other had its turn to send after the halt"

    play(story())


def test_a_journal_that_fails_for_one_account_stops_all_before_their_next_order(tmp_path: Path) -> None:
    """Also those whose next order is in the journal already."""

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)

        def fail(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            assert scene.journal is not None
            with pytest.raises(StorageFailed):
                scene.journal.observe([Heard(order_ref="rb1-nobody-1", evidence=Sent(at=START))])

        scene.gateway.line.after_send = fail
        first, second = (await scene.rebalance_all(BOTH)).values()
        assert isinstance(first, Report)
        assert isinstance(second, Report)
        assert [(run.outcome, run.code) for run in (first, second)] == [("unknown", "JOURNAL_LOST")] * 2
        assert scene.orders == ["SELL 100 AAA"]

    play(story())


def test_a_connection_that_broke_among_old_orders_is_another_one_for_the_plan(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, fills={"delay_ms": 3000, "slices": 3})

        def die(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            raise Killed

        scene.gateway.line.after_send = die
        with pytest.raises(Killed):
            await scene.rebalance(SWITCH)
        await asyncio.sleep(1)
        asyncio.get_running_loop().call_later(2, scene.gateway.line.cut)
        report = await scene.rebalance(SWITCH)
        assert isinstance(report, Report)
        assert report.outcome == "done"
        assert scene.orders == ALL

    play(story())


# Time that passes


def stop(running: asyncio.Task[Any]) -> None:
    asyncio.get_running_loop().call_soon(running.cancel)


def sleeps_while_it_plans(scene: TradingScene, patch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """The machine is put to sleep once the first quotes are there; this is what it wakes up to, a minute later."""
    pinned = Journal.pinned

    def woken(journal: Journal) -> Any:
        patch.setattr(Journal, "pinned", pinned)
        scene.ours.set_on(timedelta(minutes=1))
        scene.clock.set_on(timedelta(minutes=1))
        then()
        return pinned(journal)

    patch.setattr(Journal, "pinned", woken)


def falls_asleep_agreeing(scene: TradingScene, patch: pytest.MonkeyPatch, then: Callable[[], None]) -> Confirm:
    """A person who says yes, and whose machine sleeps once the first quotes after that are there."""

    async def agree(_: Sequence[Plan]) -> bool:
        sleeps_while_it_plans(scene, patch, then)
        return True

    return agree


def test_plans_that_have_become_old_are_looked_at_again_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)
        sleeps_while_it_plans(scene, monkeypatch, lambda: None)
        assert endings(await scene.rebalance_all(BOTH)) == ["done", "done"]
        assert scene.orders == [*["SELL 100 AAA"] * 2, *["BUY 398 BBB"] * 2]
        asked = [question for question, _ in scene.market.asked]
        assert asked.count("quotes") == 1 + 1 + 2, "both together, both again, and each before its purchases"

    play(story())


def test_what_has_changed_until_then_stops_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)
        dearer = {"market": {"BBB": {"bid": "54.99", "ask": "55.01"}}}
        agree = falls_asleep_agreeing(scene, monkeypatch, lambda: scene.change(**dearer))
        assert endings(await scene.rebalance_all(BOTH, confirm=agree)) == ["PLAN_STALE", "PLAN_STALE"]
        assert scene.orders == []

    play(story())


def test_what_has_changed_for_one_of_them_stops_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)
        spent = {"accounts": {"DU2": {"cash": "4000"}}}
        agree = falls_asleep_agreeing(scene, monkeypatch, lambda: scene.change(**spent))
        assert endings(await scene.rebalance_all(BOTH, confirm=agree)) == ["done", "PLAN_STALE"]
        assert scene.orders == ALL

    play(story())


def test_what_nobody_has_seen_is_planned_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)
        dearer = {"market": {"BBB": {"bid": "54.99", "ask": "55.01", "last": "55"}}}
        sleeps_while_it_plans(scene, monkeypatch, lambda: scene.change(**dearer))
        assert endings(await scene.rebalance_all(BOTH)) == ["done", "done"]
        assert scene.orders == [*["SELL 100 AAA"] * 2, *["BUY 362 BBB"] * 2]

    play(story())


def test_orders_that_cannot_be_looked_at_again_stop_the_account_they_are_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_book = VenueDesk.order_book

    async def refused(desk: VenueDesk, account: AccountId) -> Any:
        if account == DU2:
            raise GatewayRefused("GATEWAY_REFUSED", "The gateway refused the executions.", hint="Wait.")
        return await order_book(desk, account)

    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)
        sleeps_while_it_plans(scene, monkeypatch, lambda: monkeypatch.setattr(VenueDesk, "order_book", refused))
        assert endings(await scene.rebalance_all(BOTH)) == ["done", "GATEWAY_REFUSED"]
        assert scene.orders == ALL

    play(story())


def test_prices_that_have_risen_a_little_make_the_purchases_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By too little to make its plan another one, and by more than its reserve can pay."""

    async def story() -> None:
        accounts = {**HOLDINGS, "DU2": {"cash": "20000", "positions": {}}}
        scene = TradingScene(tmp_path, accounts=accounts)
        dearer = {"market": {"BBB": {"bid": "50.21", "ask": "50.23", "last": "50.22"}}}
        agree = falls_asleep_agreeing(scene, monkeypatch, lambda: scene.change(**dearer))
        _, late = (await scene.rebalance_all(BOTH, confirm=agree)).values()
        assert isinstance(late, Report)
        assert orders_of(scene, DU2) == ["BUY 397 BBB"]
        assert scene.cash("DU2") >= Decimal(25)
        assert [cut.reason for cut in late.adjustments] == [
            "19,975.00 can be spent, and all purchases would cost 19,993.53"
        ]

    play(story())


def test_a_market_that_has_closed_until_then_defers_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        closes = (START + timedelta(minutes=1)).strftime("%H:%M")
        hours = {name: {"hours": f"09:30-{closes} UTC"} for name in ("AAA", "BBB", "CCC")}
        scene = TradingScene(tmp_path, accounts=HOLDINGS, market=hours)
        sleeps_while_it_plans(scene, monkeypatch, lambda: None)
        assert endings(await scene.rebalance_all(BOTH)) == ["MARKET_CLOSED", "MARKET_CLOSED"]
        assert scene.orders == []

    play(story())


def test_an_interruption_while_they_are_looked_at_again_begins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, accounts=HOLDINGS)
        running: asyncio.Task[Any] = asyncio.ensure_future(scene.rebalance_all(BOTH))
        sleeps_while_it_plans(scene, monkeypatch, lambda: stop(running))
        with pytest.raises(asyncio.CancelledError):
            await running
        assert scene.orders == []
        with scene.ports({}) as ports:
            assert [run.failure and run.failure.code for run in ports.ledger.runs(limit=9)] == ["INTERRUPTED"] * 2

    play(story())


def test_what_fills_after_a_run_is_told_by_its_history_after_the_next(tmp_path: Path) -> None:
    async def story() -> None:
        late = {"when": {"order": {"symbol": "BBB"}, "count": 1}, "what": {"late_fill": {"ms": 20_000}}}
        scene = TradingScene(tmp_path, faults=[late])
        report = await scene.rebalance(SWITCH)
        assert isinstance(report, Report)
        assert [(order.symbol, order.filled, order.status) for order in report.orders][-1] == ("BBB", 0, "cancelled")
        await asyncio.sleep(60)
        again = await scene.rebalance(SWITCH)
        assert isinstance(again, Report)
        assert again.outcome == "nothing-to-do"
        with scene.ports({}) as ports:
            _, bought = ports.ledger.orders(DU1, since=START)
        assert (order_state(bought).status, order_state(bought).filled) == (OrderStatus.FILLED, 398)

    play(story())
