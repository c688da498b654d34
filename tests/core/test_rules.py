"""What the owner's rules make of a plan, one rule at a time, worked out by hand."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.support.notation import Line as Quoted
from tests.support.notation import allocation, con_id, contract, snapshot

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.instruments import ContractQuery
from ibkr_rebalancer.core.plan import Plan, Side, Skip, Trade
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Policy, Substitution, Underweight, Unlisted
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose

PLAIN = Policy(cash_reserve_pct=Decimal(0), min_gain_bp=Decimal(1))
KEEP = replace(PLAIN, unlisted=Unlisted.KEEP)
BUY_ONLY = Purpose(buy_only=True)


def planned(
    text: str, targets: str, policy: Policy = PLAIN, *, purpose: Purpose = REBALANCE, looked_up: str = ""
) -> Plan:
    """`looked_up`: symbols that are targets only by the owner's rules."""
    account = snapshot(text, targets=targets)
    by_rule = {symbol: contract(Quoted(symbol=symbol)) for symbol in looked_up.split()}
    account = replace(account, targets={**account.targets, **by_rule})
    return plan_rebalance(allocation(targets), snapshot=account, policy=policy, purpose=purpose)


def orders(plan: Plan) -> list[str]:
    return [f"{trade.side.value} {trade.quantity} {trade.symbol}" for trade in plan.trades]


def untouched(plan: Plan) -> dict[str, str]:
    return {line.symbol: line.reason for line in plan.untouched}


def reasons(plan: Plan) -> dict[str, str]:
    lines: list[Trade | Skip] = [*plan.trades, *plan.skips]
    return {line.symbol: line.reason for line in lines}


def substituting(**uses: str) -> Policy:
    """`QQQ="QQQM"`, or with a scale `UVXY="VXX 0.5"`."""
    words = {symbol: [*use.split(), "1"] for symbol, use in uses.items()}
    return replace(
        PLAIN, substitutions={symbol: Substitution(use=w[0], scale=Decimal(w[1])) for symbol, w in words.items()}
    )


def test_what_is_excluded_stays_and_is_no_money_to_invest() -> None:
    """10,000 in cash buys 49 + 50 shares at 100; the 100 PRIV at 50 are neither sold nor counted."""
    plan = planned(
        "DU1 cash 10_000; 100 PRIV @50; AAA @100; BBB @100",
        "AAA 50; BBB 50",
        replace(PLAIN, exclude=frozenset({"PRIV"})),
    )
    assert orders(plan) == ["BUY 50 AAA", "BUY 49 BBB"]
    assert untouched(plan) == {"PRIV": "excluded in accounts.yaml"}


@pytest.mark.parametrize("held", ["5 PRIV OPT @50", "-5 PRIV @50", "5 PRIV EUR @50", "0.5 PRIV @50", "5 PRIV @-"])
def test_whatever_bears_an_excluded_symbol_is_excluded(held: str) -> None:
    policy = replace(KEEP, exclude=frozenset({"PRIV"}))
    plan = planned(f"DU1 cash 10_000; {held}; AAA @100", "AAA 100", policy)
    assert untouched(plan) == {"PRIV": "excluded in accounts.yaml"}


def test_exclusion_follows_the_number_that_the_owner_gives() -> None:
    """`contracts:` says which contract BRKB is; the gateway calls it otherwise."""
    named = ContractQuery(symbol="BRKB", con_id=con_id("PRIV"))
    policy = replace(PLAIN, exclude=frozenset({"BRKB"}), contracts={"BRKB": named})
    assert untouched(planned("DU1 cash 0; 100 PRIV @50; 9 AAA @100", "AAA 100", policy)) == {
        "PRIV": "excluded in accounts.yaml"
    }


def test_a_target_that_is_excluded_is_refused_by_name() -> None:
    with pytest.raises(Refused) as caught:
        planned("DU1 cash 10_000; AAA @100", "AAA 100", replace(PLAIN, exclude=frozenset({"AAA"})))
    assert caught.value.code == "TARGET_EXCLUDED"
    assert caught.value.message == "AAA is a target, and excluded in accounts.yaml: it cannot be both."


def test_a_substitute_that_is_excluded_is_refused_with_what_it_replaces() -> None:
    policy = replace(substituting(AAA="BBB"), exclude=frozenset({"BBB"}))
    with pytest.raises(Refused) as caught:
        planned("DU1 cash 10_000; AAA @100; BBB @100", "AAA 100", policy, looked_up="BBB")
    assert caught.value.message.startswith("BBB is a target in place of AAA, and excluded")


def test_an_excluded_target_of_weight_0_stays() -> None:
    """It asks for nothing but a sale, which the owner does not want."""
    plan = planned("DU1 cash 0; 9 AAA @100; 5 BBB @50", "AAA 100; BBB 0", replace(PLAIN, exclude=frozenset({"BBB"})))
    assert orders(plan) == []
    assert untouched(plan) == {"BBB": "excluded in accounts.yaml"}


def test_what_is_excluded_and_replaced_counts_towards_nothing() -> None:
    policy = replace(substituting(AAA="BBB"), exclude=frozenset({"AAA"}))
    plan = planned("DU1 cash 1_010; 50 AAA @100; BBB @100", "AAA 100", policy, looked_up="BBB")
    assert orders(plan) == ["BUY 10 BBB"]
    assert untouched(plan) == {"AAA": "excluded in accounts.yaml"}


def test_unlisted_holdings_are_kept_on_request_and_their_worth_is_not_invested() -> None:
    plan = planned("DU1 cash 1_010; 50 OLD @100; AAA @100", "AAA 100", KEEP)
    assert orders(plan) == ["BUY 10 AAA"]
    assert untouched(plan) == {"OLD": "not in the targets, and unlisted holdings are kept"}
    assert orders(planned("DU1 cash 1_010; 50 OLD @100; AAA @100", "AAA 100"))[0] == "SELL 50 OLD"


def test_a_target_of_weight_0_is_sold_though_unlisted_holdings_are_kept() -> None:
    plan = planned("DU1 cash 0; 50 OLD @100; 50 AAA @100", "AAA 100; OLD 0", KEEP)
    assert orders(plan) == ["SELL 50 OLD", "BUY 49 AAA"]
    assert reasons(plan)["OLD"] == "target weight 0"


@pytest.mark.parametrize(
    ("query", "goes"),
    [
        (ContractQuery(symbol="GONE", con_id=con_id("OLD")), True),
        (ContractQuery(symbol="GONE", con_id=con_id("AAA")), False),
        (ContractQuery(symbol="OLD", primary_exchange="ARCA"), True),
        (ContractQuery(symbol="OLD", primary_exchange="LSE"), False),
        (ContractQuery(symbol="OLD", currency="GBP"), False),
    ],
)
def test_a_target_of_weight_0_means_the_contract_that_the_owner_names(query: ContractQuery, goes: bool) -> None:
    """It is not looked up, so that what is held is told by number, or by symbol, currency and exchange."""
    policy = replace(KEEP, contracts={query.symbol: query})
    plan = planned("DU1 cash 0; 50 OLD @100; 50 AAA @100; GONE @3", f"AAA 100; {query.symbol} 0", policy)
    assert ("SELL 50 OLD" in orders(plan)) is goes


def test_a_substitute_is_bought_for_the_weight_of_its_target() -> None:
    text = "DU1 cash 10_020; AAA @400; BBB @100; CCC @200"
    plan = planned(text, "AAA 60; BBB 40", substituting(AAA="CCC"), looked_up="CCC")
    assert orders(plan) == ["BUY 30 CCC", "BUY 40 BBB"]
    assert "CCC is bought in place of AAA." in plan.remarks


def test_weights_of_a_substitute_that_is_a_target_too_add_up() -> None:
    plan = planned("DU1 cash 10_020; AAA @400; BBB @100", "AAA 60; BBB 40", substituting(AAA="BBB"))
    assert orders(plan) == ["BUY 100 BBB"]


def test_what_is_held_of_a_replaced_target_counts_and_is_not_sold_to_buy_the_substitute() -> None:
    """Of 10,000, 6,000 are meant for AAA: 4,000 are there, so that 2,000 are to be bought of CCC."""
    text = "DU1 cash 2_010; 10 AAA @400; 40 BBB @100; CCC @200"
    plan = planned(text, "AAA 60; BBB 40", substituting(AAA="CCC"), looked_up="CCC")
    assert orders(plan) == ["BUY 10 CCC"]
    assert reasons(plan)["AAA"] == "counts towards CCC, which is bought in its place"


def test_a_replaced_target_is_sold_only_beyond_its_weight_and_no_share_that_is_wanted_in_part() -> None:
    """8,000 are held where 6,000 are wanted: five of the twenty AAA at 400 go. At 380 the fifth is wanted in part."""
    for price, sold in ((400, 5), (380, 4)):
        text = f"DU1 cash 2_000; 20 AAA @{price}; BBB @100; CCC @200"
        plan = planned(text, "AAA 60; BBB 40", substituting(AAA="CCC"), looked_up="CCC")
        assert orders(plan)[0] == f"SELL {sold} AAA"
        assert not any("CCC" in order for order in orders(plan))
        assert reasons(plan)["AAA"].startswith("beyond the weight of its target; what stays counts towards CCC")


def test_a_scaled_substitute_leaves_the_rest_in_cash() -> None:
    policy = substituting(AAA="CCC 0.5")
    plan = planned("DU1 cash 10_000; AAA @400; BBB @100; CCC @200", "AAA 60; BBB 40", policy, looked_up="CCC")
    assert orders(plan) == ["BUY 40 BBB", "BUY 15 CCC"]
    assert Decimal(2_990) < plan.cash_after < Decimal(3_000)
    assert "CCC is bought in place of AAA at 0.5 of its weight, and the rest stays cash." in plan.remarks


def test_what_is_held_of_a_replaced_target_needs_no_scaled_substitute() -> None:
    """4,000 of the 6,000 are held; for the other 2,000 half as much is bought, and 1,000 stay cash."""
    policy = substituting(AAA="CCC 0.5")
    text = "DU1 cash 2_010; 10 AAA @400; 40 BBB @100; CCC @200"
    assert orders(planned(text, "AAA 60; BBB 40", policy, looked_up="CCC")) == ["BUY 5 CCC"]


def test_a_fraction_beyond_the_weight_of_a_replaced_target_stays() -> None:
    text = "DU1 cash 100; 3.9 AAA @400; 84 BBB @100; CCC @200"
    plan = planned(text, "AAA 2; BBB 98", substituting(AAA="CCC"), looked_up="CCC")
    assert orders(plan)[0] == "SELL 3 AAA"
    assert not any("CCC" in order for order in orders(plan))


@pytest.mark.parametrize(("held", "code"), [("-5 AAA @400", "TARGET_HELD_SHORT"), ("5 AAA @-", "PRICE_MISSING")])
def test_a_replaced_target_must_be_as_sound_as_a_target(held: str, code: str) -> None:
    """It counts as one: bought in full beside it, the substitute would double what is wanted."""
    with pytest.raises(Refused) as caught:
        planned(f"DU1 cash 10_000; {held}; CCC @200", "AAA 60; CCC 40", substituting(AAA="CCC"))
    assert caught.value.code == code


def test_a_replaced_target_that_is_not_held_needs_no_price() -> None:
    plan = planned("DU1 cash 10_010; AAA @-; CCC @200", "AAA 60; CCC 40", substituting(AAA="CCC"))
    assert orders(plan) == ["BUY 50 CCC"]


def test_a_symbol_that_is_its_own_substitute_is_not_replaced() -> None:
    plan = planned("DU1 cash 10_010; AAA @100", "AAA 100", substituting(AAA="AAA"))
    assert orders(plan) == ["BUY 100 AAA"]
    assert plan.remarks == ()


def test_a_replaced_target_of_weight_0_is_sold_as_any_other() -> None:
    plan = planned("DU1 cash 0; 10 AAA @100; 40 BBB @100; CCC @9", "AAA 0; BBB 100", substituting(AAA="CCC"))
    assert orders(plan)[0] == "SELL 10 AAA"


def test_weights_that_leave_most_in_cash() -> None:
    policy = replace(PLAIN, underweight=Underweight.CASH)
    plan = planned("DU1 cash 0; 100 AAA @100", "AAA 40", policy)
    assert orders(plan) == ["SELL 60 AAA"]
    assert "The weights add up to 0.4: 60.00% is meant to stay cash." in plan.remarks


def test_buying_only_sells_nothing_and_fills_what_is_most_underweight() -> None:
    """Meant are 4,000 each. AAA is over, OLD would have to go; 2,000 bring BBB and CCC to the same level,
    about 25 shares each.
    """
    text = "DU1 cash 2_010; 60 AAA @100; 10 BBB @100; 20 CCC @100; 10 OLD @100"
    plan = planned(text, "AAA 33.33; BBB 33.33; CCC 33.34", purpose=BUY_ONLY)
    assert {trade.symbol: trade.side is Side.BUY for trade in plan.trades} == {"BBB": True, "CCC": True}
    assert {abs(trade.target_quantity - 25) <= 1 for trade in plan.trades} == {True}
    assert plan.purpose == BUY_ONLY
    assert plan.remarks[0] == "Only purchases: nothing is sold (--buy-only)."
    assert reasons(plan)["OLD"] == "not in the targets, but nothing is sold: --buy-only"
    assert reasons(plan)["AAA"] == "19 shares over the target, but nothing is sold: --buy-only"


def test_buying_only_cannot_pay_back_a_loan() -> None:
    plan = planned("DU1 cash -500; 60 AAA @100; BBB @100", "AAA 50; BBB 50", purpose=BUY_ONLY)
    assert orders(plan) == []


def test_buying_only_the_gate_counts_though_something_would_have_to_go() -> None:
    text = "DU1 cash 100; 1 OLD @100; 500 AAA @100; BBB @100"
    gated = replace(PLAIN, min_gain_bp=Decimal(300))
    assert orders(planned(text, "AAA 99; BBB 1", gated, purpose=BUY_ONLY)) == []
    assert orders(planned(text, "AAA 99; BBB 1", gated)) != []


def test_cash_is_raised_beyond_the_reserve() -> None:
    """A reserve of 1 % of 20,000, and 5,000: 5,200 less what the sales cost of the reserve."""
    policy = replace(PLAIN, cash_reserve_pct=Decimal(1))
    purpose = Purpose(raise_cash=Decimal(5_000))
    plan = planned("DU1 cash 0; 100 AAA @100; 100 BBB @100", "AAA 50; BBB 50", policy, purpose=purpose)
    assert {order.split()[0] for order in orders(plan)} == {"SELL"}
    assert plan.cash_after >= plan.cash_reserve > 5_199
    assert plan.remarks[0] == "5,000.00 USD of the reserve is cash to be raised (--raise-cash)."


def test_who_raises_cash_rebalances_what_is_left() -> None:
    plan = planned("DU1 cash 0; 100 AAA @100; BBB @100", "AAA 50; BBB 50", purpose=Purpose(raise_cash=Decimal(4_000)))
    assert orders(plan) == ["SELL 70 AAA", "BUY 29 BBB"]
    assert plan.cash_after >= 4_000


def test_cash_that_is_there_already_needs_no_sale() -> None:
    plan = planned("DU1 cash 4_000; 60 AAA @100", "AAA 100", purpose=Purpose(raise_cash=Decimal(4_000)))
    assert orders(plan) == []


def test_cash_is_raised_to_the_cent_whatever_the_gate_says() -> None:
    gated = replace(PLAIN, min_gain_bp=Decimal(300))
    text = "DU1 cash 3_999.99; 60 AAA @100"
    assert orders(planned(text, "AAA 100", gated, purpose=Purpose(raise_cash=Decimal(4_000)))) == ["SELL 1 AAA"]


def test_more_cash_than_can_be_had_is_refused_and_nothing_is_sold() -> None:
    """10,000 less a dollar of commission; what is excluded is out of reach."""
    policy = replace(PLAIN, exclude=frozenset({"PRIV"}))
    with pytest.raises(Refused) as caught:
        planned(
            "DU1 cash 0; 100 AAA @100; 9 PRIV @900", "AAA 100", policy, purpose=Purpose(raise_cash=Decimal("9_999.5"))
        )
    assert caught.value.code == "CASH_OUT_OF_REACH"
    assert "9,999.50 USD cannot be raised" in caught.value.message
    assert "9,999.00 would be there beyond the reserve" in caught.value.message


def test_a_plan_of_another_purpose_is_another_plan() -> None:
    text = "DU1 cash 0; 100 AAA @100"
    ids = {
        planned(text, "AAA 100", purpose=purpose).plan_id
        for purpose in (REBALANCE, BUY_ONLY, Purpose(raise_cash=Decimal(1)), Purpose(raise_cash=Decimal(2)))
    }
    assert len(ids) == 4
