"""What is true of an order, derived from the broker's evidence and from nothing else. Pure.

The journal keeps evidence, never a state: a state that is stored can contradict what it was made from. An error
message is no proof that an order is dead, a status may be repeated, skipped or late, and an execution may be
corrected; so a state is asked for anew from all the evidence each time.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from ibkr_rebalancer.core.orders import OrderIntent


class OrderStatus(Enum):
    """How far an order has come."""

    INTENDED = "intended"
    """Journalled; whether it was sent nobody can say yet."""
    SENT = "sent"
    """Handed to the gateway, which has not answered."""
    WORKING = "working"
    """The broker has it."""
    PARTIAL = "partial"
    """The broker has it and has filled some of it."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ABSENT = "absent"
    """Proven never to have reached the broker."""
    UNKNOWN = "unknown"
    """Nobody can say what became of it; a person has to look."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more can come of it but late news of what has happened already."""
        return self in TERMINAL


TERMINAL = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.ABSENT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """All of the order's message has left for the gateway."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusTold:
    """An `orderStatus` or `openOrder` message about the order, or its place in a list of open orders."""

    at: datetime
    status: str
    """The broker's word: PendingSubmit, PreSubmitted, Submitted, Filled, PendingCancel, Cancelled, Inactive …"""
    filled: Decimal | None
    """None in messages that do not say."""
    perm_id: int
    """0 while the broker has given none."""
    why_held: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """One print of the order; a later one with the same id before its last dot corrects it."""

    at: datetime
    """When it traded, aware UTC, by the broker."""
    exec_id: str
    shares: Decimal
    price: Decimal
    perm_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commissioned:
    """What the broker charged for one print."""

    exec_id: str
    commission: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorTold:
    """An error message about the order. It proves nothing by itself."""

    at: datetime
    code: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The order's entry in the broker's list of today's completed orders."""

    at: datetime
    status: str
    """Filled, Cancelled, Inactive …"""
    filled: Decimal
    perm_id: int
    completed_status: str
    """The broker's sentence, such as `Cancelled by Trader`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A whole look at open orders, executions and completed orders found the order in none of them."""

    at: datetime
    """The gateway's time of the look."""
    position: Decimal
    """Shares held of the contract at that look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A person has looked, and says what became of it."""

    at: datetime
    filled: int
    """Shares."""
    note: str


Evidence = Sent | StatusTold | Executed | Commissioned | ErrorTold | Completed | Missing | Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """What is true of an order now."""

    status: OrderStatus
    filled: int
    """Shares, corrections counted once."""
    average_price: Decimal | None
    """Of the shares filled, None while there is none with a price."""
    commission: Decimal
    """Charged so far for the prints that count."""
    reason: str
    """Why it is in this state: the broker's words, or ours; empty where the status says it all."""
    perm_ids: frozenset[int]
    """The broker's permanent ids seen for this reference; more than one is an alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedOrder:
    """An order of ours with all that is known of it."""

    intent: OrderIntent
    evidence: tuple[Evidence, ...]
    """In the order it reached us."""
