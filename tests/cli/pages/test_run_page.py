"""What a page says of a run: its end in words, its fills beside its plan, what was not sent, every order's story."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.cli.pages.test_plan_page import HOSTILE
from tests.cli.test_run_looks import (
    ALL_FILLED,
    CANCELLED,
    FILLED_GLD,
    PLAN,
    QUANTITIES,
    RECORDS,
    REPORTS,
    STUCK_OLD,
    bought,
    orders,
    record,
)
from tests.support.html_page import Element, read_page
from tests.support.trading import error, sent

from ibkr_rebalancer.cli.pages import run_page
from ibkr_rebalancer.cli.pages.fills import slippage
from ibkr_rebalancer.core.errors import Deferred
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.report import OrderReport
from ibkr_rebalancer.core.shown_text import shown_text
from ibkr_rebalancer.ports import RunRecord

FILLS = "Slippage is measured from the plan's price: the bid for a sale, the ask for a purchase"
UNSENT = "Planned, and not sent or not all of it"
PARTIAL = record(
    *orders(GLD=FILLED_GLD, OLD=(*STUCK_OLD, CANCELLED), BBB=bought("BBB", QUANTITIES["BBB"], "20.01", 4)),
    report=REPORTS["partial"],
)


def page_of(told: RunRecord, next_run: RunRecord | None = None) -> Element:
    return read_page(run_page(told, next_run=next_run))


def test_fills_stand_beside_what_was_planned() -> None:
    assert page_of(PARTIAL).tables[FILLS] == [
        ["GLD", "SELL", "", "40", "40", "40", "380.00", "379.90", "4.00 worse, 2.6\u00a0bp", "1.00", "filled"],
        [
            *("OLD", "SELL", "", "100", "100", "60", "50.00", "49.90", "6.00 worse, 20.0\u00a0bp", "1.00"),
            "cancelled not filled in full within 120 s, so we cancelled it",
        ],
        [
            *("AAA", "BUY", "", "127", "–", "–", "100.00", "", "", ""),
            "not sent The spread of AAA is 4.00 %, over the limit of 3 % (limits.max_spread_pct).",
        ],
        ["BBB", "BUY", "", "422", "422", "422", "20.00", "20.01", "4.22 worse, 5.0\u00a0bp", "1.00", "filled"],
    ]


def test_fills_come_to_the_figures_of_the_whole() -> None:
    figures = page_of(PARTIAL).figures
    assert {name: figures[name] for name in ("Sold", "Bought", "Cash moved", "Slippage")} == {
        "Sold": "18,190.00",
        "Bought": "8,444.22",
        "Cash moved": "+9,742.78 USD",
        "Slippage": "14.22 worse, 5.3\u00a0bp",
    }
    assert "3.00, planned 5.11" in page_of(PARTIAL).texts("dd")


def test_what_was_not_sent_is_told_with_its_reason() -> None:
    why = "The spread of AAA is 4.00 %, over the limit of 3 % (limits.max_spread_pct)."
    assert page_of(PARTIAL).tables[UNSENT] == [["AAA", "BUY", "127", "0", why]]
    assert UNSENT not in page_of(RECORDS["done"][0]).tables
    resolved, after = RECORDS["resolved"]
    assert [row[0:4] for row in page_of(resolved, after).tables[UNSENT]] == [
        ["AAA", "BUY", "127", "0"],
        ["BBB", "BUY", "422", "0"],
    ]


def test_an_order_of_which_less_was_sent_is_among_what_was_not() -> None:
    report = REPORTS["partial"]
    (cut,) = report.adjustments
    some = replace(report.orders[-1], symbol="AAA", con_id=cut.con_id, quantity=100, filled=100)
    page = page_of(replace(PARTIAL, report=replace(report, orders=(*report.orders, some))))
    assert page.tables[UNSENT] == [["AAA", "BUY", "127", "100", cut.reason]]


def test_what_can_be_done_about_refused_orders_is_told() -> None:
    report = REPORTS["rejected"]
    remedies = [f"For {order.symbol}: {order.remedy}" for order in report.orders if order.remedy]
    assert len(remedies) == 2
    assert [text for text in page_of(record(report=report)).texts("li") if text.startswith("For ")] == remedies


def test_what_nobody_has_told_is_unknown() -> None:
    page = page_of(record(*ALL_FILLED, report=REPORTS["untold"]))
    *_, aaa, bbb = page.tables[FILLS]
    assert aaa[7:10] == ["100.02", "2.54 worse, 2.0\u00a0bp", "unknown"]
    assert bbb[7:10] == ["unknown", "unknown", "unknown"]
    assert [page.figures[name] for name in ("Bought", "Cash moved", "Slippage")] == ["unknown"] * 3
    assert "Found out later: BUY 127 AAA is filled, 127 of 127 shares filled at 100.02, commission 1.00." in page.text


@pytest.mark.parametrize(
    ("side", "average", "cost"),
    [(Side.BUY, "50.10", "6.00"), (Side.BUY, "49.90", "-6.00"), (Side.SELL, "50.10", "-6.00"), (Side.SELL, "50", "0")],
)
def test_slippage_is_what_the_fills_cost_beyond_the_plan(side: Side, average: str, cost: str) -> None:
    trade = replace(PLAN.trades[1], side=side, price=Decimal(50))
    assert slippage(trade, _filled(60, Decimal(average))) == Decimal(cost)


def test_there_is_no_slippage_without_a_fill_and_none_known_without_a_price() -> None:
    assert slippage(PLAN.trades[1], _filled(0, None)) == 0
    assert slippage(PLAN.trades[1], _filled(60, None)) is None


@pytest.mark.parametrize(
    ("name", "said", "kind"),
    [
        ("done", "Done: all 4 orders are filled.", "well"),
        ("refused", "Nothing was sent.", "ill"),
        ("open", "It has no end in the journal: it is still at work, or its process died.", "ill"),
        (
            "resolved",
            "Unknown: nobody can say what became of 1 order. 1 of 4 orders filled in full, 649 shares are missing.",
            "ill",
        ),
    ],
)
def test_the_end_is_told_in_words(name: str, said: str, kind: str) -> None:
    (end,) = page_of(*RECORDS[name]).of_class("outcome")
    assert end.texts("strong")[0] == said
    assert end.attributes["class"].split()[-1] == kind


def test_what_stood_in_the_way_is_told_with_what_to_do() -> None:
    (end,) = page_of(*RECORDS["resolved"]).of_class("outcome")
    assert end.texts("p")[1:] == [
        "Ended 2026-11-23 15:32:10 UTC, exit code 13.",
        "Why: Nobody can say what became of one order. (ORDER_UNKNOWN)",
        "Hint: Look for it in TWS:",
    ]
    (later,) = end.texts("li")
    assert later.startswith("Found out later: SELL 100 OLD is cancelled, 40 of 100 shares filled")


def test_a_run_that_died_shows_the_fills_that_are_known_since() -> None:
    page = page_of(*RECORDS["died"])
    assert page.of_class("outcome")[0].text.startswith("Its process died. Run 20261123T160000Z-ab0123456789, begun")
    assert [row[5] for row in page.tables[FILLS]] == ["40", "100", "–", "–"]


def test_a_run_that_was_refused_has_no_fills_and_no_plan() -> None:
    page = page_of(*RECORDS["refused"])
    assert page.tables == {}
    (why,) = page.of_class("error")
    assert why.texts("p")[0] == "Error: Market closed for AAA. None of the 4 orders was sent."
    assert "none kept; the run ended before it had a plan" in page.texts("dd")


def test_a_run_that_was_declined_says_that_nothing_was_sent() -> None:
    page = page_of(record(report=REPORTS["declined"]))
    assert page.of_class("outcome")[0].texts("strong") == ["Declined: nothing was sent."]
    assert FILLS not in page.tables


def test_every_order_is_told_as_it_was_heard() -> None:
    page = page_of(PARTIAL)
    stories = page.of_class("order")
    assert [story.texts("h3")[0] for story in stories] == ["SELL 40 GLD", "SELL 100 OLD", "BUY 422 BBB"]
    assert stories[0].texts("li") == [
        "2026-11-23 15:30:01 sent to the gateway",
        "2026-11-23 15:30:01 Interactive Brokers has it (PreSubmitted)",
        "2026-11-23 15:30:02 40 filled at 379.90, commission 1.00",
    ]
    assert "We want it cancelled" not in page.text
    assert "we want it cancelled: not filled in full within 120 s" in stories[1].text


def test_the_brokers_words_stay_text() -> None:
    rejected = orders(GLD=(sent(1), error(2, 201, HOSTILE)))
    refusal = Deferred(HOSTILE, HOSTILE, hint=HOSTILE)
    start = replace(PARTIAL.start, run_id=HOSTILE, trigger=HOSTILE, config_digest=HOSTILE, code_version=HOSTILE)
    for told in (record(*rejected, start=start), record(start=start, refusal=refusal)):
        page = page_of(told)
        assert shown_text(HOSTILE) in page.text
        assert not {"script", "img"} & {each.tag for each in page.all()}


def _filled(filled: int, average: Decimal | None) -> OrderReport:
    return replace(REPORTS["done"].orders[0], filled=filled, average_price=average)
