"""From trades to orders: what exactly is sent, decided before it is sent. Pure.

Every order is a DAY order for whole shares in regular hours, and carries a reference that follows from its plan:
the same plan cannot make two different references for the same trade, and no two trades share one.
"""

import hashlib
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.portfolio import AccountId

OURS = "rb1-"
"""How the references of our orders begin; whatever begins otherwise is somebody else's order."""


class OrderType(Enum):
    """How an order is priced: `order_type` in accounts.yaml; the names of members are the owner's words."""

    MARKET = "MKT"
    LIMIT = "LMT"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """The decision to send one order, complete and unchangeable; it is journalled before anything is sent."""

    order_ref: str
    """IBKR's `orderRef`: stays with the order through crashes and reconnects, and is never used twice."""
    run_id: str
    plan_id: str
    account: AccountId
    con_id: ConId
    symbol: str
    side: Side
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None
    """On the tick grid; None for a market order."""
    position_before: Decimal
    """Shares held when it was decided, by the broker's word."""
    client_id: int
    """The API client id it goes out over; only over this one can it be cancelled."""
    expires_at: datetime
    """End of the session it was decided in, aware UTC: a DAY order does not live longer."""


def order_ref(account: AccountId, plan_id: str, con_id: ConId, side: Side, *, attempt: int = 1) -> str:
    """The reference of a trade of a plan; `attempt` counts the orders made for it, one unless it was shrunk."""
    named = f"{account}|{plan_id}|{con_id}|{side.value}"
    short = b32encode(hashlib.sha256(named.encode()).digest()).decode()[:16].lower()
    return f"{OURS}{short}-{attempt}"
