"""A world in which processes trade, die and come back, with a witness at the venue: the stage of the invariants.

    world = World(folder)
    world.play(world.run(Trouble(dies_at=7)))        # a process that is killed at the 7th point where it could be
    world.play(world.run())                          # the next one
    assert not world.witness.breaches

Every run is a process of its own: another journal object, another connection, nothing remembered. Time is virtual.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from tests.support.failpoints import WRITES, tapped
from tests.support.notation import allocation_body
from tests.support.reading import Notices
from tests.support.sandbox import scenario_with
from tests.support.scene import Documents
from tests.support.trading_scene import DU1, OPEN, START, account
from tests.support.troubles import PEACE, Killed, Process, TappedGateway, Trouble
from tests.support.venue_desk import VenueGateway
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.witness import CLIENT_IDS, WatchedVenue, Witness, held, worth

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.order_state import OrderStatus, TrackedOrder, order_state
from ibkr_rebalancer.core.orders import is_ours
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import TradingMode
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.opening import open_journal
from ibkr_rebalancer.flows.rebalance import plan_accounts
from ibkr_rebalancer.flows.reconcile import resolve_order
from ibkr_rebalancer.flows.trading import Confirm, Occasion, Ports, TradingRun
from ibkr_rebalancer.ports import Halt
from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.hours import is_open, next_open

PAPER = TradingMode.PAPER
STOCKS = {"AAA": 101, "BBB": 102, "CCC": 103}
OPTION = 900
SCENARIO: Mapping[str, Any] = {
    "clock": None,
    "market": {
        **OPEN,
        "OPT": {"con_id": OPTION, "sec_type": "OPT", "bid": "1.90", "ask": "2.10", "last": "2", "close": "2"},
    },
    "accounts": {"DU1": {"cash": "10000", "positions": {"AAA": 100, "OPT": 2}}},
}

T = TypeVar("T")


class VenueClock:
    """The loop's time, which can be asked for also while the loop does not run."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time())


class HostClock:
    """The clock of the machine, which somebody sets."""

    def __init__(self, clock: VenueClock) -> None:
        self.step = timedelta(0)
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now() + self.step


Outcome = Report | RebalancerError | None
"""None: the process was killed."""
Alter = Callable[[Ports, "World"], Ports]


class World:
    """One account at one venue, one state folder."""

    def __init__(self, folder: Path, *, alter: Alter = lambda ports, _: ports) -> None:
        self.folder = folder
        self.witness = Witness(folder, DU1)
        self.venue = WatchedVenue(scenario_with(**SCENARIO), self.witness)
        self._runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.clock = VenueClock(self._runner.get_loop())
        self.host = HostClock(self.clock)
        self.notices = Notices()
        self.runs = 0
        self.targets: Mapping[str, str] = {"AAA": "0.5", "BBB": "0.5"}
        self._alter = alter
        self._open = ExitStack()
        self.want(self.targets)

    def play(self, story: Coroutine[Any, Any, T]) -> T:
        """Let it happen, in virtual time."""
        return self._runner.run(story)

    def close(self) -> None:
        self._open.close()
        self._runner.close()

    # What the world does

    def want(self, targets: Mapping[str, str]) -> None:
        """Other targets, by symbol."""
        self.targets = targets
        self.witness.weights = {STOCKS[symbol]: Decimal(weight) for symbol, weight in targets.items()}
        self.witness.begin_epoch(self.venue.scenario)

    def decide(self, policy: Policy) -> None:
        """Another accounts.yaml."""
        self.witness.policy = policy
        self.witness.begin_epoch(self.venue.scenario)

    def change(self, **overlay: Any) -> None:
        """Something else about the venue."""
        self.venue.become(self.venue.changed(overlay))

    def sell_out(self) -> None:
        """The account holds nothing but cash and its option, from the start."""
        self.change(accounts={"DU1": {"cash": "20000", "positions": {"AAA": None}}})
        self.witness.begin_epoch(self.venue.scenario)

    def move_prices(self, factor: Decimal) -> None:
        """All stocks are quoted at so much of what they were."""
        listings = self.venue.scenario.market.listings
        moved: Document = {}
        for symbol, con_id in STOCKS.items():
            quote = listings[con_id].quote
            prices = {name: getattr(quote, name) for name in ("bid", "ask", "last", "close")}
            moved[symbol] = {name: str((price * factor).quantize(Decimal("0.01"))) for name, price in prices.items()}
        self.change(market=moved)
        self.witness.begin_epoch(self.venue.scenario)

    def halt(self) -> None:
        """Another process halts trading."""
        self._beside.halt(Halt(at=self.host.now(), reason="a test"))
        self.witness.halted = True

    def resume(self) -> None:
        self._beside.resume(at=self.host.now(), reason="a test")
        self.witness.halted = False

    @cached_property
    def _beside(self) -> Journal:
        """The journal as other processes have it open: whoever halts, resolves or reads."""
        return self._open.enter_context(self._journal())

    def _journal(self) -> AbstractContextManager[Journal]:
        return open_journal(self.folder, mode=PAPER, clock=self.host, observer=self.notices)

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.venue.advance(self.clock.now())

    async def open_hours(self) -> None:
        """Wait until there is an hour left to trade."""
        hours = self.venue.scenario.market.listings[STOCKS["AAA"]].hours
        while not (is_open(hours, self.clock.now()) and is_open(hours, self.clock.now() + timedelta(hours=1))):
            opens = next_open(hours, self.clock.now())
            assert opens is not None
            await self.pass_time(max(60.0, (opens - self.clock.now()).total_seconds() + 60))

    async def stranger_trades(self, side: str, symbol: str, quantity: int, limit: str | None = None) -> None:
        """Somebody else's order in the account; at market it is over, one way or another, before we trade again."""
        order = {"contract": symbol, "side": side, "quantity": str(quantity)}
        self.venue.place_stated(order | ({"limit_price": limit} if limit else {}), self.clock.now())
        await self.pass_time(1)
        if limit is None:
            await self.pass_time(200)
            await self.strangers_leave()
            await self.pass_time(60)

    def can_afford(self, side: str, symbol: str, quantity: int) -> bool:
        """Whether it neither takes the account short nor into debt."""
        scenario, con_id = self.venue.scenario, STOCKS[symbol]
        if side == "SELL":
            return held(scenario, DU1)[con_id] >= quantity
        return scenario.accounts[DU1].cash["USD"] > quantity * scenario.market.listings[con_id].mark * 2

    def set_clock(self, seconds: float) -> None:
        """The machine's clock goes so much before, or behind, what it should show."""
        self.host.step = timedelta(seconds=seconds)

    async def strangers_leave(self) -> None:
        """What others have open is cancelled by them."""
        for order in self.venue.open_orders:
            if not is_ours(order.ticket.order_ref):
                self.venue.cancel(order.ticket.client_id, order.ticket.order_id, self.clock.now())

    # What the product does

    async def run(self, trouble: Trouble = PEACE) -> Outcome:
        """One run, and what came of it; it is judged."""
        await self.pass_time(1)  # no two runs begin in the same microsecond
        self.runs += 1
        process = Process(f"process {self.runs}", trouble, self)
        placed = len(self.witness.placed)
        process.gateway = client = TappedGateway(self, process, trouble)
        self.venue.clients.append(client)
        try:
            with self._journal() as journal:
                outcome = await self._rebalance(self._ports(process, client, journal), trouble)
                self._judge(outcome, journal, sent=[t.order_ref for t in self.witness.placed[placed:]], trouble=trouble)
        except Killed:
            outcome = None
        finally:
            self.venue.clients.remove(client)
        self._judge_journal()
        return outcome

    async def run_two(self, first: Trouble, second: Trouble, later_s: float) -> tuple[Outcome, Outcome]:
        """Two processes at once."""

        async def after() -> Outcome:
            await asyncio.sleep(later_s)
            return await self.run(second)

        one, two = await asyncio.gather(self.run(first), after())
        return one, two

    async def dry_run(self) -> None:
        """Plan, and trade nothing."""
        process = Process("a dry run", PEACE, self)
        process.gateway = client = TappedGateway(self, process, PEACE)
        self.witness.dry, self.witness.sender = True, process
        session = await self._alter(self._bare(client), self).gateway.session(within_s=0)
        with suppress(RebalancerError):
            await plan_accounts(
                [account("DU1", self.witness.policy)],
                mode=PAPER,
                market=session.market,
                source=self._source,
                clock=self.host,
                observer=self.notices,
            )
        self.witness.dry = False

    async def resolve_all(self) -> None:
        """A person looks, and says what became of every order that has no outcome; of open ones that they are not."""
        self.witness.misled |= self._at_work
        for order in self._beside.unsettled(DU1):
            ref = order.intent.order_ref
            resolve_order(ref, filled=self.witness.filled(ref), note="seen", ledger=self._beside, clock=self.host)

    @property
    def is_halted(self) -> bool:
        return self._beside.halted() is not None

    async def look_at_nothing(self) -> None:
        """The gateway, just restarted, tells of no orders for a while, in which a run is started and declined."""
        self.witness.misled |= {order.intent.order_ref for order in self._beside.unsettled(DU1)}
        await self.run(Trouble(blind=True, answer=False))

    async def calm(self) -> None:
        """No more faults: after three runs at most there is nothing to do, or it stays refused (I15)."""
        self.change(faults=[], fills={"delay_ms": 5, "slices": 1, "slippage_bp": 0})
        self.host.step = timedelta(0)
        self.resume()
        await self.strangers_leave()
        await self.open_hours()
        for client_id in CLIENT_IDS[1:] if self._at_work else ():
            await self.run(Trouble(client_id=client_id))
        outcomes = [await self.run()]
        if code(outcomes[0]) in {"ORDER_UNKNOWN", "ORDER_ALARM"}:
            await self.resolve_all()
            outcomes = [await self.run()]
        while len(outcomes) < 3 and code(outcomes[-1]) != "nothing-to-do":
            outcomes.append(await self.run())
        placed = len(self.witness.placed)
        last = await self.run()
        is_rest = isinstance(last, RebalancerError) or code(last) == "nothing-to-do"
        if not is_rest or len(self.witness.placed) > placed or code(last) != code(outcomes[-1]):
            self.witness.breaches.append(f"I15 no end: {[code(outcome) for outcome in (*outcomes, last)]}")
        if code(last) == "nothing-to-do":
            self._require_on_target()
            if left := self._beside.unsettled(DU1):
                self.witness.breaches.append(f"I14 at rest, and without an outcome: {left}")

    async def again(self) -> None:
        """The same once more: there must be nothing left to send (I16)."""
        placed = len(self.witness.placed)
        outcome = await self.run()
        if len(self.witness.placed) > placed:
            self.witness.breaches.append(f"I16 sent again: {code(outcome)}")

    def _require_on_target(self) -> None:
        scenario = self.venue.scenario
        whole = worth(scenario, DU1)
        for con_id in STOCKS.values():
            mark = scenario.market.listings[con_id].mark
            off = held(scenario, DU1)[con_id] * mark - self.witness.weights.get(con_id, Decimal(0)) * whole
            if abs(off) > 2 * mark + whole * Decimal("0.02"):
                self.witness.breaches.append(f"I15 nothing to do, and {con_id} is off by {off}")

    async def _rebalance(self, ports: Ports, trouble: Trouble) -> Outcome:
        run = TradingRun(Occasion(mode=PAPER, code_version="test"), ports)
        confirm = None if trouble.answer is None else answers(trouble.answer)
        rebalancing = asyncio.ensure_future(run.rebalance([account("DU1", self.witness.policy)], confirm=confirm))
        if trouble.interrupted_after_s is not None:
            asyncio.get_running_loop().call_later(trouble.interrupted_after_s, rebalancing.cancel)
        try:
            return (await rebalancing)[DU1]
        except RebalancerError as error:
            return error
        except asyncio.CancelledError:
            return None
        except BaseExceptionGroup as group:
            raise Killed from group

    def _ports(self, process: Process, client: VenueGateway, journal: Journal) -> Ports:
        kept = tapped(journal, WRITES, process.at)
        return self._alter(replace(self._bare(client), ledger=kept, controls=kept), self)

    def _bare(self, client: VenueGateway) -> Ports:
        nothing: Any = None
        return Ports(
            gateway=client,
            source=self._source,
            ledger=nothing,
            controls=nothing,
            clock=self.host,
            observer=self.notices,
        )

    @property
    def _source(self) -> Documents:
        return Documents({"DU1": allocation_body({s: Decimal(w) for s, w in self.targets.items()})})

    # What must be true of what it says

    def _judge(self, outcome: Outcome, journal: Journal, *, sent: Sequence[str], trouble: Trouble) -> None:
        """The exit code, the report and the journal agree with one another and with the venue (I24, I25)."""
        breaches = self.witness.breaches
        if isinstance(outcome, RebalancerError) and sent:
            breaches.append(f"I25 {outcome.code} says that nothing was sent: {sent}")
        if isinstance(outcome, Report):
            breaches += self._wrong_orders(outcome, sent)
            breaches += self._wrong_end(outcome)
            record = journal.run(outcome.run_id)
            if trouble.storage_fails_at is None and (record is None or record.report != outcome):
                breaches.append(f"I25 the journal has another report than {outcome}")

    def _wrong_orders(self, report: Report, sent: Sequence[str]) -> Iterator[str]:
        told = {order.order_ref: order for order in report.orders}
        if missing := set(sent) - set(told):
            yield f"I25 not in the report: {missing}"
        for ref, order in told.items():
            filled = self.witness.filled(ref or "")
            if order.status != "unknown" and order.filled != filled and ref not in self.witness.misled:
                yield f"I24 reported {order}, filled {filled}"

    def _wrong_end(self, report: Report) -> Iterator[str]:
        still = (self._at_work - self.witness.misled) & {order.order_ref for order in report.orders}
        if still and report.exit_code != 13:
            yield f"I25 exit code {report.exit_code} with {still} open"
        if report.outcome == "done" and any(order.filled < order.quantity for order in report.orders):
            yield f"I25 called done: {report}"
        if (report.outcome in {"done", "nothing-to-do", "declined"}) != (report.exit_code == 0):
            yield f"I25 {report.outcome} is exit code {report.exit_code}"

    def _judge_journal(self) -> None:
        """What it calls ended has ended, by evidence that is there and by the venue (I14, I24)."""
        orders = self._beside.orders(DU1, since=START - timedelta(days=2))
        unsettled = {order.intent.order_ref for order in self._beside.unsettled(DU1)}
        for order in orders:
            if order.intent.order_ref not in unsettled | self.witness.misled:
                self._judge_end(order)
        known = {order.intent.order_ref for order in orders}
        for ticket in self.witness.placed:
            if ticket.order_ref not in known:
                self.witness.breaches.append(f"I4 not in the journal: {ticket}")

    @property
    def _at_work(self) -> set[str]:
        """References of what is open at the venue."""
        return {order.ticket.order_ref for order in self.venue.open_orders}

    def _judge_end(self, order: TrackedOrder) -> None:
        ref, state, breaches = order.intent.order_ref, order_state(order), self.witness.breaches
        if not state.status.is_terminal:
            breaches.append(f"I14 ended without evidence: {order}")
        if ref in self._at_work:
            breaches.append(f"I14 called {state.status.value} and open at the venue: {ref}")
        if state.status is OrderStatus.ABSENT and any(ticket.order_ref == ref for ticket in self.witness.placed):
            breaches.append(f"I14 called absent, and it was placed: {ref}")
        if state.status is not OrderStatus.EXPIRED and state.filled != self.witness.filled(ref):
            breaches.append(f"I24 {ref} filled {self.witness.filled(ref)} at the venue, {state.filled} in the journal")


def answers(answer: bool) -> Confirm:
    """A person who says the same whatever is shown."""

    async def confirm(_: Sequence[Plan]) -> bool:
        return answer

    return confirm


def code(outcome: Outcome) -> str:
    """In one word."""
    match outcome:
        case Report():
            return outcome.outcome
        case RebalancerError():
            return outcome.code
    return "killed"
