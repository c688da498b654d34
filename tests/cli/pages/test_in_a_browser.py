"""Pages in a real browser, where the machine has one: they fit a phone and a desk, and ask nobody for anything."""

from pathlib import Path

import pytest
from tests.cli.pages.test_plan_page import PAGES
from tests.cli.pages.test_run_page import PARTIAL
from tests.support.browser import browser, find_browser

from ibkr_rebalancer.cli.pages import run_page

SHOWN = {name: PAGES[name] for name in ("plans", "errors")} | {"run-partial": run_page(PARTIAL, next_run=None)}
PHONE, DESK = 375, 1280


@pytest.mark.skipif(find_browser() is None, reason="there is no chromium on this machine")
async def test_pages_fit_every_width_and_stand_alone(tmp_path: Path) -> None:
    async with browser() as chromium:
        for name, text in SHOWN.items():
            path = tmp_path / f"{name}.html"
            path.write_text(text, encoding="utf-8")
            for width in (PHONE, DESK):
                async with chromium.page(path, width=width) as page:
                    assert await page.value("document.documentElement.scrollWidth") <= width, (name, width)
                    assert page.requests == [path.as_uri()]
                    assert await page.value(TOO_WIDE) == [], (name, width)


TOO_WIDE = """
[...document.querySelectorAll("section *:not(svg *, .unseen)")]
    .filter(each => each.getBoundingClientRect().right > each.closest("section").getBoundingClientRect().right)
    .filter(each => !each.closest(".cards thead"))
    .map(each => each.tagName + " " + each.textContent.slice(0, 40))
"""
"""What reaches beyond its card, where one would have to scroll to it."""
