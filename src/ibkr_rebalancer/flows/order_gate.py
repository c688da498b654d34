"""The one place from which orders are sent, cancelled and looked for: nothing else holds the desk.

Nothing passes while trading is halted, and nothing leaves that is not in the journal. What was sent is never sent
again: a doubt is looked into. Each account has a gate; they take turns, an order at a time.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress

from ibkr_rebalancer.core.errors import GatewayRefused, GatewayUnavailable, Halted, UnknownOutcome
from ibkr_rebalancer.core.evidence import CancelAsked, Sent, Withheld
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.order_book import Heard, OrderBook, evidence_of
from ibkr_rebalancer.core.order_state import TrackedOrder, alarm, order_state
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.flows.docket import Docket
from ibkr_rebalancer.ports import Clock, Controls, Gateway, GatewaySession, Halt, Observer, WhatIf


class OrderGate:
    """The gate of one account."""

    def __init__(
        self,
        account: AccountId,
        session: GatewaySession,
        *,
        gateway: Gateway,
        controls: Controls,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._account = account
        self._session = session
        self._gateway = gateway
        self._controls = controls
        self._clock = clock
        self._observer = observer
        self._asked: list[Heard] = []
        """Cancels that have left and are not journalled yet: a journal that fails must not keep the next one back."""

    @property
    def session(self) -> GatewaySession:
        """The connection in use, for those who look."""
        return self._session

    async def resume(self) -> None:
        """Use the connection of this moment: it may have been lost since, and found again by another account.

        Raises:
            GatewayUnavailable: there is none.
        """
        self._session = await self._gateway.session(within_s=0)

    async def preview(self, intent: OrderIntent) -> WhatIf:
        """What the broker would say to the order; places nothing.

        Raises:
            Refused, GatewayRefused, GatewayUnavailable: as the desk does.
        """
        return await self._session.desk.what_if(intent)

    async def send(self, intents: Sequence[OrderIntent], docket: Docket) -> None:
        """Send the orders in their sequence, each of them journalled first; an interruption cuts none in two.

        Raises:
            Halted: trading is halted; of the orders none, or only the first ones, were sent.
            StorageFailed: the journal failed; likewise.
            GatewayUnavailable: the connection failed; the docket has what was sent and what may have been.
        """
        self.require_running(f"Nothing {'more ' if docket.orders else ''}was sent for {self._account}.")
        docket.intend(intents)
        waiting, heard = list(intents), list[Heard]()
        try:
            while waiting:
                async with self._session.desk.turn:
                    self.require_running(f"Nothing more was sent for {self._account}.")
                    intent = waiting.pop(0)
                    await _whole(self._place(intent, heard))
        finally:
            withheld = Withheld(at=self._clock.now())
            docket.observe([*heard, *(Heard(order_ref=left.order_ref, evidence=withheld) for left in waiting)])

    async def _place(self, intent: OrderIntent, heard: list[Heard]) -> None:
        await self._session.desk.place(intent)
        heard.append(Heard(order_ref=intent.order_ref, evidence=Sent(at=self._clock.now())))

    def require_running(self, so_far: str = "Nothing was sent.") -> None:
        """Check that nobody has halted trading, and that the journal has not failed under anybody.

        `so_far` is a sentence about what the run has sent; before it has sent anything, the same for all its accounts.

        Raises:
            Halted: somebody has (`HALTED`).
            StorageFailed: it has.
        """
        self._controls.require_trusted()
        halt = self._controls.halted()
        if halt is not None:
            raise Halted(
                "HALTED",
                f"Trading has been halted since {halt.at:%Y-%m-%d %H:%M} UTC: {halt.reason}. {so_far}",
                hint="When the reason is gone, run: rebalancer resume",
            )

    def require_no_alarm(self, docket: Docket) -> None:
        """Check that nothing came of an order that must never come of one; if something did, halt all trading.

        Raises:
            UnknownOutcome: something did (`ORDER_ALARM`).
            StorageFailed: something did, and the journal could not even take the halt.
        """
        alarms = [said for order in docket.orders if (said := alarm(order, order_state(order))) is not None]
        if not alarms:
            return
        reason, halt = " ".join(alarms).removesuffix("."), self._controls.halted()
        if halt is None or halt.reason != reason:
            self._controls.halt(Halt(at=self._clock.now(), reason=reason))
        raise UnknownOutcome(
            "ORDER_ALARM",
            f"{reason}. Trading is halted.",
            hint="Look for these orders in TWS or Client Portal, cancel what is still open, correct the positions, "
            "and only then run: rebalancer resume",
        )

    async def cancel(self, order: TrackedOrder) -> bool:
        """Ask for the order to be cancelled, if it is known to be open under our client id: no other can.

        Whether the wish has left.
        """
        try:
            await self._session.desk.cancel(order.intent)
        except GatewayRefused:
            return False
        self._note_asked(order)
        return True

    async def cancel_over(self, client_id: int, orders: Sequence[TrackedOrder]) -> None:
        """Ask for orders to be cancelled over the client id that they went out over; what comes of it shows at a look.

        Raises:
            GatewayUnavailable, Busy: that client id cannot be used.
        """
        async with self._gateway.over(client_id) as desk:
            await desk.order_book(self._account)  # tells it the numbers of its orders
            for order in orders:
                with suppress(GatewayRefused):  # it has ended meanwhile
                    await desk.cancel(order.intent)
                    self._note_asked(order)
            await desk.order_book(self._account)  # the answer says that the gateway has read it all

    async def listen(self, docket: Docket, *, within_s: float) -> None:
        """Take in what has arrived about the account's orders, waiting for the first piece.

        Raises:
            GatewayUnavailable: the connection failed.
        """
        heard = await self._session.desk.heard(self._account, within_s=within_s)
        docket.observe([*self._just_asked(), *heard])

    async def look(self, docket: Docket) -> OrderBook:
        """Look at all orders at the broker, and take in what that says about ours; positions are a part of that.

        Orders of earlier runs that are open, though the journal has them ended, come back into the docket.

        Raises:
            GatewayUnavailable: there was no whole answer.
        """
        book = await self._session.desk.order_book(self._account)
        docket.take_back(book.ours_open(self._account))
        positions = await self._session.market.positions((self._account,)) if docket.orders else ()
        docket.observe([*self._just_asked(), *evidence_of(book, positions, orders=docket.orders)])
        return book

    def _note_asked(self, order: TrackedOrder) -> None:
        """A wish for a cancel has left."""
        asked = CancelAsked(at=self._clock.now())
        self._asked.append(Heard(order_ref=order.intent.order_ref, evidence=asked))

    def _just_asked(self) -> list[Heard]:
        asked, self._asked = self._asked, []
        return asked

    async def reconnect(self, *, within_s: float) -> None:
        """Find the gateway again after it was lost.

        Raises:
            GatewayUnavailable: it was not there within the time.
        """
        self._notice("gateway.lost", "The gateway is lost; nothing more is sent until it is back")
        self._session = await self._gateway.session(within_s=within_s)
        self._notice("gateway.back", "The gateway is back; checking what became of our orders")

    def _notice(self, event: str, text: str) -> None:
        self._observer.notify(Notice(event=event, text=text, account=self._account, severity=Severity.WARNING))


async def _whole(step: Coroutine[None, None, None]) -> None:
    """Let a step come to its end before an interruption does: of half of it nobody could say what it was."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(GatewayUnavailable):  # the docket has the order as one that may have been sent
            await task
        raise
