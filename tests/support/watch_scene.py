"""A stage for watches: the venue without sockets, a real journal, events by hand, time that costs nothing.

    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            stage.say(TRADES)
            await asyncio.sleep(10)
        assert stage.ends() == ["done"]

    play(story)

Whoever watches first is told all that was ever said, as Ably's history does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.notation import allocation_body
from tests.support.payloads import asks_for_a_rebalance
from tests.support.reckoning import Published, breaches, told
from tests.support.trading_scene import DU1, TradingScene, account
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.events import Delivery
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.flows.trading import Occasion
from ibkr_rebalancer.flows.watch import Watch
from ibkr_rebalancer.ports import EventSink

EVEN = allocation_body({"AAA": Decimal("0.5"), "BBB": Decimal("0.5")})
DU2 = AccountId("DU2")
TRADES = {"execution": "rebalance"}

Outcome = Report | RebalancerError


class Channel:
    """An event source that says what the test says; whoever listens to it is first told all that was said before."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.sink: EventSink | None = None
        self.channels: Sequence[str] = ()
        self.said: list[Delivery] = []
        self.catches_up = True
        self._now = now

    async def listen(self, channels: Collection[str], sink: EventSink) -> None:
        self.channels, self.sink = tuple(channels), sink
        for delivery in self.said if self.catches_up else ():
            if delivery.channel in channels:
                sink.take(replace(delivery, received=self._now()))
        try:
            await asyncio.Event().wait()
        finally:
            self.sink = None

    def say(
        self,
        data: object,
        *,
        channel: str = "rebalance-DU1",
        number: int | None = None,
        age_h: float = 0,
        heard: bool = True,
    ) -> None:
        """A message that was published so long ago comes now; the same number is the same message."""
        name = f"{number or len(self.said) + 1:09}"
        delivery = Delivery(
            channel=channel,
            serial=f"serial-{name}",
            message_id=f"message-{name}",
            data=data,
            undecoded="",
            published=self._now() - timedelta(hours=age_h),
            received=self._now(),
        )
        self.said.append(delivery)
        if heard and self.sink is not None and channel in self.channels:
            self.sink.take(delivery)


class Stage:
    """One venue and one state folder, watched by one process after the other."""

    def __init__(self, folder: Path, **overlay: Any) -> None:
        self.scene = TradingScene(folder, **overlay)
        self.channel = Channel(self.scene.ours.now)
        self.tap: Callable[[Any], Any] = lambda inbox: inbox
        """What stands between the next watch and its inbox."""
        self.outcomes: list[tuple[AccountId, Outcome]] = []
        self.beats = 0
        self._accounts: dict[str, set[str]] = {}
        """Those that were ever watched, by their channel."""

    @asynccontextmanager
    async def watching(
        self, *accounts: Account, dry_run: bool = False, documents: Mapping[str, bytes] | None = None
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """A process that watches until the block is left, and is then told to stop."""
        watched = accounts or (account(),)
        for each in watched:
            self._accounts.setdefault(each.channel, set()).add(each.account_id)
        targets = documents or {each.account_id: EVEN for each in watched}
        with self.scene.ports(targets) as ports:
            assert self.scene.journal is not None
            watch = Watch(
                watched,
                Occasion(mode=TradingMode.PAPER, code_version="test"),
                ports,
                events=self.channel,
                inbox=self.tap(self.scene.journal.inbox),
                tell=lambda outcomes: self.outcomes.extend(outcomes.items()),
                beat=self._beat,
                dry_run=dry_run,
            )
            task = asyncio.create_task(watch.run())
            await asyncio.sleep(0.1)
            try:
                yield task
            finally:
                task.cancel()
                await _end_of(task)

    async def let_pass(self, hours: float) -> None:
        """The clocks go on by so much; what wakes up then gets a minute to act."""
        for clock in (self.scene.clock, self.scene.ours):
            clock.set_on(timedelta(hours=hours, minutes=-1))
        await asyncio.sleep(60)

    async def let_pass_until(self, moment: datetime, *, minutes_before: float = 0) -> None:
        """The same, up to a moment by the gateway's clock, or so many minutes before or, if negative, after it."""
        left = moment - timedelta(minutes=minutes_before) - self.scene.clock.now()
        await self.let_pass(left / timedelta(hours=1))

    def say(self, data: object, **how: Any) -> None:
        self.channel.say(data, **how)

    def lose_gateway(self) -> None:
        """It is away until it is found again."""
        self.scene.gateway.line.cut()
        self.scene.gateway.back_after_s = None

    def find_gateway(self) -> None:
        self.scene.gateway.back_after_s = 0

    @property
    def told(self) -> list[str]:
        return [notice.event for notice in self.scene.notices.heard]

    def ends(self, account_id: AccountId = DU1) -> list[str]:
        """What came of each event for an account, in words."""
        return [
            each.outcome if isinstance(each, Report) else each.code
            for name, each in self.outcomes
            if name == account_id
        ]

    def breaches(self) -> Sequence[str]:
        """What is wrong with all that was made of the messages, once nobody watches any more."""
        first = {message.serial: message for message in reversed(self.channel.said)}
        published = [
            Published(serial=serial, channel=message.channel, trades=asks_for_a_rebalance(message.data))
            for serial, message in sorted(first.items())
            if message.channel in self._accounts
        ]
        with self.scene.ports({}):
            assert self.scene.journal is not None
            return breaches(published, told(self.scene.journal), accounts=self._accounts)

    def _beat(self) -> None:
        self.beats += 1


class Killed(BaseException):
    """The process is gone."""


async def _end_of(task: "asyncio.Task[None]") -> None:
    """Wait for it, whether it was told to stop or killed."""
    try:
        with suppress(asyncio.CancelledError):
            await task
    except* Killed:
        pass


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story())
