"""What came of runs, as tables."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ibkr_rebalancer.cli.tables.layout import blocks
from ibkr_rebalancer.cli.tables.plans import PlanView
from ibkr_rebalancer.core.report import Report


def runs_view(reports: Sequence[Report]) -> RenderableType:
    """The plan of each dry run, and that nothing of it was sent."""
    return blocks(Group(PlanView(report.plan), _run_line(report)) for report in reports)


def _run_line(report: Report) -> Text:
    count = len(report.orders)
    what = f"{count} order{'' if count == 1 else 's'} planned, none sent" if count else "nothing to do"
    return Text.assemble(("Dry run: ", "bold"), f"{what}. ", (f"Run {report.run_id}", "dim"))
