"""The gateway as a `MarketView`: five questions, each answered whole or not at all, and no way to trade."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import ib_async

from ibkr_rebalancer.core.instruments import ConId, Contract, ContractQuery
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Position
from ibkr_rebalancer.core.quotes import Quote
from ibkr_rebalancer.edges.ibkr.answers import Answer, Question, together
from ibkr_rebalancer.edges.ibkr.codes import UNKNOWN_CONTRACT, explain
from ibkr_rebalancer.edges.ibkr.conversation import MESSAGES_PER_S, Conversation
from ibkr_rebalancer.edges.ibkr.listener import updates_of
from ibkr_rebalancer.edges.ibkr.translate import (
    contract_of,
    has_all_prices,
    portfolio_of,
    position_of,
    priced_contract,
    quote_of,
    rows_of,
    wanted_contract,
)
from ibkr_rebalancer.edges.ibkr.wire import Wire
from ibkr_rebalancer.ports import Observer

DELAYED_FROZEN = 4
"""The market data type that asks least: live where subscribed, else delayed; the last prices when closed."""

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
        self, conversation: Conversation[Wire], *, observer: Observer, answer_s: float, quotes_s: float
    ) -> None:
        """`answer_s` and `quotes_s` are the deadlines of one answer, and of one batch of quotes."""
        self._conversation = conversation
        self._observer = observer
        self._answer_s = answer_s
        self._quotes_s = quotes_s

    @property
    def is_of_use(self) -> bool:
        """Whether another question may yet be answered here; if not, it takes a new connection."""
        return self._conversation.is_of_use

    async def server_time(self) -> datetime:
        """The gateway's clock, aware UTC, to the second."""
        rows = await self._conversation.ask(TIME, deadline_s=self._answer_s)
        return rows_of(datetime, rows)[-1]

    async def managed_accounts(self) -> tuple[AccountId, ...]:
        """The accounts that this login may see, as told when the session started."""
        return tuple(AccountId(account) for account in self._conversation.accounts)

    async def positions(self) -> tuple[Position, ...]:
        """The holdings of all managed accounts."""
        rows = await self._conversation.ask(POSITIONS, deadline_s=self._answer_s)
        listed = {(row.account, row.contract.conId): row for row in rows_of(ib_async.Position, rows)}
        return tuple(position_of(row) for row in listed.values() if row.position)

    async def portfolio(self, account: AccountId) -> Portfolio:
        """Balances and marked holdings of one account."""
        question: Question[Wire] = Question(
            kind=updates_of(account),
            about=f"the portfolio of {account}",
            send=lambda wire: wire.reqAccountUpdates(True, account),
            stop=lambda wire: wire.reqAccountUpdates(False, account),
        )
        rows = await self._conversation.ask(question, deadline_s=self._answer_s)
        return portfolio_of(account, rows)

    async def contracts(self, queries: Sequence[ContractQuery]) -> Mapping[ContractQuery, Sequence[Contract]]:
        """Every contract that fits each query, asked for all together; an unknown symbol has none."""
        asked = list(dict.fromkeys(queries))
        deadline_s = self._answer_s + len(asked) / MESSAGES_PER_S
        found = await together([self._candidates(query, deadline_s) for query in asked])
        return dict(zip(asked, found, strict=True))

    async def quotes(self, contracts: Sequence[Contract]) -> Mapping[ConId, Quote]:
        """Fresh prices of all these contracts in one batch; a contract without any price is missing, and told.

        The gateway ends a snapshot late, up to eleven seconds, where a price is missing; what has come by the
        deadline counts.
        """
        asked = {contract.con_id: contract for contract in contracts}
        if not asked:
            return {}
        self._conversation.tell(lambda wire: wire.reqMarketDataType(DELAYED_FROZEN), about="the quotes")
        deadline_s = self._quotes_s + len(asked) / MESSAGES_PER_S
        answers = await together([self._prices(contract, deadline_s) for contract in asked.values()])
        if not any(answer.finished or answer.rows for answer in answers):
            self._conversation.whole(answers[0], about=f"any of {len(asked)} quotes", deadline_s=deadline_s)
        if not all(answer.finished for answer in answers):
            await self._require_talking(about=f"the last of {len(asked)} quotes")
        quotes: dict[ConId, Quote] = {}
        missing: dict[str, list[str]] = {}
        for contract, answer in zip(asked.values(), answers, strict=True):
            quote = quote_of(answer.rows) if answer.refusal is None else None
            if quote is None:
                missing.setdefault(self._reason(answer), []).append(contract.symbol)
            else:
                quotes[contract.con_id] = quote
        self._tell_missing(missing)
        return quotes

    async def _require_talking(self, *, about: str) -> None:
        """Tell a gateway that has no price from one that says nothing at all any more: the clock always answers."""
        await self._conversation.ask(replace(TIME, about=about), deadline_s=self._answer_s)

    async def _candidates(self, query: ContractQuery, deadline_s: float) -> tuple[Contract, ...]:
        about = f"the contract of {query.symbol}"
        wanted = wanted_contract(query)

        def send(wire: Wire, number: int) -> None:
            wire.reqContractDetails(number, wanted)

        answer = await self._conversation.ask_numbered(send, about=about, deadline_s=deadline_s)
        if answer.refusal is not None and answer.refusal.code == UNKNOWN_CONTRACT:
            return ()
        rows = self._conversation.whole(answer, about=about, deadline_s=deadline_s)
        return tuple(contract_of(details) for details in rows_of(ib_async.ContractDetails, rows))

    async def _prices(self, contract: Contract, deadline_s: float) -> Answer:
        wanted = priced_contract(contract)

        def send(wire: Wire, number: int) -> None:
            wire.reqMktData(number, wanted, "", True, False, [])

        return await self._conversation.ask_numbered(
            send, about=f"the quote of {contract.symbol}", deadline_s=deadline_s, suffices=has_all_prices
        )

    def _reason(self, answer: Answer) -> str:
        """Why an answer holds no price."""
        if answer.refusal is not None:
            code = explain(answer.refusal.code)
            return f"{code.meaning} (code {answer.refusal.code}). {code.remedy}"
        if self._conversation.broken_farms:
            return f"the gateway reports broken data farms: {', '.join(sorted(self._conversation.broken_farms))}."
        return "the gateway has none." if answer.finished else "the gateway sent none in time."

    def _tell_missing(self, missing: Mapping[str, Sequence[str]]) -> None:
        for reason, symbols in missing.items():
            text = f"No price for {', '.join(symbols)}: {reason}"
            self._observer.notify(Notice(event="quotes.missing", text=text, severity=Severity.WARNING))
