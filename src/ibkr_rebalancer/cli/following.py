"""`positions --follow`: the same view again and again, in place on a terminal, one after the other elsewhere."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.live import Live

from ibkr_rebalancer.app import Rebalancer
from ibkr_rebalancer.cli.output import data, show_outcomes
from ibkr_rebalancer.cli.session import read_settings
from ibkr_rebalancer.cli.tables import portfolios_view
from ibkr_rebalancer.config.schema import Settings
from ibkr_rebalancer.core.errors import EXIT_DONE, RebalancerError
from ibkr_rebalancer.edges.logs import LogObserver


def follow_portfolios(
    named: Sequence[str], *, every_s: float, config: Path | None, as_json: bool, verbose: bool
) -> int:
    """Show the portfolios until Ctrl-C, which is how one stops looking and no failure.

    Raises:
        RebalancerError: they cannot be read (any more).
    """
    settings = read_settings(config, verbose=verbose)
    in_place = sys.stdout.isatty() and not as_json
    try:
        asyncio.run(_follow(settings, named, every_s, in_place=in_place, as_json=as_json))
    except KeyboardInterrupt:
        return EXIT_DONE
    raise AssertionError("following ends with Ctrl-C or an error")


async def _follow(settings: Settings, named: Sequence[str], every_s: float, *, in_place: bool, as_json: bool) -> None:
    async with Rebalancer.open(settings, observer=LogObserver()) as session:
        if in_place:
            await _in_place(session, named, every_s)
        else:
            await _one_after_another(session, named, every_s, as_json=as_json)


async def _in_place(session: Rebalancer, named: Sequence[str], every_s: float) -> None:
    with Live(console=data(), auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            outcomes = await session.portfolios(*named)
            portfolios = [outcome for outcome in outcomes.values() if not isinstance(outcome, RebalancerError)]
            refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, RebalancerError)]
            if refusals:
                raise refusals[0]
            live.update(portfolios_view(portfolios), refresh=True)
            await asyncio.sleep(every_s)


async def _one_after_another(session: Rebalancer, named: Sequence[str], every_s: float, *, as_json: bool) -> None:
    while True:
        outcomes = await session.portfolios(*named)
        show_outcomes("positions", "portfolios", outcomes, view=portfolios_view, as_json=as_json)
        sys.stdout.flush()
        await asyncio.sleep(every_s)
