"""What a process takes of its machine just now: memory, tasks, descriptors, threads, and what its objects hold."""

import asyncio
import ctypes
import gc
import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PRODUCT = "ibkr_rebalancer."
CONTAINERS = (dict, list, set, frozenset, tuple, deque)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the watch takes after so many events."""

    events: int
    rss_kib: int
    """Before the sample. The C library keeps what was freed for later, in pieces that get more for a while."""
    used_kib: int
    """The same without that, as far as the C library can give it back."""
    objects: int
    """All that the garbage collector knows."""
    tasks: int
    descriptors: int
    threads: int


async def sample(events: int) -> Sample:
    """What is alive once nothing is being done."""
    await asyncio.sleep(0.1)
    rss_kib = _rss_kib()
    for _ in range(3):
        gc.collect()
    _give_back()
    return Sample(
        events=events,
        rss_kib=rss_kib,
        used_kib=_rss_kib(),
        objects=len(gc.get_objects()),
        tasks=len(asyncio.all_tasks()),
        descriptors=_descriptors(),
        threads=threading.active_count(),
    )


def _rss_kib() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0])


def _give_back() -> None:
    """Let the C library give back to the system what it has kept, if it is one that can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def held() -> Counter[str]:
    """How many instances there are of each class, and how much is in the containers of ours."""
    counts = Counter[str]()
    for each in gc.get_objects():
        kind = type(each)
        name = f"{kind.__module__}.{kind.__qualname__}"
        counts[name] += 1
        if name.startswith(PRODUCT):
            for attribute, value in _attributes(each):
                if isinstance(value, CONTAINERS):
                    counts[f"{name}.{attribute}"] += len(value)
    return counts


def _attributes(instance: object) -> Iterator[tuple[str, object]]:
    yield from getattr(instance, "__dict__", {}).items()
    for kind in type(instance).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(instance, name):
                yield name, getattr(instance, name)
