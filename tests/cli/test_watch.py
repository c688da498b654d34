"""`rebalancer watch` as its owner runs it: a process, real channels, a real gateway; ended by a signal."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest
from tests.support.commands import FIRST, SECOND, START_S, Here
from tests.support.sandbox import order_messages
from tests.support.schemas import check_document

TRADES = '{"execution": "rebalance"}'


class Watching:
    """A `watch` at work, its results and its log."""

    def __init__(self, here: Here, process: "subprocess.Popen[str]") -> None:
        self.here = here
        self.process = process

    def publish(self, payload: object, channel: str = "rebalance-primary", **more: Any) -> None:
        self.here.sandbox.publish(channel, payload, **more)

    def result(self) -> dict[str, Any]:
        """The next result, when it comes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it ended"
        content = json.loads(line)
        assert isinstance(content, dict)
        return content

    def heard(self, event: str) -> dict[str, Any]:
        """The next line of the log about this."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            content = json.loads(line)
            if content["event"] == event:
                assert isinstance(content, dict)
                return content
        raise AssertionError(f"it ended without {event}")

    def stop(self) -> tuple[int, str]:
        """Tell it to stop; its exit code and what else it said."""
        self.process.send_signal(SIGTERM)
        _, err = self.process.communicate(timeout=START_S)
        return self.process.returncode, err


@contextmanager
def watching(here: Here, *arguments: str, once: str = "events.up", **popen: Any) -> Iterator[Watching]:
    """A watch that is ready, or has said whatever else is waited for."""
    with here.start("watch", "--json", *arguments, **popen) as process:
        watch = Watching(here, process)
        try:
            watch.heard(once)
            yield watch
        finally:
            process.kill()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


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
