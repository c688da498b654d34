"""Processes that rebalance over sockets and are killed at a chosen point: `python -m tests.support.worker`.

    with nursery() as worker:
        ended = worker.run(Job(folder=str(folder), env=sandbox.inside.env, dies_at=7))
        assert ended.killed

The nursery imports everything once and forks a process for each job, for an import takes longer than a run. The
process is the product with its ports tapped (`failpoints`): what kills it is SIGKILL, so nothing of it runs after.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.failpoints import SENDS, WRITES, tapped

from ibkr_rebalancer.app import Rebalancer
from ibkr_rebalancer.config.loading import load_settings
from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.order_state import order_state
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.edges.ibkr import line  # noqa: F401 (imported once, before anything is forked)
from ibkr_rebalancer.edges.journal import opening  # noqa: F401
from ibkr_rebalancer.flows.reconcile import PATIENCE
from ibkr_rebalancer.flows.trading import TradingRun
from ibkr_rebalancer.ports import Gateway, GatewaySession, OrderDesk

ROOT = Path(__file__).parents[2]
ABSENCE_S = 1.0
"""Whole seconds: the gateway tells the time of a look no finer."""
HURRY = replace(PATIENCE, fill_s=5.0, cancel_s=1.0, link_s=5.0, absence_s=ABSENCE_S, commissions_s=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Some runs, one after the other, in a process of their own."""

    folder: str
    """Of accounts.yaml; the journal is in `state` there."""
    env: Mapping[str, str]
    dies_at: int | None = None
    """The point among writes and sends, each before and after, counted from 1."""
    runs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of the process."""

    killed: bool
    outcomes: Sequence[str] = field(default=())
    """Of each run that ended: the outcome of its report, or the code of its error."""


class Nursery:
    """The process that forks others, seen from the test."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen

    def run(self, job: Job) -> Ended:
        """Let it be done, and wait for its end."""
        assert self._popen.stdin
        assert self._popen.stdout
        self._popen.stdin.write(json.dumps(asdict(job)) + "\n")
        self._popen.stdin.flush()
        return Ended(**json.loads(self._popen.stdout.readline()))


@contextmanager
def nursery() -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.support.worker"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, text=True) as popen:
        yield Nursery(popen)


class _Mortal(Rebalancer):
    """The rebalancer with taps on its journal and its desk, and less patience."""

    dies_at: int | None = None
    points = 0

    async def _trading_run(self) -> TradingRun:
        run = await super()._trading_run()
        journal: Any = tapped(run._ports.ledger, WRITES, self._at)
        gateway = _TappedGateway(run._ports.gateway, self)
        ports = replace(run._ports, gateway=gateway, ledger=journal, controls=journal)
        return TradingRun(run._occasion, ports, patience=HURRY)

    def _at(self, _: str) -> None:
        _Mortal.points += 1
        if _Mortal.points == _Mortal.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


class _TappedGateway:
    def __init__(self, gateway: Gateway, owner: _Mortal) -> None:
        self._gateway = gateway
        self._owner = owner

    async def session(self, *, within_s: float) -> GatewaySession:
        session = await self._gateway.session(within_s=within_s)
        return replace(session, desk=tapped(session.desk, SENDS, self._owner._at))

    @asynccontextmanager
    async def over(self, client_id: int) -> AsyncIterator[OrderDesk]:
        async with self._gateway.over(client_id) as desk:
            yield tapped(desk, SENDS, self._owner._at)


def _serve() -> None:
    """Fork for each job that standard input tells, and tell how it ended."""
    order_state.__kwdefaults__ = {"absence_s": ABSENCE_S}
    for text in sys.stdin:
        job = Job(**json.loads(text))
        result = Path(job.folder) / "result.json"
        result.unlink(missing_ok=True)
        pid = os.fork()
        if not pid:
            _do(job, result)
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status)
        outcomes = [] if killed else json.loads(result.read_text(encoding="utf-8"))
        sys.stdout.write(json.dumps(asdict(Ended(killed=killed, outcomes=outcomes))) + "\n")
        sys.stdout.flush()


def _do(job: Job, result: Path) -> None:
    """In the forked process, which ends here."""
    _Mortal.dies_at = job.dies_at
    outcomes = [asyncio.run(_rebalanced(job)) for _ in range(job.runs)]
    result.write_text(json.dumps(outcomes), encoding="utf-8")
    os._exit(0)


async def _rebalanced(job: Job) -> str:
    folder = Path(job.folder)
    settings = load_settings(folder / "accounts.yaml", environ=job.env, cwd=folder, state=folder / "state")
    async with _Mortal.open(settings) as rebalancer:
        try:
            (outcome,) = (await rebalancer.rebalance()).values()
        except RebalancerError as error:
            return error.code
        return outcome.outcome if isinstance(outcome, Report) else outcome.code


if __name__ == "__main__":
    _serve()
