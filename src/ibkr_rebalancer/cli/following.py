"""`positions --follow`: the same view again and again, in place on a terminal, one after the other elsewhere.

Once there is something to see, no trouble ends it: what was read last stays, and is asked for again until Ctrl-C.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from ibkr_rebalancer.app import Rebalancer
from ibkr_rebalancer.cli.output import (
    account_error_text,
    data,
    error_text,
    outcomes_document,
    show,
    show_document,
    tell,
)
from ibkr_rebalancer.cli.progress import Progress
from ibkr_rebalancer.cli.session import read_settings, tell_settings
from ibkr_rebalancer.cli.tables import portfolios_view
from ibkr_rebalancer.config.settings import Settings
from ibkr_rebalancer.core.errors import EXIT_DONE, RebalancerError
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio
from ibkr_rebalancer.edges.host import SystemClock

LONGEST_PAUSE_S = 30
"""Between two attempts to read anything again."""

Outcomes = Mapping[AccountId, Portfolio | RebalancerError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What has come of looking until now."""

    outcomes: Outcomes
    """Of the latest look."""
    portfolios: Mapping[AccountId, Portfolio]
    """As they were last read, by whichever look."""
    read_at: datetime
    """The latest look that could read anything."""
    unread_since: Mapping[AccountId, datetime]
    """The accounts that the latest look could not read, and the first look in a row that could not."""
    failures: int = 0
    """How many looks in a row could not read anything."""

    @property
    def trouble(self) -> RebalancerError | None:
        """Why nothing could be read."""
        errors = list(_errors(self.outcomes).values())
        return errors[0] if len(errors) == len(self.outcomes) else None

    def then(self, outcomes: Outcomes, *, at: datetime) -> "Sight":
        """After one more look."""
        fresh, errors = _portfolios(outcomes), _errors(outcomes)
        return Sight(
            outcomes=outcomes,
            portfolios={
                account: portfolio
                for account in outcomes
                if (portfolio := fresh.get(account, self.portfolios.get(account)))
            },
            read_at=at if fresh else self.read_at,
            unread_since={account: self.unread_since.get(account, at) for account in errors},
            failures=0 if fresh else self.failures + 1,
        )


def first_sight(outcomes: Outcomes, *, at: datetime) -> Sight:
    """After the first look.

    Raises:
        RebalancerError: it could not read anything.
    """
    sight = Sight(
        outcomes=outcomes,
        portfolios=_portfolios(outcomes),
        read_at=at,
        unread_since=dict.fromkeys(_errors(outcomes), at),
    )
    if sight.trouble is not None:
        raise sight.trouble
    return sight


def pause_s(sight: Sight, *, every_s: int) -> int:
    """How long to wait before the next look: sooner than usual at first when nothing could be read, then longer."""
    return min(2 ** (sight.failures - 1), LONGEST_PAUSE_S) if sight.failures else every_s


def follow_portfolios(named: Sequence[str], *, every_s: int, config: Path | None, as_json: bool, verbose: bool) -> int:
    """Show the portfolios until Ctrl-C, which is how one stops looking and no failure.

    Raises:
        RebalancerError: none of them can be read at the first look.
    """
    settings = read_settings(config, verbose=verbose)
    try:
        asyncio.run(_follow(settings, named, every_s, as_json=as_json, verbose=verbose))
    except KeyboardInterrupt:
        return EXIT_DONE
    raise AssertionError("following ends with Ctrl-C or an error")


async def _follow(settings: Settings, named: Sequence[str], every_s: int, *, as_json: bool, verbose: bool) -> None:
    progress, clock = Progress(as_log=verbose), SystemClock()
    async with Rebalancer.open(settings, observer=progress) as session:
        with progress:
            tell_settings(settings, progress)
            accounts = [account.account_id for account in session.select(*named)]
            sight = first_sight(await session.portfolios(*accounts), at=clock.now())
        with _display(every_s, as_json=as_json, verbose=verbose) as display:
            while True:
                display(sight)
                await asyncio.sleep(pause_s(sight, every_s=every_s))
                sight = sight.then(await _look(session, accounts), at=clock.now())


async def _look(session: Rebalancer, accounts: Sequence[AccountId]) -> Outcomes:
    try:
        return await session.portfolios(*accounts)
    except RebalancerError as error:
        return dict.fromkeys(accounts, error)


@contextmanager
def _display(every_s: int, *, as_json: bool, verbose: bool) -> Iterator[Callable[[Sight], None]]:
    """How to show what is seen; in place unless a log or another program's terminal stands against it."""
    console = data()
    if as_json or verbose or not sys.stdout.isatty() or console.is_dumb_terminal:
        yield _OneAfterAnother(as_json=as_json).show
        return
    in_place = _InPlace(console, every_s)
    try:
        with in_place.live:
            yield in_place.show
    finally:
        in_place.leave()


class _OneAfterAnother:
    """Every look that could read something is data; why others could not, in part or at all, is told once, beside it.

    In JSON a look that could read something says itself what it could not.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._told: set[str] = set()

    def show(self, sight: Sight) -> None:
        troubles = self._troubles(sight)
        for text in troubles:
            if text.plain not in self._told:
                tell(text)
        self._told = {text.plain for text in troubles}
        if sight.trouble is None and self._as_json:
            show_document(outcomes_document("positions", "portfolios", sight.outcomes), in_one_line=True)
        elif sight.trouble is None:
            show(portfolios_view(list(_portfolios(sight.outcomes).values())))

    def _troubles(self, sight: Sight) -> list[Text]:
        if sight.trouble is not None:
            return [error_text(sight.trouble)]
        if self._as_json:
            return []
        return [account_error_text(account, error) for account, error in _errors(sight.outcomes).items()]


class _InPlace:
    """One view on a screen of its own, as large as the terminal is then; what was last seen stays behind in full."""

    def __init__(self, console: Console, every_s: int) -> None:
        self.live = Live(console=console, auto_refresh=False, screen=True)
        self._console = console
        self._every_s = every_s
        self._view: RenderableType = ""

    def show(self, sight: Sight) -> None:
        self._view = _view(sight, self._every_s)
        self.live.update(_Fitting(self._view, several=len(sight.outcomes) > 1), refresh=True)

    def leave(self) -> None:
        self._console.print(self._view, crop=False)


@dataclass(frozen=True, slots=True)
class _Fitting:
    """A view, cut where the terminal ends, and saying so in its last line."""

    view: RenderableType
    several: bool
    """Whether there would be less of it for one account."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns, rows = options.max_width, options.max_height
        lines = list(Segment.split_lines(console.render(self.view, options.reset_height())))
        too_wide = any(Segment.get_line_length(line) > columns for line in lines)
        if too_wide or len(lines) > rows:
            more = Text(self._hint(len(lines) - rows + 1, too_wide), "dim", no_wrap=True, overflow="crop")
            lines = [*lines[: rows - 1], *Segment.split_lines(console.render(more, options.reset_height()))]
        for line in lines:
            yield from Segment.adjust_line_length(line, columns, pad=False)
            yield Segment.line()

    def _hint(self, lines: int, too_wide: bool) -> str:
        """What is hidden, and how to see it."""
        below = [f"{lines} more line{'' if lines == 1 else 's'}"] if lines > 0 else []
        hidden = " and ".join([*below, *(["more columns"] if too_wide else [])])
        return f"… {hidden}: enlarge the terminal{', or name one account' if below and self.several else ''}"


def _view(sight: Sight, every_s: int) -> Group:
    """What is known, below how old it is and what stands against knowing more."""
    refreshed = Text(f"Refreshed {_time(sight.read_at)}, every {every_s} s", "dim")
    return Group(refreshed, *_troubles(sight), portfolios_view(list(sight.portfolios.values())))


def _troubles(sight: Sight) -> Iterator[Text]:
    """Each trouble once, with the accounts it is about."""
    errors = _errors(sight.outcomes)
    for error in dict.fromkeys(errors.values()):
        accounts = [account for account in errors if errors[account] is error]
        since = min(sight.unread_since[account] for account in accounts)
        yield Text(f"Not read since {_time(since)}, and tried again: {', '.join(accounts)}", "bold yellow")
        yield error_text(error)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _portfolios(outcomes: Outcomes) -> dict[AccountId, Portfolio]:
    return {account: outcome for account, outcome in outcomes.items() if isinstance(outcome, Portfolio)}


def _errors(outcomes: Outcomes) -> dict[AccountId, RebalancerError]:
    return {account: outcome for account, outcome in outcomes.items() if isinstance(outcome, RebalancerError)}
