"""The main job over the sandbox's venue: documents in, plans out, and one account's trouble is not another's."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.support.notation import allocation_body
from tests.support.scene import NOW, Scene

from ibkr_rebalancer.core.errors import AllocationUnavailable, GatewayUnavailable, RebalancerError, Refused
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.notices import Severity
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Account, Limits, Policy
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode

PLAIN = Policy(cash_reserve_pct=Decimal(0), min_gain_bp=Decimal(0))
"""The nearest whole share of every target."""
CHECK_FEED = (
    "Check the market data subscription of this user (also that no other session holds it), and run the command again."
)

SUBSCRIBE = "Subscribe to the exchange's data in Client Portal, or enable delayed data in the gateway."


def account(name: str = "DU1", policy: Policy = PLAIN) -> Account:
    url = f"http://127.0.0.1/allocations/{name}"
    return Account(account_id=AccountId(name), channel="targets", allocations_url=url, policy=policy)


def targets(**weights: str) -> bytes:
    return allocation_body({symbol: Decimal(weight) for symbol, weight in weights.items()})


def plan_of(outcome: Plan | RebalancerError) -> Plan:
    assert isinstance(outcome, Plan)
    return outcome


def refused(outcome: Plan | RebalancerError) -> tuple[type, str, str, str]:
    assert isinstance(outcome, RebalancerError)
    return type(outcome), outcome.code, outcome.message, outcome.hint


def trades(plan: Plan) -> list[tuple[str, int, str]]:
    return [(trade.side.value, trade.quantity, trade.symbol) for trade in plan.trades]


async def one_plan(scene: Scene, body: bytes, policy: Policy = PLAIN) -> Plan:
    (outcome,) = (await scene.plans({"DU1": body}, account(policy=policy))).values()
    return plan_of(outcome)


async def one_refusal(scene: Scene, body: bytes, policy: Policy = PLAIN) -> tuple[type, str, str, str]:
    (outcome,) = (await scene.plans({"DU1": body}, account(policy=policy))).values()
    return refused(outcome)


# The plan


@pytest.mark.parametrize(("cash", "bought"), [("10", 400), ("0", 399)], ids=["cash for commissions", "none"])
@pytest.mark.parametrize("cost", ["1", "100", "900"])
async def test_nine_to_one_becomes_even_whatever_it_cost(cost: str, cash: str, bought: int) -> None:
    """What is held counts at the market's price. At cost, 900 at 1 would look like next to nothing."""
    even = {"bid": "100", "ask": "100", "last": "100"}
    held = {"AAA": {"quantity": 900, "average_cost": cost}, "BBB": {"quantity": 100, "average_cost": "500"}}
    scene = Scene(market={"AAA": even, "BBB": even}, accounts={"DU1": {"cash": cash, "positions": held}})
    plan = await one_plan(scene, targets(AAA="0.5", BBB="0.5"))
    assert trades(plan) == [("SELL", 400, "AAA"), ("BUY", bought, "BBB")]
    assert [trade.weight_before for trade in plan.trades] == [
        pytest.approx(Decimal("0.9"), abs=Decimal("0.0001")),
        pytest.approx(Decimal("0.1"), abs=Decimal("0.0001")),
    ]
    assert plan.drift_after < Decimal("0.0015")


async def test_sales_are_sized_at_the_bid_and_purchases_at_the_ask() -> None:
    plan = await one_plan(Scene(), targets(BBB="1"))
    prices = {trade.symbol: trade.price for trade in plan.trades}
    assert prices == {"AAA": Decimal("99.99"), "BBB": Decimal("50.01")}
    assert {trade.symbol: trade.reason for trade in plan.trades}["AAA"] == "not in the targets"


async def test_a_target_of_weight_zero_is_sold_and_never_looked_up() -> None:
    """By its symbol, that is: it need not mean any contract, and where it is held its number is known."""
    scene = Scene(market={"TWO": [{"con_id": 301}, {"con_id": 302, "primary_exchange": "NYSE"}]})
    plan = await one_plan(scene, targets(AAA="0", BBB="1", NOPE="0", TWO="0"))
    looked_up, by_number = scene.asked_for("contracts")
    assert looked_up == (ContractQuery(symbol="BBB"),)
    assert by_number == (ContractQuery(symbol="AAA", con_id=ConId(101)),)
    (sale, _) = plan.trades
    assert (sale.symbol, sale.quantity, sale.reason) == ("AAA", 100, "target weight 0")


async def test_the_owners_contract_is_what_is_looked_up() -> None:
    scene = Scene(
        market={"TWO": [{"con_id": 301}, {"con_id": 302, "primary_exchange": "NYSE", "bid": "9", "ask": "9"}]}
    )
    named = {"TWO": ContractQuery(symbol="TWO", primary_exchange="NYSE")}
    plan = await one_plan(scene, targets(TWO="1"), replace(PLAIN, contracts=named))
    assert scene.asked_for("contracts")[0] == (named["TWO"],)
    assert {trade.symbol: trade.con_id for trade in plan.trades} == {"AAA": 101, "TWO": 302}


async def test_a_con_id_that_means_another_instrument_is_told() -> None:
    named = {"CCC": ContractQuery(symbol="CCC", con_id=ConId(102))}
    plan = await one_plan(Scene(), targets(CCC="1"), replace(PLAIN, contracts=named))
    assert {trade.symbol: trade.con_id for trade in plan.trades} == {"AAA": 101, "CCC": 102}
    assert "CCC means BBB (con_id 102, BETA)." in plan.remarks


async def test_another_contract_of_the_same_symbol_is_told_apart() -> None:
    twins = [
        {"con_id": 301, "bid": "10", "ask": "10"},
        {"con_id": 302, "primary_exchange": "NYSE", "bid": "9", "ask": "9"},
    ]
    scene = Scene(market={"TWO": twins}, accounts={"DU1": {"positions": {"AAA": None, "302": 7}}})
    named = {"TWO": ContractQuery(symbol="TWO", con_id=ConId(301))}
    plan = await one_plan(scene, targets(TWO="1"), replace(PLAIN, contracts=named))
    assert [(t.side.value, t.symbol, t.con_id, t.primary_exchange) for t in plan.trades] == [
        ("SELL", "TWO", 302, "NYSE"),
        ("BUY", "TWO", 301, "ARCA"),
    ]
    assert plan.trades[0].reason == "not in the targets, where TWO means another contract (ARCA, con_id 301)"


async def test_the_same_view_gives_the_same_plan_to_the_byte() -> None:
    first = await one_plan(Scene(), targets(AAA="0.3", BBB="0.7"))
    assert await one_plan(Scene(), targets(AAA="0.3", BBB="0.7")) == first
    assert (await one_plan(Scene(), targets(AAA="0.31", BBB="0.69"))).plan_id != first.plan_id
    dearer = Scene(market={"BBB": {"bid": "50.00"}})
    assert (await one_plan(dearer, targets(AAA="0.3", BBB="0.7"))).plan_id != first.plan_id


# Prices


async def test_delayed_prices_and_closes_are_taken_and_told() -> None:
    quiet = {"bid": None, "ask": None}
    scene = Scene(market={"AAA": {"data": "delayed"}, "BBB": quiet, "CCC": quiet | {"last": None}})
    plan = await one_plan(scene, targets(AAA="0.4", BBB="0.3", CCC="0.3"))
    assert [remark for remark in plan.remarks if remark.startswith("Priced")] == [
        "Priced by delayed bid and ask: AAA.",
        "Priced by live last price, for want of a market (no bid and ask): BBB.",
        "Priced by the previous close, for want of a market (no bid and ask) and a last price: CCC.",
    ]
    assert trades(plan) == [("SELL", 20, "AAA"), ("BUY", 120, "BBB"), ("BUY", 299, "CCC")]


@pytest.mark.parametrize(
    ("listing", "reason", "remedy"),
    [
        ({"data": "none"}, "market data are not subscribed (code 354)", SUBSCRIBE),
        (
            {"bid": None, "ask": None, "last": None, "close": None},
            "the gateway gave no bid and ask, no last price and no previous close",
            CHECK_FEED,
        ),
        (
            {"bid": "1", "ask": "199999.99", "last": None, "close": None},
            "the gateway gave bid 1 and ask 199999.99 more than 10% apart, no last price and no previous close",
            CHECK_FEED,
        ),
    ],
)
async def test_a_target_without_any_price(listing: dict[str, str | None], reason: str, remedy: str) -> None:
    assert await one_refusal(Scene(market={"BBB": listing}), targets(AAA="0.5", BBB="0.5")) == (
        Refused,
        "PRICE_MISSING",
        f"BBB is a target without a usable price: {reason}.",
        remedy,
    )


async def test_a_stub_of_a_quote_is_no_price_to_trade_at() -> None:
    """Eight shares quoted at 1.00 to 199,999.99 are not sold at 1.00."""
    plan = await one_plan(Scene(market={"AAA": {"bid": "1", "ask": "199999.99"}}), targets(AAA="0.5", BBB="0.5"))
    assert trades(plan) == [("BUY", 199, "BBB")]
    assert (
        "Priced by live last price, for want of a market (bid 1 and ask 199999.99 more than 10% apart): AAA."
        in plan.remarks
    )


async def test_a_holding_without_any_price_stays_and_blocks_nothing() -> None:
    scene = Scene(market={"CCC": {"data": "none"}}, accounts={"DU1": {"positions": {"CCC": 4}}})
    plan = await one_plan(scene, targets(AAA="0.5", BBB="0.5"))
    assert trades(plan) == [("BUY", 199, "BBB")]
    (dead,) = plan.untouched
    assert (dead.symbol, dead.quantity, dead.market_value) == ("CCC", Decimal(4), Decimal(80))
    assert dead.reason == f"market data are not subscribed (code 354). {SUBSCRIBE}"


@pytest.mark.parametrize(("seconds", "limit"), [(60, 60), (9.5, 10)])
async def test_a_quote_as_old_as_the_limit_will_do(seconds: float, limit: int) -> None:
    scene = Scene(meanwhile={"quotes": lambda: scene.clock.advance(seconds)})
    policy = replace(PLAIN, limits=Limits(max_quote_age_s=Decimal(limit)))
    assert trades(await one_plan(scene, targets(BBB="1"), policy))


async def test_a_quote_that_has_grown_old_by_the_time_all_is_together() -> None:
    scene = Scene(meanwhile={"quotes": lambda: scene.clock.advance(61)})
    assert await one_refusal(scene, targets(AAA="0.5", BBB="0.5")) == (
        Refused,
        "PRICE_STALE",
        ("AAA is a target without a usable price: its quote is 61 s old, the limit is 60 s (max_quote_age_s)."),
        "Run the command again; if the gateway stays that slow, raise max_quote_age_s under limits: in accounts.yaml.",
    )
    assert scene.questions.count("quotes") == 2


@pytest.mark.parametrize(("waited", "asked"), [(10, 1), (11, 2)])
async def test_quotes_do_not_become_too_old_by_waiting_for_others(waited: int, asked: int) -> None:
    """A dead share takes the gateway eleven seconds; what was there at once is then asked for again."""

    def dawdle() -> None:
        if scene.questions.count("quotes") == 1:
            scene.clock.advance(waited)

    dead = {"CCC": {"bid": None, "ask": None, "close": None}}
    scene = Scene(market=dead, accounts={"DU1": {"positions": {"CCC": 4}}}, meanwhile={"quotes": dawdle})
    limits = Limits(max_quote_age_s=Decimal(10))
    plan = await one_plan(scene, targets(AAA="0.5", BBB="0.5"), replace(PLAIN, limits=limits))
    batches = [[contract.symbol for contract in batch] for batch in scene.asked_for("quotes")]
    assert batches == [["AAA", "BBB", "CCC"], ["AAA", "BBB"]][:asked]
    assert [line.symbol for line in plan.untouched] == ["CCC"][: asked - 1]


# Hours


async def test_a_closed_market_is_told_with_its_next_opening() -> None:
    scene = Scene(clock="2026-11-25T22:00:00Z", market={"BBB": {"hours": "always"}})
    scene.clock.advance((scene.venue.scenario.clock - NOW).total_seconds())  # type: ignore[operator]  # it has a clock
    plan = await one_plan(scene, targets(BBB="0.6", CCC="0.4"))
    assert {trade.symbol for trade in plan.trades} == {"AAA", "BBB", "CCC"}
    (told,) = [remark for remark in plan.remarks if remark.startswith("Market closed")]
    assert told == "Market closed at 2026-11-25 22:00 UTC for AAA, CCC; next open 2026-11-26 14:30 UTC."


async def test_what_is_not_traded_may_be_closed() -> None:
    plan = await one_plan(Scene(market={"AAA": {"hours": "closed"}}), targets(AAA="0.5", BBB="0.5"))
    assert trades(plan) == [("BUY", 199, "BBB")]
    assert not [remark for remark in plan.remarks if "closed" in remark]


# Several accounts


async def test_each_account_has_its_own_trouble() -> None:
    gone = AllocationUnavailable("ALLOCATION_TIMEOUT", "Too late.", hint="Wait.")
    accounts = {f"DU{number}": {"cash": "10000"} for number in range(2, 8)}
    scene = Scene(
        accounts=accounts,
        market={"TWO": [{"con_id": 301}, {"con_id": 302, "primary_exchange": "NYSE"}], "DEAD": {"data": "none"}},
        meanwhile={"positions": lambda: scene.change(accounts={"DU7": {"positions": {"AAA": 1}}})},
    )
    documents: dict[str, bytes | AllocationUnavailable] = {
        "DU1": targets(AAA="0.5", BBB="0.5"),
        "DU2": gone,
        "DU3": targets(AAA="0.5"),
        "DU4": targets(NOPE="1"),
        "DU5": targets(TWO="1"),
        "DU6": targets(DEAD="1"),
        "DU7": targets(AAA="1"),
        "DU8": targets(AAA="1"),
        "DU9": b"<html>",
    }
    outcomes = await scene.plans(documents, *(account(name) for name in documents))
    assert list(outcomes) == list(documents)
    assert trades(plan_of(outcomes[AccountId("DU1")]))
    assert outcomes[AccountId("DU2")] is gone
    assert {name: refused(outcome)[1] for name, outcome in outcomes.items() if name not in {"DU1", "DU2"}} == {
        "DU3": "ALLOCATION_SUM",
        "DU4": "CONTRACT_UNKNOWN",
        "DU5": "CONTRACT_AMBIGUOUS",
        "DU6": "PRICE_MISSING",
        "DU7": "SNAPSHOT_INCONSISTENT",
        "DU8": "ACCOUNT_NOT_MANAGED",
        "DU9": "ALLOCATION_INVALID",
    }


async def test_nothing_is_asked_about_accounts_without_targets() -> None:
    gone = AllocationUnavailable("ALLOCATION_TIMEOUT", "Too late.", hint="Wait.")
    scene = Scene(accounts={"DU2": {"cash": "1"}})
    await scene.plans({"DU1": gone, "DU2": targets(AAA="1")}, account("DU1"), account("DU2"))
    assert scene.asked_for("portfolio") == ["DU2"]


async def test_without_any_targets_the_gateway_is_left_alone() -> None:
    scene = Scene()
    (outcome,) = (await scene.plans({"DU1": b""}, account())).values()
    assert refused(outcome)[1] == "ALLOCATION_INVALID"
    assert scene.questions == []


@pytest.mark.parametrize("count", [1, 50])
async def test_one_batch_of_quotes_for_all_accounts(count: int) -> None:
    names = [f"DU{number}" for number in range(1, count + 1)]
    scene = Scene(accounts={name: {"cash": "1000", "positions": {"AAA": 5}} for name in names})
    outcomes = await scene.plans(dict.fromkeys(names, targets(BBB="1")), *map(account, names))
    assert all(trades(plan_of(outcome)) for outcome in outcomes.values())
    assert (scene.questions.count("quotes"), scene.questions.count("contracts")) == (1, 2)
    assert scene.questions.count("portfolio") == count


async def test_a_lost_gateway_ends_it_for_all() -> None:
    def fail() -> None:
        raise GatewayUnavailable("LINK_DOWN", "The gateway is gone.", hint="Start it.")

    scene = Scene(meanwhile={"quotes": fail})
    with pytest.raises(GatewayUnavailable, match="The gateway is gone"):
        await scene.plans({"DU1": targets(AAA="1")}, account())


async def test_live_clocks_that_disagree_end_it_for_all() -> None:
    scene = Scene(accounts={"DU1": None, "U1": {"cash": "10000"}})
    scene.clock.advance(10)
    with pytest.raises(Refused) as caught:
        await scene.plans({"U1": targets(AAA="1")}, account("U1"), mode=TradingMode.LIVE)
    assert caught.value.code == "CLOCK_SKEW"


async def test_the_whole_story_is_told_in_order() -> None:
    scene = Scene(accounts={"DU2": {"cash": "1000"}})
    documents = {"DU1": targets(AAA="1"), "DU2": targets(BBB="1")}
    await scene.plans(documents, account("DU1"), account("DU2"))
    assert [(notice.event, notice.text, notice.account) for notice in scene.notices.heard] == [
        ("allocation.fetch", "Fetching the targets of DU1", "DU1"),
        ("allocation.fetch", "Fetching the targets of DU2", "DU2"),
        ("clock.ask", "Asking the gateway for the time", None),
        ("contracts.lookup", "Looking up 2 contracts", None),
        ("positions.list", "Listing positions", None),
        ("account.read", "Reading DU1", "DU1"),
        ("account.read", "Reading DU2", "DU2"),
        ("quotes.request", "Asking for 2 quotes", None),
    ]
    assert {notice.severity for notice in scene.notices.heard} == {Severity.STEP}
