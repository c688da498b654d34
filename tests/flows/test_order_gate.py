"""The gate by itself: what it lets pass, over which connection, and what it tells."""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.notation import allocation_body
from tests.support.trading_scene import DU1, START, TradingScene
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.errors import Halted, RebalancerError, UnknownOutcome
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.order_book import OrderBook
from ibkr_rebalancer.core.order_state import TrackedOrder
from ibkr_rebalancer.core.orders import OpenOrder
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.flows.docket import Docket
from ibkr_rebalancer.flows.order_gate import OrderGate
from ibkr_rebalancer.flows.reconcile import _cancelled_over_their_ids, _News
from ibkr_rebalancer.flows.trading import Ports
from ibkr_rebalancer.ports import Halt

EVEN = allocation_body({"AAA": Decimal("0.5"), "BBB": Decimal("0.5")})
SWITCH = allocation_body({"BBB": Decimal(1)})


def play(tmp_path: Path, story: Callable[[TradingScene], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story(TradingScene(tmp_path)))


async def gate_of(ports: Ports) -> OrderGate:
    session = await ports.gateway.session(within_s=0)
    return OrderGate(
        DU1,
        session,
        gateway=ports.gateway,
        controls=ports.controls,
        clock=ports.clock,
        observer=ports.observer,
    )


def orders_of(scene: TradingScene) -> tuple[TrackedOrder, ...]:
    with scene.ports({}) as ports:
        return ports.ledger.orders(DU1, since=START)


def test_a_halt_before_the_first_order_leaves_nothing_that_was_meant_to_be_sent(tmp_path: Path) -> None:
    async def story(scene: TradingScene) -> None:
        def halt(question: str) -> None:
            if question == "quotes" and scene.journal is not None:
                scene.journal.halt(Halt(at=START, reason="a test"))

        scene.gateway.line.answered = halt
        outcome = await scene.rebalance(EVEN)
        assert isinstance(outcome, RebalancerError)
        assert outcome.code == "HALTED"
        assert outcome.message.endswith(": a test. Nothing was sent for DU1.")
        assert orders_of(scene) == ()

    play(tmp_path, story)


def test_a_halt_between_orders_says_that_no_more_were_sent(tmp_path: Path) -> None:
    async def story(scene: TradingScene) -> None:
        def halt(_: object) -> None:
            if scene.journal is not None and not scene.journal.halted():
                scene.journal.halt(Halt(at=START, reason="a test"))

        scene.gateway.line.after_send = halt
        report = await scene.rebalance(SWITCH)
        assert isinstance(report, Report)
        assert (report.outcome, len(scene.orders)) == ("halted", 1)
        assert report.trouble.endswith(": a test. Nothing more was sent for DU1.")
        with pytest.raises(Halted, match=r": a test\. Nothing was sent\.$"):
            await scene.rebalance(SWITCH)

    play(tmp_path, story)


def test_a_lost_gateway_and_its_return_are_told(tmp_path: Path) -> None:
    async def story(scene: TradingScene) -> None:
        def cut_once(_: object) -> None:
            scene.gateway.line.after_send = lambda _: None
            raise scene.gateway.line.cut()

        scene.gateway.line.after_send = cut_once
        report = await scene.rebalance(EVEN)
        assert isinstance(report, Report)
        assert report.outcome == "done"
        told = [notice.event for notice in scene.notices.heard if notice.event.startswith("gateway.")]
        assert told == ["gateway.lost", "gateway.back"]

    play(tmp_path, story)


def test_it_goes_over_the_connection_of_this_moment_once_it_is_resumed(tmp_path: Path) -> None:
    async def story(scene: TradingScene) -> None:
        with scene.ports({}) as ports:
            gate = await gate_of(ports)
            before = gate.session
            scene.gateway.line.cut()
            await ports.gateway.session(within_s=10)  # somebody else has found it again
            await gate.resume()
            assert gate.session is not before
            await gate.session.market.server_time()

    play(tmp_path, story)


def test_the_same_alarm_halts_trading_once(tmp_path: Path) -> None:
    async def story(scene: TradingScene) -> None:
        scene.change(faults=[{"when": {"order": {}, "count": 1}, "what": {"duplicate_perm": {}}}])
        assert (await scene.rebalance(EVEN)).code == "ORDER_ALARM"
        with scene.ports({}) as ports:
            halted, gate = ports.controls.halted(), await gate_of(ports)
            await asyncio.sleep(60)
            docket = Docket(ports.ledger.orders(DU1, since=START), ledger=ports.ledger)
            with pytest.raises(UnknownOutcome, match="more than"):
                gate.require_no_alarm(docket)
            assert ports.controls.halted() == halted  # since the same moment

    play(tmp_path, story)


def test_an_order_that_ended_between_two_answers_is_not_cancelled_over_another_id(tmp_path: Path) -> None:
    """The list of open orders still has it; the executions, asked a moment later, say that it is filled."""

    async def story(scene: TradingScene) -> None:
        with scene.ports({}) as ports:
            gate = await gate_of(ports)
            shown = OpenOrder(
                order_ref="rb1-another-1",
                account=DU1,
                con_id=ConId(101),
                symbol="AAA",
                side=Side.SELL,
                remaining=Decimal(5),
                status="Submitted",
                perm_id=1,
                client_id=99,
            )
            book = OrderBook(taken_at=START, open_orders=(shown,), heard=())
            news = _News(DU1, ports.observer)
            ended = Docket((), ledger=ports.ledger)
            assert not await _cancelled_over_their_ids(DU1, book, ended, gate, news=news)
        assert scene.gateway.cancelled == []

    play(tmp_path, story)
