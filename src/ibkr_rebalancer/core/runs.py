"""A run as the journal knows it: how it began, and how it ended when nothing was sent. Pure."""

from dataclasses import dataclass
from datetime import datetime

from ibkr_rebalancer.core.documents import digest
from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.layout import Layout
from ibkr_rebalancer.core.policy import Account, config_digest
from ibkr_rebalancer.core.portfolio import AccountId

COMMAND = "command"
"""The trigger of a run that a person or a timer asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """What a run that may trade is, before anything is known of its end."""

    run_id: str
    account: AccountId
    trigger: str
    """What asked for it: `command`, or the id of an event."""
    started: datetime
    config_digest: str
    """Of all that the owner decided about the account."""
    code_version: str
    layout: Layout | None = None
    """Of the allocation document that is kept of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """Why a run ended before anything was sent."""

    run_id: str
    account: AccountId
    code: str
    message: str
    hint: str
    exit_code: int
    ended: datetime


def run_start(account: Account, *, trigger: str, started: datetime, code_version: str) -> RunStart:
    """A run of the account that begins now; its id tells when, and no other run has it."""
    config = config_digest(account)
    return RunStart(
        run_id=f"{started:%Y%m%dT%H%M%SZ}-{digest(account.account_id, config, started.isoformat())}",
        account=account.account_id,
        trigger=trigger,
        started=started,
        config_digest=config,
        code_version=code_version,
        layout=account.layout,
    )


def run_failure(start: RunStart, error: RebalancerError, *, ended: datetime) -> RunFailure:
    """The end of a run that an error kept from sending anything."""
    return RunFailure(
        run_id=start.run_id,
        account=start.account,
        code=error.code,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
        ended=ended,
    )
