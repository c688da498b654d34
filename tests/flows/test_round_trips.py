"""What is asked of the gateway: how many messages, and how often an answer is waited for before more is asked.

Counted, not timed: `python -m benchmarks speed` tells how long it takes.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ib_async
import pytest
from benchmarks.chain import Stage, asked_for, floor_of, round_trips
from benchmarks.execute_speed import least
from benchmarks.venue import Scene, document
from tests.support.commands import clear_environment
from tests.support.sandbox import StartSandbox, received

from ibkr_rebalancer import app
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.sandbox.log import Record
from ibkr_rebalancer.sandbox.run import Sandbox

LATENCY_S = 0.05
(ACCOUNT,) = Scene().account_ids
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


CHAIN_OF_PLAN = [
    ("handshake",),
    ("startApi",),
    ("reqCurrentTime", "reqPositions", "reqAccountUpdates", "reqContractDetails"),
    ("reqMktData",),
]

CHAIN_WHEN_WARM = [
    ("reqAllOpenOrders", "reqExecutions", "reqCompletedOrders", "reqCurrentTime"),
    ("reqPositions",),
    ("reqCurrentTime", "reqPositions", "reqAccountUpdates", "reqContractDetails"),
    ("reqMktData",),
    ("preview",),
    *CHAIN[6:],
]
"""Of an event to a running watch. The lonely question for positions is whether fills of just before show in them."""

MORE_THAN_ONCE_WHEN_WARM = {
    "reqCurrentTime": 4,
    "reqAllOpenOrders": 2,
    "reqExecutions": 2,
    "reqCompletedOrders": 2,
    "reqPositions": 4,
    "reqAccountUpdates": 2,
}

THIRTY = Scene(symbols=30, latency_s=LATENCY_S)
OF_THIRTY = {"reqContractDetails": 30, "reqMktData": 30 + 20, "SELL": 10, "BUY": 20}


def world_of(scene: Scene) -> dict[str, Any]:
    """The same account with as many equal targets as the benchmarks give it."""
    scenario: dict[str, Any] = {**scene.scenario()}
    scenario["accounts"] = {"DU1": None, **scenario["accounts"]}
    return {**scenario, "clock": None}


@asynccontextmanager
async def rebalancer_for(sandbox: Sandbox, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[app.Rebalancer]:
    """The library on the account of this sandbox."""
    clear_environment(patch)
    for name, value in {**sandbox.env, "REBALANCER_STATE": str(folder / "state")}.items():
        patch.setenv(name, value)
    path = folder / "accounts.yaml"
    url = f"{sandbox.allocations_url}/primary"
    path.write_text(
        f"[{{account_id: {ACCOUNT}, notification: {{channel: primary}}, allocations: {{url: '{url}'}}, "
        "limits: {max_turnover_pct: 1000}}]"
    )
    async with app.Rebalancer.open(path) as rebalancer:
        yield rebalancer


def chain_of(log: Sequence[Record]) -> list[tuple[str, ...]]:
    return [burst.kinds for burst in round_trips(log, latency_s=LATENCY_S)]


def asked(log: list[Record]) -> Counter[str]:
    return Counter(kind for record in received(log) if (kind := asked_for(record)))


async def rebalanced(rebalancer: app.Rebalancer) -> None:
    report = (await rebalancer.rebalance())[AccountId(ACCOUNT)]
    assert isinstance(report, Report)
    assert report.outcome == "done"


async def test_it_waits_for_an_answer_no_more_often_than_this(
    start_sandbox: StartSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that sells two of five equal targets and buys three."""
    sandbox = await start_sandbox(**WORLD)
    async with rebalancer_for(sandbox, tmp_path, monkeypatch) as rebalancer:
        await rebalanced(rebalancer)
    assert chain_of(sandbox.log) == CHAIN
    assert asked(sandbox.log) == dict.fromkeys((kind for kinds in CHAIN for kind in kinds), 1) | MORE_THAN_ONCE


async def test_more_symbols_take_more_messages_and_no_more_round_trips(
    start_sandbox: StartSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a plan, and of a run that sells ten of thirty and buys the others."""
    monkeypatch.setattr(ib_async.Client, "MaxRequests", 1_000_000)
    sandbox = await start_sandbox(**world_of(THIRTY))
    async with rebalancer_for(sandbox, tmp_path, monkeypatch) as rebalancer:
        await rebalancer.plan(ACCOUNT)
    planned = len(sandbox.log)
    assert chain_of(sandbox.log) == CHAIN_OF_PLAN
    assert asked(sandbox.log) == dict.fromkeys((kind for kinds in CHAIN_OF_PLAN for kind in kinds), 1) | {
        "reqContractDetails": 30,
        "reqMktData": 30,
    }
    async with rebalancer_for(sandbox, tmp_path, monkeypatch) as rebalancer:
        await rebalanced(rebalancer)
    assert chain_of(sandbox.log[planned:]) == CHAIN
    more = MORE_THAN_ONCE | OF_THIRTY | {"preview": 20}
    assert asked(sandbox.log[planned:]) == dict.fromkeys(asked(sandbox.log[planned:]), 1) | more


async def test_a_second_run_over_the_same_connection_asks_less(
    start_sandbox: StartSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the next event to a watch: what took twenty previews takes one, as all has been bought before."""
    monkeypatch.setattr(ib_async.Client, "MaxRequests", 1_000_000)
    sandbox = await start_sandbox(**world_of(THIRTY))
    async with rebalancer_for(sandbox, tmp_path, monkeypatch) as rebalancer:
        await rebalanced(rebalancer)
        first = len(sandbox.log)
        sandbox.change({"allocations": {"primary": document(THIRTY.tilted_weights)}})
        await rebalanced(rebalancer)
    log = sandbox.log[first:]
    assert chain_of(log) == CHAIN_WHEN_WARM
    assert asked(log) == dict.fromkeys(asked(log), 1) | MORE_THAN_ONCE_WHEN_WARM | OF_THIRTY


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
    assert floor_of(stages, latency_s=0.025, throttle=throttle).end_s == pytest.approx(seconds)


def test_the_least_has_no_more_stages_for_more_orders() -> None:
    small, large = least(Scene(symbols=6)), least(Scene(symbols=30))
    assert [stage.name for stage in small] == [stage.name for stage in large]
