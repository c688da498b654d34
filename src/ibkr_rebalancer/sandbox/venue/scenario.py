"""A scenario: the whole state of the venue as one frozen value, read strictly and written back.

The document is the YAML a person writes, the state the control endpoint shows, and the shape of every change.
An unknown key is an error that names the key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from zlib import crc32

from ibkr_rebalancer.sandbox.venue.accounts import Account, Holding, currencies
from ibkr_rebalancer.sandbox.venue.answers import Answer
from ibkr_rebalancer.sandbox.venue.faults import ACTIONS, Fault
from ibkr_rebalancer.sandbox.venue.hours import (
    ALWAYS,
    NEW_YORK,
    Hours,
    describe_hours,
    parse_hours,
)
from ibkr_rebalancer.sandbox.venue.market import Contract, Listing, Market, Quote, UnknownRateError

Document = dict[str, Any]
"""Parsed YAML or JSON."""

T = TypeVar("T")


class ScenarioError(ValueError):
    """The document is no scenario."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}" if where else problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    accounts: Mapping[str, Account]
    market: Market
    clock: datetime | None = None
    """The venue's time when it starts; None is the real time."""
    latency_ms: int = 0
    """One way, on every frame."""
    allocations: Mapping[str, Answer] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def read_scenario(document: Document) -> Scenario:
    """Read a scenario. Without a `clock`, contracts that state no hours are open at every moment.

    Raises:
        ScenarioError: for anything it doesn't know, naming the place.
    """
    _check_keys("", document, {"accounts", "market", "rates", "clock", "latency_ms", "allocations", "faults"})
    clock = _optional("clock", document.get("clock"), _time)
    market = _read_market(document, hours=ALWAYS if clock is None else NEW_YORK)
    accounts = {name: _read_account(name, body, market) for name, body in _mapping("accounts", document)}
    if not accounts:
        raise ScenarioError("accounts", "a scenario needs at least one account")
    return Scenario(
        accounts=accounts,
        market=market,
        clock=clock,
        latency_ms=_whole("latency_ms", document.get("latency_ms", 0)),
        allocations={name: _read_answer(name, body) for name, body in _mapping("allocations", document)},
        faults=tuple(_read_fault(f"faults[{i}]", body) for i, body in enumerate(document.get("faults") or [])),
    )


def _text(where: str, value: object) -> str:
    if isinstance(value, dict | list) or value is None:
        raise ScenarioError(where, f"expected text, was {value!r}")
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _choice(*choices: T) -> Callable[[str, object], T]:
    def read(where: str, value: object) -> T:
        for choice in choices:
            if value == choice:
                return choice
        raise ScenarioError(where, f"{value!r} is none of {', '.join(map(str, choices))}")

    return read


def _flag(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ScenarioError(where, f"expected true or false, was {value!r}")
    return value


def _whole(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ScenarioError(where, f"expected a whole number, was {value!r}")
    return value


def _number(where: str, value: object) -> Decimal:
    if isinstance(value, bool):
        raise ScenarioError(where, f"expected a number, was {value!r}")
    try:
        number = Decimal(str(value))
    except InvalidOperation as exc:
        raise ScenarioError(where, f"expected a number, was {value!r}") from exc
    if not number.is_finite():
        raise ScenarioError(where, f"expected a finite number, was {value!r}")
    return number


def _time(where: str, value: object) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as exc:
        raise ScenarioError(where, f"expected a time such as 2026-11-23T15:30:00Z, was {value!r}") from exc
    if moment.tzinfo is None:
        raise ScenarioError(where, f"the time {value} needs a zone")
    return moment.astimezone(UTC)


def _hours(where: str, value: object) -> Hours:
    body: Document = value if isinstance(value, dict) else {"regular": value}
    _check_keys(where, body, {"regular", "days"})
    days = {str(day): _text(where, sitting) for day, sitting in (body.get("days") or {}).items()}
    try:
        return parse_hours(_text(where, body.get("regular")), days)
    except ValueError as exc:
        raise ScenarioError(where, str(exc)) from exc


def _written_hours(hours: Hours) -> object:
    regular, days = describe_hours(hours)
    return {"regular": regular, "days": days} if days else regular


Keys = Mapping[str, Callable[[str, object], Any]]

CONTRACT_KEYS: Keys = {
    "con_id": _whole,
    "symbol": _text,
    "sec_type": _choice("STK", "OPT", "FUT", "FOP", "CASH", "BOND", "FUND", "CRYPTO"),
    "currency": _text,
    "primary_exchange": _text,
    "name": _text,
    "stock_type": _text,
    "last_trade_date": _text,
    "strike": _number,
    "right": _choice("C", "P"),
    "multiplier": _number,
    "local_symbol": _text,
    "trading_class": _text,
    "isin": _text,
    "min_tick": _number,
}
QUOTE_KEYS: Keys = {
    "bid": _number,
    "ask": _number,
    "last": _number,
    "close": _number,
    "mark": _number,
    "halted": _flag,
}
LISTING_KEYS: Keys = {
    "data": _choice("live", "delayed", "frozen", "none"),
    "hours": _hours,
    "average_cost": _number,
}
HOLDING_KEYS: Keys = {"quantity": _number, "average_cost": _number}
ANSWER_KEYS: Keys = {
    "status": _whole,
    "delay_ms": _whole,
    "body": lambda _, value: value,
    "location": _text,
    "gzip": _flag,
    "drip_ms": _whole,
    "endless": _flag,
}
ACTION_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "error": ("code", "text"),
    "notice": ("code", "text"),
    "delay": ("ms",),
    "garbage": ("hex",),
}
"""Those of `alter` are the fields of the message; the other actions take none."""


def write_scenario(scenario: Scenario) -> Document:
    """The document of this scenario: `read_scenario` makes the same value of it again."""
    document: Document = {
        "accounts": {name: _written_account(account, scenario.market) for name, account in scenario.accounts.items()},
        "market": _written_market(scenario.market),
        "rates": {pair: str(rate) for pair, rate in scenario.market.rates.items()},
        "latency_ms": scenario.latency_ms,
        "allocations": {name: {"http": _written(answer, ANSWER_KEYS)} for name, answer in scenario.allocations.items()},
        "faults": [_written_fault(fault) for fault in scenario.faults],
    }
    if scenario.clock is not None:
        document["clock"] = scenario.clock.isoformat()
    return document


def merged(document: Document, change: Document) -> Document:
    """A change laid over a document (RFC 7396): mappings merge, null removes, everything else replaces."""
    result = dict(document)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def _read_market(document: Document, *, hours: Hours) -> Market:
    listings: dict[int, Listing] = {}
    for handle, bodies in _mapping("market", document):
        for index, body in enumerate(bodies if isinstance(bodies, list) else [bodies]):
            listing = _read_listing(handle, index, body, hours)
            if listing.contract.con_id in listings:
                raise ScenarioError(f"market.{handle}", f"con_id {listing.contract.con_id} is taken")
            listings[listing.contract.con_id] = listing
    rates = {pair: _number(f"rates.{pair}", rate) for pair, rate in _mapping("rates", document)}
    return Market(listings=listings, rates=rates)


def _read_listing(handle: str, index: int, body: Document, hours: Hours) -> Listing:
    where = f"market.{handle}"
    _check_keys(where, body, {*CONTRACT_KEYS, *QUOTE_KEYS, *LISTING_KEYS})
    # A conId that follows from the name is the same in every run, so that a test can pin it.
    unnamed: Document = {
        "con_id": 1_000_000 + crc32(f"{handle}#{index}".encode()) % 900_000_000,
        "symbol": handle,
    }
    return Listing(
        handle=handle,
        contract=Contract(**(unnamed | _read(where, body, CONTRACT_KEYS))),
        quote=Quote(**_read(where, body, QUOTE_KEYS)),
        **{"hours": hours, **_read(where, body, LISTING_KEYS)},
    )


def _read_account(name: str, body: Document, market: Market) -> Account:
    where = f"accounts.{name}"
    _check_keys(where, body, {"type", "currency", "cash", "positions", "values"})
    given = _read(where, body, {"type": _choice("MARGIN", "CASH"), "currency": _text})
    cash = body.get("cash", {})
    if not isinstance(cash, dict):
        cash = {given.get("currency", Account.__dataclass_fields__["currency"].default): cash}
    account = Account(
        account_id=name,
        cash={currency: _number(f"{where}.cash.{currency}", amount) for currency, amount in cash.items()},
        positions=dict(_read_position(where, key, value, market) for key, value in _mapping("positions", body, where)),
        values={key: _text(f"{where}.values.{key}", value) for key, value in _mapping("values", body, where)},
        **given,
    )
    try:
        for currency in currencies(account, market):
            market.rate(currency, account.currency)
    except UnknownRateError as exc:
        raise ScenarioError("rates", f"{exc}, which {where} needs") from exc
    return account


def _read_position(where: str, key: str, value: object, market: Market) -> tuple[int, Holding]:
    place = f"{where}.positions.{key}"
    fits = [con_id for con_id, listing in market.listings.items() if key in {listing.handle, str(con_id)}]
    if len(fits) != 1:
        raise ScenarioError(place, f"{len(fits)} contracts of the market fit; name one by its key there or its con_id")
    body = value if isinstance(value, dict) else {"quantity": value}
    _check_keys(place, body, set(HOLDING_KEYS))
    if "quantity" not in body:
        raise ScenarioError(place, "a position needs a quantity")
    return fits[0], Holding(**_read(place, body, HOLDING_KEYS))


def _read_answer(name: str, body: object) -> Answer:
    if isinstance(body, dict) and set(body) == {"http"}:
        where = f"allocations.{name}.http"
        _check_keys(where, body["http"], set(ANSWER_KEYS))
        return Answer(**_read(where, body["http"], ANSWER_KEYS))
    return Answer(body=body)


def _read_fault(where: str, body: Document) -> Fault:
    _check_keys(where, body, {"when", "what"})
    when, what = body.get("when"), body.get("what")
    when = when if isinstance(when, dict) else {"message": when}
    _check_keys(f"{where}.when", when, {"message", "where", "client", "after", "count"})
    what = what if isinstance(what, dict) else {what: {}}
    if len(what) != 1:
        raise ScenarioError(f"{where}.what", f"expected one action, was {what!r}")
    ((action, parameters),) = what.items()
    place = f"{where}.what.{action}"
    given = {name: _text(place, value) for name, value in (parameters or {}).items()}
    if action != "alter":
        _check_keys(place, given, set(ACTION_PARAMETERS.get(action, ())))
    if action in {"error", "notice"} and "code" not in given:
        raise ScenarioError(place, "needs a code")
    return Fault(
        message=_text(f"{where}.when.message", when.get("message")),
        where={name: _text(f"{where}.when", value) for name, value in _mapping("where", when, where)},
        **_read(f"{where}.when", when, {"client": _whole, "after": _whole, "count": _whole}),
        action=_choice(*ACTIONS)(f"{where}.what", action),
        parameters=given,
    )


def _check_keys(where: str, body: object, known: set[str]) -> None:
    if not isinstance(body, dict):
        raise ScenarioError(where, f"expected a mapping, was {body!r}")
    for key in body:
        if key not in known:
            raise ScenarioError(where, f"unknown key {key!r}; known are {', '.join(sorted(known))}")


def _read(where: str, body: Document, keys: Keys) -> Document:
    """The keys that are given, read; the others keep the default of the value they belong to."""
    return {
        key: read(f"{where}.{key}", body[key])
        for key, read in keys.items()
        if key in body and (body[key] is not None or key == "body")
    }


def _mapping(key: str, body: Document, where: str = "") -> list[tuple[str, Any]]:
    value = body.get(key) or {}
    place = f"{where}.{key}" if where else key
    if not isinstance(value, dict):
        raise ScenarioError(place, f"expected a mapping, was {value!r}")
    return [(str(name), below) for name, below in value.items()]


def _optional(where: str, value: object, read: Callable[[str, object], T]) -> T | None:
    return None if value is None else read(where, value)


def _written(value: object, keys: Keys) -> Document:
    body = {key: getattr(value, key) for key in keys}
    return {key: _plain(item) for key, item in body.items() if item is not None}


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return str(value)
        case Hours():
            return _written_hours(value)
        case _:
            return value


def _written_account(account: Account, market: Market) -> Document:
    handles = [listing.handle for listing in market.listings.values()]
    positions = {}
    for con_id, holding in account.positions.items():
        handle = market.listings[con_id].handle
        key = handle if handles.count(handle) == 1 else str(con_id)
        positions[key] = _written(holding, HOLDING_KEYS)
    return {
        "type": account.type,
        "currency": account.currency,
        "cash": {currency: str(amount) for currency, amount in account.cash.items()},
        "positions": positions,
        "values": dict(account.values),
    }


def _written_market(market: Market) -> Document:
    handles: dict[str, list[Document]] = {}
    for listing in market.listings.values():
        body = _written(listing.contract, CONTRACT_KEYS) | _written(listing.quote, QUOTE_KEYS)
        body = {key: value for key, value in body.items() if value != ""}
        handles.setdefault(listing.handle, []).append(body | _written(listing, LISTING_KEYS))
    return {handle: bodies if len(bodies) > 1 else bodies[0] for handle, bodies in handles.items()}


def _written_fault(fault: Fault) -> Document:
    when = {"message": fault.message, "where": dict(fault.where)} | _written(
        fault, {"client": _whole, "after": _whole, "count": _whole}
    )
    return {"when": when, "what": {fault.action: dict(fault.parameters)}}
