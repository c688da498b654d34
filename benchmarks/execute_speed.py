"""How long `rebalancer execute --yes` takes, cold, against the least that it could take.

    .venv/bin/python -m benchmarks.execute_speed [runs]

shows one such run, of 30 symbols 25 ms away, as its chain of round trips. Every run is a new process with a new
journal; the best one is shown, by the sandbox's log.

The least is a chain of round trips, each of which needs an answer of the one before: the greeting; the start of the
session, which tells the accounts and the first order number; all that can be asked without knowing anything, as the
targets are fetched meanwhile (time, orders, executions, positions, balances, the contracts of the targets); the quotes
of those contracts; the previews of the plan made from them; the sales to their fills; time, balances and quotes again;
the purchases to their fills. Nothing else costs any time: the sandbox delays frames, not the connection they go over,
and the targets are there long before the session is. Before all this stands the start of Python: that of a process
that only imports what the command needs.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.chain import THROTTLE, Stage, floor_of, orders_of, round_trips, show_chain
from benchmarks.venue import REBALANCER, Record, Scene, World, moment, running

IMPORTS = "import typer, rich, yaml, requests, sqlalchemy, ib_async"


def least(scene: Scene) -> tuple[Stage, ...]:
    """The chain of round trips that no run of one account can do without, with the messages that each takes."""
    return (
        Stage(name="greeting", messages=1),
        Stage(name="start of the session", messages=1),
        Stage(name="time, orders, account, contracts", messages=6 + scene.symbols),
        Stage(name="quotes", messages=1 + scene.symbols),
        Stage(name="previews", messages=scene.purchases),
        Stage(name="sales", messages=scene.sales, trades=True),
        Stage(name="time, balances and quotes again", messages=3 + scene.purchases),
        Stage(name="purchases", messages=scene.purchases, trades=True),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution, measured."""

    began: datetime
    took_s: float
    log: Sequence[Record]

    @property
    def frames(self) -> Sequence[Record]:
        return [record for record in self.log if "dir" in record]

    @property
    def orders_s(self) -> tuple[float, float]:
        """From the start of the process to the first and to the last order at the venue."""
        orders = orders_of(self.log)
        return (orders[0] - self.began).total_seconds(), (orders[-1] - self.began).total_seconds()


def measured(scene: Scene) -> Run:
    """One cold run against a venue of its own."""
    with running(scene) as world:
        took_s, began = _execute(world)
        return Run(began=began, took_s=took_s, log=world.log())


def _execute(world: World) -> tuple[float, datetime]:
    began = datetime.now(UTC)
    command = [*REBALANCER, "execute", "--yes", "--json"]
    done = subprocess.run(command, env=world.environment, capture_output=True, text=True, check=False)
    took_s = (datetime.now(UTC) - began).total_seconds()
    if done.returncode:
        raise SystemExit(f"the run failed: {done.stdout}{done.stderr}")
    return took_s, began


def start_s() -> float:
    """Seconds that a process takes which only imports what the command needs; the best of three."""
    return min(_seconds_of([sys.executable, "-c", IMPORTS]) for _ in range(3))


def _seconds_of(command: Sequence[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - began


def show(scene: Scene, run: Run) -> None:
    """The run as a chain of round trips, and how it compares with the least."""
    bursts = round_trips(run.log, latency_s=scene.latency_s)
    first = bursts[0].began
    wired_s = (moment(run.frames[-1]) - moment(run.frames[0])).total_seconds() + 2 * scene.latency_s
    until_first_s = (first - run.began).total_seconds()
    print(f"{until_first_s:7.3f} s  until the first message")
    show_chain(bursts, end=moment(run.frames[-1]))
    print(f"{run.took_s - until_first_s - wired_s:7.3f} s  from the last message to the end")
    stages, ways = least(scene), Counter(record["dir"] for record in run.frames)
    print(f"{len(bursts)} round trips, {len(stages)} at least; {ways['in']} messages sent, {ways['out']} received")
    trips, throttled = (
        floor_of(stages, latency_s=scene.latency_s, throttle=throttle).end_s for throttle in (None, THROTTLE)
    )
    for what, took_s, least_s in (
        ("the wire, round trips alone", wired_s, trips),
        ("the wire, with the throttle", wired_s, throttled),
        ("the command, with the throttle", run.took_s, throttled),
        ("the command, with the throttle and the start of Python", run.took_s, throttled + start_s()),
    ):
        print(f"{took_s:7.3f} s = {took_s / least_s:5.2f} x {least_s:.3f} s: {what}")


if __name__ == "__main__":
    THIRTY = Scene()
    RUNS = int(sys.argv[1]) if sys.argv[1:] else 3
    show(THIRTY, min((measured(THIRTY) for _ in range(RUNS)), key=lambda run: run.took_s))
