"""`positions --follow`: the same view again and again, in place on a terminal, one after the other elsewhere."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group
from rich.live import Live

from ibkr_rebalancer.app import Rebalancer
from ibkr_rebalancer.cli.output import account_error_text, data, outcomes_document, show, show_document
from ibkr_rebalancer.cli.progress import Progress
from ibkr_rebalancer.cli.session import read_settings, tell_settings
from ibkr_rebalancer.cli.tables import portfolios_view
from ibkr_rebalancer.config.schema import Settings
from ibkr_rebalancer.core.errors import EXIT_DONE, RebalancerError
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio

Outcomes = Mapping[AccountId, Portfolio | RebalancerError]


def follow_portfolios(named: Sequence[str], *, every_s: int, config: Path | None, as_json: bool, verbose: bool) -> int:
    """Show the portfolios until Ctrl-C, which is how one stops looking and no failure.

    Raises:
        RebalancerError: none of them can be read (any more).
    """
    settings = read_settings(config, verbose=verbose)
    try:
        asyncio.run(_follow(settings, named, every_s, as_json=as_json, verbose=verbose))
    except KeyboardInterrupt:
        return EXIT_DONE
    raise AssertionError("following ends with Ctrl-C or an error")


async def _follow(settings: Settings, named: Sequence[str], every_s: int, *, as_json: bool, verbose: bool) -> None:
    progress = Progress(as_log=verbose)
    async with Rebalancer.open(settings, observer=progress) as session:
        with progress:
            tell_settings(settings, progress)
            outcomes = await _look(session, named)
        if sys.stdout.isatty() and not as_json:
            await _in_place(outcomes, session, named, every_s)
        else:
            await _one_after_another(outcomes, session, named, every_s, as_json=as_json)


async def _look(session: Rebalancer, named: Sequence[str]) -> Outcomes:
    outcomes = await session.portfolios(*named)
    errors = [outcome for outcome in outcomes.values() if isinstance(outcome, RebalancerError)]
    if len(errors) == len(outcomes):
        raise errors[0]
    return outcomes


async def _in_place(outcomes: Outcomes, session: Rebalancer, named: Sequence[str], every_s: int) -> None:
    with Live(console=data(), auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            live.update(_view(outcomes), refresh=True)
            await asyncio.sleep(every_s)
            outcomes = await _look(session, named)


def _view(outcomes: Outcomes) -> Group:
    portfolios = [outcome for outcome in outcomes.values() if isinstance(outcome, Portfolio)]
    errors = {account: outcome for account, outcome in outcomes.items() if isinstance(outcome, RebalancerError)}
    told = [account_error_text(account, error) for account, error in errors.items()]
    return Group(portfolios_view(portfolios), *told)


async def _one_after_another(
    outcomes: Outcomes, session: Rebalancer, named: Sequence[str], every_s: int, *, as_json: bool
) -> None:
    while True:
        if as_json:
            show_document(outcomes_document("positions", "portfolios", outcomes), in_one_line=True)
        else:
            show(_view(outcomes))
        await asyncio.sleep(every_s)
        outcomes = await _look(session, named)
