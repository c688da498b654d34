"""What a checkup has found: a line for each question, and what to do below it."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ibkr_rebalancer.cli.tables.layout import new_table, uncut
from ibkr_rebalancer.core.doctor import Finding, State

STYLE = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "bold red"}


def findings_view(found: Sequence[Finding]) -> RenderableType:
    """All findings in their order, then how many of each kind there are."""
    table = new_table()
    for heading in ("State", "Check", "Account"):
        table.add_column(heading, no_wrap=True)
    table.add_column("What was found, and what to do", overflow="fold")
    for finding in found:
        told = Text(finding.text)
        if finding.hint:
            told.append("\n").append("To do: ", "bold").append(finding.hint)
        state = Text(finding.state.value, STYLE[finding.state])
        table.add_row(state, finding.check.value, finding.account or "", told)
    return Group(uncut(table), _sum(found))


def _sum(found: Sequence[Finding]) -> Text:
    counts = Counter(finding.state for finding in found)
    told = [f"{counts[State.PROBLEM]} {'problem' if counts[State.PROBLEM] == 1 else 'problems'}"]
    told.append(f"{counts[State.WARNING]} {'warning' if counts[State.WARNING] == 1 else 'warnings'}")
    return Text(f"{', '.join(told)}, {counts[State.OK]} ok")
