"""What a client sees of the sandbox, as a value: two clients that run the same script must see the same.

The script: connect as client 5, read managed accounts, positions, account values, portfolio and summary, look up a
contract and its option, an unknown and an ambiguous one, take a live quote, a delayed one without and with asking for
it, five daily bars, profit of the account and of a position, and the time.

The script of `Trading`, each order under its reference: buy at market and get it in two parts; cancel an order that
rests; sweep away two more; have one refused; ask what one would do; leave one open, go, come back, and read executions,
completed and open orders.
"""

from dataclasses import dataclass, field
from typing import Any

from ibkr_rebalancer.sandbox.venue.document import Document

CLIENT_ID = 5

SCENARIO: Document = {
    "accounts": {
        "DU1": {
            "cash": {"USD": "10000.50", "EUR": "-250"},
            "positions": {"AAA": {"quantity": 100, "average_cost": "90.25"}, "SOC": 7, "AAA C110": -2, "BBB": -15},
        },
        "DU2": {"type": "CASH", "currency": "EUR", "cash": "300", "positions": {"AAA": 1}},
    },
    "market": {
        "AAA": {"isin": "US0000000001", "trading_class": "NMS", "close": "98.5"},
        "BBB": {"data": "delayed"},
        "SOC": {
            "con_id": 104,
            "currency": "EUR",
            "primary_exchange": "SBF",
            "last": "30.5",
            "name": "SOCIÉTÉ GÉNÉRALE",
        },
        "AAA C110": {
            "con_id": 105,
            "symbol": "AAA",
            "sec_type": "OPT",
            "strike": "110",
            "right": "C",
            "multiplier": 100,
            "last_trade_date": "20261218",
            "local_symbol": "AAA   261218C00110000",
            "last": "2.5",
        },
        "TWO": [{"con_id": 201}, {"con_id": 202, "primary_exchange": "LSE"}],
    },
    "rates": {"EURUSD": "1.25"},
}

Facts = dict[Any, Any]

DETAILS = (
    "contractMonth",
    "evMultiplier",
    "marketName",
    "minTick",
    "orderTypes",
    "priceMagnifier",
    "realExpirationDate",
    "validExchanges",
    "longName",
    "timeZoneId",
    "tradingHours",
    "liquidHours",
    "marketRuleIds",
    "stockType",
    "minSize",
    "sizeIncrement",
    "suggestedSizeIncrement",
)
CONTRACT = (
    "conId",
    "symbol",
    "secType",
    "lastTradeDateOrContractMonth",
    "right",
    "currency",
    "localSymbol",
    "tradingClass",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    managed_accounts: list[str]
    positions: Facts
    """(account, contract) -> (quantity, average cost)"""
    account_values: Facts
    """(account, key, currency) -> value"""
    portfolio: Facts
    """contract -> (quantity, price, value, average cost, unrealized, realized)"""
    summary: Facts
    details: Facts
    """Of AAA and of its option, by conId: contract, details, identifiers."""
    unknown: tuple[int, str]
    """The error of a lookup that finds nothing."""
    ambiguous: list[int]
    """The conIds of a lookup that finds several."""
    live: Facts
    halted: float
    """Of the live quote; ib_async reads no halt of a delayed one."""
    delayed_unasked: tuple[int, str]
    """The error of a quote that isn't subscribed."""
    delayed: Facts
    bars: list[Any]
    profit: tuple[float, float, float]
    profit_of_position: tuple[float, ...]
    current_time: float = field(compare=False)


TRADING_SCENARIO: Document = {
    "accounts": {"DU1": {"cash": "100000"}},
    "fills": {"slices": 2},
    "faults": [{"when": {"order": {"order_ref": "refused"}}, "what": {"reject": {"text": "No trading permissions."}}}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An order of the script."""

    ref: str
    con_id: int
    quantity: int
    limit: float | None = None


TWO_PARTS = Wanted(ref="two-parts", con_id=101, quantity=21)
CANCELLED = Wanted(ref="cancelled", con_id=102, quantity=5, limit=40)
SWEPT = (
    Wanted(ref="swept-1", con_id=102, quantity=6, limit=40.5),
    Wanted(ref="swept-2", con_id=103, quantity=7, limit=15),
)
REFUSED = Wanted(ref="refused", con_id=101, quantity=8)
PREVIEWED = Wanted(ref="previewed", con_id=101, quantity=9)
LEFT_OPEN = Wanted(ref="left-open", con_id=103, quantity=10, limit=16.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trading:
    ended: Facts
    """reference -> (status, filled, remaining, average price), as last told"""
    fills: Facts
    """reference -> (side, shares, price, cumulative, average price) of each part"""
    commissions: Facts
    """reference -> (commission, currency) of each part"""
    errors: list[tuple[str, int, str]]
    """(reference, code, text)"""
    preview: tuple[Any, ...]
    """initial margin change and after, change of equity, commission, its currency, warning"""
    perm_ids: Facts
    fills_again: Facts
    commissions_again: Facts
    completed: Facts
    """reference -> (status, total, filled)"""
    open: Facts
    """reference -> (status, total, remaining, limit)"""
    perm_ids_again: Facts


def contract_facts(contract: Any) -> tuple[Any, ...]:
    """Strike and multiplier as numbers: the clients differ in how they say that there is none."""
    names = tuple(getattr(contract, name) for name in CONTRACT)
    return (*names, float(contract.strike or 0), float(contract.multiplier or 0))


def details_facts(details: Any) -> Facts:
    facts = {name: getattr(details, name) for name in DETAILS}
    numbers = ("minTick", "minSize", "sizeIncrement", "suggestedSizeIncrement")
    return facts | {
        **{name: float(facts[name]) for name in numbers},
        "contract": contract_facts(details.contract),
        "exchanges": (details.contract.exchange, details.contract.primaryExchange),
        "identifiers": [(pair.tag, pair.value) for pair in details.secIdList or []],
    }
