"""Carry out a plan: sales to their proven end, then purchases on the cash that is really there.

It sends the plan it is given and decides nothing anew, but that purchases may become smaller: they are counted again on
the money and prices of the moment in which they are sent, also where nothing was sold before. Once anything may have
been sent there is a report, however the run ends.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from ibkr_rebalancer.core.errors import Busy, Deferred, GatewayUnavailable, RebalancerError, Refused, UnknownOutcome
from ibkr_rebalancer.core.funds import cash_disagrees, disagreeing
from ibkr_rebalancer.core.limits import require_few_rejects
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.order_state import order_state
from ibkr_rebalancer.core.orders import OrderIntent, order_intents
from ibkr_rebalancer.core.plan import Side, Trade
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Snapshot
from ibkr_rebalancer.core.purchases import (
    Adjustment,
    cash_after_fills,
    lacked_funds,
    plan_purchases,
    shrunk,
    speaks_of_funds,
)
from ibkr_rebalancer.core.quotes import NoQuote, Quote
from ibkr_rebalancer.core.remedies import INTERRUPTED
from ibkr_rebalancer.core.report import Report, execution_report
from ibkr_rebalancer.core.runs import RunStart
from ibkr_rebalancer.flows.closing import close_books
from ibkr_rebalancer.flows.docket import Docket
from ibkr_rebalancer.flows.last_look import look_before_sending
from ibkr_rebalancer.flows.order_gate import OrderGate
from ibkr_rebalancer.flows.rebalance import Planned
from ibkr_rebalancer.flows.reconcile import POLL_S, Patience, require_known, settle, take_back_cancellation
from ibkr_rebalancer.ports import Clock, Ledger, Observer

LOOKED_INTO = (Busy, GatewayUnavailable, UnknownOutcome)
"""Errors of orders that have been waited for, cancelled and looked for already, as far as that was possible."""


class Execution:
    """One run for one account, from its plan to its report."""

    def __init__(
        self,
        planned: Planned,
        start: RunStart,
        gate: OrderGate,
        *,
        ledger: Ledger,
        clock: Clock,
        observer: Observer,
        patience: Patience,
    ) -> None:
        self._planned = planned
        self._start = start
        self._gate = gate
        self._ledger = ledger
        self._clock = clock
        self._observer = observer
        self._patience = patience
        self._docket = Docket((), ledger=ledger)
        self._adjustments: tuple[Adjustment, ...] = ()
        self._was_interrupted = False

    async def run(self) -> Report:
        """Send the orders of the plan and bring them to their end; an interruption cancels what is open and proves it.

        Raises:
            RebalancerError: the run ended before anything was sent.
        """
        trouble: RebalancerError | None = None
        try:
            trouble = await self._traded()
            trouble = await self._closed(trouble)
        except asyncio.CancelledError:
            take_back_cancellation()
            if not self._docket.orders:
                raise interruption(self._planned.account.account_id) from None
            self._was_interrupted = True
            trouble = await self._wind_down(link_s=self._patience.stop_s) or trouble
        return self._report(self._alarm() or trouble)

    async def _traded(self) -> RebalancerError | None:
        """Trade; what stopped it, once orders have been sent.

        Raises:
            RebalancerError: it was stopped before.
        """
        try:
            await self._trade()
            require_known(self._planned.account.account_id, self._docket, self._gate)
        except RebalancerError as error:
            if not self._docket.orders:
                raise
            if isinstance(error, LOOKED_INTO):
                return error
            return await self._wind_down(link_s=self._patience.link_s) or error
        return None

    async def _trade(self) -> None:
        await self._gate.resume()
        await self._gate.listen(self._docket, within_s=0)  # after an interruption nobody knew of, nothing would be sent
        plan = self._planned.plan
        sales = [trade for trade in plan.trades if trade.side is Side.SELL]
        purchases = [trade for trade in plan.trades if trade.side is Side.BUY]
        await self._preview(plan.trades)
        await look_before_sending(self._planned, self._gate, ledger=self._ledger)
        await self._send(self._intents(sales, self._planned.snapshot))
        if purchases:
            self._require_clear_sight()
            await self._buy(purchases)

    async def _buy(self, purchases: Sequence[Trade]) -> None:
        """Send what can be paid of the purchases; of those refused for lack of funds, and proven dead, smaller ones,
        once."""
        await self._send(self._intents(*await self._affordable(purchases)))
        smaller = [less for trade in purchases if (less := self._left_of(trade)) is not None]
        if not smaller:
            return
        self._require_clear_sight()
        self._warn("orders.shrink", f"{len(smaller)} purchases were refused for lack of funds; sending smaller ones")
        await self._send(self._intents(*await self._affordable(smaller), attempt=2))

    def _left_of(self, purchase: Trade) -> Trade | None:
        """What is tried again of a purchase whose order was refused for lack of funds, beside what that has filled."""
        for order in self._docket.orders:
            state = order_state(order)
            is_its = (order.intent.con_id, order.intent.side) == (purchase.con_id, Side.BUY)
            if is_its and lacked_funds(state) and (less := shrunk(order.intent, filled=state.filled)) is not None:
                return replace(purchase, quantity=less.quantity, held=purchase.held + state.filled)
        return None

    async def _affordable(self, purchases: Sequence[Trade]) -> tuple[Sequence[Trade], Snapshot]:
        """What the cash reaches for of these purchases at fresh prices, and those prices."""
        snapshot, cash = await self._seen_before_buying(purchases)
        affordable = plan_purchases(
            replace(self._planned.plan, trades=tuple(purchases)),
            cash=cash,
            available_funds=snapshot.portfolio.balances.available_funds,
            snapshot=snapshot,
            policy=self._planned.account.policy,
        )
        self._adjustments += affordable.adjustments
        return affordable.trades, snapshot

    async def _preview(self, trades: Sequence[Trade]) -> None:
        """Before anything is sent, ask the broker about each purchase of a kind this account has not made before.

        Without any, ask about the first order: whether orders are taken at all. What else the broker has against that
        one it will say to the order itself, which stops no other.
        """
        known = self._ledger.traded(self._planned.account.account_id)
        new = [trade for trade in trades if trade.side is Side.BUY and (trade.con_id, Side.BUY) not in known]
        about = f"{len(new)} new purchases" if new else f"the first of {len(trades)} orders"
        self._step("orders.preview", f"Asking what the broker would say to {about}")
        previews = [self._gate.preview(intent) for intent in self._intents(new or trades[:1], self._planned.snapshot)]
        for answer in await asyncio.gather(*previews, return_exceptions=True):
            if isinstance(answer, Refused) and (not new or speaks_of_funds(answer.message)):
                continue  # the money comes from the sales
            if isinstance(answer, BaseException):
                raise answer

    async def _send(self, intents: Sequence[OrderIntent]) -> None:
        """Send orders and bring them to their end, also when the connection breaks among them."""
        if not intents:
            return
        verb = "Selling" if intents[0].side is Side.SELL else "Buying"
        self._step("orders.send", f"{verb}: {len(intents)} orders")
        lost = False
        try:
            await self._gate.send(intents, self._docket)
        except GatewayUnavailable as trouble:
            lost = True
            self._warn("orders.doubt", f"{trouble.message} Finding out what was sent")
        await settle(self._docket, self._gate, patience=self._patience, lost=lost, fill_s=self._patience.fill_s)

    def _intents(self, trades: Sequence[Trade], snapshot: Snapshot, *, attempt: int = 1) -> tuple[OrderIntent, ...]:
        return order_intents(
            trades,
            plan=self._planned.plan,
            snapshot=snapshot,
            policy=self._planned.account.policy,
            run_id=self._start.run_id,
            client_id=self._gate.session.desk.client_id,
            attempt=attempt,
        )

    async def _seen_before_buying(self, purchases: Sequence[Trade]) -> tuple[Snapshot, Mapping[str, Decimal]]:
        """As `_money_and_prices`; a connection that broke meanwhile is found again, once, and all orders looked at."""
        try:
            await self._gate.listen(self._docket, within_s=0)
            return await self._money_and_prices(purchases)
        except GatewayUnavailable as trouble:
            self._warn("orders.delay", f"{trouble.message} The purchases wait for the gateway")
        await self._gate.reconnect(within_s=self._patience.link_s)
        await self._gate.look(self._docket)
        self._require_clear_sight()
        return await self._money_and_prices(purchases)

    async def _money_and_prices(self, purchases: Sequence[Trade]) -> tuple[Snapshot, Mapping[str, Decimal]]:
        """Holdings, money and then prices for the purchases, all fresh, and the cash of each currency by the ledger.

        The broker's cash is compared with the ledger of all of it; what was owed before anything was sent is taken off.

        Raises:
            Refused: the broker's cash does not come to agree with the ledger (`CASH_DISAGREES`).
        """
        snapshot, market = self._planned.snapshot, self._gate.session.market
        portfolio, moved = await self._portfolio_as_counted()
        own = snapshot.portfolio.cash_to_invest([line.currency for line in self._planned.plan.cash_by_currency])
        contracts = [snapshot.contracts[trade.con_id] for trade in purchases]
        self._step("quotes.request", f"Asking for {len(contracts)} fresh quotes")
        taken_at, answers = await asyncio.gather(market.server_time(), market.quotes(contracts))
        fresh = replace(
            snapshot,
            portfolio=portfolio,
            quotes={con_id: answer for con_id, answer in answers.items() if isinstance(answer, Quote)},
            unquoted={con_id: answer for con_id, answer in answers.items() if isinstance(answer, NoQuote)},
            taken_at=taken_at,
            assembled_at=self._clock.now(),
        )
        return fresh, {currency: amount + moved.get(currency, ZERO) for currency, amount in own.items()}

    async def _portfolio_as_counted(self) -> tuple[Portfolio, Mapping[str, Decimal]]:
        """The portfolio, once its cash shows what has been filled, and by how much that has moved each currency's."""
        now = asyncio.get_running_loop().time
        until = now() + self._patience.funds_s
        account, before = self._planned.account.account_id, self._planned.snapshot.portfolio.balances
        has_looked = False
        while True:
            portfolio = await self._gate.session.market.portfolio(account)
            counted = self._counted()
            if counted is not None and not disagreeing(counted, portfolio.balances):
                return portfolio, {c: amount - before.cash.get(c, ZERO) for c, amount in counted.items()}
            if now() >= until:
                raise cash_disagrees(counted, portfolio.balances)
            await self._gate.listen(self._docket, within_s=POLL_S)
            if self._counted() is None and not has_looked:
                has_looked = True
                await self._gate.look(self._docket)
                self._require_clear_sight()

    def _counted(self) -> Mapping[str, Decimal] | None:
        """The cash by our own count, of the currencies traded in and the account's; None while a price is not told."""
        before, trades = self._planned.snapshot.portfolio.balances, self._planned.plan.trades
        states = [(order, order_state(order)) for order in self._docket.orders]
        traded = dict.fromkeys((before.currency, *(trade.currency for trade in trades)))
        return cash_after_fills({currency: before.cash.get(currency, ZERO) for currency in traded}, states)

    def _require_clear_sight(self) -> None:
        """Check that nothing is in doubt before more is sent.

        Raises:
            UnknownOutcome: an order has no proven end, or more came of it than was asked.
            Refused: too many orders were rejected (`LIMIT_MAX_REJECTS`).
        """
        account = self._planned.account
        require_known(account.account_id, self._docket, self._gate)
        require_few_rejects([order_state(order) for order in self._docket.orders], account.policy)

    def _alarm(self) -> RebalancerError | None:
        """What came of the orders that never must, however the run has ended; then trading is halted."""
        try:
            self._gate.require_no_alarm(self._docket)
        except RebalancerError as error:
            return error
        return None

    async def _wind_down(self, *, link_s: float) -> RebalancerError | None:
        """Cancel what is open and prove it; what stood in the way of that, if anything did."""
        try:
            await settle(self._docket, self._gate, patience=replace(self._patience, link_s=link_s), fill_s=0)
        except RebalancerError as error:
            return error
        return None

    def _report(self, trouble: RebalancerError | None) -> Report:
        """What came of it, by the broker's evidence."""
        return execution_report(
            self._planned.plan,
            self._start,
            self._docket.orders,
            adjustments=self._adjustments,
            trouble=trouble,
            interrupted=self._was_interrupted,
            ended=self._clock.now(),
        )

    async def _closed(self, trouble: RebalancerError | None) -> RebalancerError | None:
        """What stood in the way, once the books are closed as far as that could be done."""
        if isinstance(trouble, Busy | GatewayUnavailable):
            return trouble
        try:
            await close_books(self._planned, self._docket, self._gate, patience=self._patience)
        except RebalancerError as error:
            return error if trouble is None else both_told(trouble, error)
        return trouble

    def _step(self, event: str, text: str) -> None:
        self._observer.notify(Notice(event=event, text=text, account=self._planned.account.account_id))

    def _warn(self, event: str, text: str) -> None:
        account = self._planned.account.account_id
        self._observer.notify(Notice(event=event, text=text, account=account, severity=Severity.WARNING))


def both_told(trouble: RebalancerError, at_the_end: RebalancerError) -> RebalancerError:
    """What stopped a run, with what was found at its end: positions that nobody expects are the graver news."""
    message = f"{trouble.message} {at_the_end.message}"
    return type(trouble)(trouble.code, message, hint=f"{at_the_end.hint} {trouble.hint}")


def interruption(account: AccountId) -> Deferred:
    """What a run comes to that was told to stop before it had sent anything."""
    text = f"Interrupted before anything was sent for {account}."
    return Deferred(INTERRUPTED, text, hint="Run the command again.")
