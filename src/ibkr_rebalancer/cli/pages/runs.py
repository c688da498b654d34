"""A run as a page: how it ended, what was filled beside what was planned, and the story of every order. Pure."""

from collections.abc import Sequence
from datetime import datetime

from ibkr_rebalancer.cli.pages.fills import Fills, fills_figures, fills_table, unsent_table
from ibkr_rebalancer.cli.pages.frame import bullets, capital, error_block, facts, heading, page
from ibkr_rebalancer.cli.pages.markup import Content, Markup, element, joined
from ibkr_rebalancer.cli.pages.plans import plan_parts
from ibkr_rebalancer.cli.tables.history import asked_by, found_later, marks_of, no_end, targets_text
from ibkr_rebalancer.cli.tables.layout import shown_account
from ibkr_rebalancer.cli.tables.orders import Moment, kind_of, outcome, told
from ibkr_rebalancer.cli.tables.runs import sentence
from ibkr_rebalancer.core.errors import EXIT_DONE
from ibkr_rebalancer.core.order_state import TrackedOrder, order_state
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.report import Report, order_report
from ibkr_rebalancer.core.runs import RunFailure
from ibkr_rebalancer.ports import RunRecord


def run_page(record: RunRecord, *, next_run: RunRecord | None) -> str:
    """All that the journal knows of a run; `next_run` is the account's next one."""
    parts: list[Content] = [_end(record, next_run), _beginning(record)]
    is_traded = record.orders or (record.report and record.report.plan)
    if record.plan and record.plan.trades and is_traded:
        parts += _traded(_fills(record, record.plan))
    if record.orders:
        marks = marks_of(record, next_run)
        parts += [heading(2, "What was heard of each order"), _stories(record.orders, marks)]
    if record.plan:
        parts += [heading(2, "The plan"), *plan_parts(record.plan, level=3)]
    title = f"Run of {shown_account(record.start.account)}, {record.start.started:%Y-%m-%d %H:%M} UTC"
    return page(title, element("section", joined(parts, by="\n")))


def _fills(record: RunRecord, plan: Plan) -> Fills:
    """As the run has reported them; or as they are known now, if it never did."""
    if record.report:
        return Fills(plan=plan, orders=record.report.orders, adjustments=record.report.adjustments)
    orders = [order_report(order, order_state(order)) for order in record.orders]
    return Fills(plan=plan, orders=orders, adjustments=())


def _traded(fills: Fills) -> Sequence[Content]:
    parts: list[Content] = [heading(2, "Fills against plan"), fills_figures(fills), fills_table(fills)]
    if unsent := unsent_table(fills):
        parts += [heading(2, "Not sent"), unsent]
    return parts


def _end(record: RunRecord, next_run: RunRecord | None) -> Markup:
    """How it ended, in words, and what is known since then."""
    lines: list[Content] = []
    is_good = False
    match record.report or record.failure:
        case Report() as report:
            is_good = report.exit_code == EXIT_DONE
            traded = report.plan if report.plan and report.plan.trades else None
            said = (
                sentence(report, traded)
                if traded
                else f"{capital(report.outcome.replace('-', ' '))}: nothing was sent."
            )
            lines.append(element("p", element("strong", said)))
            lines.append(element("p", f"Ended {_moment(report.ended)}, exit code {report.exit_code}."))
            if report.trouble:
                lines.append(element("p", element("b", "Why: "), f"{report.trouble} ({report.code})"))
                lines.append(element("p", element("b", "Hint: "), report.hint))
        case RunFailure() as failure:
            lines.append(element("p", element("strong", "Nothing was sent.")))
            lines.append(element("p", f"Ended {_moment(failure.ended)} before anything was sent."))
            lines.append(error_block(failure.code, failure.message, hint=failure.hint, exit_code=failure.exit_code))
        case None:
            lines.append(element("p", element("strong", no_end(next_run))))
    if later := found_later(record):
        lines.append(bullets(later))
    return element("div", joined(lines, by="\n"), class_=f"outcome {'well' if is_good else 'ill'}")


def _beginning(record: RunRecord) -> Markup:
    start = record.start
    return facts(
        [
            ("Run", start.run_id),
            ("Began", f"{_moment(start.started)}, asked for by {asked_by(start.trigger)}"),
            ("With", f"rebalancer {start.code_version}, settings {start.config_digest}"),
            ("Targets", targets_text(record)),
        ]
    )


def _stories(orders: Sequence[TrackedOrder], marks: Sequence[Moment]) -> Markup:
    return element("div", joined((_story(order, marks) for order in orders), by="\n"), class_="stories")


def _story(order: TrackedOrder, marks: Sequence[Moment]) -> Markup:
    intent = order.intent
    name = joined(
        [element("b", intent.side.value, class_=intent.side.value.lower()), f" {intent.quantity:,} {intent.symbol}"]
    )
    moments = (
        element("li", element("time", f"{moment.at:%Y-%m-%d %H:%M:%S}"), " ", element("span", moment.text))
        for moment in told(order, marks)
    )
    return element(
        "article",
        element("h3", name),
        element("p", element("strong", capital(outcome(order_state(order), intent)))),
        element("p", f"{kind_of(intent)}, {intent.order_ref}", class_="dim"),
        element("ol", joined(moments, by="\n")),
        class_="order",
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
