"""What Interactive Brokers' messages about orders mean, and what a person can do about each. Pure.

One table. Most refusals share a code and differ in the broker's words: a row with words is one kind of its code, and
counts where the text has one of them; the row without words, the last of its code, is all the rest of it. A message
alone proves nothing of an order: see `order_state`.
Source: TWS API, message codes; the texts of kinds as users have reported them.
"""

import re
from dataclasses import dataclass
from enum import Enum


class OrderEffect(Enum):
    """What a message says of its order."""

    REFUSED = "refused"
    """It is not taken."""
    ENDED = "ended"
    """It does not trade any more."""
    LIVES = "lives on"
    """It has a remark, and works."""
    UNCLEAR = "unclear"
    """By this message alone nobody can tell what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCode:
    """A code of a message about an order, or one kind of it."""

    code: int
    kind: str = ""
    """A short name among the rows of the code; empty for the rest of it."""
    words: tuple[str, ...] = ()
    """In small letters: any of them in the broker's text shows that it is of this kind."""
    meaning: str
    """The middle of a sentence."""
    effect: OrderEffect = OrderEffect.REFUSED
    remedy: str
    """What a person can do, in the imperative."""


REJECTED = 201
"""The code of most refusals; the broker's text says of which kind."""
CANCEL_TOLD = 202
"""The code that tells of a cancel: `Order Canceled - reason:`, and then the reason, or nothing."""

LIVES = "Do not send the order again: it lives on."
LOOK = "Look at the order in TWS or Client Portal: the message alone does not say what became of it."
WHOLE = "Report it: only whole shares should have been ordered."
PRESETS = "Raise or clear that limit in the gateway's configuration under Presets, Stocks, Precautionary Settings."
TAKE_OUT = "or take the symbol out of the targets, or put it under exclude: in accounts.yaml if it is held"

FUNDS = OrderCode(
    code=REJECTED,
    kind="funds",
    words=("insufficient", "funds", "margin", "equity with loan", "buying power", "cash available"),
    meaning="the account lacks the money for it",
    remedy="Deposit money, or wait until the proceeds of earlier sales have settled. In a cash account market orders "
    "are taken up to about 95 % of the cash: set order_type: limit, or raise cash_reserve_pct.",
)

ORDER_CODES: tuple[OrderCode, ...] = (
    OrderCode(
        code=REJECTED,
        kind="kid",
        words=("have a kid", "key information document", "priip", "retail client", "packaged retail"),
        meaning="the product has no key information document (KID) that the account holder may be sold it with",
        remedy="Name a UCITS fund, or another one with a KID, in its place: under substitutions: in accounts.yaml or "
        "at the source of the targets. A retail account in the EEA or UK cannot buy this one.",
    ),
    OrderCode(
        code=REJECTED,
        kind="leveraged",
        words=("complex or leveraged", "leveraged exchange-traded", "leveraged etp"),
        meaning="the account has no permission for complex or leveraged exchange-traded products",
        remedy="Ask for it in Client Portal under Settings, Trading Permissions, Complex or Leveraged "
        "Exchange-Traded Products; it can take a day.",
    ),
    OrderCode(
        code=REJECTED,
        kind="closing-only",
        words=("closing-only", "closing only", "close-only", "only closing", "no opening trades", "liquidation only"),
        meaning="only orders that close a position are taken in it",
        remedy="Choose another symbol for what it stands for; what is held of it can be sold. Nothing that an account "
        "holder does changes this.",
    ),
    OrderCode(
        code=REJECTED,
        kind="permission",
        words=("trading permission", "customer ineligible", "not permitted", "not have permission", "not authorized"),
        meaning="the account has no trading permission for it",
        remedy=f"Ask for the permission in Client Portal under Settings, Trading Permissions, {TAKE_OUT}.",
    ),
    OrderCode(
        code=REJECTED,
        kind="documents",
        words=("tax form", "w-8", "questionnaire", "agreement", "disclosure", "acknowledg"),
        meaning="the account holder has not signed or answered something yet",
        remedy="Log in to Client Portal and complete what it lists under Pending Items.",
    ),
    OrderCode(
        code=REJECTED,
        kind="short",
        words=("short sale", "short stock", "short position", "to short", "shortable"),
        meaning="it would sell shares that the account does not have, or the rules for short sales forbid it",
        remedy="Look at what is held and at open orders in TWS: somebody else may be selling the same shares. Then run "
        "the command again.",
    ),
    OrderCode(
        code=REJECTED,
        kind="both-sides",
        words=("both sides",),
        meaning="another order is open on the other side of the same contract",
        remedy="Cancel the other order in TWS, or wait for its end, and run the command again.",
    ),
    OrderCode(
        code=REJECTED,
        kind="too-many",
        words=("orders working", "15 orders", "20 orders", "too many orders"),
        meaning="too many orders are open in one contract",
        remedy="Cancel open orders of the contract in TWS, and run the command again.",
    ),
    OrderCode(
        code=REJECTED,
        kind="free-riding",
        words=("free riding", "free-riding", "freeriding", "good faith", "good-faith"),
        meaning="shares were sold before they had been paid for",
        remedy="Wait until the restriction ends (up to 90 days), and rebalance a cash account at most every other day; "
        "or ask for a margin account.",
    ),
    OrderCode(
        code=REJECTED,
        kind="day-trades",
        words=("day trad", "daytrad", "intraday margin"),
        meaning="the account has used up its day trades",
        remedy="Wait for the next trading day, or keep the equity that the broker asks of day traders.",
    ),
    OrderCode(
        code=REJECTED,
        kind="account",
        words=(
            "account is restricted",
            "account has been restricted",
            "restricted from trading",
            "account is not",
            "account closed",
            "is being liquidated",
            "not open for trading",
        ),
        meaning="the account may not trade at present",
        remedy="Read the message centre of Client Portal, which tells why, and ask Interactive Brokers to lift it.",
    ),
    FUNDS,
    OrderCode(
        code=REJECTED,
        kind="price",
        words=("limit price", "price cap", "too far", "closer to the current market", "price range", "price limit"),
        meaning="its price is too far from the market",
        remedy="Run the command again with fresh prices; if it lasts, lower limit_offset_bp, or use market orders.",
    ),
    OrderCode(
        code=REJECTED,
        kind="size",
        words=("lot size", "round lot", "odd lot", "order size", "minimum size", "size limit", "quantity"),
        meaning="so many shares cannot be ordered at once",
        remedy="Trade it by hand in TWS, in lots that the exchange takes.",
    ),
    OrderCode(
        code=REJECTED,
        kind="hours",
        words=("exchange is closed", "market is closed", "trading hours", "outside rth", "outside of regular"),
        meaning="its exchange is closed",
        remedy="Run the command again when the market is open.",
    ),
    OrderCode(
        code=REJECTED,
        kind="halt",
        words=("halted", "suspended"),
        meaning="trading in it is halted",
        remedy="Run the command again when it trades.",
    ),
    OrderCode(
        code=REJECTED,
        kind="no-data",
        words=("market data", "no quote"),
        meaning="the broker takes no market order without its own prices",
        remedy="Subscribe to the exchange's data in Client Portal, or set order_type: limit.",
    ),
    OrderCode(
        code=REJECTED,
        kind="passing",
        words=("try again", "temporarily", "timed out", "timeout"),
        meaning="the broker could not take it just now",
        remedy="Run the command again in a few minutes.",
    ),
    OrderCode(
        code=REJECTED,
        meaning="the broker rejects the order",
        remedy="Read the broker's reason; check cash, trading permissions and the documents that a fund asks for.",
    ),
    OrderCode(
        code=CANCEL_TOLD,
        kind="price",
        words=("limit price", "price cap", "too far", "price range", "reasonable", "aggressive"),
        meaning="the broker has cancelled the order, as its price was too far from the market",
        effect=OrderEffect.ENDED,
        remedy="Run the command again with fresh prices; if it lasts, lower limit_offset_bp, or use market orders.",
    ),
    OrderCode(
        code=CANCEL_TOLD,
        meaning="the order is cancelled",
        effect=OrderEffect.ENDED,
        remedy="Read the broker's reason; if nobody cancelled it in TWS, it may be a check of its price.",
    ),
    OrderCode(code=103, meaning="the order id was used before", effect=OrderEffect.UNCLEAR, remedy=LOOK),
    OrderCode(code=104, meaning="a filled order cannot be changed", effect=OrderEffect.UNCLEAR, remedy=LOOK),
    OrderCode(code=105, meaning="the change does not fit the order", effect=OrderEffect.UNCLEAR, remedy=LOOK),
    OrderCode(code=109, meaning="its price is outside the gateway's own precautions", remedy=PRESETS),
    OrderCode(
        code=110,
        meaning="the price does not fit the contract's price steps",
        remedy="Use market orders for this account, and report the symbol.",
    ),
    OrderCode(code=135, meaning="there is no order of that id to cancel", effect=OrderEffect.UNCLEAR, remedy=LOOK),
    OrderCode(code=136, meaning="the order cannot be cancelled any more", effect=OrderEffect.UNCLEAR, remedy=LOOK),
    OrderCode(code=161, meaning="the order is in no state to be cancelled in", effect=OrderEffect.UNCLEAR, remedy=LOOK),
    OrderCode(code=163, meaning="its price is outside the gateway's own precautions", remedy=PRESETS),
    OrderCode(
        code=200,
        meaning="no contract fits",
        remedy="Check the symbol, or name the contract under contracts: in accounts.yaml.",
    ),
    OrderCode(
        code=203,
        meaning="the security is not available to this account",
        remedy=f"Ask for the permission in Client Portal under Settings, Trading Permissions, {TAKE_OUT}.",
    ),
    OrderCode(
        code=321,
        kind="read-only",
        words=("read-only",),
        meaning="its API is read-only",
        remedy="Untick Read-Only API in the gateway's configuration under API, Settings; or use --dry-run.",
    ),
    OrderCode(
        code=321,
        meaning="the gateway finds the request invalid",
        remedy="Check the account id, and the API settings of the gateway (read-only, allowed accounts).",
    ),
    OrderCode(
        code=355,
        meaning="so many shares cannot be ordered at once",
        remedy="Trade it by hand in TWS in lots that the exchange takes.",
    ),
    OrderCode(code=382, meaning="its price is outside the gateway's own precautions", remedy=PRESETS),
    OrderCode(code=383, meaning="it has more shares than the gateway's own precautions allow", remedy=PRESETS),
    OrderCode(
        code=387,
        meaning="orders of this type are not taken for the contract",
        remedy="Set order_type: to the other one of market and limit in accounts.yaml.",
    ),
    OrderCode(
        code=388,
        meaning="it has fewer shares than the exchange takes",
        remedy="Trade it by hand in TWS in lots that the exchange takes.",
    ),
    OrderCode(
        code=399,
        meaning="the broker has a remark about the order",
        effect=OrderEffect.LIVES,
        remedy=f"{LIVES} It may wait for the market to open; unfilled in time, it is cancelled.",
    ),
    OrderCode(
        code=404,
        meaning="the order is held until there are shares to borrow",
        effect=OrderEffect.LIVES,
        remedy=f"{LIVES} Unfilled in time, it is cancelled.",
    ),
    OrderCode(
        code=412,
        meaning="the contract is not traded at present",
        remedy=f"Look the contract up in TWS; wait, {TAKE_OUT}.",
    ),
    OrderCode(code=434, meaning="the order is for no shares", remedy="Report it: no such order should have been sent."),
    OrderCode(code=435, meaning="it names no account", remedy="Report it: every order should have named its account."),
    OrderCode(code=451, meaning="it is worth more than the gateway's own precautions allow", remedy=PRESETS),
    OrderCode(
        code=460,
        meaning="the account has no trading permission for it",
        remedy=f"Ask for the permission in Client Portal under Settings, Trading Permissions, {TAKE_OUT}.",
    ),
    OrderCode(
        code=2109, meaning="the order's wish about trading hours is ignored", effect=OrderEffect.LIVES, remedy=LIVES
    ),
    OrderCode(code=2137, meaning="the broker warns about the order", effect=OrderEffect.LIVES, remedy=LIVES),
    OrderCode(
        code=2161,
        meaning="the order's price is capped or held back for a while",
        effect=OrderEffect.LIVES,
        remedy=f"{LIVES} Unfilled in time, it is cancelled.",
    ),
    OrderCode(
        code=10147, meaning="there is no order of that id of this client", effect=OrderEffect.UNCLEAR, remedy=LOOK
    ),
    OrderCode(
        code=10148,
        meaning="the order is not open any more, so it cannot be cancelled",
        effect=OrderEffect.UNCLEAR,
        remedy=LOOK,
    ),
    OrderCode(code=10241, meaning="an order for an amount cannot be changed over the API", remedy=WHOLE),
    OrderCode(code=10242, meaning="an order for a part of a share cannot be changed over the API", remedy=WHOLE),
    OrderCode(
        code=10243,
        meaning="a part of a share cannot be ordered over the API",
        remedy="Sell parts of shares by hand in TWS or Client Portal, and switch dividend reinvestment off there.",
    ),
    *(
        OrderCode(code=code, meaning="a part of a share, or an amount, cannot be ordered like this", remedy=WHOLE)
        for code in range(10244, 10250)  # by contract, type of order, route, account and type of contract
    ),
    OrderCode(
        code=10311,
        meaning="a preset of the gateway holds back orders for a named exchange",
        remedy="Check the precautionary settings under Presets in the gateway's configuration.",
    ),
    OrderCode(
        code=10349,
        meaning="a preset of the gateway has set the order's time in force",
        effect=OrderEffect.LIVES,
        remedy=LIVES,
    ),
)


def readable(text: str) -> str:
    """The broker's text for people: some of it is written for a browser, and breaks its lines with `<br>`."""
    return re.sub(" *<br ?/?> *", " ", text, flags=re.IGNORECASE)


def order_code(code: int, text: str = "") -> OrderCode | None:
    """The row that a message about an order belongs to; None if nobody has written one for its code."""
    said = text.lower()
    rows = (row for row in ORDER_CODES if row.code == code)
    return next((row for row in rows if not row.words or any(word in said for word in row.words)), None)
