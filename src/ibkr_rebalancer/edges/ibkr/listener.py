"""What the gateway says, a message at a time: each goes to the answer it belongs to, to the link, or to the desk.

The methods are called by ib_async's client and decoder. An error in one of them ends in the decoder's log, which the
conversation takes for a message that cannot be read.
"""

# ruff: noqa: N802, N815, PLR0917 (the names and the parameters of messages are ib_async's)

from collections.abc import Callable
from datetime import UTC, datetime

from ib_async import (
    AccountValue,
    CommissionReport,
    Contract,
    ContractDetails,
    Execution,
    Order,
    OrderState,
    PortfolioItem,
    Position,
)
from ib_async.util import UNSET_INTEGER

from ibkr_rebalancer.edges.ibkr.answers import SYSTEM, Answers, Refusal
from ibkr_rebalancer.edges.ibkr.codes import Effect, explain
from ibkr_rebalancer.edges.ibkr.link import Link
from ibkr_rebalancer.edges.ibkr.order_messages import (
    Charged,
    Complained,
    Ended,
    Opened,
    OrderMessage,
    Printed,
    Stated,
)
from ibkr_rebalancer.edges.ibkr.translate import DATA_KINDS, HALTED, HaltTick, Tick
from ibkr_rebalancer.edges.ibkr.troubles import ID_TAKEN, LINK_DOWN, NO_ACCOUNTS
from ibkr_rebalancer.ports import Clock

LOOKING = (1, 4, 6, 7, 9, 10, 15, 45, 49, 52, 54, 57, 58, 61, 62)
"""The messages that a reader listens to, by id; the other known ones are not even read."""
TRADING = (3, 5, 11, 53, 55, 59, 101, 102)
"""Those that a desk listens to besides."""


class Listener:
    """Who listens on a connection; without `hear_order` only what a reader needs."""

    defaultTimezone = UTC
    """What the decoder turns the times of executions to; one without a zone it cannot turn, and so not read."""

    def __init__(
        self, answers: Answers, link: Link, clock: Clock, hear_order: Callable[[OrderMessage], None] | None
    ) -> None:
        self.accounts: tuple[str, ...] = ()
        self.broken_farms: frozenset[str] = frozenset()
        """Data farms that the gateway reports as broken, by name."""
        self.last_order_id = 0
        """The highest that the gateway has spoken of."""
        self.heeded = LOOKING if hear_order is None else LOOKING + TRADING
        self._answers = answers
        self._link = link
        self._clock = clock
        self._hear_order = hear_order or (lambda _: None)

    def connectAck(self) -> None:
        """The handshake is done."""

    def setEventsDone(self) -> None:
        """The socket is gone; the conversation hears of it from the socket."""

    def connectionClosed(self) -> None:
        """The same, of a session that was ready."""

    def nextValidId(self, number: int) -> None:
        """Part of the greeting, which the client itself waits for."""

    def managedAccounts(self, accounts: str) -> None:
        self.accounts = tuple(account for account in accounts.split(",") if account)
        if not self.accounts:
            self._link.fail(NO_ACCOUNTS)

    def currentTime(self, epoch_s: int) -> None:
        self._answers.collect("time", datetime.fromtimestamp(epoch_s, UTC))
        self._answers.end("time")

    def position(self, account: str, contract: Contract, quantity: float, average_cost: float) -> None:
        self._answers.collect("positions", Position(account, contract, quantity, average_cost))

    def positionEnd(self) -> None:
        self._answers.end("positions")

    def updateAccountValue(self, key: str, value: str, currency: str, account: str) -> None:
        self._answers.collect(updates_of(account), AccountValue(account, key, value, currency, ""))

    def updatePortfolio(
        self,
        contract: Contract,
        quantity: float,
        price: float,
        value: float,
        average_cost: float,
        unrealized: float,
        realized: float,
        account: str,
    ) -> None:
        item = PortfolioItem(contract, quantity, price, value, average_cost, unrealized, realized, account)
        self._answers.collect(updates_of(account), item)

    def accountDownloadEnd(self, account: str) -> None:
        self._answers.end(updates_of(account))

    def contractDetails(self, number: int, details: ContractDetails) -> None:
        self._answers.collect(number, details)

    def contractDetailsEnd(self, number: int) -> None:
        self._answers.end(number)

    def marketDataType(self, number: int, kind: int) -> None:
        self._answers.collect(number, DATA_KINDS[kind])

    def priceSizeTick(self, number: int, kind: int, price: float, size: float) -> None:  # noqa: ARG002 (price only)
        self._answers.collect(number, Tick(kind=kind, price=price, received_at=self._clock.now()))

    def tickGeneric(self, number: int, kind: int, value: float) -> None:
        if kind in HALTED:
            self._answers.collect(number, HaltTick(is_halted=value > 0))

    def tickSnapshotEnd(self, number: int) -> None:
        self._answers.end(number)

    def openOrder(self, number: int, contract: Contract, order: Order, state: OrderState) -> None:
        self._see(number)
        row = Opened(at=self._clock.now(), contract=contract, order=order, state=state)
        if order.whatIf:
            self._answers.collect(number, row)
        else:
            self._hear_order(row)

    def openOrderEnd(self) -> None:
        self._answers.end("open orders")

    def orderStatus(
        self,
        number: int,
        status: str,
        filled: float,
        remaining: float,
        average_price: float,  # noqa: ARG002 (executions tell prices)
        perm_id: int,
        parent_id: int,  # noqa: ARG002
        last_price: float,  # noqa: ARG002
        client_id: int,
        why_held: str,
        price_cap: float,  # noqa: ARG002
    ) -> None:
        self._see(number)
        self._hear_order(
            Stated(
                at=self._clock.now(),
                order_id=number,
                client_id=client_id,
                perm_id=perm_id,
                status=status,
                filled=filled,
                remaining=remaining,
                why_held=why_held,
            )
        )

    def execDetails(self, number: int, _: Contract, execution: Execution) -> None:
        self._see(execution.orderId)
        self._hear_order(Printed(request=number, execution=execution))

    def execDetailsEnd(self, number: int) -> None:
        self._answers.end(number)

    def commissionReport(self, report: CommissionReport) -> None:
        self._hear_order(Charged(report=report))

    def completedOrder(self, _: Contract, order: Order, state: OrderState) -> None:
        self._hear_order(Ended(at=self._clock.now(), order=order, state=state))

    def completedOrdersEnd(self) -> None:
        self._answers.end("completed orders")

    def error(self, number: int, code: int, text: str, _: str) -> None:
        match explain(code).effect:
            case Effect.LINK_LOST:
                self._link.fail(LINK_DOWN)
            case Effect.LINK_BACK:
                self._link.mend()
            case Effect.ID_TAKEN:
                self._link.fail(ID_TAKEN)
            case Effect.FARM_BROKEN:
                self.broken_farms |= {_farm(text)}
            case Effect.FARM_OK:
                self.broken_farms -= {_farm(text)}
            case Effect.ENDS | Effect.NOTE if number != SYSTEM and number not in self._answers:
                self._hear_order(Complained(at=self._clock.now(), order_id=number, code=code, text=text))
            case Effect.ENDS:
                self._answers.refuse(number, Refusal(code=code, text=text))
            case Effect.NOTE:
                pass  # what it is about goes on

    def _see(self, order_id: int) -> None:
        if order_id != UNSET_INTEGER:
            self.last_order_id = max(self.last_order_id, order_id)


UPDATES_OF = "updates of "


def updates_of(account: str) -> str:
    """The kind of request that account updates of this account answer."""
    return UPDATES_OF + account


def _farm(text: str) -> str:
    """The name at the end of `Market data farm connection is broken:usfarm`."""
    return text.rpartition(":")[2].strip()
