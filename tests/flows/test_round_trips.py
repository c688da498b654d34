"""What `execute` asks of the gateway: how many messages, and how often it waits for an answer before it asks on.

Counted, not timed: `benchmarks.execute_speed` tells how long it takes.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from benchmarks.execute_speed import Stage, asked_for, least, least_s, round_trips
from tests.support.commands import clear_environment
from tests.support.sandbox import StartSandbox, received

from ibkr_rebalancer import app
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report

LATENCY_S = 0.05
ACCOUNT = "DU123456"
MARKET = {symbol: {"con_id": 200 + n, "bid": "49.99", "ask": "50.01"} for n, symbol in enumerate("VWXYZ")}
WORLD: dict[str, Any] = {
    "clock": None,
    "latency_ms": round(LATENCY_S * 1000),
    "market": {symbol: {**facts, "last": "50", "close": "50", "hours": "always"} for symbol, facts in MARKET.items()},
    "accounts": {"DU1": None, ACCOUNT: {"cash": "10000", "positions": {"AAA": None, "V": 400, "W": 400}}},
    "allocations": {
        "primary": {
            "status": "success",
            "data": {"allocations": [{"symbol": symbol, "allocation": 0.2} for symbol in MARKET], "name": "even"},
        }
    },
}

CHAIN = [
    ("handshake",),
    ("startApi",),
    ("reqAllOpenOrders", "reqExecutions", "reqCompletedOrders", "reqCurrentTime"),
    ("reqCurrentTime", "reqPositions", "reqAccountUpdates", "reqContractDetails"),
    ("reqMktData",),
    ("preview",),
    ("reqPositions", "reqAllOpenOrders", "reqExecutions", "reqCompletedOrders", "reqCurrentTime"),
    ("SELL",),
    ("reqAccountUpdates",),
    ("reqCurrentTime", "reqMktData"),
    ("BUY",),
    ("reqPositions",),
]
"""Two sales and three purchases; the number of round trips is the same for any number of them."""

MORE_THAN_ONCE = {
    "reqCurrentTime": 4,
    "reqAllOpenOrders": 2,
    "reqExecutions": 2,
    "reqCompletedOrders": 2,
    "reqPositions": 3,
    "reqAccountUpdates": 2,
    "reqContractDetails": 5,
    "reqMktData": 5 + 3,
    "preview": 3,
    "SELL": 2,
    "BUY": 3,
}


@pytest.fixture
async def log(start_sandbox: StartSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The frames of a run that sells two of five equal targets and buys three."""
    sandbox = await start_sandbox(**WORLD)
    clear_environment(monkeypatch)
    for name, value in {**sandbox.env, "REBALANCER_STATE": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "accounts.yaml"
    url = f"{sandbox.allocations_url}/primary"
    path.write_text(f"[{{account_id: {ACCOUNT}, notification: {{channel: primary}}, allocations: {{url: '{url}'}}}}]")
    async with app.Rebalancer.open(path) as rebalancer:
        report = (await rebalancer.rebalance())[AccountId(ACCOUNT)]
    assert isinstance(report, Report)
    assert report.outcome == "done"
    return sandbox.log


async def test_it_waits_for_an_answer_no_more_often_than_this(log: list[dict[str, Any]]) -> None:
    assert [burst.kinds for burst in round_trips(log, latency_s=LATENCY_S)] == CHAIN
    sent = Counter(kind for record in received(log) if (kind := asked_for(record)))
    assert sent == dict.fromkeys((kind for kinds in CHAIN for kind in kinds), 1) | MORE_THAN_ONCE


NOW = datetime(2026, 11, 23, tzinfo=UTC)


def frame(ms: int, message: str, way: str = "in") -> dict[str, Any]:
    return {"t": (NOW + timedelta(milliseconds=ms)).isoformat(), "dir": way, "message": message, "fields": []}


def test_what_is_asked_after_an_answer_is_another_round_trip() -> None:
    at_once = [frame(50, "reqPositions"), frame(50, "position", "out"), frame(51, "reqExecutions")]
    assert [burst.kinds for burst in round_trips(at_once, latency_s=0.05)] == [("reqPositions", "reqExecutions")]
    after = [frame(50, "reqContractDetails"), frame(50, "contractDetails", "out"), frame(151, "reqContractDetails")]
    assert [burst.messages for burst in round_trips(after, latency_s=0.05)] == [1, 1]


def test_what_was_only_held_back_is_none() -> None:
    first = [frame(50, "reqContractDetails") for _ in range(45)]
    held = [*first, frame(50, "contractDetails", "out"), frame(1051, "reqContractDetails")]
    assert [burst.messages for burst in round_trips(held, latency_s=0.05)] == [46]


@pytest.mark.parametrize(
    ("messages", "throttle", "seconds"),
    [
        ([1, 1], 45, 0.1),
        ([45], 45, 0.05),
        ([46], 45, 1.05),
        ([30, 30], 45, 1.05),
        ([30, 30], None, 0.1),
        ([91], 45, 2.05),
    ],
)
def test_the_least_is_round_trips_and_what_the_throttle_holds_back(
    messages: list[int], throttle: int | None, seconds: float
) -> None:
    stages = [Stage(name="", messages=number) for number in messages]
    assert least_s(stages, throttle=throttle) == pytest.approx(seconds)


def test_the_least_has_no_more_stages_for_more_orders() -> None:
    small, large = least(targets=2, sales=1, purchases=1), least(targets=30, sales=10, purchases=20)
    assert [stage.name for stage in small] == [stage.name for stage in large]
