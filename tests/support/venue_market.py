"""The sandbox's venue as a `MarketView`: one simulator, two transports, and this one has no sockets.

It asks the venue's values directly and writes down what it was asked, so that flows can be tested, and the real
gateway edge compared with it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tests.support.sandbox import scenario_with

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.hours import parse_liquid_hours
from ibkr_rebalancer.core.instruments import STOCK, ConId, Contract, ContractQuery
from ibkr_rebalancer.core.portfolio import AccountId, Balances, Holding, Portfolio, Position
from ibkr_rebalancer.core.quotes import DataKind, NoQuote, Quote, unpriced
from ibkr_rebalancer.edges.ibkr.codes import explain
from ibkr_rebalancer.ports import Clock
from ibkr_rebalancer.sandbox.venue.accounts import PortfolioRow, account_values, portfolio
from ibkr_rebalancer.sandbox.venue.hours import liquid_hours
from ibkr_rebalancer.sandbox.venue.market import Listing, data_at
from ibkr_rebalancer.sandbox.venue.scenario import Scenario
from ibkr_rebalancer.sandbox.venue.venue import Venue

DATA_KINDS = {"live": DataKind.LIVE, "frozen": DataKind.FROZEN, "delayed": DataKind.DELAYED}
"""What a client that takes everything is shown."""
NOT_SUBSCRIBED = 354
"""What the gateway answers where a scenario says `data: none`."""

Meanwhile = Mapping[str, Callable[[], None]]
"""By question: what happens once it is answered; it may raise, and then there is no answer."""


class WoundClock:
    """A clock that goes on only by hand."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class VenueMarket:
    """The venue, to be looked at; `asked` has every question with its argument, in order."""

    def __init__(
        self, venue: Venue, *, clock: Clock, ours: Clock | None = None, meanwhile: Meanwhile | None = None
    ) -> None:
        """`ours` is this machine's clock, if it is not the gateway's."""
        self.asked: list[tuple[str, object]] = []
        self._venue = venue
        self._clock = clock
        self._ours = ours or clock
        self._meanwhile = meanwhile or {}

    async def server_time(self) -> datetime:
        self._note("server_time")
        return self._time

    async def managed_accounts(self) -> tuple[AccountId, ...]:
        accounts = tuple(AccountId(name) for name in self._scenario.accounts)
        self._note("managed_accounts")
        return accounts

    async def positions(self, accounts: Collection[AccountId]) -> tuple[Position, ...]:
        listed = tuple(
            _position(AccountId(name), row)
            for name, account in self._scenario.accounts.items()
            if name in accounts
            for row in portfolio(account, self._scenario.market)
            if row.quantity
        )
        self._note("positions")
        return listed

    async def portfolio(self, account: AccountId) -> Portfolio:
        held = self._scenario.accounts[account]
        rows = portfolio(held, self._scenario.market)
        figures = {(v.key, v.currency): v.value for v in account_values(held, self._scenario.market)}
        self._note("portfolio", account)
        return Portfolio(
            account=account,
            balances=_balances(held.currency, figures),
            holdings=tuple(_holding(account, row) for row in rows if row.quantity),
        )

    async def contracts(
        self, queries: Sequence[ContractQuery]
    ) -> Mapping[ContractQuery, Sequence[Contract] | RebalancerError]:
        found: dict[ContractQuery, Sequence[Contract] | RebalancerError] = {
            query: [_contract(listing, self._time) for listing in self._fitting(query)] for query in queries
        }
        self._note("contracts", tuple(queries))
        return found

    async def quotes(self, contracts: Sequence[Contract]) -> Mapping[ConId, Quote | NoQuote]:
        listings = self._scenario.market.listings
        quotes = {contract.con_id: self._quote(listings[contract.con_id]) for contract in contracts}
        self._note("quotes", tuple(contracts))
        return quotes

    @property
    def _scenario(self) -> Scenario:
        return self._venue.told

    @property
    def _time(self) -> datetime:
        return self._scenario.clock or self._clock.now()

    def _note(self, question: str, argument: object = None) -> None:
        self.asked.append((question, argument))
        self._meanwhile.get(question, lambda: None)()

    def _fitting(self, query: ContractQuery) -> list[Listing]:
        if query.con_id is not None:
            return self._scenario.market.find(con_id=query.con_id)
        return self._scenario.market.find(
            sec_type=STOCK,
            symbol=query.symbol,
            exchange=query.exchange,
            currency=query.currency,
            primary_exchange=query.primary_exchange,
        )

    def _quote(self, listing: Listing) -> Quote | NoQuote:
        given = listing.quote
        bid, ask, last, close = map(_price, (given.bid, given.ask, given.last, given.close))
        if listing.data == "none":
            code = explain(NOT_SUBSCRIBED)
            return NoQuote(reason=f"{code.meaning} (code {NOT_SUBSCRIBED})", remedy=code.remedy)
        if not (bid or ask or last or close):
            return unpriced(None)
        data = DATA_KINDS[data_at(listing, self._time)]
        return Quote(
            bid=bid, ask=ask, last=last, close=close, data=data, is_halted=given.halted, received_at=self._ours.now()
        )


def venue_with(**overlay: object) -> Venue:
    """A venue in the base scenario with this laid over it."""
    return Venue(scenario_with(**overlay))


def _price(price: Decimal | None) -> Decimal | None:
    return price if price is not None and price > 0 else None


def _contract(listing: Listing, now: datetime) -> Contract:
    described = listing.contract
    return Contract(
        con_id=ConId(described.con_id),
        symbol=described.symbol,
        security_type=described.sec_type,
        currency=described.currency,
        primary_exchange=described.primary_exchange,
        name=described.name,
        tick_size=described.min_tick,
        price_magnifier=1,
        sessions=parse_liquid_hours(liquid_hours(listing.hours, now), time_zone=listing.hours.zone),
    )


def _position(account: AccountId, row: PortfolioRow) -> Position:
    described = row.listing.contract
    return Position(
        account=account,
        con_id=ConId(described.con_id),
        symbol=described.symbol,
        security_type=described.sec_type,
        currency=described.currency,
        quantity=row.quantity,
        average_cost=row.average_cost,
    )


def _holding(account: AccountId, row: PortfolioRow) -> Holding:
    return Holding(
        position=_position(account, row),
        primary_exchange=row.listing.contract.primary_exchange,
        market_price=row.listing.mark,
        market_value=row.market_value,
        unrealized_pnl=row.unrealized,
    )


def _balances(currency: str, figures: Mapping[tuple[str, str], str]) -> Balances:
    return Balances(
        account_type=figures["AccountType", ""],
        currency=currency,
        net_liquidation=Decimal(figures["NetLiquidation", currency]),
        total_cash=Decimal(figures["TotalCashValue", currency]),
        settled_cash=Decimal(figures["SettledCash", currency]),
        available_funds=Decimal(figures["AvailableFunds", currency]),
        cash={of: Decimal(text) for (key, of), text in figures.items() if key == "CashBalance" and of != "BASE"},
        exchange_rates={
            of: Decimal(text) for (key, of), text in figures.items() if key == "ExchangeRate" and of != "BASE"
        },
        stock_market_value=Decimal(figures["StockMarketValue", "BASE"]),
        buying_power=Decimal(figures["BuyingPower", currency]),
    )
