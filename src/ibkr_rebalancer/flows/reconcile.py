"""Bring orders to a proven end: after sending, after a lost connection and after a crash, always the same way.

Listen until they are filled or their time is up; cancel what is still open; look at the whole order book; and of what
is nowhere to be found, look again. Nothing is ever sent here but cancels of our own orders.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from ibkr_rebalancer.core.errors import (
    Busy,
    GatewayUnavailable,
    RebalancerError,
    StorageFailed,
    UnknownOutcome,
    UsageError,
)
from ibkr_rebalancer.core.evidence import Commissioned, Executed, Resolved
from ibkr_rebalancer.core.fills import LONGEST_LAG, has_just_filled, lagging, positions_lag
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.order_book import Heard, OrderBook
from ibkr_rebalancer.core.order_state import ABSENCE_S, OrderState, OrderStatus, TrackedOrder, needs_a_look, order_state
from ibkr_rebalancer.core.orders import OpenOrder
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.flows.docket import Docket
from ibkr_rebalancer.flows.order_gate import OrderGate
from ibkr_rebalancer.ports import Clock, Ledger, Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take, in seconds of the monotonic clock."""

    fill_s: float = 120.0
    """From sending to filled; what is open then is cancelled."""
    cancel_s: float = 30.0
    """From asking for a cancel to its proof."""
    link_s: float = 120.0
    """For a lost gateway to be back in the middle of a run."""
    stop_s: float = 20.0
    """As `link_s`, once the run has been told to stop: whoever stops a service does not wait long."""
    absence_s: float = ABSENCE_S + 1
    """Between two looks that prove an order absent, by the gateway's clock, which tells whole seconds."""
    funds_s: float = 10.0
    """For the broker's cash to show the sales."""
    positions_s: float = 10.0
    """For the broker's positions to show the fills."""
    commissions_s: float = 3.0
    """For the last commissions, which follow their executions."""


PATIENCE = Patience()

PAUSE_S = 1.0
"""Between two looks at a gateway that is there and gives no whole answer."""
POLL_S = 0.5
"""Between two looks at positions or cash that lag."""

LIFETIME = timedelta(days=1)
"""No order of ours lives longer."""


async def reconcile(
    account: AccountId, gate: OrderGate, *, ledger: Ledger, observer: Observer, patience: Patience
) -> OrderBook:
    """Look at all orders, and bring every one of ours that is open, or may be, to a proven end.

    What has just been filled must be seen in the positions too, or they would be planned on as they were before. An
    interruption cancels what is open and proves it, before it goes on.

    Raises:
        UnknownOutcome: as `require_known` says.
        Refused: the positions do not come to show our fills (`POSITION_LAGS`); that passes by itself.
        StorageFailed: the broker knows orders of ours that the journal does not (`JOURNAL_LOST`).
        GatewayUnavailable: the gateway could not be asked.
    """
    docket = Docket(ledger.unsettled(account), ledger=ledger)
    news = _News(account, observer)
    if docket.orders:
        news.doubt(f"Finding out what became of orders that an earlier run left open: {len(docket.orders)}")
    try:
        book = await _ended(account, docket, gate, ledger=ledger, news=news, patience=patience)
    except asyncio.CancelledError:
        take_back_cancellation()
        await _end_at_once(account, docket, gate, news=news, patience=patience)
        raise
    news.know(docket, Severity.STEP)
    await _require_fills_shown(account, book, gate, ledger=ledger, patience=patience)
    return book


async def _ended(
    account: AccountId, docket: Docket, gate: OrderGate, *, ledger: Ledger, news: "_News", patience: Patience
) -> OrderBook:
    """The book once nothing of ours is open in it, or may be."""
    left_open = len(docket.orders)
    book = await gate.look(docket)
    require_known_to(ledger.known, account, book)
    late = [heard for heard in book.heard if isinstance(heard.evidence, Executed | Commissioned)]
    if late:  # also of orders that had ended: what has traded since belongs to their history
        unheard = ledger.observe(late)
        docket.take_back({heard.order_ref for heard in unheard if isinstance(heard.evidence, Executed)})
    if docket.open:
        if len(docket.orders) > left_open:
            news.doubt(
                "Orders that were said to have ended are open at Interactive Brokers; bringing them to their end"
            )
        are_strange = await _cancelled_over_their_ids(account, book, docket, gate, news=news)
        await settle(docket, gate, patience=patience, fill_s=0 if are_strange else patience.fill_s)
        require_known(account, docket, gate)
        book = await gate.look(docket)
    require_known(account, docket, gate)
    require_none_open(account, book)
    return book


async def _end_at_once(
    account: AccountId, docket: Docket, gate: OrderGate, *, news: "_News", patience: Patience
) -> None:
    """Cancel what is open and prove it, as far as that can be done in the time that a stop takes."""
    try:
        await settle(docket, gate, patience=replace(patience, link_s=patience.stop_s), fill_s=0)
        require_known(account, docket, gate)
    except RebalancerError as error:
        news.doubt(error.message)
    else:
        news.know(docket, Severity.WARNING)


@dataclass(frozen=True, slots=True)
class _News:
    """What is told of orders that earlier runs have left."""

    account: AccountId
    observer: Observer

    def doubt(self, text: str) -> None:
        self._tell("orders.reconcile", text, Severity.WARNING)

    def know(self, docket: Docket, severity: Severity) -> None:
        ends = Counter(order_state(order).status.value for order in docket.orders)
        if ends:
            counted = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
            self._tell("orders.known", f"What became of them is known: {counted}", severity)

    def _tell(self, event: str, text: str, severity: Severity) -> None:
        self.observer.notify(Notice(event=event, text=text, account=self.account, severity=severity))


def resolve_order(order_ref: str, *, filled: int, note: str, ledger: Ledger, clock: Clock) -> OrderState:
    """Take a person's word for what became of an order without an outcome.

    Raises:
        UsageError: there is no such order (`ORDER_NOT_OPEN`), or it cannot have filled so much (`USAGE`).
    """
    order = next((order for order in ledger.unsettled() if order.intent.order_ref == order_ref), None)
    if order is None:
        raise UsageError(
            "ORDER_NOT_OPEN",
            f"No order of ours with the reference {order_ref} is without an outcome.",
            hint="See rebalancer runs for the references.",
        )
    intent = order.intent
    least = order_state(order).filled
    if not least <= filled <= intent.quantity:
        raise UsageError(
            "USAGE",
            f"{intent.side.value} {intent.quantity} {intent.symbol} cannot have filled {filled} shares; "
            f"{least} have been filled for certain.",
            hint=f"Give a number from {least} to {intent.quantity}.",
        )
    docket = Docket([order], ledger=ledger)
    docket.observe([Heard(order_ref=order_ref, evidence=Resolved(at=clock.now(), filled=filled, note=note))])
    return order_state(docket.orders[0])


async def settle(docket: Docket, gate: OrderGate, *, patience: Patience, lost: bool = False, fill_s: float) -> None:
    """Wait for the orders to end, for `fill_s` at most; then cancel them and prove it.

    `lost` says that the connection broke before. What has no proven end afterwards stays open in the docket.

    Raises:
        GatewayUnavailable: the gateway was lost, and not back in time.
    """
    now = asyncio.get_running_loop().time
    ends, back_by = now() + fill_s, now() + patience.link_s
    while docket.open:
        try:
            if lost:
                await gate.reconnect(within_s=max(back_by - now(), 0))
                await gate.look(docket)
            await _listen(docket, gate, until=ends, stop=lambda: _all_doubtful(docket))
            await _cancel(docket, gate, patience=patience)
            await _prove(docket, gate, patience=patience)
        except GatewayUnavailable:
            if not lost:
                lost, back_by = True, now() + patience.link_s
            elif now() >= back_by:
                raise
            else:
                await asyncio.sleep(PAUSE_S)
        else:
            return


def require_known(account: AccountId, docket: Docket, gate: OrderGate) -> None:
    """Check that every order has ended, and that no more came of it than was asked.

    Raises:
        UnknownOutcome: one has not (`ORDER_UNKNOWN`), or more did (`ORDER_ALARM`), and then trading is halted.
    """
    gate.require_no_alarm(docket)
    if not docket.open:
        return
    named = "; ".join(
        f"{order.intent.side.value} {order.intent.quantity} {order.intent.symbol} ({order.intent.order_ref})"
        for order in docket.open
    )
    raise UnknownOutcome(
        "ORDER_UNKNOWN",
        f"Nobody can say what became of these orders of {account}: {named}. Nothing else is sent for this account.",
        hint="Look for them in TWS or Client Portal, then tell what you found, for each: rebalancer resolve ORDER_REF",
    )


def require_known_to(
    known: Callable[[Collection[str]], Collection[str]], account: AccountId, book: OrderBook
) -> Collection[str]:
    """A journal that has lost orders cannot keep them from being sent again; those of ours that the book tells of.

    `known` is `Ledger.known`.

    Raises:
        StorageFailed: the journal lacks some of them (`JOURNAL_LOST`).
    """
    ours = book.ours_open(account).keys() | {heard.order_ref for heard in book.heard}
    lost = sorted(ours.difference(known(ours)))
    if lost:
        raise StorageFailed(
            "JOURNAL_LOST",
            f"Interactive Brokers knows orders of ours in {account} that are not in this journal: {', '.join(lost)}. "
            "Nothing was sent.",
            hint="Restore the state folder that sent them, or name it with --state; "
            "if it is lost for good, wait for the next trading day and check the account by hand.",
        )
    return ours


async def _cancelled_over_their_ids(
    account: AccountId, book: OrderBook, docket: Docket, gate: OrderGate, *, news: _News
) -> bool:
    """Cancel what is open under other client ids, as only the client that placed an order can; whether there was any.

    `watch` and `execute` have ids of their own, and one may have to clean up after the other. Of such orders nothing is
    heard here, so nothing is waited for.
    """
    open_orders = {order.intent.order_ref: order for order in docket.open}
    strange = [
        order
        for order in book.ours_open(account).values()
        if order.client_id != gate.session.desk.client_id and order.order_ref in open_orders  # else it has just ended
    ]
    for client_id in sorted({order.client_id for order in strange}):
        theirs = [order for order in strange if order.client_id == client_id]
        news.doubt(f"Cancelling over client id {client_id} what an earlier run left open under it")
        try:
            await gate.cancel_over(client_id, [open_orders[order.order_ref] for order in theirs])
        except (Busy, GatewayUnavailable) as trouble:
            raise UnknownOutcome(
                "ORDER_OF_ANOTHER_CLIENT_ID",
                f"Orders of ours are open in {account} that can be cancelled over client id {client_id} only: "
                f"{_named(theirs)}. {trouble.message} Nothing else is sent for this account.",
                hint="End the process that uses this client id, such as another rebalancer, and run the command again; "
                "or cancel the orders in TWS or Client Portal.",
            ) from trouble
    return bool(strange)


def require_none_open(account: AccountId, book: OrderBook) -> None:
    """Whatever was told of their end: an order that is in the list of open orders can trade."""
    left = list(book.ours_open(account).values())
    if left:
        raise UnknownOutcome(
            "ORDER_STILL_OPEN",
            f"Orders of ours are open in {account} although their end was told: {_named(left)}. "
            "Nothing else is sent for this account.",
            hint="Run the command again; if it lasts, cancel them in TWS or Client Portal.",
        )


def _named(orders: Sequence[OpenOrder]) -> str:
    return "; ".join(
        f"{order.side.value} {order.remaining:f} {order.symbol} ({order.order_ref}, client id {order.client_id})"
        for order in orders
    )


async def _require_fills_shown(
    account: AccountId, book: OrderBook, gate: OrderGate, *, ledger: Ledger, patience: Patience
) -> None:
    """Wait until positions show what our orders have just filled, as `lagging` says."""
    if not has_just_filled((heard.evidence for heard in book.heard), at=book.taken_at):
        return
    now = asyncio.get_running_loop().time
    until = now() + patience.positions_s
    orders = ledger.orders(account, since=book.taken_at - LONGEST_LAG - LIFETIME)
    while late := lagging(orders, await gate.session.market.positions((account,)), at=book.taken_at):
        if now() >= until:
            raise positions_lag(account, late)
        await asyncio.sleep(POLL_S)


async def _listen(docket: Docket, gate: OrderGate, *, until: float, stop: Callable[[], bool]) -> None:
    """Take in what arrives until all orders have ended, time is up, or only a look can tell more."""
    now = asyncio.get_running_loop().time
    while docket.open and not stop() and (left_s := until - now()) > 0:
        await gate.listen(docket, within_s=left_s)


async def _cancel(docket: Docket, gate: OrderGate, *, patience: Patience) -> None:
    """Ask for a cancel of all that is still open, and listen for what comes of it."""
    live = [order for order in docket.open if not needs_a_look(order)]
    if any([await gate.cancel(order) for order in live]):
        until = asyncio.get_running_loop().time() + patience.cancel_s
        await _listen(docket, gate, until=until, stop=lambda: _all_doubtful(docket))


async def _prove(docket: Docket, gate: OrderGate, *, patience: Patience) -> None:
    """Look for what has no end yet, and for what was cancelled by somebody's word; cancel what that shows to be open
    after all, and look again after a while."""
    if not docket.open and not any(map(_was_cancelled, docket.orders)):
        return
    book = await gate.look(docket)
    shown = {order.order_ref for order in book.open_orders}
    for order in docket.open:
        if order.intent.order_ref in shown:
            await gate.cancel(order)
    until = asyncio.get_running_loop().time() + patience.absence_s
    await _listen(docket, gate, until=until, stop=lambda: False)
    if docket.open:
        await gate.look(docket)


def take_back_cancellation() -> None:
    """Let this task await again: the wish to stop is met by winding down, not by dropping everything."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _was_cancelled(order: TrackedOrder) -> bool:
    return order_state(order).status is OrderStatus.CANCELLED


def _all_doubtful(docket: Docket) -> bool:
    return all(needs_a_look(order) for order in docket.open)
