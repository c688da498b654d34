"""An order's life in plain words: what was heard of it, in the order of time, and what that proves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from typing import TypeGuard, assert_never

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.cli.tables.layout import SIDE_STYLE, shown_count, shown_price
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.order_state import (
    Commissioned,
    Completed,
    ErrorTold,
    Evidence,
    Executed,
    Missing,
    OrderState,
    Resolved,
    Sent,
    StatusTold,
    TrackedOrder,
    Withheld,
    order_state,
)
from ibkr_rebalancer.core.orders import OrderIntent

STATUSES = {
    "PendingSubmit": "the gateway has taken it",
    "PreSubmitted": "Interactive Brokers has it",
    "Submitted": "it is at the exchange",
    "PendingCancel": "its cancel is under way",
    "Cancelled": "it is cancelled",
    "ApiCancelled": "it is cancelled",
    "Filled": "it is filled",
    "Inactive": "it is inactive: rejected, or held back",
}
"""The broker's words for how an order is, in ours."""
Timed = Sent | Withheld | StatusTold | Executed | ErrorTold | Completed | Missing | Resolved
"""What is heard of an order, but for what a print cost, which has no time of its own."""

SENT = "sent to the gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened, as a line of a story."""

    at: datetime
    text: str


def order_view(order: TrackedOrder, marks: Sequence[Moment] = ()) -> RenderableType:
    """The order, what is proven of it, and its story with what else happened in between."""
    intent = order.intent
    title = Text.assemble(
        (f"{intent.side.value} {intent.quantity:,} {intent.symbol}", SIDE_STYLE[intent.side]),
        f"  {_kind(intent)}  ",
        (intent.order_ref, "dim"),
    )
    story = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    story.add_column(no_wrap=True, style="dim")
    story.add_column(ratio=1)
    last: datetime | None = None
    for moment in told(order, marks):
        same_day = last is not None and last.date() == moment.at.date()
        story.add_row(f"{moment.at:%H:%M:%S}" if same_day else f"{moment.at:%Y-%m-%d %H:%M:%S}", moment.text)
        last = moment.at
    return Group(title, Text(f"  {outcome(order_state(order), intent)}", "bold"), story)


def outcome(state: OrderState, intent: OrderIntent) -> str:
    """What is proven of an order, in one line."""
    filled = f"{state.filled:,} of {intent.quantity:,} shares filled" if state.filled else "no share filled"
    price = "" if state.average_price is None else f" at {shown_price(state.average_price)}"
    charged = f", commission {state.commission:,.2f}" if state.commission else ""
    reason = f": {state.reason}" if state.reason else ""
    return f"{state.status.value}, {filled}{price}{charged}{reason}"


def told(order: TrackedOrder, marks: Sequence[Moment] = ()) -> list[Moment]:
    """What was heard of the order in the order of time, without what says nothing new.

    The broker tells to the second when shares traded; within a second, what left us is told first and the rest as it
    arrived. A mark with nothing before or after it marks nothing.
    """
    heard = order.evidence
    news = [evidence for place, evidence in enumerate(heard) if _is_news(evidence, heard[:place])]
    moments = [Moment(at=evidence.at, text=_words(evidence, order)) for evidence in news]
    story = sorted(moments, key=lambda moment: (moment.at.replace(microsecond=0), moment.text != SENT))
    for mark in marks:
        later = next((place for place, moment in enumerate(story) if moment.at >= mark.at), None)
        if later:
            story.insert(later, mark)
    return story


def _is_news(evidence: Evidence, before: Sequence[Evidence]) -> TypeGuard[Timed]:
    """Whether it says more than what a print cost, or how an order is that was known to be so."""
    match evidence:
        case Commissioned():
            return False
        case StatusTold(status=status, filled=filled):
            statuses = [earlier for earlier in before if isinstance(earlier, StatusTold)]
            counted = [earlier.filled for earlier in statuses if earlier.filled]
            traded = sum((earlier.shares for earlier in before if isinstance(earlier, Executed)), ZERO)
            known = {"Filled", *(earlier.status for earlier in statuses[-1:])}
            return status not in known or (filled or ZERO) > max([traded, *counted])
    return True


def _kind(intent: OrderIntent) -> str:
    return "market order" if intent.limit_price is None else f"limit order at {shown_price(intent.limit_price)}"


def _words(evidence: Timed, order: TrackedOrder) -> str:
    intent = order.intent
    match evidence:
        case Sent():
            return SENT
        case Withheld():
            return "not sent: the run stopped before its turn"
        case StatusTold():
            return _status_words(evidence, intent)
        case Executed():
            return _print_words(evidence, order)
        case ErrorTold(code=code, text=text):
            return f"the gateway says: {text} ({code})"
        case Completed(status=status, filled=filled, completed_status=sentence):
            said = f"; {sentence}" if sentence else ""
            return f"among the orders that have ended: {status}, {_of(filled, intent)} filled{said}"
        case Missing(position=position):
            return f"nowhere to be found at Interactive Brokers; {shown_count(position)} {intent.symbol} are held"
        case Resolved(filled=filled, note=note):
            return f"resolved by hand, {_of(filled, intent)} filled: {note}"
    assert_never(evidence)


def _print_words(execution: Executed, order: TrackedOrder) -> str:
    """A print with what it cost; a later version of one before its last dot corrects it."""
    print_id = execution.exec_id.rpartition(".")[0]
    before = takewhile(lambda evidence: evidence is not execution, order.evidence)
    corrects = any(isinstance(e, Executed) and e.exec_id.rpartition(".")[0] == print_id for e in before)
    charges = [e for e in order.evidence if isinstance(e, Commissioned) and e.exec_id == execution.exec_id]
    paid = f", commission {charges[-1].commission:,.2f}" if charges else ""
    filled = f"{shown_count(execution.shares)} filled at {shown_price(execution.price)}{paid}"
    return f"corrected: {filled}" if corrects else filled


def _status_words(told: StatusTold, intent: OrderIntent) -> str:
    filled = f", {_of(told.filled, intent)} filled" if told.filled else ""
    held = f", held: {told.why_held}" if told.why_held else ""
    return f"{STATUSES.get(told.status, 'its status is')} ({told.status}){filled}{held}"


def _of(filled: Decimal | int, intent: OrderIntent) -> str:
    return f"{shown_count(Decimal(filled))} of {intent.quantity:,}"
