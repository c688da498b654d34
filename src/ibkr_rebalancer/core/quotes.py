"""What a quote is worth to a plan: the prices to sell at, buy at and value at, or why there are none. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum

MARKET_SPREAD = Decimal("0.10")
"""Of the middle: a bid and an ask further apart are no market, but somebody's stub."""


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
    is_halted: bool
    """Whether the gateway says that trading is halted; where all is well it need not say anything."""
    received_at: datetime
    """When the price that is used had reached us, of bid and ask the later one; by this machine's clock."""

    @property
    def is_full(self) -> bool:
        """Whether there is all that a plan asks for: a market, and the previous close to measure it by."""
        return market_flaw(self.bid, self.ask) is None and self.close is not None

    def age_s(self, at: datetime) -> Decimal:
        """Seconds since we received it."""
        return Decimal(str((at - self.received_at).total_seconds()))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NoQuote:
    """Why a contract has no price."""

    reason: str
    """How a sentence ends, with the gateway's code if it gave one."""
    remedy: str
    """What a person can do about it: a sentence in the imperative."""

    def __str__(self) -> str:
        return f"{self.reason}. {self.remedy}"


def converted(prices: Prices, rate: Decimal) -> Prices:
    """The same prices in another currency, of which a unit of theirs is worth `rate`."""
    return replace(prices, bid=prices.bid * rate, ask=prices.ask * rate, value=prices.value * rate)


def prices_of(quote: Quote | None) -> Prices | None:
    """The prices a dry run may plan with, or None when the quote has no usable price.

    Bid and ask if they make a market, else the last price, else the previous close.
    """
    if quote is None:
        return None
    bid, ask = quote.bid, quote.ask
    flaw = market_flaw(bid, ask)
    if bid is not None and ask is not None and flaw is None:
        remark = None if quote.data is DataKind.LIVE else f"{quote.data.value} bid and ask"
        return Prices(bid=bid, ask=ask, value=(bid + ask) / 2, remark=remark)
    if quote.last is not None and quote.last > 0:
        return _single(quote.last, f"{quote.data.value} last price, for want of a market ({flaw})")
    if quote.close is not None and quote.close > 0:
        return _single(quote.close, f"the previous close, for want of a market ({flaw}) and a last price")
    return None


def market_flaw(bid: Decimal | None, ask: Decimal | None) -> str | None:
    """Why these are no market to trade in, or None if they are one."""
    if bid is None or ask is None or bid <= 0:
        return "no bid and ask"
    if bid > ask:
        return "bid above ask"
    if ask - bid > MARKET_SPREAD * (bid + ask) / 2:
        return f"bid {bid} and ask {ask} more than {MARKET_SPREAD:.0%} apart"
    return None


def unpriced(quote: Quote | None) -> NoQuote:
    """Why a quote has no usable price, where the gateway gave no reason."""
    flaw = market_flaw(quote.bid, quote.ask) if quote else market_flaw(None, None)
    return NoQuote(
        reason=f"the gateway gave {flaw}, no last price and no previous close",
        remedy="Check the market data subscription of this user (also that no other session holds it), "
        "and run the command again.",
    )


def _single(price: Decimal, remark: str) -> Prices:
    return Prices(bid=price, ask=price, value=price, remark=remark)
