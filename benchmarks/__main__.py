"""Measure speed, memory and the journal's cost, beside the least that they could be.

Everything runs against the sandbox on loopback, in processes of its own. All parts take some minutes.
docs/performance.md has the results of a run and what they mean.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.parts import PARTS
from benchmarks.results import Table, rewritten

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BUSY = 0.3
"""The load for each core from which others are in the way."""


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """What is wanted."""
    listed = "\n".join(f"  {name:10} {part.about}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"parts:\n{listed}\n\nOne run in detail: python -m benchmarks.execute_speed, .watch_speed, .endurance",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure; all unless named")
    parser.add_argument("--runs", type=int, default=1, help="how often each thing is done, of which the best counts")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--write", action="store_true", help=f"also put the tables into docs/{PAGE.name}")
    wanted = parser.parse_args(arguments)
    if unknown := set(wanted.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if wanted.runs < 1:
        parser.error("--runs is at least 1")
    return wanted


def measured(name: str, *, runs: int) -> Table:
    """One part, measured now."""
    part, before = PARTS[name], circumstances(runs)
    return Table(part=name, headings=part.headings, rows=list(part.measure(runs)), circumstances=before)


def circumstances(runs: int) -> str:
    """Where and when, and whether others were in the way."""
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    when = datetime.now(UTC).date().isoformat()
    where = f"{when}, {cores} cores, {platform.system()}, Python {platform.python_version()}"
    how = f"the better of {runs}" if runs > 1 else "one run"
    busy = f"Provisional: others kept the machine busy (load {load:.1f} at the start)." if load > BUSY * cores else ""
    return f"{where}, {how}. {busy}".strip()


def main(arguments: Sequence[str]) -> None:
    """Tables appear as they are ready."""
    wanted = parsed(arguments)
    tables: list[Table] = []
    for name in wanted.parts or PARTS:
        tables.append(table := measured(name, runs=wanted.runs))
        if not wanted.json:
            print(f"{name}: {PARTS[name].about}\n\n{table.text}\n", flush=True)
        if wanted.write:
            PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), [table]), encoding="utf-8")
    if wanted.json:
        print(json.dumps([table.document for table in tables], indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
