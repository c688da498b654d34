"""Carry out events as they come, for ever: each of them for every account of its channel.

Two halves, joined by the inbox: what listens only keeps events, and never waits for anything; what works reads the
inbox alone, so that it makes no difference whether an event came just now, or while nobody was there.
"""

import asyncio
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ibkr_rebalancer.core.errors import (
    EXIT_BUG,
    EXIT_DONE,
    Busy,
    GatewayUnavailable,
    RebalancerError,
    StorageFailed,
)
from ibkr_rebalancer.core.events import Cursor, Delivery, Gap, Redact, event_of
from ibkr_rebalancer.core.inbox import Ended, Entry, Step, agenda, step_after, told
from ibkr_rebalancer.core.notices import Notice, RunNews, Severity
from ibkr_rebalancer.core.notifications import event_news
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report, RunMode, dry_run_report
from ibkr_rebalancer.flows.execution import interruption
from ibkr_rebalancer.flows.gateway_watch import GatewayWatch, within
from ibkr_rebalancer.flows.rebalance import Planned, plan_accounts
from ibkr_rebalancer.flows.reconcile import PATIENCE, Patience, take_back_cancellation
from ibkr_rebalancer.flows.trading import Occasion, Ports, TradingRun
from ibkr_rebalancer.ports import EventSource, Halt, Inbox

Outcomes = Mapping[AccountId, Report | RebalancerError]
Tell = Callable[[Outcomes], None]
"""Shows what came of events; never fails, never waits."""

LOOK_S = 5.0
"""How often the inbox and the clock are looked at when nothing happens, and the halt besides; and the longest time
between two beats, also at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Duty:
    """What is carried out together: the accounts in it share one batch of quotes."""

    mode: RunMode
    left: dict[AccountId, Entry]
    """Those of which nobody knows yet what came of them; the others are free for their next event."""


class Watch:
    """What `rebalancer watch` does, from its start until it is told to stop."""

    def __init__(
        self,
        accounts: Sequence[Account],
        occasion: Occasion,
        ports: Ports,
        *,
        events: EventSource,
        inbox: Inbox,
        tell: Tell,
        beat: Callable[[], None],
        redact: Redact,
        dry_run: bool,
        patience: Patience = PATIENCE,
    ) -> None:
        self._accounts = {account.account_id: account for account in accounts}
        self._occasion = occasion
        self._ports = ports
        self._events = events
        self._inbox = inbox
        self._tell = tell
        self._beat = beat
        self._redact = redact
        self._dry_run = dry_run
        self._patience = patience
        self._news = asyncio.Event()
        """Set when there may be something new to do."""
        self._gateway = GatewayWatch(ports.gateway, ports.observer)
        self._duties: dict[asyncio.Task[None], _Duty] = {}
        self._heard: Halt | None = None
        """The halt that was acknowledged."""

    async def run(self) -> None:
        """Watch until cancelled; then nothing more is begun, and what is under way is brought to a known end.

        Raises:
            StorageFailed: the journal cannot be trusted or written any more.
        """
        channels = dict.fromkeys(account.channel for account in self._accounts.values())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._events.listen(tuple(channels), self))
                group.create_task(self._gateway.keep(on_change=self._news.set))
                group.create_task(self._work())
        except* StorageFailed as failures:
            raise failures.exceptions[0] from None

    # The half that listens: an EventSink

    def take(self, delivery: Delivery) -> None:
        """Keep what has come, for the accounts of its channel."""
        event = event_of(delivery, self._redact)
        accounts = [name for name, account in self._accounts.items() if account.channel == event.channel]
        known = self._inbox.keep(event, accounts)
        if known is None:
            wish = "a rebalance" if event.mode is RunMode.REBALANCE else f"a dry run: {event.note}"
            self._say("event.received", f"Event {event.event_id} on {event.channel} asks for {wish}")
            self._news.set()
        elif known.serial != event.serial:
            text = f"A message on {event.channel} repeats event {known.event_id}; it is not carried out again"
            self._say("event.repeated", text, severity=Severity.WARNING)

    def miss(self, gap: Gap) -> None:
        self._inbox.keep_gap(gap)

    def cursor(self, channel: str) -> Cursor | None:
        return self._inbox.cursor(channel)

    def begin(self, channel: str, since: datetime, *, by_our_clock: bool) -> None:
        self._inbox.begin(channel, since, by_our_clock=by_our_clock)

    def advance(self, channel: str, until: datetime) -> None:
        self._inbox.advance(channel, until)

    # The half that works

    async def _work(self) -> None:
        try:
            while True:
                self._beat()
                self._acknowledge_halt()
                self._news.clear()
                wake = self._begin_what_is_due()
                await within(self._nap_s(wake), self._news)
                self._raise_failures()
        finally:
            await self._stop()

    def _acknowledge_halt(self) -> None:
        """Let whoever has halted trading know that it was heard; every order asks for itself besides."""
        halt = self._ports.controls.halted()
        if halt is not None and halt != self._heard:
            self._ports.controls.acknowledge(halt)
            self._say("watch.halt", f"Trading is halted: {halt.reason}", severity=Severity.WARNING)
        elif halt is None and self._heard is not None:
            self._say("watch.resume", "Trading is resumed", severity=Severity.WARNING)
        self._heard = halt

    def _begin_what_is_due(self) -> datetime | None:
        """Begin everything whose time has come, and drop what is overtaken; when to look again."""
        now = self._ports.clock.now()
        due: defaultdict[RunMode, dict[AccountId, Entry]] = defaultdict(dict)
        wakes = []
        for name, pending in self._waiting().items():
            plan = agenda(
                pending,
                carried_out=self._inbox.carried_out(name),
                max_age=timedelta(hours=float(self._accounts[name].policy.event_max_age_h)),
                now=now,
            )
            self._take_steps(dict(plan.dropped))
            if plan.next is not None and not self._was_reported(plan.next):
                due[RunMode.DRY_RUN if self._dry_run else plan.next.event.mode][name] = plan.next
            if plan.wake is not None:
                wakes.append(plan.wake)
        if self._gateway.is_ready:
            for mode, entries in due.items():
                self._begin(_Duty(mode=mode, left=entries))
        return min(wakes, default=None)

    def _waiting(self) -> Mapping[AccountId, Sequence[Entry]]:
        """What is pending, for the accounts that nothing is being done for; what is for no account of ours is ended."""
        busy = {name for duty in self._duties.values() for name in duty.left}
        waiting: defaultdict[AccountId, list[Entry]] = defaultdict(list)
        strange = []
        for entry in self._inbox.pending():
            if entry.account not in self._accounts:
                strange.append(entry)
            elif entry.account not in busy:
                waiting[entry.account].append(entry)
        text = "It is not, or no longer, an enabled account of accounts.yaml."
        end = Ended(at=self._ports.clock.now(), code="ACCOUNT_NOT_WATCHED", text=text, exit_code=EXIT_DONE, run_id="")
        self._take_steps(dict.fromkeys(strange, end))
        return waiting

    def _was_reported(self, entry: Entry) -> bool:
        """Whether a process that then died has carried it out, and could not say so any more; now it is said."""
        record = self._inbox.newest_run(entry)
        if record is None or record.report is None or record.start.run_id in {step.run_id for step in entry.steps}:
            return False
        self._take_steps({entry: self._step_after(entry, record.report)}, {entry.account: record.report})
        self._news.set()
        return True

    def _begin(self, duty: _Duty) -> None:
        doing = "Rebalancing" if duty.mode is RunMode.REBALANCE else "A dry run of"
        self._say("event.begin", f"{doing} {', '.join(duty.left)}")
        task = asyncio.create_task(self._carry_out(duty))
        self._duties[task] = duty
        task.add_done_callback(lambda _: self._news.set())

    async def _carry_out(self, duty: _Duty) -> None:
        """Do it for every account; whatever stops it, what others have come to by then stays as it is."""
        try:
            await self._run(duty)
        except asyncio.CancelledError:
            self._end(duty, {name: interruption(name) for name in duty.left})
        except StorageFailed:
            raise
        except RebalancerError as error:
            self._end(duty, dict.fromkeys(duty.left, error))
        except Exception as bug:  # noqa: BLE001 (a bug in the work for one account must not end it for the others)
            self._end_in_a_bug(duty, bug)

    async def _run(self, duty: _Duty) -> None:
        accounts = [self._accounts[name] for name in duty.left]
        triggers = {name: entry.event.event_id for name, entry in duty.left.items()}
        if duty.mode is RunMode.DRY_RUN:
            self._end(duty, await self._dry_runs(accounts, triggers))
            return
        run = TradingRun(
            replace(self._occasion, triggers=triggers),
            self._ports,
            patience=self._patience,
            on_end=lambda name, end: self._end(duty, {name: end}),
        )
        await run.rebalance(accounts)

    def _end(self, duty: _Duty, outcomes: Outcomes) -> None:
        """End it for these accounts: what came of it is in the inbox before anybody is told."""
        steps = {duty.left[name]: self._step_after(duty.left[name], end) for name, end in outcomes.items()}
        self._take_steps(steps, outcomes)
        for name in outcomes:
            del duty.left[name]
        self._news.set()
        if any(isinstance(outcome, GatewayUnavailable | Busy) for outcome in outcomes.values()):
            self._gateway.doubt()
        for name, outcome in outcomes.items():
            if isinstance(outcome, Report) and outcome.mode is RunMode.REBALANCE and outcome.outcome != "unknown":
                self._say("orders.known", f"No order of ours is open in {name}", account=name)
        self._tell(outcomes)

    async def _dry_runs(self, accounts: Sequence[Account], triggers: Mapping[AccountId, str]) -> Outcomes:
        ports = self._ports
        started = ports.clock.now()
        session = await ports.gateway.session(within_s=0)
        planned = await plan_accounts(
            accounts,
            mode=self._occasion.mode,
            market=session.market,
            source=ports.source,
            clock=ports.clock,
            observer=ports.observer,
        )
        ended = ports.clock.now()
        return {
            name: dry_run_report(each.plan, trigger=triggers[name], started=started, ended=ended)
            if isinstance(each, Planned)
            else each
            for name, each in planned.items()
        }

    def _step_after(self, entry: Entry, outcome: Report | RebalancerError) -> Step:
        delay = timedelta(minutes=float(self._accounts[entry.account].policy.open_delay_min))
        return step_after(entry, outcome, open_delay=delay, now=self._ports.clock.now())

    def _end_in_a_bug(self, duty: _Duty, bug: Exception) -> None:
        """A mistake of ours ends what was being done, and nothing else.

        What the error says is for the log alone, which takes secrets out; the journal keeps what it is told.
        """
        trace = "".join(traceback.format_exception(bug))
        self._say("event.bug", f"This is a bug of rebalancer; please report it:\n{trace}", severity=Severity.WARNING)
        text = f"A bug of rebalancer ended it ({type(bug).__name__}). The next run finds out what was sent."
        end = Ended(at=self._ports.clock.now(), code="BUG", text=text, exit_code=EXIT_BUG, run_id="")
        self._take_steps(dict.fromkeys(duty.left.values(), end))

    def _take_steps(self, steps: Mapping[Entry, Step], outcomes: Outcomes | None = None) -> None:
        """Keep the steps and tell of them, with what the accounts came to if that is why they are taken."""
        self._inbox.take_steps(steps)
        for entry, step in steps.items():
            news = event_news(entry.event.event_id, step, (outcomes or {}).get(entry.account))
            self._say("event.step", told(entry, step), account=entry.account, severity=_severity(step), news=news)

    def _raise_failures(self) -> None:
        """End what has ended; a journal that failed ends everything."""
        for task in [task for task in self._duties if task.done()]:
            del self._duties[task]
            task.result()

    async def _stop(self) -> None:
        """Bring everything that is under way to a known end."""
        for task in self._duties:
            task.cancel()
        while running := [task for task in self._duties if not task.done()]:
            self._beat()
            try:
                await asyncio.wait(running, timeout=LOOK_S)
            except asyncio.CancelledError:
                take_back_cancellation()
        self._raise_failures()

    def _nap_s(self, wake: datetime | None) -> float:
        until_due = LOOK_S if wake is None else (wake - self._ports.clock.now()).total_seconds()
        return min(max(until_due, 0.0), LOOK_S)

    def _say(
        self,
        event: str,
        text: str,
        *,
        account: AccountId | None = None,
        severity: Severity = Severity.STEP,
        news: RunNews | None = None,
    ) -> None:
        self._ports.observer.notify(Notice(event=event, text=text, account=account, severity=severity, news=news))


def _severity(step: Step) -> Severity:
    """A burst of events is nothing to warn of: the newest one stands for all of them."""
    is_done = isinstance(step, Ended) and step.exit_code == EXIT_DONE and step.code in {"", "EVENT_SUPERSEDED"}
    return Severity.STEP if is_done else Severity.WARNING
