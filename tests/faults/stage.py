"""A stage for one fault: the trading scene, the run under way on it, and what may befall either at a chosen moment.

    Traded("the order is taken, and the answer lost", moment=at_send(1, cut()), ends="0 done")

A moment is a function of the stage that lays a trap before the run begins; a deed is what happens when it springs.
"""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError
from tests.faults.onlooker import Sight, at_first
from tests.support.notation import allocation_body
from tests.support.trading_scene import TradingScene

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.evidence import Evidence, StatusTold
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.ports import Halt

NEVER = None
"""As the time after which a gateway is back."""


class KilledError(BaseException):
    """The process is gone: nothing of it gets a turn any more."""


class BugError(Exception):
    """A defect of ours that nobody expects."""


Outcome = Report | RebalancerError | KilledError | BugError | asyncio.CancelledError


@dataclass(slots=True)
class Stage:
    """One world, and one run in it after the other."""

    scene: TradingScene
    account: str = "DU1"
    policy: Policy | None = None
    adopt: bool = False
    task: "asyncio.Task[Outcome] | None" = None
    sent_before: int = 0
    """Orders that had reached the venue when the run under way began."""
    storage_failed: bool = False
    """Whether the journal has met the trouble that was laid for it."""
    sent_when_it_failed: int = 0
    """Orders that had reached the venue by then."""
    prompts: list[tuple[str, ...]] = field(default_factory=list)
    """The trades that a person was shown, each time."""
    documents: dict[str, bytes] = field(default_factory=dict)
    """What the allocation source says of each account."""
    opening: Sight = field(init=False)
    """The account before anything was traded."""

    def __post_init__(self) -> None:
        self.opening = at_first(self.scene.venue, self.account)

    async def run(
        self, targets: Mapping[str, str], *, person: "Person | None" = None, moment: "Moment | None" = None
    ) -> Outcome:
        """One run to its end, whatever that is; the moment is set up before it begins."""
        self.sent_before = len(self.scene.orders)
        self.storage_failed = False
        self.documents[self.account] = document(targets)
        self.task = asyncio.ensure_future(self._outcome(person))
        if moment is not None:
            moment(self)
        return await self.task

    async def _outcome(self, person: "Person | None") -> Outcome:
        async def confirm(plans: Sequence[Plan]) -> bool:
            assert person is not None
            shown = [f"{t.side.value} {t.quantity} {t.symbol}" for plan in plans for t in plan.trades]
            self.prompts.append(tuple(shown))
            return person(self)

        try:
            outcomes = await self.scene.rebalance_all(
                self.documents,
                policy=self.policy,
                adopt=self.adopt,
                confirm=confirm if person is not None else None,
            )
        except (RebalancerError, KilledError, BugError, asyncio.CancelledError) as end:
            return end
        return outcomes[AccountId(self.account)]

    def note_storage_failure(self) -> None:
        """From here on nothing may be sent."""
        if not self.storage_failed:
            self.storage_failed, self.sent_when_it_failed = True, len(self.scene.orders)

    def go_live(self) -> None:
        """Trade real money from here on."""
        self.scene.mode = TradingMode.LIVE

    @property
    def sent(self) -> tuple[str, ...]:
        """What this run has sent, by the venue."""
        return tuple(self.scene.orders[self.sent_before :])

    def mend(self) -> None:
        """End all faults of market and line, and let nothing more happen to the run."""
        line, gateway = self.scene.gateway.line, self.scene.gateway
        line.before_send = line.after_send = lambda _: None
        line.answered = lambda _: None
        line.deaf = False
        line.retold = lambda heard: heard
        gateway.back_after_s = 0.0
        self.scene.change(faults=[])


Deed = Callable[[Stage], None]
Moment = Callable[[Stage], None]
Person = Callable[[Stage], bool]
"""What a person does at the prompt, and whether they then say yes."""


# Moments


def at_send(number: int, *deeds: Deed, before: bool = False) -> Moment:
    """Right after the order of this number has reached the venue, or before it would."""

    def moment(stage: Stage) -> None:
        seen = 0

        def sent(_: object) -> None:
            nonlocal seen
            seen += 1
            if seen == number:
                _do(stage, deeds)

        if before:
            stage.scene.gateway.line.before_send = sent
        else:
            stage.scene.gateway.line.after_send = sent

    return moment


def at_answer(question: str, *deeds: Deed, number: int = 1) -> Moment:
    """When the answer to the question of this number of a kind is made, and not told yet."""

    def moment(stage: Stage) -> None:
        seen = 0

        def answered(asked: str) -> None:
            nonlocal seen
            seen += asked == question
            if asked == question and seen == number:
                _do(stage, deeds)

        stage.scene.gateway.line.answered = answered

    return moment


def after_s(seconds: float, *deeds: Deed) -> Moment:
    """So long after the run has begun."""

    def moment(stage: Stage) -> None:
        asyncio.get_running_loop().call_later(seconds, _do, stage, deeds)

    return moment


def from_the_start(*deeds: Deed) -> Moment:
    return lambda stage: _do(stage, deeds)


def _do(stage: Stage, deeds: Sequence[Deed]) -> None:
    for deed in deeds:
        deed(stage)


# What happens


def cut(*, back_s: float | None = 1.0) -> Deed:
    """The connection breaks, and a new one can be had so long after."""

    def deed(stage: Stage) -> None:
        stage.scene.gateway.back_after_s = back_s
        stage.scene.gateway.line.cut()

    return deed


def interrupt(*, back_s: float | None = 1.0) -> Deed:
    """The gateway loses Interactive Brokers (1100), and has it back so long after (1102)."""

    def deed(stage: Stage) -> None:
        stage.scene.gateway.back_after_s = back_s
        stage.scene.gateway.line.interrupt()

    return deed


def set_right(stage: Stage) -> None:
    """The link is back before anybody has asked anything."""
    stage.scene.gateway.line.up = True


def deafen(stage: Stage) -> None:
    """No word about orders arrives any more, unless it is asked for."""
    stage.scene.gateway.line.deaf = True


def call_it_cancelled(stage: Stage) -> None:
    """The first order is told to be cancelled, once, and is not."""
    line, told = stage.scene.gateway.line, list[Evidence]()

    def retold(heard: Heard) -> Heard:
        told.append(heard.evidence)
        if len(told) == 1 and isinstance(heard.evidence, StatusTold):
            return replace(heard, evidence=replace(heard.evidence, status="Cancelled"))
        return heard

    line.retold = retold


def stop(stage: Stage) -> None:
    """The run is told to stop, as by a signal."""
    assert stage.task is not None
    stage.task.cancel()


def die(_: Stage) -> None:
    raise KilledError


def stumble(_: Stage) -> None:
    raise BugError("this cannot be")


def lose_power(stage: Stage) -> None:
    """What is not on disk is gone: the next run sees what the files hold at this moment."""
    stage.scene.folder = Path(shutil.copytree(stage.scene.folder, f"{stage.scene.folder}-after"))
    raise KilledError


def halt(stage: Stage) -> None:
    """Another process halts trading."""
    assert stage.scene.journal is not None
    stage.scene.journal.halt(Halt(at=stage.scene.ours.now(), reason="enough"))


def fill_the_disk(commit: int = 1) -> Deed:
    """From the next commit of the journal on, or the one of this number, there is no space for any."""

    def deed(stage: Stage) -> None:
        assert stage.scene.journal is not None
        seen = 0

        def full(_: Connection) -> None:
            nonlocal seen
            seen += 1
            if seen >= commit:
                stage.note_storage_failure()
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise OperationalError("COMMIT", None, error)

        event.listen(stage.scene.journal._store.engine, "commit", full)

    return deed


def break_the_disk(stage: Stage) -> None:
    """What is written cannot be synced any more: the log's descriptor leads nowhere."""
    stage.note_storage_failure()
    nothing = os.open("/dev/null", os.O_RDWR)
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and os.path.realpath(link) == str(stage.scene.folder / "journal.db-wal"):
            os.dup2(nothing, int(link.name))
    os.close(nothing)


PAGE = 4096
"""Bytes of a page of SQLite's, unless told otherwise."""


def damage(name: str) -> Deed:
    """A few bytes in the middle of a database of the state folder are not what they were: the head of a page."""

    def deed(stage: Stage) -> None:
        path = stage.scene.folder / name
        content = bytearray(path.read_bytes())
        middle = len(content) // 2 // PAGE * PAGE
        content[middle : middle + 64] = bytes(64 * [0x5A])
        path.write_bytes(content)

    return deed


def cut_short(name: str) -> Deed:
    """Half of a file of the state folder is gone."""
    return lambda stage: os.truncate(stage.scene.folder / name, (stage.scene.folder / name).stat().st_size // 2)


def lose(*names: str) -> Deed:
    """Files of the state folder are gone; without names all of it."""

    def deed(stage: Stage) -> None:
        for name in names:
            (stage.scene.folder / name).unlink()
        if not names:
            shutil.rmtree(stage.scene.folder)

    return deed


def expose(stage: Stage) -> None:
    """Others can look into the state folder."""
    stage.scene.folder.mkdir(exist_ok=True)
    stage.scene.folder.chmod(0o755)


def set_the_clock(**by: float) -> Deed:
    """Somebody sets this machine's clock: `set_the_clock(days=1)`."""
    return lambda stage: stage.scene.ours.set_on(timedelta(**by))


def change(**overlay: Any) -> Deed:
    """The world becomes another one."""

    def deed(stage: Stage) -> None:
        before = at_first(stage.scene.venue, stage.account)
        stage.scene.change(**overlay)
        after = at_first(stage.scene.venue, stage.account)
        if after != before:
            assert not stage.scene.orders, "what was traded would count twice"
            stage.opening = after

    return deed


def publish(**targets: str) -> Deed:
    """The allocation source changes its mind."""

    def deed(stage: Stage) -> None:
        stage.documents[stage.account] = document(targets)

    return deed


def meanwhile(*deeds: Deed) -> Person:
    """While a person thinks about the first plan, this happens; then they say yes to it, and to every later one."""

    def person(stage: Stage) -> bool:
        if len(stage.prompts) == 1:
            _do(stage, deeds)
        return True

    return person


def document(targets: Mapping[str, str]) -> bytes:
    """An allocation document of these weights."""
    return allocation_body({symbol: Decimal(weight) for symbol, weight in targets.items()})


def somebody_trades(order: str) -> Deed:
    """`SELL 5 AAA` at market, or `BUY 5 AAA @90` at a limit, by another client of the account."""

    def deed(stage: Stage) -> None:
        side, quantity, symbol, *limit = order.split()
        stated: dict[str, Any] = {"contract": symbol, "side": side, "quantity": int(quantity), "client": 99}
        if limit:
            stated["limit_price"] = limit[0].removeprefix("@")
        stage.scene.gateway.happen(stage.scene.venue.place_stated(stated, stage.scene.clock.now()))

    return deed
