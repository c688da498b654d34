"""An order's life in plain words: what was heard of it, in the order of time, and what that proves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ibkr_rebalancer.cli.tables.layout import SIDE_STYLE, shown_count, shown_price
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
    """What was heard of the order, in the order of time; what only repeats the line before is left out."""
    charges = {e.exec_id: e.commission for e in order.evidence if isinstance(e, Commissioned)}
    heard = [
        Moment(at=evidence.at, text=_words(evidence, order.intent, charges))
        for evidence in order.evidence
        if not isinstance(evidence, Commissioned)
    ]
    return _unrepeated(sorted([*heard, *marks], key=lambda moment: moment.at))


def _unrepeated(moments: Iterable[Moment]) -> list[Moment]:
    kept: list[Moment] = []
    for moment in moments:
        if not kept or kept[-1].text != moment.text:
            kept.append(moment)
    return kept


def _kind(intent: OrderIntent) -> str:
    return "market order" if intent.limit_price is None else f"limit order at {shown_price(intent.limit_price)}"


def _words(evidence: Evidence, intent: OrderIntent, charges: dict[str, Decimal]) -> str:
    match evidence:
        case Sent():
            return "sent to the gateway"
        case Withheld():
            return "not sent: the run stopped before its turn"
        case StatusTold():
            return _status_words(evidence, intent)
        case Executed(shares=shares, price=price):
            charge = charges.get(evidence.exec_id)
            paid = "" if charge is None else f", commission {charge:,.2f}"
            return f"{shown_count(shares)} filled at {shown_price(price)}{paid} (execution {evidence.exec_id})"
        case Commissioned():
            return f"commission {evidence.commission:,.2f}"
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


def _status_words(told: StatusTold, intent: OrderIntent) -> str:
    filled = f", {_of(told.filled, intent)} filled" if told.filled else ""
    held = f", held: {told.why_held}" if told.why_held else ""
    return f"{STATUSES.get(told.status, 'its status is')} ({told.status}){filled}{held}"


def _of(filled: Decimal | int, intent: OrderIntent) -> str:
    return f"{shown_count(Decimal(filled))} of {intent.quantity:,}"
