"""Numbers and objects of ib_async into ours: nothing invented, nothing lost."""

import math
from decimal import Decimal
from itertools import product

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.reading import DU1, NOW

from ibkr_rebalancer.core.errors import GatewayUnavailable, Refused
from ibkr_rebalancer.core.quotes import DataKind
from ibkr_rebalancer.edges.ibkr.translate import (
    HaltTick,
    Tick,
    contract_of,
    has_all_prices,
    number_of,
    portfolio_of,
    position_of,
    quote_of,
)

prices = st.decimals("0.0001", "999999", places=4)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=5))
def test_a_number_is_the_one_on_the_wire(written: Decimal) -> None:
    assert number_of(float(str(written))) == written


@pytest.mark.parametrize("nothing", [1.7976931348623157e308, math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_none(nothing: float) -> None:
    assert number_of(nothing) is None


@pytest.mark.parametrize(
    ("value", "text"), [(100.0, "100"), (0.0, "0"), (-3.0, "-3"), (12.5, "12.5"), (1e-05, "0.00001")]
)
def test_numbers_are_written_plainly(value: float, text: str) -> None:
    assert f"{number_of(value):f}" == text


def tick(kind: int, price: float) -> Tick:
    return Tick(kind=kind, price=price, received_at=NOW)


@given(bid=prices, ask=prices, last=prices, close=prices)
def test_a_quote_holds_each_price_in_its_place(bid: Decimal, ask: Decimal, last: Decimal, close: Decimal) -> None:
    rows = [DataKind.LIVE, tick(2, float(ask)), tick(1, float(bid)), tick(9, float(close)), tick(4, float(last))]
    quote = quote_of(rows)
    assert quote is not None
    assert (quote.bid, quote.ask, quote.last, quote.close) == (bid, ask, last, close)
    assert quote.data is DataKind.LIVE


@pytest.mark.parametrize("nothing", [-1.0, 0.0, math.nan, 1.7976931348623157e308])
def test_a_price_that_is_taken_back_is_gone(nothing: float) -> None:
    quote = quote_of([DataKind.LIVE, tick(1, 10.0), tick(2, 10.1), tick(1, nothing)])
    assert quote is not None
    assert (quote.bid, quote.ask) == (None, Decimal("10.1"))


@pytest.mark.parametrize("rows", [[], [DataKind.LIVE], [tick(1, -1.0), tick(2, 0.0)], [tick(14, 5.0)]])
def test_without_a_price_there_is_no_quote(rows: list[object]) -> None:
    assert quote_of(rows) is None


@pytest.mark.parametrize(("said", "delayed_tick"), list(product([*DataKind, None], [False, True])))
def test_a_quote_is_never_said_to_be_fresher_than_its_ticks(said: DataKind | None, delayed_tick: bool) -> None:
    rows: list[object] = [] if said is None else [said]
    quote = quote_of([*rows, tick(66 if delayed_tick else 1, 10.0), tick(2, 10.1)])
    assert quote is not None
    if delayed_tick:
        assert quote.data in {DataKind.DELAYED, DataKind.DELAYED_FROZEN}
    else:
        assert quote.data is (said or DataKind.FROZEN)


@pytest.mark.parametrize(("said", "halted"), [([], False), ([True], True), ([False], False), ([True, False], False)])
def test_trading_is_halted_when_the_gateway_said_so_last(said: list[bool], halted: bool) -> None:
    quote = quote_of([DataKind.LIVE, tick(1, 10.0), *(HaltTick(is_halted=each) for each in said), tick(2, 10.1)])
    assert quote is not None
    assert quote.is_halted is halted


BID, ASK, LAST, CLOSE = 1, 2, 4, 9


@pytest.mark.parametrize(
    ("ticks", "second"),
    [
        ([(BID, 9.0, 0), (ASK, 9.1, 3), (LAST, 9.0, 30), (CLOSE, 9.0, 59)], 3),  # of bid and ask the later one
        ([(BID, 9.0, 3), (ASK, 9.1, 0), (LAST, -1.0, 59)], 3),
        ([(BID, 9.0, 0), (ASK, 9.1, 3), (BID, 9.0, 5)], 5),  # told again is known anew
        ([(BID, -1.0, 50), (ASK, 9.1, 40), (LAST, 9.0, 20), (CLOSE, 9.0, 59)], 20),  # the last price is used
        ([(BID, 9.2, 50), (ASK, 9.1, 40), (LAST, 9.0, 20), (CLOSE, 9.0, 59)], 20),
        ([(BID, 1.0, 50), (ASK, 9.1, 40), (LAST, 9.0, 20), (CLOSE, 9.0, 59)], 20),
        ([(BID, 9.0, 50), (CLOSE, 9.0, 10)], 10),  # the close is used
        ([(BID, 9.0, 50)], 50),  # nothing is
    ],
)
def test_a_quote_is_as_old_as_the_price_that_is_used(ticks: list[tuple[int, float, int]], second: int) -> None:
    at = [Tick(kind=kind, price=price, received_at=NOW.replace(second=when)) for kind, price, when in ticks]
    quote = quote_of(at)
    assert quote is not None
    assert quote.received_at == NOW.replace(second=second)


@pytest.mark.parametrize(
    ("ticks", "enough"),
    [
        ([(BID, 9.0), (ASK, 9.1), (LAST, 9.0), (CLOSE, 9.0)], True),
        ([(BID, 9.0), (ASK, 9.1), (CLOSE, 9.0)], True),  # a market needs no last price
        ([(BID, 1.0), (ASK, 9.1), (CLOSE, 9.0)], False),  # this is none, and the last price may come
        ([(BID, 1.0), (ASK, 9.1), (LAST, 9.0), (CLOSE, 9.0)], True),  # nor will more come
        ([(BID, 9.0), (ASK, 9.1), (LAST, 9.0)], False),
        ([(BID, -1.0), (ASK, 9.1), (LAST, 9.0), (CLOSE, 9.0)], False),
        ([], False),
    ],
)
def test_when_a_quote_has_all_that_a_plan_asks_for(ticks: list[tuple[int, float]], enough: bool) -> None:
    assert has_all_prices([DataKind.LIVE, *(tick(kind, price) for kind, price in ticks)]) is enough


AAA = ib_async.Contract(conId=101, symbol="AAA", secType="STK", currency="USD")


@pytest.mark.parametrize(("quantity", "cost"), [(math.nan, 1.0), (1.0, 1.7976931348623157e308)])
def test_a_position_without_quantity_or_cost_is_refused(quantity: float, cost: float) -> None:
    with pytest.raises(GatewayUnavailable, match="no quantity or no cost for AAA in DU1"):
        position_of(ib_async.Position("DU1", AAA, quantity, cost))


@pytest.mark.parametrize("details", [ib_async.ContractDetails(), ib_async.ContractDetails(contract=AAA, minTick=0.0)])
def test_a_contract_without_identity_or_step_is_refused(details: ib_async.ContractDetails) -> None:
    with pytest.raises(GatewayUnavailable, match="lacks its conId or its price step"):
        contract_of(details)


@pytest.mark.parametrize(("told", "meant"), [(0, 1), (1, 1), (100, 100)])
def test_prices_in_pence_are_marked(told: int, meant: int) -> None:
    details = ib_async.ContractDetails(contract=AAA, minTick=0.01, priceMagnifier=told)
    assert contract_of(details).price_magnifier == meant


def test_hours_that_cannot_be_read_are_none() -> None:
    details = ib_async.ContractDetails(contract=AAA, minTick=0.01, liquidHours="soon", timeZoneId="US/Eastern")
    assert contract_of(details).sessions is None


def figures(**changed: tuple[str, str]) -> list[object]:
    """Account values as the gateway sends them; `changed` gives a key another value and currency."""
    usual = {
        "AccountReady": ("true", ""),
        "AccountType": ("INDIVIDUAL", ""),
        "NetLiquidation": ("1000.50", "USD"),
        "TotalCashValue": ("1000.50", "USD"),
        "AvailableFunds": ("1000.50", "USD"),
        "CashBalance": ("1000.50", "USD"),
    } | changed
    return [ib_async.AccountValue("DU1", key, value, currency, "") for key, (value, currency) in usual.items()]


def test_balances_as_decimals() -> None:
    balances = portfolio_of(DU1, figures()).balances
    assert balances.net_liquidation == balances.total_cash == balances.available_funds == Decimal("1000.50")
    assert (balances.currency, balances.settled_cash) == ("USD", None)
    assert dict(balances.cash) == {"USD": Decimal("1000.50")}
    assert dict(balances.exchange_rates) == {}


def value(key: str, amount: str, currency: str) -> ib_async.AccountValue:
    return ib_async.AccountValue("DU1", key, amount, currency, "")


def test_the_sum_of_all_stocks_is_that_of_all_currencies() -> None:
    rows = [*figures(), value("StockMarketValue", "90", "EUR"), value("StockMarketValue", "-100.5", "BASE")]
    assert portfolio_of(DU1, rows).balances.stock_market_value == Decimal("-100.5")
    assert portfolio_of(DU1, figures()).balances.stock_market_value is None


def ledger(total: str, *cash: tuple[str, str, str]) -> list[object]:
    """Account values with this much cash in all, and in each currency: amount, currency, rate if there is one."""
    rows: list[object] = [
        row for row in figures() if isinstance(row, ib_async.AccountValue) and row.tag != "CashBalance"
    ]
    rows += [
        value("TotalCashValue", total, "USD"),
        value("CashBalance", total, "BASE"),
        value("ExchangeRate", "1", "BASE"),
    ]
    for amount, currency, rate in cash:
        rows += [value("CashBalance", amount, currency)] + ([value("ExchangeRate", rate, currency)] if rate else [])
    return rows


def test_cash_of_all_currencies_with_their_rates() -> None:
    rows = ledger("1220.00", ("1000.00", "USD", "1.00"), ("200.00", "EUR", "1.10"), ("0", "CAD", "0.00"))
    balances = portfolio_of(DU1, rows).balances
    assert dict(balances.cash) == {"USD": Decimal("1000.00"), "EUR": Decimal("200.00"), "CAD": Decimal(0)}
    assert dict(balances.exchange_rates) == {"USD": Decimal("1.00"), "EUR": Decimal("1.10")}


@pytest.mark.parametrize("cash", [[], [("250.00", "EUR", "1.10")]], ids=["BASE only", "another currency only"])
def test_cash_in_the_base_currency_that_is_missing_is_not_zero(cash: list[tuple[str, str, str]]) -> None:
    with pytest.raises(GatewayUnavailable, match="figures of DU1 lack CashBalance in USD") as caught:
        portfolio_of(DU1, ledger("275.00", *cash))
    assert caught.value.code == "SNAPSHOT_INCOMPLETE"


@pytest.mark.parametrize(
    ("total", "cash"),
    [
        ("10001.00", [("10000.00", "USD", "1")]),
        ("-2.95", [("100000.00", "USD", "1"), ("-90911.77", "EUR", "1.10")]),  # rates are told with few digits
        ("10002.00", [("10000.00", "USD", "1"), ("1.82", "EUR", "1.1")]),
    ],
)
def test_currencies_add_up_to_all_cash_but_for_rounding(total: str, cash: list[tuple[str, str, str]]) -> None:
    assert portfolio_of(DU1, ledger(total, *cash)).balances.total_cash == Decimal(total)


@pytest.mark.parametrize(
    ("total", "cash", "listed"),
    [
        (
            "10010.02",
            [("10000.00", "USD", "1")],
            "10,000.00 USD, comes to 10,000.00 USD, but its TotalCashValue is 10,010.02",
        ),
        (
            "1200.00",
            [("10000.00", "USD", "1")],
            "10,000.00 USD, comes to 10,000.00 USD, but its TotalCashValue is 1,200.00",
        ),
        ("1200.00", [("0.00", "USD", "1")], "0.00 USD, comes to 0.00 USD, but its TotalCashValue is 1,200.00"),
        (
            "10000.00",
            [("10000.00", "USD", "1"), ("-8000", "EUR", "1.1")],
            "-8,000.00 EUR, 10,000.00 USD, comes to 1,200.00 USD, but its TotalCashValue is 10,000.00",
        ),
    ],
)
def test_a_currency_that_got_lost_is_noticed(total: str, cash: list[tuple[str, str, str]], listed: str) -> None:
    with pytest.raises(GatewayUnavailable) as caught:
        portfolio_of(DU1, ledger(total, *cash))
    assert caught.value.code == "SNAPSHOT_INCOMPLETE"
    assert caught.value.message == f"The cash of DU1, {listed}."


@pytest.mark.parametrize("rate", ["", "0", "n/a", "-1.1"])
def test_cash_in_a_currency_without_a_rate_is_refused(rate: str) -> None:
    with pytest.raises(Refused, match="no exchange rate from EUR to USD") as caught:
        portfolio_of(DU1, ledger("1220.00", ("1000.00", "USD", "1.00"), ("200.00", "EUR", rate)))
    assert caught.value.code == "EXCHANGE_RATE_MISSING"


def test_of_two_figures_the_later_one_is_true() -> None:
    rows = [*figures(), ib_async.AccountValue("DU1", "AvailableFunds", "7", "USD", "")]
    assert portfolio_of(DU1, rows).balances.available_funds == 7


@pytest.mark.parametrize(
    ("changed", "lacking"),
    [
        ({"NetLiquidation": ("1", "")}, "NetLiquidation"),
        ({"NetLiquidation": ("Infinity", "USD")}, "NetLiquidation"),
        ({"TotalCashValue": ("1", "EUR")}, "TotalCashValue"),
        ({"AvailableFunds": ("n/a", "USD")}, "AvailableFunds"),
        ({"AccountType": ("", "")}, "AccountType"),
        ({"CashBalance": ("NaN", "USD")}, "CashBalance"),
    ],
)
def test_a_figure_that_is_no_figure(changed: dict[str, tuple[str, str]], lacking: str) -> None:
    with pytest.raises(GatewayUnavailable, match=f"figures of DU1 lack {lacking}") as caught:
        portfolio_of(DU1, figures(**changed))
    assert caught.value.code == "SNAPSHOT_INCOMPLETE"


def test_holdings_with_the_brokers_marks() -> None:
    item = ib_async.PortfolioItem(AAA, -2.0, 10.25, -20.5, 11.0, 1.7976931348623157e308, 0.0, "DU1")
    (holding,) = portfolio_of(DU1, [*figures(), item]).holdings
    assert (holding.position.quantity, holding.position.average_cost) == (Decimal(-2), Decimal(11))
    assert (holding.market_price, holding.market_value) == (Decimal("10.25"), Decimal("-20.5"))
    assert holding.unrealized_pnl is None


@pytest.mark.parametrize("nothing", [math.nan, 1.7976931348623157e308])
def test_a_mark_that_is_missing_is_none(nothing: float) -> None:
    """Who needs it refuses; others go on."""
    item = ib_async.PortfolioItem(AAA, 2.0, nothing, nothing, 11.0, 0.0, 0.0, "DU1")
    (holding,) = portfolio_of(DU1, [*figures(), item]).holdings
    assert (holding.market_price, holding.market_value, holding.equity) == (None, None, Decimal(0))
