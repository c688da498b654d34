"""The contract of `MarketView`: what the venue shows directly, the gateway edge shows over the socket."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.reading import NOW, Notices, StoppedClock, candidates, reading
from tests.support.sandbox import StartSandbox
from tests.support.scene import MAX_QUOTE_AGE_S
from tests.support.venue_market import VenueMarket, venue_with

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot, TradingMode
from ibkr_rebalancer.flows.snapshot import take_snapshots
from ibkr_rebalancer.ports import MarketView

OPTION = {"con_id": 201, "symbol": "AAA", "sec_type": "OPT", "strike": "90", "right": "C", "multiplier": "100"}
FOREIGN = {"con_id": 202, "symbol": "EEE", "currency": "EUR", "bid": "9.99", "ask": "10.01", "last": "10"}
TWINS = [{"con_id": 301, "primary_exchange": "NYSE"}, {"con_id": 302, "primary_exchange": "ARCA", "bid": "1"}]

SCENARIOS: dict[str, dict[str, Any]] = {
    "the base": {},
    "two accounts": {"accounts": {"DU2": {"cash": "5", "type": "CASH", "positions": {"BBB": 7, "CCC": 0}}}},
    "an account that holds nothing": {"accounts": {"DU1": {"cash": "0", "positions": {"AAA": None}}}},
    "costs, fractions and loans": {
        "accounts": {"DU1": {"cash": "-123.45", "positions": {"AAA": {"quantity": "99.5", "average_cost": "61.375"}}}}
    },
    "kinds of holdings": {
        "market": {"AAA C90": OPTION | {"bid": "12.10", "ask": "12.30", "last": "12.20"}, "EEE": FOREIGN},
        "rates": {"EURUSD": "1.25"},
        "accounts": {"DU1": {"positions": {"AAA C90": 2, "EEE": 10, "CCC": -5, "BBB": 3}}},
    },
    "a base currency that is not the dollar": {
        "rates": {"EURUSD": "1.25"},
        "accounts": {"DU1": {"currency": "EUR", "cash": {"EUR": "100.25", "USD": "-50.5"}}},
    },
    "delayed, frozen and missing prices": {
        "market": {"AAA": {"data": "delayed"}, "BBB": {"data": "frozen"}, "CCC": {"data": "none"}},
        "accounts": {"DU1": {"positions": {"CCC": 4}}},
    },
    "prices that are none": {
        "market": {
            "AAA": {"bid": None, "ask": "0"},
            "BBB": {"bid": None, "ask": None, "last": None},
            "CCC": {"bid": None, "ask": None, "last": None, "close": None},
        }
    },
    "a closed market": {"clock": "2026-11-28T12:00:00Z", "market": {"BBB": {"hours": "always"}}},
    "odd hours": {"market": {"AAA": {"hours": "closed"}, "BBB": {"hours": "09:00-17:30 Europe/Berlin"}}},
    "an ambiguous and an unknown symbol": {"market": {"BBB": None, "TWO": TWINS}},
    "spreads that are no market": {
        "market": {"AAA": {"bid": "1"}, "BBB": {"bid": "50.02"}, "CCC": {"bid": "1", "last": None}}
    },
    "figures that the broker states outright": {
        "accounts": {"DU1": {"values": {"AvailableFunds": "12.34", "NetLiquidation": "20000.01"}}}
    },
    "small prices": {"market": {"AAA": {"bid": "0.0001", "ask": "0.0002", "last": "0.00015", "min_tick": "0.0001"}}},
}
QUERIES = {
    "AAA": ContractQuery(symbol="AAA"),
    "BBB": ContractQuery(symbol="BBB", con_id=ConId(102)),
    "CCC": ContractQuery(symbol="CCC", primary_exchange="ARCA"),
}


async def snapshots(market: MarketView, accounts: list[str], symbols: list[str]) -> dict[str, Snapshot | str]:
    """What of a snapshot depends on the venue alone, or the sentence why there is none."""
    taken = await take_snapshots(
        {AccountId(account): {symbol: QUERIES[symbol] for symbol in symbols} for account in accounts},
        max_quote_age_s=MAX_QUOTE_AGE_S,
        mode=TradingMode.PAPER,
        market=market,
        clock=StoppedClock(),
        observer=Notices(),
    )
    return {account: comparable(snapshot) for account, snapshot in taken.items()}


def comparable(outcome: Snapshot | RebalancerError) -> Snapshot | str:
    """The venue's clock stands still for one of the two, and runs for the other."""
    return outcome.message if isinstance(outcome, RebalancerError) else replace(outcome, taken_at=NOW)


@pytest.mark.parametrize("symbols", [["AAA", "BBB", "CCC"], ["AAA"]], ids=["three targets", "one target"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_both_transports_show_the_same(start_sandbox: StartSandbox, scenario: str, symbols: list[str]) -> None:
    overlay = SCENARIOS[scenario]
    accounts = ["DU1", *overlay.get("accounts", {}), "DU9"]
    sandbox = await start_sandbox(**overlay)
    direct = VenueMarket(venue_with(**overlay), clock=StoppedClock())
    async with reading(sandbox.gateway_port) as gateway:
        over_socket = await snapshots(gateway, accounts, symbols)
    assert over_socket == await snapshots(direct, accounts, symbols)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_question_is_answered_alike(start_sandbox: StartSandbox, scenario: str) -> None:
    """Also what no snapshot shows, such as holdings of accounts that were not asked about."""
    overlay = SCENARIOS[scenario]
    sandbox = await start_sandbox(**overlay)
    direct = VenueMarket(venue_with(**overlay), clock=StoppedClock())
    queries = [*QUERIES.values(), ContractQuery(symbol="TWO"), ContractQuery(symbol="EEE", currency="EUR")]
    async with reading(sandbox.gateway_port) as gateway:
        told = await answers(gateway, queries)
    assert told == await answers(direct, queries)


async def answers(market: MarketView, queries: list[ContractQuery]) -> list[object]:
    accounts = await market.managed_accounts()
    found = await market.contracts(queries)
    quotes = await market.quotes([contract for listed in found.values() for contract in candidates(listed)])
    return [
        accounts,
        await market.positions(accounts),
        [await market.portfolio(account) for account in accounts],
        {query: list(candidates(listed)) for query, listed in found.items()},
        quotes,
    ]
