"""What stops orders beside hours and limits: bad prices, holdings that are not ours, the orders of others."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.support.notation import NOW, con_id
from tests.support.trading import planned

from ibkr_rebalancer.core.checks import (
    require_adopted,
    require_no_foreign_orders,
    require_same,
    require_tradable_prices,
    tradable_prices,
)
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.orders import OpenOrder, OrderType
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot, TradingMode
from ibkr_rebalancer.core.quotes import DataKind, Prices

TEXT = "cash 1_000; 100 OLD @50; 300 AAA @10/10.10; BBB @20; 3 SPXP OPT @2; 5 KEPT @-"
TARGETS = "AAA 20; BBB 80"
DEFAULTS = Policy()
DELAYED_ALLOWED = Policy(order_type=OrderType.LIMIT, require_live_data=False)
FROZEN = {"data": DataKind.FROZEN}
DELAYED = {"data": DataKind.DELAYED}


def account(number: str, **changes: dict[str, Any]) -> tuple[Snapshot, Plan]:
    """The account with closes, planned, and then these changes of quotes by symbol."""
    read, plan = planned(f"{number} {TEXT}", TARGETS)
    quotes = {key: replace(quote, close=quote.bid) for key, quote in read.quotes.items()}
    for symbol, change in changes.items():
        quotes[con_id(symbol)] = replace(quotes[con_id(symbol)], **change)
    return replace(read, quotes=quotes), plan


def verdicts(number: str, policy: Policy = DEFAULTS, /, **changes: dict[str, Any]) -> dict[str, str]:
    """By symbol, the code of what keeps it from being traded."""
    read, plan = account(number, **changes)
    outcomes = {t.symbol: tradable_prices(t, snapshot=read, policy=policy) for t in plan.trades}
    return {symbol: outcome.code for symbol, outcome in outcomes.items() if isinstance(outcome, Refused)}


def refused(raised: pytest.ExceptionInfo[Refused]) -> tuple[str, str, str]:
    return raised.value.code, raised.value.message, raised.value.hint


def test_good_quotes_are_traded_at() -> None:
    """OLD is sold out, AAA is sold down, BBB is bought."""
    for number in ("DU1", "U1"):
        read, plan = account(number)
        assert [(t.symbol, t.is_exit) for t in plan.trades] == [("OLD", True), ("AAA", False), ("BBB", False)]
        require_tradable_prices(plan.trades, snapshot=read, policy=Policy())
        prices = tradable_prices(plan.trades[1], snapshot=read, policy=Policy())
        assert prices == Prices(bid=Decimal(10), ask=Decimal("10.10"), value=Decimal("10.05"), remark=None)


@pytest.mark.parametrize("symbol", ["OLD", "AAA", "BBB"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (FROZEN, "PRICE_NOT_LIVE"),
        (DELAYED, "PRICE_NOT_LIVE"),
        ({"data": DataKind.DELAYED_FROZEN}, "PRICE_NOT_LIVE"),
        ({"bid": None, "last": Decimal(10)}, "PRICE_MISSING"),
        ({"ask": None, "last": Decimal(10)}, "PRICE_MISSING"),
        ({"bid": Decimal(-1), "last": Decimal(10)}, "PRICE_MISSING"),
        ({"bid": Decimal(0), "last": Decimal(10)}, "PRICE_MISSING"),
        ({"ask": Decimal(0), "last": Decimal(10)}, "PRICE_MISSING"),
        ({"bid": Decimal(51), "ask": Decimal(50)}, "PRICE_CROSSED"),
    ],
)
def test_real_money_needs_a_live_market_on_both_sides_for_exits_too(
    symbol: str, change: dict[str, Any], code: str
) -> None:
    assert verdicts("U1", DEFAULTS, **{symbol: change}) == {symbol: code}


@pytest.mark.parametrize("symbol", ["OLD", "AAA", "BBB"])
@pytest.mark.parametrize(
    "change",
    [
        FROZEN,
        DELAYED,
        {"bid": None, "last": Decimal(10)},
        {"bid": Decimal(51), "ask": Decimal(50), "close": Decimal(50)},
    ],
)
def test_a_paper_account_takes_any_price(symbol: str, change: dict[str, Any]) -> None:
    assert verdicts("DU1", DEFAULTS, **{symbol: change}) == {}


@pytest.mark.parametrize("number", ["U1", "DU1"])
def test_without_any_price_nothing_is_traded_on_paper_either(number: str) -> None:
    read, plan = account(number)
    unquoted = replace(read, quotes={key: q for key, q in read.quotes.items() if key != con_id("OLD")})
    with pytest.raises(Refused) as caught:
        require_tradable_prices(plan.trades, snapshot=unquoted, policy=Policy())
    assert refused(caught) == (
        "PRICE_MISSING",
        "OLD has no price. None of the 3 orders was sent.",
        (
            "Check the market data subscription of this user (also that no other session holds it), "
            "and run the command again."
        ),
    )


def test_limit_orders_may_use_delayed_prices_where_the_owner_says_so() -> None:
    assert verdicts("U1", DELAYED_ALLOWED, BBB=DELAYED, OLD=DELAYED) == {}
    assert verdicts("U1", DELAYED_ALLOWED, BBB=FROZEN) == {"BBB": "PRICE_NOT_LIVE"}
    assert verdicts("U1", DELAYED_ALLOWED, BBB={"data": DataKind.DELAYED_FROZEN}) == {"BBB": "PRICE_NOT_LIVE"}
    assert verdicts("U1", Policy(order_type=OrderType.LIMIT), BBB=DELAYED) == {"BBB": "PRICE_NOT_LIVE"}
    assert verdicts("U1", Policy(require_live_data=False), BBB=DELAYED) == {"BBB": "PRICE_NOT_LIVE"}


@pytest.mark.parametrize("number", ["U1", "DU1"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bid": Decimal(10), "ask": Decimal(12)}, "LIMIT_MAX_SPREAD_PCT"),
        ({"close": Decimal(5)}, "LIMIT_MAX_GAP_PCT"),
        ({"received_at": NOW - timedelta(seconds=61)}, "LIMIT_MAX_QUOTE_AGE_S"),
    ],
)
def test_a_wide_gapped_or_old_quote_stops_all_but_exits(number: str, change: dict[str, Any], code: str) -> None:
    assert verdicts(number, BBB=change | {"close": change.get("close", Decimal(11))})["BBB"] == code
    assert verdicts(number, AAA=change)["AAA"] == code
    assert verdicts(number, OLD=change) == {}


def test_real_money_needs_a_previous_close_to_measure_a_gap_by() -> None:
    for close in (None, Decimal(0)):
        assert verdicts("U1", AAA={"close": close}, OLD={"close": close}) == {"AAA": "PRICE_MISSING"}
        assert verdicts("DU1", AAA={"close": close}) == {}


def test_a_share_below_a_dollar_has_a_price() -> None:
    penny = {"bid": Decimal("0.50"), "ask": Decimal("0.51"), "close": Decimal("0.49")}
    assert verdicts("U1", BBB=penny, OLD=penny, AAA=penny) == {}


HALTED = {"is_halted": True}


@pytest.mark.parametrize("number", ["U1", "DU1"])
@pytest.mark.parametrize("symbol", ["OLD", "AAA", "BBB"])
def test_what_is_halted_is_not_traded_not_even_to_be_rid_of_it_whatever_its_price(number: str, symbol: str) -> None:
    far = {"close": Decimal("0.01"), "data": DataKind.FROZEN, "received_at": NOW - timedelta(seconds=61)}
    for change in (HALTED, HALTED | far):
        assert verdicts(number, DEFAULTS, **{symbol: change}) == {symbol: "SYMBOL_HALTED"}


def test_all_symbols_that_are_halted_are_named() -> None:
    read, plan = account("DU1", OLD=HALTED, BBB=HALTED)
    with pytest.raises(Refused) as caught:
        require_tradable_prices(plan.trades, snapshot=read, policy=Policy())
    assert refused(caught) == (
        "SYMBOL_HALTED",
        "Trading in OLD is halted. Trading in BBB is halted. None of the 3 orders was sent.",
        "Run the command again when it trades; if that takes long, take it out of the targets.",
    )


def test_all_quotes_that_stop_a_plan_are_named() -> None:
    read, plan = account(
        "U1",
        OLD={"bid": Decimal(51), "ask": Decimal("50.5")},
        AAA={"close": None},
        BBB=DELAYED,
    )
    with pytest.raises(Refused) as caught:
        require_tradable_prices(plan.trades, snapshot=read, policy=Policy())
    assert refused(caught) == (
        "PRICE_CROSSED",
        (
            "OLD is quoted with bid 51 above ask 50.5. AAA has no previous close to compare its price with. "
            "The quote of BBB is delayed, and real money is at stake. None of the 3 orders was sent."
        ),
        "Run the command again in a minute.",
    )


def test_what_to_do_about_a_quote_is_told() -> None:
    read, plan = account("U1", BBB=DELAYED, AAA={"bid": Decimal("10.00"), "ask": Decimal("10.50")})
    hints = {
        t.symbol: outcome.hint
        for t in plan.trades
        if isinstance(outcome := tradable_prices(t, snapshot=read, policy=Policy()), Refused)
    }
    assert hints == {
        "BBB": "Subscribe this user to live data of its exchange; or, for delayed quotes, "
        "set order_type: limit and require_live_data: false.",
        "AAA": "Run the command again later; if this is how it trades, raise limits.max_spread_pct in accounts.yaml.",
    }


def test_real_holdings_that_were_never_traded_here_need_a_persons_word() -> None:
    _, plan = account("U1")
    with pytest.raises(Refused) as caught:
        require_adopted(plan, mode=TradingMode.LIVE, traded=frozenset(), adopted=frozenset())
    assert refused(caught) == (
        "FIRST_LIVE_SALE",
        "U1 would sell holdings that were not bought here: 100 OLD, 121 AAA. Nothing was sent.",
        "Run `rebalancer execute U1` on a terminal and confirm, or once with --adopt.",
    )


@pytest.mark.parametrize(
    ("traded", "adopted", "left"),
    [
        ({("OLD", Side.BUY)}, set(), "121 AAA"),
        ({("OLD", Side.SELL)}, set(), "121 AAA"),
        (set(), {"AAA"}, "100 OLD"),
        ({("OLD", Side.BUY)}, {"AAA"}, None),
        (set(), {"AAA", "OLD"}, None),
        ({("BBB", Side.BUY)}, {"BBB"}, "100 OLD, 121 AAA"),
    ],
)
def test_what_was_traded_or_adopted_may_be_sold(
    traded: set[tuple[str, Side]], adopted: set[str], left: str | None
) -> None:
    _, plan = account("U1")
    ours = frozenset((con_id(symbol), side) for symbol, side in traded)
    allowed = frozenset(con_id(symbol) for symbol in adopted)
    if left is None:
        require_adopted(plan, mode=TradingMode.LIVE, traded=ours, adopted=allowed)
        return
    with pytest.raises(Refused, match=f": {left}\\. Nothing"):
        require_adopted(plan, mode=TradingMode.LIVE, traded=ours, adopted=allowed)


def test_paper_is_free_and_purchases_need_nobody() -> None:
    _, plan = account("DU1")
    require_adopted(plan, mode=TradingMode.PAPER, traded=frozenset(), adopted=frozenset())
    purchases = replace(plan, trades=tuple(trade for trade in plan.trades if trade.side is Side.BUY))
    require_adopted(purchases, mode=TradingMode.LIVE, traded=frozenset(), adopted=frozenset())


def open_order(symbol: str, **changes: Any) -> OpenOrder:
    order = OpenOrder(
        order_ref="",
        account=AccountId("DU1"),
        con_id=con_id(symbol),
        symbol=symbol,
        side=Side.BUY,
        remaining=Decimal(7),
        status="Submitted",
        perm_id=9,
        client_id=0,
    )
    return replace(order, **changes)


def test_somebody_elses_order_in_what_is_managed_refuses() -> None:
    _, plan = account("DU1")
    theirs = [open_order("OLD", side=Side.SELL), open_order("BBB", order_ref="mine", client_id=8)]
    with pytest.raises(Refused) as caught:
        require_no_foreign_orders(plan, [open_order("ELSE"), *theirs])
    assert refused(caught) == (
        "FOREIGN_ORDER",
        (
            "Somebody else has orders open in what this plan manages: SELL 7 OLD (client 0), BUY 7 BBB (client 8). "
            "Nothing was sent."
        ),
        "Cancel them or wait until they are done, then run the command again.",
    )


def test_an_order_in_what_the_plan_only_skips_refuses_as_well() -> None:
    _, plan = planned("DU1 cash 10; 99 AAA @10", "AAA 100")
    assert [skip.symbol for skip in plan.skips] == ["AAA"]
    with pytest.raises(Refused, match=r"BUY 7 AAA \(client 0\)"):
        require_no_foreign_orders(plan, [open_order("AAA")])


@pytest.mark.parametrize(
    "order",
    [
        open_order("OLD", order_ref="rb1-abc-1"),
        open_order("OLD", account=AccountId("DU2")),
        open_order("SPXP"),
        open_order("KEPT"),
        open_order("ELSE"),
    ],
)
def test_our_own_orders_and_those_in_other_things_are_no_matter(order: OpenOrder) -> None:
    _, plan = account("DU1")
    require_no_foreign_orders(plan, [order])


def stale(plan: Plan, fresh: Snapshot, *, anew: Plan | None = None) -> str:
    with pytest.raises(Refused) as caught:
        require_same(plan, fresh, anew=anew or plan)
    assert caught.value.code == "PLAN_STALE"
    assert caught.value.hint == "Make a new plan, look at it, and carry out that one."
    head, tail = f"Plan {plan.plan_id} is stale: ", ". Nothing was sent."
    assert caught.value.message.startswith(head)
    assert caught.value.message.endswith(tail)
    return caught.value.message.removeprefix(head).removesuffix(tail)


def rewritten(*changes: tuple[str, str]) -> Snapshot:
    text = f"DU1 {TEXT}"
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return planned(text, TARGETS)[0]


def test_an_account_that_has_not_changed_is_the_same() -> None:
    read, plan = account("DU1")
    require_same(plan, read, anew=plan)
    require_same(plan, replace(read, taken_at=NOW + timedelta(minutes=5)), anew=plan)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("100 OLD", "95 OLD", "OLD position was 100, is now 95"),
        ("100 OLD", "100.5 OLD", "OLD position was 100, is now 100.5"),
        ("300 AAA", "AAA", "AAA position was 300, is now 0"),
        ("BBB @20", "1 BBB @20", "BBB position was 0, is now 1"),
        ("3 SPXP", "2 SPXP", "SPXP position was 3, is now 2"),
        ("5 KEPT @-", "5 KEPT @-; 4 MORE @3", "MORE position was 0, is now 4"),
        ("BBB @20", "BBB @20.11", "BBB ask was 20, is now 20.11"),
        ("OLD @50", "OLD @49.74", "OLD bid was 50, is now 49.74"),
        ("OLD @50", "OLD @-", "OLD bid was 50, is now missing"),
    ],
)
def test_what_changed_since_the_plan_is_named(old: str, new: str, told: str) -> None:
    _, plan = account("DU1")
    assert stale(plan, rewritten((old, new))) == told


@pytest.mark.parametrize(
    ("cash", "told"),
    [
        ("1_009.03", "cash was 1,000.00, is now 1,009.03"),
        ("990.97", "cash was 1,000.00, is now 990.97"),
    ],
)
def test_cash_may_move_by_a_thousandth_of_what_the_account_is_worth(cash: str, told: str) -> None:
    """9,026 in all, with the option and the holding that nobody quotes."""
    _, plan = account("DU1")
    assert plan.net_liquidation == 9_026
    assert stale(plan, rewritten(("cash 1_000", f"cash {cash}"))) == told
    for kept in ("1_009.026", "990.974", "1_009.02", "990.98"):
        require_same(plan, rewritten(("cash 1_000", f"cash {kept}")), anew=plan)


def test_cash_that_is_gone_is_a_change() -> None:
    read, plan = account("DU1")
    balances = replace(read.portfolio.balances, cash={"USD": Decimal(0), "EUR": Decimal(1_000)})
    assert stale(plan, replace(read, portfolio=replace(read.portfolio, balances=balances))) == (
        "cash was 1,000.00, is now 0.00; EUR cash was 0.00, is now 1,000.00"
    )


def test_prices_may_move_by_a_two_hundredth() -> None:
    _, plan = account("DU1")
    require_same(plan, rewritten(("OLD @50", "OLD @49.75/50"), ("BBB @20", "BBB @19/20.10")), anew=plan)


def test_all_changes_are_told_in_order() -> None:
    _, plan = account("DU1")
    fresh = rewritten(("300 AAA @10/10.10", "299 AAA @9/9.10"), ("100 OLD", "1 OLD"), ("cash 1_000", "cash 2_000"))
    assert stale(plan, fresh) == (
        "AAA position was 300, is now 299; OLD position was 100, is now 1; cash was 1,000.00, is now 2,000.00; "
        "AAA bid was 10, is now 9"
    )


@pytest.mark.parametrize(
    ("targets", "policy", "told"),
    [
        ("AAA 30; BBB 70", DEFAULTS, "AAA target was 0.2, is now 0.3; BBB target was 0.8, is now 0.7"),
        ("AAA 20; BBB 79.5", DEFAULTS, "BBB target was 0.8, is now 0.795"),
        ("BBB 100", DEFAULTS, "AAA target was 0.2, is now none; BBB target was 0.8, is now 1"),
        ("AAA 20; BBB 80; OLD 0", DEFAULTS, "OLD target was none, is now 0"),
        (TARGETS, Policy(min_gain_bp=Decimal(6)), "the settings of DU1 have changed"),
        (
            "AAA 20; BBB 80; OLD 0",
            DELAYED_ALLOWED,
            "the settings of DU1 have changed; OLD target was none, is now 0",
        ),
    ],
)
def test_other_targets_and_settings_are_changes_though_nothing_has_moved(
    targets: str, policy: Policy, told: str
) -> None:
    read, plan = planned(f"DU1 {TEXT}", TARGETS)
    _, anew = planned(f"DU1 {TEXT}", targets, policy)
    assert stale(plan, read, anew=anew) == told


def test_a_target_that_is_one_no_more_is_not_told_to_have_no_price() -> None:
    """It has none because nobody has asked; for another one that is a change of its own."""
    read, plan = planned(f"DU1 {TEXT}", TARGETS)
    _, anew = planned(f"DU1 {TEXT}", "AAA 100")
    unasked = replace(read, quotes={key: quote for key, quote in read.quotes.items() if key != con_id("BBB")})
    assert stale(plan, unasked, anew=anew) == "AAA target was 0.2, is now 1; BBB target was 0.8, is now none"
    assert stale(plan, unasked) == "BBB ask was 20, is now missing"


def test_a_contract_number_is_what_counts_not_the_symbol() -> None:
    read, plan = account("DU1")
    renamed = tuple(
        replace(h, position=replace(h.position, con_id=ConId(1))) if h.position.symbol == "OLD" else h
        for h in read.portfolio.holdings
    )
    told = stale(plan, replace(read, portfolio=replace(read.portfolio, holdings=renamed)))
    assert told == "OLD position was 0, is now 100; OLD position was 100, is now 0"
