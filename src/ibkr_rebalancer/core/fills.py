"""What our fills make of positions, and where the broker's list says otherwise. Pure.

The list lags behind executions, as cash does. Whoever plans on a list that still shows the state before a sale sells
again; so a fill has to be seen in it before anything is planned, and at the end of a run everything has.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ibkr_rebalancer.core.errors import RebalancerError, Refused
from ibkr_rebalancer.core.evidence import Evidence, Executed
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.order_state import TrackedOrder, order_state
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Position

LONGEST_LAG = timedelta(minutes=3)
"""For positions to show an execution: an account's figures are told at once when they change, and else every three
minutes, by IBKR's documentation of account updates. A list that is older than that is no list that lags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A position that is not what our fills make it."""

    symbol: str
    expected: Decimal
    """Shares."""
    listed: Decimal


def has_just_filled(evidence: Iterable[Evidence], *, at: datetime) -> bool:
    """Whether anything was executed so lately that positions may not show it; all times are the broker's."""
    return any(at - e.at <= LONGEST_LAG for e in evidence if isinstance(e, Executed))


def lagging(orders: Iterable[TrackedOrder], positions: Sequence[Position], *, at: datetime) -> tuple[Difference, ...]:
    """The positions that do not show yet what these orders of one account, oldest first, have filled.

    The rule: while an execution is younger than `LONGEST_LAG`, its contract's position must be the one that its order
    was decided on, and all that this and later orders have filled since. What else moves a position meanwhile, such as
    a trade by hand, cannot be told from a lag; so it counts as one, and for as long. What is older is taken for shown:
    then the list is believed, whatever has been traded, split or transferred.
    """
    chains: dict[ConId, list[TrackedOrder]] = {}
    for order in orders:
        con_id = order.intent.con_id
        if con_id in chains or has_just_filled(order.evidence, at=at):
            chains.setdefault(con_id, []).append(order)
    firsts = {con_id: chain[0].intent for con_id, chain in chains.items()}
    return _differences(
        {con_id: first.symbol for con_id, first in firsts.items()},
        start={con_id: first.position_before for con_id, first in firsts.items()},
        orders=[order for chain in chains.values() for order in chain],
        positions=positions,
    )


def unexplained(
    plan: Plan, before: Portfolio, orders: Collection[TrackedOrder], positions: Sequence[Position]
) -> tuple[Difference, ...]:
    """The positions managed by the plan that are not those before it and what its orders have filled since."""
    symbols = {trade.con_id: trade.symbol for trade in plan.trades} | {skip.con_id: skip.symbol for skip in plan.skips}
    start = {con_id: before.quantity(con_id) for con_id in symbols}
    return _differences(symbols, start=start, orders=orders, positions=positions)


def positions_lag(account: AccountId, differences: Sequence[Difference]) -> Refused:
    """What it is called when a list does not come to show our fills."""
    minutes = LONGEST_LAG.total_seconds() / 60
    return Refused(
        "POSITION_LAGS",
        f"The position list of {account} does not show all that our orders have just filled: {_named(differences)}. "
        "Nothing was sent.",
        hint=f"Run the command again in {minutes:.0f} minutes; if somebody has traded by hand meanwhile, that is the "
        "difference, and nothing else has to be done.",
    )


def positions_changed(account: AccountId, differences: Sequence[Difference]) -> Refused:
    """What it is called when positions are not what was planned on, just before the first order."""
    return Refused(
        "PLAN_STALE",
        f"Positions of {account} have changed while it was planned: {_named(differences)}. Nothing was sent.",
        hint="Somebody else may be trading in this account. Run the command again: it plans anew.",
    )


def positions_disagree(account: AccountId, differences: Sequence[Difference]) -> Refused:
    """What it is called when positions at the end of a run are not what it has made them."""
    return Refused(
        "POSITIONS_DISAGREE",
        f"Positions of {account} are not what was held before the run and what it has filled since: "
        f"{_named(differences)}.",
        hint="Look at today's trades in TWS: somebody else may be trading in this account. Then run the command again: "
        "it plans anew from what is held then.",
    )


def positions_unchecked(why: RebalancerError) -> Refused:
    """What it is called when nobody could look at the positions at the end of a run."""
    return Refused(
        "POSITIONS_UNCHECKED",
        f"{why.message} Whether the positions are what the fills make them could not be checked.",
        hint="Run the command again when the gateway is back: it plans anew from what is held then.",
    )


def _differences(
    symbols: Mapping[ConId, str],
    *,
    start: Mapping[ConId, Decimal],
    orders: Iterable[TrackedOrder],
    positions: Sequence[Position],
) -> tuple[Difference, ...]:
    filled = Counter[ConId]()
    for order in orders:
        shares = order_state(order).filled
        filled[order.intent.con_id] += shares if order.intent.side is Side.BUY else -shares
    listed = {position.con_id: position.quantity for position in positions}
    expected = {con_id: start[con_id] + filled[con_id] for con_id in symbols}
    return tuple(
        Difference(symbol=symbol, expected=expected[con_id], listed=listed.get(con_id, Decimal(0)))
        for con_id, symbol in sorted(symbols.items(), key=lambda named: (named[1], named[0]))
        if listed.get(con_id, Decimal(0)) != expected[con_id]
    )


def _named(differences: Sequence[Difference]) -> str:
    return ", ".join(f"{each.symbol} ({each.listed:f} listed, {each.expected:f} by our fills)" for each in differences)
