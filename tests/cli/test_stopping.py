"""Signals while orders may be out: the first ends the run in good order, the second at once, and neither lies."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_SETPIPE_SZ, fcntl
from select import select
from signal import SIG_DFL, SIG_IGN, SIGHUP, SIGINT, SIGTERM, default_int_handler, signal

import pytest
from tests.cli.test_execute import placed
from tests.support.commands import FIRST, SECOND, Here
from tests.support.sandbox import events, fault, order_fault, received
from tests.support.schemas import check_document

ALL = (SIGHUP, SIGTERM, SIGINT)

SMALLEST_PIPE = 4096
"""Bytes."""

STUCK = order_fault("partial", order={"symbol": "SPY"}, parameters={"shares": 5})
"""An order that fills five shares, and then no more."""


@pytest.fixture(autouse=True)
def _signals_as_a_terminal_leaves_them() -> Iterator[None]:
    """A process takes over from the one that starts it what is ignored: under nohup, SIGHUP is."""
    kept = {number: signal(number, default_int_handler if number == SIGINT else SIG_DFL) for number in ALL}
    yield
    for number, handler in kept.items():
        signal(number, handler or SIG_DFL)


@contextmanager
def trading(here: Here, *arguments: str, **popen: object) -> Iterator["subprocess.Popen[str]"]:
    """`execute --yes`, with the first sale partly filled and not getting any further."""
    with here.start("execute", "--yes", *arguments, **popen) as process:
        here.sandbox.until(lambda log: len(events(log, "execution")))
        yield process


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


@pytest.mark.parametrize("stop", [SIGINT, SIGTERM, SIGHUP], ids=lambda stop: stop.name)
def test_the_first_signal_cancels_what_is_open_and_reports(here: Here, stop: int) -> None:
    here.sandbox.change({"faults": [STUCK]})
    with trading(here, SECOND) as process:
        process.send_signal(stop)
        exit_code, out, err = ended(process)
    assert exit_code == 12
    assert placed(here.sandbox.log) == [("SELL", "SPY", 20)]
    assert len(received(here.sandbox.log, "cancelOrder")) == 1
    assert re.search(r"SPY +SELL +20 +20 +5 +15 .* cancelled", out)
    assert "Interrupted: 0 of 3 orders filled in full, 370 shares are missing." in out
    assert "run.stop: Stopping: no further order is sent, and what is open is looked after. Ctrl-C again ends at" in err
    assert "Nothing was sent" not in out + err


def test_a_stop_winds_every_account_down(here: Here) -> None:
    here.sandbox.change({"faults": [STUCK]})
    with trading(here, "--json") as process:
        here.sandbox.until(lambda log: {record["account"] for record in events(log, "execution")} == {FIRST, SECOND})
        process.send_signal(SIGTERM)
        exit_code, out, _ = ended(process)
    document = json.loads(out)
    check_document(document)
    assert exit_code == 12
    assert [(run["account"], run["outcome"]) for run in document["runs"]] == [
        (FIRST, "interrupted"),
        (SECOND, "interrupted"),
    ]
    assert document["errors"] == []
    assert {side for side, *_ in placed(here.sandbox.log)} == {"SELL"}
    stuck = [order for run in document["runs"] for order in run["orders"] if order["symbol"] == "SPY"]
    assert [(order["filled"], order["status"]) for order in stuck] == [(5, "cancelled")] * 2


@pytest.mark.parametrize("as_json", [False, True], ids=["for people", "JSON"])
def test_the_second_signal_ends_at_once_and_says_what_may_be(here: Here, as_json: bool) -> None:
    """The broker does not answer the cancel, and whoever waits has had enough."""
    here.sandbox.change({"faults": [STUCK, fault("cancelOrder", "mute", count=1)]})
    with trading(here, SECOND, *(["--json"] if as_json else [])) as process:
        process.send_signal(SIGINT)
        here.sandbox.until(lambda log: received(log, "cancelOrder"))
        process.send_signal(SIGTERM)
        process.send_signal(SIGINT)
        exit_code, out, err = ended(process)
    assert exit_code == 13
    message = "Ended before all was known. Orders may be open at Interactive Brokers, or filled."
    hint = "Run the command again: before it does anything else, it finds out what became of them."
    if as_json:
        document = json.loads(out)
        check_document(document)
        assert document["error"] == {"code": "STOPPED_AT_ONCE", "message": message, "hint": hint, "exit_code": 13}
    else:
        assert out == ""
        assert err.endswith(f"Error: {message}\nHint: {hint}\nSTOPPED_AT_ONCE, exit code 13\n")
    assert "Nothing was sent" not in out + err
    assert "Traceback" not in err


def test_the_next_command_finds_out_what_the_ended_one_left(here: Here) -> None:
    stuck = order_fault("partial", order={"symbol": "SPY", "quantity": "20"}, parameters={"shares": 5})
    here.sandbox.change({"faults": [stuck, fault("cancelOrder", "mute", count=1)]})
    with trading(here, SECOND) as process:
        process.send_signal(SIGINT)
        here.sandbox.until(lambda log: received(log, "cancelOrder"))
        process.send_signal(SIGINT)
        assert ended(process)[0] == 13
    (left,) = here.run("runs", "--json").document["runs"]
    assert (left["outcome"], left["exit_code"]) == ("no end", None)
    assert "It has no end in the journal: it is still at work, or its process died." in here.run("runs", "2").out
    here.sandbox.change({"faults": [stuck]})
    here.hurry_trading(fill_s=0.1)
    again = here.run("execute", SECOND, "--yes")
    assert again.exit_code == 0
    assert "Finding out what became of orders that an earlier run left open: 1" in again.err
    story = here.run("runs", left["run_id"]).out
    assert "cancelled, 5 of 20 shares filled" in story
    assert "Its process died." in story
    assert re.search(r"— run \S+ began — .*it is cancelled \(Cancelled\), 5 of 20 filled", story, re.DOTALL)


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_a_signal_while_earlier_orders_are_looked_for_cancels_them(here: Here, *, twice: bool) -> None:
    """A second one does not wait for the proof."""
    here.sandbox.change({"faults": [STUCK]})
    with trading(here, SECOND) as process:
        process.kill()
        ended(process)
    here.sandbox.change({"faults": [STUCK, *([fault("cancelOrder", "mute", count=1)] if twice else [])]})
    with here.start("execute", SECOND, "--yes") as again:
        assert again.stderr is not None
        while "orders.reconcile" not in again.stderr.readline():
            pass
        again.send_signal(SIGINT)
        here.sandbox.until(lambda log: received(log, "cancelOrder"))
        if twice:
            again.send_signal(SIGTERM)
        exit_code, out, err = ended(again)
    assert out == ""
    assert "no further order is sent, and what is open is looked after" in err
    if twice:
        assert exit_code == 13
        assert err.endswith("STOPPED_AT_ONCE, exit code 13\n")
    else:
        assert exit_code == 130
        assert "What became of them is known: 1 cancelled" in err
        assert err.endswith("Interrupted. Nothing was sent.\n")
        assert not {row["order_ref"]: row for row in events(here.sandbox.log, "order")}.popitem()[1]["working"]


def test_a_terminal_that_hangs_up_twice_still_gets_its_orders_cancelled(here: Here) -> None:
    here.sandbox.change({"faults": [STUCK, order_fault("cancel_late", parameters={"ms": 300})]})
    with trading(here, SECOND) as process:
        process.send_signal(SIGHUP)
        here.sandbox.until(lambda log: received(log, "cancelOrder"))
        process.send_signal(SIGHUP)
        assert ended(process)[0] == 12


def test_a_hang_up_that_nohup_has_ignored_stays_ignored(here: Here) -> None:
    here.sandbox.change({"faults": [STUCK]})
    signal(SIGHUP, SIG_IGN)
    with trading(here, SECOND) as process:
        process.send_signal(SIGHUP)
        process.send_signal(SIGTERM)
        exit_code, _, _ = ended(process)
    assert exit_code == 12
    assert len(received(here.sandbox.log, "cancelOrder")) == 1


def test_a_signal_before_anything_is_sent_says_so(here: Here) -> None:
    here.sandbox.change({"faults": [fault("reqMktData", "mute")]})
    with here.start("execute", SECOND, "--yes") as process:
        here.sandbox.until(lambda log: received(log, "reqMktData"))
        process.send_signal(SIGTERM)
        exit_code, out, err = ended(process)
    assert (exit_code, out) == (130, "")
    assert err.splitlines()[-1] == "Interrupted. Nothing was sent."
    assert not placed(here.sandbox.log)


def test_a_signal_while_the_broker_is_asked_before_the_first_order_says_that_nothing_was_sent(here: Here) -> None:
    """Of all accounts together; the journal has an end of each run."""
    answer = fault("openOrder", "delay", where={"whatIf": "1"}, parameters={"ms": 60_000})
    here.sandbox.change({"faults": [answer]})
    with here.start("execute", "--yes") as process:
        here.sandbox.until(lambda log: received(log, "placeOrder"))
        process.send_signal(SIGTERM)
        exit_code, out, err = ended(process)
    assert (exit_code, out) == (130, "")
    assert err.splitlines()[-1] == "Interrupted. Nothing was sent."
    assert not events(here.sandbox.log, "order")
    runs = here.run("runs", "--json").document["runs"]
    assert [(run["outcome"], run["orders"]) for run in runs] == [("INTERRUPTED", 0)] * 2


def test_no_signal_comes_between_a_run_and_its_report(here: Here) -> None:
    """Its reader is slow: signals find the command with its work done, in the midst of telling it, and at its end."""
    unread, out = os.pipe()
    fcntl(out, F_SETPIPE_SZ, SMALLEST_PIPE)
    report = b""
    with here.start("execute", FIRST, "--yes", "--json", stdout=out) as process:
        os.close(out)
        here.sandbox.until(lambda log: any(gone["client"] == 52 for gone in events(log, "client_disconnected")))
        send_all(process)
        select([unread], [], [])
        send_all(process)
        while piece := os.read(unread, SMALLEST_PIPE):
            report += piece
            send_all(process)
        os.close(unread)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert len(report) > SMALLEST_PIPE
    assert json.loads(report)["runs"][0]["outcome"] == "done"


def send_all(process: "subprocess.Popen[str]") -> None:
    for number in ALL:
        process.send_signal(number)
