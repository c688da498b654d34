"""What a request means by a contract and an account. Pure."""

from ibkr_rebalancer.sandbox.tws.wire import Message
from ibkr_rebalancer.sandbox.venue.accounts import Account
from ibkr_rebalancer.sandbox.venue.market import Listing, Market
from ibkr_rebalancer.sandbox.venue.scenario import Scenario

CONTRACT_FIELDS = {
    "symbol": "symbol",
    "secType": "sec_type",
    "lastTradeDate": "last_trade_date",
    "right": "right",
    "primaryExchange": "primary_exchange",
    "currency": "currency",
    "localSymbol": "local_symbol",
    "tradingClass": "trading_class",
}
"""How the texts of a contract description are called here."""


class Refusal(Exception):
    """An answer, not a failure: the request gets this error."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


def account_named(name: str, scenario: Scenario) -> Account:
    """The account of that name; no name is the first one, as for logins that have but one.

    Raises:
        Refusal: when there is none.
    """
    accounts = scenario.accounts
    if name and name not in accounts:
        raise Refusal(321, f"Error validating request.-'bP' : cause - Invalid account code '{name}'.")
    return accounts[name or next(iter(accounts))]


def listings_described(request: Message, market: Market) -> list[Listing]:
    """What fits the description; a conId says everything but where to trade."""
    if con_id := request.whole("conId"):
        return market.find(con_id=con_id, exchange=request["exchange"])
    wanted = {ours: request[theirs] for theirs, ours in CONTRACT_FIELDS.items()}
    return market.find(strike=request.number("strike"), exchange=request["exchange"], **wanted)


def listing_described(request: Message, market: Market) -> Listing:
    """The one contract that fits.

    Raises:
        Refusal: when none does, or several do.
    """
    listings = listings_described(request, market)
    if not listings:
        raise Refusal(200)
    if len(listings) > 1:
        raise Refusal(200, f"The contract description specified for {request['symbol']} is ambiguous.")
    return listings[0]
