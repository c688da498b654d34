"""Payloads that ask for a rebalance or nearly do, and the rule for it said another way than the product says it."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from ibkr_rebalancer.core.report import RunMode

WORD = {"execution": "rebalance"}
SURROGATE = "\ud800"

WRONG_WORDS = [
    *["REBALANCE", "Rebalance", "rebalance ", " rebalance", "rebalance\n", "rebalance\0", "re-balance", "rebalanc"],
    *["rebalances", "ｒebalance", "rebаlance", "", "dry-run", "live", "execute", '"rebalance"', "true", SURROGATE],
]


def asks_for_a_rebalance(data: Any) -> bool:
    """Whether the payload does; objects in text are looked at as the pairs that stand there."""
    if isinstance(data, str | bytes | bytearray):
        try:
            pairs: Any = json.loads(data if isinstance(data, str) else bytes(data).decode(), object_pairs_hook=tuple)
        except (ValueError, RecursionError):
            return False
        return isinstance(pairs, tuple) and ("execution", "rebalance") in pairs
    return type(data) is dict and type(data.get("execution")) is str and data["execution"] == "rebalance"


def misjudged(mode_of: Callable[[object], tuple[RunMode, str]]) -> list[object]:
    """Those of ten thousand payloads of which it says something else than the rule, or says it without a reason."""
    wrong, trading = [], 0
    for data in _nearly_right():
        mode, note = mode_of(data)
        trading += asks_for_a_rebalance(data)
        if not (mode is RunMode.REBALANCE) == (not note) == asks_for_a_rebalance(data):
            wrong.append(data)
    assert 3_000 < trading < 9_000, "both are tried"
    return wrong


def _nearly_right() -> Iterator[object]:
    """Wrong words, and a payload that trades with characters changed, doubled, dropped and swapped."""
    yield from ({"execution": word} for word in WRONG_WORDS)
    random = Random(20261123)  # noqa: S311 (reproducible, not secret)
    for _ in range(10_000):
        text = [*'{"execution": "rebalance", "event_id": "a"}']
        for _ in range(random.randint(0, 2)):
            place = random.randrange(len(text))
            text[place] = random.choice([text[place] * 2, "", random.choice(text), chr(random.randrange(128))])
        data = "".join(text)
        yield random.choice([data, data.encode()])
