"""Accounts with money in several currencies, from the command to the venue's own log: none of it becomes a loan."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from tests.support.commands import SECOND, Here
from tests.support.sandbox import events
from tests.support.schemas import check_document

from ibkr_rebalancer.sandbox.log import Record

RATE = Decimal("1.08")
"""What a euro is worth in dollars."""
VWCE = {
    "con_id": 252, "currency": "EUR", "primary_exchange": "IBIS2", "name": "VANGUARD FTSE ALL-WORLD",
    "bid": "129.90", "ask": "130.00", "last": "129.95", "close": "129.50",
}  # fmt: skip


def kept_in_euros(here: Here, *, kind: str = "CASH", cash: Mapping[str, str], positions: Mapping[str, int]) -> None:
    """The second account has its books in euros, with this cash and these holdings; VWCE trades in euros."""
    gone = dict.fromkeys(("SPY", "QQQ", "TLT"))
    account = {"type": kind, "currency": "EUR", "cash": dict(cash), "positions": {**gone, **positions}}
    here.sandbox.change({"market": {"VWCE": VWCE}, "rates": {"EURUSD": str(RATE)}})
    here.sandbox.change({"accounts": {SECOND: account}})
    here.accounts(here.entry(SECOND, "secondary", contracts={"VWCE": {"con_id": VWCE["con_id"]}}))


def aim(here: Here, **weights: float) -> None:
    rows = [{"symbol": symbol, "allocation": weight} for symbol, weight in weights.items()]
    here.sandbox.change({"allocations": {"secondary": {"status": "success", "data": {"allocations": rows}}}})


def lowest(log: list[Record], cash: Mapping[str, str]) -> dict[str, Decimal]:
    """The least that each currency had at any time, by the venue's executions and charges."""
    has = {currency: Decimal(amount) for currency, amount in cash.items()}
    least = dict(has)
    for row in events(log):
        if row["event"] not in {"execution", "commission"}:
            continue
        currency = "EUR" if row["symbol"] == "VWCE" else "USD"
        if row["event"] == "execution":
            paid = Decimal(row["quantity"]) * Decimal(row["price"])
            has[currency] += paid if row["side"] == "SELL" else -paid
        else:
            assert row["currency"] == currency
            has[currency] -= Decimal(row["commission"])
        least[currency] = min(least[currency], has[currency])
    return least


def executed(here: Here) -> dict[str, Any]:
    """The one run of `execute --yes`, done."""
    ended = here.run("execute", SECOND, "--yes", "--json")
    assert ended.exit_code == 0, ended
    check_document(ended.document)
    (run,) = ended.document["runs"]
    assert isinstance(run, dict)
    return run


def filled(run: Mapping[str, Any]) -> dict[str, int]:
    return {o["symbol"]: o["filled"] if o["side"] == "BUY" else -o["filled"] for o in run["orders"]}


@pytest.mark.parametrize("kind", ["CASH", "MARGIN"])
def test_an_account_in_euros_buys_etfs_in_dollars_with_its_dollars(here: Here, kind: str) -> None:
    cash = {"EUR": "150", "USD": "62400"}
    kept_in_euros(here, kind=kind, cash=cash, positions={"SPY": 20})
    plan = here.run("plan", SECOND, "--json").document["plans"][0]
    run = executed(here)
    assert run["outcome"] == "done"
    assert filled(run) == {t["symbol"]: t["quantity"] if t["side"] == "BUY" else -t["quantity"] for t in plan["trades"]}
    assert filled(run)["SPY"] == -20
    assert {(t["currency"], t["rate"]) for t in plan["trades"]} == {("USD", plan["trades"][0]["rate"])}
    euros, dollars = plan["cash_by_currency"]
    least = lowest(here.sandbox.log, cash)
    assert least["EUR"] == 150 == Decimal(euros["cash_after"])
    assert Decimal(0) <= least["USD"] < 1_000
    assert least["USD"] == Decimal(dollars["cash_after"])
    weights = {trade["symbol"]: Decimal(trade["weight_after"]) for trade in plan["trades"]}
    assert abs(weights["QQQ"] - Decimal("0.6")) < Decimal("0.01")
    assert executed(here)["outcome"] == "nothing-to-do"


def test_dollars_that_lack_are_named_with_the_euros_to_convert(here: Here) -> None:
    """Everything is wanted in dollars, the reserve too: the 10,000 there are spent, all euros but the costs lack."""
    cash = {"EUR": "50000", "USD": "10000"}
    kept_in_euros(here, cash=cash, positions={})
    (plan,) = here.run("plan", SECOND, "--json").document["plans"]
    (remark,) = [text for text in plan["remarks"] if "convert about" in text]
    assert remark == (
        "USD lacks cash for its targets, and no currency is converted here: convert about 49,995.59 EUR to USD, "
        "which gives about 53,995.23 USD."
    )
    assert "50,000.00 EUR in cash buys nothing: nothing that is managed is in EUR." in plan["remarks"]
    shown = here.run("plan", SECOND).out
    assert "Cash by currency" in shown
    assert "611.45 USD" in shown
    run = executed(here)
    assert set(filled(run)) == {"QQQ", "TLT"}
    least = lowest(here.sandbox.log, cash)
    assert least["EUR"] == 50_000
    assert 0 <= least["USD"] < 700  # a share of QQQ, and the reserve
    assert executed(here)["outcome"] == "nothing-to-do"


def test_a_loan_in_dollars_is_paid_back_by_sales_in_dollars_while_euros_buy_what_is_in_euros(here: Here) -> None:
    cash = {"EUR": "20000", "USD": "-3000"}
    kept_in_euros(here, kind="MARGIN", cash=cash, positions={"SPY": 20, "QQQ": 20})
    aim(here, QQQ=0.4, VWCE=0.6)
    run = executed(here)
    assert filled(run)["SPY"] == -20
    assert filled(run)["VWCE"] > 0
    least = lowest(here.sandbox.log, cash)
    assert least["USD"] == -3_000
    assert least["EUR"] >= 0
    (plan,) = here.run("plan", SECOND, "--json").document["plans"]
    assert plan["trades"] == []
    assert all(Decimal(line["cash"]) >= Decimal(line["cash_reserve"]) for line in plan["cash_by_currency"])
    told = here.run("runs", run["run_id"]).out
    assert "EUR" in told
    assert "USD" in told
