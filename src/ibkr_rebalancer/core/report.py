"""What came of a run: built from what the broker reported, never from the plan. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from ibkr_rebalancer.core.errors import EXIT_DONE
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import AccountId


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
    side: Side
    quantity: int
    filled: int
    average_price: Decimal | None
    """Of what was filled; None when nothing was."""
    commission: Decimal
    status: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run for one account, ended."""

    run_id: str
    account: AccountId
    plan: Plan
    mode: RunMode
    trigger: str
    """What asked for the run: `command`."""
    outcome: str
    """`nothing-to-do`, or `not-sent` for a dry run with trades."""
    exit_code: int
    started: datetime
    ended: datetime
    orders: tuple[OrderReport, ...]


def dry_run_report(plan: Plan, *, started: datetime, ended: datetime) -> Report:
    """The report of a run that sent nothing: the orders it would have sent, each marked so. Times are ours, UTC."""
    return Report(
        run_id=f"{started:%Y%m%dT%H%M%SZ}-{plan.plan_id}",
        account=plan.account,
        plan=plan,
        mode=RunMode.DRY_RUN,
        trigger="command",
        outcome="not-sent" if plan.trades else "nothing-to-do",
        exit_code=EXIT_DONE,
        started=started,
        ended=ended,
        orders=tuple(
            OrderReport(
                order_ref=None,
                symbol=trade.symbol,
                side=trade.side,
                quantity=trade.quantity,
                filled=0,
                average_price=None,
                commission=ZERO,
                status="not-sent",
                reason=f"dry run: {trade.reason}",
            )
            for trade in plan.trades
        ),
    )
