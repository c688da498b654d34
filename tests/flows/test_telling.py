"""Who is told what of a watch, in virtual time: once per change, without ids, secrets and money."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.trading_scene import account
from tests.support.watch_scene import TRADES, Stage, play

from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.notifications import Level, Notification, Wishes
from ibkr_rebalancer.flows.telling import Teller
from ibkr_rebalancer.ports import Halt


class Told:
    """What was sent, and what was passed on."""

    def __init__(self, wishes: Wishes | None = None, clean: Callable[[str], str] = str) -> None:
        self.sent: list[tuple[str, str, bool]] = []
        self.heard: list[Notice] = []
        send = lambda title, text, is_problem: self.sent.append((title, text, is_problem))  # noqa: E731
        self.teller = Teller(wishes or Wishes(), send=send, clean=clean, observer=self)

    def notify(self, notice: Notice) -> None:
        self.heard.append(notice)

    @property
    def titles(self) -> list[str]:
        return [title.removeprefix("rebalancer: ") for title, _, _ in self.sent]


def told_of(notices: list[Notice], wishes: Wishes | None = None) -> list[str]:
    told = Told(wishes)
    for notice in notices:
        told.teller.notify(notice)
    assert told.heard == notices
    return told.titles


async def a_bad_day(stage: Stage) -> None:
    """The gateway goes and comes, twice; an event waits for it; trading is halted and resumed."""
    async with stage.watching():
        for _ in range(2):
            stage.lose_gateway()
            await asyncio.sleep(60)
            stage.find_gateway()
            await asyncio.sleep(120)
        stage.say(TRADES)
        await asyncio.sleep(60)
        journal = stage.scene.journal
        assert journal is not None
        journal.halt(Halt(at=stage.scene.ours.now(), reason="a test"))
        await asyncio.sleep(60)
        stage.say(TRADES)
        await asyncio.sleep(60)
        journal.resume(at=stage.scene.ours.now(), reason="enough")
        await asyncio.sleep(60)


TOLD = [
    *("the gateway is lost", "the gateway is back"),
    *("the gateway is lost", "the gateway is back"),
    "DU1 done",
    "trading is halted",
    "DU1 halted",
    "trading is resumed",
]


def notices_of(story: Callable[[Stage], object], folder: Path) -> list[Notice]:
    stage = Stage(folder)
    play(lambda: story(stage))  # type: ignore[arg-type,return-value]
    return stage.scene.notices.heard


def test_each_change_is_told_once(tmp_path: Path) -> None:
    notices = notices_of(a_bad_day, tmp_path)
    assert told_of(notices) == TOLD
    assert told_of(notices, Wishes(level=Level.PROBLEMS)) == [title for title in TOLD if title != "DU1 done"]


def test_a_teller_that_repeats_itself_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seeded defect: every notification is news."""

    def repeats(_: Notification, __: Notification | None) -> bool:
        return True

    monkeypatch.setattr("ibkr_rebalancer.flows.telling.is_news", repeats)
    assert told_of(notices_of(a_bad_day, tmp_path)) != TOLD


def test_what_waits_is_told_once_however_often_it_is_tried(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        async with stage.watching(account(), documents={"DU1": b"<html>"}):
            stage.say(TRADES)
            await asyncio.sleep(600)

    assert told_of(notices_of(story, tmp_path)) == ["DU1 deferred"]


def test_titles_and_texts_are_cleaned_and_short() -> None:
    told = Told(clean=lambda text: text.replace("s3cret", "***").replace("DU1", "DU…1"))
    told.teller.notify(Notice(event="gateway.down", text=f"s3cret of DU1 {'x' * 5000}"))
    ((title, text, is_problem),) = told.sent
    assert title == "rebalancer: the gateway is lost"
    assert text.startswith("*** of DU…1 xxx")
    assert len(text) == 1000
    assert is_problem


@pytest.mark.parametrize("text", [f"{'x' * 997}s3cret", "it costs 1.50s3cret", "s3cret-1,000.50 USD"])
def test_a_secret_is_taken_out_before_anything_is_cut_or_left_out(text: str) -> None:
    told = Told(clean=lambda text: text.replace("s3cret", "***"))
    told.teller.notify(Notice(event="gateway.down", text=text))
    ((_, sent, _),) = told.sent
    assert "s3c" not in sent
