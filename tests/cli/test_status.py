"""`status`: what a watch at work last knew, and how one that is not at work is told of."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.cli.test_journal_commands import journal_of, state_of
from tests.cli.test_looks import GOLDEN, REWRITE, settled
from tests.support.commands import FIRST, SECOND, Here
from tests.support.events import ended, event, put_off
from tests.support.sandbox import received
from tests.support.schemas import check_document

from ibkr_rebalancer.core.events import Gap
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.watch_status import Condition, Health, Told, WatchStatus
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.locks import watch_lock
from ibkr_rebalancer.edges.journal.watch_file import WatchFile
from ibkr_rebalancer.ports import Halt

THEN = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
CLOSED = "Market closed at 2026-11-23 21:00 UTC; it opens at 2026-11-24 14:30 UTC."


def status_now() -> WatchStatus:
    return WatchStatus(pid=os.getpid(), started=THEN, beat=datetime.now(UTC), mode=TradingMode.PAPER, dry_run=False)


@contextmanager
def watching(here: Here, status: WatchStatus | None) -> Iterator[Journal]:
    """A process that watches, as far as others can tell."""
    with journal_of(here) as journal, watch_lock(state_of(here), at=THEN):
        if status is not None:
            assert WatchFile(state_of(here)).keep(status) == ""
        yield journal


def busy(status: WatchStatus) -> WatchStatus:
    """All that there may be to tell."""
    return replace(
        status,
        gateway=Condition(
            health=Health.DOWN,
            since=THEN,
            text="Events wait for the gateway. It does not answer at 127.0.0.1:4002. Start IB Gateway, and log in.",
        ),
        events=Condition(health=Health.DEGRADED, since=THEN, text="The key may not read the history of 2 channels."),
        newest_event=Told(at=THEN, text="Event 0123456789ab on rebalance-primary asks for a rebalance"),
    )


def keep_history(journal: Journal) -> None:
    """An event of yesterday that was carried out for the second account, and two gaps of one channel."""
    yesterday = THEN - timedelta(days=1)
    journal.inbox.keep(event(9), [AccountId(SECOND)])
    (entry,) = journal.inbox.pending()
    journal.inbox.take_steps({entry: ended(yesterday)})
    for hours in (9, 3):
        until, why = yesterday + timedelta(hours=12), "Ably was not listened to then."
        since = until - timedelta(hours=hours)
        journal.inbox.keep_gap(Gap(channel="rebalance-primary", since=since, until=until, why=why))


def keep_waiting(journal: Journal) -> None:
    """One event for both accounts, of which one waits for the open and the other one for its turn."""
    keep_history(journal)
    journal.inbox.keep(event(), [AccountId(FIRST), AccountId(SECOND)])
    first, _ = journal.inbox.pending()
    closed = replace(put_off(THEN, due=THEN + timedelta(hours=23), code="MARKET_CLOSED"), text=CLOSED)
    journal.inbox.take_steps({first: closed})
    journal.halt(Halt(at=THEN, reason="the targets look wrong"))


def test_a_watch_at_work_is_told_in_one_document(here: Here) -> None:
    status = busy(status_now())
    with watching(here, status) as journal:
        keep_waiting(journal)
        shown = here.run("status", "--json")
    assert (shown.exit_code, shown.err) == (0, "")
    check_document(shown.document)
    assert shown.document["state"] == str(state_of(here))
    assert shown.document["watch"]["pid"] == os.getpid()
    assert shown.document["watch"]["gateway"]["health"] == "down"
    assert [(each["account"], each["code"]) for each in shown.document["done"]] == [
        (SECOND, ""),
        (FIRST, "MARKET_CLOSED"),
    ]
    assert shown.document["gaps"] == [
        {
            "channel": "rebalance-primary",
            "since": "2026-11-23T00:30:00Z",
            "until": "2026-11-23T03:30:00Z",
            "why": "Ably was not listened to then.",
        }
    ]
    assert shown.document["halt"] == {"at": "2026-11-23T15:30:00Z", "reason": "the targets look wrong"}
    assert [(each["account"], each["tries"], each["code"]) for each in shown.document["waiting"]] == [
        (FIRST, 1, "MARKET_CLOSED"),
        (SECOND, 0, ""),
    ]
    assert {each["mode"] for each in shown.document["waiting"]} == {"rebalance"}


def test_a_watch_that_knows_nothing_yet_is_a_document_too(here: Here) -> None:
    with watching(here, status_now()):
        document = here.run("status", "--json").document
    check_document(document)
    assert (document["watch"]["gateway"], document["halt"]) == (None, None)
    assert (document["gaps"], document["waiting"], document["done"]) == ([], [], [])


def test_events_of_a_watch_that_never_trades_wait_to_be_dry_runs(here: Here) -> None:
    with watching(here, replace(status_now(), dry_run=True)) as journal:
        keep_waiting(journal)
        document = here.run("status", "--json").document
    assert {each["mode"] for each in document["waiting"]} == {"dry-run"}


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("is_busy", [True, False], ids=["busy", "new"])
def test_it_looks_as_it_should(here: Here, is_busy: bool, columns: int) -> None:
    status = status_now()
    with watching(here, busy(status) if is_busy else status) as journal:
        if is_busy:
            keep_waiting(journal)
        here.set(COLUMNS=str(columns))
        ended = here.run("status")
    assert ended.exit_code == 0
    beat = f"{status.beat:%Y-%m-%d %H:%M:%S}"
    shown = ended.out.replace(beat, "2026-11-23 15:30:00").replace(f"pid {os.getpid()} ", "pid 4711 ")
    seen = settled(shown, here)
    golden = GOLDEN / f"status-{'busy' if is_busy else 'new'}-{columns}.txt"
    if REWRITE:
        golden.write_text(seen, encoding="utf-8")
    assert seen == golden.read_text(encoding="utf-8")
    path = str(here.folder)
    assert not [line for line in ended.out.splitlines() if len(line) > columns and path not in line]


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["for people", "JSON"])
@pytest.mark.parametrize(
    ("late_s", "code"), [(30, ""), (61, "WATCH_STALLED"), (None, "WATCH_STALLED")], ids=["late", "too late", "never"]
)
def test_a_watch_that_does_not_go_on_is_an_error(
    here: Here, late_s: int | None, code: str, options: tuple[str, ...]
) -> None:
    status = status_now()
    late = None if late_s is None else replace(status, beat=status.beat - timedelta(seconds=late_s))
    with watching(here, late):
        ended = here.run("status", *options)
    assert ended.exit_code == (11 if code else 0)
    assert code in ended.err + ended.out
    if options:
        check_document(ended.document)


def test_a_watch_that_is_gone_is_an_error_however_lately_it_was_heard_of(here: Here) -> None:
    with watching(here, status_now()):
        pass
    ended = here.run("status")
    assert (ended.exit_code, ended.out) == (11, "")
    assert (
        f"Error: No watch is at work whose state is in {state_of(here)}. The last one, pid {os.getpid()}, was heard "
        in (ended.err.replace("\n", " "))
    )
    assert ended.err.endswith("WATCH_NOT_RUNNING, exit code 11\n")
    assert json.loads(here.run("status", "--json").out)["error"]["code"] == "WATCH_NOT_RUNNING"


def test_it_needs_no_accounts_and_asks_no_gateway(here: Here) -> None:
    with watching(here, status_now()):
        (here.folder / "accounts.yaml").unlink()
        ended = here.run("status", "-v")
    assert ended.exit_code == 0
    assert f"State in {state_of(here)}" in ended.err
    assert not received(here.sandbox.log)


def test_a_journal_that_cannot_be_read_is_graver_than_a_watch_that_goes_on(here: Here) -> None:
    with watching(here, status_now()):
        pass
    (state_of(here) / "journal.db").write_bytes(b"no journal" * 1000)
    with watch_lock(state_of(here), at=THEN):
        assert here.run("status").exit_code == 30
