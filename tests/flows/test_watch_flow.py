"""Watch, from a message to its end, in virtual time: the venue without sockets, a real journal, events by hand."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from tests.support.notation import allocation_body
from tests.support.trading_scene import account
from tests.support.watch_scene import DU2, TRADES, Stage, play

from ibkr_rebalancer.core.notices import Severity
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.report import Report, RunMode
from ibkr_rebalancer.ports import Halt


def test_an_event_that_says_rebalance_trades(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            stage.say(TRADES)
            await asyncio.sleep(10)
        assert stage.ends() == ["done"]
        assert stage.scene.orders == ["SELL 1 AAA", "BUY 200 BBB"]
        (_, report) = stage.outcomes[0]
        assert isinstance(report, Report)
        assert report.mode is RunMode.REBALANCE
        assert len(report.trigger) == 12

    play(story)


def test_any_other_event_is_a_dry_run(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            for data in ({}, None, {"execution": "REBALANCE"}, ["rebalance"], "rebalance", b"\xff", {"execution": 1}):
                stage.say(data)
                await asyncio.sleep(10)
        assert stage.ends() == ["not-sent"] * 7
        assert stage.scene.orders == []

    play(story)


def test_the_dry_run_of_a_whole_watch_trades_on_no_event(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching(dry_run=True):
            stage.say(TRADES)
            await asyncio.sleep(10)
        assert stage.ends() == ["not-sent"]
        assert stage.scene.orders == []

    play(story)


def test_the_same_payload_a_day_later_is_another_event(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            stage.say(TRADES)
            await stage.let_pass(24)
            stage.say(json.dumps(TRADES))
            await asyncio.sleep(10)
        assert stage.ends() == ["done", "nothing-to-do"]
        assert len({report.trigger for _, report in stage.outcomes if isinstance(report, Report)}) == 2

    play(story)


def test_a_message_that_comes_again_is_carried_out_once_also_by_the_next_process(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            for _ in range(3):
                stage.say(TRADES, number=1)
                await asyncio.sleep(10)
        async with stage.watching():
            stage.say(TRADES, number=1)
            await asyncio.sleep(10)
        assert stage.ends() == ["done"]

    play(story)


def test_of_a_burst_only_the_newest_is_carried_out(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            for _ in range(20):
                stage.say(TRADES)
                stage.say({})
            await asyncio.sleep(60)
            assert stage.scene.journal is not None
            assert stage.scene.journal.inbox.pending() == ()
        assert stage.ends() == ["done"]
        ends = [notice for notice in stage.scene.notices.heard if notice.event == "event.step"]
        assert len(ends) == 40
        assert {notice.severity for notice in ends} == {Severity.STEP}, "of what is superseded nobody is warned"

    play(story)


def test_an_event_that_came_while_nobody_was_there_is_too_old_after_a_day(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            stage.say(TRADES, age_h=24.1)
            await asyncio.sleep(10)
            assert stage.ends() == []
            assert any("published 24.1 hours before" in text for text in stage.scene.notices.texts)
            stage.say(TRADES, age_h=23.9)
            await asyncio.sleep(10)
        assert stage.ends() == ["done"]

    play(story)


def test_a_closed_market_is_waited_for_also_by_the_next_process(tmp_path: Path) -> None:
    """From Monday evening to Tuesday's open and five minutes; with the targets of that moment."""

    async def story() -> None:
        stage = Stage(tmp_path)
        await stage.let_pass(6)  # 21:30 UTC: New York has closed
        async with stage.watching():
            stage.say(TRADES)
            await stage.let_pass(1)
            assert stage.ends() == ["MARKET_CLOSED"]
        later = allocation_body({"AAA": Decimal(1)})
        async with stage.watching(documents={"DU1": later}):
            await stage.let_pass(15.9)
            assert stage.ends()[1:] == []
            await stage.let_pass(0.2)
        assert stage.ends()[1:] == ["done"]
        assert all(order.endswith("AAA") for order in stage.scene.orders)

    play(story)


def test_events_wait_for_a_gateway_that_is_away_and_it_is_told_once(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            stage.lose_gateway()
            await asyncio.sleep(120)
            stage.say(TRADES)
            await stage.let_pass(50)
            assert stage.ends() == []
            assert stage.told.count("gateway.down") == 1
            stage.find_gateway()
            await stage.let_pass(22)
        assert stage.ends()[-1] == "done"
        assert [event for event in stage.told if event in {"gateway.up", "gateway.down"}] == [
            "gateway.up",
            "gateway.down",
            "gateway.up",
        ]

    play(story)


def test_a_halt_is_acknowledged_and_ends_the_event(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            assert stage.scene.journal is not None
            halt = Halt(at=stage.scene.ours.now(), reason="a test")
            stage.scene.journal.halt(halt)
            await asyncio.sleep(6)
            assert stage.scene.journal.is_acknowledged(halt)
            stage.say(TRADES)
            await asyncio.sleep(60)
        assert stage.ends() == ["HALTED"]
        assert stage.scene.orders == []

    play(story)


def test_a_halt_names_in_the_end_of_an_account_no_other(tmp_path: Path) -> None:
    one = account()
    other = Account(account_id=DU2, channel=one.channel, allocations_url="https://targets.example/DU2")

    async def story() -> None:
        stage = Stage(tmp_path, accounts={"DU2": {"cash": "10000"}})
        async with stage.watching(one, other):
            assert stage.scene.journal is not None
            stage.scene.journal.halt(Halt(at=stage.scene.ours.now(), reason="a test"))
            stage.say(TRADES)
            await asyncio.sleep(60)
        ends = [text for text in stage.scene.notices.texts if text.startswith("Failed: ")]
        assert len(ends) == 2
        for text, (mine, foreign) in zip(ends, [(one.account_id, DU2), (DU2, one.account_id)], strict=True):
            assert f" for {mine}. Trading has been halted since " in text
            assert text.endswith(" UTC: a test. Nothing was sent.")
            assert foreign not in text

    play(story)


def test_told_to_stop_it_cancels_what_is_open_and_the_next_process_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(
            tmp_path, faults=[{"when": {"order": {}, "count": 1}, "what": {"hold": {"status": "PreSubmitted"}}}]
        )
        async with stage.watching():
            stage.say(TRADES)
            await asyncio.sleep(5)
        assert stage.ends() == ["interrupted"]
        assert len(stage.scene.gateway.cancelled) == 1
        async with stage.watching():
            await asyncio.sleep(60)
        assert stage.ends() == ["interrupted", "done"]

    play(story)


def test_a_run_that_left_orders_unfilled_is_followed_by_two_new_plans_at_most(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path, faults=[{"when": {"order": {}}, "what": {"partial": {"shares": 1}}}])
        async with stage.watching():
            stage.say(TRADES)
            await asyncio.sleep(1800)
        assert stage.ends() == ["partial"] * 3

    play(story)


def test_accounts_of_one_channel_are_carried_out_together(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path, accounts={"DU2": {"cash": "10000"}})
        one = account()
        both = (one, Account(account_id=DU2, channel=one.channel, allocations_url="https://targets.example/DU2"))
        async with stage.watching(*both):
            assert stage.channel.channels == (one.channel,)
            stage.say(TRADES)
            await asyncio.sleep(60)
        assert (stage.ends(), stage.ends(DU2)) == (["done"], ["done"])

    play(story)


def test_it_beats_as_long_as_it_works(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            await asyncio.sleep(60)
            assert 12 <= stage.beats <= 20

    play(story)


def test_a_bug_ends_one_event_and_what_it_says_is_not_journalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log takes secrets out; the journal and `status` keep what they are told."""

    async def stumbles(*_: object, **__: object) -> None:
        raise RuntimeError("https://targets.example/?token=sesame")

    async def story() -> None:
        stage = Stage(tmp_path)
        async with stage.watching():
            with monkeypatch.context() as patched:
                patched.setattr("ibkr_rebalancer.flows.watch.plan_accounts", stumbles)
                stage.say({})
                await asyncio.sleep(10)
            assert stage.scene.journal is not None
            assert stage.scene.journal.inbox.pending() == ()
            stage.say({})
            await asyncio.sleep(10)
        assert stage.ends() == ["not-sent"]
        (trace,) = (notice.text for notice in stage.scene.notices.heard if notice.event == "event.bug")
        assert "sesame" in trace
        steps = [notice.text for notice in stage.scene.notices.heard if notice.event == "event.step"]
        assert "RuntimeError" in steps[0]
        assert not any("sesame" in step for step in steps)

    play(story)
    assert [path for path in tmp_path.rglob("*") if b"sesame" in path.read_bytes()] == []
