"""`rebalancer watch` as its owner runs it: a process, real channels, a real gateway; ended by a signal."""

import json
from datetime import UTC, datetime, timedelta
from signal import SIGHUP, SIGKILL, SIGTERM
from typing import Any

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


def lines_of(log: str) -> list[dict[str, Any]]:
    """A log of which each line is an object, and none shows an account number."""
    assert FIRST not in log
    assert SECOND not in log
    return [json.loads(line) for line in log.splitlines()]


def test_where_the_log_is_json_errors_stand_in_it_and_nowhere_else(here: Here) -> None:
    """An account's, and the one that ends it: with reason code and hint, and account numbers masked."""
    here.run("halt", "a test")
    with here.start("watch") as process:
        assert process.stderr is not None
        said = ""
        while '"events.up"' not in said:
            said += process.stderr.readline()
        here.sandbox.publish("rebalance-primary", TRADES)
        while '"event.step"' not in said:
            said += process.stderr.readline()
        second = here.run("watch")
        process.send_signal(SIGTERM)
        out, rest = process.communicate(timeout=START_S)
    (step,) = [line for line in lines_of(said + rest) if line["event"] == "event.step"]
    assert (step["account"], step["code"]) == (f"{FIRST[:2]}…{FIRST[-3:]}", "HALTED")
    assert step["hint"] == "When the reason is gone, run: rebalancer resume"
    assert (process.returncode, out) == (0, "")
    assert second.exit_code == 15
    last = lines_of(second.err)[-1]
    assert (last["event"], last["code"], bool(last["hint"])) == ("watch.fail", "WATCH_BUSY", True)


def test_settings_that_are_wrong_are_told_in_the_log_too(here: Here) -> None:
    entry = here.entry(FIRST, "primary")
    here.accounts({**entry, "allocations": {**entry["allocations"], "api_key_env": "KEY_OF_NOBODY"}})
    ended = here.run("watch")
    (line,) = lines_of(ended.err)
    assert (ended.exit_code, line["code"]) == (78, "CONFIG_MISSING_KEY")
    assert "KEY_OF_NOBODY" in line["text"]
    assert here.run("watch", "--json").document["error"]["code"] == "CONFIG_MISSING_KEY"


def test_why_it_ends_is_told_however_little_is_logged(here: Here) -> None:
    here.set(LOG_LEVEL="ERROR", REALTIME_API_KEY="")
    (line,) = lines_of(here.run("watch").err)
    assert (line["level"], line["code"]) == ("ERROR", "CONFIG_MISSING_KEY")


def test_only_one_watches_on_a_state_folder(here: Here) -> None:
    with watching(here) as watch:
        second = here.run("watch")
        assert second.exit_code == 15
        assert f"pid {watch.process.pid}" in second.err.replace("\n", " ")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"REALTIME_API_KEY": ""}, "REALTIME_API_KEY is not set"),
        *[
            ({"REALTIME_API_KEY": key}, "is no key of Ably's")
            for key in ("nonsense", "a:b:c", "x:", ":x", "your_ably_key")
        ],
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
