"""Whether an order is taken: its form by the gateway, what it asks of the account by the broker. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from ibkr_rebalancer.sandbox.venue.accounts import MARGIN_RATE, Account, account_values
from ibkr_rebalancer.sandbox.venue.faults import OrderFault, of
from ibkr_rebalancer.sandbox.venue.fills import commission
from ibkr_rebalancer.sandbox.venue.market import Listing
from ibkr_rebalancer.sandbox.venue.orders import Order, Ticket
from ibkr_rebalancer.sandbox.venue.scenario import Scenario

TRADED = {"STK", "OPT"}
"""Security types that these accounts may trade."""
REJECTION = 201
REJECTED = "Order rejected - reason:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    code: int
    text: str


def malformed(ticket: Ticket, scenario: Scenario) -> Objection | None:
    """What the gateway finds wrong by itself: no order comes of it."""
    listing = scenario.market.listings.get(ticket.con_id)
    if ticket.account not in scenario.accounts:
        cause = f"Invalid account code '{ticket.account}'."
        return Objection(code=321, text=f"Error validating request.-'bS' : cause - {cause}")
    if listing is None:
        return Objection(code=200, text="No security definition has been found for the request")
    if ticket.quantity <= 0:
        return Objection(code=434, text="The order size cannot be zero.")
    if ticket.quantity % 1:
        text = "Fractional-sized order cannot be placed via API. Please use desktop version to place this order."
        return Objection(code=10243, text=text)
    if ticket.order_type == "LMT" and (not ticket.limit_price or ticket.limit_price % listing.contract.min_tick):
        text = "The price does not conform to the minimum price variation for this contract."
        return Objection(code=110, text=text)
    return None


def objection_to(
    ticket: Ticket, scenario: Scenario, working: Iterable[Order], faults: tuple[OrderFault, ...]
) -> Objection | None:
    """Why the broker refuses a well-formed order, beside those it works on already."""
    for fault in of(faults, "reject"):
        text = str(fault.parameters.get("text", REJECTED))
        return Objection(code=int(fault.parameters.get("code", REJECTION)), text=text)
    reasons = (
        _unsupported(ticket, scenario),
        _uncovered(ticket, scenario, working),
        _unfunded(ticket, scenario, working),
    )
    return next((Objection(code=REJECTION, text=REJECTED + reason) for reason in reasons if reason), None)


def estimated_price(ticket: Ticket, listing: Listing) -> Decimal:
    """A share by the limit, or by the price at hand."""
    quote = listing.quote
    touch = quote.ask if ticket.side == "BUY" else quote.bid
    if ticket.order_type == "LMT" and ticket.limit_price is not None:
        return ticket.limit_price
    return listing.mark if touch is None else touch


def _unsupported(ticket: Ticket, scenario: Scenario) -> str:
    sec_type = scenario.market.listings[ticket.con_id].contract.sec_type
    if sec_type not in TRADED:
        return f"No trading permissions for {sec_type}."
    if ticket.order_type not in {"MKT", "LMT"}:
        return f"Order type {ticket.order_type} is not supported for this combination of exchange and security type."
    if ticket.tif not in {"DAY", "GTC"}:
        return f"Invalid time in force {ticket.tif}."
    return ""


def _uncovered(ticket: Ticket, scenario: Scenario, working: Iterable[Order]) -> str:
    """A cash account sells what it holds and has not offered already; a margin account sells short."""
    account = scenario.accounts[ticket.account]
    if account.type == "MARGIN" or ticket.side == "BUY":
        return ""
    held = _held(account, ticket.con_id)
    same = (order for order in working if _alike(order.ticket, ticket))
    offered = sum((order.remaining for order in same), Decimal(0))
    if ticket.quantity + offered <= held:
        return ""
    return f"Short sale is not allowed in a cash account: position {held}, offered {offered + ticket.quantity}."


def _unfunded(ticket: Ticket, scenario: Scenario, working: Iterable[Order]) -> str:
    """In the words of the gateway, to which a cash account's margin is all that it costs."""
    account = scenario.accounts[ticket.account]
    ours = [order for order in working if order.ticket.account == ticket.account]
    currency, equity, margin = (
        _of_cash(ticket, account, scenario, ours)
        if account.type == "CASH"
        else _of_margin(ticket, account, scenario, ours)
    )
    if margin <= equity:
        return ""
    return (
        "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN VALUE "
        f"[{equity:.2f} {currency}] MUST EXCEED THE INITIAL MARGIN [{margin:.2f} {currency}]"
    )


def _of_cash(ticket: Ticket, account: Account, scenario: Scenario, ours: list[Order]) -> tuple[str, Decimal, Decimal]:
    """Cash in the currency of a purchase, and what it costs after those that are under way; a sale costs nothing."""
    currency = _currency(ticket, scenario)
    cash = account.cash.get(currency, Decimal(0))
    if ticket.side == "SELL":
        return currency, cash, cash
    alike = [order for order in ours if _currency(order.ticket, scenario) == currency and order.ticket.side == "BUY"]
    reserved = sum((_cost(order.ticket, order.remaining, scenario) for order in alike), Decimal(0))
    return currency, cash, reserved + _cost(ticket, ticket.quantity, scenario)


def _of_margin(ticket: Ticket, account: Account, scenario: Scenario, ours: list[Order]) -> tuple[str, Decimal, Decimal]:
    """Equity, and the margin once all is filled that opens or adds to a position; what only closes is free."""
    values = {
        row.key: row.value for row in account_values(account, scenario.market) if row.currency == account.currency
    }
    equity, available = Decimal(values["EquityWithLoanValue"]), Decimal(values["AvailableFunds"])
    opened = _opened(ticket, ticket.quantity, account, scenario)
    if not opened:
        return account.currency, equity, equity
    reserved = sum((_opened(order.ticket, order.remaining, account, scenario) for order in ours), Decimal(0))
    return account.currency, equity, equity - available + (opened + reserved) * MARGIN_RATE


def _cost(ticket: Ticket, shares: Decimal, scenario: Scenario) -> Decimal:
    """Of a purchase in a cash account, with its commission and the cushion of a market order."""
    listing = scenario.market.listings[ticket.con_id]
    value = shares * estimated_price(ticket, listing) * listing.contract.units
    cushion = scenario.accounts[ticket.account].market_cushion_pct if ticket.order_type == "MKT" else Decimal(0)
    return value * (1 + cushion / 100) + commission(shares, value, scenario.fills_of(listing))


def _opened(ticket: Ticket, shares: Decimal, account: Account, scenario: Scenario) -> Decimal:
    """The value, in the account's currency, of what goes beyond closing the opposite position."""
    listing = scenario.market.listings[ticket.con_id]
    held = _held(account, ticket.con_id)
    closing = max(-held if ticket.side == "BUY" else held, Decimal(0))
    value = max(shares - closing, Decimal(0)) * estimated_price(ticket, listing) * listing.contract.units
    return value * scenario.market.rate(listing.contract.currency, account.currency)


def _held(account: Account, con_id: int) -> Decimal:
    holding = account.positions.get(con_id)
    return Decimal(0) if holding is None else holding.quantity


def _currency(ticket: Ticket, scenario: Scenario) -> str:
    return scenario.market.listings[ticket.con_id].contract.currency


def _alike(one: Ticket, other: Ticket) -> bool:
    return (one.account, one.con_id, one.side) == (other.account, other.con_id, other.side)
