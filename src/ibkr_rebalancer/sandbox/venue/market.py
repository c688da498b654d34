"""Contracts, their quotes and the rates between currencies. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from ibkr_rebalancer.sandbox.venue.hours import Hours, is_open

Data = Literal["live", "delayed", "frozen", "none"]
"""What the client is subscribed to; `frozen` shows the last session's prices to those who ask for them."""

SMART_VENUES = (
    "AMEX",
    "NYSE",
    "CBOE",
    "PHLX",
    "ISE",
    "CHX",
    "ARCA",
    "NASDAQ",
    "DRCTEDGE",
    "BEX",
    "BATS",
    "IEX",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    con_id: int
    symbol: str
    sec_type: str = "STK"
    currency: str = "USD"
    primary_exchange: str = "ARCA"
    name: str = ""
    stock_type: str = "ETF"
    last_trade_date: str = ""
    strike: Decimal | None = None
    right: str = ""
    multiplier: Decimal | None = None
    """Shares or units per contract; None where the gateway sends none, which counts as 1."""
    local_symbol: str = ""
    trading_class: str = ""
    isin: str = ""
    min_tick: Decimal = Decimal("0.01")

    @property
    def units(self) -> Decimal:
        return Decimal(1) if self.multiplier is None else self.multiplier


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    close: Decimal | None = None
    """Of the previous session."""
    mark: Decimal | None = None
    """The broker's own valuation, where it differs from the last trade."""
    halted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A contract as it trades here."""

    handle: str
    """Its name in the scenario; several contracts under one handle make the symbol ambiguous."""
    contract: Contract
    quote: Quote
    hours: Hours
    data: Data = "live"
    average_cost: Decimal | None = None
    """Per contract, multiplier included, for positions that state none; None is the mark."""
    fills: Mapping[str, Any] = field(default_factory=dict)
    """What of the venue's `Fills` is otherwise here."""

    @property
    def mark(self) -> Decimal:
        """The broker's valuation: its own mark, else the last trade kept within bid and ask, else the close."""
        quote = self.quote
        if quote.mark is not None:
            return quote.mark
        if quote.last is None:
            return next((price for price in (quote.bid, quote.ask, quote.close) if price is not None), Decimal(0))
        floor = quote.last if quote.bid is None else max(quote.last, quote.bid)
        return floor if quote.ask is None else min(floor, quote.ask)


def data_at(listing: Listing, now: datetime) -> Data:
    """What a subscriber can get at this moment: live data is frozen while the market is closed.

    So the gateway shows the last bid and ask, as type 2, to those who ask for type 2 or 4, and none to the others.
    """
    return "frozen" if listing.data == "live" and not is_open(listing.hours, now) else listing.data


class UnknownRateError(Exception):
    """No rate leads from one currency to the other."""

    def __init__(self, source: str, target: str) -> None:
        super().__init__(f"no rate leads from {source} to {target}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    listings: Mapping[int, Listing]
    """By conId."""
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    """By pair: EURUSD is the price of one EUR in USD."""

    def rate(self, source: str, target: str) -> Decimal:
        """The value of one unit of `source` in `target`: by the pair, its inverse, or both through USD."""
        if source == target:
            return Decimal(1)
        if source + target in self.rates:
            return self.rates[source + target]
        if target + source in self.rates:
            return 1 / self.rates[target + source]
        if "USD" in (source, target):
            raise UnknownRateError(source, target)
        return self.rate(source, "USD") * self.rate("USD", target)

    def find(self, *, exchange: str = "", **wanted: object) -> list[Listing]:
        """The listings that fit a description, by the names of `Contract`; what is empty or 0 fits all."""
        return [
            listing
            for listing in self.listings.values()
            if exchange in {"", *exchanges(listing.contract)}
            and all(not value or getattr(listing.contract, name) == value for name, value in wanted.items())
        ]


def exchanges(contract: Contract) -> list[str]:
    """Where the contract can be routed, SMART and its home exchange first."""
    if contract.sec_type == "CASH":
        return ["IDEALPRO"]
    return list(dict.fromkeys(("SMART", contract.primary_exchange, *SMART_VENUES)))
