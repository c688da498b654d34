"""Orders as lines of a dialogue, and as the fields of one message."""

from tests.sandbox.dialogue import Dialogue

from ibkr_rebalancer.sandbox.venue.orders import Told

SHARES = "placeOrder conId=101 exchange=SMART account=DU1 tif=DAY transmit=1"
MARKET = f"{SHARES} orderType=MKT action=BUY totalQuantity=20"
RESTING = f"{SHARES} orderType=LMT action=BUY totalQuantity=20 lmtPrice=90.5"
PLAIN = {
    "conId": "101",
    "action": "BUY",
    "totalQuantity": "20",
    "orderType": "MKT",
    "tif": "DAY",
    "account": "DU1",
    "transmit": "1",
}
"""The market order, its fields by name."""
UNSET = "1.7976931348623157E308"


def play_with(**overlay: object) -> Dialogue:
    """A client 7 with money."""
    return Dialogue(**{"accounts": {"DU1": {"cash": "100000"}}, **overlay})


def statuses(play: Dialogue) -> list[str]:
    """What all orders went through in the market, told or not."""
    return [event.order.status for event in play.traded if isinstance(event, Told)]
