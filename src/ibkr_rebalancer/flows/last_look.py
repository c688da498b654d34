"""The last look before the first order: planning takes time, and others trade meanwhile."""

import asyncio

from ibkr_rebalancer.core.checks import require_no_foreign_orders
from ibkr_rebalancer.core.fills import positions_changed, unexplained
from ibkr_rebalancer.flows.docket import Docket
from ibkr_rebalancer.flows.order_gate import OrderGate
from ibkr_rebalancer.flows.rebalance import Planned
from ibkr_rebalancer.flows.reconcile import require_known_to, require_none_open
from ibkr_rebalancer.ports import Ledger


async def look_before_sending(planned: Planned, gate: OrderGate, *, ledger: Ledger) -> None:
    """Check that the account is still as it was planned on: no strange orders in it, and its positions unchanged.

    What remains is the time that an answer takes: nobody can lock an account at Interactive Brokers.

    Raises:
        Refused: somebody else has orders open in what the plan manages (`FOREIGN_ORDER`), or a position that it manages
            is another one now (`PLAN_STALE`).
        StorageFailed: another journal has sent orders meanwhile (`JOURNAL_LOST`).
        UnknownOutcome: an order of ours is open (`ORDER_STILL_OPEN`).
        GatewayUnavailable: nobody could look.
    """
    account, plan = planned.account.account_id, planned.plan
    book, positions = await asyncio.gather(
        gate.look(Docket((), ledger=ledger)), gate.session.market.positions((account,))
    )
    require_known_to(ledger.known, account, book)
    require_none_open(account, book)
    require_no_foreign_orders(plan, book.open_orders)
    changed = unexplained(plan, planned.snapshot.portfolio, (), positions)
    if changed:
        raise positions_changed(account, changed)
