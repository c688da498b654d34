"""Plans to be traded, and orders with what was heard of them, in notation.

    account, plan = planned("DU1 cash 1_000; 100 OLD @50; AAA @100", "AAA 100")
    tracked("BUY 100 AAA", sent(0), told(1, "Submitted", filled=40), executed(1, "a.01", 40, "9.98"), look(90))

Times are seconds since `NOW`; the session ends at `CLOSE`.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from tests.support.notation import NOW, SESSION, allocation, con_id, rate_of, snapshot

from ibkr_rebalancer.core.evidence import (
    CancelAsked,
    Commissioned,
    Completed,
    ErrorTold,
    Evidence,
    Executed,
    Listed,
    Missing,
    Resolved,
    Sent,
    StatusTold,
    Withheld,
)
from ibkr_rebalancer.core.order_state import TrackedOrder
from ibkr_rebalancer.core.orders import OrderIntent, OrderType, order_ref
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import AccountId, Snapshot

CLOSE = int((SESSION.closes - NOW).total_seconds())
"""Seconds from `NOW` to the end of the session."""


def planned(text: str, targets: str, policy: Policy | None = None) -> tuple[Snapshot, Plan]:
    """An account, and the plan made from it with the default policy unless given."""
    account = snapshot(text, targets=targets)
    return account, plan_rebalance(allocation(targets), snapshot=account, policy=policy or Policy())


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def intent(
    order: str, *, before: int = 0, plan_id: str = "plan", limit: str | None = None, currency: str = "USD"
) -> OrderIntent:
    """`BUY 100 AAA`, decided in the session of `NOW`."""
    side, quantity, symbol = order.split()
    return OrderIntent(
        order_ref=order_ref(AccountId("DU1"), plan_id, con_id(symbol), Side(side)),
        run_id="run-1",
        plan_id=plan_id,
        account=AccountId("DU1"),
        con_id=con_id(symbol),
        symbol=symbol,
        currency=currency,
        rate=rate_of(currency),
        side=Side(side),
        quantity=int(quantity),
        order_type=OrderType.LIMIT if limit else OrderType.MARKET,
        limit_price=Decimal(limit) if limit else None,
        position_before=Decimal(before),
        client_id=52,
        expires_at=SESSION.closes,
    )


def tracked(order: str | OrderIntent, *evidence: Evidence) -> TrackedOrder:
    return TrackedOrder(intent=intent(order) if isinstance(order, str) else order, evidence=evidence)


def sent(seconds: float) -> Sent:
    return Sent(at=at(seconds))


def withheld(seconds: float) -> Withheld:
    return Withheld(at=at(seconds))


def asked(seconds: float) -> CancelAsked:
    return CancelAsked(at=at(seconds))


def told(seconds: float, status: str, *, filled: int | None = None, perm_id: int = 7, held: str = "") -> StatusTold:
    shares = None if filled is None else Decimal(filled)
    return StatusTold(at=at(seconds), status=status, filled=shares, perm_id=perm_id, why_held=held)


def executed(seconds: float, exec_id: str, shares: float, price: str = "10", *, perm_id: int = 7) -> Executed:
    return Executed(at=at(seconds), exec_id=exec_id, shares=Decimal(str(shares)), price=Decimal(price), perm_id=perm_id)


def charged(exec_id: str, commission: str) -> Commissioned:
    return Commissioned(exec_id=exec_id, commission=Decimal(commission), currency="USD")


def error(seconds: float, code: int, text: str = "said the gateway") -> ErrorTold:
    return ErrorTold(at=at(seconds), code=code, text=text)


def completed(seconds: float, status: str, *, filled: int = 0, perm_id: int = 7, says: str = "") -> Completed:
    return Completed(at=at(seconds), status=status, filled=Decimal(filled), perm_id=perm_id, completed_status=says)


def look(seconds: float, *, position: int = 0) -> Missing:
    """A whole look that did not find the order."""
    return Missing(at=at(seconds), position=Decimal(position))


def listed(seconds: float, status: str = "Submitted") -> Listed:
    """A whole look that found the order open although it had ended."""
    return Listed(at=at(seconds), status=status)


def resolved(seconds: float, filled: int, note: str = "seen in TWS") -> Resolved:
    return Resolved(at=at(seconds), filled=filled, note=note)
