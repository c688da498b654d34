"""What one client has asked to read and follow. No I/O; the time is an argument.

A subscription is its rows and what of them was sent last: `refresh` sends the rows that have changed since.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from ibkr_rebalancer.sandbox.tws import figures
from ibkr_rebalancer.sandbox.tws.figures import Rows, error
from ibkr_rebalancer.sandbox.tws.lookup import Refusal, account_named, listing_described, listings_described
from ibkr_rebalancer.sandbox.tws.messages import TO_CLIENT
from ibkr_rebalancer.sandbox.tws.orders import completed_order, listed, reported
from ibkr_rebalancer.sandbox.tws.tickets import wanted
from ibkr_rebalancer.sandbox.tws.wire import Message, whole_number
from ibkr_rebalancer.sandbox.venue.accounts import Account
from ibkr_rebalancer.sandbox.venue.market import Listing, Market, data_at
from ibkr_rebalancer.sandbox.venue.scenario import Scenario
from ibkr_rebalancer.sandbox.venue.venue import Venue

LIVE, FROZEN, DELAYED, DELAYED_FROZEN = "1", "2", "3", "4"
MAX_SUMMARIES = 2
MAX_BARS = 2520
TRADING_DAYS = {"D": 1, "W": 5, "M": 21, "Y": 252}
"""In each unit of a duration."""


@dataclass(slots=True)
class Following:
    rows: Callable[[], Rows]
    sent: Rows


Answer = Callable[["Reader", Message], Iterable[Message]]


def _nothing(_: "Reader", __: Message) -> Iterable[Message]:
    return []


class Reader:
    def __init__(self, venue: Venue, client_id: int) -> None:
        self._venue = venue
        self._client_id = client_id
        self._now = datetime.min.replace(tzinfo=UTC)
        """Of the request being answered, or of what is told."""
        self._data_type = LIVE
        self._following: dict[tuple[str, str], Following] = {}

    def answer(self, request: Message, now: datetime) -> list[Message]:
        """All messages that answer a request at once, errors among them."""
        self._now = now
        try:
            return list(self._ANSWERS[request.layout.name](self, request))
        except Refusal as refusal:
            return [error(refusal.code, about=request.texts.get("reqId", "-1"), text=refusal.text)]

    def refresh(self, now: datetime) -> list[Message]:
        """What has changed in all that the client follows since it was last told."""
        self._now = now
        changed = []
        for following in self._following.values():
            rows = _rows_now(following)
            changed += [message for key, message in rows.items() if following.sent.get(key) != message]
            following.sent = rows
        return changed

    @property
    def _scenario(self) -> Scenario:
        return self._venue.told

    @property
    def _market(self) -> Market:
        return self._scenario.market

    def _account(self, name: str) -> Account:
        return account_named(name, self._scenario)

    def _of_all(self, rows: Callable[[Account], Rows]) -> Rows:
        return {key: row for account in self._scenario.accounts.values() for key, row in rows(account).items()}

    def _follow(self, kind: str, request: str, rows: Callable[[], Rows]) -> list[Message]:
        following = Following(rows, rows())
        self._following[kind, request] = following
        return list(following.sent.values())

    def _cancel(self, request: Message) -> Iterable[Message]:
        kind = request.layout.name.removeprefix("cancel")
        self._following.pop((kind, request.texts.get("reqId", "")), None)
        return []

    def _market_data(self, request: Message) -> Iterable[Message]:
        number = request["reqId"]
        listing = listing_described(request, self._market)
        shown, notices = self._shown(listing, number)

        def rows() -> Rows:
            current = self._market.listings.get(listing.contract.con_id)
            if current is None or current.data == "none":
                return {}
            quiet = data_at(current, self._now) == "frozen" and shown == LIVE
            return figures.ticks(current, request=number, delayed=shown == DELAYED, market_open=not quiet)

        yield from notices
        yield TO_CLIENT["marketDataType"].message(reqId=number, type=shown)
        yield TO_CLIENT["tickReqParams"].message(
            reqId=number, minTick=listing.contract.min_tick, bboExchange="9c0001", snapshotPermissions=3
        )
        snapshot = request["snapshot"] == "1"
        yield from rows().values() if snapshot else self._follow("MktData", number, rows)
        yield figures.last_traded(request=number, delayed=shown == DELAYED, now=self._now)
        if snapshot:
            yield TO_CLIENT["tickSnapshotEnd"].message(reqId=number)

    def _shown(self, listing: Listing, number: str) -> tuple[str, list[Message]]:
        """The type of data this client gets for a contract, and what it is told about that."""
        asked = self._data_type
        match data_at(listing, self._now):
            case "live":
                return LIVE, []
            case "frozen":
                return (FROZEN if asked in {FROZEN, DELAYED_FROZEN} else LIVE), []
            case "delayed" if asked in {DELAYED, DELAYED_FROZEN}:
                return DELAYED, [error(10167, about=number)]
            case "delayed":
                raise Refusal(10168)
            case "none":
                raise Refusal(354)

    def _data_type_asked(self, request: Message) -> Iterable[Message]:
        self._data_type = request["type"]
        return []

    def _contract_details(self, request: Message) -> Iterable[Message]:
        listings = listings_described(request, self._market)
        if not listings:
            raise Refusal(200)
        number = request["reqId"]
        for listing in listings:
            yield figures.contract_details(listing, request=number, exchange=request["exchange"], now=self._now)
        yield TO_CLIENT["contractDetailsEnd"].message(reqId=number)

    def _historical_data(self, request: Message) -> Iterable[Message]:
        listing = listing_described(request, self._market)
        count, _, unit = request["duration"].partition(" ")
        days = (whole_number(count) or 0) * TRADING_DAYS.get(unit, 0)
        if request["barSize"] != "1 day" or not 0 < days <= MAX_BARS:
            raise Refusal(
                321, f"Error validating request.-'bK' : cause - This gateway has up to {MAX_BARS} daily bars."
            )
        bars = figures.daily_bars(listing, request=request["reqId"], days=days, now=self._now)
        if not bars.values["bars"]:
            raise Refusal(162)
        yield bars

    def _positions(self, request: Message) -> Iterable[Message]:  # noqa: ARG002  # one of the answers
        def rows() -> Rows:
            return self._of_all(lambda account: figures.positions(account, self._market))

        yield from _held(self._follow("Positions", "", rows))
        yield TO_CLIENT["positionEnd"].message()

    def _positions_multi(self, request: Message) -> Iterable[Message]:
        number = request["reqId"]
        name = self._account(request["account"]).account_id

        def rows() -> Rows:
            return figures.positions(self._account(name), self._market, request=number)

        yield from _held(self._follow("PositionsMulti", number, rows))
        yield TO_CLIENT["positionMultiEnd"].message(reqId=number)

    def _account_updates(self, request: Message) -> Iterable[Message]:
        if request["subscribe"] != "1":
            self._following.pop(("AccountUpdates", ""), None)
            return
        name = self._account(request["account"]).account_id

        def rows() -> Rows:
            return figures.account_rows(self._account(name), self._market)

        yield from self._follow("AccountUpdates", "", rows)
        yield TO_CLIENT["updateAccountTime"].message(time=f"{self._now:%H:%M}")
        yield TO_CLIENT["accountDownloadEnd"].message(account=name)

    def _account_updates_multi(self, request: Message) -> Iterable[Message]:
        number = request["reqId"]
        name = self._account(request["account"]).account_id
        ledger_only = request["ledgerAndNLV"] == "1"

        def rows() -> Rows:
            account = self._account(name)
            return figures.account_rows_multi(account, self._market, request=number, ledger_only=ledger_only)

        yield from self._follow("AccountUpdatesMulti", number, rows)
        yield TO_CLIENT["accountUpdateMultiEnd"].message(reqId=number)

    def _summary(self, request: Message) -> Iterable[Message]:
        number = request["reqId"]
        others = [key for key in self._following if key[0] == "AccountSummary" and key[1] != number]
        if len(others) >= MAX_SUMMARIES:
            raise Refusal(322)
        tags = request["tags"].split(",")

        def rows() -> Rows:
            return self._of_all(lambda account: figures.summary_rows(account, self._market, request=number, tags=tags))

        yield from self._follow("AccountSummary", number, rows)
        yield TO_CLIENT["accountSummaryEnd"].message(reqId=number)

    def _pnl(self, request: Message) -> Iterable[Message]:
        name = self._account(request["account"]).account_id

        def rows() -> Rows:
            return figures.pnl(self._account(name), self._market, request=request["reqId"])

        return self._follow("PnL", request["reqId"], rows)

    def _pnl_single(self, request: Message) -> Iterable[Message]:
        name = self._account(request["account"]).account_id
        con_id = request.whole("conId")
        if con_id not in self._account(name).positions:
            raise Refusal(321, f"Error validating request.-'dD' : cause - No position in contract {con_id}.")

        def rows() -> Rows:
            return figures.pnl_single(self._account(name), self._market, con_id, request=request["reqId"])

        return self._follow("PnLSingle", request["reqId"], rows)

    def _current_time(self, request: Message) -> Iterable[Message]:  # noqa: ARG002  # one of the answers
        return [TO_CLIENT["currentTime"].message(time=int(self._now.timestamp()))]

    def _managed_accounts(self, request: Message) -> Iterable[Message]:  # noqa: ARG002  # one of the answers
        return [figures.managed_accounts(self._scenario.accounts)]

    def _next_id(self, request: Message) -> Iterable[Message]:  # noqa: ARG002  # one of the answers
        return [TO_CLIENT["nextValidId"].message(orderId=self._venue.next_order_id)]

    def _own_orders(self, request: Message) -> Iterable[Message]:  # noqa: ARG002  # one of the answers
        orders = [order for order in self._venue.open_orders if order.ticket.client_id == self._client_id]
        return [*listed(orders, self._market), TO_CLIENT["openOrderEnd"].message()]

    def _all_orders(self, request: Message) -> Iterable[Message]:  # noqa: ARG002  # one of the answers
        return [*listed(self._venue.open_orders, self._market), TO_CLIENT["openOrderEnd"].message()]

    def _completed_orders(self, request: Message) -> Iterable[Message]:  # noqa: ARG002  # one of the answers
        orders = [completed_order(order, self._market) for order in self._venue.completed]
        return [*orders, TO_CLIENT["completedOrdersEnd"].message()]

    def _executions(self, request: Message) -> Iterable[Message]:
        number = request["reqId"]
        executions = wanted(self._venue.executions, request, self._market)
        end = TO_CLIENT["execDetailsEnd"].message(reqId=number)
        return [*reported(executions, self._venue, request=number), end]

    _ANSWERS: ClassVar[dict[str, Answer]] = {
        "reqMktData": _market_data,
        "cancelMktData": _cancel,
        "reqMarketDataType": _data_type_asked,
        "reqContractDetails": _contract_details,
        "reqHistoricalData": _historical_data,
        "cancelHistoricalData": _nothing,
        "reqPositions": _positions,
        "cancelPositions": _cancel,
        "reqPositionsMulti": _positions_multi,
        "cancelPositionsMulti": _cancel,
        "reqAccountUpdates": _account_updates,
        "reqAccountUpdatesMulti": _account_updates_multi,
        "cancelAccountUpdatesMulti": _cancel,
        "reqAccountSummary": _summary,
        "cancelAccountSummary": _cancel,
        "reqPnL": _pnl,
        "cancelPnL": _cancel,
        "reqPnLSingle": _pnl_single,
        "cancelPnLSingle": _cancel,
        "reqCurrentTime": _current_time,
        "reqManagedAccts": _managed_accounts,
        "reqIds": _next_id,
        "reqAutoOpenOrders": _nothing,
        "reqOpenOrders": _own_orders,
        "reqAllOpenOrders": _all_orders,
        "reqCompletedOrders": _completed_orders,
        "reqExecutions": _executions,
    }


def _rows_now(following: Following) -> Rows:
    """None for an account that was taken away meanwhile."""
    try:
        return following.rows()
    except Refusal:
        return {}


def _held(rows: list[Message]) -> list[Message]:
    """Closed positions are followed but not part of the first answer."""
    return [row for row in rows if row["position"] != "0"]
