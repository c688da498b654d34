"""How a run is named, and how it ends when nothing was sent."""

from dataclasses import replace
from datetime import timedelta

from tests.support.notation import NOW
from tests.support.trading_scene import account

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.runs import RunStart, run_failure, run_start


def start() -> RunStart:
    return run_start(account(), trigger="command", started=NOW, code_version="1.2.3")


def test_a_run_is_named_by_when_it_began_and_by_nothing_that_another_run_shares() -> None:
    first = start()
    later = run_start(account(), trigger="command", started=NOW + timedelta(microseconds=1), code_version="1.2.3")
    other = run_start(account("DU2"), trigger="command", started=NOW, code_version="1.2.3")
    assert first.run_id.startswith(f"{NOW:%Y%m%dT%H%M%SZ}-")
    assert len({first.run_id, later.run_id, other.run_id}) == 3
    assert first == start()


def test_another_policy_is_another_configuration() -> None:
    changed = run_start(
        replace(account(), policy=Policy(min_gain_bp=Policy().min_gain_bp + 1)),
        trigger="command",
        started=NOW,
        code_version="1.2.3",
    )
    assert changed.config_digest != start().config_digest


def test_a_failure_keeps_all_that_the_error_says() -> None:
    failure = run_failure(start(), Refused("PLAN_STALE", "It is stale.", hint="Look again."), ended=NOW)
    assert (failure.run_id, failure.account) == (start().run_id, "DU1")
    assert (failure.code, failure.message, failure.hint) == ("PLAN_STALE", "It is stale.", "Look again.")
    assert (failure.exit_code, failure.ended) == (11, NOW)
