"""What a watch takes of its machine after thousands of events: memory, tasks, descriptors, threads, the journal's time.

    .venv/bin/python -m benchmarks.endurance [events] [--json]

The watch runs in this process, with the edges that the product has, against a sandbox in a process of its own, which
keeps all that ever happened and so grows. Each simulated day has `PER_DAY` events in bursts: for one of two accounts
the targets turn round, a rebalance and dry runs are published back to back, and all of it is carried out. Then the
gateway and the channels drop their connections, and it is the next day by every clock, so that tokens have run out,
and what the broker tells of a day is gone. Waiting is shortened by the edges' own values.

Every sample is taken after a garbage collection. What has grown from the first to the last is told by the names of
classes, for their instances, and of the product's attributes, for what is in the containers that they hold: whatever
grows for ever is among it.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from benchmarks.footprint import Sample, held, sample

from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.policy import Account, Limits, Policy
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.watch_status import WatchStatus
from ibkr_rebalancer.edges.ably.deadlines import DEADLINES
from ibkr_rebalancer.edges.ably.source import AblyEvents
from ibkr_rebalancer.edges.allocations import HttpAllocations
from ibkr_rebalancer.edges.host import Systemd
from ibkr_rebalancer.edges.ibkr.line import open_line
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.opening import open_journal
from ibkr_rebalancer.edges.journal.watch_file import WatchFile
from ibkr_rebalancer.edges.logs import LogObserver, configure_logging, redacted
from ibkr_rebalancer.flows.signs_of_life import SignsOfLife
from ibkr_rebalancer.flows.trading import Occasion, Ports
from ibkr_rebalancer.flows.watch import Watch

ACCOUNTS = ("DU111111", "DU222222")
PER_DAY, PER_BURST = 40, 10
DAY = timedelta(days=1)
QUICK = replace(DEADLINES, history_every_s=0.5, ping_every_s=0.5, shortest_pause_s=0.05, retry_s=0.2, storm_connects=99)
SHORTEST_WAIT_S = 0.002
PATIENCE_S = 120.0
"""What only a watch that has stopped working waits for."""

REBALANCE = {"execution": "rebalance"}
OTHERS: Sequence[object] = ({}, "REBALANCE", ["rebalance"], {"execution": "dry-run"}, None)
WEIGHTS = ({"AAA": 0.6, "BBB": 0.4}, {"AAA": 0.4, "BBB": 0.6})
UNLIMITED = Limits(
    max_orders_per_day=10**6,
    max_turnover_pct=Decimal(10**6),
    max_daily_turnover_pct=Decimal(10**6),
    max_same_side_per_day=10**6,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A whole life, measured."""

    samples: Sequence[Sample]
    grown: Mapping[str, int]
    """From the first sample to the last, the most first."""
    journal_ms: Mapping[str, float]
    """How long the journal's work takes at the end."""
    journal_bytes: int
    orders: int
    restarts: int
    took_s: float


class LaterClock:
    """This machine's clock, some days ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC) + self.ahead


class Listener:
    """Passes notices on, and counts the events that have come."""

    def __init__(self, observer: Any) -> None:
        self.told = Counter[str]()
        self._observer = observer

    def notify(self, notice: Notice) -> None:
        self.told[notice.event] += 1
        self._observer.notify(notice)


class World:
    """The sandbox, from outside, and the clock that goes along with its own."""

    def __init__(self, announced: Mapping[str, Any], http: aiohttp.ClientSession) -> None:
        self.env: Mapping[str, str] = announced["env"]
        self.allocations_url = f"http://127.0.0.1:{announced['allocations_port']}/allocations"
        self.clock = LaterClock()
        self.published = 0
        self._control = announced["control_url"]
        self._http = http

    def accounts(self) -> tuple[Account, ...]:
        return tuple(
            Account(
                account_id=AccountId(name),
                channel=f"rebalance-{name}",
                allocations_url=f"{self.allocations_url}/{name}",
                policy=Policy(limits=UNLIMITED),
            )
            for name in ACCOUNTS
        )

    async def publish(self, account: str, payloads: Collection[object]) -> None:
        """Publish all of them at once."""
        self.published += len(payloads)
        key = b64encode((await self._state())["publisher_key"].encode()).decode()
        messages = [{"data": data if isinstance(data, str) else json.dumps(data)} for data in payloads]
        url = f"{self.env['REALTIME_ENDPOINT']}/channels/rebalance-{account}/messages"
        async with self._http.post(url, json=messages, headers={"Authorization": f"Basic {key}"}) as done:
            done.raise_for_status()

    async def set_targets(self, account: str, weights: Mapping[str, float]) -> None:
        await self._do("patch", "", {"allocations": {account: allocation(weights)}})

    async def next_day(self) -> None:
        """The daily restart of the gateway, over which a day passes; the channels are no better."""
        await self._do("post", "/kick", {})
        await self._do("post", "/disturb", {"abort": {}})
        self.clock.ahead += DAY
        await self._do("patch", "", {"clock": self.clock.now().isoformat()})

    async def _state(self) -> Any:
        async with self._http.get(self._control) as answer:
            return await answer.json()

    async def _do(self, method: str, what: str, body: object) -> None:
        async with self._http.request(method, f"{self._control}{what}", json=body) as done:
            done.raise_for_status()


def allocation(weights: Mapping[str, float]) -> Mapping[str, object]:
    targets = [{"symbol": symbol, "allocation": weight} for symbol, weight in weights.items()]
    return {"status": "success", "data": {"allocations": targets, "name": "turning"}}


async def live(events: int, *, sampled_every: int, folder: Path) -> Outcome:
    """A watch from its start until so many events were carried out or overtaken."""
    began = time.monotonic()
    async with _world(folder) as world, AsyncExitStack() as edges:
        clock = world.clock
        listener = Listener(LogObserver())
        journal = edges.enter_context(
            open_journal(folder / "state", mode=TradingMode.PAPER, clock=clock, observer=listener)
        )
        working = asyncio.create_task(_watch(world, journal, listener, edges, folder / "state"))
        samples, restarts, first = list[Sample](), 0, Counter[str]()
        try:
            while world.published < events:
                await _burst(world, journal, listener, working)
                if world.published % sampled_every == 0:
                    samples.append(await sample(world.published))
                    first = first or held()
                if world.published % PER_DAY == 0:
                    await world.next_day()
                    restarts += 1
            grown = held() - first
            times = _journal_times(journal, clock.now())
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
        orders = len(journal.orders(AccountId(ACCOUNTS[0]), since=datetime.min.replace(tzinfo=UTC)))
    times |= {"open the journal": _milliseconds(lambda: _open_once(folder / "state", clock))}
    return Outcome(
        samples=samples,
        grown=dict(grown.most_common()),
        journal_ms=times,
        journal_bytes=(folder / "state" / "journal.db").stat().st_size,
        orders=orders,
        restarts=restarts,
        took_s=time.monotonic() - began,
    )


async def _watch(world: World, journal: Journal, listener: Listener, edges: AsyncExitStack, state: Path) -> None:
    """What `app` does, with the edges' own deadlines shortened."""
    env, clock = world.env, world.clock
    now = clock.now()
    signs = SignsOfLife(
        WatchStatus(pid=0, started=now, beat=now, mode=TradingMode.PAPER, dry_run=False),
        keep=WatchFile(state).keep,
        supervisor=Systemd({}),
        clean=redacted,
        observer=listener,
        clock=clock,
    )
    line = await edges.enter_async_context(
        open_line(host=env["IBKR_HOST"], port=int(env["IBKR_PORT"]), client_id=21, clock=clock, observer=signs)
    )
    ports = Ports(
        gateway=line,
        source=HttpAllocations(api_keys=env),
        ledger=journal,
        controls=journal,
        clock=clock,
        observer=signs,
    )
    events = AblyEvents(
        api_key=env["REALTIME_API_KEY"],
        endpoint=env["REALTIME_ENDPOINT"],
        clock=clock,
        observer=signs,
        deadlines=QUICK,
    )
    await Watch(
        world.accounts(),
        Occasion(mode=TradingMode.PAPER, code_version="endurance"),
        ports,
        events=events,
        inbox=journal.inbox,
        tell=lambda _: None,
        beat=signs.beat,
        dry_run=False,
    ).run()


async def _burst(world: World, journal: Journal, listener: Listener, working: asyncio.Task[None]) -> None:
    """The targets of one account turn round, and events say so; until all of them have ended."""
    turn = world.published // PER_BURST
    account, weights = ACCOUNTS[turn % 2], WEIGHTS[turn // 2 % 2]
    await world.set_targets(account, weights)
    payloads = [OTHERS[number % len(OTHERS)] for number in range(PER_BURST)]
    payloads[turn % PER_BURST] = REBALANCE
    await world.publish(account, payloads)

    def is_done() -> bool:
        return listener.told["event.received"] == world.published and not journal.inbox.pending()

    until = time.monotonic() + PATIENCE_S
    while not is_done():
        if working.done() or time.monotonic() > until:
            await asyncio.wait({working}, timeout=0)
            raise SystemExit(f"it has stopped working: {working}, {listener.told}, {journal.inbox.pending()}")
        await asyncio.sleep(10 * SHORTEST_WAIT_S)


def _journal_times(journal: Journal, now: datetime) -> dict[str, float]:
    """What a watch asks of the journal for every event."""
    account = AccountId(ACCOUNTS[0])
    asked: dict[str, Callable[[], object]] = {
        "pending events": journal.inbox.pending,
        "newest rebalance": lambda: journal.inbox.carried_out(account),
        "unsettled orders": lambda: journal.unsettled(account),
        "orders of two days": lambda: journal.orders(account, since=now - 2 * DAY),
        "ever traded": lambda: journal.traded(account),
        "pinned contracts": journal.pinned,
        "newest runs": lambda: journal.runs(limit=10),
        "a write": lambda: journal.inbox.advance("speed", datetime.now(UTC)),
    }
    return {name: _milliseconds(question) for name, question in asked.items()}


def _milliseconds(question: Callable[[], object]) -> float:
    """The best of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        question()
        times.append(1000 * (time.perf_counter() - began))
    return min(times)


def _open_once(folder: Path, clock: LaterClock) -> None:
    with open_journal(folder, mode=TradingMode.PAPER, clock=clock, observer=LogObserver()):
        pass


@asynccontextmanager
async def _world(folder: Path) -> AsyncIterator[World]:
    with _sandbox(folder) as announced:
        async with aiohttp.ClientSession() as http:
            yield World(announced, http)


@contextmanager
def _sandbox(folder: Path) -> Iterator[Mapping[str, Any]]:
    """The venue in its own process; what it says of its ports."""
    scenario = folder / "scenario.yaml"
    scenario.write_text(json.dumps(SCENARIO), encoding="utf-8")
    command = [sys.executable, "-m", "ibkr_rebalancer", "sandbox", "--scenario", str(scenario)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


SCENARIO = {
    "accounts": {name: {"cash": "100000", "positions": {}} for name in ACCOUNTS},
    "fills": {"delay_ms": 1},
    "market": {
        symbol: {"con_id": 1000 + place, "bid": "49.99", "ask": "50.01", "last": "50", "close": "50", "hours": "always"}
        for place, symbol in enumerate(WEIGHTS[0])
    },
    "allocations": {name: allocation(WEIGHTS[0]) for name in ACCOUNTS},
}


def show(outcome: Outcome) -> None:
    """The samples as a table, the journal's times, and what has grown."""
    print(f"{'events':>8} {'RSS MiB':>8} {'in use':>7} {'objects':>8} {'tasks':>6} {'descriptors':>12} {'threads':>8}")
    for each in outcome.samples:
        rss, used = each.rss_kib / 1024, each.used_kib / 1024
        counts = f"{each.objects:8} {each.tasks:6} {each.descriptors:12} {each.threads:8}"
        print(f"{each.events:8} {rss:8.1f} {used:7.1f} {counts}")
    print(f"{outcome.restarts} restarts of the gateway, {outcome.orders} orders of one account, {outcome.took_s:.0f} s")
    print(f"The journal has {outcome.journal_bytes / 2**20:.1f} MiB; it takes, in milliseconds:")
    for name, took_ms in outcome.journal_ms.items():
        print(f"{took_ms:10.2f}  {name}")
    print("Grown from the first sample to the last:")
    for name, more in list(outcome.grown.items())[:20]:
        print(f"{more:10}  {name}")


def main(arguments: Sequence[str]) -> None:
    numbers = [int(each) for each in arguments if each.isdecimal()]
    events = numbers[0] if numbers else 10_000
    sampled_every = numbers[1] if len(numbers) > 1 else max(events // 20 // PER_DAY, 1) * PER_DAY
    with tempfile.TemporaryDirectory() as folder:
        logs = (Path(folder) / "log").open("w", encoding="utf-8")
        with logs:
            configure_logging("INFO", secrets=["watcher-secret"], stream=logs, as_json=True)
            outcome = asyncio.run(live(events, sampled_every=sampled_every, folder=Path(folder)))
    if "--json" in arguments:
        print(json.dumps(asdict(outcome)))
    else:
        show(outcome)


if __name__ == "__main__":
    main(sys.argv[1:])
