"""Orders as the venue keeps them, and what happens to them. Pure values."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Side = Literal["BUY", "SELL"]
Status = Literal["PreSubmitted", "Submitted", "Filled", "Cancelled", "Inactive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An order as a client asks for it."""

    client_id: int
    order_id: int
    con_id: int
    account: str
    side: Side
    quantity: Decimal
    order_type: str
    """MKT and LMT are matched, others are rejected."""
    limit_price: Decimal | None
    tif: str
    """DAY or GTC; nothing is DAY by preset, and error 10349 says so."""
    outside_rth: bool
    """Makes no difference here: nothing trades outside its hours."""
    order_ref: str

    def signed(self, shares: Decimal) -> Decimal:
        """What so many shares of it add to the position."""
        return shares if self.side == "BUY" else -shares

    def complaint(self, code: int, text: str) -> "Complained":
        return Complained(client_id=self.client_id, order_id=self.order_id, code=code, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One print."""

    exec_id: str
    time: datetime
    ticket: Ticket
    perm_id: int
    shares: Decimal
    price: Decimal
    cumulative: Decimal
    """Filled so far, this print included."""
    average_price: Decimal
    commission: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order the venue has accepted, as it stands."""

    ticket: Ticket
    perm_id: int
    status: Status
    placed_at: datetime
    completed_at: datetime | None = None
    completed_status: str = ""
    """The gateway's sentence about a completed order, such as `Cancelled by Trader`."""
    why_held: str = ""
    executions: tuple[Execution, ...] = ()

    @property
    def filled(self) -> Decimal:
        return sum((execution.shares for execution in self.executions), Decimal(0))

    @property
    def remaining(self) -> Decimal:
        return self.ticket.quantity - self.filled

    @property
    def average_price(self) -> Decimal:
        """Of what is filled, by the prices that stand corrected; 0 while nothing is, as on the wire."""
        value = sum((execution.shares * execution.price for execution in self.executions), Decimal(0))
        return value / self.filled if self.executions else Decimal(0)

    @property
    def working(self) -> bool:
        return self.completed_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The answer to a what-if."""

    commission: Decimal
    initial_margin_before: Decimal
    initial_margin_change: Decimal
    equity_before: Decimal
    equity_change: Decimal
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The state of an order is told: openOrder and orderStatus."""

    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """An execution happened, or was corrected: execDetails."""

    execution: Execution


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """The commission of an execution is told: commissionReport."""

    execution: Execution


@dataclass(frozen=True, slots=True, kw_only=True)
class Complained:
    """An error about an order."""

    client_id: int
    order_id: int
    code: int
    text: str


Event = Told | Printed | Charged | Complained
"""What the venue tells of orders, in the order it happens; the gateway makes messages of it."""
