"""Runs that trade in two currencies: each has its ledger, and what lacks in one is not made up from the other."""

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.notation import allocation_body
from tests.support.trading_scene import OPEN, TradingScene
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.report import Report

HOURS = OPEN["AAA"]
EUROPEAN = {
    "EEE": {"con_id": 301, "currency": "EUR", "bid": "9.99", "ask": "10.01", "last": "10", "close": "10", **HOURS},
    "FFF": {"con_id": 302, "currency": "EUR", "bid": "19.99", "ask": "20.01", "last": "20", "close": "20", **HOURS},
}
POLICY = Policy(contracts={s: ContractQuery(symbol=s, con_id=ConId(n)) for s, n in (("EEE", 301), ("FFF", 302))})


def scene_of(folder: Path, **overlay: Any) -> TradingScene:
    return TradingScene(folder, **{"market": {**OPEN, **EUROPEAN}, "rates": {"EURUSD": "1.1"}, **overlay})


def play(story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story)


def targets(**weights: str) -> bytes:
    return allocation_body({symbol: Decimal(weight) for symbol, weight in weights.items()})


def cash_of(scene: TradingScene) -> dict[str, Decimal]:
    return dict(scene.venue.scenario.accounts["DU1"].cash)


def test_a_sale_that_does_not_fill_cuts_the_purchases_of_its_own_currency(tmp_path: Path) -> None:
    async def story() -> None:
        held = {"cash": {"USD": "10000", "EUR": "100"}, "positions": {"AAA": None, "EEE": 1000}}
        stuck = {"when": {"order": {"symbol": "EEE"}}, "what": {"partial": {"shares": 200}}}
        scene = scene_of(tmp_path, accounts={"DU1": held}, faults=[stuck])
        report = await scene.rebalance(targets(BBB="0.4762", FFF="0.5238"), policy=POLICY)
        assert isinstance(report, Report)
        filled = {order.symbol: order.filled for order in report.orders}
        assert filled["EEE"] == 200
        assert report.plan is not None
        assert filled["BBB"] == next(t.quantity for t in report.plan.trades if t.symbol == "BBB")
        assert 80 < filled["FFF"] < 110  # of 2,098 euros
        (cut,) = report.adjustments
        assert (cut.symbol, cut.sent) == ("FFF", filled["FFF"])
        assert " EUR can be spent, and all purchases in EUR would cost " in cut.reason
        assert min(cash_of(scene).values()) >= 0
        assert report.outcome == "partial"

    play(story())


def test_a_loan_where_nothing_can_be_sold_takes_nothing_from_the_purchases_elsewhere(tmp_path: Path) -> None:
    """It counts as planned: what is worth less in euros has been allowed for in what is wanted."""

    async def story() -> None:
        held = {"cash": {"USD": "10000", "EUR": "-1000"}, "positions": {"AAA": None}}
        scene = scene_of(tmp_path, accounts={"DU1": held})
        report = await scene.rebalance(targets(BBB="0.9", FFF="0.1"), policy=POLICY)
        assert isinstance(report, Report)
        assert (report.outcome, report.adjustments) == ("done", ())
        assert [order.symbol for order in report.orders] == ["BBB"]
        assert cash_of(scene)["EUR"] == -1_000
        assert cash_of(scene)["USD"] > 1_000

    play(story())


def test_somebody_who_spends_the_euros_meanwhile_is_noticed(tmp_path: Path) -> None:
    async def story() -> None:
        held = {"cash": {"USD": "10000", "EUR": "5000"}, "positions": {"AAA": 50}}
        scene = scene_of(tmp_path, accounts={"DU1": held})
        scene.gateway.line.after_send = lambda _: scene.change(accounts={"DU1": {"cash": {"EUR": "1000"}}})
        report = await scene.rebalance(targets(BBB="0.7", FFF="0.3"), policy=POLICY)
        assert isinstance(report, Report)
        assert [order.symbol for order in report.orders] == ["AAA"]
        assert report.code == "CASH_DISAGREES"
        assert "there should be 5,000.00 EUR; the broker says 1,000.00 EUR in cash" in report.trouble

    play(story())
