"""Start the sandbox: a venue's gateway, HTTP port and channels, all on loopback, until the block is left."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

from aiohttp import web

from ibkr_rebalancer.sandbox.ably.app import App
from ibkr_rebalancer.sandbox.ably.channels import Batch
from ibkr_rebalancer.sandbox.ably.faults import check_faults as check_realtime_faults
from ibkr_rebalancer.sandbox.ably.faults import read_disturbance
from ibkr_rebalancer.sandbox.ably.protocol import Refused
from ibkr_rebalancer.sandbox.ably.server import Server
from ibkr_rebalancer.sandbox.allocations import add_allocations
from ibkr_rebalancer.sandbox.control import add_control
from ibkr_rebalancer.sandbox.log import Log, Record
from ibkr_rebalancer.sandbox.scenario_yaml import parse_scenario
from ibkr_rebalancer.sandbox.tws.server import LOOPBACK, Gateway
from ibkr_rebalancer.sandbox.tws.session import check_faults
from ibkr_rebalancer.sandbox.venue.document import Document, ScenarioError
from ibkr_rebalancer.sandbox.venue.orders import Event
from ibkr_rebalancer.sandbox.venue.scenario import Scenario, read_scenario, write_scenario
from ibkr_rebalancer.sandbox.venue.venue import Venue

SHUTDOWN_S = 0.01
"""Patience with answers that are still to come when the sandbox ends; aiohttp takes 0 for no end."""
API_KEY = "sandbox-key"
"""Of the allocation API; no secret, since it opens nothing but this process."""


def load_scenario(path: Path | None = None) -> Scenario:
    """Read a scenario file; None is the one that comes with the package.

    Raises:
        OSError: when the file can't be read.
        ScenarioError: when it is no scenario.
    """
    packaged = resources.files("ibkr_rebalancer.sandbox") / "default_scenario.yaml"
    content = packaged.read_bytes() if path is None else path.read_bytes()
    return read_scenario(parse_scenario(content, name=str(path or packaged)))


@asynccontextmanager
async def run_sandbox(
    scenario: Scenario,
    *,
    gateway_port: int = 0,
    ably_port: int = 0,
    allocations_port: int = 0,
    log: Path | None = None,
) -> AsyncIterator["Sandbox"]:
    """Serve the scenario until the block is left. Port 0 takes any free one; `log` also gets the log as JSON lines.

    Raises:
        OSError: when a port is taken or the log can't be written.
        ScenarioError: when a fault names a message that doesn't exist.
    """
    sandbox = Sandbox(scenario, Log(log))
    try:
        await sandbox.start(gateway_port, ably_port, allocations_port)
        yield sandbox
    finally:
        await sandbox.stop()


class Sandbox:
    """A running sandbox; use `run_sandbox` to get one."""

    gateway_port: int
    ably_port: int
    allocations_port: int

    def __init__(self, scenario: Scenario, log: Log) -> None:
        _check_faults(scenario)
        self._clock = _Clock(scenario.clock)
        self._log = log
        self._venue = Venue(scenario)
        self._gateway = Gateway(self._venue, clock=self._clock.now, log=log)
        self._app = App(scenario.realtime, scenario.realtime_faults)
        self._channels = Server(
            self._app, clock=self._clock.now, latency_ms=lambda: self._venue.scenario.latency_ms, log=log
        )
        app = web.Application()
        add_allocations(app, self._venue, api_key=API_KEY, clock=self._clock.now, log=log)
        add_control(app, self)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        self._ably_runner = web.AppRunner(
            self._channels.routes(), access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True
        )

    @property
    def log(self) -> list[Record]:
        """All frames and events so far, as in the log file."""
        return self._log.records

    @property
    def allocations_url(self) -> str:
        """Followed by `/NAME`."""
        return f"http://{LOOPBACK}:{self.allocations_port}/allocations"

    @property
    def control_url(self) -> str:
        return f"http://{LOOPBACK}:{self.allocations_port}/control"

    @property
    def env(self) -> dict[str, str]:
        """All that a user of this sandbox must export."""
        paper = all(name.startswith("D") for name in self._venue.scenario.accounts)
        return {
            "IBKR_HOST": LOOPBACK,
            "IBKR_PORT": str(self.gateway_port),
            "TRADING_MODE": "paper" if paper else "live",
            "REALTIME_API_KEY": self._app.watcher_key,
            "REALTIME_ENDPOINT": f"http://{LOOPBACK}:{self.ably_port}",
            "ALLOCATIONS_API_KEY": API_KEY,
        }

    def announcement(self) -> Document:
        return {
            "schema": "rebalancer.sandbox/1",
            "gateway_port": self.gateway_port,
            "ably_port": self.ably_port,
            "allocations_port": self.allocations_port,
            "control_url": self.control_url,
            "env": self.env,
        }

    def state(self) -> Document:
        """The scenario of this moment as a document, with who is connected just now, and the key that may publish."""
        document = write_scenario(self._venue.scenario)
        return document | {
            "clock": self._clock.now().isoformat(),
            "clients": sorted(self._gateway.client_ids),
            "connections": self._channels.connection_ids,
            "publisher_key": self._app.publisher_key,
        }

    def change(self, change: Document) -> None:
        """Lay part of a scenario over the present one, and tell those who follow; all of it, or nothing.

        Raises:
            ScenarioError: when the result is no scenario.
        """
        scenario = self._venue.changed(change)
        _check_faults(scenario)
        self._venue.become(scenario)
        self._app.become(scenario.realtime, scenario.realtime_faults)
        if "clock" in change:
            self._clock.set(scenario.clock)
        self._write({"event": "changed", "change": change})
        self._gateway.refresh()
        self._gateway.drive()

    def kick(self, client: int | None = None) -> None:
        """Cut one client's connection, or all of them."""
        self._write({"event": "kicked", "client": client})
        self._gateway.kick(client)

    def notice(self, code: int, text: str = "") -> None:
        """Send a system message to every client, in the usual words unless told others."""
        self._write({"event": "notice", "code": code})
        self._gateway.notice(code, text)

    def order(self, body: Document) -> None:
        """Place an order of somebody else.

        Raises:
            ScenarioError: when it is none.
        """
        self._happened(self._venue.place_stated(body, self._clock.now()))

    def correct(self, exec_id: str, price: Decimal) -> None:
        """Correct the price of an execution.

        Raises:
            ScenarioError: when there is none with this id.
        """
        self._happened(self._venue.correct(exec_id, price, self._clock.now()))

    def publish(self, channel: str, /, data: object = None, **more: object) -> Batch | None:
        """Publish a message, with `name`, `id` and the like if they are given; None if this id was just published.

        Raises:
            ScenarioError: when it is no message.
        """
        try:
            return self._channels.publish(channel, {"data": data, **more})
        except Refused as refused:
            raise ScenarioError("publish", refused.text) from refused

    def disturb(self, action: str, /, **parameters: object) -> None:
        """Do one of `ably.faults.DISTURBANCES` to the connections that there are: `disturb("close", code=1011)`.

        Raises:
            ScenarioError: when it is none.
        """
        read = read_disturbance(action, parameters)
        self._write({"event": "disturbed", "action": action, "parameters": read})
        self._channels.disturb(action, read)

    async def start(self, gateway_port: int, ably_port: int, allocations_port: int) -> None:
        self.gateway_port = await self._gateway.start(gateway_port)
        self.ably_port = await _listen(self._ably_runner, ably_port)
        self.allocations_port = await _listen(self._runner, allocations_port)

    async def stop(self) -> None:
        await self._gateway.stop()
        self._channels.disturb("abort", {})
        await self._ably_runner.cleanup()
        await self._runner.cleanup()
        self._log.close()

    def _happened(self, events: Sequence[Event]) -> None:
        self._gateway.happened(events)
        self._gateway.drive()

    def _write(self, record: dict[str, Any]) -> None:
        self._log.write(self._clock.now(), record)


def _check_faults(scenario: Scenario) -> None:
    """
    Raises:
        ScenarioError: for faults that could never strike.
    """
    check_faults(scenario.faults)
    check_realtime_faults(scenario.realtime_faults)


async def _listen(runner: web.AppRunner, port: int) -> int:
    """Serve on loopback; port 0 takes any free one. Returns the port."""
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    return int(runner.addresses[0][1])


class _Clock:
    """The venue's time: starts where it is told, or at the real time, and runs on from there."""

    def __init__(self, start: datetime | None) -> None:
        self.set(start)

    def set(self, start: datetime | None) -> None:
        self._ahead = timedelta(0) if start is None else start - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead
