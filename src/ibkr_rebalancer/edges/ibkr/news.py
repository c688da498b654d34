"""News of our orders: which order a message is about, whose it is, and what has been said and not been heard yet.

Only some messages carry an order's reference. The others name it by numbers, of which only the broker's permanent id
is good everywhere: each client has order ids of its own, and a commission knows only its print. Fewer still carry the
account; but an order has one for good, that for which it was placed, so its reference says whose a message is.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.orders import OURS
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.order_messages import (
    LIVE,
    Charged,
    Complained,
    Ended,
    Opened,
    OrderMessage,
    Printed,
    Stated,
    account_in,
    evidence_in,
)

EARLY = 100
"""Commissions kept for prints that may still come; those of other people's prints crowd each other out."""


REMEMBERED = 50_000
"""Names of each kind, the newest: twice what fifty accounts may send in a day, and no order of ours lives longer."""

K = TypeVar("K")
V = TypeVar("V")


class References:
    """The references of our orders, by whatever messages call them; of those last spoken of."""

    def __init__(self, client_id: int) -> None:
        self._client_id = client_id
        self._by_number: dict[tuple[int, int], str] = {}
        """By client id and order id."""
        self._by_perm_id: dict[int, str] = {}
        self._by_print: dict[str, str] = {}
        self._placed_for: dict[str, AccountId] = {}
        """By reference."""
        self._seen_in: dict[str, AccountId] = {}
        """The same, where only the broker has said it."""

    def placed(self, order_id: int, order_ref: str, account: AccountId) -> None:
        """An order for the account goes out over our client id."""
        _remember(self._by_number, (self._client_id, order_id), order_ref)
        _remember(self._placed_for, order_ref, account)

    def account_of(self, order_ref: str) -> AccountId | None:
        """Whose the order is: for whom it was placed here, else in whose account the broker has last shown it."""
        return self._placed_for.get(order_ref) or self._seen_in.get(order_ref)

    def order_ids(self, order_ref: str) -> tuple[int, ...]:
        """The order's number under our client id; none unless it was placed here or has been seen open.

        The broker has been seen to make two orders of one: then each has a number.
        """
        return tuple(
            order_id
            for (client_id, order_id), ref in self._by_number.items()
            if client_id == self._client_id and ref == order_ref
        )

    def learn(self, message: OrderMessage) -> None:
        """Remember what the message calls an order of ours, and forget what is somebody else's now.

        Order ids are learnt of open orders only: those of past executions may have been given out anew.
        """
        order_ref, account = self.of(message), account_in(message)
        if order_ref is not None and account is not None:
            _remember(self._seen_in, order_ref, account)
        match message:
            case Opened(order=order):
                self._assign(order.clientId, order.orderId, order_ref)
                self._learn_perm_id(order.permId, order_ref)
            case Stated(perm_id=perm_id):
                self._learn_perm_id(perm_id, order_ref)
            case Printed(execution=execution) if order_ref is not None:
                _remember(self._by_print, execution.execId, order_ref)
                self._learn_perm_id(execution.permId, order_ref)

    def of(self, message: OrderMessage) -> str | None:
        """The reference of the order that the message is about, None if it is none of ours."""
        match message:
            case Opened(order=order):
                return self._find(order.orderRef, order.permId, (order.clientId, order.orderId))
            case Stated():
                return self._find("", message.perm_id, (message.client_id, message.order_id))
            case Printed(execution=told):
                return self._find(told.orderRef, told.permId, (told.clientId, told.orderId))
            case Charged(report=report):
                return self._by_print.get(report.execId)
            case Ended(order=order):
                return self._find(order.orderRef, order.permId, None)
            case Complained(order_id=order_id):
                return self._by_number.get((self._client_id, order_id))

    def heard(self, message: OrderMessage) -> Heard | None:
        """The message as evidence; None if it is about no order of ours, or says nothing yet.

        Raises:
            GatewayUnavailable: it lacks a figure that it exists to tell (`SNAPSHOT_INCOMPLETE`).
        """
        order_ref = self.of(message)
        evidence = evidence_in(message) if order_ref is not None else None
        return Heard(order_ref=order_ref, evidence=evidence) if order_ref and evidence else None

    def _find(self, told: str, perm_id: int, number: tuple[int, int] | None) -> str | None:
        """The reference told is believed; only an order without any is known by its numbers."""
        if told:
            return told if told.startswith(OURS) else None
        return self._by_perm_id.get(perm_id) or (self._by_number.get(number) if number else None)

    def _assign(self, client_id: int, order_id: int, order_ref: str | None) -> None:
        if order_ref is None:
            self._by_number.pop((client_id, order_id), None)
        else:
            _remember(self._by_number, (client_id, order_id), order_ref)

    def _learn_perm_id(self, perm_id: int, order_ref: str | None) -> None:
        if perm_id and order_ref is not None:
            _remember(self._by_perm_id, perm_id, order_ref)


def _remember(names: dict[K, V], name: K, meaning: V) -> None:
    """Take it in as the newest, and forget the oldest if there are too many."""
    names.pop(name, None)
    names[name] = meaning
    if len(names) > REMEMBERED:
        del names[next(iter(names))]


class Unheard:
    """What has been said about the orders of one account, until it is heard."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        """Set while there is something to hear."""
        self._pieces: list[Heard] = []

    def add(self, heard: Heard) -> None:
        self._pieces.append(heard)
        self.arrived.set()

    def take(self) -> tuple[Heard, ...]:
        """All that is new since the last call."""
        self.arrived.clear()
        pieces, self._pieces = self._pieces, []
        return tuple(pieces)


class OrderNews:
    """What has been said about our orders, kept for each account until that is heard.

    Of an order whose account nobody has told yet, it is kept until somebody does.
    """

    def __init__(self, client_id: int) -> None:
        self.references = References(client_id)
        self._unheard: dict[AccountId | None, Unheard] = {}
        self._early: deque[Charged] = deque(maxlen=EARLY)
        self._record: list[OrderMessage] | None = None
        self._listed: set[str] = set()
        """Ids of the prints that a request has been answered with, while a record is kept."""

    def of(self, account: AccountId | None) -> Unheard:
        """What the account has not heard yet, also if nobody ever listened for it; None has what nobody can hear."""
        return self._unheard.setdefault(account, Unheard())

    @contextmanager
    def recording(self) -> Iterator[list[OrderMessage]]:
        """All that is said of orders, ours or not, news or not, until the block is left; one at a time."""
        record: list[OrderMessage] = []
        self._record = record
        try:
            yield record
        finally:
            self._record = None
            self._listed.clear()

    def take(self, message: OrderMessage) -> None:
        """A message about orders has come; what was asked for is not news."""
        self.references.learn(message)
        if self._record is not None:
            self._record.append(message)
        news = filter(None, map(self.references.heard, self._new_in(message)))
        for heard in (*self.of(None).take(), *news):
            self.of(self.references.account_of(heard.order_ref)).add(heard)

    def _new_in(self, message: OrderMessage) -> tuple[OrderMessage, ...]:
        """What nobody asked for: the message, with what has waited for it; or nothing."""
        match message:
            case Ended():
                return ()
            case Printed(request=request, execution=execution) if request != LIVE:
                self._listed.add(execution.execId)
                return ()
            case Charged(report=report) if report.execId in self._listed:
                return ()
            case Printed(execution=execution):
                return (message, *(early for early in self._early if early.report.execId == execution.execId))
            case Charged() if self.references.of(message) is None:
                self._early.append(message)
                return ()
        return (message,)
