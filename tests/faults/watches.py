"""The rows of the fault catalogue that are watch's: what befalls events, and those who wait for them."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from tests.faults.cases import Row, Watched
from tests.support.payloads import strange_payload
from tests.support.trading_scene import DU1, account
from tests.support.watch_defects import comes_late, nobody_listens
from tests.support.watch_scene import DU2, TRADES, Stage

from ibkr_rebalancer.core.policy import Account

Story = Callable[[Stage], Awaitable[None]]

TRADED = ("SELL 1 AAA", "BUY 200 BBB")
CENTURY_H = 100 * 365 * 24

STRANGE = 20
"""Payloads that are no wish for a rebalance; ten thousand of them are for others."""


def said(*events: object, age_h: float = 0, channel: str = "rebalance-DU1") -> Story:
    """One after the other, each once the one before has been dealt with."""

    async def story(stage: Stage) -> None:
        async with stage.watching():
            for data in events:
                stage.say(data, age_h=age_h, channel=channel)
                await asyncio.sleep(60)

    return story


def gateway_away(hours: float) -> Story:
    """While an event waits; then it is back, and what can be done is done."""

    async def story(stage: Stage) -> None:
        async with stage.watching():
            stage.lose_gateway()
            await asyncio.sleep(120)
            stage.say(TRADES)
            await stage.let_pass(hours)
            stage.find_gateway()
            await stage.let_pass(0.1)
            await stage.let_pass(22)

    return story


async def gateway_restarts_among_orders(stage: Stage) -> None:
    """The first order has left."""
    line = stage.scene.gateway.line

    def restart(_: object) -> None:
        line.after_send = lambda _: None
        stage.scene.gateway.back_after_s = 60
        line.cut()

    async with stage.watching():
        line.after_send = restart
        stage.say(TRADES)
        await asyncio.sleep(300)


async def somebody_else_is_at_work(stage: Stage) -> None:
    """A run of the account goes on for twenty seconds after the event has come."""
    async with stage.watching():
        assert stage.scene.journal is not None
        with stage.scene.journal.hold(DU1):
            stage.say(TRADES)
            await asyncio.sleep(20)
        await asyncio.sleep(60)


async def fifty_times(stage: Stage) -> None:
    """The same message, half of them to the next process."""
    for _ in range(2):
        async with stage.watching():
            for _ in range(25):
                stage.say(TRADES, number=1)
                await asyncio.sleep(1)


async def down_all_night(stage: Stage) -> None:
    async with stage.watching():
        await asyncio.sleep(10)
    stage.say(TRADES)
    await stage.let_pass(20)
    async with stage.watching():
        await stage.let_pass(5)


async def dated_into_a_distant_future(stage: Stage) -> None:
    """The first of four events; the last two come to the next process."""
    async with stage.watching():
        stage.say(TRADES, age_h=-CENTURY_H)
        await asyncio.sleep(20)
        stage.say(TRADES)
        await asyncio.sleep(60)
    async with stage.watching():
        stage.say(TRADES)
        await asyncio.sleep(60)
        stage.say({})
        await asyncio.sleep(60)


async def flood(stage: Stage) -> None:
    """While nothing is under way, and then while something is."""
    async with stage.watching():
        for _ in range(50):
            stage.say(TRADES)
            stage.say({})
        await asyncio.sleep(0)
        for _ in range(50):
            stage.say(TRADES)
        await asyncio.sleep(120)


async def strange_payloads(stage: Stage) -> None:
    random = Random(20261123)  # noqa: S311 (reproducible, not secret)
    async with stage.watching():
        for _ in range(STRANGE):
            stage.say(strange_payload(random))
            await asyncio.sleep(10)


async def an_account_is_taken_out(stage: Stage) -> None:
    """An event of two accounts waits for the gateway; the next process watches only one of them."""
    one = account()
    other = Account(account_id=DU2, channel=one.channel, allocations_url="https://targets.example/DU2")
    async with stage.watching(one, other):
        stage.lose_gateway()
        await asyncio.sleep(120)
        stage.say(TRADES)
        await asyncio.sleep(10)
    stage.find_gateway()
    async with stage.watching(one):
        await asyncio.sleep(60)


OF_WATCHES = (
    Row(
        number=10,
        fault="the gateway restarts every day, and waits for its owner on Sundays",
        instead="no hours are kept clear of it: events wait, and a run goes on when it is back.",
        proven_by=("tests/flows/test_watch_flow.py::test_events_wait_for_a_gateway_that_is_away_and_it_is_told_once",),
        cases=(
            Watched(how="for minutes, while an event waits", story=gateway_away(0.1), ends="done", sent=TRADED),
            Watched(
                how="for two days, and the market is closed when it is back",
                story=gateway_away(54),
                ends="MARKET_CLOSED, done",
                sent=TRADED,
                says="Events wait for the gateway",
            ),
            Watched(how="among the orders", story=gateway_restarts_among_orders, ends="done", sent=TRADED),
        ),
    ),
    Row(
        number=27,
        fault="two watches, or a watch and a run, want the same account",
        proven_by=(
            "tests/cli/test_watch.py::test_only_one_watches_on_a_state_folder",
            "tests/edges/journal/test_controls.py::test_one_process_watches",
            "tests/edges/journal/test_controls.py::test_an_account_is_held_by_one_process",
        ),
        cases=(
            Watched(
                how="the event waits for the run",
                story=somebody_else_is_at_work,
                ends="ACCOUNT_BUSY, ACCOUNT_BUSY, ACCOUNT_BUSY, done",
                sent=TRADED,
            ),
        ),
    ),
    Row(
        number=31,
        fault="the watch hangs",
        instead="its supervisor hears of each turn of the loop that works, and of nothing else; whom it kills is caught"
        " up with.",
        proven_by=(
            "tests/flows/test_beats.py::test_it_beats_from_the_start_to_the_end_of_the_last_order",
            "tests/flows/test_watch_flow.py::test_it_beats_as_long_as_it_works",
        ),
        processes=("test_a_watch_that_hangs_is_silent_and_is_caught_up_with",),
    ),
    Row(
        number=34,
        fault="an event comes more than once",
        instead="the same content in another message is another event (DESIGN 3, Identity).",
        proven_by=("tests/edges/journal/test_journal_inbox.py::test_events_that_share_a_name_are_the_same",),
        cases=(
            Watched(how="fifty times, and across a restart", story=fifty_times, ends="done", sent=TRADED),
            Watched(how="the same content anew", story=said(TRADES, TRADES), ends="done, nothing-to-do", sent=TRADED),
        ),
    ),
    Row(
        number=35,
        fault="events come out of order, late, or ahead of the clock",
        instead="when an event was published is for Ably to say, and no publisher: one that is ahead of our clock is"
        " carried out, and what is published after it is newer.",
        proven_by=("tests/core/test_inbox.py::test_whatever_the_order_of_arrival",),
        cases=(
            Watched(how="the older one after the newer one", story=comes_late, ends="done", sent=TRADED),
            Watched(how="a day old", story=said(TRADES, age_h=24.1), ends="", says="published 24.1 hours before"),
            Watched(how="ahead of our clock", story=said(TRADES, age_h=-2), ends="done", sent=TRADED),
            Watched(
                how="a century ahead of our clock, and others after it",
                story=dated_into_a_distant_future,
                ends="done, nothing-to-do, nothing-to-do, nothing-to-do",
                sent=TRADED,
            ),
        ),
    ),
    Row(
        number=36,
        fault="events are missed",
        instead="nothing is traded because targets have changed (DESIGN 3): what was published is fetched from history,"
        " and what is not kept there any more is told as a gap.",
        proven_by=(
            "tests/edges/ably/test_listening.py::test_a_break_in_a_channel_sends_for_history",
            "tests/edges/ably/test_listening.py::test_a_gap_is_told_unless_history_proves_that_there_is_none",
            "tests/cli/test_watch.py::test_what_was_published_while_nobody_listened_is_made_good",
            "tests/faults/test_watch_chaos.py::test_a_short_chaos_loses_nothing_and_does_nothing_twice",
        ),
        cases=(
            Watched(how="nobody listened", story=nobody_listens, ends="done", sent=TRADED),
            Watched(how="down all night", story=down_all_night, ends="MARKET_CLOSED, done", sent=TRADED),
        ),
    ),
    Row(
        number=37,
        fault="a flood of events",
        instead="all are kept, and the newest stands for the others; nothing is polled.",
        proven_by=("tests/flows/test_watch_flow.py::test_of_a_burst_only_the_newest_is_carried_out",),
        cases=(Watched(how="before and during a run", story=flood, ends="done, nothing-to-do", sent=TRADED),),
    ),
    Row(
        number=38,
        fault="a payload that is malformed, huge, binary, or names accounts and limits",
        instead="it is a dry run that says why (DESIGN 3, Mode of an event).",
        proven_by=(
            "tests/core/test_events.py::test_other_keys_change_nothing",
            "tests/flows/test_watch_payloads.py::test_strange_payloads_are_dry_runs_with_a_reason",
            "tests/cli/test_watch_strange_payloads.py::test_strange_payloads_over_the_wire_are_dry_runs_with_a_reason",
        ),
        cases=(
            Watched(how="of all kinds", story=strange_payloads, ends=", ".join(["not-sent"] * STRANGE)),
            Watched(
                how="nobody's account and size",
                story=said({**TRADES, "account": "U1", "quantity": 10**9, "limits": {"max_order_pct": 10**9}}),
                ends="done",
                sent=TRADED,
            ),
        ),
    ),
    Row(
        number=39,
        fault="Ably refuses the key, or what it may not do",
        instead="the watch stays and says so; nothing trades on a timer (DESIGN 3).",
        proven_by=(
            "tests/edges/ably/test_listening.py::test_a_wrong_key_is_told_once",
            "tests/edges/ably/test_listening.py::test_a_key_without_history_hears_and_says_what_it_cannot",
            "tests/edges/ably/test_listening.py::test_a_key_that_may_not_subscribe_still_finds_events",
            "tests/edges/ably/test_listening.py::test_a_channel_that_is_forbidden_takes_no_other_with_it",
        ),
        processes=("test_a_watch_whose_key_is_refused_stays",),
    ),
    Row(
        number=40,
        fault="an event for an account that is not watched",
        cases=(
            Watched(
                how="it was, until the restart",
                story=an_account_is_taken_out,
                ends="done",
                sent=TRADED,
                says="It is not, or no longer, an enabled account of accounts.yaml.",
            ),
            Watched(how="on a channel of nobody", story=said(TRADES, channel="rebalance-nobody"), ends=""),
        ),
    ),
)
