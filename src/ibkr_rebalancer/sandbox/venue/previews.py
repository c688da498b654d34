"""The answer to a what-if: what an order would change if it filled at once. Pure."""

from collections.abc import Iterable
from decimal import Decimal

from ibkr_rebalancer.sandbox.venue.accounts import Account, account_values, traded
from ibkr_rebalancer.sandbox.venue.admission import estimated_price, objection_to
from ibkr_rebalancer.sandbox.venue.faults import OrderFault, of
from ibkr_rebalancer.sandbox.venue.fills import commission
from ibkr_rebalancer.sandbox.venue.market import Market
from ibkr_rebalancer.sandbox.venue.orders import Complained, Order, Preview, Ticket
from ibkr_rebalancer.sandbox.venue.scenario import Scenario


def preview(
    ticket: Ticket, scenario: Scenario, working: Iterable[Order], faults: tuple[OrderFault, ...]
) -> Preview | Complained:
    """What a well-formed order would do to the account, or why it would be refused."""
    objection = objection_to(ticket, scenario, working, faults)
    if objection is not None:
        return ticket.complaint(objection.code, objection.text)
    listing, account = scenario.market.listings[ticket.con_id], scenario.accounts[ticket.account]
    price = estimated_price(ticket, listing)
    charge = commission(ticket.quantity, ticket.quantity * price * listing.contract.units, scenario.fills_of(listing))
    after = traded(account, listing, ticket.signed(ticket.quantity), price, charge)
    margin, equity = _margin_and_equity(account, scenario.market)
    margin_after, equity_after = _margin_and_equity(after, scenario.market)
    return Preview(
        commission=charge,
        initial_margin_before=margin,
        initial_margin_change=margin_after - margin,
        equity_before=equity,
        equity_change=equity_after - equity,
        warning=" ".join(str(fault.parameters.get("text", "")) for fault in of(faults, "warn")),
    )


def _margin_and_equity(account: Account, market: Market) -> tuple[Decimal, Decimal]:
    """In the account's currency."""
    values = {row.key: row.value for row in account_values(account, market) if row.currency == account.currency}
    return Decimal(values["InitMarginReq"]), Decimal(values["EquityWithLoanValue"])
