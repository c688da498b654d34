"""Plans from a file, for commands that carry out these and no others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ibkr_rebalancer.app import Rebalancer
from ibkr_rebalancer.cli.output import tell
from ibkr_rebalancer.core.errors import UsageError
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.edges.plan_files import load_plans


def kept_plans(file: Path, *, beside: Sequence[str]) -> Sequence[Plan]:
    """The plans of the file; `beside` is what the command line has beside it that says what to plan.

    Raises:
        UsageError: there is something beside it; or it cannot be read, or is no plan file.
        ConfigError, Refused: somebody else may have made it, or changed it.
    """
    if beside:
        raise UsageError(
            "USAGE",
            f"--plan {file} says all that is to be done, and {' '.join(beside)} stands beside it.",
            hint="Leave out either of them; `rebalancer plan -o FILE` takes it when the plan is made.",
        )
    document = load_plans(file)
    for each in document.errors:
        tell(f"Note: {file} has no plan for {each.account}: {each.message}")
    return document.plans


async def dry_runs(session: Rebalancer, plans: Sequence[Plan]) -> Mapping[AccountId, Report]:
    """What the plans would send, by their own word: nobody is asked whether they are still up to date.

    Raises:
        UsageError, GatewayRefused: an account is not in accounts.yaml, or not of this mode.
    """
    session.select(*(plan.account for plan in plans))
    return {plan.account: await session.execute(plan) for plan in plans}
