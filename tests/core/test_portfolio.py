"""Two independent tellings of the same holdings must agree."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.support.notation import snapshot

from ibkr_rebalancer.core.errors import Refused
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
