"""Output that nobody reads: it is left out, and counted, and nobody waits for it."""

import io
import os
import queue
from signal import SIGTERM

from tests.support.commands import START_S, Here
from tests.support.full_pipe import full_pipe
from tests.support.sandbox import order_messages
from tests.support.watching import TRADES

from ibkr_rebalancer.cli.outlets import Outlet

LINE = "0123456789" * 10 + "\n"


def stream_to(outlet: Outlet) -> io.TextIOWrapper:
    return io.TextIOWrapper(outlet, encoding="utf-8")


def say(stream: io.TextIOWrapper, *texts: str) -> None:
    """Flushed together, as a log line and a document are."""
    stream.writelines(texts)
    stream.flush()


def test_nobody_waits_for_a_pipe_that_is_full_and_what_is_left_out_is_told_when_it_flows_again() -> None:
    told: queue.Queue[int] = queue.Queue()
    with full_pipe() as pipe:
        outlet = Outlet(pipe.there, tell=told.put, most_bytes=10 * len(LINE))
        stream = stream_to(outlet)
        for number in range(100):
            say(stream, f"{number:03}", LINE[3:])
        assert not outlet.drain(within_s=0)
        come = b""
        while come.count(b"\n") < 10:
            come += pipe.read()
        assert [int(line[:3]) for line in come.splitlines()] == [*range(10)], "whole lines, in order"
        assert told.get(timeout=START_S) == 90
        say(stream, LINE)
        assert pipe.read() == LINE.encode()
        assert outlet.drain(within_s=START_S)
        assert told.empty()


def test_what_is_flushed_together_is_written_whole_or_not_at_all() -> None:
    told: queue.Queue[int] = queue.Queue()
    with full_pipe() as pipe:
        stream = stream_to(Outlet(pipe.there, tell=told.put, most_bytes=1000))
        say(stream, "short\n")
        say(stream, LINE * 9, LINE * 9)
        say(stream, "short\n")
        come = b""
        while come.count(b"\n") < 2:
            come += pipe.read()
        assert come == b"short\nshort\n"
        assert told.get(timeout=START_S) == 18


def test_a_document_of_any_size_is_taken_where_nothing_else_waits() -> None:
    with full_pipe() as pipe:
        stream = stream_to(Outlet(pipe.there, tell=lambda _: None, most_bytes=10))
        say(stream, LINE * 1000)
        come = b""
        while len(come) < 1000 * len(LINE):
            come += pipe.read()
        assert come == LINE.encode() * 1000


def test_a_reader_who_is_gone_ends_nothing() -> None:
    with full_pipe() as pipe:
        outlet = Outlet(pipe.there, tell=lambda _: None)
        stream = stream_to(outlet)
        say(stream, LINE)
        os.close(pipe.here)
        assert outlet.drain(within_s=START_S)
        say(stream, LINE)
        assert outlet.drain(within_s=START_S)


def test_a_file_that_cannot_be_written_is_tried_again() -> None:
    """As a disk that is full."""
    told: queue.Queue[int] = queue.Queue()
    here, there = os.pipe()
    closed = os.dup(there)
    os.close(closed)
    outlet = Outlet(closed, tell=told.put)
    stream = stream_to(outlet)
    say(stream, LINE)
    assert outlet.drain(within_s=START_S)
    os.dup2(there, closed)
    say(stream, LINE)
    assert os.read(here, 1000) == LINE.encode()
    assert told.get(timeout=START_S) == 1
    for descriptor in (here, there, closed):
        os.close(descriptor)


def test_a_file_that_does_not_block_is_waited_for_in_the_thread() -> None:
    with full_pipe() as pipe:
        os.set_blocking(pipe.there, False)
        say(stream_to(Outlet(pipe.there, tell=lambda _: None)), LINE)
        assert pipe.read() == LINE.encode()


def test_a_watch_whose_output_nobody_reads_works_and_ends(here: Here) -> None:
    """Both pipes are full before it has said a word."""
    with full_pipe() as out, full_pipe() as err:
        process = here.start("watch", env={"LOG_LEVEL": "DEBUG"}, stdout=out.there, stderr=err.there)
        try:
            here.sandbox.until(lambda log: len([row for row in log if row.get("event") == "attached"]) >= 2)
            here.sandbox.publish("rebalance-primary", TRADES)
            here.sandbox.until(order_messages)
            here.sandbox.until(lambda log: [row for row in log if row.get("event") == "execution"])
            assert here.run("status", "--json").document["watch"]["pid"] == process.pid
            process.send_signal(SIGTERM)
            assert process.wait(START_S) in {0, 12}
        finally:
            process.kill()
            process.wait()
