"""The gateway's message codes: what each means, what it does to a request, and what a person can do about it.

One table. A code that is not in it ends the request it names; 2100 to 2199 are warnings.
What a code does to an order is not decided here: an order is dead when the broker's record says so, and what ends a
request may come with an order that lives, or has filled. The effect counts for requests, and previews of orders are
such.
Source: TWS API, message codes.
"""

from dataclasses import dataclass
from enum import Enum


class Effect(Enum):
    """What a code does to what we have asked."""

    ENDS = "the request has failed"
    NOTE = "nothing has failed; the answer still comes, the order lives on"
    LINK_LOST = "the gateway is cut off from Interactive Brokers"
    LINK_BACK = "the gateway is connected to Interactive Brokers again"
    FARM_BROKEN = "a data farm is unreachable"
    FARM_OK = "a data farm is reachable, or will be when it is needed"
    ID_TAKEN = "another connection has our client id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code of the gateway."""

    meaning: str
    effect: Effect
    remedy: str = "See the gateway's own log for more, then run the command again."
    """What a person can do, in the imperative."""


UNKNOWN_CONTRACT = 200
INVALID = 321
"""Of a gateway in read-only mode, every order; its text says so."""
LIVES = "Do not send the order again: it lives on."
LOOK = "Look at the order in TWS or Client Portal: the message alone does not say what became of it."
WHOLE = "Report it: only whole shares should have been ordered."
SUBSCRIBE = "Subscribe to the exchange's data in Client Portal, or enable delayed data in the gateway."

CODES = {
    100: Code(
        meaning="more messages per second were sent than the gateway takes",
        effect=Effect.ENDS,
        remedy="Check that no other program is using the same gateway heavily, then run the command again.",
    ),
    101: Code(
        meaning="all market data lines are in use",
        effect=Effect.ENDS,
        remedy="Close market data windows or other API programs of this user, then run the command again.",
    ),
    103: Code(meaning="the order id was used before", effect=Effect.ENDS, remedy=LOOK),
    104: Code(meaning="a filled order cannot be changed", effect=Effect.ENDS, remedy=LOOK),
    105: Code(meaning="the change does not fit the order", effect=Effect.ENDS, remedy=LOOK),
    110: Code(
        meaning="the price does not fit the contract's price steps",
        effect=Effect.ENDS,
        remedy="Use market orders for this account, and report the symbol.",
    ),
    135: Code(meaning="there is no order of that id to cancel", effect=Effect.ENDS, remedy=LOOK),
    136: Code(meaning="the order cannot be cancelled any more", effect=Effect.ENDS, remedy=LOOK),
    161: Code(meaning="the order is in no state to be cancelled in", effect=Effect.ENDS, remedy=LOOK),
    162: Code(meaning="historical data are not to be had", effect=Effect.ENDS),
    UNKNOWN_CONTRACT: Code(
        meaning="no contract fits",
        effect=Effect.ENDS,
        remedy="Check the symbol, or name the contract under contracts: in accounts.yaml.",
    ),
    201: Code(
        meaning="the broker rejects the order",
        effect=Effect.ENDS,
        remedy="Read the broker's reason; check cash, trading permissions and the documents that a fund asks for.",
    ),
    202: Code(
        meaning="the order is cancelled",
        effect=Effect.ENDS,
        remedy="Read the broker's reason; if nobody cancelled it in TWS, it may be a check of its price.",
    ),
    203: Code(
        meaning="the security is not available to this account",
        effect=Effect.ENDS,
        remedy="Ask for the permission in Client Portal, or put the symbol under exclude: in accounts.yaml.",
    ),
    320: Code(meaning="the gateway could not read the request", effect=Effect.ENDS),
    INVALID: Code(
        meaning="the gateway finds the request invalid",
        effect=Effect.ENDS,
        remedy="Check the account id, and the API settings of the gateway (read-only, allowed accounts).",
    ),
    322: Code(
        meaning="the gateway could not process the request",
        effect=Effect.ENDS,
        remedy="Close other API programs of this user, then run the command again.",
    ),
    326: Code(meaning="the client id is in use", effect=Effect.ID_TAKEN),
    354: Code(
        meaning="market data are not subscribed",
        effect=Effect.ENDS,
        remedy=SUBSCRIBE,
    ),
    399: Code(meaning="the broker has a remark about the order", effect=Effect.NOTE, remedy=LIVES),
    404: Code(meaning="the order is held until there are shares to borrow", effect=Effect.NOTE, remedy=LIVES),
    434: Code(meaning="the order is for no shares", effect=Effect.ENDS),
    1100: Code(meaning="the gateway has lost Interactive Brokers", effect=Effect.LINK_LOST),
    1101: Code(meaning="the link is back, subscriptions are lost", effect=Effect.LINK_BACK),
    1102: Code(meaning="the link is back, subscriptions are kept", effect=Effect.LINK_BACK),
    2103: Code(meaning="a market data farm is broken", effect=Effect.FARM_BROKEN),
    2104: Code(meaning="a market data farm is connected", effect=Effect.FARM_OK),
    2105: Code(meaning="a historical data farm is broken", effect=Effect.FARM_BROKEN),
    2106: Code(meaning="a historical data farm is connected", effect=Effect.FARM_OK),
    2107: Code(meaning="a historical data farm is idle", effect=Effect.FARM_OK),
    2108: Code(meaning="a market data farm is idle", effect=Effect.FARM_OK),
    2109: Code(meaning="the order's wish about trading hours is ignored", effect=Effect.NOTE, remedy=LIVES),
    2110: Code(meaning="the gateway has lost its server", effect=Effect.LINK_LOST),
    2137: Code(meaning="the broker warns about the order", effect=Effect.NOTE, remedy=LIVES),
    2157: Code(meaning="the contract data farm is broken", effect=Effect.FARM_BROKEN),
    2158: Code(meaning="the contract data farm is connected", effect=Effect.FARM_OK),
    2161: Code(meaning="the order's price is capped or held back for a while", effect=Effect.NOTE, remedy=LIVES),
    10089: Code(meaning="part of the market data needs another subscription", effect=Effect.NOTE),
    10090: Code(meaning="part of the market data is not subscribed", effect=Effect.NOTE),
    10091: Code(
        meaning="the market data subscription does not cover the API",
        effect=Effect.ENDS,
        remedy=SUBSCRIBE,
    ),
    10167: Code(meaning="delayed market data are shown instead", effect=Effect.NOTE),
    10147: Code(meaning="there is no order of that id of this client", effect=Effect.ENDS, remedy=LOOK),
    10148: Code(meaning="the order is not open any more, so it cannot be cancelled", effect=Effect.ENDS, remedy=LOOK),
    10168: Code(
        meaning="market data are not subscribed, and delayed data are not enabled",
        effect=Effect.ENDS,
        remedy=SUBSCRIBE,
    ),
    10186: Code(
        meaning="market data are not subscribed, and delayed data are not enabled",
        effect=Effect.ENDS,
        remedy=SUBSCRIBE,
    ),
    10197: Code(
        meaning="another session of the same user has the market data",
        effect=Effect.ENDS,
        remedy="Log this user out of TWS, the mobile app and other gateways, or give the gateway a user of its own.",
    ),
    10241: Code(meaning="an order for an amount cannot be changed over the API", effect=Effect.ENDS, remedy=WHOLE),
    10242: Code(
        meaning="an order for a part of a share cannot be changed over the API", effect=Effect.ENDS, remedy=WHOLE
    ),
    10243: Code(meaning="a part of a share cannot be ordered over the API", effect=Effect.ENDS, remedy=WHOLE),
    10311: Code(
        meaning="a preset of the gateway holds back orders for a named exchange",
        effect=Effect.ENDS,
        remedy="Check the precautionary settings under Presets in the gateway's configuration.",
    ),
    10349: Code(meaning="a preset of the gateway has set the order's time in force", effect=Effect.NOTE, remedy=LIVES),
}

WARNINGS = range(2100, 2200)


def explain(number: int) -> Code:
    """The row of a code, or what is true of all codes that have none."""
    unknown = Effect.NOTE if number in WARNINGS else Effect.ENDS
    return CODES.get(number, Code(meaning="the gateway refuses", effect=unknown))
