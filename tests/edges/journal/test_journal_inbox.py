"""The journal as the work queue of events: each is kept once and for good, and what was done about it is kept too."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy import event as database_event
from tests.support.events import CHANNEL, ended, entry, event, numbers, put_off
from tests.support.failpoints import INBOX_WRITES, tapped
from tests.support.journal import ACCOUNT, OTHER, begin, fill, gap, opened, report, start, statements
from tests.support.journal_process import process
from tests.support.notation import NOW

from ibkr_rebalancer.core.documents import encode, encode_variant
from ibkr_rebalancer.core.errors import Refused, StorageFailed
from ibkr_rebalancer.core.events import Cursor, Event
from ibkr_rebalancer.core.inbox import Entry, Step
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import RunMode
from ibkr_rebalancer.core.runs import run_failure
from ibkr_rebalancer.edges.journal.inbox import JournalInbox
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.store import in_order
from ibkr_rebalancer.edges.journal.tables import ROWS_KEPT, entries, events, marks, sealed, steps, written

SURROGATE = "\ud800"


# Events


def test_an_event_is_to_be_carried_out_for_each_account(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert journal.inbox.keep(event(1), [ACCOUNT, OTHER]) is None
        assert journal.inbox.keep(event(2), [OTHER]) is None
        assert journal.inbox.keep(event(3), []) is None
        kept = journal.inbox.pending()
    assert [(each.event, each.account, each.steps) for each in kept] == [
        (event(1), ACCOUNT, ()),
        (event(1), OTHER, ()),
        (event(2), OTHER, ()),
    ]
    with opened(tmp_path) as journal:
        assert journal.inbox.pending() == kept


def test_an_event_is_kept_once(tmp_path: Path) -> None:
    again = replace(event(1), received=NOW + timedelta(days=1))
    with opened(tmp_path) as journal:
        journal.inbox.keep(event(1), [ACCOUNT])
        rows = rows_of(journal)
        assert journal.inbox.keep(again, [ACCOUNT, OTHER]) == event(1)
        assert rows_of(journal) == rows
        assert numbers(journal.inbox.pending()) == [1]
    with opened(tmp_path) as journal:
        assert journal.inbox.keep(again, [ACCOUNT]) == event(1)


def test_what_was_done_last_is_known_of_each_account_also_later(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert journal.inbox.done_last() == ()
        for number in (1, 2, 3):
            journal.inbox.keep(event(number), [ACCOUNT, OTHER])
        (first, others_first), (second, others_second), *_ = zip(*[iter(journal.inbox.pending())] * 2, strict=True)
        journal.inbox.take_steps({second: put_off(), others_first: ended()})
        journal.inbox.take_steps({first: ended(), others_second: put_off()})
        journal.inbox.take_steps({others_second: put_off(NOW + timedelta(minutes=1))})
    with opened(tmp_path) as journal:
        assert journal.inbox.done_last() == (
            replace(first, steps=(ended(),)),
            replace(others_second, steps=(put_off(), put_off(NOW + timedelta(minutes=1)))),
        )


def test_the_newest_gap_of_each_channel_is_known_also_later(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert journal.inbox.newest_gaps() == ()
        for kept in (gap(1), gap(5, channel="another"), gap(9), gap(4)):
            journal.inbox.keep_gap(kept)
    with opened(tmp_path) as journal:
        assert journal.inbox.newest_gaps() == (gap(5, channel="another"), gap(4))


def test_an_event_that_has_ended_is_still_known(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        kept = pending_one(journal)
        journal.inbox.take_steps({kept: ended()})
        assert journal.inbox.keep(event(1), [ACCOUNT]) == event(1)
        assert journal.inbox.pending() == ()


@pytest.mark.parametrize(
    "again",
    [
        event(2, serial="serial-001"),
        event(2, message_id="message-1"),
        event(2, stated_id="mine"),
        event(2, serial="", message_id="", stated_id="mine"),
        event(2, serial="", message_id="message-1"),
    ],
)
def test_events_that_share_a_name_are_the_same(tmp_path: Path, again: Event) -> None:
    first = event(1, stated_id="mine")
    with opened(tmp_path) as journal:
        journal.inbox.keep(first, [ACCOUNT])
        assert journal.inbox.keep(again, [ACCOUNT]) == first
        assert numbers(journal.inbox.pending()) == [1]


def test_the_names_of_a_repetition_are_kept_too(tmp_path: Path) -> None:
    """Published again with the same id after Ably has forgotten it: the next one may know it by the new serial only."""
    with opened(tmp_path) as journal:
        journal.inbox.keep(event(1), [ACCOUNT])
        journal.inbox.keep(event(2, message_id="message-1", stated_id="mine"), [ACCOUNT])
        assert journal.inbox.keep(event(3, serial="serial-002"), [ACCOUNT]) == event(1)
        assert journal.inbox.keep(event(4, stated_id="mine"), [ACCOUNT]) == event(1)
        assert journal.inbox.keep(event(5, message_id="message-4"), [ACCOUNT]) == event(1)


def test_of_two_events_it_repeats_the_one_with_the_most_certain_name_counts(tmp_path: Path) -> None:
    both = event(3, serial="serial-002", message_id="message-1")
    with opened(tmp_path) as journal:
        for number in (1, 2):
            journal.inbox.keep(event(number), [ACCOUNT])
        rows = rows_of(journal)
        assert journal.inbox.keep(both, [ACCOUNT]) == event(2)
        assert rows_of(journal) == rows
        assert journal.inbox.keep(event(1), [ACCOUNT]) == event(1)


def test_names_are_those_of_a_channel(tmp_path: Path) -> None:
    elsewhere = event(1, channel="another", stated_id="mine")
    with opened(tmp_path) as journal:
        assert journal.inbox.keep(event(1, stated_id="mine"), [ACCOUNT]) is None
        assert journal.inbox.keep(elsewhere, [OTHER]) is None
        assert journal.inbox.keep(elsewhere, [OTHER]) == elsewhere
        assert len(journal.inbox.pending()) == 2


@pytest.mark.parametrize("name", [SURROGATE, "\0", "'; DROP TABLE events; --", "x" * 200, "\N{PILE OF POO}"])
def test_whatever_a_stranger_calls_an_event_can_be_kept(tmp_path: Path, name: str) -> None:
    strange = event(1, serial=name, message_id=name, stated_id=name)
    with opened(tmp_path) as journal:
        assert journal.inbox.keep(strange, [ACCOUNT]) is None
        assert journal.inbox.keep(strange, [ACCOUNT]) == strange
        (kept,) = journal.inbox.pending()
        journal.inbox.take_steps({kept: ended()})
        assert (kept.event, journal.inbox.pending()) == (strange, ())


def test_an_event_without_any_name_is_known_by_when_it_was_published(tmp_path: Path) -> None:
    nameless = event(1, serial="", message_id="")
    with opened(tmp_path) as journal:
        assert journal.inbox.keep(nameless, [ACCOUNT]) is None
        assert journal.inbox.keep(nameless, [ACCOUNT]) == nameless
        assert journal.inbox.keep(event(2, serial="", message_id=""), [ACCOUNT]) is None
        assert journal.inbox.keep(event(1, serial="", message_id="", stated_id="mine"), [ACCOUNT]) is None


def test_two_processes_keep_an_event_once(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as other:
        assert one.inbox.keep(event(1), [ACCOUNT]) is None
        assert other.inbox.keep(event(1), [ACCOUNT]) == event(1)
        other.inbox.take_steps({other.inbox.pending()[0]: ended()})
        assert one.inbox.pending() == ()


def rows_of(journal: Journal) -> int:
    with journal._store.reading() as connection:
        rows: int = connection.execute(ROWS_KEPT).scalar_one()
    return rows


# Steps


def pending_one(journal: Journal, number: int = 1) -> Entry:
    journal.inbox.keep(event(number), [ACCOUNT])
    return journal.inbox.pending()[-1]


def test_steps_stand_in_the_order_they_were_taken(tmp_path: Path) -> None:
    first, second = put_off(NOW), put_off(NOW + timedelta(minutes=1), due=NOW + timedelta(days=3))
    with opened(tmp_path) as journal:
        kept = pending_one(journal)
        for step in (first, second):
            journal.inbox.take_steps({kept: step})
        (waiting,) = journal.inbox.pending()
    assert waiting == replace(kept, steps=(first, second))


def test_what_has_ended_for_one_account_is_pending_for_the_other(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.inbox.keep(event(1), [ACCOUNT, OTHER])
        mine, others = journal.inbox.pending()
        journal.inbox.take_steps({mine: ended(), others: put_off()})
        assert journal.inbox.pending() == (replace(others, steps=(put_off(),)),)


def test_no_step_is_no_write(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.inbox.take_steps({})
        assert rows_of(journal) == 0


def test_what_has_ended_behind_something_pending_does_not_come_back(tmp_path: Path) -> None:
    """Where the inbox begins to look moves on with what has ended, and never past what has not."""
    with opened(tmp_path) as journal:
        for number in range(1, 6):
            journal.inbox.keep(event(number), [ACCOUNT])
        left = {1, 2, 3, 4, 5}
        for number in (2, 1, 5, 3, 4):
            ending = next(each for each in journal.inbox.pending() if numbers([each]) == [number])
            journal.inbox.take_steps({ending: ended()})
            left.remove(number)
            assert {*numbers(journal.inbox.pending())} == left
        journal.inbox.keep(event(6), [ACCOUNT])
        assert numbers(journal.inbox.pending()) == [6]


@pytest.mark.parametrize("step", [ended(), put_off()])
def test_what_has_ended_takes_no_step_any_more(tmp_path: Path, step: Step) -> None:
    with opened(tmp_path) as journal:
        kept, other = pending_one(journal, 1), pending_one(journal, 2)
        journal.inbox.take_steps({kept: ended()})
        with pytest.raises(StorageFailed) as caught:
            journal.inbox.take_steps({other: ended(), kept: step})
        assert journal.inbox.pending() == (other,)
    assert caught.value.code == "JOURNAL_CONFLICT"
    those = f"{event(2).event_id} for DU1, {event(1).event_id} for DU1"
    assert f" What came of events is not kept: {those}. " in caught.value.message


def test_an_entry_that_is_not_there_takes_no_step(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.inbox.keep(event(1), [OTHER])
        with pytest.raises(StorageFailed) as caught:
            journal.inbox.take_steps({entry(1): ended()})
    assert caught.value.code == "JOURNAL_CONFLICT"


# Runs


def run_for(journal: Journal, kept: Entry, run_id: str, *, reported: bool) -> None:
    journal.start_run(run := start(run_id, account=kept.account, trigger=kept.event.event_id))
    if reported:
        journal.end_run(report(run_id, account=kept.account))
    else:
        journal.fail_run(run_failure(run, Refused("PRICE_STALE", "It is old.", hint=""), ended=NOW))


def test_the_newest_run_of_an_entry(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.inbox.keep(event(1), [ACCOUNT, OTHER])
        mine, others = journal.inbox.pending()
        assert journal.inbox.newest_run(mine) is None
        begin(journal)
        run_for(journal, mine, "z", reported=False)
        run_for(journal, mine, "a", reported=True)
        run_for(journal, others, "m", reported=False)
        run_for(journal, pending_one(journal, 2), "n", reported=True)

        newest = journal.inbox.newest_run(mine)
        assert newest == journal.run("a")
        assert journal.inbox.newest_run(others) == journal.run("m")


def test_a_run_that_was_killed_is_the_newest_run(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        kept = pending_one(journal)
        journal.start_run(start("a", trigger=kept.event.event_id))
        newest = journal.inbox.newest_run(kept)
        assert newest
        assert (newest.report, newest.failure) == (None, None)
        assert journal.inbox.carried_out(ACCOUNT) is None


def test_an_account_is_carried_out_up_to_the_newest_event_whose_run_has_a_report(tmp_path: Path) -> None:
    """Whatever was decided after it, and in whichever order the events were carried out."""
    with opened(tmp_path) as journal:
        for number in range(1, 6):
            journal.inbox.keep(event(number), [ACCOUNT, OTHER])
        mine = [each for each in journal.inbox.pending() if each.account == ACCOUNT]
        assert journal.inbox.carried_out(ACCOUNT) is None
        run_for(journal, mine[2], "a", reported=True)
        journal.inbox.take_steps({mine[2]: put_off()})
        assert journal.inbox.carried_out(ACCOUNT) == event(3).published
        run_for(journal, mine[0], "b", reported=True)
        run_for(journal, mine[4], "c", reported=False)
        journal.inbox.take_steps({mine[3]: ended(), mine[4]: ended()})
        assert journal.inbox.carried_out(ACCOUNT) == event(3).published
        assert journal.inbox.carried_out(OTHER) is None


def test_an_account_is_not_carried_out_up_to_a_distant_future(tmp_path: Path) -> None:
    strange = replace(event(1), published=NOW + timedelta(days=36_500))
    with opened(tmp_path) as journal:
        journal.inbox.keep(strange, [ACCOUNT])
        run_for(journal, journal.inbox.pending()[0], "a", reported=True)
    with opened(tmp_path) as journal:
        assert journal.inbox.carried_out(ACCOUNT) == strange.received


def test_a_dry_run_carries_nothing_out(tmp_path: Path) -> None:
    """Also if one should ever be kept like a run."""
    with opened(tmp_path) as journal:
        journal.inbox.keep(event(1, mode=RunMode.DRY_RUN), [ACCOUNT])
        (kept,) = journal.inbox.pending()
        run_for(journal, kept, "a", reported=True)
        assert journal.inbox.carried_out(ACCOUNT) is None


# Cursors


def test_a_cursor_moves_on_and_never_back(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert journal.inbox.cursor(CHANNEL) is None
        for minutes, reached in ((0, 0), (2, 2), (1, 2), (2, 2), (3, 3)):
            journal.inbox.advance(CHANNEL, NOW + timedelta(minutes=minutes))
            assert journal.inbox.cursor(CHANNEL) == Cursor(since=NOW, until=NOW + timedelta(minutes=reached))
        assert journal.inbox.cursor("another") is None
        journal.inbox.advance("another", NOW)
    with opened(tmp_path) as journal:
        assert journal.inbox.cursor(CHANNEL) == Cursor(since=NOW, until=NOW + timedelta(minutes=3))
        assert journal.inbox.cursor("another") == Cursor(since=NOW, until=NOW)


def test_a_channel_may_begin_anew_wherever_its_cursor_was(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for since in (NOW, NOW - timedelta(minutes=2), NOW + timedelta(minutes=1)):
            for by_our_clock in (True, False):
                journal.inbox.begin(CHANNEL, since, by_our_clock=by_our_clock)
                begun = Cursor(since=since, until=since, by_our_clock=by_our_clock)
                assert journal.inbox.cursor(CHANNEL) == begun
            journal.inbox.advance(CHANNEL, later := since + timedelta(hours=1))
            assert journal.inbox.cursor(CHANNEL) == Cursor(since=since, until=later)


def test_a_cursor_leaves_no_history(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.inbox.advance(CHANNEL, NOW)
        pages = pages_of(journal)
        for minute in range(100):
            journal.inbox.advance(CHANNEL, NOW + timedelta(minutes=minute))
        assert (rows_of(journal), pages_of(journal)) == (0, pages)
    with opened(tmp_path) as journal:
        assert journal.inbox.cursor(CHANNEL) == Cursor(since=NOW, until=NOW + timedelta(minutes=99))


def pages_of(journal: Journal) -> object:
    with journal._store.reading() as connection:
        return connection.exec_driver_sql("PRAGMA page_count").scalar()


def test_a_cursor_of_another_zone_is_the_same_moment(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.inbox.advance(CHANNEL, NOW.astimezone(ZoneInfo("America/New_York")))
        assert journal.inbox.cursor(CHANNEL) == Cursor(since=NOW, until=NOW)


# Damage


@pytest.mark.parametrize(
    ("deed", "ask"),
    [
        ("UPDATE cursors SET until = '2099-01-01T00:00:00.000000+00:00'", lambda inbox: inbox.cursor(CHANNEL)),
        ("UPDATE cursors SET until = '2099-01-01T00:00:00.000000+00:00'", lambda inbox: inbox.advance(CHANNEL, NOW)),
        ("UPDATE cursors SET since = '2026-01-01T00:00:00.000000+00:00'", lambda inbox: inbox.cursor(CHANNEL)),
        ("UPDATE cursors SET by_our_clock = 1", lambda inbox: inbox.cursor(CHANNEL)),
        ("UPDATE cursors SET channel = 'another'", lambda inbox: inbox.cursor("another")),
        ("UPDATE events SET body = replace(body, 'dry-run', 'rebalance')", lambda inbox: inbox.pending()),
        ("UPDATE events SET channel = 'another'", lambda inbox: inbox.keep(event(1), [])),
        ("UPDATE entries SET account = 'DU2'", lambda inbox: inbox.pending()),
        ("UPDATE entries SET mode = 'rebalance'", lambda inbox: inbox.pending()),
        ("UPDATE steps SET body = replace(body, '2026', '2025')", lambda inbox: inbox.pending()),
    ],
)
def test_a_row_that_was_changed_is_refused(tmp_path: Path, deed: str, ask: Callable[[JournalInbox], object]) -> None:
    with opened(tmp_path) as journal:
        journal.inbox.keep(event(1, mode=RunMode.DRY_RUN), [ACCOUNT])
        (kept,) = journal.inbox.pending()
        journal.inbox.take_steps({kept: put_off()})
        journal.inbox.advance(CHANNEL, NOW)
        with journal._store.engine.connect() as connection:
            for table in ("events", "entries", "steps"):
                connection.exec_driver_sql(f"DROP TRIGGER {table}_no_update")
            assert connection.exec_driver_sql(deed).rowcount == 1
        with pytest.raises(StorageFailed) as caught:
            ask(journal.inbox)
        assert (caught.value.code, "a row does not fit its seal" in caught.value.message) == ("JOURNAL_CORRUPT", True)
        with pytest.raises(StorageFailed, match="has failed before"):
            journal.intend()


# Failures


class Killed(BaseException):
    """The process ends here."""


def test_a_process_killed_between_any_two_writes_goes_on_where_it_was(tmp_path: Path) -> None:
    """Every message is handed over until it is told as taken, as its history is read again: none is lost or twice."""
    points = run_until_killed(tmp_path / "whole", at=None)
    assert len(points) == 2 * 2 * len(INBOX_WRITES)
    for at, point in enumerate(points):
        run_until_killed(tmp_path / str(at), at=at)
        run_until_killed(tmp_path / str(at), at=None)
        with opened(tmp_path / str(at)) as journal:
            assert journal.inbox.pending() == (), point
            assert journal.inbox.cursor(CHANNEL) == Cursor(since=event(1).published, until=event(2).published), point
            assert counted(journal) == [2, 4, 4, 4], point


def run_until_killed(folder: Path, *, at: int | None) -> list[str]:
    """Take two messages from the cursor on, and end each for its accounts; the points that were passed."""
    passed: list[str] = []

    def passage(point: str) -> None:
        passed.append(point)
        if len(passed) - 1 == at:
            raise Killed

    with opened(folder) as journal:
        inbox = tapped(journal.inbox, INBOX_WRITES, passage)
        try:
            cursor = inbox.cursor(CHANNEL)
            reached = cursor.until if cursor else NOW
            for known in [event(number) for number in (1, 2) if event(number).published > reached]:
                inbox.keep(known, [ACCOUNT, OTHER])
                inbox.take_steps({kept: ended() for kept in inbox.pending()})
                inbox.advance(CHANNEL, known.published)
        except Killed:
            pass
    return passed


def counted(journal: Journal) -> list[int]:
    with journal._store.reading() as connection:
        tables = (events, marks, entries, steps)
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


@pytest.mark.parametrize("number", range(6))
def test_no_event_is_kept_by_half(tmp_path: Path, number: int) -> None:
    """The process ends before one of the five rows that an event of two accounts is made of, or before the commit."""
    with opened(tmp_path) as journal:
        left = [f"row {row}" for row in range(number)]

        def die(*told: object) -> None:
            if not left:
                raise Killed
            if len(told) == 1 or str(told[2]).startswith("INSERT"):
                left.pop()

        for moment in ("before_cursor_execute", "commit"):
            database_event.listen(journal._store.engine, moment, die)
        with pytest.raises(Killed):
            journal.inbox.keep(event(1), [ACCOUNT, OTHER])
    with opened(tmp_path) as journal:
        assert counted(journal) == [0, 0, 0, 0]
        assert journal.inbox.keep(event(1), [ACCOUNT, OTHER]) is None


def test_a_process_that_is_killed_has_kept_whole_events(tmp_path: Path) -> None:
    told: list[str] = []
    for lines in (1, 2, 5, 40):
        with process("keep", tmp_path) as keeping:
            assert keeping.lines(1) == ["ready"]
            told += [*keeping.lines(lines), *keeping.end()]
        with opened(tmp_path) as journal:
            kept = [each.event.event_id for each in journal.inbox.pending()]
            number = len(kept) // 2
            assert counted(journal) == [number, 2 * number, 2 * number, 0]
        assert kept[::2] == kept[1::2]
        assert kept[: 2 * len(told) : 2] == told
        assert number <= len(told) + 1, "one may be kept, but not yet told"
        told = kept[::2]


# Growth


ENDED = 10_000


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inbox with many events that were carried out, and one that waits."""
    folder = tmp_path_factory.mktemp("grown")
    with opened(folder) as journal:
        with journal._store.writing("") as connection:
            _add_ended_events(connection)
        journal.inbox.keep(event(1), [ACCOUNT])
    return folder


def _add_ended_events(connection: Connection) -> None:
    body, end, numbered = written(encode(event(9))), written(encode_variant(ended())), range(1, ENDED + 1)
    at = in_order(NOW)
    its_entry = {"account": ACCOUNT, "mode": "rebalance", "published": at}
    rows = {
        events: [
            sealed(event_id=f"e{number}", channel=CHANNEL, published=at, received=at, body=body) for number in numbered
        ],
        marks: [sealed(of_event=number, channel=CHANNEL, mark=f"m{number}") for number in numbered],
        entries: [sealed(of_event=number, **its_entry) for number in numbered],
        steps: [sealed(of_entry=number, ends=True, body=end) for number in numbered],
    }
    for table, its_rows in rows.items():
        connection.execute(insert(table), its_rows)


def test_the_one_that_is_pending_is_found_among_many_that_have_ended(grown: Path) -> None:
    """The first look passes by all of them; no later one does."""
    with opened(grown) as journal:
        for _ in range(2):
            assert [each.event for each in journal.inbox.pending()] == [event(1)]
        assert opcodes(journal, journal.inbox.pending) < 2_000 < ENDED


def opcodes(journal: Journal, ask: Callable[[], object]) -> int:
    """How many steps SQLite's machine takes to answer, in hundreds made single."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 100
        return 0

    with journal._store.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver
        driver.set_progress_handler(count, 100)
    ask()
    driver.set_progress_handler(None, 100)
    return taken


@pytest.mark.parametrize(
    "ask",
    [
        lambda inbox: inbox.pending(),
        lambda inbox: inbox.carried_out(ACCOUNT),
        lambda inbox: inbox.newest_run(entry(1)),
        lambda inbox: inbox.cursor(CHANNEL),
        lambda inbox: inbox.keep(event(1), [ACCOUNT]),
        lambda inbox: inbox.keep(event(8), [ACCOUNT]),
        lambda inbox: inbox.take_steps({inbox.pending()[0]: put_off()}),
    ],
    ids=["pending", "carried out", "newest run", "cursor", "known", "new", "step"],
)
def test_every_question_is_answered_by_an_index(tmp_path: Path, ask: Callable[[JournalInbox], object]) -> None:
    with opened(tmp_path) as journal:
        fill(journal)
        asked = statements(journal, lambda: ask(journal.inbox))

    assert asked
    for statement, plan in asked:
        assert [step for step in plan if step.startswith("SCAN") and step != "SCAN CONSTANT ROW"] == [], statement


def test_more_entries_are_pending_than_sqlite_takes_numbers(tmp_path: Path) -> None:
    """As after a long time away, with many accounts."""
    with opened(tmp_path) as journal:
        with journal._store.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 20)
        journal.inbox.keep(event(1), [AccountId(f"DU{number}") for number in range(50)])
        found = journal.inbox.pending()
        assert len(found) == 50
        journal.inbox.take_steps({each: put_off() for each in found})
        found = journal.inbox.pending()
        assert {each.steps for each in found} == {(put_off(),)}
        journal.inbox.take_steps({each: ended() for each in found})
        with pytest.raises(StorageFailed, match=r"not kept: (\w+ for DU\d, ){2}\w+ for DU2 and 47 more\."):
            journal.inbox.take_steps({each: ended() for each in found})
