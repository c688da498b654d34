"""The gateway's message codes: what each means, what it does to a request, and what a person can do about it.

Those about orders are the rows of `core.order_codes`; here is what they do to a request, and all others. A code that
has no row ends the request it names; 2100 to 2199 are warnings.
What a code does to an order is not decided here: an order is dead when the broker's record says so, and what ends a
request may come with an order that lives, or has filled. The effect counts for requests, and previews of orders are
such.
Source: TWS API, message codes.
"""

from dataclasses import dataclass
from enum import Enum

from ibkr_rebalancer.core.order_codes import ORDER_CODES, OrderCode, OrderEffect, order_code


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
    remedy: str
    """What a person can do, in the imperative."""


UNKNOWN_CONTRACT = 200
INVALID = 321
"""Of a gateway in read-only mode, every order; its text says so."""
SEE_LOG = "See the gateway's own log for more, then run the command again."
PASSES = "Nothing has to be done; the answer still comes."
BACK = "Nothing has to be done; what was under way is looked at anew."
RESTART = (
    "Wait a few minutes; if it lasts, check the network and status.interactivebrokers.com, and restart the gateway."
)
SUBSCRIBE = "Subscribe to the exchange's data in Client Portal, or enable delayed data in the gateway."


def _in_requests(row: OrderCode) -> Code:
    """What a code of orders does to a request, such as a preview."""
    effect = Effect.NOTE if row.effect is OrderEffect.LIVES else Effect.ENDS
    return Code(meaning=row.meaning, effect=effect, remedy=row.remedy)


REQUEST_CODES = {
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
    162: Code(meaning="historical data are not to be had", effect=Effect.ENDS, remedy=SEE_LOG),
    320: Code(meaning="the gateway could not read the request", effect=Effect.ENDS, remedy=SEE_LOG),
    322: Code(
        meaning="the gateway could not process the request",
        effect=Effect.ENDS,
        remedy="Close other API programs of this user, then run the command again.",
    ),
    326: Code(
        meaning="the client id is in use",
        effect=Effect.ID_TAKEN,
        remedy="End the other program that uses it, or set IBKR_CLIENT_ID to another number.",
    ),
    354: Code(meaning="market data are not subscribed", effect=Effect.ENDS, remedy=SUBSCRIBE),
    1100: Code(meaning="the gateway has lost Interactive Brokers", effect=Effect.LINK_LOST, remedy=RESTART),
    1101: Code(meaning="the link is back, subscriptions are lost", effect=Effect.LINK_BACK, remedy=BACK),
    1102: Code(meaning="the link is back, subscriptions are kept", effect=Effect.LINK_BACK, remedy=BACK),
    2103: Code(meaning="a market data farm is broken", effect=Effect.FARM_BROKEN, remedy=RESTART),
    2104: Code(meaning="a market data farm is connected", effect=Effect.FARM_OK, remedy=BACK),
    2105: Code(meaning="a historical data farm is broken", effect=Effect.FARM_BROKEN, remedy=RESTART),
    2106: Code(meaning="a historical data farm is connected", effect=Effect.FARM_OK, remedy=BACK),
    2107: Code(meaning="a historical data farm is idle", effect=Effect.FARM_OK, remedy=BACK),
    2108: Code(meaning="a market data farm is idle", effect=Effect.FARM_OK, remedy=BACK),
    2110: Code(meaning="the gateway has lost its server", effect=Effect.LINK_LOST, remedy=RESTART),
    2157: Code(meaning="the contract data farm is broken", effect=Effect.FARM_BROKEN, remedy=RESTART),
    2158: Code(meaning="the contract data farm is connected", effect=Effect.FARM_OK, remedy=BACK),
    10089: Code(meaning="part of the market data needs another subscription", effect=Effect.NOTE, remedy=PASSES),
    10090: Code(meaning="part of the market data is not subscribed", effect=Effect.NOTE, remedy=PASSES),
    10091: Code(
        meaning="the market data subscription does not cover the API",
        effect=Effect.ENDS,
        remedy=SUBSCRIBE,
    ),
    10167: Code(meaning="delayed market data are shown instead", effect=Effect.NOTE, remedy=PASSES),
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
}

CODES = REQUEST_CODES | {row.code: _in_requests(row) for row in ORDER_CODES if not row.words}
"""All of them, those of orders without their kinds."""

WARNINGS = range(2100, 2200)


def explain(number: int, text: str = "") -> Code:
    """The row of a code, or of the kind of it that the text shows, or what is true of all codes that have none."""
    if row := order_code(number, text):
        return _in_requests(row)
    effect = Effect.NOTE if number in WARNINGS else Effect.ENDS
    return CODES.get(number, Code(meaning="the gateway refuses", effect=effect, remedy=SEE_LOG))
