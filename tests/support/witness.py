"""A venue that is watched: whatever it is asked and whatever happens there is judged at once.

The judge is the venue's own word. Of the journal only two things are asked, over a connection of its own: which
orders had been committed before they came, and, after a run, what it says became of them. A breach begins with the
number of the invariant that it breaks (I1 to I25 in the facts on reliability).
"""

import fcntl
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from tests.support.trading_scene import account
from tests.support.venue_desk import CLIENT_ID

from ibkr_rebalancer.core.allocation import parse_allocation
from ibkr_rebalancer.core.checks import require_same
from ibkr_rebalancer.core.errors import AllocationRejected, Refused
from ibkr_rebalancer.core.instruments import STOCK
from ibkr_rebalancer.core.orders import OrderIntent, is_ours
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Policy, config_digest
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot
from ibkr_rebalancer.core.runs import RunStart
from ibkr_rebalancer.edges.journal.tables import read
from ibkr_rebalancer.sandbox.venue.hours import is_open
from ibkr_rebalancer.sandbox.venue.orders import Event, Execution, Order, Printed, Ticket
from ibkr_rebalancer.sandbox.venue.scenario import Scenario
from ibkr_rebalancer.sandbox.venue.venue import Venue

ZERO = Decimal(0)
CLIENT_IDS = (CLIENT_ID, CLIENT_ID + 10)
"""Ours: the owner may set another one."""
QUOTES_S = 60
"""How old the prices may be that an order is sent on: the default of `max_quote_age_s`."""
SPARE_SHARES = 2
SPARE = Decimal("0.01")
"""Of net liquidation: what rounding, commissions and slippage may move in one name beyond its gap."""


class Client(Protocol):
    """Who hears what happens."""

    def happen(self, events: Sequence[Event]) -> None: ...


@dataclass(slots=True)
class Sender:
    """What the judge knows of the process that sends."""

    name: str
    journal_failed: bool = False
    quoted_at: datetime | None = None


@dataclass(slots=True)
class Epoch:
    """A time in which targets, prices and rules stay as they are."""

    began_with: Mapping[int, Decimal]
    """Shares by con_id."""
    net_liquidation: Decimal
    orders: set[str] = field(default_factory=set)
    """References placed in it."""
    traded: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Shares filled of those, by contract and side."""


class Witness:
    """What was placed, and every breach so far."""

    def __init__(self, folder: Path, account: str) -> None:
        self.account = account
        self.breaches: list[str] = []
        self.placed: list[Ticket] = []
        """By us, in order."""
        self.halted = False
        self.dry = False
        """Whether only dry runs are under way."""
        self.sender = Sender("nobody")
        """Who is at the desk."""
        self.policy = Policy()
        self.weights: Mapping[int, Decimal] = {}
        """Wanted by con_id."""
        self.misled: set[str] = set()
        """References of orders that were said to have ended while they were open: what is recorded of them may be
        wrong for a while, but nothing may be sent beside them."""
        self.misfortune = ZERO
        """Cash that corrections took, and other people: nobody can keep it."""
        self.others: Counter[int] = Counter()
        """Shares that other people's orders have moved, by con_id."""
        self.epoch = Epoch(began_with={}, net_liquidation=ZERO)
        self.untouchable: Mapping[int, Decimal] = {}
        """What is no stock, and how many of it there are."""
        self._intents: dict[str, OrderIntent] = {}
        self._filled: Counter[str] = Counter()
        self._prints: dict[str, Execution] = {}
        self._folder = folder

    def begin_epoch(self, scenario: Scenario) -> None:
        """From here on targets, prices and rules are others."""
        self.epoch = Epoch(began_with=held(scenario, self.account), net_liquidation=worth(scenario, self.account))
        self.untouchable = {
            con_id: shares
            for con_id, shares in held(scenario, self.account).items()
            if scenario.market.listings[con_id].contract.sec_type != STOCK
        }

    def filled(self, order_ref: str) -> int:
        """Shares of one of our orders, by the venue."""
        return self._filled[order_ref]

    def place(self, ticket: Ticket, venue: Venue, now: datetime) -> None:
        """One of ours comes in."""
        sender, scenario = self.sender, venue.scenario
        working = [order for order in venue.open_orders if order.ticket.account == self.account]
        ours = [order for order in working if is_ours(order.ticket.order_ref)]
        what = (
            f"{ticket.side} {ticket.quantity:f} {ticket.con_id} {ticket.order_ref} by {sender.name} at {now:%H:%M:%S}"
        )
        intent = self._committed(ticket.order_ref)
        checks = {
            "I1 sent by a dry run": self.dry,
            "I3 placed again": any(ticket.order_ref == earlier.order_ref for earlier in self.placed),
            "I4 not as journalled before": intent is None or _asked(intent) != _asked(ticket),
            "I7 sells more than is held and not offered": ticket.side == "SELL"
            and ticket.quantity > held(scenario, self.account)[ticket.con_id] - _offered(working, ticket.con_id),
            "I9 bought before the sales ended": ticket.side == "BUY" and any(o.ticket.side == "SELL" for o in ours),
            "I10 halted": self.halted,
            "I10 account not held": not _is_locked(self._folder / f"{self.account}.lock"),
            "I10 market closed": not is_open(scenario.market.listings[ticket.con_id].hours, now),
            "I10 prices too old": sender.quoted_at is None or now - sender.quoted_at > timedelta(seconds=QUOTES_S),
            "I10 an order of an earlier run is open": intent is not None
            and any(self._run(order.ticket.order_ref) != intent.run_id for order in ours),
            "I11 not an account or contract of ours": not self._is_managed(ticket, scenario),
            "I19 sent after the journal failed": sender.journal_failed,
        }
        self.breaches += [f"{breach}: {what}" for breach, broken in checks.items() if broken]
        if intent is not None:
            is_first = all(earlier.plan_id != intent.plan_id for earlier in self._intents.values())
            self._intents[ticket.order_ref] = intent
            if is_first:
                self.breaches += [f"{breach}: {what}" for breach in self._unfounded(intent, scenario)]
        self.placed.append(ticket)
        self.epoch.orders.add(ticket.order_ref)
        self.breaches += [
            f"{breach}: {what}" for breach in (*self._limits(intent), *self._overspent(ticket, ours, venue))
        ]
        self.breaches += self._beyond_plan(ticket, ticket.quantity + self._open(ticket, ours))

    def cancel(self, client_id: int, order: Order | None) -> None:
        """Somebody asks for a cancel; only ours are watched."""
        mine = order is None or (is_ours(order.ticket.order_ref) and order.ticket.account == self.account)
        if client_id in CLIENT_IDS and not mine:
            self.breaches.append(f"I12 cancelled another's order: {order}")

    def see(self, events: Sequence[Event], scenario: Scenario) -> None:
        """What has happened."""
        for event in events:
            if isinstance(event, Printed):
                self._count(event.execution, scenario)
        account = scenario.accounts[self.account]
        short = [
            f"I7 short: {scenario.market.listings[con_id].contract.symbol} {shares}"
            for con_id, shares in held(scenario, self.account).items()
            if shares < 0
        ]
        changed = [
            f"I11 touched: {con_id} was {shares}"
            for con_id, shares in self.untouchable.items()
            if held(scenario, self.account)[con_id] != shares
        ]
        cash = account.cash[account.currency]
        overdrawn = [f"I8 overdrawn: {cash}"] if cash < -self.misfortune else []
        self.breaches += [breach for breach in (*short, *changed, *overdrawn) if breach not in self.breaches]

    def _count(self, execution: Execution, scenario: Scenario) -> None:
        ticket, stem = execution.ticket, execution.exec_id.rpartition(".")[0]
        if (wrong := self._prints.get(stem)) is not None:
            self.misfortune += max(ZERO, -ticket.signed(wrong.shares) * (wrong.price - execution.price))
            self._prints[stem] = execution
            self.begin_epoch(scenario)
            return
        self._prints[stem] = execution
        if not is_ours(ticket.order_ref):
            self.others[ticket.con_id] += int(ticket.signed(execution.shares))
            self.begin_epoch(scenario)
            return
        self._filled[ticket.order_ref] += int(execution.shares)
        if self._filled[ticket.order_ref] > ticket.quantity:
            self.breaches.append(f"I6 filled beyond its quantity: {ticket}")
        self.breaches += self._beyond_plan(ticket)
        if ticket.order_ref not in self.epoch.orders:
            self.begin_epoch(scenario)
            return
        self.epoch.traded[ticket.con_id, ticket.side] += int(execution.shares)
        self.breaches += self._overshoot(ticket, scenario)

    def _beyond_plan(self, ticket: Ticket, asked: Decimal = ZERO) -> Iterator[str]:
        """Whether more shares have been filled of what was printed, or are asked for beside those, than that."""
        intent = self._intents.get(ticket.order_ref)
        plan = self._planned(intent.plan_id) if intent is not None else None
        if intent is None or plan is None:
            return
        filled = sum(self._filled[ref] for ref, other in self._intents.items() if _leg(other) == _leg(intent))
        planned = sum(t.quantity for t in plan.trades if (t.con_id, t.side) == (intent.con_id, intent.side))
        if filled + asked > planned:
            yield f"I6 filled {filled} and asked for {asked} of {planned} planned: {ticket}"

    def _open(self, ticket: Ticket, ours: Sequence[Order]) -> Decimal:
        """Shares that are open of the same trade of the same plan."""
        intents = [(self._intents.get(order.ticket.order_ref), order.remaining) for order in ours]
        leg = _leg(self._intents[ticket.order_ref]) if ticket.order_ref in self._intents else None
        return sum((remaining for other, remaining in intents if other is not None and _leg(other) == leg), ZERO)

    def _unfounded(self, intent: OrderIntent, scenario: Scenario) -> Iterator[str]:
        """Whether the journal has all that the plan was made from, and the same plan would be made from it again.

        Of a plan that somebody was asked about it has the facts of after the answer: they must be near enough.
        """
        statement = (
            "SELECT runs.body, plans.document, plans.snapshot, plans.body FROM plans JOIN runs ON runs.id = of_run "
            "WHERE run_id = ? AND plan_id = ?"
        )
        row = self._row(statement, intent.run_id, intent.plan_id)
        if row is None or read(RunStart, row[0]).config_digest != config_digest(account(self.account, self.policy)):
            yield "I5 no plan, or not the owner's rules it was made by"
            return
        snapshot = read(Snapshot, row[2])
        plan = read(Plan, row[3])
        try:
            again = plan_rebalance(parse_allocation(row[1]), snapshot=snapshot, policy=self.policy)
            require_same(plan, snapshot, anew=again)
        except (AllocationRejected, Refused):
            yield "I5 not the facts it comes from"
            return
        if again.plan_id == plan.plan_id and again != plan:
            yield "I18 another plan comes of the same facts"
        positions = [holding.position for holding in snapshot.portfolio.holdings]
        if {p.con_id: p.quantity for p in positions} != {c: q for c, q in held(scenario, self.account).items() if q}:
            yield "I20 not all that is held was seen"

    def _overshoot(self, ticket: Ticket, scenario: Scenario) -> Iterator[str]:
        """Whether more was traded than lay between what was held and what is wanted, or both ways."""
        epoch, mark = self.epoch, scenario.market.listings[ticket.con_id].mark
        spare = SPARE_SHARES + SPARE * epoch.net_liquidation / mark
        invested = epoch.net_liquidation * (1 - self.policy.cash_reserve_pct / 100)
        wanted = self.weights.get(ticket.con_id, ZERO) * invested / mark
        gap = wanted - epoch.began_with.get(ticket.con_id, ZERO)
        bought, sold = (Decimal(epoch.traded[ticket.con_id, side]) for side in ("BUY", "SELL"))
        if bought > max(ZERO, gap) + spare or sold > max(ZERO, -gap) + spare:
            yield f"I17 bought {bought}, sold {sold} where {gap:.1f} lacked: {ticket.con_id}"
        if min(bought, sold) > spare:
            yield f"I17 bought {bought} and sold {sold} of {ticket.con_id}"

    def _limits(self, intent: OrderIntent | None) -> Iterator[str]:
        """The counters over a day and a plan, by what has come in."""
        if intent is None:
            return
        limits = self.policy.limits
        today = [i for i in self._sent() if i.expires_at.date() == intent.expires_at.date()]
        legs = {(i.plan_id, i.con_id, i.side) for i in today}
        counts = {
            "max_orders_per_day": (len(legs), limits.max_orders_per_day),
            "max_orders_per_plan": (
                sum(plan_id == intent.plan_id for plan_id, _, _ in legs),
                limits.max_orders_per_plan,
            ),
            "max_same_side_per_day": (
                sum((con_id, side) == (intent.con_id, intent.side) for _, con_id, side in legs),
                limits.max_same_side_per_day,
            ),
        }
        for name, (count, most) in counts.items():
            if count > most:
                yield f"I13 {name} {count} of {most}"

    def _overspent(self, ticket: Ticket, ours: Sequence[Order], venue: Venue) -> Iterator[str]:
        """Whether this purchase and those still open cost more than the cash at hand, limit orders at their limits."""
        if ticket.side == "SELL":
            return
        listings = venue.scenario.market.listings
        account = venue.scenario.accounts[self.account]
        due = [(ticket, ticket.quantity), *((order.ticket, order.remaining) for order in ours)]
        cost = sum(
            (shares * (each.limit_price or listings[each.con_id].quote.ask or ZERO) for each, shares in due), ZERO
        )
        cash = account.cash[account.currency]
        if cost > cash + self.misfortune:
            yield f"I8 costs {cost}, and there is {cash}"

    def _sent(self) -> Iterator[OrderIntent]:
        for ticket in self.placed:
            if (intent := self._intents.get(ticket.order_ref)) is not None:
                yield intent

    def _run(self, order_ref: str) -> str | None:
        intent = self._intents.get(order_ref)
        return None if intent is None else intent.run_id

    def _is_managed(self, ticket: Ticket, scenario: Scenario) -> bool:
        contract = scenario.market.listings[ticket.con_id].contract
        return (
            ticket.account == self.account
            and contract.sec_type == STOCK
            and (ticket.side == "BUY") <= bool(self.weights.get(ticket.con_id))
        )

    def _committed(self, order_ref: str) -> OrderIntent | None:
        body = self._read("SELECT body FROM intents WHERE order_ref = ?", order_ref)
        return None if body is None else read(OrderIntent, body)

    def _planned(self, plan_id: str) -> Plan | None:
        body = self._read("SELECT body FROM plans WHERE plan_id = ?", plan_id)
        return None if body is None else read(Plan, body)

    def _read(self, statement: str, argument: str) -> str | None:
        row = self._row(statement, argument)
        return None if row is None else str(row[0])

    def _row(self, statement: str, *arguments: str) -> tuple[Any, ...] | None:
        path = self._folder / "journal.db"
        if not path.exists():
            return None
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            row: tuple[Any, ...] | None = connection.execute(statement, arguments).fetchone()
            return row


class WatchedVenue(Venue):
    """A venue that tells all its clients of everything, and a witness first; so it answers with nothing itself."""

    def __init__(self, scenario: Scenario, witness: Witness) -> None:
        super().__init__(scenario)
        self.clients: list[Client] = []
        self.witness = witness

    def place(self, ticket: Ticket, now: datetime) -> list[Event]:
        self._tell(super().advance(now))
        if is_ours(ticket.order_ref):
            self.witness.place(ticket, self, now)
        return self._tell(super().place(ticket, now))

    def cancel(self, client_id: int, order_id: int, now: datetime) -> list[Event]:
        self.witness.cancel(client_id, self._exchange.book.find(client_id, order_id))
        return self._tell(super().cancel(client_id, order_id, now))

    def cancel_all(self, now: datetime) -> list[Event]:
        self.witness.breaches.append("I12 cancelled everything")
        return self._tell(super().cancel_all(now))

    def correct(self, exec_id: str, price: Decimal, now: datetime) -> list[Event]:
        return self._tell(super().correct(exec_id, price, now))

    def advance(self, now: datetime) -> list[Event]:
        return self._tell(super().advance(now))

    def _tell(self, events: list[Event]) -> list[Event]:
        self.witness.see(events, self.scenario)
        for client in self.clients:
            client.happen(events)
        return []


def held(scenario: Scenario, account: str) -> defaultdict[int, Decimal]:
    """Positions by con_id; what is not held counts as zero."""
    return defaultdict(Decimal, {con_id: h.quantity for con_id, h in scenario.accounts[account].positions.items()})


def worth(scenario: Scenario, account: str) -> Decimal:
    """Cash and stocks at their marks."""
    listings = scenario.market.listings
    stocks = {c: s for c, s in held(scenario, account).items() if listings[c].contract.sec_type == STOCK}
    return sum((s * listings[c].mark for c, s in stocks.items()), scenario.accounts[account].cash["USD"])


def _asked(order: OrderIntent | Ticket) -> tuple[object, ...]:
    """What an intent and a ticket must have in common."""
    if isinstance(order, OrderIntent):
        kind, side = order.order_type.value, order.side.value
        return order.account, order.con_id, side, Decimal(order.quantity), kind, order.limit_price
    return AccountId(order.account), order.con_id, order.side, order.quantity, order.order_type, order.limit_price


def _leg(intent: OrderIntent) -> tuple[object, ...]:
    """The trade that an order is made for."""
    return intent.plan_id, intent.con_id, intent.side


def _offered(working: Sequence[Order], con_id: int) -> Decimal:
    same = (order for order in working if order.ticket.con_id == con_id and order.ticket.side == "SELL")
    return sum((order.remaining for order in same), ZERO)


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
