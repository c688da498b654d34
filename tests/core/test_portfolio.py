"""Two independent tellings of the same holdings must agree."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.accounts import KINDS, random_account
from tests.support.notation import snapshot

from ibkr_rebalancer.core.errors import GatewayUnavailable, Refused
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Position, TradingMode, belongs_to, require_agreement

BOOK = snapshot("DU1 cash 0; 10 AAA @1; 2.5 BBB @1; -3 CCC @1", targets="AAA 100").portfolio
LISTED = [holding.position for holding in BOOK.holdings]


@pytest.mark.parametrize(
    ("account", "paper"), [("DU123456", True), ("DF123456", True), ("U1234567", False), ("F1234567", False)]
)
def test_the_number_of_an_account_tells_its_mode(account: str, paper: bool) -> None:
    assert belongs_to(TradingMode.PAPER, AccountId(account)) is paper
    assert belongs_to(TradingMode.LIVE, AccountId(account)) is not paper


def disagreement(listed: list[Position], portfolio: Portfolio) -> str:
    with pytest.raises(Refused) as caught:
        require_agreement(listed, portfolio)
    assert caught.value.code == "SNAPSHOT_INCONSISTENT"
    assert caught.value.hint
    return caught.value.message


def test_the_same_holdings_in_any_order_agree() -> None:
    require_agreement(list(reversed(LISTED)), BOOK)


def test_other_accounts_and_closed_positions_do_not_count() -> None:
    elsewhere = replace(LISTED[0], account=AccountId("DU2"), quantity=Decimal(99))
    closed = replace(LISTED[0], con_id=type(LISTED[0].con_id)(1), quantity=Decimal(0))
    require_agreement([*LISTED, elsewhere, closed], BOOK)


def test_a_list_that_was_cut_off_is_refused() -> None:
    assert disagreement(LISTED[:1], BOOK) == (
        "The gateway's position list and portfolio of DU1 disagree: BBB (0 listed, 2.5 in the portfolio), "
        "CCC (0 listed, -3 in the portfolio). Nothing was planned."
    )


def test_a_portfolio_that_was_cut_off_is_refused() -> None:
    assert "AAA (10 listed, 0 in the portfolio)" in disagreement(LISTED, replace(BOOK, holdings=BOOK.holdings[1:]))


def test_another_quantity_is_refused() -> None:
    changed = [replace(LISTED[0], quantity=Decimal("10.5")), *LISTED[1:]]
    assert "AAA (10.5 listed, 10 in the portfolio)" in disagreement(changed, BOOK)


@pytest.mark.parametrize(
    ("altered", "agrees"), [("20_999", True), ("19_048", True), ("21_054", False), ("19_046", False)]
)
def test_the_parts_add_up_to_net_liquidation_within_a_twentieth(altered: str, agrees: bool) -> None:
    book = snapshot("DU1 cash 10_000; 100 AAA @100", targets="AAA 100").portfolio
    book = replace(book, balances=replace(book.balances, net_liquidation=Decimal(altered)))
    listed = [holding.position for holding in book.holdings]
    if agrees:
        require_agreement(listed, book)
    else:
        assert disagreement(listed, book) == (
            "DU1 holds 10,000.00 USD in cash and 10,000.00 in 1 positions, but Interactive Brokers says that it is "
            f"worth {Decimal(altered):,.2f}. Nothing was planned."
        )


def test_two_lists_that_came_empty_are_no_empty_account() -> None:
    book = snapshot("DU1 cash 10_000; 100 AAA @100", targets="AAA 100").portfolio
    assert "10,000.00 USD in cash and 0.00 in 0 positions" in disagreement([], replace(book, holdings=()))


def test_the_parts_are_converted() -> None:
    book = snapshot("DU1 cash 100 EUR 1_000; 100 SAP EUR @100", targets="SAP 100").portfolio
    listed = [holding.position for holding in book.holdings]
    require_agreement(listed, book)
    elsewhere = replace(book.balances, exchange_rates={"EUR": Decimal("1.3")})
    assert "in 1 positions" in disagreement(listed, replace(book, balances=elsewhere))


def test_a_stock_without_a_mark_counts_nothing_and_may_make_the_parts_too_few() -> None:
    for shares, agrees in ((4, True), (600, False)):
        book = snapshot(f"DU1 cash 10_000; {shares} AAA @100", targets="AAA 100").portfolio
        unmarked = replace(
            book, holdings=tuple(replace(h, market_price=None, market_value=None) for h in book.holdings)
        )
        listed = [holding.position for holding in book.holdings]
        if agrees:
            require_agreement(listed, unmarked)
        else:
            disagreement(listed, unmarked)


PAID_FOR = ("3 XYZ OPT @20", "5 XYZ BOND @100", "-2 XYZ OPT @10", "10 SAP EUR @10")
FUTURE = "1 ESZ FUT @200_000"


@pytest.mark.parametrize("beside", [*PAID_FOR, FUTURE])
def test_what_is_held_beside_excuses_no_cut_list(beside: str) -> None:
    """Both lists lose the same stock: they agree with one another, and all of it would be bought again."""
    book = snapshot(f"DU1 cash 10_000; 100 AAA @100; {beside}", targets="AAA 100").portfolio
    require_agreement([holding.position for holding in book.holdings], book)
    cut = replace(book, holdings=book.holdings[1:])
    message = disagreement([holding.position for holding in cut.holdings], cut)
    if beside == FUTURE:
        assert message == (
            "DU1 holds 0.00 USD in 0 stocks, but Interactive Brokers says that its stocks are worth 10,000.00. "
            "Nothing was planned."
        )
    else:
        assert "in 1 positions, but Interactive Brokers says that it is worth" in message


@settings(deadline=None)
@given(
    st.sampled_from([kind for kind in KINDS if kind != "large"]),
    st.integers(0, 10**9),
    st.sampled_from([None, FUTURE]),
    st.randoms(use_true_random=False),
)
def test_no_list_is_cut_by_much_unnoticed(kind: str, seed: int, beside: str | None, random: Random) -> None:
    """Whatever the account: what both lists have lost, and what they have not, is worth less than a twentieth of it."""
    book = random_account(seed, kind=kind, names=8).snapshot.portfolio
    if beside is not None:
        book = replace(
            book, holdings=(*book.holdings, *snapshot(f"DU1 cash 0; {beside}", targets="").portfolio.holdings)
        )
    cut = replace(book, holdings=tuple(h for h in book.holdings if not h.is_stock or random.random() < 0.5))
    listed = [holding.position for holding in cut.holdings]
    if abs(cut.stock_worth - book.stock_worth) > book.balances.net_liquidation / 20:
        assert "but Interactive Brokers says that" in disagreement(listed, cut)
    else:
        require_agreement(listed, cut)


@pytest.mark.parametrize("beside", [FUTURE, "1 ESO FOP @50"])
def test_gains_of_futures_may_be_part_of_the_whole_and_of_nothing_else(beside: str) -> None:
    book = snapshot(f"DU1 cash 10_000; 100 AAA @100; {beside}", targets="AAA 100").portfolio
    book = replace(book, balances=replace(book.balances, net_liquidation=Decimal(50_000)))
    require_agreement([holding.position for holding in book.holdings], book)


def unmarked(portfolio: Portfolio, symbol: str) -> Portfolio:
    """The gateway has no mark of this holding."""
    holdings = (
        replace(h, market_price=None, market_value=None) if h.position.symbol == symbol else h
        for h in portfolio.holdings
    )
    return replace(portfolio, holdings=tuple(holdings))


def test_a_bond_without_a_mark_leaves_the_stocks_to_add_up() -> None:
    book = unmarked(snapshot("DU1 cash 0; 100 AAA @100; 9 XYZ BOND @100", targets="").portfolio, "XYZ")
    require_agreement([holding.position for holding in book.holdings], book)
    cut = replace(book, holdings=book.holdings[1:])
    assert "in 0 stocks" in disagreement([holding.position for holding in cut.holdings], cut)


def test_a_position_in_a_currency_is_cash_already() -> None:
    book = snapshot("DU1 cash 10_000; 100 AAA @100; 1 EUR CASH @9_000", targets="").portfolio
    require_agreement([holding.position for holding in book.holdings], book)
    cut = replace(book, holdings=book.holdings[1:])
    assert "in 1 positions" in disagreement([holding.position for holding in cut.holdings], cut)


def test_where_nobody_can_tell_whether_all_stocks_were_told_the_account_is_refused() -> None:
    book = snapshot(f"DU1 cash 10_000; 100 AAA @100; {FUTURE}", targets="").portfolio
    book = replace(book, balances=replace(book.balances, stock_market_value=None))
    with pytest.raises(GatewayUnavailable) as caught:
        require_agreement([holding.position for holding in book.holdings], book)
    assert caught.value.code == "SNAPSHOT_INCOMPLETE"
    assert caught.value.message == (
        "The gateway's figures of DU1 lack StockMarketValue. Beside ESZ nothing else shows whether all stocks have "
        "been told. Nothing was planned."
    )


def test_a_currency_without_a_rate_is_refused() -> None:
    book = snapshot("DU1 cash 100; 100 SAP EUR @100", targets="SAP 100").portfolio
    with pytest.raises(Refused) as caught:
        require_agreement(
            [holding.position for holding in book.holdings],
            replace(book, balances=replace(book.balances, exchange_rates={})),
        )
    assert caught.value.code == "EXCHANGE_RATE_MISSING"
    assert caught.value.message == (
        "The gateway gives no exchange rate from EUR to USD, so nobody can say what 10,000.00 EUR of the account are "
        "worth."
    )


@pytest.mark.parametrize(
    ("lines", "owed"),
    [
        ("100 AAA @10", {}),
        ("100 AAA @10; -5 XYZ @3", {"USD": 15}),
        ("-5 XYZ EUR @3; -2 XYP OPT @4", {"EUR": 15, "USD": 8}),
        ("-1 ESZ FUT @200_000", {}),  # no proceeds, nothing owed
    ],
)
def test_what_is_owed_on_short_positions(lines: str, owed: dict[str, int]) -> None:
    assert snapshot(f"DU1 cash 0; {lines}", targets="").portfolio.owed_on_shorts() == owed


def test_a_short_without_a_mark_owes_nobody_knows_what() -> None:
    book = snapshot("DU1 cash 1_000; -5 XYZ @3; -1 ESZ FUT @2", targets="").portfolio
    unmarked = replace(book, holdings=tuple(replace(h, market_price=None, market_value=None) for h in book.holdings))
    with pytest.raises(Refused) as caught:
        unmarked.owed_on_shorts()
    assert caught.value.code == "SHORT_WITHOUT_VALUE"
    assert "DU1 is short of XYZ, and the gateway gives no market value of it" in caught.value.message
