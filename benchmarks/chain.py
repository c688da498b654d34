"""A run as a chain of round trips: the one it was, by the sandbox's log, and the shortest that it could have been.

ib_async lets 45 messages a second pass, as Interactive Brokers takes 50, so the shortest chain has two lengths: without
that throttle, and with it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from benchmarks.venue import FILL_S, Record, moment

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT

THROTTLE = 45
"""Messages of ib_async in any one second."""
THROTTLED_FOR = timedelta(seconds=1.05)
UNCOUNTED = 5
"""Messages within a second that have no answer, and so are none of a round trip."""

PLACE_ORDER = 3
NEVER_ANSWERED = frozenset({"cancelPositions", "cancelMktData", "reqMarketDataType"})
TRADES = frozenset({"BUY", "SELL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Requests that need no answer of each other."""

    name: str
    messages: int
    trades: bool = False
    """These are orders, and their fills are waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The least time that something can take, in seconds from when the first message may leave."""

    first_order_s: float
    """Until the first order is at the venue."""
    last_order_s: float
    end_s: float
    """Until the last answer is here."""


def floor_of(stages: Sequence[Stage], *, latency_s: float, throttle: int | None) -> Floor:
    """The stages one after the other, when in any one second only so many messages may leave."""
    now, left = 0.0, deque[float](maxlen=throttle)
    orders: list[float] = []
    for stage in stages:
        for _ in range(stage.messages):
            if throttle and len(left) == throttle:
                now = max(now, left[0] + 1)
            left.append(now)
            orders += [now + latency_s] if stage.trades else []
        now += 2 * latency_s + (FILL_S if stage.trades else 0.0)
    return Floor(first_order_s=min(orders, default=0.0), last_order_s=max(orders, default=0.0), end_s=now)


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


def orders_of(log: Sequence[Record]) -> list[datetime]:
    """When each order was at the venue; previews are none."""
    return [moment(record) for record in log if asked_for(record) in TRADES]


def show_chain(bursts: Sequence[Burst], *, end: datetime) -> None:
    """Each round trip: how long, how many messages, and which."""
    for burst, until in zip(bursts, [*(burst.began for burst in bursts[1:]), end], strict=True):
        took_s = (until - burst.began).total_seconds()
        print(f"{took_s:7.3f} s  {burst.messages:4} messages: {', '.join(burst.kinds)}")
