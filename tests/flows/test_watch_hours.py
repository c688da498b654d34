"""Watch while markets are closed: half days, holidays, Sundays, and venues that are not open at the same time."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.notation import allocation_body
from tests.support.watch_scene import TRADES, Stage, play

NEW_YORK = {
    "regular": "09:30-16:00 America/New_York",
    "days": {"2026-11-26": "closed", "2026-11-27": "09:30-13:00"},
}
"""Thanksgiving and the half day after it."""
LONDON = "08:00-16:30 Europe/London"
TOKYO = "09:00-15:30 Asia/Tokyo"

LATER = allocation_body({"AAA": Decimal(1)})
"""Targets that nobody knows yet when the event comes."""


def venues(other: object = NEW_YORK) -> Mapping[str, Any]:
    """AAA, which is held, trades in New York; BBB, which is wanted, there or elsewhere."""
    return {"AAA": {"hours": NEW_YORK}, "BBB": {"hours": other}, "CCC": {"hours": NEW_YORK}}


def at(day: str) -> datetime:
    """In November 2026 and UTC, such as `27 18:00`."""
    return datetime.fromisoformat(f"2026-11-{day.replace(' ', 'T')}:00+00:00")


@pytest.mark.parametrize(
    ("other", "said", "due"),
    [
        (NEW_YORK, "25 21:00", "27 14:35"),
        (NEW_YORK, "26 16:00", "27 14:35"),
        (NEW_YORK, "27 18:00", "30 14:35"),
        (NEW_YORK, "29 16:00", "30 14:35"),
        (LONDON, "25 17:00", "27 14:35"),
        (LONDON, "27 10:00", "27 14:35"),
        (LONDON, "27 17:00", "30 14:35"),
    ],
    ids=[
        "the eve of a holiday",
        "a holiday",
        "after an early close",
        "Sunday",
        "London has closed, and New York has a holiday",
        "London is open",
        "London has closed, New York is open",
    ],
)
def test_it_is_carried_out_when_all_are_open_next_also_by_the_next_process(
    tmp_path: Path, other: object, said: str, due: str
) -> None:
    """Looked at once when it comes and once when it is due, with the targets of then; a minute before, nothing."""

    async def story() -> None:
        stage = Stage(tmp_path, market=venues(other))
        await stage.let_pass_until(at(said))
        async with stage.watching():
            stage.say(TRADES)
            await asyncio.sleep(60)
            assert stage.ends() == ["MARKET_CLOSED"]
        async with stage.watching(documents={"DU1": LATER}):
            await stage.let_pass_until(at(due), minutes_before=1)
            assert stage.ends()[1:] == []
        async with stage.watching(documents={"DU1": LATER}):
            await stage.let_pass_until(at(due), minutes_before=-2)
        assert stage.ends()[1:] == ["done"]
        assert stage.scene.orders
        assert all(order.endswith("AAA") for order in stage.scene.orders)

    play(story)


def test_until_its_early_close_a_half_day_is_open(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path, market=venues())
        await stage.let_pass_until(at("27 17:55"))
        async with stage.watching():
            stage.say(TRADES)
            await asyncio.sleep(60)
        assert stage.ends() == ["done"]

    play(story)


def test_of_venues_that_are_never_open_together_nothing_is_traded(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path, market=venues(TOKYO))
        async with stage.watching():
            stage.say(TRADES)
            for _ in range(24):
                await stage.let_pass(2)
        assert stage.scene.orders == []
        assert set(stage.ends()) == {"MARKET_CLOSED"}

    play(story)


def test_what_trades_only_where_it_is_open_does_not_wait_for_other_venues(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path, market=venues(TOKYO))
        async with stage.watching(documents={"DU1": LATER}):
            stage.say(TRADES)
            await asyncio.sleep(60)
        assert stage.ends() == ["done"]

    play(story)
