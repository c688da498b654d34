"""The figures of an account agree with each other and with what it holds."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sandbox import scenario_with

from ibkr_rebalancer.sandbox.venue.accounts import Account, account_values, corrected, portfolio, traded
from ibkr_rebalancer.sandbox.venue.market import Market, data_at

CENTS = st.decimals(-100_000, 100_000, places=2).map(str)
QUANTITIES = st.integers(-500, 500)
EURO_STOCK = {"con_id": 104, "currency": "EUR", "last": "30", "primary_exchange": "IBIS"}
RATES = {"EURUSD": "1.25"}


def account_with(account: dict[str, Any], market: dict[str, Any] | None = None) -> tuple[Account, Market]:
    scenario = scenario_with(accounts={"DU1": account}, market={"EEE": EURO_STOCK, **(market or {})}, rates=RATES)
    return scenario.accounts["DU1"], scenario.market


def values_of(account: Account, market: Market) -> dict[tuple[str, str], str]:
    return {(row.key, row.currency): row.value for row in account_values(account, market)}


def amounts(account: Account, market: Market) -> dict[tuple[str, str], Decimal]:
    words = {"AccountCode", "AccountReady", "AccountType"}
    return {key: Decimal(value) for key, value in values_of(account, market).items() if key[0] not in words}


@given(usd=CENTS, eur=CENTS, aaa=QUANTITIES, eee=QUANTITIES, kind=st.sampled_from(["MARGIN", "CASH"]))
def test_the_whole_is_the_sum_of_its_parts(usd: str, eur: str, aaa: int, eee: int, kind: str) -> None:
    account, market = account_with(
        {"type": kind, "cash": {"USD": usd, "EUR": eur}, "positions": {"AAA": aaa, "EEE": eee}}
    )
    value = amounts(account, market)
    cash = Decimal(usd) + Decimal(eur) * Decimal("1.25")
    stocks = aaa * 100 + Decimal(eee) * 30 * Decimal("1.25")
    cent = Decimal("0.01")
    assert abs(value["NetLiquidation", "USD"] - (cash + stocks)) <= cent
    assert abs(value["TotalCashValue", "USD"] - cash) <= cent
    assert value["CashBalance", "EUR"] == Decimal(eur)
    assert value["StockMarketValue", "EUR"] == eee * 30
    assert value["GrossPositionValue", "USD"] == abs(aaa) * 100 + abs(Decimal(eee) * 30 * Decimal("1.25"))
    assert value["NetLiquidationByCurrency", "BASE"] == value["NetLiquidation", "USD"]
    for key in ("CashBalance", "StockMarketValue", "NetLiquidationByCurrency", "UnrealizedPnL"):
        parts = value[key, "USD"] + value[key, "EUR"] * value["ExchangeRate", "EUR"]
        assert abs(value[key, "BASE"] - parts) <= cent
    funds = value["EquityWithLoanValue", "USD"] - value["InitMarginReq", "USD"]
    assert abs(value["AvailableFunds", "USD"] - funds) <= cent


def test_a_cash_account_can_use_its_cash_and_a_margin_account_what_its_equity_leaves() -> None:
    held = {"cash": "1000", "positions": {"AAA": 10}}
    margin, cash = (amounts(*account_with({"type": kind, **held})) for kind in ("MARGIN", "CASH"))
    assert [margin[key, "USD"] for key in ("AvailableFunds", "BuyingPower")] == [1750, 7000]
    assert [cash[key, "USD"] for key in ("AvailableFunds", "BuyingPower", "InitMarginReq")] == [1000, 1000, 0]


@pytest.mark.parametrize(("options", "available"), [(2, 1000), (-2, 875)])
def test_options_that_are_held_take_no_margin_and_those_that_are_owed_do(options: int, available: int) -> None:
    """What is held is paid for: a program that spends its cash must find it available."""
    option = {"symbol": "AAA", "sec_type": "OPT", "multiplier": 100, "last": "2.50", "right": "C", "strike": 110}
    value = amounts(*account_with({"cash": "1000", "positions": {"AAA": 0, "OPTION": options}}, {"OPTION": option}))
    assert value["AvailableFunds", "USD"] == available
    assert value["GrossPositionValue", "USD"] == 500


def test_options_count_with_their_multiplier_futures_by_their_gain_and_currencies_not_at_all() -> None:
    others = {
        "OPTION": {"symbol": "AAA", "sec_type": "OPT", "multiplier": 100, "last": "2.50", "right": "C", "strike": 110},
        "FUTURE": {"symbol": "ES", "sec_type": "FUT", "multiplier": 50, "last": "5001", "average_cost": "250000"},
        "EUR": {"sec_type": "CASH", "last": "1.25"},
    }
    account, market = account_with(
        {"cash": "0", "positions": {"AAA": 0, "OPTION": -2, "FUTURE": 1, "EUR": 1000}}, others
    )
    value = amounts(account, market)
    assert value["OptionMarketValue", "USD"] == -500
    assert value["FuturesPNL", "USD"] == 50
    assert value["StockMarketValue", "USD"] == 0
    assert value["NetLiquidation", "USD"] == -450


@pytest.mark.parametrize(
    ("quote", "mark"),
    [
        ({}, "100"),
        ({"last": "98"}, "99.99"),
        ({"last": "101"}, "100.01"),
        ({"mark": "97"}, "97"),
        ({"last": None}, "99.99"),
        ({"last": None, "bid": None}, "100.01"),
        ({"last": None, "bid": None, "ask": None}, "99"),
        ({"last": None, "bid": None, "ask": None, "close": None}, "0"),
    ],
)
def test_the_mark(quote: dict[str, str | None], mark: str) -> None:
    account, market = account_with({"positions": {"AAA": 1}}, {"AAA": quote})
    assert portfolio(account, market)[0].market_value == Decimal(mark)


def test_cost_is_the_positions_else_the_listings_else_the_mark() -> None:
    listed = {"AAA": {"average_cost": "80"}}
    own, market = account_with({"positions": {"AAA": {"quantity": 2, "average_cost": "70"}}}, listed)
    assert portfolio(own, market)[0].unrealized == 60
    assert portfolio(*account_with({"positions": {"AAA": 2}}, listed))[0].unrealized == 40
    assert portfolio(*account_with({"positions": {"AAA": 2}}))[0].unrealized == 0


def test_values_can_be_stated_outright() -> None:
    account, market = account_with({"cash": {"EUR": "5"}, "values": {"AccountReady": "false", "CashBalance": "1.00"}})
    values = values_of(account, market)
    assert values["AccountReady", ""] == "false"
    assert [values["CashBalance", currency] for currency in ("USD", "EUR", "BASE")] == ["1.00", "5.00", "1.00"]


def test_rates_are_found_by_pair_inverse_or_through_the_dollar() -> None:
    market = Market(listings={}, rates={"EURUSD": Decimal("1.25"), "USDJPY": Decimal(150)})
    assert market.rate("EUR", "USD") == Decimal("1.25")
    assert market.rate("USD", "EUR") == Decimal("0.8")
    assert market.rate("EUR", "JPY") == Decimal("187.5")


@pytest.mark.parametrize(
    ("held", "shares", "quantity", "average_cost"),
    [
        (None, 10, 10, "100"),  # opened
        (10, 30, 40, "97.5"),  # 10 at 90 and 30 at 100
        (40, -10, 30, "90"),  # less keeps its cost
        (10, -10, 0, "100"),  # closed today
        (10, -15, -5, "100"),  # through zero starts anew
        (-10, -10, -20, "95"),  # a short grows
        (-10, 4, -6, "90"),
        (-10, 10, 0, "100"),
        (0, 5, 5, "100"),
    ],
)
def test_a_trade_moves_position_cost_and_cash(held: int | None, shares: int, quantity: int, average_cost: str) -> None:
    positions = {} if held is None else {"BBB": {"quantity": held, "average_cost": "90"}}
    account, market = account_with({"cash": "5000", "positions": positions})
    after = traded(account, market.listings[102], Decimal(shares), Decimal(100), Decimal("1.50"))
    assert after.positions[102].quantity == quantity
    assert after.positions[102].average_cost == Decimal(average_cost)
    assert after.cash["USD"] == 5000 - 100 * shares - Decimal("1.50")
    assert after.positions[101] == account.positions[101]


def test_a_trade_is_paid_in_the_contracts_currency_and_by_its_multiplier() -> None:
    option = {"OPTION": {"con_id": 105, "currency": "EUR", "sec_type": "OPT", "multiplier": 100, "last": "2"}}
    account, market = account_with({"cash": "5000"}, option)
    after = traded(account, market.listings[105], Decimal(3), Decimal("2.5"), Decimal(2))
    assert after.cash == {"USD": 5000, "EUR": -752}
    assert after.positions[105].average_cost == 250


@pytest.mark.parametrize(
    ("held", "shares", "cost"), [(40, 10, "90.5"), (40, -10, "90"), (-40, -10, "90.5"), (0, 10, "90")]
)
def test_a_corrected_price_moves_cash_and_the_cost_of_what_is_held(held: int, shares: int, cost: str) -> None:
    account, market = account_with({"cash": "5000", "positions": {"BBB": {"quantity": held, "average_cost": "90"}}})
    after = corrected(account, market.listings[102], Decimal(shares), Decimal(2))
    assert after.cash["USD"] == 5000 - 2 * shares
    assert after.positions[102].quantity == held
    assert after.positions[102].average_cost == Decimal(cost)


@pytest.mark.parametrize(
    ("data", "hours", "shown"),
    [
        ("live", "always", "live"),
        ("live", "closed", "frozen"),
        ("delayed", "closed", "delayed"),
        ("frozen", "always", "frozen"),
        ("none", "closed", "none"),
    ],
)
def test_live_data_is_frozen_while_the_market_is_closed(data: str, hours: str, shown: str) -> None:
    _, market = account_with({}, {"BBB": {"data": data, "hours": hours}})
    assert data_at(market.listings[102], datetime(2026, 11, 23, 15, 30, tzinfo=UTC)) == shown
