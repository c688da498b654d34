"""How long a warm `rebalancer watch` takes from an event to its last order, against the least that it could take.

    .venv/bin/python -m benchmarks.watch_speed [runs]

The sandbox runs in a process of its own, 25 ms from us either way, as does the watch. A first event buys 20 of 30
equal targets. Then the targets of ten are lowered and those of twenty raised, the library's throttle is given time to
forget, and a second event is published: ten orders sell, 20 buy, and every symbol has been traded before. All is told
by the sandbox's log: from when the message was published to when the last order arrived. The best run is shown.

The least is the chain of `benchmarks.execute_speed` without its start, from the message on its way to us to the last
order on its way from us. One preview is left of it: of the first order, which tells whether orders are taken at all.
One round trip more than on other days is in the run: so soon after the first event, its fills must show in positions.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.execute_speed import (
    ACCOUNT,
    FILL_S,
    HELD,
    LATENCY_S,
    REBALANCER,
    SYMBOLS,
    TARGETS,
    THROTTLE,
    Record,
    Stage,
    asked_for,
    least_s,
    moment,
    round_trips,
    sandbox,
)

CHANNEL = "primary"
THROTTLE_FORGETS_S = 1.2
WEIGHTS = {symbol: 0.0133 if place < HELD else 0.0433 for place, symbol in enumerate(SYMBOLS)}
"""Of the second event."""


def least(*, targets: int, sales: int, purchases: int) -> tuple[Stage, ...]:
    """The chain of round trips that no warm run can do without, with the messages that each takes."""
    return (
        Stage(name="time, orders, account, contracts", messages=6 + targets),
        Stage(name="quotes", messages=1 + targets),
        Stage(name="preview of the first order", messages=1),
        Stage(name="sales", messages=sales, fill_s=FILL_S),
        Stage(name="time, balances and quotes again", messages=3 + purchases),
        Stage(name="purchases", messages=purchases),
    )


LEAST = least(targets=TARGETS, sales=HELD, purchases=TARGETS - HELD)


def least_from_event_s(*, throttle: int | None) -> float:
    """The message's way to us, the chain, and the last order's way from us: nobody waits for what comes of that."""
    return LATENCY_S + least_s(LEAST, throttle=throttle) - LATENCY_S


def measured() -> Sequence[Record]:
    """The sandbox's log from the second event to the last order that came of it."""
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder, "frames.jsonl")
        with (
            sandbox(Path(folder, "scenario.yaml"), log=frames) as announced,
            _watch(Path(folder), announced) as results,
        ):
            _publish(announced)
            results.expect()
            _do("PATCH", announced, "", {"allocations": {CHANNEL: _allocation(WEIGHTS)}})
            time.sleep(THROTTLE_FORGETS_S)
            _publish(announced)
            results.expect()
        log = [json.loads(line) for line in frames.read_text().splitlines()]
    begin = [place for place, record in enumerate(log) if record.get("event") == "published"][-1]
    end = [place for place, record in enumerate(log) if asked_for(record) in {"BUY", "SELL"}][-1]
    return log[begin : end + 1]


class Results:
    """What the watch prints."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def expect(self) -> None:
        """Wait for the end of a run, in which everything was carried out."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line or json.loads(line)["runs"][0]["outcome"] != "done":
            raise SystemExit(f"the run failed: {line}")


@contextmanager
def _watch(folder: Path, announced: Mapping[str, Any]) -> Iterator[Results]:
    """A watch that has found gateway and channels."""
    url = f"http://127.0.0.1:{announced['allocations_port']}/allocations/primary"
    account = {"account_id": ACCOUNT, "notification": {"channel": CHANNEL}, "allocations": {"url": url}}
    Path(folder, "accounts.yaml").write_text(json.dumps([account]), encoding="utf-8")
    state = {"REBALANCER_CONFIG": str(folder / "accounts.yaml"), "REBALANCER_STATE": str(folder / "state")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    env = {**os.environ, **announced["env"], **state}
    with subprocess.Popen([*REBALANCER, "watch", "--json"], env=env, **pipes) as process:  # type: ignore[call-overload]
        assert process.stderr is not None
        told = set[str]()
        try:
            while not {"gateway.up", "events.up"} <= told:
                told.add(json.loads(process.stderr.readline())["event"])
            yield Results(process)
        finally:
            process.terminate()


def _publish(announced: Mapping[str, Any]) -> None:
    _do("POST", announced, "/publish", {"channel": CHANNEL, "data": {"execution": "rebalance"}})


def _do(method: str, announced: Mapping[str, Any], what: str, body: object) -> None:
    url, content = f"{announced['control_url']}{what}", json.dumps(body).encode()
    with urlopen(Request(url, data=content, method=method), timeout=10):  # noqa: S310 (the sandbox's own)
        pass


def _allocation(weights: Mapping[str, float]) -> Mapping[str, object]:
    targets = [{"symbol": symbol, "allocation": weight} for symbol, weight in weights.items()]
    return {"status": "success", "data": {"allocations": targets, "name": "tilted"}}


def took_s(log: Sequence[Record]) -> float:
    return (moment(log[-1]) - moment(log[0])).total_seconds()


def show(log: Sequence[Record]) -> None:
    """The run as a chain of round trips, and how it compares with the least."""
    frames = [record for record in log if "client" in record]
    bursts = round_trips(frames, latency_s=LATENCY_S)
    published, last = moment(log[0]), moment(log[-1])
    print(f"{(bursts[0].began - published).total_seconds():7.3f} s  until the first message leaves")
    ends = [*(burst.began for burst in bursts[1:]), last]
    for burst, end in zip(bursts, ends, strict=True):
        print(f"{(end - burst.began).total_seconds():7.3f} s  {burst.messages:3} messages: {', '.join(burst.kinds)}")
    ways = Counter(record["dir"] for record in frames if "dir" in record)
    print(f"{len(bursts)} round trips, {len(LEAST)} at least; {ways['in']} messages sent, {ways['out']} received")
    for what, throttle in (("round trips alone", None), ("with the throttle", THROTTLE)):
        least = least_from_event_s(throttle=throttle)
        print(f"{took_s(log):7.3f} s = {took_s(log) / least:5.2f} x {least:.3f} s: {what}")


if __name__ == "__main__":
    show(min((measured() for _ in range(int(sys.argv[1]) if sys.argv[1:] else 3)), key=took_s))
