"""Chaos around running watches: publishers, faults of channels and gateway, and processes that are killed.

    with chaos(folder, seed=7) as scene:
        scene.begin()
        scene.rage(kills=3, faults=200)
        scene.calm()
        assert not scene.breaches()

Beside each watch runs a consumer without history and inbox (`naive_consumer`), in the very same weather, killed at the
same moments: what judges the one judges the other.
"""

import json
import os
import random
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import yaml
from tests.support import reckoning
from tests.support.commands import RunningSandbox, running_sandbox
from tests.support.payloads import WORD, strange_payload
from tests.support.reading import Notices
from tests.support.reckoning import Published, Ran, Story
from tests.support.sandbox import BASE, LOOPBACK, events, fault, realtime_fault, received, scenario_with

from ibkr_rebalancer.core.order_state import order_state
from ibkr_rebalancer.core.orders import OURS
from ibkr_rebalancer.core.portfolio import TradingMode
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.opening import open_journal
from ibkr_rebalancer.sandbox.log import Record
from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT
from ibkr_rebalancer.sandbox.venue.document import Document

ROOT = Path(__file__).parents[2]
TOGETHER, ALONE = "rebalance-together", "rebalance-alone"
ACCOUNTS = {TOGETHER: ("DU100001", "DU100002"), ALONE: ("DU100003",)}
NAMES = {name: channel for channel, names in ACCOUNTS.items() for name in names}
WATCH, HASTY_WATCH = ("ibkr_rebalancer", "watch"), ("tests.support.hasty_watch",)
LIMITS = {"max_daily_turnover_pct": 10_000, "max_same_side_per_day": 10_000, "max_orders_per_day": 10_000}
"""Years of trading in a few minutes."""
AT_FIRST: Document = {"AAA": 0.34, "BBB": 0.33, "CCC": 0.33}
TWIN, FIRST, SECOND = "twin-", "-first", "-second"
"""Of the ids of two messages that are one event; the number stands after the first word."""
LONGEST_LIFE = 300
"""Things that happen, while a watch waits for a gateway that is away too often."""
CALM_S = 90
"""What a broken test waits for; in a good one, at most for the half minute that proves an order absent."""

UNAVAILABLE = {"action": 6, "error": {"code": 80003, "statusCode": 503, "message": "unavailable"}}
"""A DISCONNECTED after which Ably's client believes itself connected, without a socket."""

OF_FRAMES: Sequence[Document] = [
    realtime_fault("MESSAGE", "drop", count=2),
    realtime_fault("MESSAGE", "duplicate", count=3),
    realtime_fault("MESSAGE", "overtaken", count=1),
    realtime_fault("MESSAGE", "delay", parameters={"ms": 150}, count=2),
    realtime_fault("MESSAGE", "garbage", count=1),
    realtime_fault("MESSAGE", "mute", count=1),
    realtime_fault("MESSAGE", "close", parameters={"code": 1011}, count=1),
    realtime_fault("MESSAGE", "disconnect", count=1),
    realtime_fault("MESSAGE", "pad", parameters={"bytes": 1_100_000}, count=1),
    realtime_fault("MESSAGE", "alter", parameters={"channelSerial": None}, count=2),
    realtime_fault("ATTACHED", "drop", count=1),
    realtime_fault("CONNECTED", "delay", parameters={"ms": 100}, count=1),
    realtime_fault("HEARTBEAT", "drop", count=1),
    realtime_fault("upgrade", "error", parameters={"code": 50003, "status": 503}, count=1),
    realtime_fault("ATTACH", "error", parameters={"code": 50000, "status": 500}, count=1),
    realtime_fault("history", "error", parameters={"code": 50000, "status": 500}, count=1),
    realtime_fault("history", "garbage", count=1),
    realtime_fault("history", "disconnect", count=1),
    realtime_fault("time", "error", parameters={"code": 50000, "status": 500}, count=1),
    realtime_fault("requestToken", "disconnect", count=1),
]
OF_THE_GATEWAY: Sequence[Document] = [
    fault("openOrder", "disconnect", where={"whatIf": "0"}, count=1),
    fault("execDetails", "disconnect", count=1),
    fault("execDetails", "duplicate", count=2),
    fault("orderStatus", "disconnect", count=1),
    fault("orderStatus", "duplicate", count=3),
    fault("position", "disconnect", count=1),
    fault("reqMktData", "disconnect", count=1),
    fault("currentTime", "disconnect", count=1),
    fault("reqPositions", "error", parameters={"code": 322, "text": "Try again."}, count=1),
]
DISTURBANCES: Sequence[tuple[str, Document]] = [
    ("abort", {}),
    ("close", {"code": 1001}),
    ("send", {"frame": UNAVAILABLE}),
    ("discontinuity", {"channel": TOGETHER}),
    ("lose_continuity", {"channel": ALONE}),
    ("forget", {}),
    ("expire_tokens", {}),
]


class Chaos:
    """One sandbox and one state folder; in it one watch after the other, and beside it one naive consumer."""

    def __init__(self, folder: Path, sandbox: RunningSandbox, seed: int, watch: Sequence[str]) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.random = random.Random(seed)  # noqa: S311 (reproducible, not secret)
        self.kills = 0
        self.strikes = 0
        """Faults that have struck, and everything else that was done to the connections."""
        self._numbers = count(1)
        self._trading: set[str] = set()
        """Ids of the messages that ask for a rebalance."""
        self._targets: dict[str, Document] = {}
        self._command = watch
        self._watch: subprocess.Popen[bytes] | None = None
        self._naive: subprocess.Popen[bytes] | None = None
        self._acts = folder / "acts"
        self._read = 0
        """Records of the log that were read."""
        self._orders = 0
        """What the venue has said of orders of ours."""
        self._looked: set[str] = set()
        """The channels whose history was looked at since the watch at work began."""
        self._lately: deque[Record] = deque(maxlen=20)
        """What was published, but for twins."""
        self._twins: dict[str, str] = {}
        """Keys of those messages that say the same `event_id` as another one, by their ids."""

    # What happens

    def begin(self) -> None:
        """Both listen, and one event finds its way to them, twice; another one consists of two messages."""
        self._acts.touch()
        self._start()
        self._until(lambda: self._looked == ACCOUNTS.keys())
        self._until(lambda: "ready" in self._acts.read_text(encoding="utf-8"))
        self.sandbox.change({"faults": [realtime_fault("MESSAGE", "duplicate")]})
        self._rebalance(TOGETHER)
        self._until(lambda: self._orders)
        self._publish_twins()
        self.sandbox.change({"faults": []})

    def rage(self, *, kills: int, faults: int) -> None:
        """Until so many watches were killed, and so many faults have struck."""
        for _ in range(kills):
            self._live_until_orders_leave()
            self._end(SIGKILL)
        while self.strikes < faults:
            self._act()

    def rage_for(self, minutes: float) -> None:
        """Kill watches, tell some to stop, and let some live until they have proven what their predecessors left."""
        ends = time.monotonic() + 60 * minutes
        while time.monotonic() < ends:
            self._live_until_orders_leave()
            dies = time.monotonic() + self.random.choice([0, 0, 0, 0, 5, 5, 40])
            while time.monotonic() < dies:
                self._act()
            self._end(self.random.choice([SIGKILL] * 5 + [SIGTERM]))

    def calm(self) -> None:
        """No fault strikes any more; a last watch ends everything that there is to do."""
        self.sandbox.change({"faults": []})
        self.sandbox.notice(1102)
        self._kill()
        self._start()
        for channel in ACCOUNTS:
            self._set_targets(channel)
            self._publish(channel, {})
            self._rebalance(channel)
        with self.journal() as journal:
            self._until(lambda: self._is_at_rest(journal))
        assert self._watch is not None
        self._watch.send_signal(SIGTERM)
        assert self._watch.wait(CALM_S) == 0

    def _live_until_orders_leave(self) -> None:
        """So that every end comes where it hurts; or, now and then, while it has hardly begun."""
        before, is_patient = self._orders, self.random.random() < 0.8
        for _ in range(LONGEST_LIFE):
            if self._orders > before if is_patient else self._looked:
                break
            self._act()
        for _ in range(self.random.randrange(6)):
            self._act()

    def _act(self) -> None:
        """Something happens, and then nothing for a moment."""
        deeds: Sequence[tuple[int, Callable[[], None]]] = [
            (6, lambda: self._rebalance(self.random.choice([*ACCOUNTS]))),
            (4, lambda: self._publish(self.random.choice([*ACCOUNTS]), strange_payload(self.random))),
            (1, lambda: self._set_targets(self.random.choice([*ACCOUNTS]))),
            (1, self._publish_twins),
            (1, self._poison),
            (1, self._change_a_message),
            (8, self._lay_faults),
            (3, self._disturb),
            (1, self.sandbox.kick),
            (1, self._interrupt),
        ]
        self._read_on()
        (deed,) = self.random.choices([deed for _, deed in deeds], [weight for weight, _ in deeds])
        deed()
        time.sleep(self.random.choice([0, 0, 0.01, 0.02, 0.1]))  # the pace of the world; nothing is waited for

    def _rebalance(self, channel: str) -> None:
        if self.random.random() < 0.7:
            self._set_targets(channel)
        payload = self.random.choice([WORD, json.dumps(WORD), {**WORD, "account": "U1", "size": 1e9}])
        self._publish(channel, payload, trades=True)

    def _publish(self, channel: str, data: object, *, trades: bool = False, **more: Any) -> None:
        number = next(self._numbers)
        more = {"id": f"event-{number}", "name": self.random.choice(["event", "error", "message", ""]), **more}
        if isinstance(data, bytes):
            more, data = {**more, "encoding": "base64"}, b64encode(data).decode()
        if trades:
            self._trading.add(more["id"])
        self.sandbox.publish(channel, data, **more)

    def _publish_twins(self) -> None:
        """Two messages, each with an id of its own, that say they are one event: a publisher has tried again."""
        channel, number = self.random.choice([*ACCOUNTS]), next(self._numbers)
        self._set_targets(channel)
        first, second = {**WORD, "event_id": number}, json.dumps({**WORD, "event_id": f"{number}"})
        for payload, name in ((first, f"{TWIN}{number}{FIRST}"), (second, f"{TWIN}{number}{SECOND}")):
            self._publish(channel, payload, trades=True, id=name)

    def _poison(self) -> None:
        """What Ably's client cannot decode, and what takes all there is room for."""
        how: Document = self.random.choice(
            [
                {"data": "{", "encoding": "json"},
                {"data": "AAH/", "encoding": "utf-8/base64"},
                {"data": "AAH/", "encoding": "utf-8/cipher+aes-256-cbc/base64"},
                {"data": "x" * 65_000},
                {"data": "[" * 60_000},
                {"data": json.dumps({**WORD, "execution": "x" * 60_000})},
            ]
        )
        self._publish(self.random.choice([*ACCOUNTS]), how["data"], **{k: v for k, v in how.items() if k != "data"})

    def _change_a_message(self) -> None:
        """Something that was published lately is updated to a rebalance, or deleted."""
        if self._lately:
            record, action = self.random.choice(self._lately), self.random.choice([1, 2])
            data = WORD if action == 1 else None
            self.sandbox.publish(record["channel"], data, action=action, serial=record["serial"])

    def _set_targets(self, channel: str) -> None:
        for name in ACCOUNTS[channel]:
            self._targets[name] = self._other_targets(name)
        self.sandbox.change({"allocations": {name: _document(self._targets[name]) for name in ACCOUNTS[channel]}})

    def _other_targets(self, name: str) -> Document:
        """Enough that orders leave, and so little that they may do so all day."""
        while True:
            aaa, bbb = self.random.sample(range(28, 38), 2)
            targets: Document = {"AAA": aaa / 100, "BBB": bbb / 100, "CCC": (100 - aaa - bbb) / 100}
            if targets != self._targets.get(name):
                return targets

    def _lay_faults(self) -> None:
        chosen = self.random.sample(OF_FRAMES, 2) + self.random.sample(OF_THE_GATEWAY, self.random.randrange(2))
        self.sandbox.change({"faults": chosen})

    def _disturb(self) -> None:
        action, parameters = self.random.choice(DISTURBANCES)
        self.sandbox.disturb(action, **parameters)

    def _interrupt(self) -> None:
        """The gateway loses Interactive Brokers, and has it back a moment later."""
        self.sandbox.notice(1100)
        time.sleep(self.random.choice([0, 0.05]))  # the pace of the world
        self.sandbox.notice(1102)

    # Processes

    def _start(self) -> None:
        self._read_on()
        self._looked.clear()
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "REBALANCER_CONFIG": str(self.folder / "accounts.yaml"),
            "REBALANCER_STATE": str(self.folder / "state"),
            **self.sandbox.inside.env,
        }
        with (self.folder / "out").open("ab") as out, (self.folder / "err").open("ab") as err:
            command = [sys.executable, "-m", *self._command, "--json"]
            self._watch = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=err)
        key, place = env["REALTIME_API_KEY"], f"{LOOPBACK}:{self.sandbox.inside.ably_port}"
        command = [sys.executable, "-m", "tests.support.naive_consumer", key, place, str(self._acts), *ACCOUNTS]
        self._naive = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _end(self, how: int) -> None:
        """End both, publish what neither can hear, and start them again."""
        assert self._watch is not None
        if how == SIGTERM:
            self._watch.send_signal(SIGTERM)
            self._watch.wait(CALM_S)
        self._kill()
        self.kills += 1
        self._rebalance(self.random.choice([*ACCOUNTS]))
        self._start()

    def _kill(self) -> None:
        for process in (self._watch, self._naive):
            if process is not None:
                process.kill()
                process.wait()

    def close(self) -> None:
        self._kill()

    # What it has come to

    @property
    def published(self) -> list[Published]:
        """Of twins the first one stands for both."""
        same, all_of_them = self._same, reckoning.published(self.sandbox.log, self._trading)
        return [message for message in all_of_them if message.key not in same]

    @property
    def _same(self) -> Mapping[str, str]:
        """The key of the first twin by that of the second."""
        return {
            key: self._twins[name.removesuffix(SECOND) + FIRST]
            for name, key in self._twins.items()
            if name.endswith(SECOND)
        }

    def _told(self, journal: Journal) -> Story:
        return reckoning.as_one(reckoning.told(journal), self._same)

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        state, clock = self.folder / "state", SystemClock()
        with open_journal(state, mode=TradingMode.PAPER, clock=clock, observer=Notices()) as journal:
            yield journal

    def breaches(self) -> list[str]:
        """Of events, of orders, and of holdings."""
        with self.journal() as journal:
            found = list(reckoning.breaches(self.published, self._told(journal), accounts=ACCOUNTS))
            return [*found, *self._misread(journal), *self._of_orders(journal), *self._of_accounts()]

    def naive_breaches(self) -> list[str]:
        """The same of the consumer that only subscribes."""
        lines = [line.split(maxsplit=1) for line in self._acts.read_text(encoding="utf-8").splitlines()]
        lines = [line for line in lines if len(line) == 2]
        same = self._same
        lines = [[word, same.get(key, key)] for word, key in lines]
        done = [key for word, key in lines if word in {"read", "ended"}]
        channels = {message.key: message.channel for message in self.published}
        story = Story(
            kept=Counter(done),
            ends=[(key, account, "") for key in done for account in ACCOUNTS[channels[key]]],
            runs=[
                Ran(key=key, account=account, is_over=True)
                for word, key in lines
                if word == "begun"
                for account in ACCOUNTS[channels[key]]
            ],
        )
        return list(reckoning.breaches(self.published, story, accounts=ACCOUNTS))

    def _misread(self, journal: Journal) -> Iterator[str]:
        read = reckoning.notes(journal)
        for message in self.published:
            mode, note = read.get(message.key, (None, ""))
            if mode is not None and not message.was_changed and (mode.value == "rebalance") != message.trades:
                yield f"read as {mode.value}: {message}"
            if mode is not None and (mode.value == "dry-run") != bool(note):
                yield f"no reason is given: {message}"

    def _of_orders(self, journal: Journal) -> Iterator[str]:
        log = self.sandbox.log
        orders = (FROM_CLIENT[3].read(record["fields"]).texts for record in received(log, "placeOrder"))
        sent = Counter(order["orderRef"] for order in orders if order["whatIf"] == "0")
        yield from (f"sent {times} times: {ref}" for ref, times in sent.items() if times > 1)
        perm_ids = {record["perm_id"]: str(record["order_ref"]) for record in events(log, "order")}
        yield from (f"twice at the venue: {ref}" for ref, n in Counter(perm_ids.values()).items() if n > 1)
        filled: Counter[str] = Counter()
        for record in events(log, "execution"):
            filled[str(record["order_ref"])] += int(Decimal(str(record["quantity"])))
        known = {o.intent.order_ref: o for run in journal.runs(limit=reckoning.LONGEST) for o in run.orders}
        yield from (f"lost: {ref}" for ref in sent if ref not in known)
        yield from (f"open at the end: {order.intent.order_ref}" for order in journal.unsettled())
        for ref, order in known.items():
            if order_state(order).filled != filled[ref]:
                yield f"filled {filled[ref]}, and told {order_state(order)}: {ref}"

    def _of_accounts(self) -> Iterator[str]:
        """No cash or holding below nothing; and in the end all hold what they are to hold."""
        prices = {listing["con_id"]: (symbol, Decimal(listing["last"])) for symbol, listing in BASE["market"].items()}
        for name in NAMES:
            account = self.sandbox.inside._venue.scenario.accounts[name]
            held = {prices[con_id]: holding.quantity for con_id, holding in account.positions.items()}
            worth = account.cash["USD"] + sum(price * quantity for (_, price), quantity in held.items())
            if account.cash["USD"] < 0 or min(held.values(), default=0) < 0:
                yield f"below nothing: {account}"
            for (symbol, price), quantity in held.items():
                wanted = Decimal(str(self._targets[name].get(symbol, 0)))
                if abs(price * quantity / worth - wanted) > Decimal("0.02"):
                    yield f"off target: {name} has {quantity} {symbol}, wanted {wanted} of {worth}"

    def _is_at_rest(self, journal: Journal) -> bool:
        if journal.inbox.pending():
            return False
        kept = self._told(journal).kept
        return all(message.key in kept for message in self.published)

    def _read_on(self) -> None:
        """Read what is new in the sandbox's log."""
        new = self.sandbox.inside.log[self._read :]
        self._read += len(new)
        for record in new:
            match record.get("event"):
                case "fault" | "disturbed" | "kicked" | "notice":
                    self.strikes += 1
                case "order":
                    self._orders += record["order_ref"].startswith(OURS)
                case "history":
                    self._looked.add(record["channel"])
                case "published" if not record["action"] and record["id"].startswith(TWIN):
                    self._twins[record["id"]] = reckoning.key(record["channel"], record["serial"])
                case "published" if not record["action"]:
                    self._lately.append(record)

    def _until(self, holds: Callable[[], object], *, within_s: float = CALM_S) -> None:
        ends = time.monotonic() + within_s
        while not holds():
            self._read_on()
            assert self._watch is not None
            assert self._watch.poll() is None, self._last_words()
            assert time.monotonic() < ends, f"{self.breaches()}\n{self._last_words()}"
            time.sleep(0.02)  # until the next look

    def _last_words(self) -> str:
        return "\n".join((self.folder / name).read_text(encoding="utf-8")[-1000:] for name in ("out", "err"))


@contextmanager
def chaos(folder: Path, *, seed: int, watch: Sequence[str] = WATCH) -> Iterator[Chaos]:
    """A sandbox, accounts.yaml and chaos of this seed, which ends with the block; `watch` is the module to be run."""
    scenario = scenario_with(
        clock=None,
        market={symbol: {"hours": "always"} for symbol in BASE["market"]},
        accounts={"DU1": None, **{name: {"cash": "10000", "positions": {"AAA": 100}} for name in NAMES}},
        fills={"slices": 2, "delay_ms": 5},
        channels=[*ACCOUNTS],
        allocations={"primary": None, **{name: _document(AT_FIRST) for name in NAMES}},
    )
    with running_sandbox(scenario) as sandbox:
        entries = [
            {
                "account_id": name,
                "notification": {"channel": channel},
                "allocations": {"url": f"{sandbox.inside.allocations_url}/{name}"},
                "limits": {**LIMITS},
            }
            for name, channel in NAMES.items()
        ]
        (folder / "accounts.yaml").write_text(yaml.safe_dump(entries), encoding="utf-8")
        scene = Chaos(folder, sandbox, seed, watch)
        try:
            yield scene
        finally:
            scene.close()


def _document(weights: Document) -> Document:
    rows = [{"symbol": symbol, "allocation": weight} for symbol, weight in weights.items()]
    return {"status": "success", "data": {"allocations": rows}}
