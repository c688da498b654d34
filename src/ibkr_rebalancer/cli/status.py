"""`rebalancer status`: what a running watch last knew, for people and for whoever supervises it."""

from typing import TYPE_CHECKING

from ibkr_rebalancer.cli.options import Config, Json, State, Verbose
from ibkr_rebalancer.core.errors import EXIT_DONE

if TYPE_CHECKING:
    from ibkr_rebalancer.cli.tables import StatusReport
    from ibkr_rebalancer.records import Records


def status(config: Config = None, state: State = None, as_json: Json = False, verbose: Verbose = False) -> int:
    """Tell how the watch on this state folder fares.

    The exit code is 0 as long as the watch goes on and the journal can be read: it fits a container's HEALTHCHECK. A
    gateway or channel that is down is told, and is no failure of the watch. It asks nobody, and needs no accounts.yaml.

    \b
    Examples:
      rebalancer status
      rebalancer status --json
    """
    from ibkr_rebalancer.cli.output import show, show_document
    from ibkr_rebalancer.cli.session import on_journal
    from ibkr_rebalancer.cli.tables import status_view
    from ibkr_rebalancer.core.documents import document

    report = on_journal(_report, config, state=state, verbose=verbose)
    if as_json:
        show_document(
            document(
                "status",
                state=report.state,
                watch=report.watch,
                halt=report.halt,
                gaps=report.gaps,
                waiting=report.waiting,
                done=report.done,
            )
        )
    else:
        show(status_view(report))
    return EXIT_DONE


def _report(records: "Records") -> "StatusReport":
    from ibkr_rebalancer.cli.tables import StatusReport
    from ibkr_rebalancer.core.watch_status import done, waiting

    watch = records.watch_status()
    return StatusReport(
        state=f"{records.state_path}",
        watch=watch,
        halt=records.halted(),
        gaps=records.newest_gaps(),
        waiting=tuple(waiting(entry, dry_run=watch.dry_run) for entry in records.pending()),
        done=tuple(done(entry) for entry in records.done_last()),
    )
