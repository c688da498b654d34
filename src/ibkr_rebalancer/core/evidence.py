"""What the broker, the process that sends, or a person has said of an order: the pieces that its state follows from.

Pure. Each piece is kept as it was told, in the order in which it reached us, and none is ever changed. An execution may
be told more than once, and corrected: `prints` counts each once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """All of the order's message has left for the gateway."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """The process that meant to send it knows that it did not even begin to."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsked:
    """Our wish to have it cancelled has left for the gateway. It proves nothing by itself."""

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
class Listed:
    """A whole look found the order open, although all that had been heard of it before spoke for its end.

    The list is believed: whoever said that the order had ended, the broker or a person, was wrong then.
    """

    at: datetime
    """The gateway's time of the look."""
    status: str
    """The broker's word in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A person has looked, and says what became of it."""

    at: datetime
    filled: int
    """Shares."""
    note: str


Evidence = (
    Sent
    | Withheld
    | CancelAsked
    | StatusTold
    | Executed
    | Commissioned
    | ErrorTold
    | Completed
    | Missing
    | Listed
    | Resolved
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """One execution as it counts: its last correction, and what was charged for it."""

    shares: Decimal
    price: Decimal
    commission: Decimal | None
    """None while it has not been told."""


def prints(evidence: Iterable[Evidence]) -> tuple[Print, ...]:
    """The executions that count, in order of their ids: of each one the last correction, with its last charge."""
    heard = tuple(evidence)
    told = sorted((e for e in heard if isinstance(e, Commissioned)), key=lambda e: (_revision(e.exec_id), e.commission))
    charges = {_root(charge.exec_id): charge.commission for charge in told}
    counted = {root: max(versions, key=_version) for root, versions in executions(heard).items()}
    return tuple(
        Print(shares=counted[root].shares, price=counted[root].price, commission=charges.get(root))
        for root in sorted(counted)
    )


def _root(exec_id: str) -> str:
    """An execution's id up to its last dot; what follows counts its corrections."""
    return exec_id.rpartition(".")[0] or exec_id


def _revision(exec_id: str) -> tuple[int, str]:
    last = exec_id.rpartition(".")[2]
    return int(last) if last.isdecimal() else -1, last


def _version(execution: Executed) -> tuple[tuple[int, str], datetime, Decimal, Decimal]:
    """Sorts the versions of an execution; the last one counts."""
    return _revision(execution.exec_id), execution.at, execution.shares, execution.price


def executions(told: Iterable[Evidence]) -> Mapping[str, Sequence[Executed]]:
    """All versions of each execution."""
    versions: dict[str, list[Executed]] = {}
    for execution in told:
        if isinstance(execution, Executed):
            versions.setdefault(_root(execution.exec_id), []).append(execution)
    return versions
