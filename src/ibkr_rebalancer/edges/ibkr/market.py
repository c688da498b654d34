"""The gateway as a `MarketView`: five questions, each answered whole or not at all, and no way to trade."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import ib_async

from ibkr_rebalancer.core.errors import GatewayRefused, GatewayUnavailable, RebalancerError
from ibkr_rebalancer.core.instruments import ConId, Contract, ContractQuery
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Position
from ibkr_rebalancer.core.quotes import NoQuote, Quote, unpriced
from ibkr_rebalancer.edges.ibkr.answers import Answer, Question, together
from ibkr_rebalancer.edges.ibkr.codes import UNKNOWN_CONTRACT, explain
from ibkr_rebalancer.edges.ibkr.conversation import Conversation
from ibkr_rebalancer.edges.ibkr.listener import updates_of
from ibkr_rebalancer.edges.ibkr.translate import (
    contract_of,
    has_all_prices,
    portfolio_of,
    position_of,
    priced_contract,
    quote_of,
    rows_of,
    tells_of_halts,
    wanted_contract,
)
from ibkr_rebalancer.edges.ibkr.wire import Wire
from ibkr_rebalancer.ports import Observer

DELAYED_FROZEN = 4
"""The market data type that asks least: live where subscribed, else delayed; the last prices when closed."""
QUOTES_AT_ONCE = 90
"""Of the 100 market data lines that a user has by default; the rest is left to others."""

HALT_LULL_S = 0.1
"""After its prices, for the gateway to say that trading in a contract is halted; what is not need not be told."""

TIME: Question[Wire] = Question(kind="time", about="the gateway's clock", send=lambda wire: wire.reqCurrentTime())
POSITIONS: Question[Wire] = Question(
    kind="positions",
    about="the position list",
    send=lambda wire: wire.reqPositions(),
    stop=lambda wire: wire.cancelPositions(),
)


class GatewayMarket:
    """A connected gateway, for looking."""

    def __init__(
        self, conversation: Conversation[Wire], *, observer: Observer, answer_s: float, life_s: float, quotes_s: float
    ) -> None:
        """Deadlines: `answer_s` of one answer, `life_s` of a sign of life after one that did not come, and `quotes_s`
        of one batch of quotes.
        """
        self._conversation = conversation
        self._observer = observer
        self._answer_s = answer_s
        self._life_s = life_s
        self._quotes_s = quotes_s
        self._lines = asyncio.Semaphore(QUOTES_AT_ONCE)

    @property
    def is_of_use(self) -> bool:
        """Whether another question may yet be answered here; if not, it takes a new connection."""
        return self._conversation.is_of_use

    @property
    def is_at_work(self) -> bool:
        """Whether it is of use at least to those who are in the middle of something here."""
        return self._conversation.is_at_work

    async def server_time(self) -> datetime:
        """The gateway's clock, aware UTC, to the second; sooner or not at all while an earlier answer is owed."""
        deadline_s = self._answer_s if self.is_of_use else self._life_s
        rows = await self._conversation.ask(TIME, deadline_s=deadline_s)
        return rows_of(datetime, rows)[-1]

    async def managed_accounts(self) -> tuple[AccountId, ...]:
        """The accounts that this login may see, as told when the session started."""
        return tuple(AccountId(account) for account in self._conversation.accounts)

    async def positions(self, accounts: Collection[AccountId]) -> tuple[Position, ...]:
        """The holdings of these accounts; the gateway lists those of all that it manages."""
        rows = await self._conversation.ask(POSITIONS, deadline_s=self._answer_s)
        ours = [row for row in rows_of(ib_async.Position, rows) if row.account in accounts]
        listed = {(row.account, row.contract.conId): row for row in ours}
        return tuple(position_of(row) for row in listed.values() if row.position)

    async def portfolio(self, account: AccountId) -> Portfolio:
        """Balances and marked holdings of one account."""
        question: Question[Wire] = Question(
            kind=updates_of(account),
            about=f"the portfolio of {account}",
            send=lambda wire: wire.reqAccountUpdates(True, account),
            stop=lambda wire: wire.reqAccountUpdates(False, account),
            shares="the one subscription to account updates",
        )
        rows = await self._conversation.ask(question, deadline_s=self._answer_s)
        return portfolio_of(account, rows)

    async def contracts(
        self, queries: Sequence[ContractQuery]
    ) -> Mapping[ContractQuery, Sequence[Contract] | RebalancerError]:
        """Every contract that fits each query, asked for all together, or why a query has no answer.

        An unknown symbol has no contract. A lookup that the gateway refuses or leaves unanswered, while it goes on
        answering others, concerns only those who need that contract.
        """
        asked = list(dict.fromkeys(queries))
        answers = await together([self._lookup(query) for query in asked])
        unanswered = [query for query, answer in zip(asked, answers, strict=True) if not answer.finished]
        if unanswered:
            await self._require_talking(about=_contract_of(unanswered[0]))
        return {query: self._candidates(query, answer) for query, answer in zip(asked, answers, strict=True)}

    async def quotes(self, contracts: Sequence[Contract]) -> Mapping[ConId, Quote | NoQuote]:
        """Fresh prices of all these contracts in one batch; where one has none, why, which is told too.

        The gateway ends a snapshot late, up to eleven seconds, where a price is missing; what has come by the
        deadline counts, which runs from when a question has left; each waits for a free market data line.
        """
        asked = {contract.con_id: contract for contract in contracts}
        if not asked:
            return {}
        self._conversation.tell(lambda wire: wire.reqMarketDataType(DELAYED_FROZEN), about="the quotes")
        answers = await together([self._prices(contract) for contract in asked.values()])
        if not any(answer.finished or answer.rows for answer in answers):
            self._conversation.whole(answers[0], about=f"any of {len(asked)} quotes", deadline_s=self._quotes_s)
        if not all(answer.finished for answer in answers):
            await self._require_talking(about=f"the last of {len(asked)} quotes")
        quotes = [self._quote(answer) for answer in answers]
        self._tell_missing([contract.symbol for contract in asked.values()], quotes)
        return dict(zip(asked, quotes, strict=True))

    async def _require_talking(self, *, about: str) -> None:
        """Tell a gateway that has no price from one that says nothing at all any more: the clock always answers."""
        await self._conversation.ask(replace(TIME, about=about), deadline_s=self._life_s)

    async def _lookup(self, query: ContractQuery) -> Answer:
        wanted = wanted_contract(query)

        def send(wire: Wire, number: int) -> None:
            wire.reqContractDetails(number, wanted)

        return await self._conversation.ask_numbered(send, about=_contract_of(query), deadline_s=self._answer_s)

    def _candidates(self, query: ContractQuery, answer: Answer) -> tuple[Contract, ...] | RebalancerError:
        if answer.refusal is not None and answer.refusal.code == UNKNOWN_CONTRACT:
            return ()
        try:
            rows = self._conversation.whole(answer, about=_contract_of(query), deadline_s=self._answer_s)
            return tuple(contract_of(details) for details in rows_of(ib_async.ContractDetails, rows))
        except (GatewayUnavailable, GatewayRefused) as error:
            return error

    async def _prices(self, contract: Contract) -> Answer:
        """The prices of one contract, once a market data line is free; the line is free again afterwards."""
        wanted = priced_contract(contract)
        numbers: list[int] = []

        def send(wire: Wire, number: int) -> None:
            numbers.append(number)
            wire.reqMktData(number, wanted, "", True, False, [])

        about = f"the quote of {contract.symbol}"
        async with self._lines:
            answer = await self._conversation.ask_numbered(
                send, about=about, deadline_s=self._quotes_s, suffices=_is_whole, lull_s=_lull_s
            )
            # The gateway itself has not ended these yet; while lines are free, it may do so in its own time.
            if not answer.finished or (self._lines.locked() and has_all_prices(answer.rows)):
                self._conversation.tell(lambda wire: wire.cancelMktData(numbers[0]), about=about)
            return answer

    def _quote(self, answer: Answer) -> Quote | NoQuote:
        """What the answer says of prices, or why it says nothing."""
        if answer.refusal is not None:
            code = explain(answer.refusal.code, answer.refusal.text)
            return NoQuote(reason=f"{code.meaning} (code {answer.refusal.code})", remedy=code.remedy)
        quote = quote_of(answer.rows)
        if quote is not None:
            return quote
        if self._conversation.broken_farms:
            farms = ", ".join(sorted(self._conversation.broken_farms))
            return NoQuote(
                reason=f"the gateway reports broken data farms: {farms}",
                remedy="Run the command again in a few minutes; if it lasts, restart the gateway.",
            )
        if not answer.finished:
            return NoQuote(reason="the gateway sent no price in time", remedy=unpriced(None).remedy)
        return unpriced(None)

    def _tell_missing(self, symbols: Sequence[str], quotes: Sequence[Quote | NoQuote]) -> None:
        """Tell which have no price, those together that lack it for the same reason."""
        missing: dict[NoQuote, list[str]] = {}
        for symbol, quote in zip(symbols, quotes, strict=True):
            if isinstance(quote, NoQuote):
                missing.setdefault(quote, []).append(symbol)
        for why, unquoted in missing.items():
            text = f"No price for {', '.join(unquoted)}: {why}"
            self._observer.notify(Notice(event="quotes.missing", text=text, severity=Severity.WARNING))


def _contract_of(query: ContractQuery) -> str:
    return f"the contract of {query.symbol}"


def _is_whole(rows: Sequence[object]) -> bool:
    return has_all_prices(rows) and tells_of_halts(rows)


def _lull_s(rows: Sequence[object]) -> float | None:
    return HALT_LULL_S if has_all_prices(rows) else None
