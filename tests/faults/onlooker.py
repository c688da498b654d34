"""The broker's own client as judge: it looks at the venue, and what it finds is held against what runs have told.

    sight = await look(venue, account="DU1", now=now)
    assert not list(contradictions(sight, before=at_first, report=report, records=journal.runs(limit=9)))

It looks over a gateway of its own, on which no message is lost, so that it neither meets a fault nor uses one up.
"""

import asyncio
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ibapi.execution import ExecutionFilter
from tests.sandbox.ibapi_observer import Answer, Client, connected, every

from ibkr_rebalancer.core.order_state import OrderStatus, lacks_commission, order_state
from ibkr_rebalancer.core.orders import is_ours
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.ports import RunRecord
from ibkr_rebalancer.sandbox.log import Log
from ibkr_rebalancer.sandbox.tws.server import Gateway
from ibkr_rebalancer.sandbox.venue.faults import Switchboard
from ibkr_rebalancer.sandbox.venue.venue import Venue

CENT = Decimal("0.01")
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of all orders with one reference: shares got and money paid, either negative for a sale."""

    con_id: int
    shares: Decimal = ZERO
    paid: Decimal = ZERO
    commission: Decimal | None = ZERO
    """None is not known yet."""
    sure: bool = True
    """Whether nothing more can come of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """An account as somebody sees it."""

    positions: Mapping[int, Decimal]
    """Shares by con_id; what is not held is not there."""
    cash: Decimal
    """Dollars."""
    moved: Mapping[str, Moved]
    """By reference."""


async def look(venue: Venue, *, account: str, now: datetime) -> Sight:
    """What the broker's client sees of the account just now."""
    flawless = copy.copy(venue)
    flawless.switchboard = Switchboard(())
    gateway = Gateway(flawless, clock=lambda: now, log=Log(None))
    loop = asyncio.get_running_loop()
    port = await gateway.start(0)
    try:
        return await asyncio.to_thread(_see, port, account, lambda: loop.call_soon_threadsafe(gateway.kick))
    finally:
        await gateway.stop()


def _see(port: int, account: str, leave: Callable[[], object]) -> Sight:
    with connected(port, leave=leave) as client:
        return _seen(client, account)


def _seen(client: Client, account: str) -> Sight:
    client.until("nextValidId")
    client.ib.reqPositions()
    positions = every(client.until("positionEnd"), "position")
    client.ib.reqAccountUpdates(True, account)
    values = every(client.until("accountDownloadEnd"), "updateAccountValue")
    client.ib.reqExecutions(1, ExecutionFilter())
    (cash,) = [value for key, value, currency, _ in values if (key, currency) == ("CashBalance", "USD")]
    return Sight(
        positions={held.conId: shares for owner, held, shares, _ in positions if owner == account and shares},
        cash=Decimal(cash),
        moved=_moved(client.until("execDetailsEnd"), account),
    )


def _moved(answers: Sequence[Answer], account: str) -> dict[str, Moved]:
    """Each execution counts once, as its last correction has it."""
    last: dict[str, tuple[Any, Any]] = {}
    for _, contract, execution in every(list(answers), "execDetails"):
        if execution.acctNumber == account:
            last[execution.execId.rpartition(".")[0]] = (contract, execution)
    charged = {each.execId: each.commissionAndFees for (each,) in every(list(answers), "commissionAndFeesReport")}
    moved: dict[str, Moved] = {}
    for contract, execution in last.values():
        shares = execution.shares if execution.side == "BOT" else -execution.shares
        so_far = moved.get(execution.orderRef, Moved(con_id=contract.conId))
        moved[execution.orderRef] = Moved(
            con_id=contract.conId,
            shares=so_far.shares + shares,
            paid=so_far.paid + shares * Decimal(str(execution.price)),
            commission=_sum(so_far.commission, charged.get(execution.execId)),
        )
    return moved


def _sum(commission: Decimal | None, more: float | None) -> Decimal | None:
    return None if commission is None or more is None else commission + Decimal(str(more))


def reported(report: Report) -> dict[str, Moved]:
    """What a report tells of each order that was sent."""
    return {
        order.order_ref: Moved(
            con_id=order.con_id,
            shares=Decimal(order.filled * _sign(order.side)),
            paid=order.filled * _sign(order.side) * (order.average_price or ZERO),
            commission=order.commission,
            sure=order.status != "unknown",
        )
        for order in report.orders
        if order.order_ref is not None
    }


def journalled(records: Iterable[RunRecord]) -> dict[str, Moved]:
    """What the journal tells of each order by now, whichever run has found it out.

    Of one that has expired nobody was told any more what it had filled.
    """
    told = {}
    for tracked in (order for record in records for order in record.orders):
        state, sign = order_state(tracked), _sign(tracked.intent.side)
        told[tracked.intent.order_ref] = Moved(
            con_id=tracked.intent.con_id,
            shares=Decimal(state.filled * sign),
            paid=state.filled * sign * (state.average_price or ZERO),
            commission=None if lacks_commission(tracked) else state.commission,
            sure=state.status.is_terminal and state.status is not OrderStatus.EXPIRED,
        )
    return told


def _told(report: Report, records: Iterable[RunRecord]) -> dict[str, Moved]:
    """What is told of each order: by the report if it is of its run and sure of it, else by the journal."""
    told = journalled(records)
    for ref, moved in reported(report).items():
        if not moved.sure:
            told.setdefault(ref, moved)
        elif ref in told and told[ref].commission is None:
            told[ref] = replace(moved, commission=None)
        else:
            told[ref] = moved
    return told


def at_first(venue: Venue, account: str) -> Sight:
    """The account as its scenario has it, before anything is traded."""
    scenario = venue.scenario
    positions = scenario.accounts[account].positions
    held = {con_id: each.quantity for con_id, each in positions.items()}
    return Sight(positions=held, cash=scenario.accounts[account].cash["USD"], moved={})


def contradictions(seen: Sight, *, before: Sight, report: Report, records: Iterable[RunRecord]) -> Iterator[str]:
    """Where the account is another one than before and all that report and journal tell of it lead to.

    The broker lists the executions of the day; what was traded on another one shows in positions and cash.
    What somebody else has traded is taken as it is seen. Of what nobody is sure of, and of a commission that is not
    known, no more is said than that.
    """
    told = _told(report, records)
    ours = {ref: moved for ref, moved in seen.moved.items() if is_ours(ref)}
    for ref in dict.fromkeys((*ours, *reported(report))):
        yield from _of_order(ref, told, ours)
    moved = [*told.values(), *(moved for ref, moved in seen.moved.items() if ref not in ours)]
    yield from _of_positions(seen, before, moved)
    yield from _of_cash(seen, before, moved)


def _of_order(ref: str, all_told: Mapping[str, Moved], all_seen: Mapping[str, Moved]) -> Iterator[str]:
    if ref not in all_told:
        yield f"nobody tells of {ref}: {all_seen[ref]}"
        return
    told = all_told[ref]
    seen = all_seen.get(ref, Moved(con_id=told.con_id))
    if not told.sure:
        return
    if told.shares != seen.shares:
        yield f"{ref} is told as {told.shares} shares of {told.con_id}, and {seen.shares} are seen"
    if abs(told.paid - seen.paid) >= CENT:
        yield f"{ref} is told as {told.paid} paid, and {seen.paid} is seen"
    if None not in {told.commission, seen.commission} and told.commission != seen.commission:
        yield f"{ref} is told as charged {told.commission}, and {seen.commission} is seen"


def _of_positions(seen: Sight, before: Sight, moved: Sequence[Moved]) -> Iterator[str]:
    unsure = {order.con_id for order in moved if not order.sure}
    for con_id in (seen.positions.keys() | before.positions.keys() | {order.con_id for order in moved}) - unsure:
        bought = sum((order.shares for order in moved if order.con_id == con_id), ZERO)
        expected = before.positions.get(con_id, ZERO) + bought
        if seen.positions.get(con_id, ZERO) != expected:
            yield f"{expected} {con_id} should be held, and {seen.positions.get(con_id, ZERO)} are"


def _of_cash(seen: Sight, before: Sight, moved: Sequence[Moved]) -> Iterator[str]:
    if not all(order.sure and order.commission is not None for order in moved):
        return
    expected = before.cash - sum((order.paid + (order.commission or ZERO) for order in moved), ZERO)
    if abs(seen.cash - expected) >= CENT:
        yield f"there should be {expected:.2f} in cash, and there is {seen.cash}"


def _sign(side: Side) -> int:
    return 1 if side is Side.BUY else -1
