"""Watches that are wrong in one way each, and the story that shows it: what the reckoning must catch.

A story is played twice: with the product as it is, when nothing may be found, and with its defect.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import pytest
from tests.support import event_defects
from tests.support.watch_scene import TRADES, Killed, Stage

from ibkr_rebalancer.core.events import Event
from ibkr_rebalancer.core.inbox import Entry, Step

Story = Callable[[Stage], Awaitable[None]]
Defect = Callable[[Stage, pytest.MonkeyPatch], None]

AGENDA = "ibkr_rebalancer.flows.watch.agenda"


class _Tap:
    """An inbox, but for what a subclass says otherwise."""

    def __init__(self, inbox: Any) -> None:
        self._inbox = inbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inbox, name)


class _OfThisProcess(_Tap):
    def __init__(self, inbox: Any) -> None:
        super().__init__(inbox)
        self._kept: set[str] = set()

    def keep(self, event: Event, accounts: Collection[Any]) -> Any:
        known = self._inbox.keep(event, accounts)
        if known is None:
            self._kept.add(event.event_id)
        return known

    def pending(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self._inbox.pending() if entry.event.event_id in self._kept)


class DyingAtTheEnd(_Tap):
    def take_steps(self, steps: Mapping[Entry, Step]) -> None:
        if any(step.run_id for step in steps.values()):
            raise Killed
        self._inbox.take_steps(steps)


class _WithoutRuns(_Tap):
    def newest_run(self, entry: Entry) -> None:
        """Whatever was done for it, nobody knows."""


# Stories


async def waits_for_the_gateway(stage: Stage) -> None:
    """An event, and a dry run after it, are kept by a process that ends before the gateway is there."""
    async with stage.watching():
        stage.lose_gateway()
        await asyncio.sleep(60)
        stage.say(TRADES)
        await asyncio.sleep(1)
        stage.say({})
        await asyncio.sleep(60)
    stage.find_gateway()
    async with stage.watching():
        await asyncio.sleep(120)


async def nobody_listens(stage: Stage) -> None:
    async with stage.watching():
        await asyncio.sleep(10)
    stage.say(TRADES)
    async with stage.watching():
        await asyncio.sleep(60)


async def comes_late(stage: Stage) -> None:
    """The socket brings the second event, and history the first one after it."""
    async with stage.watching():
        stage.say(TRADES, heard=False)
        await asyncio.sleep(10)
        stage.say(TRADES)
        await asyncio.sleep(60)
    async with stage.watching():
        await asyncio.sleep(60)


async def dies_before_it_says_so(stage: Stage) -> None:
    """The run has ended, and its process is killed before the inbox knows."""
    right, stage.tap = stage.tap, DyingAtTheEnd
    async with stage.watching():
        stage.say(TRADES)
        await asyncio.sleep(60)
    stage.tap = right
    async with stage.watching():
        await asyncio.sleep(60)


async def says_the_word(stage: Stage) -> None:
    async with stage.watching():
        stage.say("please rebalance")
        await asyncio.sleep(60)


# Defects


def forgets_on_restart(stage: Stage, _: pytest.MonkeyPatch) -> None:
    stage.tap = _OfThisProcess


def skips_catch_up(stage: Stage, _: pytest.MonkeyPatch) -> None:
    stage.channel.catches_up = False


def does_not_ask_what_was_done(stage: Stage, _: pytest.MonkeyPatch) -> None:
    stage.tap = _WithoutRuns


def lets_a_dry_run_displace(_: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AGENDA, event_defects.newest_of_any_mode_wins)


def carries_out_what_comes_late(_: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AGENDA, event_defects.forgets_what_was_carried_out)


def drops_without_a_word(_: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AGENDA, event_defects.drops_without_a_word)


def trades_on_any_word(_: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ibkr_rebalancer.core.events.mode_of", event_defects.looks_for_the_word)


DEFECTS: Collection[tuple[Defect, Story, str]] = [
    (forgets_on_restart, waits_for_the_gateway, "ended 0 times"),
    (skips_catch_up, nobody_listens, "missing"),
    (does_not_ask_what_was_done, dies_before_it_says_so, "carried out twice"),
    (lets_a_dry_run_displace, waits_for_the_gateway, "displaced by what does not trade"),
    (carries_out_what_comes_late, comes_late, "carried out after a newer one"),
    (drops_without_a_word, comes_late, "ended 0 times"),
    (trades_on_any_word, says_the_word, "traded without being asked"),
]
