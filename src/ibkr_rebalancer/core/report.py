"""What came of a run: built from what the broker reported, never from the plan. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum

from ibkr_rebalancer.core.errors import (
    EXIT_DONE,
    EXIT_PARTIAL,
    Halted,
    RebalancerError,
    StorageFailed,
    UnknownOutcome,
)
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.order_state import OrderState, OrderStatus, TrackedOrder, given_up, order_state, remedy_for
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.purchases import Adjustment
from ibkr_rebalancer.core.runs import RunStart

MAY_BE_OPEN = "Orders may be open at Interactive Brokers, or filled."


class RunMode(Enum):
    """Whether a run may trade."""

    DRY_RUN = "dry-run"
    REBALANCE = "rebalance"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """One order of a run, and what is known of it."""

    order_ref: str | None
    """Our reference at the broker; None for an order that was never sent."""
    symbol: str
    con_id: ConId
    side: Side
    quantity: int
    filled: int
    currency: str
    """That it trades in."""
    rate: Decimal
    """What a unit of `currency` was worth in the account's when it was planned."""
    average_price: Decimal | None
    """Of what was filled, in `currency`; None when nothing was, or when nobody has told what some was filled at."""
    commission: Decimal | None
    """In `currency`; None when not all of it has been told."""
    status: str
    reason: str
    remedy: str = ""
    """What a person can do about it, if the broker has refused, cancelled or held it for a reason that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run for one account, ended."""

    run_id: str
    account: AccountId
    plan: Plan | None
    """None when it was declined before it was kept."""
    mode: RunMode
    trigger: str
    """What asked for the run: `command`, or the id of an event."""
    outcome: str
    """`done`, `nothing-to-do`, `declined`, `partial`, `interrupted`, `unknown`, `halted` or `failed` (the journal);
    `not-sent` in a dry run."""
    exit_code: int
    started: datetime
    ended: datetime
    orders: tuple[OrderReport, ...]
    adjustments: tuple[Adjustment, ...]
    """Planned purchases of which less was sent than was printed."""
    code: str
    """The stable reason code of what kept the run from being done; empty if nothing did."""
    trouble: str
    """The same as a sentence."""
    hint: str
    """What to do about it."""


def dry_run_report(plan: Plan, *, trigger: str, started: datetime, ended: datetime) -> Report:
    """The report of a run that sent nothing: the orders it would have sent, each marked so. Times are ours, UTC."""
    return Report(
        run_id=f"{started:%Y%m%dT%H%M%SZ}-{plan.plan_id}",
        account=plan.account,
        plan=plan,
        mode=RunMode.DRY_RUN,
        trigger=trigger,
        outcome="not-sent" if plan.trades else "nothing-to-do",
        exit_code=EXIT_DONE,
        started=started,
        ended=ended,
        orders=tuple(
            OrderReport(
                order_ref=None,
                symbol=trade.symbol,
                con_id=trade.con_id,
                side=trade.side,
                quantity=trade.quantity,
                filled=0,
                currency=trade.currency,
                rate=trade.rate,
                average_price=None,
                commission=ZERO,
                status="not-sent",
                reason=f"dry run: {trade.reason}",
            )
            for trade in plan.trades
        ),
        adjustments=(),
        code="",
        trouble="",
        hint="",
    )


def unsent_report(start: RunStart, *, outcome: str, ended: datetime, plan: Plan | None = None) -> Report:
    """The report of a run that had nothing to send, or was not allowed to."""
    return _report(start, plan, outcome=outcome, exit_code=EXIT_DONE, ended=ended)


def execution_report(
    plan: Plan,
    start: RunStart,
    tracked: Sequence[TrackedOrder],
    *,
    adjustments: Sequence[Adjustment],
    trouble: RebalancerError | None,
    interrupted: bool,
    ended: datetime,
) -> Report:
    """The report of a run that has sent orders, from what the broker said of them.

    An order that nobody waits for any longer and whose end is not proven is unknown, which is graver than any trouble.
    A run is done when all that was printed has been filled, and nothing stood in the way of finding that out.
    """
    states = [given_up(order_state(order)) for order in tracked]
    outcome, exit_code = _outcome(plan, tracked, states, trouble, interrupted=interrupted)
    report = _report(start, plan, outcome=outcome, exit_code=exit_code, ended=ended)
    return replace(
        report,
        orders=tuple(order_report(order, state) for order, state in zip(tracked, states, strict=True)),
        adjustments=tuple(adjustments),
        code=trouble.code if trouble else "",
        trouble=trouble.message if trouble else "",
        hint=_hint(trouble, outcome) if trouble else "",
    )


def unkept(report: Report, failure: StorageFailed) -> Report:
    """The same report when the journal could not take it: a run that went well otherwise has failed in that."""
    if report.exit_code != EXIT_DONE:
        return report
    return replace(
        report,
        outcome="failed",
        exit_code=failure.exit_code,
        code=failure.code,
        trouble=failure.message,
        hint=failure.hint,
    )


def _outcome(
    plan: Plan,
    tracked: Sequence[TrackedOrder],
    states: Sequence[OrderState],
    trouble: RebalancerError | None,
    *,
    interrupted: bool,
) -> tuple[str, int]:
    """What the run came to, and its exit code: the gravest of what is true."""
    filled = Counter[tuple[ConId, Side]]()
    for order, state in zip(tracked, states, strict=True):
        filled[order.intent.con_id, order.intent.side] += state.filled
    if any(state.status is OrderStatus.UNKNOWN for state in states) or isinstance(trouble, UnknownOutcome):
        return "unknown", UnknownOutcome.exit_code
    if isinstance(trouble, Halted):
        return "halted", Halted.exit_code
    if isinstance(trouble, StorageFailed):
        return "failed", StorageFailed.exit_code
    if trouble is not None or any(filled[trade.con_id, trade.side] < trade.quantity for trade in plan.trades):
        return "interrupted" if interrupted else "partial", EXIT_PARTIAL
    return "done", EXIT_DONE


def _hint(trouble: RebalancerError, outcome: str) -> str:
    """What to do about the trouble, and about the orders that it leaves in doubt."""
    if outcome != "unknown" or isinstance(trouble, UnknownOutcome):
        return trouble.hint
    return (
        f"{MAY_BE_OPEN} {trouble.hint} The next run finds out what became of them before it does anything else; or "
        "look for them in TWS or Client Portal."
    )


def order_report(order: TrackedOrder, state: OrderState) -> OrderReport:
    return OrderReport(
        order_ref=order.intent.order_ref,
        symbol=order.intent.symbol,
        con_id=order.intent.con_id,
        side=order.intent.side,
        quantity=order.intent.quantity,
        filled=state.filled,
        currency=order.intent.currency,
        rate=order.intent.rate,
        average_price=state.average_price,
        commission=state.commission,
        status=state.status.value,
        reason=state.reason,
        remedy=remedy_for(order, state),
    )


def _report(start: RunStart, plan: Plan | None, *, outcome: str, exit_code: int, ended: datetime) -> Report:
    return Report(
        run_id=start.run_id,
        account=start.account,
        plan=plan,
        mode=RunMode.REBALANCE,
        trigger=start.trigger,
        outcome=outcome,
        exit_code=exit_code,
        started=start.started,
        ended=ended,
        orders=(),
        adjustments=(),
        code="",
        trouble="",
        hint="",
    )
