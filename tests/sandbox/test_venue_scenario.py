"""Scenarios are read strictly, written back whole, and changed in part."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.support.sandbox import BASE, fault, scenario_with

from ibkr_rebalancer.sandbox.run import load_scenario
from ibkr_rebalancer.sandbox.scenario_yaml import parse_scenario
from ibkr_rebalancer.sandbox.venue.answers import Answer
from ibkr_rebalancer.sandbox.venue.document import ScenarioError, merged
from ibkr_rebalancer.sandbox.venue.faults import Fault, OrderFault
from ibkr_rebalancer.sandbox.venue.fills import Fills
from ibkr_rebalancer.sandbox.venue.hours import ALWAYS, NEW_YORK
from ibkr_rebalancer.sandbox.venue.scenario import read_scenario, write_scenario
from ibkr_rebalancer.sandbox.venue.venue import Venue

WRITTEN = parse_scenario(
    b"""
clock: 2026-11-23T15:30:00Z
latency_ms: 3
accounts:
  DU123456: {type: MARGIN, currency: USD, cash: "25000.00", positions: {QQQ: 120, TLT: 300}}
  DU2:
    type: CASH
    market_cushion_pct: 5
    currency: EUR
    cash: {USD: "10", EUR: 5}
    positions: {202: -3, OPT: {quantity: 1, average_cost: 9}}
market:
  QQQ: {con_id: 320227571, bid: "499.95", ask: "500.05", last: "500.00", close: "498.10", primary_exchange: NASDAQ}
  TLT:
    bid: 90.1
    average_cost: "101.5"
    data: delayed
    hours: "09:30-16:00 America/New_York"
    fills: {slices: 3, commission: "0.0035"}
  DUP:
    - {con_id: 201, hours: {regular: closed, days: {2026-11-27: "09:30-13:00"}}}
    - {con_id: 202, currency: EUR, halted: true}
  OPT: {symbol: QQQ, sec_type: OPT, last_trade_date: "20261218", strike: "500", right: C, multiplier: 100}
rates: {EURUSD: "1.08"}
fills: {delay_ms: 7, slippage_bp: 2.5, commission: none}
allocations:
  primary: {status: success, data: {allocations: [{symbol: QQQ, allocation: 0.6}]}}
  broken: {http: {status: 500, delay_ms: 5, body: "<html>"}}
channels: [rebalance-primary, "team:*"]
realtime: {operations: [subscribe], retention_ms: 5, max_idle_ms: 7, token_ttl_ms: 9}
faults:
  - {when: positionEnd, what: drop}
  - {when: {realtime: MESSAGE, where: {id: 7}, client: me, after: 1, count: 2}, what: {alter: {serial: null, x: [1]}}}
  - {when: {realtime: upgrade}, what: {error: {code: 50003, status: 503}}}
  - {when: {message: reqMktData, where: {conId: 201}, client: 7, after: 1, count: 2}, what: {error: {code: 354}}}
  - {when: {order: {symbol: TLT, side: BUY}, client: 7, after: 1, count: 2}, what: {correct: {price: "1.5", ms: 9}}}
  - {when: {preview: {con_id: 201}}, what: reject}
  - {when: order, what: duplicate_perm}
""",
    name="written",
)


def test_the_written_form_is_read() -> None:
    scenario = read_scenario(WRITTEN)
    assert scenario.clock == datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    qqq, tlt, _, second, option = scenario.market.listings.values()
    assert (qqq.contract.con_id, qqq.quote.bid, qqq.contract.primary_exchange) == (
        320227571,
        Decimal("499.95"),
        "NASDAQ",
    )
    assert (tlt.data, tlt.hours, tlt.average_cost) == ("delayed", NEW_YORK, Decimal("101.5"))
    assert (option.contract.symbol, option.contract.units) == ("QQQ", Decimal(100))
    first, other = scenario.accounts.values()
    assert first.cash == {"USD": 25000}
    assert other.cash == {"USD": 10, "EUR": 5}
    assert other.positions[second.contract.con_id].quantity == -3
    assert (first.market_cushion_pct, other.market_cushion_pct) == (Decimal(0), Decimal(5))
    assert scenario.fills == Fills(delay_ms=7, slices=1, slippage_bp=Decimal("2.5"), commission="none")
    assert scenario.fills_of(qqq) == scenario.fills
    assert scenario.fills_of(tlt) == replace(scenario.fills, slices=3, commission=Decimal("0.0035"))
    assert scenario.allocations["broken"] == Answer(status=500, delay_ms=5, body="<html>")
    assert scenario.faults[1] == Fault(
        message="reqMktData",
        where={"conId": "201"},
        client=7,
        after=1,
        count=2,
        action="error",
        parameters={"code": 354},
    )
    assert scenario.order_faults == (
        OrderFault(
            message="order",
            where={"symbol": "TLT", "side": "BUY"},
            client=7,
            after=1,
            count=2,
            action="correct",
            parameters={"price": Decimal("1.5"), "ms": 9},
        ),
        OrderFault(message="preview", where={"con_id": "201"}, action="reject"),
        OrderFault(message="order", action="duplicate_perm"),
    )


@pytest.mark.parametrize("document", [WRITTEN, BASE], ids=["written", "base"])
def test_what_is_written_back_reads_as_the_same_scenario(document: dict[str, Any]) -> None:
    scenario = read_scenario(document)
    assert read_scenario(write_scenario(scenario)) == scenario
    assert read_scenario(write_scenario(load_scenario())) == load_scenario()


def test_con_ids_follow_from_the_names() -> None:
    unnumbered = {"market": {"X": [{}, {}], "Y": {}}, "accounts": {"DU1": {}}}
    con_ids = list(read_scenario(unnumbered).market.listings)
    assert con_ids == list(read_scenario(unnumbered).market.listings)
    assert len(set(con_ids)) == 3


def test_without_a_clock_the_market_is_open_at_every_moment() -> None:
    document = {"market": {"X": {}, "Y": {"hours": "closed"}}, "accounts": {"DU1": {}}}
    assert [listing.hours == ALWAYS for listing in read_scenario(document).market.listings.values()] == [True, False]
    clocked = read_scenario({**document, "clock": "2026-11-23T15:30:00Z"})
    assert next(iter(clocked.market.listings.values())).hours == NEW_YORK


def test_the_default_scenario_is_the_seed_from_other_holdings() -> None:
    scenario = load_scenario()
    assert list(scenario.accounts) == ["DU123456", "DU789012"]
    body = scenario.allocations["primary"].body
    assert isinstance(body, dict)
    weights = {row["symbol"]: row["allocation"] for row in body["data"]["allocations"]}
    assert list(weights) == ["EDC", "QLD", "QQQ", "BTAL", "SPXL", "TQQQ"]
    assert round(sum(weights.values()), 6) == 0.999
    assert weights.keys() <= {listing.handle for listing in scenario.market.listings.values()}


@pytest.mark.parametrize(
    ("overlay", "problem"),
    [
        ({"acounts": {}}, "scenario: unknown key 'acounts'; known are accounts, allocations, channels, clock"),
        ({"fills": {"speed": 1}}, "fills: unknown key 'speed'"),
        ({"accounts": {"DU1": None}}, "accounts: a scenario needs at least one account"),
        ({"accounts": ["DU1"]}, r"accounts: expected a mapping, was \['DU1'\]"),
        ({"accounts": {"DU1": 5}}, "accounts.DU1: expected a mapping, was 5"),
        ({"accounts": {"DU1": {"csh": 1}}}, "accounts.DU1: unknown key 'csh'"),
        ({"accounts": {"DU1": {"cash": "much"}}}, "accounts.DU1.cash: expected a number, was 'much'"),
        ({"accounts": {"DU1": {"cash": {"USD": "NaN"}}}}, "accounts.DU1.cash.USD: expected a finite number, was 'NaN'"),
        ({"accounts": {"DU1": {"cash": True}}}, "accounts.DU1.cash: expected a number, was True"),
        ({"accounts": {"DU1": {"type": "IRA"}}}, "accounts.DU1.type: 'IRA' is none of MARGIN, CASH"),
        ({"accounts": {"DU1": {"cash": {"EUR": 1}}}}, "rates: no rate leads from EUR to USD, which accounts.DU1 needs"),
        (
            {"accounts": {"DU1": {"positions": {"NOPE": 1}}}},
            "accounts.DU1.positions.NOPE: 0 contracts fit; name one by",
        ),
        ({"accounts": {"DU1": {"positions": {"AAA": {"average_cost": 1}}}}}, None),
        ({"accounts": {"DU1": {"positions": {"BBB": {"average_cost": 1}}}}}, "a position needs a quantity"),
        ({"accounts": {"DU1": {"values": {"NetLiq": 1}}}}, "accounts.DU1.values: unknown key 'NetLiq'"),
        ({"market": []}, r"market: expected a mapping, was \[\]"),
        ({"market": ""}, "market: expected a mapping, was ''"),
        ({"market": {"AAA": []}}, r"market.AAA: expected a contract or several, was \[\]"),
        ({"market": {"AAA": {"bidd": 1}}}, "market.AAA: unknown key 'bidd'"),
        ({"market": {"BBB": {"con_id": 101}}}, "market.BBB: con_id 101 is taken"),
        ({"market": {"AAA": {"con_id": -1}}}, "market.AAA.con_id: expected a whole number, was -1"),
        ({"market": {"AAA": {"name": []}}}, r"market.AAA.name: expected text, was \[\]"),
        ({"market": {"AAA": {"halted": "no"}}}, "market.AAA.halted: expected true or false, was 'no'"),
        ({"market": {"AAA": {"data": "realtime"}}}, "'realtime' is none of live, delayed, frozen, none"),
        ({"market": {"AAA": {"hours": "9-5"}}}, "market.AAA.hours: '9-5' is no hours"),
        ({"market": {"AAA": {"hours": {"regular": "always", "days": {"tomorrow": "closed"}}}}}, "market.AAA.hours: "),
        ({"rates": {"EUR/USD": 1}}, "rates.EUR/USD: expected two currencies, as EURUSD, and a price above 0, was 1"),
        ({"rates": {"EURUSD": 0}}, "rates.EURUSD: expected two currencies"),
        ({"clock": "noon"}, "scenario.clock: expected a time such as 2026-11-23T15:30:00Z, was 'noon'"),
        ({"clock": "2026-11-23T15:30:00"}, "scenario.clock: the time 2026-11-23T15:30:00 needs a zone"),
        ({"channels": "rebalance-primary"}, "channels: expected a list, was 'rebalance-primary'"),
        ({"channels": [{}]}, r"channels\[0\]: expected text"),
        ({"realtime": {"retention": 5}}, "realtime: unknown key 'retention'"),
        ({"realtime": {"operations": ["listen"]}}, r"realtime.operations\[0\]: 'listen' is none of subscribe, history"),
        ({"realtime": {"max_idle_ms": 0}}, "realtime.max_idle_ms: expected at least 1, was 0"),
        ({"latency_ms": "5"}, "scenario.latency_ms: expected a whole number, was '5'"),
        ({"allocations": {"x": {"http": {"code": 500}}}}, "allocations.x.http: unknown key 'code'"),
        (
            {"allocations": {"x": {"http": {"status": 99}}}},
            "allocations.x.http.status: expected a whole number from 100 to 599, was 99",
        ),
        ({"allocations": {"x": {"http": {"status": 600}}}}, "from 100 to 599, was 600"),
        ({"faults": {"when": "x"}}, "faults: expected a list"),
        ({"faults": {}}, "faults: expected a list, was {}"),
        ({"faults": ""}, "faults: expected a list, was ''"),
        ({"faults": False}, "faults: expected a list, was False"),
        ({"faults": [{"when": "reqIds", "what": ["drop"]}]}, r"faults\[0\].what: \['drop'\] is none of error, notice"),
        (
            {"faults": [{"when": "reqIds", "what": {"drop": []}}]},
            r"faults\[0\].what.drop: expected a mapping, was \[\]",
        ),
        ({"faults": [{"when": "reqIds", "what": {"alter": 0}}]}, r"faults\[0\].what.alter: expected a mapping, was 0"),
        ({"faults": [{"when": "reqIds"}]}, r"faults\[0\].what: None is none of error, notice"),
        ({"faults": [{"what": "drop"}]}, r"faults\[0\]: a fault waits for one message and does one thing"),
        ({"faults": [fault("reqIds", "explode")]}, r"faults\[0\].what: 'explode' is none of error, notice, drop, mute"),
        ({"faults": [fault("reqIds", "drop", parameters={"ms": 1})]}, r"faults\[0\].what.drop: unknown key 'ms'"),
        ({"faults": [fault("reqIds", "error")]}, r"faults\[0\].what.error: needs 'code'"),
        ({"faults": [fault("reqIds", "delay")]}, r"faults\[0\].what.delay: needs 'ms'"),
        ({"faults": [fault("reqIds", "garbage", parameters={"hex": "xy"})]}, "expected hexadecimal digits, was 'xy'"),
        ({"faults": [fault("reqIds", "drop", times=2)]}, r"faults\[0\].when: unknown key 'times'"),
        ({"faults": ["drop"]}, r"faults\[0\]: expected a mapping, was 'drop'"),
        ({"faults": [{"when": "reqIds", "what": "reject"}]}, r"faults\[0\].what: 'reject' is none of error, notice"),
        ({"faults": [{"when": "order", "what": "drop"}]}, r"faults\[0\].what: 'drop' is none of reject, warn, hold"),
        (
            {"faults": [{"when": {"order": {"price": 1}}, "what": "hold"}]},
            r"faults\[0\].when.order: unknown key 'price'",
        ),
        ({"faults": [{"when": {"order": {}, "where": {}}, "what": "hold"}]}, r"faults\[0\].when: unknown key 'where'"),
        ({"faults": [{"when": {"order": {}, "preview": {}}, "what": "hold"}]}, r"when: unknown key 'preview'"),
        ({"faults": [{"when": {"order": "AAA"}, "what": "hold"}]}, r"faults\[0\].when.order: expected a mapping"),
        ({"faults": [{"when": "preview", "what": "hold"}]}, "a preview knows reject and warn only, was 'hold'"),
        ({"faults": [{"when": "order", "what": "partial"}]}, r"faults\[0\].what.partial: needs 'shares'"),
        (
            {"faults": [{"when": "order", "what": {"partial": {"shares": "x"}}}]},
            "partial.shares: expected a whole number",
        ),
        (
            {"faults": [{"when": "order", "what": {"hold": {"status": "Filled"}}}]},
            "'Filled' is none of PreSubmitted, Ina",
        ),
        ({"faults": [{"when": "order"}]}, r"faults\[0\].what: None is none of reject"),
        ({"faults": [{"when": "order", "what": {}}]}, "a fault waits for one message and does one thing"),
        ({"fills": {"slices": 0}}, "fills.slices: expected at least 1, was 0"),
        ({"fills": {"slippage_bp": -1}}, "fills.slippage_bp: expected a number that is not negative, was -1"),
        ({"fills": {"commission": "free"}}, "fills.commission: expected a number, was 'free'"),
        ({"fills": {"commission": ["fixed"]}}, "fills.commission: expected a number"),
        ({"fills": [1]}, "fills: expected a mapping"),
        ({"market": {"AAA": {"fills": {"delay": 1}}}}, "market.AAA.fills: unknown key 'delay'; known are commission"),
    ],
)
def test_what_is_no_scenario_names_the_place(overlay: dict[str, Any], problem: str | None) -> None:
    document = merged(BASE, overlay)
    if problem is None:
        document = merged(document, {"accounts": {"DU1": {"positions": None}}})
        read_scenario(document)
        return
    with pytest.raises(ScenarioError, match=problem):
        read_scenario(document)


@pytest.mark.parametrize(
    "odd", [{}, [], "", 0, False, True, 1.5, "x", -1, None, [1], [{}], [[]], {"x": 1}, {"x": None}]
)
def test_whatever_stands_in_a_scenario_it_is_read_or_refused(odd: object) -> None:
    """In every place of it, the places of names and numbers too; and so for what a list or a mapping is wanted for."""
    for place in _places(WRITTEN):
        body = _replaced(WRITTEN, place, odd)
        with suppress(ScenarioError):
            read_scenario(body)
    for key, value in WRITTEN.items():
        if type(odd) is not type(value) and isinstance(value, dict | list) and odd is not None:
            with pytest.raises(ScenarioError, match=rf"^{key}: expected a (list|mapping), was "):
                read_scenario(WRITTEN | {key: odd})
            with pytest.raises(ScenarioError, match=rf"^{key}: expected a (list|mapping), was "):
                Venue(read_scenario(WRITTEN)).changed({key: odd})


def _places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything that stands below it."""
    if isinstance(document, dict | list):
        for name in document if isinstance(document, dict) else range(len(document)):
            yield (*above, name)
            yield from _places(document[name], (*above, name))


def _replaced(document: Any, place: tuple[Any, ...], value: object) -> Any:
    if not place:
        return value
    copy = document.copy()
    copy[place[0]] = _replaced(document[place[0]], place[1:], value)
    return copy


def test_a_contract_among_several_is_held_by_con_id() -> None:
    twins = {"TWO": [{"con_id": 201}, {"con_id": 202}]}
    with pytest.raises(ScenarioError, match=r"positions.TWO: 2 contracts fit; name one by its key"):
        scenario_with(market=twins, accounts={"DU1": {"positions": {"TWO": 1}}})
    assert 202 in scenario_with(market=twins, accounts={"DU1": {"positions": {"202": 1}}}).accounts["DU1"].positions


def test_a_change_touches_only_what_it_names() -> None:
    venue = Venue(scenario_with())
    changed = venue.changed(
        {"market": {"AAA": {"bid": "98"}}, "accounts": {"DU1": {"cash": "5", "positions": {"AAA": 7}}}}
    )
    assert changed.market.listings[101].quote.bid == 98
    assert changed.market.listings[101].quote.ask == Decimal("100.01")
    assert changed.accounts["DU1"].cash == {"USD": 5}
    assert changed.accounts["DU1"].positions[101].quantity == 7
    assert changed.allocations == venue.scenario.allocations


def test_an_answer_of_the_allocation_api_is_replaced_whole() -> None:
    venue = Venue(scenario_with())
    down = venue.changed({"allocations": {"primary": {"http": {"status": 503}}}})
    assert down.allocations["primary"] == Answer(status=503)
    venue.become(down)
    assert venue.changed({"allocations": {"primary": {"status": "success"}}}).allocations["primary"] == Answer(
        body={"status": "success"}
    )
    assert venue.changed({"allocations": {"primary": None}}).allocations == {}


def test_a_change_that_is_no_scenario_changes_nothing() -> None:
    venue = Venue(scenario_with())
    before = venue.scenario
    with pytest.raises(ScenarioError):
        venue.changed({"market": {"AAA": {"bid": "98"}}, "rates": {"x": 1}})
    assert venue.scenario is before
