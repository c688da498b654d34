"""A scenario: the whole state of the venue as one frozen value, read strictly and written back.

Its document is the YAML a person writes, the state the control endpoint shows, and the shape of every change.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from zlib import crc32

from ibkr_rebalancer.sandbox.venue.accounts import BASE_CURRENCY, Account, Holding, account_values
from ibkr_rebalancer.sandbox.venue.answers import Answer
from ibkr_rebalancer.sandbox.venue.channels import OPERATIONS, Realtime
from ibkr_rebalancer.sandbox.venue.document import (
    Document,
    Keys,
    ScenarioError,
    amount,
    anything,
    between,
    charge,
    check_keys,
    choice,
    count,
    flag,
    given,
    hours,
    listed,
    mapping,
    moment,
    number,
    plain,
    text,
    whole,
    written,
)
from ibkr_rebalancer.sandbox.venue.fault_document import read_faults, write_faults
from ibkr_rebalancer.sandbox.venue.faults import Fault, OrderFault, RealtimeFault
from ibkr_rebalancer.sandbox.venue.fills import Fills
from ibkr_rebalancer.sandbox.venue.hours import ALWAYS, NEW_YORK, Hours
from ibkr_rebalancer.sandbox.venue.market import Contract, Listing, Market, Quote, UnknownRateError

CONTRACT_KEYS: Keys = {
    "con_id": whole,
    "symbol": text,
    "sec_type": choice("STK", "OPT", "FUT", "FOP", "CASH"),
    "currency": text,
    "primary_exchange": text,
    "name": text,
    "stock_type": text,
    "last_trade_date": text,
    "strike": number,
    "right": choice("C", "P"),
    "multiplier": number,
    "local_symbol": text,
    "trading_class": text,
    "isin": text,
    "min_tick": number,
}
QUOTE_KEYS: Keys = {"bid": number, "ask": number, "last": number, "close": number, "mark": number, "halted": flag}
LISTING_KEYS: Keys = {"data": choice("live", "delayed", "frozen", "none"), "hours": hours, "average_cost": number}
ACCOUNT_KEYS: Keys = {"type": choice("MARGIN", "CASH"), "currency": text, "market_cushion_pct": amount}
HOLDING_KEYS: Keys = {"quantity": number, "average_cost": number}
ANSWER_KEYS: Keys = {
    "status": between(100, 599),
    "delay_ms": whole,
    "body": anything,
    "location": text,
    "gzip": flag,
    "drip_ms": whole,
    "endless": flag,
}
REALTIME_KEYS: Keys = {
    "operations": listed(choice(*OPERATIONS)),
    "retention_ms": whole,
    "max_idle_ms": count,
    "token_ttl_ms": count,
}
SCENARIO_KEYS = {"accounts", "market", "rates", "allocations", "fills", "channels", "realtime", "faults"}
GATEWAY_KEYS: Keys = {"clock": moment, "latency_ms": whole, "read_only": flag}
FILLS_KEYS: Keys = {"delay_ms": whole, "slices": count, "slippage_bp": amount, "commission": charge}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    accounts: Mapping[str, Account]
    market: Market
    clock: datetime | None = None
    """The venue's time when it starts; None is the real time."""
    latency_ms: int = 0
    """One way, on every frame."""
    read_only: bool = False
    """The gateway takes no order messages, as its setting of this name has it."""
    allocations: Mapping[str, Answer] = field(default_factory=dict)
    fills: Fills = field(default_factory=Fills)
    realtime: Realtime = field(default_factory=Realtime)
    faults: tuple[Fault, ...] = ()
    """Of the wire."""
    order_faults: tuple[OrderFault, ...] = ()
    """Of the market."""
    realtime_faults: tuple[RealtimeFault, ...] = ()
    """Of the channels; a document has all kinds in one list."""

    def fills_of(self, listing: Listing) -> Fills:
        return replace(self.fills, **listing.fills)


def read_scenario(document: Document) -> Scenario:
    """Read a scenario. Without a `clock`, contracts that state no hours are open at every moment.

    Raises:
        ScenarioError: for anything it doesn't know, naming the place.
    """
    check_keys("scenario", document, {*SCENARIO_KEYS, *GATEWAY_KEYS})
    gateway = given("scenario", document, GATEWAY_KEYS)
    faults, order_faults, realtime_faults = read_faults(document)
    market = _read_market(document, usual=NEW_YORK if "clock" in gateway else ALWAYS)
    accounts = {name: _read_account(name, body, market) for name, body in mapping("", document, "accounts")}
    if not accounts:
        raise ScenarioError("accounts", "a scenario needs at least one account")
    return Scenario(
        accounts=accounts,
        market=market,
        allocations={name: _read_answer(name, body) for name, body in mapping("", document, "allocations")},
        fills=Fills(**_read_fills("fills", document.get("fills"))),
        realtime=_read_realtime(document),
        faults=faults,
        order_faults=order_faults,
        realtime_faults=realtime_faults,
        **gateway,
    )


def write_scenario(scenario: Scenario) -> Document:
    """The document of this scenario: `read_scenario` makes the same value of it again."""
    market = scenario.market
    return written(scenario, {"latency_ms": whole, "read_only": flag}) | {
        "clock": None if scenario.clock is None else scenario.clock.isoformat(),
        "accounts": {name: _written_account(account, market) for name, account in scenario.accounts.items()},
        "market": _written_market(market),
        "rates": {pair: str(rate) for pair, rate in market.rates.items()},
        "allocations": {name: {"http": written(answer, ANSWER_KEYS)} for name, answer in scenario.allocations.items()},
        "fills": written(scenario.fills, FILLS_KEYS),
        "channels": list(scenario.realtime.channels),
        "realtime": written(scenario.realtime, REALTIME_KEYS),
        "faults": write_faults(scenario.faults, scenario.order_faults, scenario.realtime_faults),
    }


def find_contract(where: str, key: str, market: Market) -> int:
    """The conId of the one contract that is meant by its key in the market, or by its con_id.

    Raises:
        ScenarioError: if there is none, or more than one.
    """
    fits = [con_id for con_id, listing in market.listings.items() if key in {listing.handle, str(con_id)}]
    if len(fits) != 1:
        raise ScenarioError(where, f"{len(fits)} contracts fit; name one by its key in the market or its con_id")
    return fits[0]


def _read_market(document: Document, *, usual: Hours) -> Market:
    listings: dict[int, Listing] = {}
    for handle, bodies in mapping("", document, "market"):
        if bodies == []:
            raise ScenarioError(f"market.{handle}", "expected a contract or several, was []")
        for index, body in enumerate(bodies if isinstance(bodies, list) else [bodies]):
            listing = _read_listing(handle, index, body, usual)
            if listings.setdefault(listing.contract.con_id, listing) is not listing:
                raise ScenarioError(f"market.{handle}", f"con_id {listing.contract.con_id} is taken")
    rates = dict(_read_rate(pair, value) for pair, value in mapping("", document, "rates"))
    return Market(listings=listings, rates=rates)


def _read_listing(handle: str, index: int, body: Document, usual: Hours) -> Listing:
    where = f"market.{handle}"
    check_keys(where, body, {*CONTRACT_KEYS, *QUOTE_KEYS, *LISTING_KEYS, "fills"})
    # A conId that follows from the name is the same in every run, so that it can be pinned.
    con_id = 1_000_000 + crc32(f"{handle}#{index}".encode()) % 900_000_000
    contract: Document = {"con_id": con_id, "symbol": handle, **given(where, body, CONTRACT_KEYS)}
    fills = _read_fills(f"{where}.fills", body.get("fills"))
    listing: Document = {"hours": usual, "fills": fills, **given(where, body, LISTING_KEYS)}
    quote = Quote(**given(where, body, QUOTE_KEYS))
    return Listing(handle=handle, contract=Contract(**contract), quote=quote, **listing)


def _read_fills(where: str, body: Document | None) -> Document:
    """What is stated of how orders fill."""
    stated = {} if body is None else body
    check_keys(where, stated, set(FILLS_KEYS))
    return given(where, stated, FILLS_KEYS)


def _read_rate(pair: str, value: object) -> tuple[str, Decimal]:
    rate = number(f"rates.{pair}", value)
    if len(pair) != 6 or not pair.isupper() or rate <= 0:
        raise ScenarioError(f"rates.{pair}", f"expected two currencies, as EURUSD, and a price above 0, was {value!r}")
    return pair, rate


def _read_account(name: str, body: Document, market: Market) -> Account:
    where = f"accounts.{name}"
    check_keys(where, body, {*ACCOUNT_KEYS, "cash", "positions", "values"})
    account = Account(
        account_id=name,
        cash=_read_cash(where, body),
        positions=dict(_read_position(where, key, value, market) for key, value in mapping(where, body, "positions")),
        values={key: text(f"{where}.values.{key}", value) for key, value in mapping(where, body, "values")},
        **given(where, body, ACCOUNT_KEYS),
    )
    try:
        known = {row.key for row in account_values(account, market)}
    except UnknownRateError as exc:
        raise ScenarioError("rates", f"{exc}, which {where} needs") from exc
    check_keys(f"{where}.values", account.values, known)
    return account


def _read_cash(where: str, body: Document) -> dict[str, Decimal]:
    """Amounts by currency; a plain amount is in the account's own."""
    if not isinstance(body.get("cash", {}), dict):
        return {text(f"{where}.currency", body.get("currency", BASE_CURRENCY)): number(f"{where}.cash", body["cash"])}
    return {currency: number(f"{where}.cash.{currency}", value) for currency, value in mapping(where, body, "cash")}


def _read_position(where: str, key: str, value: object, market: Market) -> tuple[int, Holding]:
    place = f"{where}.positions.{key}"
    con_id = find_contract(place, key, market)
    body = value if isinstance(value, dict) else {"quantity": value}
    check_keys(place, body, set(HOLDING_KEYS))
    if body.get("quantity") is None:
        raise ScenarioError(place, "a position needs a quantity")
    return con_id, Holding(**given(place, body, HOLDING_KEYS))


def _read_answer(name: str, body: object) -> Answer:
    if isinstance(body, dict) and set(body) == {"http"}:
        where = f"allocations.{name}.http"
        check_keys(where, body["http"], set(ANSWER_KEYS))
        return Answer(**given(where, body["http"], ANSWER_KEYS))
    return Answer(body=body)


def _read_realtime(document: Document) -> Realtime:
    body = {} if document.get("realtime") is None else document["realtime"]
    check_keys("realtime", body, set(REALTIME_KEYS))
    channels = () if document.get("channels") is None else listed(text)("channels", document["channels"])
    return Realtime(channels=channels, **given("realtime", body, REALTIME_KEYS))


def _written_account(account: Account, market: Market) -> Document:
    handles = Counter(listing.handle for listing in market.listings.values())
    positions = {}
    for con_id, holding in account.positions.items():
        handle = market.listings[con_id].handle
        positions[handle if handles[handle] == 1 else str(con_id)] = written(holding, HOLDING_KEYS)
    return written(account, ACCOUNT_KEYS) | {
        "cash": {currency: str(amount) for currency, amount in account.cash.items()},
        "positions": positions,
        "values": dict(account.values),
    }


def _written_market(market: Market) -> Document:
    handles: dict[str, list[Document]] = {}
    for listing in market.listings.values():
        body = written(listing.contract, CONTRACT_KEYS) | written(listing.quote, QUOTE_KEYS)
        stated = {key: value for key, value in body.items() if value != ""}
        if listing.fills:
            stated["fills"] = {key: plain(value) for key, value in listing.fills.items()}
        handles.setdefault(listing.handle, []).append(stated | written(listing, LISTING_KEYS))
    return {handle: bodies if len(bodies) > 1 else bodies[0] for handle, bodies in handles.items()}
