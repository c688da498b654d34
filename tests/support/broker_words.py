"""What Interactive Brokers says when it refuses an order, kind by kind: texts that users have reported, shortened."""

from ibkr_rebalancer.core.order_codes import ORDER_CODES, REJECTED, OrderCode

INELIGIBLE = "No Trading Permission, Customer Ineligible; Ineligibility reasons:<br>"

REASONS = {
    "kid": f"{INELIGIBLE}This product does not have a KID in English or in a language approved for your country.",
    "leveraged": f"{INELIGIBLE}Restricted: Must request Complex or Leveraged Exchange-Traded Product permissions.",
    "closing-only": f"{INELIGIBLE}No Opening Trades: Small Cap, Subject to Compliance Restriction",
    "permission": "No Trading Permission",
    "documents": "A valid tax form is required before you may trade.",
    "short": "The account does not hold enough: SHORT STOCK POSITIONS ARE NOT ALLOWED IN A CASH ACCOUNT",
    "both-sides": "Cannot have open orders on both sides of the same contract.",
    "too-many": "There are 15 orders working on this side of the contract.",
    "free-riding": "Your account is restricted due to free-riding.",
    "day-trades": "Your account would be identified as a pattern day trading account.",
    "account": "Your account has been restricted from trading.",
    "price": "We cannot accept an order at the limit price you selected.",
    "size": "The order size is smaller than the round lot.",
    "hours": "Exchange is closed.",
    "halt": "Trading in this contract is halted.",
    "no-data": "No market data on major exchange for market order.",
    "passing": "The system is busy; please try again.",
    "funds": "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN VALUE "
    "[100.00 USD] MUST EXCEED THE INITIAL MARGIN [500.00 USD]",
}
"""Of code 201, after `Order rejected - reason:`."""

CANCELED = "Order Canceled - reason:"
OTHERS = {
    (202, "price"): f"{CANCELED}We cannot accept an order at the limit price you selected.",
    (321, "read-only"): "Error validating request.-'bO' : cause - The API interface is currently in Read-Only mode.",
}

ALSO_SAID = [
    ("kid", f"{INELIGIBLE}Retail clients can trade packaged retail products only if a KID is available."),
    ("closing-only", f"{INELIGIBLE}Only closing orders are permitted in this instrument."),
    ("closing-only", f"{INELIGIBLE}Due to regulatory requirements, this product is in closing-only status."),
    ("permission", f"{INELIGIBLE}Other"),
    ("short", "Available shares are insufficient to short this contract."),
    ("funds", "Your Available Funds are insufficient to cover this order."),
    ("funds", "Cash available: 10.00 USD. Cash needed for this order and other pending orders: 100.00 USD"),
    (
        "funds",
        "MINIMUM OF 2000 USD (OR EQUIVALENT) REQUIRED IN ORDER TO PURCHASE ON MARGIN, SELL SHORT OR TRADE FUTURES",
    ),
    ("funds", "The available funds are insufficient for this order quantity at the limit price."),
    ("documents", "You have not signed the margin agreement."),
    ("", "No such order"),
]
"""Further reasons of code 201, and their kinds."""


def words_of(row: OrderCode) -> str:
    """What the broker says when it means this row."""
    if row.code == REJECTED:
        return f"Order rejected - reason:{REASONS.get(row.kind, '')}"
    return OTHERS.get((row.code, row.kind), f"{CANCELED if row.code == 202 else 'said'} something of {row.code}")


ROWS = {f"{row.code} {row.kind}".strip(): row for row in ORDER_CODES}
