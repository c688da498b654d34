"""The simulated venue that speed is measured against: accounts with equal targets, in a process of its own.

Every account holds a third of its targets, each far too much of them, and cash: whoever rebalances it sells these and
buys all others. A fill takes the venue's own 5 ms.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

FILL_S = 0.005
TARGETS = "primary"
"""The name of their document, and of the channel."""
REBALANCER = [sys.executable, "-m", "ibkr_rebalancer"]
UNLIMITED = {
    "max_orders_per_plan": 10_000,
    "max_orders_per_day": 10_000,
    "max_turnover_pct": 1_000,
    "max_daily_turnover_pct": 1_000,
}

Record = Mapping[str, Any]
"""A line of the sandbox's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is to be traded, and how far away the venue is."""

    symbols: int = 30
    accounts: int = 1
    latency_s: float = 0.025
    """One way."""

    @property
    def names(self) -> list[str]:
        return [f"S{number:03}" for number in range(self.symbols)]

    @property
    def sales(self) -> int:
        """Of each account; all other targets are bought."""
        return self.symbols // 3

    @property
    def purchases(self) -> int:
        return self.symbols - self.sales

    @property
    def account_ids(self) -> list[str]:
        return [f"DU{12345 + number}" for number in range(self.accounts)]

    @property
    def equal_weights(self) -> Mapping[str, float]:
        return dict.fromkeys(self.names, round(0.999 / self.symbols, 5))

    @property
    def tilted_weights(self) -> Mapping[str, float]:
        """Of a second event: what was sold first is sold again, and all else is bought."""
        equal = 0.999 / self.symbols
        low, high = 0.4 * equal, equal + 0.6 * equal * self.sales / self.purchases
        return {name: round(low if place < self.sales else high, 5) for place, name in enumerate(self.names)}

    def scenario(self) -> Mapping[str, object]:
        """As the sandbox reads it."""
        held = dict.fromkeys(self.names[: self.sales], 400)
        prices = {"bid": "49.99", "ask": "50.01", "last": "50", "close": "50", "hours": "always"}
        return {
            "latency_ms": round(self.latency_s * 1000),
            "accounts": {
                name: {"cash": f"{self.symbols * 5_000 // 3}", "positions": held} for name in self.account_ids
            },
            "fills": {"delay_ms": round(FILL_S * 1000)},
            "market": {name: {"con_id": 1000 + place, **prices} for place, name in enumerate(self.names)},
            "allocations": {TARGETS: document(self.equal_weights)},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A running venue, and a folder with an accounts.yaml that leads to it."""

    folder: Path
    announced: Mapping[str, Any]
    """What the sandbox says of its ports."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Of a command."""
        own = {"REBALANCER_CONFIG": str(self.folder / "accounts.yaml"), "REBALANCER_STATE": str(self.folder / "state")}
        return {**os.environ, **self.announced["env"], **own}

    def log(self) -> list[Record]:
        """All that was said and happened so far."""
        return [json.loads(line) for line in (self.folder / "frames.jsonl").read_text().splitlines()]


@contextmanager
def running(scene: Scene) -> Iterator[World]:
    """The scene, served until the block is left."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scenario.yaml").write_text(json.dumps(scene.scenario()), encoding="utf-8")
        files = ["--scenario", str(folder / "scenario.yaml"), "--log", str(folder / "frames.jsonl")]
        with subprocess.Popen([*REBALANCER, "sandbox", *files], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                world = World(folder=folder, announced=json.loads(process.stdout.readline()))
                _write_accounts(scene, world)
                yield world
            finally:
                process.terminate()


def _write_accounts(scene: Scene, world: World) -> None:
    url = f"http://127.0.0.1:{world.announced['allocations_port']}/allocations/{TARGETS}"
    entries = [
        {"account_id": name, "notification": {"channel": TARGETS}, "allocations": {"url": url}, "limits": UNLIMITED}
        for name in scene.account_ids
    ]
    (world.folder / "accounts.yaml").write_text(json.dumps(entries), encoding="utf-8")


def document(weights: Mapping[str, float]) -> Mapping[str, object]:
    """What the allocation API answers."""
    targets = [{"symbol": symbol, "allocation": weight} for symbol, weight in weights.items()]
    return {"status": "success", "data": {"allocations": targets, "name": "measured"}}


def moment(record: Record) -> datetime:
    """When it was said or happened, by the venue's clock."""
    return datetime.fromisoformat(record["t"])
