from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.events import FIRST, ended, entry, put_off
from tests.support.notation import NOW

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.inbox import Step
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.report import RunMode
from ibkr_rebalancer.core.watch_status import (
    LONGEST_SILENCE,
    Condition,
    Done,
    Health,
    Told,
    Waiting,
    WatchStatus,
    done,
    headline,
    noted,
    require_alive,
    waiting,
)

DU1 = AccountId("DU1")
LATER = NOW + timedelta(minutes=1)
NEW = WatchStatus(pid=7, started=NOW, beat=NOW, mode=TradingMode.PAPER, dry_run=False)
WATCHER = "pid 7, since 2026-11-23 15:30 UTC"


def after(*notices: Notice, status: WatchStatus = NEW) -> WatchStatus:
    """The status after these notices, a minute apart."""
    for minute, notice in enumerate(notices):
        status = noted(status, notice, at=NOW + timedelta(minutes=minute))
    return status


def notice(event: str, text: str = "so it is", account: AccountId | None = None) -> Notice:
    return Notice(event=event, text=text, account=account, severity=Severity.WARNING)


@pytest.mark.parametrize(
    ("event", "field", "health"),
    [
        ("gateway.up", "gateway", Health.UP),
        ("gateway.down", "gateway", Health.DOWN),
        ("events.up", "events", Health.UP),
        ("events.degraded", "events", Health.DEGRADED),
        ("events.down", "events", Health.DOWN),
    ],
)
def test_a_notice_tells_how_something_is(event: str, field: str, health: Health) -> None:
    condition = Condition(health=health, since=NOW, text="so it is")
    assert after(notice(event)) == replace(NEW, **{field: condition})  # type: ignore[arg-type]


def test_it_is_so_since_it_changed_and_for_the_newest_reason() -> None:
    down = after(notice("gateway.up"), notice("gateway.down", "refused"), notice("gateway.down", "silent"))
    assert down.gateway == Condition(health=Health.DOWN, since=LATER, text="silent")


def test_the_newest_event_is_known() -> None:
    assert after(notice("event.received", "first"), notice("event.received", "second")).newest_event == Told(
        at=LATER, text="second"
    )
    assert after(notice("event.repeated", "again")).newest_event == Told(at=NOW, text="again")


@pytest.mark.parametrize(
    "event", ["gateway.connect", "event.begin", "event.step", "event.bug", "events.gap", "orders.send"]
)
def test_other_notices_make_no_difference(event: str) -> None:
    assert after(notice(event, account=DU1)) is NEW


def test_the_headline_is_what_an_owner_asks_first() -> None:
    assert headline(NEW) == "Watching (paper, rebalancing). Gateway not known yet. Events not known yet."
    status = after(notice("gateway.up"), notice("events.down", "Ably does not answer."))
    assert headline(replace(status, mode=TradingMode.LIVE, dry_run=True)) == (
        "Watching (live, dry runs only). Gateway up since 2026-11-23 15:30:00 UTC. "
        "Events down since 2026-11-23 15:31:00 UTC: Ably does not answer."
    )


def test_an_entry_waits_for_its_turn_or_for_what_put_it_off() -> None:
    fresh = waiting(entry(), dry_run=False)
    assert fresh == Waiting(
        account=FIRST,
        event_id=entry().event.event_id,
        mode=RunMode.REBALANCE,
        due=entry().event.received,
        tries=0,
        code="",
        reason="",
    )
    tomorrow = NOW + timedelta(days=1)
    steps = (put_off(LATER), put_off(LATER, due=tomorrow, code="MARKET_CLOSED"))
    assert waiting(entry(1, *steps), dry_run=True) == replace(
        fresh, mode=RunMode.DRY_RUN, due=tomorrow, tries=2, code="MARKET_CLOSED", reason="The prices are old."
    )


ID = entry().event.event_id


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (ended(LATER), f"Done: event {ID} for {FIRST}"),
        (
            replace(ended(LATER), code="EVENT_TOO_OLD", text="It is old."),
            f"Not carried out: event {ID} for {FIRST}. It is old.",
        ),
        (replace(ended(LATER), code="HALTED", text="No.", exit_code=14), f"Failed: event {ID} for {FIRST}. No."),
        (
            put_off(LATER, due=LATER + timedelta(hours=1)),
            f"Put off until 2026-11-23 16:31:00 UTC: event {ID} for {FIRST}. The prices are old.",
        ),
    ],
    ids=["done", "dropped", "failed", "put off"],
)
def test_what_was_done_last_is_the_last_step(step: Step, text: str) -> None:
    entry_of_two = entry(1, put_off(NOW), step)
    assert done(entry_of_two) == Done(account=FIRST, event_id=ID, at=LATER, code=step.code, text=text)


@pytest.mark.parametrize("away", [timedelta(0), LONGEST_SILENCE, -LONGEST_SILENCE])
def test_a_watch_whose_loop_turned_lately_is_alive(away: timedelta) -> None:
    """Also when the clock was set back since then, by no more than that."""
    assert require_alive(NEW, watcher=WATCHER, now=NOW + away, state="/state") is NEW


@pytest.mark.parametrize("away", [timedelta(seconds=61), -timedelta(seconds=61)])
def test_a_watch_whose_loop_does_not_turn_is_stalled(away: timedelta) -> None:
    with pytest.raises(Refused) as caught:
        require_alive(NEW, watcher=WATCHER, now=NOW + away, state="/state")
    assert caught.value.code == "WATCH_STALLED"
    assert caught.value.message == (
        f"The watch ({WATCHER}) was heard of last at 2026-11-23 15:30:00 UTC; it should be every few seconds. Events "
        "may not be carried out."
    )
    assert caught.value.hint == (
        "See its log, and whether there is room in /state. Then end it and start it again: before it does anything "
        "else, it finds out what became of orders."
    )


def test_a_watch_that_was_never_heard_of_is_stalled() -> None:
    with pytest.raises(Refused, match="has not been heard of; it should be every few seconds") as caught:
        require_alive(None, watcher=WATCHER, now=NOW, state="/state")
    assert caught.value.code == "WATCH_STALLED"


@pytest.mark.parametrize(
    ("status", "last"), [(NEW, " The last one, pid 7, was heard of last at 2026-11-23 15:30:00 UTC."), (None, "")]
)
def test_no_watch_is_alive_whose_process_is_gone(status: WatchStatus | None, last: str) -> None:
    """However lately it was."""
    with pytest.raises(Refused) as caught:
        require_alive(status, watcher=None, now=NOW, state="/state")
    assert (caught.value.code, caught.value.message, caught.value.hint) == (
        "WATCH_NOT_RUNNING",
        f"No watch is at work whose state is in /state.{last}",
        "Start it: rebalancer watch. If one is at work, name its state folder with --state.",
    )
