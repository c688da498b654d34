"""What a quote is worth to a plan: the prices to sell at, buy at and value at, or why there are none. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum


class DataKind(Enum):
    """How current the gateway says its prices are (`marketDataType` 1 to 4)."""

    LIVE = "live"
    FROZEN = "frozen"
    DELAYED = "delayed"
    DELAYED_FROZEN = "delayed-frozen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One contract's prices in its own currency; a price the gateway did not give is None, never 0 or -1."""

    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    close: Decimal | None
    """Close of the previous session."""
    data: DataKind
    received_at: datetime
    """When bid and ask had both reached us, or without them the price there is; by this machine's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The three prices a plan works with, `bid <= value <= ask`."""

    bid: Decimal
    """A share sold yields this."""
    ask: Decimal
    """A share bought costs this."""
    value: Decimal
    """A share held is worth this: the middle of bid and ask."""
    remark: str | None
    """What a person should know about these prices; None when they are a live bid and ask."""


def prices_of(quote: Quote | None) -> Prices | None:
    """The prices a dry run may plan with, or None when the quote has no usable price.

    Bid and ask if they make a market, else the last price, else the previous close.
    """
    if quote is None:
        return None
    bid, ask = quote.bid, quote.ask
    if bid is not None and ask is not None and 0 < bid <= ask:
        remark = None if quote.data is DataKind.LIVE else f"{quote.data.value} bid and ask"
        return Prices(bid=bid, ask=ask, value=(bid + ask) / 2, remark=remark)
    instead_of = "bid above ask" if bid is not None and ask is not None and bid > ask else "no bid and ask"
    if quote.last is not None and quote.last > 0:
        return _single(quote.last, f"{quote.data.value} last price, {instead_of}")
    if quote.close is not None and quote.close > 0:
        return _single(quote.close, f"previous close, {instead_of} and no last price")
    return None


def _single(price: Decimal, remark: str) -> Prices:
    return Prices(bid=price, ask=price, value=price, remark=remark)
