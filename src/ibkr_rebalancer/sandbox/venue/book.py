"""The order book: every order there was, every execution, and the accounts they move.

It keeps what has happened and decides nothing. No I/O and no clock.
"""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from ibkr_rebalancer.sandbox.venue.accounts import Account, corrected, traded
from ibkr_rebalancer.sandbox.venue.document import ScenarioError
from ibkr_rebalancer.sandbox.venue.fills import Fills, commission
from ibkr_rebalancer.sandbox.venue.hours import NEW_YORK, trading_day
from ibkr_rebalancer.sandbox.venue.market import Listing
from ibkr_rebalancer.sandbox.venue.orders import Execution, Order, Status, Ticket
from ibkr_rebalancer.sandbox.venue.scenario import Scenario

FIRST_PERM_ID = 1_100_000_001
FIRST_EXECUTION = 0x6789ABCD


class Book:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.now = datetime.min.replace(tzinfo=UTC)
        """The last time told; it says which day is today."""
        self.orders: dict[int, Order] = {}
        """By permId, in the order they were placed."""
        self.next_order_id = 1
        self._stale: dict[str, Account] = {}
        """Accounts that clients are still told of as they were."""
        self._executions: list[Execution] = []
        """A correction comes beside what it corrects."""
        self._perm_ids: dict[tuple[int, int], int] = {}

    @property
    def told(self) -> Scenario:
        """The scenario as clients are told of it."""
        accounts = self.scenario.accounts
        stale = {name: account for name, account in self._stale.items() if name in accounts}
        return replace(self.scenario, accounts={**accounts, **stale}) if stale else self.scenario

    @property
    def open_orders(self) -> tuple[Order, ...]:
        return tuple(order for order in self.orders.values() if order.working)

    @property
    def completed(self) -> tuple[Order, ...]:
        """Ended today."""
        ended = ((order, order.completed_at) for order in self.orders.values())
        return tuple(order for order, at in ended if at is not None and self._is_today(at))

    @property
    def executions(self) -> tuple[Execution, ...]:
        """Of today."""
        return tuple(execution for execution in self._executions if self._is_today(execution.time))

    def find(self, client_id: int, order_id: int) -> Order | None:
        perm_id = self._perm_ids.get((client_id, order_id))
        return None if perm_id is None else self.orders[perm_id]

    def listing(self, ticket: Ticket) -> Listing:
        return self.scenario.market.listings[ticket.con_id]

    def fills(self, order: Order) -> Fills:
        return self.scenario.fills_of(self.listing(order.ticket))

    def check(self, scenario: Scenario) -> None:
        """Refuse a state in which orders are about nothing.

        Raises:
            ScenarioError: if an account or a contract is gone that has had an order.
        """
        for order in self.orders.values():
            ticket = order.ticket
            if ticket.account not in scenario.accounts or ticket.con_id not in scenario.market.listings:
                problem = f"order {order.perm_id} needs account {ticket.account} and contract {ticket.con_id}"
                raise ScenarioError("scenario", problem)

    def note_id(self, ticket: Ticket) -> None:
        self.next_order_id = max(self.next_order_id, ticket.order_id + 1)

    def enter(self, ticket: Ticket, at: datetime) -> Order:
        self.note_id(ticket)
        perm_id = FIRST_PERM_ID + len(self.orders)
        self._perm_ids[ticket.client_id, ticket.order_id] = perm_id
        return self.keep(Order(ticket=ticket, perm_id=perm_id, status="PreSubmitted", placed_at=at))

    def keep(self, order: Order) -> Order:
        self.orders[order.perm_id] = order
        return order

    def end(self, order: Order, status: Status, sentence: str, at: datetime) -> Order:
        return self.keep(replace(order, status=status, completed_at=at, completed_status=sentence, why_held=""))

    def fill(self, order: Order, shares: Decimal, price: Decimal, at: datetime) -> Execution:
        """Execute a part: order, position and cash change as one. A late one finds its order ended already."""
        execution = self._execution(order, shares, price, at)
        account, listing = self._account(order), self.listing(order.ticket)
        self._set_account(traded(account, listing, order.ticket.signed(shares), price, execution.commission))
        self._executions.append(execution)
        filled = replace(order, executions=(*order.executions, execution), why_held="")
        if not filled.remaining:
            self.end(filled, "Filled", f"Filled Size: {filled.filled}", at)
        else:
            self.keep(replace(filled, status="Submitted") if filled.working else filled)
        return execution

    def keep_untold(self, account_id: str) -> None:
        """From here on clients are told of the account as it is now, whatever becomes of it."""
        self._stale.setdefault(account_id, self.scenario.accounts[account_id])

    def tell(self, *account_ids: str) -> None:
        """Clients are told of these accounts as they are again."""
        for account_id in account_ids:
            self._stale.pop(account_id, None)

    def correct(self, exec_id: str, price: Decimal) -> Execution:
        """Give the execution of this id, or its latest correction, another price; all else is as it was.

        Raises:
            ScenarioError: when there is no such execution.
        """
        revisions = [execution for execution in self._executions if _stem(execution.exec_id) == _stem(exec_id)]
        if not revisions:
            raise ScenarioError("exec_id", f"there is no execution {exec_id!r}")
        wrong = revisions[-1]
        order = self.orders[wrong.perm_id]
        change = price - wrong.price
        right = replace(
            wrong,
            exec_id=f"{_stem(exec_id)}.{len(revisions) + 1:02d}",
            price=price,
            average_price=wrong.average_price + wrong.shares * change / wrong.cumulative,
        )
        account, listing = self._account(order), self.listing(order.ticket)
        self._set_account(corrected(account, listing, order.ticket.signed(wrong.shares), change))
        self._executions.append(right)
        self.keep(replace(order, executions=tuple(right if e == wrong else e for e in order.executions)))
        return right

    def _execution(self, order: Order, shares: Decimal, price: Decimal, at: datetime) -> Execution:
        """The next part of an order. It is charged what it adds to the commission of the whole."""
        contract = self.listing(order.ticket).contract
        filled = order.filled + shares
        value = order.filled * order.average_price + shares * price
        charged = sum((execution.commission for execution in order.executions), Decimal(0))
        return Execution(
            exec_id=f"0000e0d5.{FIRST_EXECUTION + len(self._executions):08x}.01.01",
            time=at,
            ticket=order.ticket,
            perm_id=order.perm_id,
            shares=shares,
            price=price,
            cumulative=filled,
            average_price=value / filled,
            commission=max(commission(filled, value * contract.units, self.fills(order)) - charged, Decimal(0)),
            currency=contract.currency,
        )

    def _account(self, order: Order) -> Account:
        return self.scenario.accounts[order.ticket.account]

    def _set_account(self, account: Account) -> None:
        self.scenario = replace(self.scenario, accounts={**self.scenario.accounts, account.account_id: account})

    def _is_today(self, moment: datetime) -> bool:
        return trading_day(NEW_YORK, moment) == trading_day(NEW_YORK, self.now)


def _stem(exec_id: str) -> str:
    """What the revisions of one execution have in common."""
    return exec_id.rpartition(".")[0]
