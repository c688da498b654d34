"""Numbers and objects of ib_async into ours: nothing invented, nothing lost."""

import math
from decimal import Decimal
from itertools import product

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.reading import DU1, NOW

from ibkr_rebalancer.core.errors import GatewayUnavailable
from ibkr_rebalancer.core.quotes import DataKind
from ibkr_rebalancer.edges.ibkr.translate import Tick, contract_of, number_of, portfolio_of, position_of, quote_of

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


def test_a_quote_is_as_old_as_its_newest_price() -> None:
    later = NOW.replace(second=59)
    nothing = Tick(kind=4, price=-1.0, received_at=later.replace(minute=59))
    quote = quote_of([tick(1, 9.0), Tick(kind=2, price=9.1, received_at=later), nothing])
    assert quote is not None
    assert quote.received_at == later


AAA = ib_async.Contract(conId=101, symbol="AAA", secType="STK", currency="USD")


@pytest.mark.parametrize(("quantity", "cost"), [(math.nan, 1.0), (1.0, 1.7976931348623157e308)])
def test_a_position_without_quantity_or_cost_is_refused(quantity: float, cost: float) -> None:
    with pytest.raises(GatewayUnavailable, match="no quantity or no cost for AAA in DU1"):
        position_of(ib_async.Position("DU1", AAA, quantity, cost))


@pytest.mark.parametrize("details", [ib_async.ContractDetails(), ib_async.ContractDetails(contract=AAA, minTick=0.0)])
def test_a_contract_without_identity_or_step_is_refused(details: ib_async.ContractDetails) -> None:
    with pytest.raises(GatewayUnavailable, match="lacks its conId or its price step"):
        contract_of(details)


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


def test_of_two_figures_the_later_one_is_true() -> None:
    rows = [*figures(), ib_async.AccountValue("DU1", "TotalCashValue", "7", "USD", "")]
    assert portfolio_of(DU1, rows).balances.total_cash == 7


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


def test_a_holding_without_a_mark_is_refused() -> None:
    item = ib_async.PortfolioItem(AAA, 2.0, math.nan, 0.0, 11.0, 0.0, 0.0, "DU1")
    with pytest.raises(GatewayUnavailable, match="no market value for AAA in DU1"):
        portfolio_of(DU1, [*figures(), item])
