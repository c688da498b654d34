"""How long `rebalancer execute --yes` takes, cold, against the least that it could take.

    .venv/bin/python -m benchmarks.execute_speed [runs]

The sandbox runs in a process of its own, 25 ms from us either way; the account holds 10 of 30 equal targets, so that
10 orders sell and 20 buy. Every run is a new process with a new journal; the best one is shown, by the sandbox's log.

The least (`LEAST`) is a chain of round trips, each of which needs an answer of the one before: the greeting; the start
of the session, which tells the accounts and the first order number; all that can be asked without knowing anything,
as the targets are fetched meanwhile (time, orders, executions, positions, balances, the contracts of the targets);
the quotes of those contracts; the previews of the plan made from them; the sales to their fills; time, balances and
quotes again; the purchases to their fills. A fill takes the venue's own 5 ms. Nothing else costs any time: the sandbox
delays frames, not the connection they go over, and the targets are there long before the session is.

Of this chain two sums are told: without the throttle; and with it, as ib_async lets 45 messages a second pass and
Interactive Brokers takes 50. The start of Python is that of a process that only imports what the command needs.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT

ACCOUNT, TARGETS, HELD = "DU12345", 30, 10
LATENCY_S, FILL_S = 0.025, 0.005
THROTTLE = 45
"""Messages of ib_async in any one second."""
THROTTLED_FOR = timedelta(seconds=1.05)
UNCOUNTED = 5
"""Messages within a second that have no answer, and so are none of a round trip."""

REBALANCER = [sys.executable, "-m", "ibkr_rebalancer"]
PLACE_ORDER = 3
IMPORTS = "import typer, rich, yaml, requests, sqlalchemy, ib_async"
NEVER_ANSWERED = frozenset({"cancelPositions", "cancelMktData", "reqMarketDataType"})

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Requests that need no answer of each other."""

    name: str
    messages: int
    fill_s: float = 0.0


def least(*, targets: int, sales: int, purchases: int) -> tuple[Stage, ...]:
    """The chain of round trips that no run can do without, with the messages that each takes."""
    return (
        Stage(name="greeting", messages=1),
        Stage(name="start of the session", messages=1),
        Stage(name="time, orders, account, contracts", messages=6 + targets),
        Stage(name="quotes", messages=1 + targets),
        Stage(name="previews", messages=purchases),
        Stage(name="sales", messages=sales, fill_s=FILL_S),
        Stage(name="time, balances and quotes again", messages=3 + purchases),
        Stage(name="purchases", messages=purchases, fill_s=FILL_S),
    )


LEAST = least(targets=TARGETS, sales=HELD, purchases=TARGETS - HELD)


def least_s(stages: Sequence[Stage], *, throttle: int | None) -> float:
    """Seconds that the stages take one after the other, when in any one second only so many messages may leave."""
    now, left = 0.0, deque[float](maxlen=throttle)
    for stage in stages:
        for _ in range(stage.messages if throttle else 0):
            if len(left) == throttle:
                now = max(now, left[0] + 1)
            left.append(now)
        now += 2 * LATENCY_S + stage.fill_s
    return now


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What was asked at once, by the log: a round trip of the run."""

    kinds: tuple[str, ...]
    messages: int
    began: datetime


def round_trips(log: Sequence[Record], *, latency_s: float) -> list[Burst]:
    """The run as a chain: what leaves after an answer begins the next round trip, unless it was only held back."""
    bursts: list[Burst] = []
    left: list[datetime] = []
    answered = True
    for at, kind in _as_we_see(log, timedelta(seconds=latency_s)):
        if kind is None:
            answered = True
        elif bursts and (not answered or (kind in bursts[-1].kinds and _was_held_back(at, left))):
            kinds = tuple(dict.fromkeys((*bursts[-1].kinds, kind)))
            bursts[-1] = replace(bursts[-1], kinds=kinds, messages=bursts[-1].messages + 1)
        else:
            bursts.append(Burst(kinds=(kind,), messages=1, began=at))
            answered = False
        left += [at] if kind else []
    return bursts


def _as_we_see(log: Sequence[Record], latency: timedelta) -> list[tuple[datetime, str | None]]:
    """When each question left us, and when each answer, which is None, reached us."""
    asked = [(moment(record) - latency, kind) for record in log if (kind := asked_for(record)) is not None]
    told = [(moment(record) + latency, None) for record in log if record.get("dir") == "out"]
    return sorted([*asked, *told], key=lambda each: each[0])


def _was_held_back(at: datetime, left: Sequence[datetime]) -> bool:
    """Whether about as many messages as the throttle lets pass have left in the second before."""
    return sum(at - each < THROTTLED_FOR for each in left[-THROTTLE:]) >= THROTTLE - UNCOUNTED


def asked_for(record: Record) -> str | None:
    """What is asked for, if an answer is waited for; an order is a preview, a sale or a purchase."""
    name, fields = record.get("message"), record.get("fields", ())
    if record.get("dir") != "in" or name in NEVER_ANSWERED or (name == "reqAccountUpdates" and fields[2] == "0"):
        return None
    if name != "placeOrder":
        return str(name)
    order = FROM_CLIENT[PLACE_ORDER].read(fields).texts
    return "preview" if order["whatIf"] == "1" else str(order["action"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution, measured."""

    began: datetime
    took_s: float
    log: Sequence[Record]

    @property
    def wired_s(self) -> float:
        """From the first message sent to the last one received."""
        frames = [record for record in self.log if "dir" in record]
        return (moment(frames[-1]) - moment(frames[0])).total_seconds() + 2 * LATENCY_S


def measured() -> Run:
    """One cold run against a sandbox of its own."""
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder, "frames.jsonl")
        with sandbox(Path(folder, "scenario.yaml"), log=frames) as announced:
            took_s, began = _execute(Path(folder), announced)
        return Run(began=began, took_s=took_s, log=[json.loads(line) for line in frames.read_text().splitlines()])


@contextmanager
def sandbox(scenario: Path, *, log: Path) -> Iterator[Mapping[str, Any]]:
    """The venue in its own process; what it says of its ports."""
    scenario.write_text(json.dumps(SCENARIO), encoding="utf-8")
    command = [*REBALANCER, "sandbox", "--scenario", str(scenario), "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def _execute(folder: Path, announced: Mapping[str, Any]) -> tuple[float, datetime]:
    url = f"http://127.0.0.1:{announced['allocations_port']}/allocations/primary"
    account = {"account_id": ACCOUNT, "notification": {"channel": "primary"}, "allocations": {"url": url}}
    Path(folder, "accounts.yaml").write_text(json.dumps([account]), encoding="utf-8")
    state = {"REBALANCER_CONFIG": str(folder / "accounts.yaml"), "REBALANCER_STATE": str(folder / "state")}
    began = datetime.now(UTC)
    done = subprocess.run(
        [*REBALANCER, "execute", "--yes", "--json"],
        env={**os.environ, **announced["env"], **state},
        capture_output=True,
        text=True,
        check=False,
    )
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


def show(run: Run) -> None:
    """The run as a chain of round trips, and how it compares with the least."""
    bursts = round_trips(run.log, latency_s=LATENCY_S)
    first = bursts[0].began
    print(f"{(first - run.began).total_seconds():7.3f} s  until the first message")
    last = first + timedelta(seconds=run.wired_s)
    for burst, end in zip(bursts, [*(burst.began for burst in bursts[1:]), last], strict=True):
        print(f"{(end - burst.began).total_seconds():7.3f} s  {burst.messages:3} messages: {', '.join(burst.kinds)}")
    print(f"{run.took_s - (last - run.began).total_seconds():7.3f} s  from the last message to the end")
    ways = Counter(record["dir"] for record in run.log if "dir" in record)
    print(f"{len(bursts)} round trips, {len(LEAST)} at least; {ways['in']} messages sent, {ways['out']} received")
    start, trips, throttled = start_s(), least_s(LEAST, throttle=None), least_s(LEAST, throttle=THROTTLE)
    for what, took_s, least in (
        ("the wire, round trips alone", run.wired_s, trips),
        ("the wire, with the throttle", run.wired_s, throttled),
        ("the command, with the throttle", run.took_s, throttled),
        ("the command, with the throttle and the start of Python", run.took_s, throttled + start),
    ):
        print(f"{took_s:7.3f} s = {took_s / least:5.2f} x {least:.3f} s: {what}")


def moment(record: Record) -> datetime:
    """When it was said or happened, by the venue's clock."""
    return datetime.fromisoformat(record["t"])


SYMBOLS = [f"S{number:02}" for number in range(TARGETS)]
SCENARIO = {
    "latency_ms": round(LATENCY_S * 1000),
    "accounts": {ACCOUNT: {"cash": "50000", "positions": dict.fromkeys(SYMBOLS[:HELD], 400)}},
    "fills": {"delay_ms": round(FILL_S * 1000)},
    "market": {
        symbol: {"con_id": 1000 + place, "bid": "49.99", "ask": "50.01", "last": "50", "close": "50", "hours": "always"}
        for place, symbol in enumerate(SYMBOLS)
    },
    "allocations": {
        "primary": {
            "status": "success",
            "data": {"allocations": [{"symbol": symbol, "allocation": 0.0333} for symbol in SYMBOLS], "name": "equal"},
        }
    },
}

if __name__ == "__main__":
    show(min((measured() for _ in range(int(sys.argv[1]) if sys.argv[1:] else 3)), key=lambda run: run.took_s))
