"""How `watch` speaks and ends: results on standard output, a log on standard error, an end in good order.

On a terminal the log is for people, and errors are told as by any command. Elsewhere it is JSON, line by line, and
errors are told in it: nothing else stands between its lines, and nothing in it shows an account number.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ibkr_rebalancer.app import Rebalancer
from ibkr_rebalancer.cli.outlets import let_nobody_wait
from ibkr_rebalancer.cli.output import outcomes_document, show, show_document, show_outcomes
from ibkr_rebalancer.cli.session import read_settings, tell_settings
from ibkr_rebalancer.cli.stopping import AtStake, stoppable
from ibkr_rebalancer.cli.streams import READER_GONE, OutputFailed
from ibkr_rebalancer.cli.tables import runs_view
from ibkr_rebalancer.cli.telling import life_told, telling
from ibkr_rebalancer.config.settings import Settings
from ibkr_rebalancer.core.errors import RebalancerError, gravest
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.notifications import run_notice
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.core.watch_status import WatchStatus
from ibkr_rebalancer.edges.host import SystemClock, Systemd
from ibkr_rebalancer.edges.journal.watch_file import WatchFile
from ibkr_rebalancer.edges.logs import LogObserver, configure_logging, log_end, redacted
from ibkr_rebalancer.flows.signs_of_life import SignsOfLife

Outcomes = Mapping[AccountId, Report | RebalancerError]


def watch_until_told(*, dry_run: bool, config: Path | None, state: Path | None, as_json: bool, verbose: bool) -> int:
    """Watch until a signal; the exit code is that of the runs which it cut short, if any has one.

    Raises:
        RebalancerError: it could not begin, or could not go on, and that is yet to be told.
        KeyboardInterrupt: a signal came before it listened for any, or a second one, and no order is open.
    """
    let_nobody_wait(_tell_left_out)
    if sys.stderr.isatty():
        return _watch_until_told(dry_run=dry_run, config=config, state=state, as_json=as_json, verbose=verbose)
    configure_logging("WARNING", secrets=(), as_json=True)  # for whatever is wrong with the settings
    try:
        return _watch_until_told(dry_run=dry_run, config=config, state=state, as_json=as_json, verbose=verbose)
    except RebalancerError as error:
        log_end(replace(run_notice(None, error), event="watch.fail"))
        if as_json:
            raise  # it is a document as well
        return error.exit_code


def _watch_until_told(*, dry_run: bool, config: Path | None, state: Path | None, as_json: bool, verbose: bool) -> int:
    settings = read_settings(config, state=state, verbose=verbose, log_as_json=not sys.stderr.isatty())
    with (
        telling(settings, LogObserver()) as teller,
        life_told(teller, settings, dry_run=dry_run) as pulse,
        AtStake(teller) as observer,
    ):
        return asyncio.run(_watch(settings, observer, pulse, dry_run=dry_run, as_json=as_json))


def _tell_left_out(text: str) -> None:
    LogObserver().notify(Notice(event="output.missing", text=text, severity=Severity.WARNING))


async def _watch(
    settings: Settings, at_stake: AtStake, pulse: Callable[[], None], *, dry_run: bool, as_json: bool
) -> int:
    results = _Results(as_json=as_json)
    signs = _signs_of_life(settings, at_stake, dry_run=dry_run)

    def stop() -> None:
        results.is_stopping = True
        signs.stop()
        at_stake.tell_stop()

    tell_settings(settings, signs)
    async with Rebalancer.open(settings, observer=signs) as session:

        def beat() -> None:
            signs.beat()
            pulse()

        work = session.watch(dry_run=dry_run, tell=results.show, beat=beat)
        with suppress(asyncio.CancelledError):
            await stoppable(work, on_stop=stop)
    return gravest(results.cut_short)


def _signs_of_life(settings: Settings, at_stake: AtStake, *, dry_run: bool) -> SignsOfLife:
    clock = SystemClock()
    now = clock.now()
    return SignsOfLife(
        WatchStatus(pid=os.getpid(), started=now, beat=now, mode=settings.mode, dry_run=dry_run),
        keep=WatchFile(settings.state_path).keep,
        supervisor=Systemd(os.environ),
        clean=redacted,
        observer=at_stake,
        clock=clock,
    )


class _Results:
    """Shows what came of events."""

    def __init__(self, *, as_json: bool) -> None:
        self.is_stopping = False
        self.cut_short: list[int] = []
        """Exit codes of the runs that ended after the signal."""
        self._as_json = as_json

    def show(self, outcomes: Outcomes) -> None:
        """Print them, if anybody still reads; nothing waits for whoever does not."""
        if self.is_stopping:
            self.cut_short += [outcome.exit_code for outcome in outcomes.values() if isinstance(outcome, Report)]
        with suppress(*READER_GONE, OutputFailed):
            if self._as_json:
                show_document(outcomes_document("run", "runs", outcomes), in_one_line=True)
            elif sys.stderr.isatty():
                show_outcomes("run", "runs", outcomes, view=runs_view, as_json=False)
            elif reports := [outcome for outcome in outcomes.values() if isinstance(outcome, Report)]:
                show(runs_view(reports))
