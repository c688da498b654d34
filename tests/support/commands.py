"""Real commands against a running sandbox, as a person would type them.

    def test_it_plans(here: Here) -> None:
        ended = here.run("plan", "DU123456")
        assert ended.exit_code == 0
        here.sandbox.change({"market": {"QQQ": {"bid": "600"}}})

`here` is a folder with an accounts.yaml for the two accounts of the packaged scenario, a sandbox of that scenario in
a thread of its own, and the environment to reach it. `run` calls the command line in this process, which is fast;
`start` starts `python -m ibkr_rebalancer` in another, for signals, terminals and the interpreter's own ways.
Import the fixture `here` in your conftest.py.
"""

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, getsignal, signal
from threading import Thread
from typing import Any

import pytest
import yaml

from ibkr_rebalancer.cli import run
from ibkr_rebalancer.config.environment import FILE_NAMES
from ibkr_rebalancer.config.schema import ENVIRONMENT
from ibkr_rebalancer.edges.allocations import HttpAllocations
from ibkr_rebalancer.edges.ibkr import connection
from ibkr_rebalancer.edges.ibkr.connection import Deadlines
from ibkr_rebalancer.edges.logs import CHATTY
from ibkr_rebalancer.flows.reconcile import PATIENCE
from ibkr_rebalancer.flows.trading import TradingRun
from ibkr_rebalancer.sandbox.log import Record
from ibkr_rebalancer.sandbox.run import Sandbox, load_scenario, run_sandbox
from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.scenario import Scenario
from ibkr_rebalancer.sandbox.venue.venue import Venue

FIRST, SECOND = "DU123456", "DU789012"
"""The accounts of the packaged scenario; their allocations are `primary` and `secondary`."""

XDG = ("XDG_CONFIG_HOME", "XDG_STATE_HOME")
"""Where the product would look for files of its user."""

START_S = 20
"""What only a broken test waits for."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that it must be."""
        content = json.loads(self.out)
        assert isinstance(content, dict)
        return content


class RunningSandbox:
    """A sandbox whose event loop runs in another thread; everything here may be called from the test's."""

    def __init__(self, sandbox: Sandbox, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        self.inside = sandbox
        """For what does not change while it runs: ports, URLs, env."""
        self._loop = loop
        self._stop = stop

    @property
    def log(self) -> list[Record]:
        return list(self.inside.log)

    def change(self, change: Document) -> None:
        """Lay part of a scenario over the present one."""
        self._do(lambda: self.inside.change(change))

    def kick(self) -> None:
        """Cut all connections."""
        self._do(self.inside.kick)

    def notice(self, code: int) -> None:
        """Send a system message to every client."""
        self._do(lambda: self.inside.notice(code))

    def publish(self, channel: str, data: object, **more: object) -> None:
        """Publish a message."""
        self._do(lambda: self.inside.publish(channel, data, **more))

    def disturb(self, action: str, **parameters: object) -> None:
        """Disturb the channels' connections."""
        self._do(lambda: self.inside.disturb(action, **parameters))

    def until(self, condition: Callable[[list[Record]], object]) -> None:
        """Wait for something to show in the log; the test's timeout is its end."""

        async def wait() -> None:
            while not condition(self.inside.log):  # noqa: ASYNC110 (the log sets no event)
                await asyncio.sleep(0.005)

        asyncio.run_coroutine_threadsafe(wait(), self._loop).result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    def _do(self, call: Callable[[], object]) -> None:
        async def called() -> None:
            call()

        asyncio.run_coroutine_threadsafe(called(), self._loop).result(START_S)


@contextmanager
def running_sandbox(scenario: Scenario) -> Iterator[RunningSandbox]:
    """The scenario, served until the block is left."""
    started: Future[RunningSandbox] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with run_sandbox(scenario) as sandbox:
            started.set_result(RunningSandbox(sandbox, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    sandbox = started.result(START_S)
    try:
        yield sandbox
    finally:
        sandbox.stop()
        thread.join(START_S)


@dataclass(frozen=True, slots=True)
class Here:
    """A folder with an accounts.yaml, and the sandbox it speaks of."""

    folder: Path
    sandbox: RunningSandbox
    monkeypatch: pytest.MonkeyPatch

    def run(self, *arguments: str) -> Ended:
        """Run a command in this process, its output going into a file as far as it can tell."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with redirect_stdout(out), redirect_stderr(err), _own_logging(), _own_signals():
            exit_code = run(arguments)
        return Ended(exit_code, _written(out), _written(err))

    @property
    def environment(self) -> dict[str, str]:
        """What another process needs, and nothing of the test's surroundings but the search path."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "REBALANCER_CONFIG": str(self.folder / "accounts.yaml"),
            **self.sandbox.inside.env,
        }

    def start(self, *arguments: str, **popen: Any) -> "subprocess.Popen[str]":
        """Start a command in a process of its own; leave a `with` block around it to have its pipes closed."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        env = {**self.environment, **popen.pop("env", {})}
        command = [sys.executable, "-m", "ibkr_rebalancer", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=env, **{**pipes, **popen})

    def finish(self, *arguments: str, **popen: Any) -> Ended:
        """Run a command in a process of its own to its end."""
        with self.start(*arguments, **popen) as process:
            out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    def accounts(self, *entries: Document) -> None:
        """Write accounts.yaml."""
        text = yaml.safe_dump(list(entries), sort_keys=False)
        (self.folder / "accounts.yaml").write_text(text, encoding="utf-8")

    def entry(self, account: str, allocation: str, **policy: Any) -> Document:
        """One account of accounts.yaml, its targets at `/allocations/<allocation>` of the sandbox."""
        return {
            "account_id": account,
            "notification": {"channel": f"rebalance-{allocation}"},
            "allocations": {"url": f"{self.sandbox.inside.allocations_url}/{allocation}"},
            **policy,
        }

    def set(self, **variables: str) -> None:
        """Set variables of the environment for commands in this process."""
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)

    def hurry(self, *, connect_s: float = 10, answer_s: float = 10, quotes_s: float = 10) -> None:
        """Shorten the deadlines of commands in this process; those not named are met by broken tests only."""
        deadlines = Deadlines(connect_s=connect_s, answer_s=answer_s, life_s=answer_s, quotes_s=quotes_s)
        opener = partial(connection.open_gateway, deadlines=deadlines)
        self.monkeypatch.setattr(connection, "open_gateway", opener)

    def hurry_trading(self, **patience: float) -> None:
        """Shorten what runs that trade in this process wait for."""
        trading = partial(TradingRun, patience=replace(PATIENCE, **patience))
        self.monkeypatch.setattr("ibkr_rebalancer.app.TradingRun", trading)

    def hurry_allocations(self, deadline_s: float) -> None:
        """Shorten the deadline for fetching an allocation."""
        self.monkeypatch.setattr("ibkr_rebalancer.app.HttpAllocations", partial(HttpAllocations, deadline_s=deadline_s))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """A sandbox of the packaged scenario, an accounts.yaml, and an environment with nothing else in it."""
    with running_sandbox(packaged()) as sandbox:
        place = Here(tmp_path, sandbox, monkeypatch)
        place.accounts(place.entry(FIRST, "primary"), place.entry(SECOND, "secondary"))
        clear_environment(monkeypatch)
        place.set(**place.environment)
        monkeypatch.chdir(tmp_path)
        yield place


def packaged(overlay: Mapping[str, Any] | None = None) -> Scenario:
    """The scenario of the package, with this laid over it."""
    return Venue(load_scenario()).changed(dict(overlay or {}))


def clear_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the product and rich would read of the test's surroundings."""
    for name in (*ENVIRONMENT, *FILE_NAMES, "COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", *XDG):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def _own_logging() -> Iterator[None]:
    """Let a command set up logging for itself, and put the process's back as it was."""
    root, raises = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers, logging.raiseExceptions = handlers, raises
        root.setLevel(level)
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.NOTSET)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Let a command ignore signals until its end, which is not this process's."""
    kept = {number: getsignal(number) for number in (SIGINT, SIGTERM, SIGHUP)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal(number, handler)


def _written(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8")
