"""The portfolios people really have, each carried out in the sandbox and judged by the venue's log."""

import asyncio
from decimal import Decimal

import pytest
from tests.cli.test_execute import placed
from tests.support.commands import FIRST, SECOND, Here
from tests.support.sandbox import received
from tests.support.schemas import check_document
from tests.support.terminal import on_terminal

from ibkr_rebalancer import Purpose, Rebalancer, Report, UsageError
from ibkr_rebalancer.sandbox.venue.document import Document

OPTION: Document = {"con_id": 900001, "sec_type": "OPT", "bid": "7.90", "ask": "8.10", "last": "8", "close": "8"}
QQQM: Document = {"con_id": 441909001, "bid": "251.70", "ask": "251.74", "last": "251.72", "close": "250.60"}


def decide(here: Here, account: str, allocation: str, **policy: object) -> None:
    """An accounts.yaml of this account alone, with these keys."""
    here.accounts(here.entry(account, allocation, **policy))


def hold(here: Here, account: str, *, cash: str | None = None, **positions: int | None) -> None:
    """Other holdings; None: not held any more."""
    holdings: Document = {"positions": dict(positions)}
    here.sandbox.change({"accounts": {account: holdings | ({"cash": cash} if cash else {})}})


def want(here: Here, **weights: float) -> None:
    """Other targets in `secondary`."""
    rows = [{"symbol": symbol, "allocation": weight} for symbol, weight in weights.items()]
    here.sandbox.change({"allocations": {"secondary": {"status": "success", "data": {"allocations": rows}}}})


def cash_of(here: Here, account: str) -> Decimal:
    """By the venue's own books."""
    return Decimal(here.sandbox.inside.state()["accounts"][account]["cash"]["USD"])


def done(here: Here, *arguments: str) -> list[tuple[str, str, int]]:
    """What a run that fills all its orders has placed at the venue; a second run finds nothing to do."""
    ended = here.run("execute", *arguments, "--yes", "--json")
    assert ended.exit_code == 0, ended.out
    check_document(ended.document)
    (run,) = ended.document["runs"]
    orders = placed(here.sandbox.log)
    assert run["outcome"] == "done"
    assert "Nothing to do." in here.run("execute", *arguments, "--yes").out
    assert placed(here.sandbox.log) == orders
    return orders


def sides(orders: list[tuple[str, str, int]]) -> dict[str, str]:
    return {symbol: side for side, symbol, _ in orders}


def test_an_excluded_fund_with_options_a_short_and_a_dead_holding(here: Here) -> None:
    """Only what the targets name is traded; the fund's worth is not invested by selling or borrowing."""
    here.sandbox.change({"market": {"QQQC": OPTION}})
    hold(here, SECOND, SPY=200, QQQC=2, GLD=-10, OLDCO=300)
    decide(here, SECOND, "secondary", exclude=["SPY"])
    (plan,) = here.run("plan", "--json").document["plans"]
    orders = done(here)
    assert sides(orders) == {"QQQ": "BUY", "TLT": "BUY"}
    reasons = {line["symbol"]: line["reason"] for line in plan["untouched"]}
    assert reasons.pop("OLDCO")  # the gateway's words for a share that nobody quotes
    assert reasons == {
        "GLD": "short positions are never traded",
        "QQQC": "OPT positions are never traded",
        "SPY": "excluded in accounts.yaml",
    }
    assert cash_of(here, SECOND) > Decimal("3780.60")  # what the short owes at least


def test_what_is_unlisted_is_kept_and_a_target_of_weight_0_is_sold(here: Here) -> None:
    want(here, QQQ=0.6, TLT=0.4, GLD=0)
    hold(here, SECOND, SPY=20, GLD=30)
    decide(here, SECOND, "secondary", unlisted="keep")
    assert sides(done(here)) == {"GLD": "SELL", "QQQ": "BUY", "TLT": "BUY"}


def test_a_substitution_set(here: Here) -> None:
    """QQQM is bought for QQQ, of which 25 shares count; for TQQQ half as much QLD is, and the rest stays cash."""
    here.sandbox.change({"market": {"QQQM": QQQM}})
    here.sandbox.change({"accounts": {FIRST: {"positions": {"SPY": None, "QQQ": 10}}}})
    decide(
        here,
        FIRST,
        "primary",
        substitutions={"QQQ": {"use": "QQQM"}, "TQQQ": {"use": "QLD", "scale": 0.5}},
    )
    net = Decimal(here.run("plan", "--json").document["plans"][0]["net_liquidation"])
    orders = done(here)
    assert not {"QQQ", "TQQQ"} & sides(orders).keys()
    bought = {symbol: count for side, symbol, count in orders if side == "BUY"}
    managed = net - 300 * Decimal("0.35")
    assert abs(bought["QQQM"] * Decimal("251.72") + 10 * Decimal("611.44") - Decimal("0.141") * managed) < 700
    assert abs(bought["QLD"] * Decimal("141.30") - (Decimal("0.1779") + Decimal("0.07375")) * managed) < 700
    assert abs(cash_of(here, FIRST) - Decimal("0.07375") * managed) < 700


def test_targets_that_leave_most_in_cash(here: Here) -> None:
    want(here, TLT=0.2)
    decide(here, SECOND, "secondary")
    refused = here.run("execute", "--yes")
    assert refused.exit_code == 24
    assert "the weights add up to 0.2, outside 0.99 to 1.01" in refused.err
    assert "`underweight: cash`" in refused.err
    decide(here, SECOND, "secondary", underweight="cash")
    assert sides(done(here)) == {"SPY": "SELL", "TLT": "BUY"}
    assert cash_of(here, SECOND) > 50_000


def test_a_deposit_invested_without_selling(here: Here) -> None:
    """SPY is not in the targets and QQQ is over its weight: both stay."""
    hold(here, SECOND, cash="9000", SPY=20, QQQ=60, TLT=40)
    assert sides(done(here, SECOND, "--buy-only")) == {"TLT": "BUY"}
    assert 0 < cash_of(here, SECOND) < 500


def test_who_invests_a_deposit_sells_nothing_also_when_the_plan_has_changed_at_the_prompt(here: Here) -> None:
    hold(here, SECOND, cash="9000", SPY=20, QQQ=60, TLT=40)
    with on_terminal(here, "execute", SECOND, "--buy-only") as terminal:
        terminal.err.until("Only purchases: nothing is sold")
        terminal.err.until("[y/N]")
        hold(here, SECOND, cash="12000", SPY=20)
        trades = here.run("plan", SECOND, "--buy-only", "--json").document["plans"][0]["trades"]
        worth = sum(Decimal(trade["notional"]) for trade in trades)
        terminal.type("y")
        terminal.err.until("Here is the new plan")
        terminal.err.until(f"worth {worth:,.0f} USD for DU789012 (paper)?")
        terminal.type("y")
        assert terminal.end() == 0
    assert len(placed(here.sandbox.log)) == len(trades) > 0
    assert {side for side, _, _ in placed(here.sandbox.log)} == {"BUY"}


def test_a_plan_from_a_file_has_a_purpose_of_its_own(here: Here) -> None:
    """A plan that would sell, made anew, does not make it stale; and nothing beside the file says what to do."""
    hold(here, SECOND, cash="9000", SPY=20, QQQ=60, TLT=40)
    assert here.run("plan", SECOND, "--buy-only", "-o", "plan.json").exit_code == 0
    for option in (["--buy-only"], ["--raise-cash", "5"]):
        ended = here.run("execute", "--plan", "plan.json", "--yes", *option)
        assert ended.exit_code == 2
        assert f"{option[0]} stands beside it" in ended.err
    assert here.run("execute", "--plan", "plan.json", "--yes").exit_code == 0
    assert sides(placed(here.sandbox.log)) == {"TLT": "BUY"}


def test_cash_raised_for_a_withdrawal(here: Here) -> None:
    """The market takes half a reserve of slippage, and the amount is there all the same."""
    decide(here, SECOND, "secondary")
    done(here)
    before = len(placed(here.sandbox.log))
    assert cash_of(here, SECOND) < 1_000
    ended = here.run("execute", SECOND, "--raise-cash", "20000", "--yes")
    assert ended.exit_code == 0
    raised = placed(here.sandbox.log)[before:]
    assert {side for side, _, _ in raised} == {"SELL"}
    assert cash_of(here, SECOND) > 20_000
    assert "Nothing to do." in here.run("execute", SECOND, "--raise-cash", "20000", "--yes").out


def test_more_cash_than_there_is_sends_nothing(here: Here) -> None:
    ended = here.run("execute", SECOND, "--raise-cash", "900000", "--yes")
    assert ended.exit_code == 11
    assert "900,000.00 USD cannot be raised" in ended.err
    assert not placed(here.sandbox.log)


def test_wishes_that_cannot_be_meant(here: Here) -> None:
    """Nobody is asked anything for them."""
    for options, message in (
        (["--buy-only", "--raise-cash", "5"], "--buy-only sells nothing, and --raise-cash sells for cash"),
        (["--raise-cash", "5k"], "--raise-cash is '5k'; it must be an amount above 0"),
        (["--raise-cash", "0"], "--raise-cash is '0'; it must be an amount above 0"),
        (["--raise-cash", "-5"], "--raise-cash is '-5'; it must be an amount above 0"),
        (["--raise-cash", "1e5"], "--raise-cash is '1e5'; it must be an amount above 0"),
        (["--raise-cash", "5000"], "5,000.00 in cash is to be raised, and DU123456, DU789012 are 2 accounts."),
    ):
        for command in (["plan"], ["execute", "--dry-run"], ["execute", "--yes"]):
            ended = here.run(*command, *options)
            assert ended.exit_code == 2
            assert message in ended.err
    assert here.run("watch", "--buy-only").exit_code == 2
    assert not received(here.sandbox.log)


@pytest.mark.usefixtures("here")
def test_a_library_cannot_raise_less_than_nothing() -> None:
    """It would take the reserve for money to invest."""

    async def plan() -> None:
        async with Rebalancer.open() as rebalancer:
            await rebalancer.plan(SECOND, purpose=Purpose(raise_cash=Decimal(-5_000)))

    with pytest.raises(UsageError, match="less than nothing cannot be"):
        asyncio.run(plan())


def test_a_plan_that_buys_only_is_carried_out_as_it_is_also_by_the_library(here: Here) -> None:
    hold(here, SECOND, cash="9000", SPY=20, QQQ=60, TLT=40)

    async def trade() -> Report:
        async with Rebalancer.open() as rebalancer:
            plan = await rebalancer.plan(SECOND, purpose=Purpose(buy_only=True))
            return await rebalancer.execute(plan, dry_run=False)

    assert asyncio.run(trade()).outcome == "done"
    assert sides(placed(here.sandbox.log)) == {"TLT": "BUY"}
