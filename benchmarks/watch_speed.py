"""How long a warm `rebalancer watch` takes from an event to its last order, against the least that it could take.

    .venv/bin/python -m benchmarks.watch_speed [runs]

shows one such event, of 30 symbols 25 ms away, as its chain of round trips. The sandbox runs in a process of its own,
as does the watch. A first event sells a third of the equal targets and buys the rest. Then the targets of that third
are lowered and the others raised, the library's throttle is given time to forget, and a second event is published: as
many orders as before, and every symbol has been traded before. All is told by the sandbox's log: from when the message
was published to when the last order arrived. The best run is shown.

The least is the chain of `benchmarks.execute_speed` without its start, from the message on its way to us to the last
order on its way from us. One preview is left of it: of the first order, which tells whether orders are taken at all.
One round trip more than on other days is in the run: so soon after the first event, its fills must show in positions.
Of several accounts all share the prices; the gateway tells of one account at a time, so their balances are a round trip
each.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.chain import THROTTLE, Floor, Stage, floor_of, orders_of, round_trips, show_chain
from benchmarks.venue import REBALANCER, TARGETS, Record, Scene, World, document, moment, running

THROTTLE_FORGETS_S = 1.2


def least(scene: Scene) -> tuple[Stage, ...]:
    """The chain of round trips that no warm run can do without, with the messages that each takes."""
    more = [Stage(name="the next account", messages=1)] * (scene.accounts - 1)
    return (
        Stage(name="time, orders, account, contracts", messages=6 + scene.symbols),
        *more,
        Stage(name="quotes", messages=1 + scene.symbols),
        Stage(name="preview of the first order", messages=scene.accounts),
        Stage(name="sales", messages=scene.accounts * scene.sales, trades=True),
        Stage(name="time, balances and quotes again", messages=3 + scene.purchases),
        *more,
        Stage(name="purchases", messages=scene.accounts * scene.purchases, trades=True),
    )


def floor_from_event(scene: Scene, *, throttle: int | None) -> Floor:
    """The message's way to us, and the chain; whose time counts from the event."""
    chain = floor_of(least(scene), latency_s=scene.latency_s, throttle=throttle)
    return Floor(
        first_order_s=scene.latency_s + chain.first_order_s,
        last_order_s=scene.latency_s + chain.last_order_s,
        end_s=scene.latency_s + chain.end_s,
    )


def measured(scene: Scene) -> Sequence[Record]:
    """The sandbox's log from the second event to the last order that came of it."""
    with running(scene) as world:
        with _watch(world) as results:
            _publish(world)
            results.expect(scene.accounts)
            _do("PATCH", world, "", {"allocations": {TARGETS: document(scene.tilted_weights)}})
            time.sleep(THROTTLE_FORGETS_S)
            _publish(world)
            results.expect(scene.accounts)
        log = world.log()
    begin = [place for place, record in enumerate(log) if record.get("event") == "published"][-1]
    return log[begin:]


class Results:
    """What the watch prints."""

    def __init__(self, process: "subprocess.Popen[str]", said: Path) -> None:
        self._process = process
        self._said = said

    def expect(self, accounts: int) -> None:
        """Wait for the end of so many runs, in each of which everything was carried out."""
        ended = 0
        while ended < accounts:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            runs = json.loads(line)["runs"] if line else []
            if not runs or {run["outcome"] for run in runs} != {"done"}:
                raise SystemExit(f"the run failed: {line}{self._said.read_text()}")
            ended += len(runs)


@contextmanager
def _watch(world: World) -> Iterator[Results]:
    """A watch that has found gateway and channels."""
    said = world.folder / "watch.log"
    with (
        said.open("w") as log,
        subprocess.Popen(
            [*REBALANCER, "watch", "--json"], env=world.environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            while not {"gateway.up", "events.up"} <= _told(said):
                if process.poll() is not None:
                    raise SystemExit(f"the watch has ended: {said.read_text()}")
                time.sleep(0.05)
            yield Results(process, said)
        finally:
            process.terminate()


def _told(said: Path) -> set[str]:
    """The events in its log, but for a line that is not yet whole."""
    return {json.loads(line)["event"] for line in said.read_text().splitlines(keepends=True) if line.endswith("\n")}


def _publish(world: World) -> None:
    _do("POST", world, "/publish", {"channel": TARGETS, "data": {"execution": "rebalance"}})


def _do(method: str, world: World, what: str, body: object) -> None:
    url, content = f"{world.announced['control_url']}{what}", json.dumps(body).encode()
    with urlopen(Request(url, data=content, method=method), timeout=10):  # noqa: S310 (the sandbox's own)
        pass


def orders_s(log: Sequence[Record]) -> tuple[float, float]:
    """From the event to the first and to the last order at the venue."""
    orders, published = orders_of(log), moment(log[0])
    return (orders[0] - published).total_seconds(), (orders[-1] - published).total_seconds()


def frames_of(log: Sequence[Record]) -> list[Record]:
    """What was said between the watch and the gateway up to the last order."""
    last = orders_of(log)[-1]
    return [record for record in log if "client" in record and moment(record) <= last]


def show(scene: Scene, log: Sequence[Record]) -> None:
    """The run as a chain of round trips, and how it compares with the least."""
    frames = frames_of(log)
    bursts = round_trips(frames, latency_s=scene.latency_s)
    print(f"{(bursts[0].began - moment(log[0])).total_seconds():7.3f} s  until the first message leaves")
    show_chain(bursts, end=orders_of(log)[-1])
    ways: Mapping[str, int] = Counter(record["dir"] for record in frames if "dir" in record)
    print(
        f"{len(bursts)} round trips, {len(least(scene))} at least; {ways['in']} messages sent, {ways['out']} received"
    )
    _, took_s = orders_s(log)
    for what, throttle in (("round trips alone", None), ("with the throttle", THROTTLE)):
        least_s = floor_from_event(scene, throttle=throttle).last_order_s
        print(f"{took_s:7.3f} s = {took_s / least_s:5.2f} x {least_s:.3f} s: {what}")


if __name__ == "__main__":
    THIRTY = Scene()
    RUNS = int(sys.argv[1]) if sys.argv[1:] else 3
    show(THIRTY, min((measured(THIRTY) for _ in range(RUNS)), key=lambda log: orders_s(log)[1]))
