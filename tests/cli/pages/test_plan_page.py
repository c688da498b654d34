"""What a page says of plans: all that the plan says, in figures and in bars, and nothing of it as markup."""

import re
from dataclasses import replace
from decimal import Decimal
from importlib import resources
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.test_run_looks import PLAN, RECORDS
from tests.support.html_page import Element, read_page
from tests.support.trading import planned

from ibkr_rebalancer.cli.pages import plans_page, run_page
from ibkr_rebalancer.cli.pages.bars import MOST_STEPS, STEPS, scale_for, share_bar
from ibkr_rebalancer.core.errors import AllocationRejected, RebalancerError
from ibkr_rebalancer.core.plan import Plan, Strategy
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.shown_text import shown_text

DU1, DU2 = AccountId("DU1"), AccountId("DU2")
_, KEPT = planned("DU2 cash 75 EUR 500; 60.5 AAA @100; 200 BBB @20; -5 GLD @10; 3 SPXP OPT @2", "AAA 60; BBB 40")
REJECTED = AllocationRejected("ALLOCATION_SUM", "The weights add up to 0.8.", hint="Tell its owner.")
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;&#60;b><!--\u202e]]>\x1b[31m"
ORDERS, WEIGHTS = "In the order of sending; sales first", "Parts of net liquidation"
SKIPPED, UNTOUCHED = "What the targets are about, and no order", "What is held and no plan trades"

PAGES = {
    "plan": plans_page({DU1: PLAN}),
    "plans": plans_page({DU1: PLAN, DU2: KEPT}),
    "errors": plans_page({DU1: REJECTED, DU2: KEPT}),
    **{f"run-{name}": run_page(record, next_run=after) for name, (record, after) in RECORDS.items()},
}


def page_of(plan: Plan | RebalancerError) -> Element:
    return read_page(plans_page({DU1: plan}))


def test_every_trade_is_there_with_its_figures() -> None:
    assert page_of(PLAN).tables[ORDERS] == [
        ["GLD", "SELL", "40", "380.00", "15,200.00", "1.00", "0.00", "40 → 0", "not in the targets"],
        ["OLD", "SELL", "100", "50.00", "5,000.00", "1.00", "0.00", "100 → 0", "not in the targets"],
        ["AAA", "BUY", "127", "100.00", "12,700.00", "1.00", "0.00", "0 → 127", "underweight by 59.84%"],
        ["BBB", "BUY", "422", "20.00", "8,440.00", "2.11", "0.00", "0 → 422", "underweight by 39.89%"],
    ]


def test_another_currency_is_told_with_its_prices_and_its_cash() -> None:
    _, plan = planned("DU1 cash 5_000 EUR 5_000; AAA @10; BBB EUR @9.99/10.01", "AAA 50; BBB 50")
    page = page_of(plan)
    rows = {row[0]: row[3:7] for row in page.tables[ORDERS]}
    assert rows["BBB"] == ["10.01 EUR", "5,230.22", "4.76 EUR", "4.75 EUR"]
    assert rows["AAA"] == ["10.00", "4,980.00", "2.49", "0.00"]
    dollars, euros = page.tables["Each in its own; none is converted"]
    assert dollars[:3] == ["USD", "", "5,000.00"]
    assert euros[:3] == ["EUR", "1.1", "5,000.00"]


def test_weights_stand_beside_their_bars_the_largest_first() -> None:
    assert page_of(PLAN).tables[WEIGHTS] == [
        ["AAA BUY 127", "", "0.0%", "59.8%", "59.9%"],
        ["BBB BUY 422", "", "0.0%", "39.9%", "39.8%"],
        ["GLD SELL 40", "", "71.7%", "0.0%", "0.0%"],
        ["OLD SELL 100", "", "23.6%", "0.0%", "0.0%"],
        ["Cash", "", "4.7%", "≥ 0.2%", "0.3%"],
    ]


def test_the_figures_of_the_whole_are_those_of_the_plan() -> None:
    assert page_of(PLAN).figures == {
        "Net liquidation": "21,200.00 USD",
        "Cash": "1,000.00 → 54.89reserve 52.99",
        "Orders": "42 SELL, 2 BUY",
        "Turnover": "195.0%",
        "Commission": "about 5.11",
        "Spread": "about 0.00",
        "Drift": "9,974\u00a0bp → 8\u00a0bp",
    }


def test_what_is_not_traded_is_there_with_its_reason() -> None:
    page = page_of(KEPT)
    assert not KEPT.trades
    assert "Nothing to do." in page.texts("p")
    assert ORDERS not in page.tables
    assert [row[0] for row in page.tables[SKIPPED]] == [skip.symbol for skip in KEPT.skips] == ["AAA", "BBB"]
    assert page.tables[SKIPPED][0] == ["AAA", "60.5", "100.00", KEPT.skips[0].reason]
    assert page.tables[UNTOUCHED] == [
        ["GLD", "STK", "-5", "-50.00 USD", "short positions are never traded"],
        ["SPXP", "OPT", "3", "6.00 USD", "OPT positions are never traded"],
    ]
    assert page.texts("li") == list(KEPT.remarks)
    assert len(KEPT.remarks) > 1


def test_a_holding_without_a_mark_shows_none() -> None:
    (row, *_) = page_of(replace(KEPT, untouched=(replace(KEPT.untouched[0], market_value=None),))).tables[UNTOUCHED]
    assert row[3] == "–"


def test_bars_show_what_stays_comes_and_goes() -> None:
    """On an axis to 80 %: 71.7 % of GLD go; of AAA 59.9 % come, and should be 59.8 %."""
    rows = {row.texts("th")[0]: row for row in _table(page_of(PLAN), WEIGHTS).all("tr")}
    assert _parts(rows["GLD SELL 40"]) == {"removed": ("0.000%", "89.623%")}
    assert _parts(rows["AAA BUY 127"]) == {"added": ("0.000%", "74.882%")}
    (mark, *_) = rows["AAA BUY 127"].of_class("target")
    assert mark.attributes["x1"] == "74.794%"
    cash = _parts(rows["Cash"])
    assert set(cash) == {"kept", "removed"}
    assert cash["kept"][1] == cash["removed"][0]


def test_a_bar_of_what_is_kept_and_sold_in_part_has_both() -> None:
    trade = replace(PLAN.trades[0], weight_before=Decimal("0.6"), weight_after=Decimal("0.2"))
    _, row, *_ = _table(page_of(replace(PLAN, trades=(trade,))), WEIGHTS).all("tr")
    assert _parts(row) == {"kept": ("0.000%", "33.333%"), "removed": ("33.333%", "66.667%")}


def test_debts_are_told_in_figures_and_have_no_bar() -> None:
    page = page_of(replace(PLAN, cash=Decimal(-2120), cash_after=Decimal(-212)))
    *_, cash = _table(page, WEIGHTS).all("tr")
    assert cash.texts("td") == ["", "-10.0%", "≥ 0.2%", "-1.0%"]
    assert _parts(cash) == {}


def test_a_bar_ends_where_its_scale_does() -> None:
    """Of 40 shares 80 were filled, which must never be: the figures say so, and the bar is full."""
    drawn = _parts(read_page(f"<!DOCTYPE html>\n<html >{share_bar(Decimal(80), Decimal(40)).html}</html>"))
    assert drawn == {"kept": ("0.000%", "100.000%")}


@given(st.lists(st.decimals(0, 20, places=4), max_size=5))
def test_every_figure_has_room_on_its_axis(figures: list[Decimal]) -> None:
    scale = scale_for(figures)
    assert scale.most >= max(figures, default=Decimal(0))
    assert 2 <= len(scale.lines) <= MOST_STEPS + 1
    assert {after - before for before, after in pairwise(scale.lines)} <= {*STEPS}
    assert scale.lines[0] == 0
    assert scale.lines[-1] == scale.most


def test_several_accounts_have_a_section_each_and_a_table_of_all() -> None:
    page = read_page(PAGES["errors"])
    assert page.texts("h1") == ["Plans for 2 accounts"]
    assert page.texts("h2") == ["All accounts", "Paper account DU1", "Paper account DU2"]
    (overview,) = (rows for caption, rows in page.tables.items() if caption.startswith("Drift"))
    assert overview == [
        ["DU1", "", "no plan: ALLOCATION_SUM", "", ""],
        ["DU2", "10,631.00 USD", "0", "0.0%", "515\u00a0bp → 515\u00a0bp"],
    ]
    ids = {element.attributes.get("id") for element in page.all("h2")}
    assert {link.attributes["href"].removeprefix("#") for link in page.all("a")} <= ids


def test_what_kept_an_account_from_its_plan_is_told() -> None:
    (error,) = page_of(REJECTED).of_class("error")
    said = ["Error: The weights add up to 0.8.", "Hint: Tell its owner.", "ALLOCATION_SUM, exit code 24"]
    assert error.texts("p") == said


def test_text_from_outside_stays_text() -> None:
    """Names of the source, symbols, reasons and remarks: what a browser reads of them is what they say."""
    hostile = replace(
        PLAN,
        strategy=Strategy(name=HOSTILE, strategy_long_name=HOSTILE, last_rebalance_on=HOSTILE, as_of=HOSTILE),
        plan_id=HOSTILE,
        currency=HOSTILE,
        trades=tuple(replace(trade, symbol=HOSTILE, reason=HOSTILE) for trade in PLAN.trades),
        skips=tuple(replace(skip, symbol=HOSTILE, reason=HOSTILE) for skip in KEPT.skips),
        untouched=tuple(
            replace(each, symbol=HOSTILE, security_type=HOSTILE, currency=HOSTILE, reason=HOSTILE)
            for each in KEPT.untouched
        ),
        remarks=(HOSTILE,),
    )
    harmless = replace(PLAN, skips=KEPT.skips, untouched=KEPT.untouched, remarks=("harmless",))
    page, expected = (read_page(plans_page({DU1: plan, DU2: REJECTED})) for plan in (hostile, harmless))
    assert [(each.tag, [*each.attributes]) for each in page.all()] == [
        (each.tag, [*each.attributes]) for each in expected.all()
    ]
    assert page.texts("li") == [shown_text(HOSTILE)]
    reasons = [row[-1] for row in page.tables[ORDERS]]
    assert reasons == [shown_text(HOSTILE)] * len(PLAN.trades)
    assert page.of_class("strategy")[0].text == f"{shown_text(HOSTILE)} of {shown_text(HOSTILE)}"


def test_errors_from_outside_stay_text_and_ids_stay_ids() -> None:
    account = AccountId(HOSTILE)
    error = AllocationRejected(HOSTILE, HOSTILE, hint=HOSTILE)
    page = read_page(plans_page({account: error, DU2: replace(KEPT, account=account)}))
    assert not {"script", "img"} & {element.tag for element in page.all()}
    (said,) = page.of_class("error")
    assert said.texts("p")[0] == f"Error: {shown_text(HOSTILE)}"
    assert shown_text(HOSTILE) in {element.attributes.get("id") for element in page.all()}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_nobody_for_anything_and_runs_nothing(name: str) -> None:
    page = read_page(PAGES[name])
    elements = [*page.all()]
    assert not {element.tag for element in elements} & {"script", "link", "img", "iframe", "object", "form", "base"}
    attributes = [(key, value) for element in elements for key, value in element.attributes.items()]
    assert not [key for key, _ in attributes if key.startswith("on") or key in {"src", "srcset", "style", "xlink:href"}]
    assert all(value.startswith("#") for key, value in attributes if key == "href")
    assert not [value for _, value in attributes if "://" in value]
    (style,) = page.texts("style")
    assert set(re.findall(r"url\(.*?\)", style)) == {"url(#hatch)"}
    assert "@import" not in style
    policies = [each for each in elements if each.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policies[0].attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_ear_and_with_keys(name: str) -> None:
    page = read_page(PAGES[name])
    (document,) = page.all("html")
    assert document.attributes["lang"] == "en"
    assert page.texts("title") == page.texts("h1")
    levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max([after - before for before, after in pairwise(levels)], default=0) <= 1
    for table in page.all("table"):
        assert len(table.texts("caption")) == 1
        heads, *rows = table.all("tr")
        assert all(head.attributes["scope"] == "col" and head.text for head in heads.all("th"))
        for row in rows:
            assert [head.attributes["scope"] for head in row.all("th")] == ["row"]
            assert len([*row.all("th", "td")]) == len([*heads.all("th")])
    drawn = [svg for svg in page.all("svg") if "head" not in svg.attributes["class"]]
    assert all(svg.attributes["aria-hidden"] == "true" for svg in drawn)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_pictures_stand_out_from_their_ground(theme: str) -> None:
    """WCAG 2.2: 4.5 for text, 3 for what a picture is made of."""
    style = (resources.files("ibkr_rebalancer.cli.pages") / "page.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    colours = light if theme == "light" else dark
    assert set(light) == set(dark)
    for name in ("ink", "dim", "buy", "sell", "bad", "good"):
        assert _contrast(colours[name], colours["card"]) >= 4.5, name
    for name in ("ink", "dim"):
        assert _contrast(colours[name], colours["ground"]) >= 4.5, name
    assert _contrast(colours["kept"], colours["card"]) >= 3


def _table(page: Element, caption: str) -> Element:
    (table,) = (table for table in page.all("table") if table.texts("caption") == [caption])
    return table


def _parts(row: Element) -> dict[str, tuple[str, str]]:
    """Where each part of its bar begins, and how long it is."""
    rects = [*row.all("rect")]
    return {rect.attributes["class"]: (rect.attributes["x"], rect.attributes["width"]) for rect in rects}


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
