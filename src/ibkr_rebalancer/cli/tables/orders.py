"""An order's life in plain words: what was heard of it, in the order in which we learnt it, and what that proves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from typing import assert_never

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.cli.tables.layout import SIDE_STYLE, shown_count, shown_price, shown_told
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
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.order_codes import readable
from ibkr_rebalancer.core.order_state import OrderState, TrackedOrder, order_state, unfilled_s
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
Timed = Sent | Withheld | CancelAsked | StatusTold | Executed | ErrorTold | Completed | Missing | Listed | Resolved
"""What is heard of an order, but for what a print cost, which has no time of its own."""
OUR_TIME = (Sent, Withheld, CancelAsked, StatusTold, ErrorTold, Resolved)
"""What is dated by this machine, when we did or heard it; the rest is by the broker's clock."""


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
        f"  {kind_of(intent)}  ",
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
    price = f" at {shown_price(state.average_price)}" if state.average_price is not None else ""
    if state.filled and state.average_price is None:
        price = " at an unknown price"
    charged = f", commission {shown_told(state.commission)}" if state.commission != ZERO else ""
    reason = f": {state.reason}" if state.reason else ""
    return f"{state.status.value}, {filled}{price}{charged}{reason}"


def told(order: TrackedOrder, marks: Sequence[Moment] = ()) -> list[Moment]:
    """What was heard of the order as it reached us, without what says nothing new; each with its own time.

    The broker's clock may differ from ours, so times need not rise. A mark, whose time is ours, comes before what was
    learnt after it; one with nothing before or after it marks nothing.
    """
    heard = order.evidence
    story = [
        (place, Moment(at=evidence.at, text=_words(evidence, order)))
        for place, evidence in enumerate(heard)
        if not isinstance(evidence, Commissioned) and _is_news(evidence, heard[:place])
    ]
    for mark in reversed(marks):
        first = _first_after(mark.at, heard)
        later = next((index for index, (place, _) in enumerate(story) if place >= first), None)
        if later:
            story.insert(later, (first, mark))
    return [moment for _, moment in story]


def _first_after(moment: datetime, heard: Sequence[Evidence]) -> int:
    """The place of the first piece that was learnt after the moment, as far as times can tell."""
    ours = [(place, evidence.at) for place, evidence in enumerate(heard) if isinstance(evidence, OUR_TIME)]
    first = max((place + 1 for place, at in ours if at < moment), default=0)
    last = min((place for place, _ in ours if place >= first), default=len(heard))
    between = [
        (place, e.at) for place, e in enumerate(heard[:last]) if place >= first and not isinstance(e, Commissioned)
    ]
    return next((place for place, at in between if at >= moment), last)


def _is_news(evidence: Timed, before: Sequence[Evidence]) -> bool:
    """Whether it says more than how an order is that was known to be so."""
    match evidence:
        case StatusTold(status=status, filled=filled):
            statuses = [earlier for earlier in before if isinstance(earlier, StatusTold)]
            counted = [earlier.filled for earlier in statuses if earlier.filled]
            traded = sum((earlier.shares for earlier in before if isinstance(earlier, Executed)), ZERO)
            known = {"Filled", *(earlier.status for earlier in statuses[-1:])}
            return status not in known or (filled or ZERO) > max([traded, *counted])
    return True


def kind_of(intent: OrderIntent) -> str:
    return "market order" if intent.limit_price is None else f"limit order at {shown_price(intent.limit_price)}"


def _words(evidence: Timed, order: TrackedOrder) -> str:
    intent = order.intent
    match evidence:
        case Sent():
            return "sent to the gateway"
        case Withheld():
            return "not sent: the run stopped before its turn"
        case CancelAsked():
            waited_s = unfilled_s(order.evidence)
            return "we want it cancelled" + ("" if waited_s is None else f": not filled in full within {waited_s} s")
        case StatusTold():
            return _status_words(evidence, intent)
        case Executed():
            return _print_words(evidence, order)
        case ErrorTold(code=code, text=text):
            return f"the gateway says: {readable(text)} ({code})"
        case Completed(status=status, filled=filled, completed_status=sentence):
            said = f"; {sentence}" if sentence else ""
            return f"among the orders that have ended: {status}, {_of(filled, intent)} filled{said}"
        case Missing() | Listed():
            return _look_words(evidence, intent)
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


def _look_words(look: Missing | Listed, intent: OrderIntent) -> str:
    if isinstance(look, Listed):
        return f"open at Interactive Brokers after all ({look.status})"
    return f"nowhere to be found at Interactive Brokers; {shown_count(look.position)} {intent.symbol} are held"


def _of(filled: Decimal | int, intent: OrderIntent) -> str:
    return f"{shown_count(Decimal(filled))} of {intent.quantity:,}"
