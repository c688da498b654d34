"""How the market fills: when, in how many parts, at what price and at what charge. Pure."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Literal

from ibkr_rebalancer.sandbox.venue.accounts import CENT
from ibkr_rebalancer.sandbox.venue.market import Listing
from ibkr_rebalancer.sandbox.venue.orders import Order, Ticket

FIXED_PER_SHARE, FIXED_MINIMUM = Decimal("0.005"), Decimal("1.00")
TIERED_MINIMUM = Decimal("0.35")
CAP_OF_VALUE = Decimal("0.01")
"""The broker's schedules for shares in the United States; the cap wins over the minimum."""
BASIS_POINT = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    delay_ms: int = 5
    """From an order's arrival to its first part, and from part to part."""
    slices: int = 1
    """Parts of an order, as equal as whole shares allow."""
    slippage_bp: Decimal = Decimal(0)
    """Against the trader, from the ask or bid; never beyond a limit."""
    commission: Literal["fixed", "none"] | Decimal = "fixed"
    """The broker's fixed schedule, nothing, or an amount a share with the minimum and cap of the tiered schedule."""


def trade_price(ticket: Ticket, listing: Listing, fills: Fills) -> Decimal | None:
    """What a share costs or brings in the market just now; None is no market, or none within the limit."""
    quote = listing.quote
    touch = quote.ask if ticket.side == "BUY" else quote.bid
    if quote.halted or touch is None or touch <= 0:
        return None
    limit = ticket.limit_price if ticket.order_type == "LMT" else None
    slipped = _slipped(ticket, touch, fills, listing.contract.min_tick)
    if limit is None:
        return slipped
    if ticket.side == "BUY":
        return min(limit, slipped) if touch <= limit else None
    return max(limit, slipped) if touch >= limit else None


def forced_price(ticket: Ticket, listing: Listing, fills: Fills) -> Decimal:
    """What it trades at whatever the market: at its limit, or the broker's valuation, where there is none."""
    price = trade_price(ticket, listing, fills)
    return next(price for price in (price, ticket.limit_price, listing.mark) if price is not None)


def next_slice(order: Order, fills: Fills) -> Decimal:
    """The shares of the next part of an order."""
    parts = max(1, fills.slices - len(order.executions))
    return (order.remaining / parts).to_integral_value(ROUND_CEILING)


def commission(shares: Decimal, value: Decimal, fills: Fills) -> Decimal:
    """Of a whole order for so many shares at this value, to the cent; a part is charged what it adds."""
    match fills.commission:
        case "none":
            return Decimal(0)
        case "fixed":
            charged = max(FIXED_PER_SHARE * shares, FIXED_MINIMUM)
        case per_share:
            charged = max(per_share * shares, TIERED_MINIMUM)
    return min(charged, CAP_OF_VALUE * value).quantize(CENT, ROUND_HALF_UP)


def _slipped(ticket: Ticket, touch: Decimal, fills: Fills, tick: Decimal) -> Decimal:
    """On the tick grid; a sale brings at least one tick."""
    if not fills.slippage_bp:
        return touch
    slip = touch * fills.slippage_bp * BASIS_POINT
    if ticket.side == "BUY":
        return ((touch + slip) / tick).to_integral_value(ROUND_CEILING) * tick
    return max(((touch - slip) / tick).to_integral_value(ROUND_FLOOR) * tick, tick)
