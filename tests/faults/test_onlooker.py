"""The broker's own client as judge: it agrees with what is right, and finds what is wrong in a report or an account."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.faults.cases import ALL_BBB
from tests.faults.onlooker import Sight, contradictions, look
from tests.faults.stage import Stage
from tests.support.trading_scene import TradingScene
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.report import OrderReport, Report

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All of AAA has become BBB, and this was told and seen of it."""

    stage: Stage
    report: Report
    seen: Sight


@pytest.fixture
def run(folder: Path) -> Run:
    async def story() -> tuple[Stage, Report]:
        stage = Stage(TradingScene(folder / "state"))
        report = await stage.run(ALL_BBB)
        assert isinstance(report, Report)
        return stage, report

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        stage, report = runner.run(story())
    seen = asyncio.run(look(stage.scene.venue, account="DU1", now=report.ended))
    return Run(stage=stage, report=report, seen=seen)


def found(run: Run, *, report: Report | None = None, seen: Sight | None = None) -> list[str]:
    return list(contradictions(seen or run.seen, before=run.stage.opening, report=report or run.report, records=[]))


def test_it_agrees_with_a_report_that_is_right(run: Run) -> None:
    assert run.seen.positions == {102: 398}
    assert [order.shares for order in run.seen.moved.values()] == [-100, 398]
    assert found(run) == []


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (lambda order: replace(order, filled=order.filled + 1), "399 shares of 102, and 398 are seen"),
        (lambda order: replace(order, average_price=order.average_price + CENT), "and 19903.98 is seen"),
        (lambda order: replace(order, commission=order.commission + CENT), "charged 2.00, and 1.99 is seen"),
        (lambda order: replace(order, filled=0, average_price=None), "0 shares of 102, and 398 are seen"),
    ],
    ids=["a share more", "a cent dearer", "a cent of commission", "nothing filled"],
)
def test_it_finds_a_wrong_report(run: Run, mistake: Callable[[OrderReport], OrderReport], says: str) -> None:
    *others, last = run.report.orders
    (first, *_) = told = found(run, report=replace(run.report, orders=(*others, mistake(last))))
    assert says in first
    assert any("in cash" in each for each in told)


def test_it_finds_an_order_that_nobody_tells_of(run: Run) -> None:
    first, *_ = found(run, report=replace(run.report, orders=run.report.orders[:1]))
    assert first.startswith("nobody tells of")


@pytest.mark.parametrize(
    ("overlay", "says"),
    [
        ({"positions": {"CCC": 1}}, "0 103 should be held, and 1 are"),
        ({"positions": {"BBB": 397}}, "398 102 should be held, and 397 are"),
        ({"cash": "92.02"}, "there should be 92.03 in cash, and there is 92.02"),
    ],
    ids=["a position from nowhere", "a share less", "a cent less"],
)
def test_it_finds_what_no_report_explains(run: Run, overlay: dict[str, Any], says: str) -> None:
    run.stage.scene.change(accounts={"DU1": overlay})
    seen = asyncio.run(look(run.stage.scene.venue, account="DU1", now=run.report.ended))
    assert found(run, seen=seen) == [says]
