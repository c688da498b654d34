"""What is true of an order, derived from the broker's evidence and from nothing else. Pure.

The journal keeps evidence, never a state: a state that is stored can contradict what it was made from. An error
message is no proof that an order is dead, a status may be repeated, skipped or late, and an execution may be
corrected; so a state is asked for anew from all the evidence each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from itertools import takewhile

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
    executions,
    prints,
)
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.order_codes import CANCEL_TOLD, ORDER_CODES, OrderEffect, order_code, readable
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.plan import Side

ABSENCE_S = 30.0
"""Seconds between the first and the last of the looks that prove an order absent."""

CANCELLED = frozenset({"Cancelled", "ApiCancelled"})
ENDED = CANCELLED | {"Filled", "Inactive"}
"""The broker's words for an order that does not trade any more; every other word is a live order's."""

REJECTING = frozenset(row.code for row in ORDER_CODES if row.effect is OrderEffect.REFUSED)
"""Error codes that refuse an order."""
RECOGNISING = frozenset({104, 136, 161, 202, 399, 404, 10148, 10349, *range(2100, 2200)})
"""Error codes told only of orders that the broker has, or had: cancelled, cannot be cancelled, held until the open or
until shares can be borrowed, time in force set by a preset, warnings. All others say nothing about the order."""

LISTED_OPEN = "open, though it had been said to have ended"


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
class OrderState:
    """What is true of an order now."""

    status: OrderStatus
    filled: int
    """Shares, corrections counted once."""
    average_price: Decimal | None
    """Of the shares filled; None while there is none, or nobody has told what some of them were filled at."""
    commission: Decimal | None
    """Charged for them; None while not all of it has been told."""
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


def order_state(tracked: TrackedOrder, *, absence_s: float = ABSENCE_S) -> OrderState:
    """What the evidence proves about the order, and no more.

    Evidence that comes twice counts once, and its order matters only to looks: one that missed the order does not
    count if live evidence came after it, and one that found it open takes back every end that was told before it. A
    person's word stands unless executions exceed it.
    """
    told = tuple(dict.fromkeys(tracked.evidence))
    counted = prints(told)
    executed = sum((each.shares for each in counted), ZERO)
    words = (e for e in _since_listed(told) if isinstance(e, Resolved))
    resolved = max(words, key=lambda e: (e.at, e.filled, e.note), default=None)
    if resolved is not None and executed <= resolved.filled:
        filled, is_all = resolved.filled, resolved.filled >= tracked.intent.quantity
        status, reason = OrderStatus.FILLED if is_all else OrderStatus.CANCELLED, f"resolved by hand: {resolved.note}"
    else:
        filled = int(executed + _told_beyond_executions(told))
        status, reason = _proven(tracked.intent, told, filled, absence_s) or _underway(told, filled)
    worth, charges = sum((each.shares * each.price for each in counted), ZERO), [each.commission for each in counted]
    charged = [charge for charge in charges if charge is not None]
    is_all_told = executed >= filled
    return OrderState(
        status=status,
        filled=filled,
        average_price=worth / executed if executed and is_all_told else None,
        commission=sum(charged, ZERO) if is_all_told and len(charged) == len(charges) else None,
        reason=reason,
        perm_ids=_perm_ids(told),
    )


def needs_a_look(tracked: TrackedOrder) -> bool:
    """Whether the last that was heard speaks for an end that only a look at the whole order book can prove."""
    for evidence in reversed(tracked.evidence):
        match evidence:
            case Missing():
                return True
            case ErrorTold(code=code) if code in REJECTING:
                return True
            case StatusTold(status="Inactive"):
                return True
        if _is_live(evidence):
            return False
    return False


def lacks_commission(tracked: TrackedOrder) -> bool:
    """Whether the price or the charge of some of its shares has not been told yet: a status can come first."""
    told = tuple(dict.fromkeys(tracked.evidence))
    return _told_beyond_executions(told) > 0 or any(each.commission is None for each in prints(told))


def remedy_for(tracked: TrackedOrder, state: OrderState) -> str:
    """What a person can do about an order that the broker refused, cancelled or has a remark on; empty if it did none
    of that, or nobody has written it down."""
    said = [e for e in tracked.evidence if isinstance(e, ErrorTold) and state.reason == _text([e])]
    row = order_code(said[-1].code, said[-1].text) if said else None
    return row.remedy if row else ""


def given_up(state: OrderState) -> OrderState:
    """The state once nobody waits any longer: what has not been proven to be over is unknown."""
    if state.status.is_terminal or state.status is OrderStatus.UNKNOWN:
        return state
    detail = f", {state.reason}" if state.reason else ""
    return replace(state, status=OrderStatus.UNKNOWN, reason=f"last known to be {state.status.value}{detail}")


def alarm(tracked: TrackedOrder, state: OrderState) -> str | None:
    """What must never be true of an order and is, as a sentence; None in all good."""
    intent = tracked.intent
    order = f"Order {intent.order_ref} to {intent.side.value} {intent.quantity} {intent.symbol}"
    executed = sum((each.shares for each in prints(tracked.evidence)), ZERO)
    if max(Decimal(state.filled), executed) > intent.quantity:
        return f"{order} has filled {max(Decimal(state.filled), executed)} shares, more than it asked for."
    if len(state.perm_ids) > 1:
        ids = ", ".join(str(perm_id) for perm_id in sorted(state.perm_ids))
        return f"{order} exists more than once at Interactive Brokers (permanent ids {ids})."
    if executed % 1:
        return f"{order} has filled {executed} shares, and it was for whole ones."
    return None


def _told_beyond_executions(told: Sequence[Evidence]) -> Decimal:
    """Shares that a status counts as filled and no execution has reached us for.

    A status may be older than a correction: what it counts is compared with the most that was ever executed.
    """
    stated = [e.filled for e in told if isinstance(e, StatusTold | Completed) and e.filled is not None]
    seen = sum((max(e.shares for e in versions) for versions in executions(told).values()), ZERO)
    return max(ZERO, max(stated, default=ZERO) - seen)


def _perm_ids(told: Sequence[Evidence]) -> frozenset[int]:
    return frozenset(e.perm_id for e in told if isinstance(e, StatusTold | Executed | Completed) and e.perm_id)


def _proven(
    intent: OrderIntent, told: Sequence[Evidence], filled: int, absence_s: float
) -> tuple[OrderStatus, str] | None:
    """The terminal status that the evidence proves and why, or None."""
    if _another_is_live(told):
        return None
    if filled >= intent.quantity or _told_filled(told, intent.quantity):
        return OrderStatus.FILLED, ""
    looks, since = _looks(told), _since_listed(told)
    if rejection := _rejection(since, _looks(since)):
        return OrderStatus.REJECTED, rejection
    if any(e.status in CANCELLED for e in since if isinstance(e, StatusTold | Completed)):
        return OrderStatus.CANCELLED, _cancellation(told, since)
    if any(isinstance(e, Withheld) for e in told) and not any(_was_there(e) for e in told):
        return OrderStatus.ABSENT, "not sent"
    before = [look for look in looks.values() if look.at < intent.expires_at]
    if not any(_was_there(e) for e in told) and _is_absent(before, intent.position_before, absence_s):
        return OrderStatus.ABSENT, "looked for and found nowhere, the position unchanged"
    after = [look for look in looks.values() if look.at >= intent.expires_at]
    if after:
        return OrderStatus.EXPIRED, _expiry(intent, filled, after[-1])
    return None


def _another_is_live(told: Sequence[Evidence]) -> bool:
    """Whether the broker has more than one order with this reference, and not all of them have ended."""
    perm_ids = _perm_ids(told)
    ended = {e.perm_id for e in told if isinstance(e, StatusTold | Completed) and e.status in ENDED}
    return len(perm_ids) > 1 and not perm_ids <= ended


def _told_filled(told: Sequence[Evidence], quantity: int) -> bool:
    """Whether the broker has called all of it filled; a correction may have taken shares back since."""
    statuses = [e for e in told if isinstance(e, StatusTold | Completed)]
    return any(e.status == "Filled" and e.filled is not None and e.filled >= quantity for e in statuses)


def _since_listed(told: Sequence[Evidence]) -> Sequence[Evidence]:
    """What was told after the last look that found the order open against all that had been heard."""
    return told[max((place for place, e in enumerate(told, 1) if isinstance(e, Listed)), default=0) :]


def _looks(told: Sequence[Evidence]) -> Mapping[int, Missing]:
    """The looks that count, by their place in the evidence."""
    last_live = max((place for place, e in enumerate(told) if _is_live(e)), default=-1)
    return {place: e for place, e in enumerate(told) if isinstance(e, Missing) and place > last_live}


def _is_live(evidence: Evidence) -> bool:
    """Whether the order may still have traded when this was told."""
    match evidence:
        case Sent() | Executed() | Listed():
            return True
        case StatusTold(status=word):
            return word not in ENDED
        case ErrorTold(code=code):
            return code in RECOGNISING
    return False


def _was_there(evidence: Evidence) -> bool:
    """Whether only an order that has reached the gateway is spoken of like this."""
    match evidence:
        case StatusTold() | Executed() | Commissioned() | Completed() | Listed():
            return True
        case ErrorTold(code=code):
            return code in REJECTING | RECOGNISING
    return False


def _rejection(told: Sequence[Evidence], looks: Mapping[int, Missing]) -> str | None:
    """Why the order was rejected, once something else proves that it is dead."""
    errors = [e for e in told if isinstance(e, ErrorTold) and e.code in REJECTING]
    inactive = [e for e in told if isinstance(e, StatusTold | Completed) and e.status == "Inactive"]
    if not errors and not inactive:
        return None
    first = min(told.index(e) for e in (*errors, *inactive))
    buried = any(isinstance(e, Completed) or (isinstance(e, StatusTold) and e.status in CANCELLED) for e in told)
    if not buried and all(place < first for place in looks):
        return None
    return _text(errors) if errors else "Interactive Brokers has made it inactive"


def unfilled_s(told: Sequence[Evidence]) -> int | None:
    """For how many seconds it had been out when we first wanted it cancelled; None if we never did, or it is not known
    when it was sent."""
    sent = [e.at for e in told if isinstance(e, Sent)]
    asked = [e.at for e in told if isinstance(e, CancelAsked)]
    return max(0, round((min(asked) - min(sent)).total_seconds())) if sent and asked else None


def _cancellation(told: Sequence[Evidence], since: Sequence[Evidence]) -> str:
    """Our own reason if it was us who wanted it, else the broker's if it gives one, else its sentence: that tells of
    every cancel, and seldom why.

    Only what was told `since` the order was last listed as open has led to the cancel; if we wanted that, it was
    because of the list.
    """
    is_ours = any(isinstance(e, CancelAsked) for e in since)
    if is_ours and len(since) < len(told):
        return f"{LISTED_OPEN}, so we cancelled it"
    waited_s = unfilled_s(since)
    if waited_s is not None:
        return f"not filled in full within {waited_s} s, so we cancelled it"
    errors = [e for e in since if isinstance(e, ErrorTold)]
    sentences = [e.completed_status for e in since if isinstance(e, Completed)]
    given = [e for e in errors if e.code == CANCEL_TOLD and not e.text.endswith(":")]
    return _text(given) or ("we cancelled it" if is_ours else "") or max(sentences, default="") or _text(errors)


def _text(errors: Sequence[ErrorTold]) -> str:
    """The last of these errors as a reason; nothing if there is none."""
    last = max(errors, key=lambda e: (e.at, e.code, e.text), default=None)
    return f"{readable(last.text)} ({last.code})" if last else ""


def _is_absent(looks: Sequence[Missing], position_before: Decimal, absence_s: float) -> bool:
    """Whether looks far enough apart found nothing, before the position was seen to change."""
    unchanged = [look.at for look in takewhile(lambda look: look.position == position_before, looks)]
    return bool(unchanged) and (max(unchanged) - min(unchanged)).total_seconds() >= absence_s


def _expiry(intent: OrderIntent, filled: int, look: Missing) -> str:
    signed = filled if intent.side is Side.BUY else -filled
    expected = intent.position_before + signed
    unexplained = (
        f"; {look.position} shares are held, its fills make it {expected}" if look.position != expected else ""
    )
    return f"its session ended at {intent.expires_at:%Y-%m-%d %H:%M} UTC{unexplained}"


def _underway(told: Sequence[Evidence], filled: int) -> tuple[OrderStatus, str]:
    """How far an order has come that nothing proves to be over."""
    errors = [e for e in told if isinstance(e, ErrorTold)]
    statuses = [e for e in told if isinstance(e, StatusTold)]
    held = max(statuses, key=lambda e: (e.at, e.status, e.why_held)).why_held if statuses else ""
    listed = LISTED_OPEN if any(isinstance(e, Listed) for e in told) else ""
    reason = f"held: {held}" if held else listed or _text(errors)
    if filled:
        return OrderStatus.PARTIAL, reason
    if any(_was_there(e) and not (isinstance(e, ErrorTold) and e.code in REJECTING) for e in told):
        return OrderStatus.WORKING, reason
    return OrderStatus.SENT if errors or any(isinstance(e, Sent) for e in told) else OrderStatus.INTENDED, reason
