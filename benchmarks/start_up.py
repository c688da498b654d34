"""How long a command takes to its first word, and the most memory that it takes."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from benchmarks.execute_speed import IMPORTS
from benchmarks.venue import REBALANCER, Scene, World, moment, running

NEARBY = Scene(symbols=30, latency_s=0.0)
LARGE = Scene(symbols=100, latency_s=0.0)

PEAK = """
import sys
from ibkr_rebalancer.cli import run
if code := run(sys.argv[1:]):
    sys.exit(code)
peak = open("/proc/self/status", encoding="ascii").read().partition("VmHWM:")[2]
print("\\nPEAK", peak.split()[0])
"""


def rows(runs: int) -> Iterator[Mapping[str, float | int | str]]:
    """Each start; the best of five or more."""
    for what, command in (
        ("python, nothing imported", ["-c", ""]),
        ("python importing typer and rich", ["-c", "import typer, rich"]),
        ("rebalancer --help", ["-m", "ibkr_rebalancer", "--help"]),
        ("python importing the libraries of execute", ["-c", IMPORTS]),
    ):
        yield {"what": what, "ms": min(_ms([sys.executable, *command]) for _ in range(max(runs, 5)))}
    with running(NEARBY) as world:
        yield {"what": "rebalancer plan, to its first request", "ms": min(_to_first_request(world) for _ in range(5))}


def _ms(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - began)


def _to_first_request(world: World) -> float:
    """Milliseconds until the gateway hears the first word of a plan."""
    heard = len(world.log())
    began = datetime.now(UTC)
    subprocess.run([*REBALANCER, "plan", "--json"], env=world.environment, check=True, capture_output=True)
    first = next(record for record in world.log()[heard:] if record.get("dir") == "in")
    return 1000 * (moment(first) - began).total_seconds()


def memory() -> Iterator[Mapping[str, float | int | str]]:
    """At their peak, by the kernel's count of the process alone."""
    for scene, command in (
        (NEARBY, ["--help"]),
        (NEARBY, ["plan", "--json"]),
        (LARGE, ["plan", "--json"]),
        (NEARBY, ["execute", "--yes", "--json"]),
    ):
        with running(scene) as world:
            name = f"{command[0]}{'' if command == ['--help'] else f', {scene.symbols} symbols'}"
            yield {"process": name, "mib": _peak_mib(world, command)}


def _peak_mib(world: World, command: Sequence[str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command], env=world.environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout.rpartition("PEAK")[2]) / 1024
