"""How `execute` trades: a person is asked, signals are met in good order, and the report tells what came of it."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from ibkr_rebalancer.app import Rebalancer
from ibkr_rebalancer.cli.asking import confirmed
from ibkr_rebalancer.cli.output import conversation, show_outcomes, tell
from ibkr_rebalancer.cli.progress import Progress
from ibkr_rebalancer.cli.session import read_settings, tell_settings
from ibkr_rebalancer.cli.stopping import AtStake, stoppable
from ibkr_rebalancer.cli.streams import READER_GONE, OutputFailed
from ibkr_rebalancer.cli.tables import plans_view, runs_view
from ibkr_rebalancer.cli.telling import failure_told, tell_outcomes
from ibkr_rebalancer.config.settings import Settings
from ibkr_rebalancer.core.errors import Deferred, RebalancerError, gravest
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.remedies import INTERRUPTED
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.flows.trading import Confirm

Outcomes = Mapping[AccountId, Report | RebalancerError]
Work = Callable[[Rebalancer, Confirm | None], Coroutine[Any, Any, Outcomes]]


def trade(
    work: Work,
    *,
    asks: bool,
    config: Path | None,
    state: Path | None,
    as_json: bool,
    verbose: bool,
) -> int:
    """Do work that trades, and show what came of it; it is given somebody to ask, or nobody, and then notifications
    tell it too, after all else.

    The exit code tells what became of the orders, whether or not the rest could be shown to anybody.

    Raises:
        RebalancerError: nothing was sent; or the command was ended at once (`STOPPED_AT_ONCE`).
        KeyboardInterrupt: a signal ended it before anything was sent.
    """
    settings = read_settings(config, state=state, verbose=verbose)
    progress = Progress(as_log=verbose)
    confirm = _asking(progress, settings.mode) if asks else None
    with nullcontext() if asks else failure_told(settings, progress), AtStake(progress) as observer:
        with progress:
            tell_settings(settings, progress)
            outcomes = _outcomes(work, settings, observer, confirm=confirm)
        _show(outcomes, as_json=as_json)
    if not asks:
        tell_outcomes(outcomes, settings, progress)
    return gravest(outcome.exit_code for outcome in outcomes.values())


def _outcomes(work: Work, settings: Settings, observer: AtStake, *, confirm: Confirm | None) -> Outcomes:
    try:
        outcomes = asyncio.run(_done(work, settings, observer, confirm=confirm))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    if all(isinstance(outcome, Deferred) and outcome.code == INTERRUPTED for outcome in outcomes.values()):
        raise KeyboardInterrupt
    return outcomes


async def _done(work: Work, settings: Settings, observer: AtStake, *, confirm: Confirm | None) -> Outcomes:
    async with Rebalancer.open(settings, observer=observer) as session:
        return await stoppable(work(session, confirm), on_stop=observer.tell_stop)


def _show(outcomes: Outcomes, *, as_json: bool) -> None:
    """Show what came of it, as far as anybody can read it."""
    with suppress(*READER_GONE):
        try:
            show_outcomes("run", "runs", outcomes, view=runs_view, as_json=as_json)
        except OutputFailed as failure:
            tell(
                f"Warning: standard output cannot be written: {failure}.\n"
                "The exit code tells what came of the orders, and rebalancer runs shows all of it."
            )


def _asking(progress: Progress, mode: TradingMode) -> Confirm:
    """Show plans and ask for leave to send them."""

    async def confirm(plans: Sequence[Plan]) -> bool:
        with progress.paused():
            conversation().print(plans_view(plans), crop=False)
            return await confirmed(_question(plans, mode))

    return confirm


def _question(plans: Sequence[Plan], mode: TradingMode) -> str:
    orders = sum(len(plan.trades) for plan in plans)
    worth = dict.fromkeys((plan.currency for plan in plans), ZERO)
    for plan in plans:
        worth[plan.currency] += sum((trade.notional for trade in plan.trades), ZERO)
    money = " and ".join(f"{amount:,.0f} {currency}" for currency, amount in worth.items())
    accounts = " and ".join(plan.account for plan in plans)
    return f"\nSend {orders} order{'' if orders == 1 else 's'} worth {money} for {accounts} ({mode.value})?"
