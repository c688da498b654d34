"""SIGKILL at every write of the journal and every send of an order, before and after: no order twice, none lost.

A process is killed at its k-th point, for every k until one lives to its end; the next process has to find out what
became of the first one's orders, and finish. The judge is the sandbox's log.
"""

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from tests.support.commands import RunningSandbox, running_sandbox
from tests.support.reading import Notices
from tests.support.sandbox import BASE, events, scenario_with
from tests.support.worker import Job, Nursery, nursery

from ibkr_rebalancer.core.order_state import order_state
from ibkr_rebalancer.core.portfolio import TradingMode
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.edges.journal.opening import open_journal
from ibkr_rebalancer.sandbox.venue.accounts import Account

ACCOUNT = "DU123456"
PROCESSES = 2
MOST_POINTS = 200
"""What only a broken test reaches."""
FEWEST_POINTS = 20
"""Two sends and the writes of a run; how much evidence one write takes in depends on the moment."""
MEMORY = Path("/dev/shm")  # noqa: S108 (a disk that costs no time, where there is one)


@dataclass(frozen=True, slots=True)
class Stage:
    """A folder with an accounts.yaml, and the sandbox of its account."""

    folder: Path
    sandbox: RunningSandbox
    worker: Nursery

    def run(self, *, dies_at: int | None = None, runs: int = 1) -> tuple[bool, Sequence[str]]:
        """A process; whether it was killed, and what it came to."""
        job = Job(folder=str(self.folder), env=self.sandbox.inside.env, dies_at=dies_at, runs=runs)
        ended = self.worker.run(job)
        return ended.killed, ended.outcomes


def staged(worker: Nursery, story: Callable[[Stage], bool]) -> bool:
    """The story with a sandbox of its own."""
    targets = [{"symbol": "BBB", "allocation": 0.6}, {"symbol": "CCC", "allocation": 0.4}]
    scenario = scenario_with(
        clock=None,
        market={symbol: {"hours": "always"} for symbol in BASE["market"]},
        accounts={"DU1": None, ACCOUNT: {"cash": "10000", "positions": {"AAA": 100}}},
        fills={"slices": 2, "delay_ms": 2},
        allocations={"primary": {"status": "success", "data": {"allocations": targets, "name": "even"}}},
    )
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as name, running_sandbox(scenario) as sandbox:
        entry = {
            "account_id": ACCOUNT,
            "notification": {"channel": "rebalance"},
            "allocations": {"url": f"{sandbox.inside.allocations_url}/primary"},
        }
        (Path(name) / "accounts.yaml").write_text(yaml.safe_dump([entry]), encoding="utf-8")
        return story(Stage(Path(name), sandbox, worker))


def killed_once(k: int) -> Callable[[Stage], bool]:
    """Killed at the k-th point; whether there was one."""

    def story(stage: Stage) -> bool:
        killed, outcomes = stage.run(dies_at=k)
        if not killed:
            assert list(outcomes) == ["done"]
        require_rest(stage, f"killed at {k}")
        return killed

    return story


def killed_twice(first: int, second: int) -> Callable[[Stage], bool]:
    def story(stage: Stage) -> bool:
        killed, _ = stage.run(dies_at=first)
        again, _ = stage.run(dies_at=second)
        require_rest(stage, f"killed at {first}, then at {second}")
        return killed and again

    return story


def require_rest(stage: Stage, case: str) -> None:
    """The next process finishes, the one after has nothing to do; and the venue has seen nothing that it should not."""
    _, outcomes = stage.run(runs=2)
    assert outcomes[0] in {"done", "nothing-to-do"}, f"{case}: {outcomes}"
    assert outcomes[1] == "nothing-to-do", f"{case}: {outcomes}"
    log = stage.sandbox.log
    orders = {record["perm_id"]: str(record["order_ref"]) for record in events(log, "order")}
    filled: Counter[str] = Counter()
    for record in events(log, "execution"):
        filled[str(record["order_ref"])] += int(Decimal(str(record["quantity"])))
    assert len(set(orders.values())) == len(orders), f"{case}: an order came twice"
    assert not [row for row in events(log, "complaint") if row["code"] == 103], f"{case}: an order was sent twice"
    with open_journal(
        stage.folder / "state", mode=TradingMode.PAPER, clock=SystemClock(), observer=Notices()
    ) as journal:
        assert not journal.unsettled(), f"{case}: an order has no outcome"
        known = {order.intent.order_ref: order for run in journal.runs(limit=10) for order in run.orders}
    assert set(orders.values()) <= set(known), f"{case}: an order was lost"
    for ref, order in known.items():
        assert order_state(order).filled == filled[ref], f"{case}: {order}"
    assert on_target(stage.sandbox.inside._venue.scenario.accounts[ACCOUNT]), case


def on_target(account: Account) -> bool:
    held = {con_id: holding.quantity for con_id, holding in account.positions.items() if holding.quantity}
    worth = account.cash["USD"] + held.get(102, 0) * 50 + held.get(103, 0) * 20
    return (
        set(held) == {102, 103}
        and account.cash["USD"] >= 0
        and abs(held[102] * 50 / worth - Decimal("0.6")) < Decimal("0.01")
        and abs(held[103] * 20 / worth - Decimal("0.4")) < Decimal("0.01")
    )


def in_parallel(stories: Sequence[Iterable[Callable[[Stage], bool]]]) -> int:
    """The stories of each list one after the other, until one comes to nothing; how many there were."""

    def one_after_the_other(own: Iterable[Callable[[Stage], bool]]) -> int:
        with nursery() as worker:
            count = 0
            for story in own:
                if not staged(worker, story):
                    break
                count += 1
            return count

    with ThreadPoolExecutor(len(stories)) as pool:
        return sum(pool.map(one_after_the_other, stories))


def test_a_process_that_is_killed_anywhere_sends_nothing_twice_and_loses_nothing() -> None:
    stories = [[killed_once(k) for k in range(first + 1, MOST_POINTS, PROCESSES)] for first in range(PROCESSES)]
    kills = in_parallel(stories)
    assert FEWEST_POINTS <= kills < MOST_POINTS - PROCESSES


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_processes_that_are_killed_one_after_the_other() -> None:
    draw = random.Random(20261123)  # noqa: S311 (a sample)
    pairs = [(draw.randrange(1, 45), draw.randrange(1, 45)) for _ in range(200)]

    def stories(own: Sequence[tuple[int, int]]) -> Iterable[Callable[[Stage], bool]]:
        for first, second in own:
            yield lambda stage, first=first, second=second: killed_twice(first, second)(stage) or True  # type: ignore[misc]

    assert in_parallel([stories(pairs[start::PROCESSES]) for start in range(PROCESSES)]) == len(pairs)
