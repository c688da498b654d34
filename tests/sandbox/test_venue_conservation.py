"""Whatever is done to a venue, nothing is lost, nothing appears, and its books agree."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.sandbox.trader import NOW
from tests.support.sandbox import scenario_with

from ibkr_rebalancer.sandbox.venue.book import Book
from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.orders import Charged, Event, Execution, Order, Printed, Side, Ticket, Told
from ibkr_rebalancer.sandbox.venue.venue import Venue

CONTRACTS = {101: "AAA", 102: "BBB", 104: "EEE"}
START = {
    "accounts": {
        "DU1": {"cash": {"USD": "20000", "EUR": "5000"}, "positions": {"AAA": 100}},
        "DU2": {"type": "CASH", "cash": "10000", "positions": {"AAA": 30, "BBB": 40}},
    },
    "market": {"EEE": {"con_id": 104, "currency": "EUR", "bid": "29.99", "ask": "30.01", "last": "30"}},
    "rates": {"EURUSD": "1.25"},
}
FAULTS: list[Document] = [
    {"reject": {}},
    {"hold": {"why": "locate"}},
    {"partial": {"shares": 3}},
    {"cancelled": {"ms": 20}},
    {"cancel_late": {"ms": 8}},
    {"fill_on_cancel": {}},
    {"fill_on_cancel": {"shares": 2}},
    {"late_fill": {"ms": 7}},
    {"correct": {"price": "33.33", "ms": 3}},
    {"commission_late": {"ms": 9}},
    {"lag": {"ms": 6}},
    {"duplicate_perm": {}},
    {"foreign": {"side": "SELL", "quantity": 4}},
]
PRICES = st.decimals("1", "200", places=2)
TAKEN_AWAY = ("Cancelled", "Inactive")


class Venues(RuleBasedStateMachine):
    """Orders of two accounts and two clients, under faults, prices and hours that change."""

    @initialize(
        delay=st.sampled_from([0, 5]),
        slices=st.integers(1, 4),
        slippage=st.sampled_from([0, 7]),
        commission=st.sampled_from(["fixed", "none", "0.0035"]),
        faults=st.lists(st.sampled_from(FAULTS), max_size=3),
    )
    def begin(self, delay: int, slices: int, slippage: int, commission: str, faults: list[Document]) -> None:
        fills = {"delay_ms": delay, "slices": slices, "slippage_bp": slippage, "commission": commission}
        market_faults = [{"when": {"order": {}, "after": 1, "count": 3}, "what": fault} for fault in faults]
        self.venue = Venue(scenario_with(**START, fills=fills, faults=market_faults))
        self.start = self.venue.scenario
        self.now = NOW
        self.told: dict[int, Order] = {}
        """Each order as it was told last, by permId."""
        self.prints: dict[str, Execution] = {}
        """Each execution as it was told last, whatever its revision."""
        self.charged: dict[str, Decimal] = {}

    @rule(
        account=st.sampled_from(["DU1", "DU2"]),
        client=st.sampled_from([7, 8]),
        con_id=st.sampled_from(sorted(CONTRACTS)),
        side=st.sampled_from(["BUY", "SELL"]),
        quantity=st.integers(1, 60),
        limit=st.none() | PRICES,
    )
    def place(self, account: str, client: int, con_id: int, side: Side, quantity: int, limit: Decimal | None) -> None:
        ticket = Ticket(
            client_id=client,
            order_id=self.venue.next_order_id,
            con_id=con_id,
            account=account,
            side=side,
            quantity=Decimal(quantity),
            order_type="MKT" if limit is None else "LMT",
            limit_price=limit,
            tif="DAY",
            outside_rth=False,
            order_ref="",
        )
        self._hear(self.venue.place(ticket, self.now))

    @rule(client=st.sampled_from([7, 8]), order_id=st.integers(1, 12))
    def cancel(self, client: int, order_id: int) -> None:
        self._hear(self.venue.cancel(client, order_id, self.now))

    @rule()
    def cancel_all(self) -> None:
        self._hear(self.venue.cancel_all(self.now))

    @rule(milliseconds=st.sampled_from([1, 5, 50, 3_600_000]))
    def wait(self, milliseconds: int) -> None:
        self.now += timedelta(milliseconds=milliseconds)
        self._hear(self.venue.advance(self.now))

    @rule()
    def wait_until_due(self) -> None:
        """Time passes by what is due alone, so that nothing can be due twice."""
        due = self.venue.next_due
        if due is not None:
            self.now = max(self.now, due)
            self._hear(self.venue.advance(self.now))
            assert self.venue.next_due is None or self.venue.next_due > self.now

    @rule(contract=st.sampled_from(sorted(CONTRACTS.values())), ask=PRICES)
    def quote(self, contract: str, ask: Decimal) -> None:
        self._become({"market": {contract: {"bid": str(max(ask - 1, Decimal(1))), "ask": str(ask)}}})

    @rule(contract=st.sampled_from(sorted(CONTRACTS.values())), hours=st.sampled_from(["always", "closed"]))
    def open_or_close(self, contract: str, hours: str) -> None:
        self._become({"market": {contract: {"hours": hours}}})

    @rule()
    def mend(self) -> None:
        self._become({"faults": []})

    @rule(index=st.integers(0, 9), price=PRICES)
    def correct(self, index: int, price: Decimal) -> None:
        if index < len(self.venue.executions):
            self._hear(self.venue.correct(self.venue.executions[index].exec_id, price, self.now))

    @invariant()
    def what_was_told_is_what_is(self) -> None:
        working = {perm_id: order for perm_id, order in self.told.items() if order.working}
        for order in self.venue.open_orders:
            assert working.pop(order.perm_id).filled == order.filled
        assert not working
        for perm_id, order in self.told.items():
            filled = sum(e.shares for e in self.prints.values() if e.perm_id == perm_id)
            assert order.filled == filled
            assert 0 <= filled <= order.ticket.quantity
            assert order.remaining >= 0
            assert (order.status == "Filled") == (order.remaining == 0)
            assert order.working or order.remaining == 0 or order.status in TAKEN_AWAY

    @invariant()
    def positions_are_what_was_bought_and_sold(self) -> None:
        for name, account in self.start.accounts.items():
            for con_id in CONTRACTS:
                traded = sum(
                    e.ticket.signed(e.shares)
                    for e in self.prints.values()
                    if (e.ticket.account, e.ticket.con_id) == (name, con_id)
                )
                before = account.positions[con_id].quantity if con_id in account.positions else 0
                holding = self.venue.scenario.accounts[name].positions.get(con_id)
                assert (0 if holding is None else holding.quantity) == before + traded

    @invariant()
    def cash_is_what_was_paid_and_charged(self) -> None:
        for name, account in self.start.accounts.items():
            for currency in ("USD", "EUR"):
                ours = [e for e in self.prints.values() if (e.ticket.account, e.currency) == (name, currency)]
                paid = sum(e.ticket.signed(e.shares) * e.price + e.commission for e in ours)
                before = account.cash.get(currency, Decimal(0))
                assert self.venue.scenario.accounts[name].cash.get(currency, Decimal(0)) == before - paid

    @invariant()
    def every_commission_is_told_once_it_is_due(self) -> None:
        owed = {execution.exec_id for execution in self.venue.executions} - self.charged.keys()
        assert owed == self.venue.untold

    def _become(self, change: Document) -> None:
        self.venue.become(self.venue.changed(change))
        self._hear(self.venue.advance(self.now))

    def _hear(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case Told(order=order):
                    self.told[order.perm_id] = order
                case Printed(execution=execution):
                    self.prints[execution.exec_id.rpartition(".")[0]] = execution
                case Charged(execution=execution):
                    assert execution.exec_id not in self.charged
                    self.charged[execution.exec_id] = execution.commission


SETTINGS = settings(max_examples=60, stateful_step_count=30, deadline=None)
FILL = Book.fill


def test_nothing_is_lost_and_nothing_appears() -> None:
    run_state_machine_as_test(Venues, settings=SETTINGS)


def _fill_unpaid(book: Book, order: Order, shares: Decimal, price: Decimal, at: datetime) -> Execution:
    """A seeded defect: the fill is printed, and the account keeps what it had."""
    before = book.scenario
    execution = FILL(book, order, shares, price, at)
    book.scenario = before
    return execution


def _fill_too_much(book: Book, order: Order, shares: Decimal, price: Decimal, at: datetime) -> Execution:
    """A seeded defect: one share more than is left."""
    return FILL(book, order, shares + 1, price, at)


@pytest.mark.parametrize("defect", [_fill_unpaid, _fill_too_much])
def test_a_venue_that_loses_count_is_noticed(monkeypatch: pytest.MonkeyPatch, defect: object) -> None:
    monkeypatch.setattr(Book, "fill", defect)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Venues, settings=settings(SETTINGS, phases=[Phase.generate], database=None))
