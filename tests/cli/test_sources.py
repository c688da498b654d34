"""Targets from other sources than the seed's, from end to end: the same weights are the same orders at the venue."""

import json
from typing import Any

import pytest
from tests.cli.test_execute import placed
from tests.core.test_layout import TURING_TRADER
from tests.support.commands import FIRST, SECOND, Here
from tests.support.sandbox import events, order_messages

WEIGHTS = {"EDC": "21.41", "QLD": "17.79", "QQQ": "14.1", "BTAL": "28.17", "SPXL": "3.68", "TQQQ": "14.75"}
"""The packaged scenario's allocation `primary`, in percent."""


def planned(here: Here) -> list[tuple[str, str, int]]:
    """The orders that the first account's targets lead to."""
    (plan,) = here.run("plan", FIRST, "--json").document["plans"]
    assert plan["trades"]
    return [(trade["side"], trade["symbol"], trade["quantity"]) for trade in plan["trades"]]


def source(here: Here, **allocations: Any) -> None:
    """Let the first account have its targets from another source."""
    here.accounts(here.entry(FIRST, "primary", allocations=allocations))


def url(here: Here, name: str) -> str:
    return f"{here.sandbox.inside.allocations_url}/{name}"


def test_a_csv_source_is_carried_out(here: Here) -> None:
    meant = planned(here)
    lines = [f"{symbol}, {weight}%, of {symbol}" for symbol, weight in WEIGHTS.items()]
    (here.folder / "targets.csv").write_text("\r\n".join(["Ticker,Weight,Note", *lines]), encoding="utf-8")
    source(here, file="targets.csv", symbol="Ticker", weight="Weight", unit="percent")
    asked = len(events(here.sandbox.log, "allocation_request"))
    ended = here.run("execute", FIRST, "--yes", "--json")
    assert ended.exit_code == 0
    assert placed(here.sandbox.log) == meant
    assert len(events(here.sandbox.log, "allocation_request")) == asked
    told = here.run("runs", ended.document["runs"][0]["run_id"]).out
    assert "EDC 21.4%, QLD 17.8%, QQQ 14.1%" in told


def test_a_percent_source_is_carried_out(here: Here) -> None:
    meant = planned(here)
    holdings = [{"ticker": symbol, "pct": float(weight)} for symbol, weight in WEIGHTS.items()]
    body = {"portfolio": {"title": "Blend", "asOf": "2026-11-27", "holdings": holdings}}
    here.sandbox.change({"allocations": {"percent": body}})
    source(
        here,
        url=url(here, "percent"),
        rows="portfolio.holdings",
        symbol="ticker",
        weight="pct",
        unit="percent",
        name="portfolio.title",
        date="portfolio.asOf",
    )
    (plan,) = here.run("plan", FIRST, "--json").document["plans"]
    assert (plan["strategy"]["name"], plan["strategy"]["as_of"]) == ("Blend", "2026-11-27")
    assert here.run("execute", FIRST, "--yes").exit_code == 0
    assert placed(here.sandbox.log) == meant


def test_the_rows_of_turingtrader_are_planned(here: Here) -> None:
    """Its key is part of the url."""
    rows = [{"symbol": "SPY", "allocation": 0.6}, {"symbol": "TLT", "allocation": 0.4}]
    seed = {"status": "success", "data": {"allocations": rows}}
    here.sandbox.change({"allocations": {"primary": seed, "alloc": TURING_TRADER.decode()}})
    meant = planned(here)
    source(
        here,
        url=f"{url(here, 'alloc')}?id=open-sesame&pf=classic-60-40",
        rows="assetAllocation",
        symbol=1,
        weight=3,
        unit="percent",
        name="portfolio",
        date="rebalanceDate",
    )
    assert planned(here) == meant
    ended = here.run("plan", FIRST)
    assert "classic-60-40" in ended.out
    assert "sesame" not in ended.out + ended.err


def test_a_document_that_does_not_fit_trades_nothing(here: Here) -> None:
    here.sandbox.change({"allocations": {"percent": {"QQQ": "60%", "TLT": "60%"}}})
    source(here, url=url(here, "percent"), by_symbol=".", unit="percent")
    ended = here.run("execute", FIRST, "--yes", "--json")
    assert ended.exit_code == 24
    error = ended.document["error"]
    assert error["code"] == "ALLOCATION_SUM"
    assert "add up to 1.2, outside 0.99 to 1.01" in error["message"]
    assert not order_messages(here.sandbox.log)


def test_a_file_that_is_not_there_trades_nothing(here: Here) -> None:
    source(here, file="targets.csv")
    ended = here.run("execute", FIRST, "--yes", "--json")
    assert ended.exit_code == 23
    error = ended.document["error"]
    assert (error["code"], str(here.folder / "targets.csv") in error["message"]) == ("ALLOCATION_UNAVAILABLE", True)
    assert not order_messages(here.sandbox.log)


@pytest.mark.parametrize("given", ["variable", "file", ".env"])
def test_a_source_with_a_key_of_its_own(here: Here, given: str) -> None:
    """The key for all others is not even tried on it."""
    key = here.environment["ALLOCATIONS_API_KEY"]
    (here.folder / "key").write_text(key, encoding="utf-8")
    (here.folder / ".env").write_text(f"GROWTH_API_KEY={key}\n" if given == ".env" else "", encoding="utf-8")
    (here.folder / ".env").chmod(0o600)
    here.set(ALLOCATIONS_API_KEY="of-somebody-else")
    if given != ".env":
        name, text = {"variable": ("GROWTH_API_KEY", key), "file": ("GROWTH_API_KEY_FILE", "key")}[given]
        here.set(**{name: text})
    source(here, url=url(here, "primary"), api_key_env="GROWTH_API_KEY")
    assert here.run("plan", FIRST).exit_code == 0
    assert [record["authorized"] for record in events(here.sandbox.log, "allocation_request")] == [True]


def test_a_key_of_its_own_that_is_wrong_is_named_and_not_shown(here: Here) -> None:
    here.set(GROWTH_API_KEY="open-sesame", LOG_LEVEL="DEBUG")
    source(here, url=url(here, "primary"), api_key_env="GROWTH_API_KEY")
    ended = here.run("plan", FIRST)
    assert ended.exit_code == 23
    assert "Hint: Check GROWTH_API_KEY, and that it may read this allocation." in ended.err
    assert "sesame" not in ended.out + ended.err
    source(here, url=url(here, "open-sesame"), api_key_env="GROWTH_API_KEY")
    assert "open-sesame" not in here.run("accounts").out


def test_sources_are_listed(here: Here) -> None:
    here.accounts(
        here.entry(FIRST, "primary", allocations={"file": "targets.csv", "weight": "w"}),
        here.entry(SECOND, "secondary", allocations={"url": url(here, "x"), "by_symbol": "a.b", "unit": "percent"}),
    )
    assert f"file://{here.folder}/targets.csv" in here.run("accounts").out.replace("\n", "")
    listed = json.loads(here.run("accounts", "--json").out)["accounts"]
    assert [account["layout"]["by_symbol"] for account in listed] == [None, "a.b"]
    assert [account["layout"]["format"] for account in listed] == ["csv", "json"]
