"""The ends of runs: each is in the journal before anybody is told of it."""

import asyncio
from collections.abc import Callable

from ibkr_rebalancer.core.errors import RebalancerError, StorageFailed
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report, unkept
from ibkr_rebalancer.core.runs import RunStart, run_failure
from ibkr_rebalancer.flows.execution import interruption
from ibkr_rebalancer.ports import Clock, Ledger, Observer

OnEnd = Callable[[AccountId, Report | RebalancerError], None]
"""Hears of the end of an account's run as soon as it is known, while others go on; the account is free by then."""


def keep_end(
    start: RunStart, end: Report | RebalancerError, *, ledger: Ledger, clock: Clock, observer: Observer
) -> Report | RebalancerError:
    """Journal the end of a run. A journal that fails only now must not hide what was sent, nor be hidden by it."""
    try:
        if isinstance(end, Report):
            ledger.end_run(end)
        else:
            ledger.fail_run(run_failure(start, end, ended=clock.now()))
    except StorageFailed as failure:
        text = f"{failure.message} The end of run {start.run_id} is not in the journal"
        observer.notify(Notice(event="journal.failed", text=text, severity=Severity.WARNING))
        return unkept(end, failure) if isinstance(end, Report) else end
    return end


def as_end(account: AccountId, error: RebalancerError | asyncio.CancelledError) -> RebalancerError:
    """The end of a run that this kept from sending anything."""
    return error if isinstance(error, RebalancerError) else interruption(account)
