"""When a position list shows our fills, and what it is called when it does not."""

from decimal import Decimal

import pytest
from tests.support.notation import con_id
from tests.support.trading import at, executed, intent, planned, tracked

from ibkr_rebalancer.core.errors import GatewayUnavailable
from ibkr_rebalancer.core.fills import (
    Difference,
    lagging,
    positions_disagree,
    positions_lag,
    positions_unchecked,
    unexplained,
)
from ibkr_rebalancer.core.order_state import TrackedOrder
from ibkr_rebalancer.core.portfolio import AccountId, Position
from ibkr_rebalancer.core.remedies import Remedy, remedy

DU1 = AccountId("DU1")


def listed(**shares: int) -> list[Position]:
    return [
        Position(
            account=DU1,
            con_id=con_id(symbol),
            symbol=symbol,
            security_type="STK",
            currency="USD",
            quantity=Decimal(quantity),
            average_cost=Decimal(1),
        )
        for symbol, quantity in shares.items()
    ]


def filled(order: str, *, before: int, plan_id: str = "plan", s: float = 0, shares: int | None = None) -> TrackedOrder:
    count = int(order.split()[1]) if shares is None else shares
    return tracked(intent(order, before=before, plan_id=plan_id), executed(s, f"{plan_id}.{order}.01", count))


def late(*orders: TrackedOrder, s: float = 1, **shares: int) -> list[tuple[str, int, int]]:
    found = lagging(orders, listed(**shares), at=at(s))
    return [(each.symbol, int(each.expected), int(each.listed)) for each in found]


SOLD = filled("SELL 80 AAA", before=100)


def test_a_list_that_shows_the_state_before_a_sale_lags() -> None:
    assert late(SOLD, AAA=100) == [("AAA", 20, 100)]
    assert late(SOLD, AAA=20) == []
    assert late(filled("SELL 100 AAA", before=100)) == []
    assert late(filled("BUY 80 AAA", before=0)) == [("AAA", 80, 0)]


def test_what_was_filled_in_part_counts_so_far() -> None:
    assert late(filled("SELL 80 AAA", before=100, shares=30), AAA=70) == []


@pytest.mark.parametrize(("seconds", "expected"), [(180, [("AAA", 20, 5)]), (180.1, [])])
def test_after_three_minutes_the_list_is_believed_whatever_it_shows(
    seconds: float, expected: list[tuple[str, int, int]]
) -> None:
    """It may have been traded by hand, split or transferred: a difference is no lag then."""
    assert late(SOLD, s=seconds, AAA=5) == expected


def test_several_orders_in_one_symbol_add_up_from_the_oldest_that_may_not_be_shown() -> None:
    older = filled("SELL 500 AAA", before=600, plan_id="older", s=-3600)
    bought = filled("BUY 10 AAA", before=20, plan_id="next", s=90)
    unfilled = tracked(intent("SELL 7 AAA", before=30, plan_id="last"))
    assert late(older, SOLD, bought, unfilled, s=91, AAA=30) == []
    assert late(older, SOLD, bought, unfilled, s=91, AAA=20) == [("AAA", 30, 20)]
    assert late(older, SOLD, bought, unfilled, s=181, AAA=25) == [("AAA", 30, 25)], "the first is shown by then"
    assert late(older, unfilled, AAA=1) == [], "nothing has just filled"


def test_other_positions_are_nobodys_business() -> None:
    assert late(SOLD, AAA=20, CCC=7) == []


def test_at_the_end_of_a_run_what_was_held_and_what_was_filled_explain_what_is_managed() -> None:
    account, plan = planned("DU1 cash 0; 100 OLD @50; 50 BBB @100; AAA @50", "AAA 50; BBB 50")
    assert {skip.symbol for skip in plan.skips} == {"BBB"}
    made = [filled("SELL 100 OLD", before=100), filled("BUY 50 AAA", before=0)]

    def differences(**shares: int) -> list[tuple[str, int, int]]:
        found = unexplained(plan, account.portfolio, made, listed(**shares))
        return [(each.symbol, int(each.expected), int(each.listed)) for each in found]

    assert differences(AAA=50, BBB=50, XYZ=3) == []
    assert differences(AAA=50, BBB=49, OLD=-5) == [("BBB", 50, 49), ("OLD", 0, -5)]


SOME = [Difference(symbol="AAA", expected=Decimal(20), listed=Decimal(100))]


def test_a_lag_passes_by_itself() -> None:
    refusal = positions_lag(DU1, SOME)
    assert (refusal.code, refusal.exit_code, remedy(refusal)) == ("POSITION_LAGS", 11, Remedy.TIME)
    assert refusal.message == (
        "The position list of DU1 does not show all that our orders have just filled: "
        "AAA (100 listed, 20 by our fills). Nothing was sent."
    )
    assert refusal.hint.startswith("Run the command again in 3 minutes; ")


def test_what_nobody_can_explain_is_told_with_both_figures() -> None:
    assert positions_disagree(DU1, SOME).message == (
        "Positions of DU1 are not what was held before the run and what it has filled since: "
        "AAA (100 listed, 20 by our fills)."
    )
    unchecked = positions_unchecked(GatewayUnavailable("LINK_DOWN", "The gateway is gone.", hint="Wait."))
    assert unchecked.message == (
        "The gateway is gone. Whether the positions are what the fills make them could not be checked."
    )
