"""How a run begins, and how it ends when nothing was sent."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from tests.support.notation import NOW

from ibkr_rebalancer.core.errors import Deferred
from ibkr_rebalancer.core.policy import Account, Policy, config_digest
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.runs import RunFailure, RunStart, run_failure, run_start

ACCOUNT = Account(account_id=AccountId("DU1"), channel="c", allocations_url="https://example.com/a")


def start(account: Account = ACCOUNT, *, later_s: float = 0) -> RunStart:
    return run_start(account, trigger="command", started=NOW + timedelta(seconds=later_s), code_version="1.2")


def test_a_run_tells_when_it_began_for_whom_and_under_which_settings() -> None:
    begun = start()
    assert begun.run_id.startswith("20261123T153000Z-")
    assert (begun.account, begun.trigger, begun.started, begun.code_version) == ("DU1", "command", NOW, "1.2")
    assert begun.config_digest == config_digest(ACCOUNT)
    assert begun == start()


def test_no_two_runs_have_the_same_id() -> None:
    other_policy = replace(ACCOUNT, policy=Policy(min_gain_bp=Decimal(6)))
    other_account = replace(ACCOUNT, account_id=AccountId("DU2"))
    runs = [start(), start(other_policy), start(other_account), start(later_s=0.001), start(later_s=1)]
    assert len({run.run_id for run in runs}) == 5


def test_a_run_that_sent_nothing_ends_with_its_error() -> None:
    begun = start()
    error = Deferred("MARKET_CLOSED", "Market closed.", hint="Wait.")
    assert run_failure(begun, error, ended=NOW) == RunFailure(
        run_id=begun.run_id,
        account=AccountId("DU1"),
        code="MARKET_CLOSED",
        message="Market closed.",
        hint="Wait.",
        exit_code=10,
        ended=NOW,
    )
