"""Close the books of a run: what its fills have cost, and whether positions are what they make them.

Nothing is sent here. What cannot be found out in time stays unknown, and is told as that.
"""

import asyncio

from ibkr_rebalancer.core.errors import Busy, GatewayUnavailable
from ibkr_rebalancer.core.fills import positions_disagree, positions_unchecked, unexplained
from ibkr_rebalancer.core.order_state import lacks_commission
from ibkr_rebalancer.flows.docket import Docket
from ibkr_rebalancer.flows.order_gate import OrderGate
from ibkr_rebalancer.flows.rebalance import Planned
from ibkr_rebalancer.flows.reconcile import POLL_S, Patience


async def close_books(planned: Planned, docket: Docket, gate: OrderGate, *, patience: Patience) -> None:
    """Learn what is still to be told of the fills, and check that they explain the positions.

    Where all has been told and nobody else has traded, this asks one question. A connection that breaks is found again,
    once.

    Raises:
        Refused: the fills do not explain the positions (`POSITIONS_DISAGREE`), or nobody could look at them
            (`POSITIONS_UNCHECKED`).
    """
    try:
        try:
            await _hear_figures(docket, gate, patience=patience)
            await _require_explained(planned, docket, gate, patience=patience)
        except GatewayUnavailable:
            await gate.reconnect(within_s=patience.stop_s)
            await gate.look(docket)
            await _hear_figures(docket, gate, patience=patience)
            await _require_explained(planned, docket, gate, patience=patience)
    except (Busy, GatewayUnavailable) as error:
        raise positions_unchecked(error) from error


async def _hear_figures(docket: Docket, gate: OrderGate, *, patience: Patience) -> None:
    """Wait a little for the last prices and commissions; then look, once, for what has got lost."""
    now = asyncio.get_running_loop().time
    until = now() + patience.commissions_s
    while _lacks_figures(docket) and (left_s := until - now()) > 0:
        await gate.listen(docket, within_s=left_s)
    if _lacks_figures(docket):
        await gate.look(docket)


def _lacks_figures(docket: Docket) -> bool:
    return any(map(lacks_commission, docket.orders))


async def _require_explained(planned: Planned, docket: Docket, gate: OrderGate, *, patience: Patience) -> None:
    """Check that what was held before and our fills are what is held now; fills that got lost are looked for first."""
    account, before = planned.account.account_id, planned.snapshot.portfolio
    now = asyncio.get_running_loop().time
    until, has_looked = now() + patience.positions_s, False
    while True:
        positions = await gate.session.market.positions((account,))
        different = unexplained(planned.plan, before, docket.orders, positions)
        if not different:
            return
        if now() >= until:
            raise positions_disagree(account, different)
        if not has_looked:
            has_looked = True
            await gate.look(docket)
        await gate.listen(docket, within_s=POLL_S)
