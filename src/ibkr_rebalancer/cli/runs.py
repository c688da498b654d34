"""`rebalancer runs`: what was traded when, and one run told from beginning to end."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ibkr_rebalancer.cli.options import Config, Html, Json, State, Verbose
from ibkr_rebalancer.core.errors import EXIT_DONE, UsageError

if TYPE_CHECKING:
    from ibkr_rebalancer.core.order_state import TrackedOrder
    from ibkr_rebalancer.ports import RunRecord
    from ibkr_rebalancer.records import Records

LOOKED_AT = 100
"""How many runs back the next run of the same account is looked for."""


def runs(
    run: Annotated[str | None, typer.Argument(metavar="RUN", hidden=True)] = None,
    *,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=10_000, help="How many, the newest first.")
    ] = 20,
    config: Config = None,
    state: State = None,
    html: Html = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """List the runs that could trade, or tell one in full.

    RUN is the id of one run, or how it begins: what it meant to do, and what became of every order. It reads the
    journal and asks nobody else. Dry runs are not kept.

    \b
    Examples:
      rebalancer runs                      the newest runs, and how they ended
      rebalancer runs 20261123T153000Z     one of them, by the beginning of its id
      rebalancer runs 20261123T153000Z --html run.html    the same as a web page
    """
    from ibkr_rebalancer.cli.files import write_page
    from ibkr_rebalancer.cli.output import show, show_document
    from ibkr_rebalancer.cli.pages import run_page
    from ibkr_rebalancer.cli.session import on_journal
    from ibkr_rebalancer.cli.tables import RunsView, run_view, summary
    from ibkr_rebalancer.core.documents import document

    if run is not None:
        record, after = on_journal(lambda records: _with_next(records, run), config, state=state, verbose=verbose)
        if html:
            write_page(html, run_page(record, next_run=after))
        if as_json:
            show_document(document("record", record=_content(record)))
        else:
            show(run_view(record, next_run=after))
        return EXIT_DONE
    if html:
        raise UsageError("USAGE", "--html shows one run, and none is named.", hint="See rebalancer runs --help.")
    newest = on_journal(lambda records: records.runs(limit=limit), config, state=state, verbose=verbose)
    if as_json:
        show_document(document("runs", runs=[summary(record) for record in newest]))
    else:
        show(RunsView(newest))
    return EXIT_DONE


def _with_next(records: "Records", run: str) -> "tuple[RunRecord, RunRecord | None]":
    """The run, and the next one of its account."""
    record = records.run(run)
    later = [other for other in records.runs(limit=LOOKED_AT) if _is_later(other, record)]
    return record, later[-1] if later else None


def _is_later(other: "RunRecord", record: "RunRecord") -> bool:
    return other.start.account == record.start.account and other.start.started > record.start.started


def _content(record: "RunRecord") -> dict[str, Any]:
    """All that is kept of a run, as it stands in its document."""
    return {
        "start": record.start,
        "allocation": None if record.document is None else record.document.decode(errors="replace"),
        "plan": record.plan,
        "orders": [_order_content(order) for order in record.orders],
        "report": record.report,
        "failure": record.failure,
    }


def _order_content(order: "TrackedOrder") -> dict[str, Any]:
    from ibkr_rebalancer.core.documents import encode_variant
    from ibkr_rebalancer.core.order_state import order_state

    evidence = [encode_variant(heard) for heard in order.evidence]
    return {"intent": order.intent, "state": order_state(order), "evidence": evidence}
