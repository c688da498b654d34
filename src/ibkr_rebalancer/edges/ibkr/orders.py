"""The gateway as an `OrderDesk`: the only code that sends orders, and the ear for all that is said of them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import ib_async

from ibkr_rebalancer.core.errors import GatewayRefused, Refused
from ibkr_rebalancer.core.order_book import Heard, OrderBook
from ibkr_rebalancer.core.order_codes import readable
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.answers import Question, Refusal, together
from ibkr_rebalancer.edges.ibkr.codes import explain
from ibkr_rebalancer.edges.ibkr.conversation import Conversation
from ibkr_rebalancer.edges.ibkr.market import TIME
from ibkr_rebalancer.edges.ibkr.news import OrderNews
from ibkr_rebalancer.edges.ibkr.order_messages import (
    OrderMessage,
    account_in,
    has_figures,
    open_orders_in,
    order_of,
    traded_contract,
    what_if_in,
)
from ibkr_rebalancer.edges.ibkr.translate import rows_of
from ibkr_rebalancer.edges.ibkr.wire import OrderWire
from ibkr_rebalancer.ports import WhatIf

OPEN_ORDERS: Question[OrderWire] = Question(
    kind="open orders", about="the list of open orders", send=lambda wire: wire.reqAllOpenOrders()
)
COMPLETED_ORDERS: Question[OrderWire] = Question(
    kind="completed orders", about="the list of completed orders", send=lambda wire: wire.reqCompletedOrders(False)
)


class GatewayOrders:
    """A connected gateway, for trading."""

    def __init__(
        self,
        conversation: Conversation[OrderWire],
        news: OrderNews,
        *,
        client_id: int,
        answer_s: float,
        preview_s: float,
        figures_s: float,
    ) -> None:
        """Deadlines: `answer_s` of one answer or sending, `preview_s` of one preview, `figures_s` of its figures once
        it has begun with a warning.
        """
        self._conversation = conversation
        self._news = news
        self._client_id = client_id
        self._answer_s = answer_s
        self._preview_s = preview_s
        self._figures_s = figures_s
        self._turn = asyncio.Lock()
        self._looking = asyncio.Lock()
        """Held by whoever keeps a record of all that is said of orders."""

    @property
    def client_id(self) -> int:
        """The API client id of this connection."""
        return self._client_id

    @property
    def turn(self) -> asyncio.Lock:
        """The turn to place one order, in the order of asking."""
        return self._turn

    async def order_book(self, account: AccountId) -> OrderBook:
        """Open orders of all clients, executions and completed orders, asked for at once and each whole to its end.

        What happens to orders while it is read is part of it, and news too.
        """
        link = self._conversation.link
        async with self._looking:
            failures = link.failures
            with self._news.recording() as messages:
                *_, clock = await together(
                    [
                        self._conversation.ask(OPEN_ORDERS, deadline_s=self._answer_s),
                        self._executions(account),
                        self._conversation.ask(COMPLETED_ORDERS, deadline_s=self._answer_s),
                        self._conversation.ask(TIME, deadline_s=self._answer_s),
                    ]
                )
        book = OrderBook(
            taken_at=rows_of(datetime, clock)[-1],
            open_orders=open_orders_in(messages),
            heard=self._heard_of(account, messages),
        )
        link.tell(account, failures=failures)
        return book

    async def what_if(self, intent: OrderIntent) -> WhatIf:
        """Ask what the order would do, without placing it; a warning without figures is an answer too.

        Raises:
            Refused: the broker would refuse it (`ORDER_WOULD_BE_REJECTED`).
            GatewayRefused: the gateway takes no orders at all (`GATEWAY_READ_ONLY`).
        """
        about = f"the preview of {_described(intent)}"
        order = order_of(intent, what_if=True)

        def send(wire: OrderWire, number: int) -> None:
            wire.placeOrder(number, traded_contract(intent.con_id), order)

        answer = await self._conversation.ask_numbered(
            send, about=about, deadline_s=self._preview_s, suffices=has_figures, lull_s=lambda _: self._figures_s
        )
        if answer.refusal is not None and not answer.refusal.is_read_only:
            raise _would_be_rejected(intent, answer.refusal)
        return what_if_in(self._conversation.whole(answer, about=about, deadline_s=self._preview_s))

    async def place(self, intent: OrderIntent) -> None:
        """Send the order; on return all of it has left this process. Whether it was taken is heard later.

        Raises:
            GatewayUnavailable: the connection or the link failed; the sentence says whether anything was sent.
            ValueError: the intent is another client's, or its price does not fit its type.
        """
        if intent.client_id != self._client_id:
            raise ValueError(f"{intent.order_ref} was meant for client id {intent.client_id}, not {self._client_id}")
        about = _described(intent)
        order = order_of(intent)

        def send(wire: OrderWire, number: int) -> None:
            self._news.references.placed(number, intent.order_ref, intent.account)
            wire.placeOrder(number, traded_contract(intent.con_id), order)

        await self._conversation.dispatch(send, account=intent.account, about=about, deadline_s=self._answer_s)

    async def cancel(self, intent: OrderIntent) -> None:
        """Ask the broker to cancel an order of ours; what comes of it is heard later.

        It must have been placed over this client id: here, or before, and then an `order_book` has shown it open.

        Raises:
            GatewayRefused: it was not, and nothing was sent (`ORDER_NOT_CANCELLABLE`).
            GatewayUnavailable: the connection or the link failed; the sentence says whether anything was sent.
        """
        order_ref = intent.order_ref
        order_ids = self._news.references.order_ids(order_ref)
        if not order_ids:
            raise GatewayRefused(
                "ORDER_NOT_CANCELLABLE",
                f"The order {order_ref} is not known to be open under client id {self._client_id}, and only the client "
                "that placed an order can cancel it. Nothing was sent.",
                hint="Cancel it in TWS or Client Portal if it is open there.",
            )
        about = f"the cancellation of the order {order_ref}"
        for order_id in order_ids:
            await self._conversation.dispatch(
                _cancel(order_id), account=intent.account, about=about, deadline_s=self._answer_s
            )

    async def heard(self, account: AccountId, *, within_s: float) -> Sequence[Heard]:
        """What has arrived about our orders in the account since its last call; waits for the first piece, no longer.

        Raises:
            GatewayUnavailable: the connection or the link has failed, and all that came before has been heard; once
                for each account also after a failure that is over, as nobody knows what was missed.
        """
        link, unheard = self._conversation.link, self._news.of(account)
        patience_s = within_s if link.is_told(account) else 0
        await self._conversation.until_news(unheard.arrived, timeout_s=patience_s)
        pieces = unheard.take()
        if not pieces:
            try:
                link.require_informed(account, "news of our orders was awaited")
            finally:
                link.tell(account, failures=link.failures)
        return pieces

    def _heard_of(self, account: AccountId, messages: Sequence[OrderMessage]) -> tuple[Heard, ...]:
        """What the messages say of our orders, but for those that are known to be in another account."""
        references = self._news.references
        heard = tuple(filter(None, map(references.heard, messages)))
        elsewhere = {references.of(message) for message in messages if account_in(message) not in {None, account}}
        elsewhere |= {ref for ref in (h.order_ref for h in heard) if references.account_of(ref) not in {None, account}}
        return tuple(each for each in heard if each.order_ref not in elsewhere)

    async def _executions(self, account: AccountId) -> list[object]:
        """Those of the account; each commission is told beside them."""
        about = f"the executions of {account}"

        def send(wire: OrderWire, number: int) -> None:
            wire.reqExecutions(number, ib_async.ExecutionFilter(acctCode=account))

        answer = await self._conversation.ask_numbered(send, about=about, deadline_s=self._answer_s)
        return self._conversation.whole(answer, about=about, deadline_s=self._answer_s)


def _cancel(order_id: int) -> Callable[[OrderWire, int], None]:
    return lambda wire, _: wire.cancelOrder(order_id, "")


def _described(intent: OrderIntent) -> str:
    return (
        f"the order to {intent.side.value} {intent.quantity} {intent.symbol} in {intent.account} ({intent.order_ref})"
    )


def _would_be_rejected(intent: OrderIntent, refusal: Refusal) -> Refused:
    code, words = explain(refusal.code, refusal.text), readable(refusal.text)
    return Refused(
        "ORDER_WOULD_BE_REJECTED",
        f"The broker would reject {_described(intent)}: {code.meaning} (code {refusal.code}: {words}). "
        "It was not sent.",
        hint=code.remedy,
    )
