"""What the journal adds to a plan before anybody is asked: a warning about sales of what was bought just before."""

from dataclasses import replace

from ibkr_rebalancer.core.settlement import SETTLEMENT_REACH, settlement_remark
from ibkr_rebalancer.flows.rebalance import Planned
from ibkr_rebalancer.ports import Ledger


def told_of_settlement(planned: Planned, ledger: Ledger) -> Planned:
    """The same plan, with a remark if it sells in a cash account what may not have been paid for yet.

    Raises:
        StorageFailed: the journal cannot be read.
    """
    plan, snapshot = planned.plan, planned.snapshot
    orders = ledger.orders(plan.account, since=snapshot.taken_at - SETTLEMENT_REACH)
    remark = settlement_remark(plan, orders, balances=snapshot.portfolio.balances)
    return planned if remark is None else replace(planned, plan=replace(plan, remarks=(*plan.remarks, remark)))
