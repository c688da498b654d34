"""`rebalancer watch` as its owner runs it: a process, real channels, a real gateway; ended by a signal."""

from datetime import UTC, datetime, timedelta
from signal import SIGHUP, SIGKILL, SIGTERM

import pytest
from tests.support.commands import FIRST, SECOND, START_S, Here
from tests.support.sandbox import order_messages
from tests.support.schemas import check_document
from tests.support.watching import TRADES, watching


def test_it_carries_out_what_is_published_and_ends_when_told(here: Here) -> None:
    with watching(here) as watch:
        watch.publish("{}")
        dry = watch.result()
        check_document(dry)
        (run,) = dry["runs"]
        assert (run["account"], run["mode"], run["outcome"]) == (FIRST, "dry-run", "not-sent")
        assert not order_messages(here.sandbox.log)
        watch.publish(TRADES)
        (run,) = watch.result()["runs"]
        assert (run["account"], run["mode"], run["outcome"]) == (FIRST, "rebalance", "done")
        assert len(order_messages(here.sandbox.log)) > len(run["orders"])  # the previews too
        exit_code, err = watch.stop()
    assert exit_code == 0
    assert "Traceback" not in err
    assert "Stopping" not in err  # nothing is under way
    (told, *_) = here.run("runs", "--json").document["runs"]
    assert told["run_id"] == run["run_id"]
    assert told["trigger"] == run["trigger"] != "command"


@pytest.mark.parametrize("number", [SIGTERM, SIGHUP])
def test_told_to_stop_while_it_still_begins_it_has_ended_well(here: Here, number: int) -> None:
    """Its settings are told before its journal is opened, and long before it listens for signals."""
    with here.start("watch") as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=START_S)
    assert (process.returncode, "Traceback" in err) == (0, False)


def test_what_was_published_while_nobody_listened_is_made_good(here: Here) -> None:
    with watching(here) as watch:
        watch.process.send_signal(SIGKILL)
        watch.process.wait()
    here.sandbox.publish("rebalance-secondary", TRADES)
    with watching(here) as watch:
        (run,) = watch.result()["runs"]
        assert (run["account"], run["mode"], run["outcome"]) == (SECOND, "rebalance", "done")


def test_a_dry_run_of_the_whole_watch_never_trades(here: Here) -> None:
    with watching(here, "--dry-run") as watch:
        watch.publish(TRADES)
        (run,) = watch.result()["runs"]
        assert run["mode"] == "dry-run"
    assert not order_messages(here.sandbox.log)


def test_halt_is_heard_by_a_running_watch_and_stops_its_events(here: Here) -> None:
    with watching(here) as watch:
        halted = here.run("halt", "--json", "a", "test").document
        assert halted["watch"]["confirmed"] is True
        watch.publish(TRADES)
        (error,) = watch.result()["errors"]
        assert error["code"] == "HALTED"
    assert not order_messages(here.sandbox.log)


def test_only_one_watches_on_a_state_folder(here: Here) -> None:
    with watching(here) as watch:
        second = here.run("watch")
        assert second.exit_code == 15
        assert f"pid {watch.process.pid}" in second.err.replace("\n", " ")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"REALTIME_API_KEY": ""}, "REALTIME_API_KEY is not set"),
        ({"TRADING_MODE": "live"}, "no live account"),
    ],
)
def test_it_does_not_begin_without_what_it_needs(here: Here, variables: dict[str, str], words: str) -> None:
    here.set(**variables)
    ended = here.run("watch")
    assert ended.exit_code in {2, 78}
    assert words in " ".join(ended.err.split())


def test_status_tells_what_an_earlier_watch_has_done_and_missed(here: Here) -> None:
    """Of it only the journal is left."""
    with watching(here) as watch:
        watch.publish("{}")
        (run,) = watch.result()["runs"]
        watch.heard("event.step")
        watch.process.send_signal(SIGKILL)
        watch.process.wait()
    here.sandbox.change(
        {"clock": (datetime.now(UTC) + timedelta(hours=3)).isoformat(), "realtime": {"retention_ms": 1}}
    )
    with watching(here, once="events.gap") as watch:
        watch.heard("events.gap")
        status = here.run("status", "--json").document
    check_document(status)
    (done,) = status["done"]
    assert (done["account"], done["event_id"], done["code"]) == (FIRST, run["trigger"], "")
    assert done["text"].startswith("Done: event")
    assert {gap["channel"] for gap in status["gaps"]} == {"rebalance-primary", "rebalance-secondary"}
    for gap in status["gaps"]:
        since, until = (datetime.fromisoformat(gap[name]) for name in ("since", "until"))
        assert timedelta(hours=2) < until - since < timedelta(hours=4)


def test_status_tells_what_it_knows(here: Here) -> None:
    with watching(here) as watch:
        watch.publish("{}")
        watch.result()
        status = here.run("status", "--json").document
        assert status["watch"]["gateway"]["health"] == "up"
        assert status["watch"]["events"]["health"] == "up"
        assert status["watch"]["pid"] == watch.process.pid
        watch.stop()
    assert here.run("status").exit_code == 11
