"""Payloads that ask for a rebalance or nearly do, and the rule for it said another way than the product says it."""

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from ibkr_rebalancer.core.report import RunMode

WORD = {"execution": "rebalance"}
SURROGATE = "\ud800"
LARGEST = 60_000
"""Characters of a strange payload; Ably takes 65,536 bytes."""

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


def strange_payload(random: Random) -> object:
    """Anything that a publisher may send and that asks for no rebalance: an object, a list, text, bytes or nothing."""
    while True:
        data = random.choice(_STRANGE)(random)
        if not asks_for_a_rebalance(data):
            return data


def _object(random: Random) -> object:
    """Also one that names accounts, sizes and limits."""
    return {random.choice(_KEYS): _value(random, 3) for _ in range(random.randrange(5))}


def _value(random: Random, depth: int) -> object:
    plain = [random.choice([*WRONG_WORDS[:-1], "rebalance"]), random.randrange(-9, 10**9), random.random(), True, None]
    if not depth or random.random() < 0.6:
        return random.choice(plain)
    values = [_value(random, depth - 1) for _ in range(random.randrange(4))]
    return values if random.random() < 0.5 else dict(zip(_KEYS, values, strict=False))


def _list(random: Random) -> object:
    return [_value(random, 2) for _ in range(random.randrange(4))]


def _json(random: Random) -> str:
    """As text; half of the time cut short, or with something behind it."""
    text = json.dumps(_value(random, 3))
    return random.choice([text, text, text[: random.randrange(len(text) + 1)], f"{text} {text}"])


def _text(random: Random) -> str:
    return "".join(chr(random.choice([random.randrange(32, 127), random.randrange(0xD800)])) for _ in range(40))


def _bytes(random: Random) -> bytes:
    return random.choice([random.randbytes(random.randrange(60)), _json(random).encode()])


def _deep(random: Random) -> str:
    opening = random.choice(["[", '{"execution":', '[{"execution": "rebalance", "x":'])
    return opening * (random.randrange(LARGEST) // len(opening))


def _huge(random: Random) -> object:
    filling = "x" * random.randrange(LARGEST // 2, LARGEST - 100)
    padded = json.dumps({**WORD, "execution": filling})
    return random.choice([filling, padded, padded.encode(), {"execution": filling}])


_KEYS = ["execution", "Execution", "account", "accounts", "limits", "size", "symbols", "mode", "exec", ""]
_STRANGE: Sequence[Callable[[Random], object]] = [
    _object,
    _object,
    _object,
    _list,
    _json,
    _json,
    _text,
    _bytes,
    _bytes,
    _deep,
    _huge,
    lambda _: None,
]


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
