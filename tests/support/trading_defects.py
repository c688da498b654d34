"""Ways to trade wrongly, one each: ports that deceive the product, as if it had the mistake itself.

Each takes the ports of a process, and the world it lives in, and gives them back with its mistake.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar, cast

from tests.support.failpoints import WRITES
from tests.support.trading import intent
from tests.support.world import STOCKS, World

from ibkr_rebalancer.core.errors import GatewayUnavailable, StorageFailed
from ibkr_rebalancer.core.evidence import ErrorTold, StatusTold
from ibkr_rebalancer.core.instruments import STOCK, ConId, Contract, ContractQuery
from ibkr_rebalancer.core.order_book import Heard, OrderBook
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Position
from ibkr_rebalancer.flows.trading import Ports
from ibkr_rebalancer.ports import GatewaySession

Port = TypeVar("Port")
Wrong = Callable[[GatewaySession], dict[str, Any]]
"""Methods that a connection has in place of its own."""


def trades_in_a_dry_run(ports: Ports, _: World) -> Ports:
    """Whoever asks it for quotes has bought a share."""

    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def quotes(contracts: Sequence[Contract]) -> Any:
            await session.desk.place(replace(intent("BUY 1 AAA"), con_id=ConId(STOCKS["AAA"])))
            return await session.market.quotes(contracts)

        return {"quotes": quotes}

    return _seeing(ports, wrong)


def sends_again_on_timeout(ports: Ports, _: World) -> Ports:
    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def place(order: OrderIntent) -> None:
            try:
                await session.desk.place(order)
            except GatewayUnavailable:
                again = await ports.gateway.session(within_s=60)
                await again.desk.place(order)

        return {"place": place}

    return _dealing(ports, wrong)


def writes_after_sending(ports: Ports, _: World) -> Ports:
    """An intent is kept once its order has been placed."""
    waiting: list[OrderIntent] = []

    def intend(*intents: OrderIntent) -> None:
        waiting.extend(intents)

    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def place(order: OrderIntent) -> None:
            await session.desk.place(order)
            ports.ledger.intend(*waiting)
            waiting.clear()

        return {"place": place}

    return replace(_dealing(ports, wrong), ledger=_instead(ports.ledger, intend=intend))


def counts_money_in_floats(ports: Ports, _: World) -> Ports:
    """The limit goes out as a binary fraction."""

    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def place(order: OrderIntent) -> None:
            limit = None if order.limit_price is None else Decimal(float(order.limit_price))
            await session.desk.place(replace(order, limit_price=limit))

        return {"place": place}

    return _dealing(ports, wrong)


def remembers_holdings() -> Callable[[Ports, World], Ports]:
    """What was held first is held for ever."""
    portfolios: dict[str, Any] = {}

    def deceived(ports: Ports, _: World) -> Ports:
        def wrong(session: GatewaySession) -> dict[str, Any]:
            async def positions(accounts: Collection[AccountId]) -> Any:
                return portfolios.setdefault("positions", await session.market.positions(accounts))

            async def portfolio(account: AccountId) -> Any:
                return portfolios.setdefault(account, await session.market.portfolio(account))

            return {"positions": positions, "portfolio": portfolio}

        return _seeing(ports, wrong)

    return deceived


def remembers_prices() -> Callable[[Ports, World], Ports]:
    """What was quoted first is quoted for ever, as if it had just come."""
    quotes: dict[ConId, Any] = {}

    def deceived(ports: Ports, _: World) -> Ports:
        def wrong(session: GatewaySession) -> dict[str, Any]:
            async def quoted(contracts: Sequence[Contract]) -> Any:
                fresh: Any = await session.market.quotes(contracts)
                first = {con_id: quotes.setdefault(con_id, quote) for con_id, quote in fresh.items()}
                return {key: replace(quote, received_at=fresh[key].received_at) for key, quote in first.items()}

            return {"quotes": quoted}

        return _seeing(ports, wrong)

    return deceived


def ignores_a_halt(ports: Ports, _: World) -> Ports:
    return replace(ports, controls=_instead(ports.controls, halted=lambda: None))


def takes_no_lock(ports: Ports, _: World) -> Ports:
    def hold(_: AccountId) -> AbstractContextManager[None]:
        return nullcontext()

    return replace(ports, controls=_instead(ports.controls, hold=hold))


def takes_options_for_stocks(ports: Ports, _: World) -> Ports:
    def stock(position: Position) -> Position:
        return replace(position, security_type=STOCK)

    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def positions(accounts: Collection[AccountId]) -> tuple[Position, ...]:
            return tuple(stock(position) for position in await session.market.positions(accounts))

        async def portfolio(account: AccountId) -> Portfolio:
            seen = await session.market.portfolio(account)
            return replace(seen, holdings=tuple(replace(h, position=stock(h.position)) for h in seen.holdings))

        async def contracts(queries: Sequence[ContractQuery]) -> Any:
            found = await session.market.contracts(queries)
            return {q: [replace(c, security_type=STOCK) for c in cast("Any", listed)] for q, listed in found.items()}

        return {"positions": positions, "portfolio": portfolio, "contracts": contracts}

    return _seeing(ports, wrong)


def keeps_no_targets(ports: Ports, _: World) -> Ports:
    """The document that a plan comes from is not kept with it."""

    def keep_plan(run_id: str, *, document: bytes, **kept: Any) -> None:  # noqa: ARG001 (that is the mistake)
        ports.ledger.keep_plan(run_id, document=b"", **kept)

    return replace(ports, ledger=_instead(ports.ledger, keep_plan=keep_plan))


def plans_otherwise_than_it_keeps(ports: Ports, _: World) -> Ports:
    """As a planner does that is not a function of the facts alone."""

    def keep_plan(run_id: str, *, plan: Plan, **kept: Any) -> None:
        ports.ledger.keep_plan(run_id, plan=replace(plan, turnover=plan.turnover + 1), **kept)

    return replace(ports, ledger=_instead(ports.ledger, keep_plan=keep_plan))


def takes_a_cut_list_for_a_whole_one(ports: Ports, _: World) -> Ports:
    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def positions(accounts: Collection[AccountId]) -> tuple[Position, ...]:
            return tuple(await session.market.positions(accounts))[:-1]

        async def portfolio(account: AccountId) -> Portfolio:
            seen = await session.market.portfolio(account)
            return replace(seen, holdings=seen.holdings[:-1])

        return {"positions": positions, "portfolio": portfolio}

    return _seeing(ports, wrong)


def misses_the_stocks(ports: Ports, _: World) -> Ports:
    """Both lists lose them; what else is held is told."""

    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def positions(accounts: Collection[AccountId]) -> tuple[Position, ...]:
            return tuple(p for p in await session.market.positions(accounts) if p.security_type != STOCK)

        async def portfolio(account: AccountId) -> Portfolio:
            seen = await session.market.portfolio(account)
            return replace(seen, holdings=tuple(h for h in seen.holdings if not h.is_stock))

        return {"positions": positions, "portfolio": portfolio}

    return _seeing(ports, wrong)


def cancels_everything(ports: Ports, world: World) -> Ports:
    async def cancel(_: OrderIntent) -> None:
        world.venue.cancel_all(world.clock.now())

    return _dealing(ports, lambda _: {"cancel": cancel})


def forgets_what_it_sent(ports: Ports, _: World) -> Ports:
    """Its counters begin anew with each process."""

    def orders(*_: object, **__: object) -> tuple[()]:
        return ()

    return replace(ports, ledger=_instead(ports.ledger, orders=orders))


def takes_errors_for_cancels(ports: Ports, _: World) -> Ports:
    """As ib_async does."""

    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def heard(account: AccountId, *, within_s: float) -> list[Heard]:
            return [_as_cancelled(one) for one in await session.desk.heard(account, within_s=within_s)]

        return {"heard": heard}

    return _dealing(ports, wrong)


def sees_half_a_book(ports: Ports, _: World) -> Ports:
    """Open orders and executions do not arrive, and nobody misses them."""

    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def order_book(account: AccountId) -> OrderBook:
            return replace(await session.desk.order_book(account), open_orders=(), heard=())

        return {"order_book": order_book}

    return _dealing(ports, wrong)


def loses_purchases(ports: Ports, _: World) -> Ports:
    """They never leave."""

    def wrong(session: GatewaySession) -> dict[str, Any]:
        async def place(order: OrderIntent) -> None:
            if order.side is Side.SELL:
                await session.desk.place(order)

        return {"place": place}

    return _dealing(ports, wrong)


def overlooks_a_full_disk(ports: Ports, _: World) -> Ports:
    def overlooking(write: Callable[..., None]) -> Callable[..., None]:
        def written(*arguments: Any, **named: Any) -> None:
            with suppress(StorageFailed):
                write(*arguments, **named)

        return written

    writes = {name: overlooking(getattr(ports.ledger, name)) for name in WRITES}
    return replace(ports, ledger=_instead(ports.ledger, **writes))


def _as_cancelled(heard: Heard) -> Heard:
    if not isinstance(heard.evidence, ErrorTold):
        return heard
    cancelled = StatusTold(at=heard.evidence.at, status="Cancelled", filled=None, perm_id=0, why_held="")
    return replace(heard, evidence=cancelled)


class _Instead:
    def __init__(self, port: object, methods: dict[str, Any]) -> None:
        self._port = port
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods[name] if name in self._methods else getattr(self._port, name)


def _instead(port: Port, **methods: Any) -> Port:
    """The port with these methods in place of its own."""
    return cast("Port", _Instead(port, methods))


def _dealing(ports: Ports, wrong: Wrong) -> Ports:
    """With another desk on every connection."""
    return _connected(ports, lambda session: replace(session, desk=_instead(session.desk, **wrong(session))))


def _seeing(ports: Ports, wrong: Wrong) -> Ports:
    """With another view of the market on every connection."""
    return _connected(ports, lambda session: replace(session, market=_instead(session.market, **wrong(session))))


def _connected(ports: Ports, change: Callable[[GatewaySession], GatewaySession]) -> Ports:
    async def session(real: Callable[..., Awaitable[GatewaySession]], *, within_s: float) -> GatewaySession:
        return change(await real(within_s=within_s))

    return replace(ports, gateway=_instead(ports.gateway, session=partial(session, ports.gateway.session)))
