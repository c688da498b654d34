"""The orders of one account that are not proven to have ended, kept in the journal and in memory alike."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_state import TrackedOrder, order_state
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.ports import Ledger


class Docket:
    """What is known of these orders; whatever is learnt is journalled before it counts."""

    def __init__(self, orders: Sequence[TrackedOrder], *, ledger: Ledger) -> None:
        self._orders = {order.intent.order_ref: order for order in orders}
        self._ledger = ledger
        self._settled: set[str] = set()

    @property
    def orders(self) -> tuple[TrackedOrder, ...]:
        """All of them, in the order of sending."""
        return tuple(self._orders.values())

    @property
    def open(self) -> tuple[TrackedOrder, ...]:
        """Those whose end is not proven yet."""
        return tuple(order for order in self.orders if not order_state(order).status.is_terminal)

    def intend(self, intents: Sequence[OrderIntent]) -> None:
        """Take in orders that are about to be sent.

        Raises:
            StorageFailed: they are not in the journal, so they must not be sent.
        """
        self._ledger.intend(*intents)
        self._orders |= {intent.order_ref: TrackedOrder(intent=intent, evidence=()) for intent in intents}

    def take_back(self, order_refs: Collection[str]) -> None:
        """Take in orders of ours that earlier runs have done with, if the journal knows them: there is news of them."""
        orders = self._ledger.recall([ref for ref in order_refs if ref not in self._orders])
        self._orders |= {order.intent.order_ref: order for order in orders}
        self._settled |= {order.intent.order_ref for order in orders}

    def observe(self, heard: Sequence[Heard]) -> None:
        """Take in evidence, and the outcome of every order that has ended; evidence about others is left alone.

        Also an order whose end was proven before gets its outcome here: a process may die between the two writes. One
        whose end the evidence takes back gets another when that comes.

        Raises:
            StorageFailed: the journal did not take it.
        """
        new = [
            one for one in heard if (order := self._orders.get(one.order_ref)) and one.evidence not in order.evidence
        ]
        if new:
            self._ledger.observe(new)
        for one in new:
            order = self._orders[one.order_ref]
            self._orders[one.order_ref] = replace(order, evidence=(*order.evidence, one.evidence))
        for ref, order in self._orders.items():
            state = order_state(order)
            if not state.status.is_terminal:
                self._settled.discard(ref)
            elif ref not in self._settled:
                self._ledger.settle(ref, state)
                self._settled.add(ref)
