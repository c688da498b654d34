"""The parts of what is measured: each makes the rows of one table."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks import execute_speed, journal_speed, planner_speed, start_up, watch_speed
from benchmarks.chain import THROTTLE, Floor, floor_of
from benchmarks.results import Cell
from benchmarks.venue import Scene

Row = Mapping[str, Cell]

SYMBOLS = (6, 30, 100)
LATENCIES_S = (0.0, 0.025)
ACCOUNTS = (1, 10, 50)
SYMBOLS_OF_MANY = 6
EVENTS, SAMPLED_EVERY = 400, 40

SPEED = {
    "first_s": "first order, s",
    "last_s": "last order, s",
    "trips_s": "round trips alone, s",
    "floor_s": "floor, s",
    "ratio": "last ÷ floor",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One table to be."""

    about: str
    headings: Mapping[str, str]
    measure: Callable[[int], Iterator[Row]]
    """Given how often each thing is done, of which the best counts."""


def _speed(runs: int) -> Iterator[Row]:
    start_s = execute_speed.start_s()
    for symbols in SYMBOLS:
        for latency_s in LATENCIES_S:
            scene = Scene(symbols=symbols, latency_s=latency_s)
            yield {"start": "cold", **_of_scene(scene), **_cold(scene, start_s, runs)}
            yield {"start": "warm", **_of_scene(scene), **_warm(scene, runs)}


def _accounts(runs: int) -> Iterator[Row]:
    for accounts in ACCOUNTS:
        scene = Scene(symbols=SYMBOLS_OF_MANY, accounts=accounts)
        yield {"accounts": accounts, **_of_scene(scene), **_warm(scene, runs)}


def _of_scene(scene: Scene) -> Row:
    return {"symbols": scene.symbols, "delay_ms": round(scene.latency_s * 1000)}


def _cold(scene: Scene, start_s: float, runs: int) -> Row:
    first_s, last_s = min((execute_speed.measured(scene).orders_s for _ in range(runs)), key=lambda both: both[1])
    stages = execute_speed.least(scene)
    trips, floor = (floor_of(stages, latency_s=scene.latency_s, throttle=throttle) for throttle in (None, THROTTLE))
    return {**_compared(first_s, last_s, trips, floor, start_s=start_s), "start_of_python_s": start_s}


def _warm(scene: Scene, runs: int) -> Row:
    logs = [watch_speed.measured(scene) for _ in range(runs)]
    log = min(logs, key=lambda log: watch_speed.orders_s(log)[1])
    trips, floor = (watch_speed.floor_from_event(scene, throttle=throttle) for throttle in (None, THROTTLE))
    sent = sum(record.get("dir") == "in" for record in watch_speed.frames_of(log))
    return {**_compared(*watch_speed.orders_s(log), trips, floor), "messages": sent}


def _compared(first_s: float, last_s: float, trips: Floor, floor: Floor, *, start_s: float = 0.0) -> Row:
    least_s = start_s + floor.last_order_s
    return {
        "first_s": first_s,
        "last_s": last_s,
        "trips_s": start_s + trips.last_order_s,
        "floor_first_s": start_s + floor.first_order_s,
        "floor_s": least_s,
        "ratio": last_s / least_s if least_s else 0.0,
    }


def _memory(_: int) -> Iterator[Row]:
    yield from start_up.memory()
    command = [sys.executable, "-m", "benchmarks.endurance", str(EVENTS), str(SAMPLED_EVERY), "--json"]
    lived = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for sample in (lived["samples"][0], lived["samples"][-1]):
        yield {"process": f"watch, after {sample['events']} events", "mib": sample["rss_kib"] / 1024}


PARTS = {
    "speed": Part(
        about="From an event to the first and last order: cold is a new `execute`, warm is a running `watch`.",
        headings={"start": "start", "symbols": "symbols", "delay_ms": "delay, ms", **SPEED},
        measure=_speed,
    ),
    "accounts": Part(
        about="From one event to the first and last order of many accounts, warm.",
        headings={"accounts": "accounts", "symbols": "symbols", "messages": "messages", **SPEED},
        measure=_accounts,
    ),
    "planner": Part(
        about="One plan, without asking anybody; and with which power of the names its time has grown.",
        headings={"names": "names", "ms": "plan, ms of CPU", "exponent": "exponent"},
        measure=planner_speed.rows,
    ),
    "start": Part(
        about="The start of a command, up to its first word.",
        headings={"what": "what", "ms": "ms"},
        measure=start_up.rows,
    ),
    "memory": Part(
        about="The most memory that a command takes, and what a watch takes after many events.",
        headings={"process": "process", "mib": "MiB"},
        measure=_memory,
    ),
    "journal": Part(
        about="The journal with so many orders in it: to open it, and to keep one more order.",
        headings={"orders": "orders", "mib": "MiB", "open_ms": "open, ms", "order_ms": "one order more, ms"},
        measure=journal_speed.rows,
    ),
}
