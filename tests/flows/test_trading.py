"""Runs that trade, over the venue and a real journal: what is sent, in which order, and what is told of it."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.notation import allocation_body
from tests.support.trading_scene import DU1, TradingScene
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.report import Report

PLAIN = Policy(cash_reserve_pct=Decimal(0), min_gain_bp=Decimal(0))


def targets(**weights: str) -> bytes:
    return allocation_body({symbol: Decimal(weight) for symbol, weight in weights.items()})


def play(story: Any) -> Any:
    """Run a story in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)


def reported(outcome: Any) -> Report:
    assert isinstance(outcome, Report), outcome
    return outcome


def test_the_printed_plan_is_what_is_sent_and_what_is_reported(tmp_path: Path) -> None:
    """Holding 900 AAA and 100 BBB at 100 with 50/50 wanted: another product showed one thing, sent a second and
    reported a third."""

    async def story() -> None:
        market = {name: {"bid": "100", "ask": "100", "last": "100", "close": "100"} for name in ("AAA", "BBB")}
        holdings = {"DU1": {"cash": "10", "positions": {"AAA": 900, "BBB": 100}}}
        scene = TradingScene(tmp_path, accounts=holdings, market=market)
        shown: list[Plan] = []

        async def yes(plans: Sequence[Plan]) -> bool:
            shown.extend(plans)
            return True

        report = reported(await scene.rebalance(targets(AAA="0.5", BBB="0.5"), policy=PLAIN, confirm=yes))
        printed = [f"{t.side.value} {t.quantity} {t.symbol}" for t in shown[0].trades]
        told = [f"{o.side.value} {o.filled} {o.symbol}" for o in report.orders]
        assert printed == scene.orders == told == ["SELL 400 AAA", "BUY 400 BBB"]
        assert scene.held() == {"AAA": 500, "BBB": 500}
        assert scene.cash() == Decimal("6")
        assert (report.outcome, report.exit_code) == ("done", 0)

    play(story())
