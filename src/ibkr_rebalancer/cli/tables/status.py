"""How a watch fares: what it depends on, what waits, and what it did last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.cli.tables.layout import new_table, uncut
from ibkr_rebalancer.core.events import Gap
from ibkr_rebalancer.core.watch_status import Condition, Done, Health, Told, Waiting, WatchStatus
from ibkr_rebalancer.ports import Halt


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """A running watch, and what the journal says of its work."""

    state: str
    """The state folder."""
    watch: WatchStatus
    halt: Halt | None
    gaps: Sequence[Gap]
    """The newest one of each channel."""
    waiting: Sequence[Waiting]
    done: Sequence[Done]
    """What was done last, by account."""


STYLE = {Health.UP: "", Health.DEGRADED: "yellow", Health.DOWN: "bold red"}


def status_view(report: StatusReport) -> RenderableType:
    """The watch, then what waits and what was done last, by account."""
    tables = [_waiting(report.waiting)] if report.waiting else []
    if report.done:
        tables.append(_done(report.done))
    return Group(_condition(report), *([""] if tables else []), *tables)


def _condition(report: StatusReport) -> RenderableType:
    watch = report.watch
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1)
    does = "every event is a dry run" if watch.dry_run else "events may trade"
    table.add_row("Watch", f"pid {watch.pid} since {_moment(watch.started)}; {does}")
    table.add_row("Last beat", f"at {_moment(watch.beat)}")
    table.add_row("Gateway", _how(watch.gateway))
    table.add_row("Events", _how(watch.events))
    table.add_row("Last event", _what(watch.newest_event, none="no event since it started"))
    for gap in report.gaps:
        missed = f"{_short(gap.since)} to {_moment(gap.until)}: events may have been missed. {gap.why}"
        table.add_row("Last gap", f"on {gap.channel}, {missed}")
    halt = report.halt
    halted = Text(f"halted since {_moment(halt.at)}: {halt.reason}", "bold red") if halt else "not halted"
    table.add_row("Trading", halted)
    return Group(Text(f"Watch of {watch.mode.value} accounts", "bold"), table)


def _how(condition: Condition | None) -> Text:
    if condition is None:
        return Text("not known yet")
    how = Text.assemble((condition.health.value, STYLE[condition.health]), f" since {_moment(condition.since)}")
    return how if condition.health is Health.UP else how.append(f". {condition.text}")


def _what(told: Told | None, *, none: str) -> str:
    return f"{_moment(told.at)}: {told.text}" if told else none


def _waiting(waiting: Sequence[Waiting]) -> RenderableType:
    table = new_table("Waiting")
    for heading in ("Account", "Mode", "Due (UTC)", "Event"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Why", overflow="fold")
    for each in waiting:
        why = each.reason or "its turn, or under way"
        table.add_row(each.account, each.mode.value, _short(each.due), each.event_id, why)
    return uncut(table)


def _done(done: Sequence[Done]) -> RenderableType:
    table = new_table("Done last")
    for heading in ("Account", "At (UTC)"):
        table.add_column(heading, no_wrap=True)
    table.add_column("What", overflow="fold")
    for each in sorted(done, key=lambda each: each.account):
        table.add_row(each.account, _short(each.at), each.text)
    return uncut(table)


def _moment(moment: datetime) -> str:
    return f"{_short(moment)} UTC"


def _short(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
