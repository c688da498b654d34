"""The fault switchboard: one record shape for everything that can go wrong.

Pure but for the count of what has matched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar, get_args

Action = Literal["error", "notice", "drop", "mute", "delay", "duplicate", "alter", "precede", "garbage", "disconnect"]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""What a fault does to the message it meets:

- `error {code, text}`: this error is sent instead; a request is not acted on
- `notice {code, text}`: this system message is sent first, then all goes on
- `drop`: the message is lost; a request is never answered
- `mute`: from here on this connection says nothing more, and stays open
- `delay {ms}`: the message, or all answers to the request, come later; others may overtake them
- `duplicate`: the message, or all answers to the request, come twice
- `alter {field: value}`: fields of the message say something else
- `precede {field: value}`: the message comes twice, and in the first of them these fields say something else
- `garbage {hex}`: these bytes are sent instead, unframed
- `disconnect`: the socket is closed instead

Orders, as every request, are not acted on when a request meets `error`, `drop`, `mute`, `garbage` or `disconnect`, and
are acted on when an answer does. So, with `where` naming the `orderId` or in an `openOrder` the `orderRef`:

- taken, but no word of it arrives: `drop` for `openOrder`, `orderStatus` and `execDetails`
- taken, then the connection is cut: `openOrder` and `disconnect`; cut among its fills: `execDetails` and `disconnect`
- never arrived, and the connection is cut: `placeOrder` and `disconnect`
- a cancel that is lost: `cancelOrder` and `drop`; one that works unheard: `orderStatus` where `status` is `Cancelled`
- fills withheld until they are asked for: `drop` for `execDetails` where `reqId` is -1, and for `orderStatus`
- a what-if that first comes with a warning and no margins: `openOrder` where `whatIf` is 1, and `precede` with
  `warningText`, and the greatest number for `initMarginChange`
- `delay` and `duplicate` for a `placeOrder` concern what is told of it at once; its fills have messages of their own
"""

OrderAction = Literal[
    "reject",
    "warn",
    "hold",
    "partial",
    "cancelled",
    "cancel_late",
    "fill_on_cancel",
    "late_fill",
    "correct",
    "commission_late",
    "lag",
    "duplicate_perm",
    "foreign",
]
ORDER_ACTIONS: tuple[OrderAction, ...] = get_args(OrderAction)
"""What a fault does to the order it meets, in the market and therefore true for every client that looks:

- `reject {code, text}`: it is refused; a preview of it too if that is what the fault waits for. 202 ends as Cancelled
- `warn {code, text}`: this error is told about it, and it lives on; a preview carries the text as its warning
- `hold {why, status}`: it never fills; the status is PreSubmitted or Inactive
- `partial {shares}`: no more than these fill
- `cancelled {ms, code, text}`: the broker cancels it so long after it was placed; by another code than 202 it refuses
  what is left of it, which ends as Inactive
- `cancel_late {ms}`: a cancel of it does nothing until so long after, or at all; it may fill meanwhile
- `fill_on_cancel {shares}`: it doesn't fill until it is cancelled, and then it fills: all, or these shares
- `late_fill {ms, shares}`: it doesn't fill until it is cancelled, and fills so long after that was told
- `correct {price, ms}`: each of its executions is corrected to this price so long after
- `commission_late {ms}`: the commission of its executions is told so long after them
- `lag {ms}`: positions, portfolio and cash of its account show its executions only so long after the last one, and
  until then nothing else either
- `duplicate_perm`: a second order with the same reference, under another permId, appears with it
- `foreign {client, side, quantity, limit_price}`: an order of another client appears just before it; what isn't
  stated is as in the order met

One that is taken away lets go of the orders it holds, and of the accounts that lag.
"""

RealtimeAction = Literal[
    "error",
    "drop",
    "mute",
    "delay",
    "duplicate",
    "overtaken",
    "alter",
    "pad",
    "garbage",
    "close",
    "disconnect",
]
REALTIME_ACTIONS: tuple[RealtimeAction, ...] = get_args(RealtimeAction)
"""What a fault does to the frame or the request it meets, among the channels:

- `error {code, status, text}`: this error instead, as an answer over HTTP, as a NACK of what was published, as an ERROR
  of the channel the frame is about, or of the whole connection, which is closed then
- `drop`: the frame is lost; a request is never answered, nor acted on
- `mute`: from here on this connection says nothing more, and stays open
- `delay {ms}`: the frame or answer comes later; others may overtake it
- `duplicate`: the frame comes twice
- `overtaken`: the frame comes after the next one of its kind
- `alter {FIELD}`: fields of the frame say something else, null takes them away (RFC 7396); what is under `messages` is
  laid over each of its messages, or of a page of history
- `pad {bytes}`: the frame is so much longer
- `garbage {hex}`: these bytes are sent instead
- `close {code}`: the WebSocket is closed with this code instead
- `disconnect`: the socket is cut instead
"""

REALTIME_FIELDS = ("channel", "id", "name")
"""By which a frame or request can be told; id and name are those of its first message."""

ORDER_FIELDS = ("account", "con_id", "side", "quantity", "order_type", "tif", "order_ref")
"""By which an order can be told, beside its symbol; their names in a `Ticket`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Of the wire: it meets messages."""

    message: str
    """The kind of message it waits for: a request, an answer, or `connect` (a socket is accepted),
    `handshake` (the version is sent), `frame` (anything is sent)."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Fields the message must carry, by their names on the wire."""
    client: int | None = None
    after: int = 0
    """Matches let through first, counted over all connections."""
    count: int | None = None
    """How often it strikes; None is always."""
    action: Action
    parameters: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFault:
    """Of the market: it meets orders. All else is as with messages."""

    message: Literal["order", "preview"]
    where: Mapping[str, str] = field(default_factory=dict)
    """What the order must ask for: its `symbol` and the fields of `ORDER_FIELDS`."""
    client: int | None = None
    after: int = 0
    count: int | None = None
    action: OrderAction
    parameters: Mapping[str, str | int | Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeFault:
    """Of the channels: it meets frames and requests. All else is as with messages."""

    message: str
    """What it waits for: a frame the client gets, by its action, or a request of `ably.faults.REQUESTS`."""
    where: Mapping[str, str] = field(default_factory=dict)
    client: str | None = None
    """The clientId of the connection."""
    after: int = 0
    count: int | None = None
    action: RealtimeAction
    parameters: Mapping[str, Any] = field(default_factory=dict)


AnyFault = TypeVar("AnyFault", Fault, OrderFault, RealtimeFault)


def of(faults: tuple[OrderFault, ...], action: OrderAction) -> list[OrderFault]:
    """Those that do this."""
    return [fault for fault in faults if fault.action == action]


class Switchboard(Generic[AnyFault]):
    """The faults in force and how often each was met; replacing the faults forgets the counts."""

    def __init__(self, faults: tuple[AnyFault, ...]) -> None:
        self.faults: tuple[AnyFault, ...] = faults
        self._met = [0] * len(faults)

    def strike(self, message: str, values: Mapping[str, str], client: int | str | None) -> list[AnyFault]:
        """The faults that this message provokes, in their order."""
        struck = []
        for index, fault in enumerate(self.faults):
            if _concerns(fault, message, values, client):
                met = self._met[index]
                self._met[index] += 1
                if met >= fault.after and (fault.count is None or met < fault.after + fault.count):
                    struck.append(fault)
        return struck


def _concerns(fault: AnyFault, message: str, values: Mapping[str, str], client: int | str | None) -> bool:
    return (
        fault.message == message
        and fault.client in {None, client}
        and all(values.get(name) == value for name, value in fault.where.items())
    )
