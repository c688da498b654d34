"""Judges of trading decisions that share no code with them: which rules are broken, in words.

Whoever derives states is asked about the same random evidence every time; orders and purchases are judged as they are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random

from tests.support.trading import (
    CLOSE,
    charged,
    completed,
    error,
    executed,
    look,
    sent,
    told,
    tracked,
)

from ibkr_rebalancer.core.commissions import commission
from ibkr_rebalancer.core.evidence import Evidence, Executed, Missing
from ibkr_rebalancer.core.order_state import OrderState, TrackedOrder
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.purchases import Purchases

Derive = Callable[[TrackedOrder], OrderState]

ORDER = "BUY 100 AAA"
CASES = 200
LIVE_WORDS = ("PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel")


def broken_state_rules(derive: Derive) -> set[str]:
    """The rules about states that this derivation breaks on random evidence."""
    random = Random("states")  # noqa: S311  # reproducible, not secret
    broken: set[str] = set()
    for _ in range(CASES):
        broken |= set(_broken_by(derive, random))
    return broken


def _broken_by(derive: Derive, random: Random) -> Iterator[str]:
    heard = [_unproven(random) for _ in range(random.randint(1, 8))]
    proofs: list[Evidence] = [told(9, "Cancelled", filled=0), completed(9, "Cancelled")]
    proven = [*heard, random.choice(proofs)]
    shuffled = random.sample(proven, len(proven))

    def state(evidence: Sequence[Evidence]) -> OrderState:
        return derive(tracked(ORDER, *evidence))

    if state(proven) != state(shuffled):
        yield "the order of evidence matters"
    if state(proven) != state([*proven, random.choice(proven)]):
        yield "what is repeated counts again"
    if state(heard).filled != _executed(heard):
        yield "shares are counted that were not executed"
    if state(heard).status.is_terminal and _executed(heard) < 100:
        yield "an order ends without proof"
    if state([sent(0), look(1)]).status.is_terminal:
        yield "one look proves an order absent"
    if state([sent(0), error(1, 201)]).status.is_terminal:
        yield "a rejection needs no look"
    if state([look(1), look(99), look(CLOSE), told(CLOSE + 1, "Submitted")]).status.is_terminal:
        yield "a look counts although the order has been heard of since"
    if not state(proven).status.is_terminal:
        yield "a cancel that is proven is not believed"


def _unproven(random: Random) -> Evidence:
    """Evidence that ends nothing by itself."""
    moment, exec_id = random.randint(0, 300), f"{random.choice('ab')}.0{random.randint(1, 3)}"
    pieces: list[Evidence] = [
        sent(moment),
        told(moment, random.choice(LIVE_WORDS)),
        executed(moment, exec_id, random.randint(0, 30)),
        charged(exec_id, "1"),
        error(moment, random.choice([201, 202, 321, 399, 10147, 10349])),
    ]
    return random.choice(pieces)


def _executed(heard: Sequence[Evidence]) -> int:
    """Shares by the last revision of each execution; of twins the later, then the larger one."""
    last: dict[str, Executed] = {}
    for one in sorted(
        (e for e in heard if isinstance(e, Executed)), key=lambda e: (e.exec_id, e.at, e.shares, e.price)
    ):
        last[one.exec_id[0]] = one
    return int(sum(one.shares for one in last.values()))


def broken_order_rules(orders: Sequence[OrderIntent], *, plan: Plan, snapshot: Snapshot, policy: Policy) -> list[str]:
    """What is wrong with the orders of a plan."""
    broken = []
    sides = [order.side for order in orders]
    if sides != sorted(sides, key=lambda side: side is Side.BUY):
        broken.append("a buy stands before a sell")
    if len({order.order_ref for order in orders}) < len(orders):
        broken.append("two orders share a reference")
    printed = {(trade.con_id, trade.side): trade.quantity for trade in plan.trades}
    for order in orders:
        if order.quantity > printed.get((order.con_id, order.side), 0):
            broken.append(f"{order.symbol} is traded beyond the plan")
        if order.expires_at <= snapshot.taken_at:
            broken.append(f"{order.symbol} is sent into a closed market")
        if order.position_before != snapshot.portfolio.quantity(order.con_id):
            broken.append(f"{order.symbol} is not held as said")
        broken += _broken_price(order, snapshot, policy)
    return broken


def _broken_price(order: OrderIntent, snapshot: Snapshot, policy: Policy) -> Iterator[str]:
    price, quote = order.limit_price, snapshot.quotes[order.con_id]
    if price is None:
        return
    assert quote.bid is not None
    assert quote.ask is not None
    offset = policy.limit_offset_bp / 10_000
    if price % snapshot.contracts[order.con_id].tick_size:
        yield f"{order.symbol} is priced off the grid"
    if order.side is Side.BUY and not quote.ask <= price <= quote.ask * (1 + offset):
        yield f"{order.symbol} is bought at a limit out of bounds"
    if order.side is Side.SELL and not quote.bid * (1 - offset) <= price <= quote.bid:
        yield f"{order.symbol} is sold at a limit out of bounds"


def broken_purchase_rules(found: Purchases, *, plan: Plan, cash: Decimal, available: Decimal) -> list[str]:
    """What is wrong with purchases at market, made with so much cash and so much that the broker lets be spent."""
    broken = []
    printed = {trade.con_id: trade.quantity for trade in plan.trades if trade.side is Side.BUY}
    sent_ = {trade.con_id: trade.quantity for trade in found.trades}
    paid = sum((t.quantity * t.price + commission(t.quantity, t.price, t.currency) for t in found.trades), Decimal(0))
    if any(count > printed.get(key, 0) for key, count in sent_.items()):
        broken.append("more is bought than was printed")
    if found.trades and cash - paid < max(Decimal(0), plan.cash_reserve / 2):
        broken.append("the reserve is spent")
    if paid > max(Decimal(0), available):
        broken.append("more is spent than the broker allows")
    if {key for key, count in printed.items() if sent_.get(key, 0) < count} != {
        cut.con_id for cut in found.adjustments
    }:
        broken.append("a cut is not told")
    if [t.notional for t in found.trades] != sorted((t.notional for t in found.trades), reverse=True):
        broken.append("the largest does not go first")
    return broken


def without_looks(order: TrackedOrder) -> TrackedOrder:
    return replace(order, evidence=tuple(e for e in order.evidence if not isinstance(e, Missing)))
