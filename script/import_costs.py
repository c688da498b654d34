"""Check that `--help` is instant: no heavy import, and at most half as slow again as importing typer and rich."""

import subprocess
import sys
from statistics import median
from time import perf_counter

HEAVY = ("aiohttp", "ib_async", "numpy", "requests", "rich.markdown", "yaml", "sqlalchemy", "ably", "apprise")
RUNS = 9
BOUND = 1.5

HELP = "import sys; from ibkr_rebalancer.cli import run; run(['--help'])"


def seconds(code: str) -> float:
    """Median wall time of a fresh interpreter running `code`."""
    times = []
    for _ in range(RUNS):
        start = perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append(perf_counter() - start)
    return median(times)


def main() -> int:
    """Print what was measured; exit 1 if it is too much."""
    listed = f"{HELP}; print('MODULES', *sys.modules)"
    output = subprocess.run([sys.executable, "-c", listed], check=True, capture_output=True, text=True).stdout
    loaded = set(output.rpartition("MODULES")[2].split())
    dragged = sorted(loaded & set(HEAVY))
    baseline, help_time = seconds("import typer, rich"), seconds(HELP)
    print(
        f"--help takes {help_time * 1000:.0f} ms, importing typer and rich {baseline * 1000:.0f} ms; imports: {dragged}"
    )
    return 1 if dragged or help_time > BOUND * baseline else 0


if __name__ == "__main__":
    sys.exit(main())
