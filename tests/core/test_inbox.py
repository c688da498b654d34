"""What is to be done about events: whichever order they arrive in, the newest wins and each ends once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.events import ended, entry, numbers, put_off
from tests.support.inbox_world import World, wishes
from tests.support.journal import PLAN, report
from tests.support.notation import NOW

from ibkr_rebalancer.core.errors import (
    AllocationRejected,
    AllocationUnavailable,
    Busy,
    Deferred,
    GatewayRefused,
    GatewayUnavailable,
    Halted,
    RebalancerError,
    Refused,
    UnknownOutcome,
)
from ibkr_rebalancer.core.inbox import (
    LONGEST,
    LONGEST_SESSION,
    MOST_NEW_PLANS,
    OPEN_UNKNOWN,
    SHORTEST,
    Agenda,
    Ended,
    Entry,
    PutOff,
    agenda,
    step_after,
    told,
)
from ibkr_rebalancer.core.remedies import Remedy
from ibkr_rebalancer.core.report import Report, RunMode

DRY_RUN, REBALANCE = RunMode.DRY_RUN, RunMode.REBALANCE

MAX_AGE = timedelta(hours=24)
LATER = NOW + timedelta(minutes=30)
"""After all events."""
MONDAY_CLOSE = NOW.replace(hour=21, minute=0)
TUESDAY_OPEN = MONDAY_CLOSE + timedelta(hours=17, minutes=30)
OPEN_DELAY = timedelta(minutes=5)


def due(*pending: Entry, carried_out: datetime | None = None, now: datetime = LATER) -> Agenda:
    return agenda(pending, carried_out=carried_out, max_age=MAX_AGE, now=now)


def codes(what: Agenda) -> dict[int, str]:
    """Why each event was dropped."""
    return {numbers([entry])[0]: end.code for entry, end in what.dropped}


def waiting(number: int, *, until: datetime, mode: RunMode = REBALANCE) -> Entry:
    return entry(number, put_off(due=until), mode=mode)


# Which one is next


def test_nothing_pending_is_nothing_to_do() -> None:
    assert due() == Agenda(next=None, dropped=[], wake=None)


@pytest.mark.parametrize("mode", RunMode)
def test_the_newest_wins(mode: RunMode) -> None:
    first, second, third = (entry(number, mode=mode) for number in (1, 2, 3))
    what = due(second, third, first)
    assert what.next == third
    assert codes(what) == {1: "EVENT_SUPERSEDED", 2: "EVENT_SUPERSEDED"}
    assert {end.text for _, end in what.dropped} == {"A newer event of the account stands for it."}
    assert {(end.exit_code, end.at, end.run_id) for _, end in what.dropped} == {(0, LATER, "")}


def test_a_newer_one_wins_over_one_that_waits() -> None:
    old = waiting(1, until=LATER + timedelta(hours=1))
    what = due(old, entry(2))
    assert (what.next, codes(what), what.wake) == (entry(2), {1: "EVENT_SUPERSEDED"}, None)


@pytest.mark.parametrize(("rebalance", "dry_run"), [(1, 2), (2, 1)])
def test_a_rebalance_is_not_displaced_by_a_dry_run(rebalance: int, dry_run: int) -> None:
    what = due(entry(rebalance), entry(dry_run, mode=DRY_RUN))
    assert what.next == entry(rebalance)
    assert codes(what) == {dry_run: "EVENT_SUPERSEDED"}
    assert what.dropped[0][1].text == "A rebalance of the account is due at the same time."


def test_a_dry_run_is_made_while_a_rebalance_waits() -> None:
    tomorrow = LATER + timedelta(hours=20)
    rebalance = waiting(1, until=tomorrow)
    what = due(rebalance, entry(2, mode=DRY_RUN))
    assert (what.next, what.dropped, what.wake) == (entry(2, mode=DRY_RUN), [], tomorrow)


def test_a_rebalance_is_made_while_a_dry_run_waits() -> None:
    soon = LATER + timedelta(seconds=30)
    what = due(waiting(1, until=soon, mode=DRY_RUN), entry(2))
    assert (what.next, what.dropped, what.wake) == (entry(2), [], soon)


def test_it_wakes_when_the_first_is_due() -> None:
    soon, late = LATER + timedelta(seconds=1), LATER + timedelta(seconds=2)
    pending = [waiting(1, until=late), waiting(2, until=soon, mode=DRY_RUN)]
    assert due(*pending) == Agenda(next=None, dropped=[], wake=soon)
    assert due(*pending, now=soon).next == pending[1]
    assert due(pending[0], now=late) == Agenda(next=pending[0], dropped=[], wake=None)


def test_what_arrived_ahead_of_our_clock_is_due_at_once() -> None:
    """The clock was set back: nothing that was never tried waits until it has caught up."""
    assert due(entry(1), now=NOW - timedelta(days=1)).next == entry(1)


def test_nothing_is_carried_out_after_a_newer_one() -> None:
    newest = entry(3).event.published
    pending = [entry(1), entry(2, mode=DRY_RUN), entry(4, mode=DRY_RUN)]
    what = due(*pending, carried_out=newest)
    assert (what.next, codes(what)) == (pending[2], {1: "EVENT_SUPERSEDED", 2: "EVENT_SUPERSEDED"})


def test_a_partial_run_does_not_supersede_its_own_event() -> None:
    again = waiting(3, until=LATER)
    assert due(again, carried_out=again.event.published).next == again


CENTURY = timedelta(days=36_500)


def test_what_is_dated_into_a_distant_future_is_newer_than_nothing_that_is_published_after_it() -> None:
    ahead, later = entry(1), entry(2)
    strange = replace(ahead, event=replace(ahead.event, published=NOW + CENTURY))
    assert due(strange, later).next == later
    assert due(later, carried_out=strange.event.stands_at).next == later
    assert due(strange, carried_out=strange.event.stands_at).next == strange, "it does not supersede itself"


def test_where_clocks_differ_by_seconds_events_stand_as_they_were_published() -> None:
    published = entry(1).event.published
    for ahead_s in (-5, 5, 60):
        assert entry(1, late=timedelta(seconds=-ahead_s)).event.stands_at == published
    assert entry(1, late=timedelta(seconds=-61)).event.stands_at == published - timedelta(seconds=61)


def test_what_was_published_too_long_ago_is_told_and_not_carried_out() -> None:
    just, old = entry(1, late=MAX_AGE), entry(2, late=MAX_AGE + timedelta(minutes=6))
    what = due(old, just, now=LATER + MAX_AGE)
    assert (what.next, codes(what)) == (just, {2: "EVENT_TOO_OLD"})
    assert what.dropped[0][1].text == "It was published 24.1 hours before it was received."


def test_waiting_does_not_age_an_event() -> None:
    taken_in_time = waiting(1, until=LATER + timedelta(days=3))
    assert due(taken_in_time, now=LATER + timedelta(days=3)).next == taken_in_time
    too_old = entry(1, put_off(), late=MAX_AGE * 2)
    assert due(too_old).next == too_old, "it was taken while a greater age was allowed"


@settings(max_examples=300)
@given(wishes(), st.data())
def test_whatever_the_order_of_arrival(pending: Sequence[Entry], data: st.DataObject) -> None:
    """The same is done, and every entry is either next, or dropped, or waits."""
    carried_out = data.draw(st.none() | st.sampled_from([each.event.published for each in pending]))
    one = due(*pending, carried_out=carried_out)
    other = due(*data.draw(st.permutations(pending)), carried_out=carried_out)

    assert (one.next, one.wake) == (other.next, other.wake)
    assert dict(one.dropped) == dict(other.dropped)
    gone = [entry for entry, _ in one.dropped]
    assert len(set(gone)) == len(gone)
    assert one.next not in gone
    left = [entry for entry in pending if entry not in gone]
    assert len(left) <= 2
    assert len({entry.event.mode for entry in left}) == len(left)
    assert all(entry == one.next or not entry.is_due(LATER) for entry in left)
    if carried_out is not None:
        assert all(entry.event.published >= carried_out for entry in left)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_whole_life(data: st.DataObject) -> None:
    """Events arrive in any order while runs fail, are put off and end: see `World` for what must hold."""
    world = World()
    for number in data.draw(st.permutations(range(1, 8))):
        world.arrive(number, data.draw(st.sampled_from(RunMode)))
        for _ in range(data.draw(st.integers(0, 2))):
            world.work(data.draw(st.sampled_from(["done", "later", "error"])))
    world.finish()


# What becomes of it


def after(outcome: Report | RebalancerError, *steps: PutOff, now: datetime = NOW) -> PutOff | Ended:
    return step_after(entry(1, *steps), outcome, open_delay=OPEN_DELAY, now=now)


def error(kind: type[RebalancerError], code: str = "A_CODE") -> RebalancerError:
    return kind(code, "It failed.", hint="Look.")


def closed(until: datetime | None = TUESDAY_OPEN, closed_at: datetime | None = MONDAY_CLOSE) -> Deferred:
    return Deferred("MARKET_CLOSED", "It is closed.", hint="Wait.", until=until, closed_at=closed_at)


def tries(number: int, remedy: Remedy, *, since: datetime = NOW) -> list[PutOff]:
    return [put_off(since + timedelta(minutes=minute), remedy=remedy) for minute in range(number)]


STALE = error(Refused, "PRICE_STALE")


@pytest.mark.parametrize("outcome", ["done", "nothing-to-do", "not-sent", "declined"])
def test_what_went_well_has_ended(outcome: str) -> None:
    step = after(replace(report(), outcome=outcome))
    assert step == Ended(at=NOW, code="", text="", exit_code=0, run_id=report().run_id)


@pytest.mark.parametrize(("exit_code", "outcome"), [(13, "unknown"), (14, "halted"), (30, "failed")])
def test_after_an_unknown_outcome_a_halt_or_a_failed_journal_nothing_more_is_done(exit_code: int, outcome: str) -> None:
    bad = replace(report(), outcome=outcome, exit_code=exit_code, code="A_CODE", trouble="It is bad.")
    assert after(bad) == Ended(at=NOW, code="A_CODE", text="It is bad.", exit_code=exit_code, run_id=bad.run_id)
    assert after(replace(bad, trouble="")) == replace(
        after(bad),
        text=f"Its outcome is {outcome}: 10 of {PLANNED} planned shares were bought or sold, as far as the broker has "
        "said.",
    )


PLANNED = sum(trade.quantity for trade in PLAN.trades)
"""Shares, of which the report has 10 filled."""

PARTIAL = replace(report(), outcome="partial", exit_code=12, code="LINK_DOWN", trouble="The link was down.")


def test_a_partial_run_is_planned_again_twice() -> None:
    first = after(PARTIAL)
    assert first == PutOff(
        at=NOW,
        due=NOW + timedelta(minutes=1),
        remedy=Remedy.PLAN,
        code="LINK_DOWN",
        text="The link was down.",
        run_id=PARTIAL.run_id,
    )
    second = after(PARTIAL, first)
    assert second == first
    third = after(PARTIAL, first, second)
    assert third == Ended(at=NOW, code="LINK_DOWN", text="The link was down.", exit_code=12, run_id=PARTIAL.run_id), (
        "twice again at most"
    )
    assert MOST_NEW_PLANS == 2


def test_a_partial_run_without_a_trouble_says_how_far_it_came() -> None:
    step = after(replace(PARTIAL, code="", trouble=""))
    text = f"It was not filled in full: 10 of {PLANNED} planned shares were bought or sold, and no order of it is open."
    assert step.text == text
    assert told(entry(1), step) == (
        f"Put off until {NOW + timedelta(minutes=1):%Y-%m-%d %H:%M:%S} UTC: event {entry(1).event.event_id} for "
        f"{entry(1).account}. {text}"
    )


def test_new_plans_are_counted_across_everything_else() -> None:
    waits = put_off(remedy=Remedy.OPEN)
    steps = [*tries(1, Remedy.PLAN), put_off(), waits, *tries(1, Remedy.PLAN, since=NOW + timedelta(days=1)), waits]
    assert isinstance(after(PARTIAL, *steps), Ended)


def test_a_run_that_was_told_to_stop_goes_on_with_the_next_process() -> None:
    stopped = replace(report(), outcome="interrupted", exit_code=12)
    step = after(stopped, *tries(5, Remedy.RESTART), *tries(2, Remedy.PLAN))
    assert isinstance(step, PutOff)
    assert (step.due, step.remedy, step.run_id) == (NOW, Remedy.RESTART, stopped.run_id)
    assert told(entry(1), step) == (
        f"Goes on with the next start: event {entry(1).event.event_id} for {entry(1).account}. It was told to stop: "
        f"10 of {PLANNED} planned shares were bought or sold, and no order of it is open."
    )


def test_what_was_told_to_stop_before_anything_was_sent_goes_on_too() -> None:
    step = after(Deferred("INTERRUPTED", "Told to stop.", hint=""), *tries(3, Remedy.TIME))
    assert isinstance(step, PutOff)
    assert (step.due, step.remedy, step.run_id) == (NOW, Remedy.RESTART, "")
    assert told(entry(1), step).startswith("Goes on with the next start: ")


@pytest.mark.parametrize(
    "bad",
    [
        *[error(UnknownOutcome), error(Halted), error(GatewayRefused), error(Refused, "LIMIT_MAX_ORDER_PCT")],
    ],
    ids=lambda bad: type(bad).__name__,
)
def test_what_needs_a_person_ends_it(bad: RebalancerError) -> None:
    step = after(bad)
    assert step == Ended(at=NOW, code=bad.code, text="It failed.", exit_code=bad.exit_code, run_id="")


@pytest.mark.parametrize("kind", [Busy, GatewayUnavailable])
def test_who_comes_back_is_waited_for_for_ever(kind: type[RebalancerError]) -> None:
    seconds = [after(error(kind), *tries(number, Remedy.RETURN)) for number in range(7)]
    assert [(step.due - step.at).seconds for step in seconds if isinstance(step, PutOff)] == [5, 10, 20, 40, 60, 60, 60]
    a_month = tries(1, Remedy.RETURN, since=NOW - timedelta(days=30)) * 40_000
    step = after(error(kind), *a_month)
    assert step == PutOff(
        at=NOW, due=NOW + LONGEST[Remedy.RETURN], remedy=Remedy.RETURN, code="A_CODE", text="It failed.", run_id=""
    )


@pytest.mark.parametrize("bad", [STALE, error(AllocationUnavailable), error(AllocationRejected)])
def test_what_passes_is_tried_ever_more_seldom(bad: RebalancerError) -> None:
    pauses = []
    steps: list[PutOff] = []
    for _ in range(8):
        step = after(bad, *steps)
        assert isinstance(step, PutOff)
        assert step.remedy is Remedy.TIME
        pauses.append((step.due - step.at).total_seconds())
        steps.append(step)
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]
    assert (pauses[0], pauses[-1]) == (SHORTEST[Remedy.TIME].total_seconds(), LONGEST[Remedy.TIME].total_seconds())


def test_it_is_given_up_when_the_session_has_ended() -> None:
    tried = tries(3, Remedy.TIME)
    step = after(closed(), *tried, now=MONDAY_CLOSE + timedelta(minutes=1))
    assert isinstance(step, Ended)
    assert (step.code, step.exit_code) == ("MARKET_CLOSED", 10)
    assert isinstance(after(closed(), *tries(1, Remedy.PLAN)), Ended)


def test_it_is_given_up_after_half_a_day_in_which_nobody_knew_of_a_session() -> None:
    tried = tries(2, Remedy.TIME)
    almost = NOW + LONGEST_SESSION - timedelta(seconds=1)
    assert isinstance(after(STALE, *tried, now=almost), PutOff)
    assert isinstance(after(STALE, *tried, now=NOW + LONGEST_SESSION), Ended)


def test_a_closed_market_is_waited_for_with_a_delay() -> None:
    step = after(closed(), now=MONDAY_CLOSE)
    assert step == PutOff(
        at=MONDAY_CLOSE,
        due=TUESDAY_OPEN + OPEN_DELAY,
        remedy=Remedy.OPEN,
        code="MARKET_CLOSED",
        text="It is closed.",
        run_id="",
    )


def test_a_market_whose_open_is_unknown_is_looked_at_again() -> None:
    step = after(closed(until=None))
    assert isinstance(step, PutOff)
    assert step.due == NOW + OPEN_UNKNOWN


def test_a_clock_that_is_ahead_of_the_market_asks_no_faster_than_the_shortest_pause() -> None:
    step = after(closed(until=NOW - timedelta(minutes=20)))
    assert isinstance(step, PutOff)
    assert step.due == NOW + SHORTEST[Remedy.TIME]


@pytest.mark.parametrize(
    "before",
    [
        [],
        tries(3, Remedy.RETURN),
        tries(3, Remedy.RESTART),
        tries(2, Remedy.OPEN),
        tries(2, Remedy.TIME, since=MONDAY_CLOSE + timedelta(hours=1)),
        [*tries(1, Remedy.TIME), put_off(MONDAY_CLOSE - timedelta(hours=1), remedy=Remedy.OPEN)],
    ],
    ids=["nothing", "gateway", "restart", "open", "tried while it was closed", "tried before an earlier open"],
)
def test_a_close_ends_only_what_was_tried_in_that_session(before: Sequence[PutOff]) -> None:
    step = after(closed(), *before, now=MONDAY_CLOSE + timedelta(hours=2))
    assert isinstance(step, PutOff)
    assert step.due == TUESDAY_OPEN + OPEN_DELAY


def test_nothing_is_given_up_for_a_close_of_which_nobody_knows() -> None:
    assert isinstance(after(closed(closed_at=None), *tries(3, Remedy.TIME)), PutOff)


def test_tries_begin_anew_with_each_session() -> None:
    """It failed once on the weekend, and again on Monday morning: it has all of Monday."""
    weekend = NOW - timedelta(days=2)
    steps = [*tries(4, Remedy.TIME, since=weekend), put_off(weekend + timedelta(hours=1), remedy=Remedy.OPEN)]
    step = after(STALE, *steps)
    assert isinstance(step, PutOff)
    assert step.due == NOW + SHORTEST[Remedy.TIME]


# An entry


def test_an_entry_waits_until_it_was_put_off_to() -> None:
    assert entry(1).waits_until is None
    assert entry(1, put_off(due=NOW), put_off(due=LATER)).waits_until == LATER
    done = entry(1, put_off(due=NOW), ended())
    assert done.waits_until is None
    assert not done.is_due(LATER)
