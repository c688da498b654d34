"""The story of an order: in the order in which we learnt it, whatever the clocks say."""

from typing import get_args

import pytest
from tests.support.trading import (
    asked,
    at,
    charged,
    completed,
    error,
    executed,
    listed,
    look,
    resolved,
    sent,
    told,
    tracked,
    withheld,
)

from ibkr_rebalancer.cli.tables.orders import Moment
from ibkr_rebalancer.cli.tables.orders import told as story_of
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

ENDED = Moment(at=at(130), text="- ended -")
NEXT = Moment(at=at(1800), text="- next -")
UNFILLED = (
    sent(1),
    told(1, "Submitted"),
    asked(121),
    told(121, "PendingCancel"),
    told(122, "Cancelled"),
    error(122, 202, "Order Canceled - reason:"),
)
STORY = [
    "sent to the gateway",
    "it is at the exchange (Submitted)",
    "we want it cancelled: not filled in full within 120 s",
    "its cancel is under way (PendingCancel)",
    "it is cancelled (Cancelled)",
    "the gateway says: Order Canceled - reason: (202)",
]


def texts(*evidence: Evidence) -> list[str]:
    return [moment.text for moment in story_of(tracked("BUY 100 AAA", *evidence), [ENDED, NEXT])]


@pytest.mark.parametrize("skew", [-100_000, 0, 100_000], ids=lambda skew: f"{skew} s")
def test_a_fill_is_told_when_it_was_heard_of_by_whatever_clock(skew: float) -> None:
    """In skew seconds the gateway's clock is ahead of ours."""
    fill = executed(2 + skew, "a.01", 100), charged("a.01", "1")
    heard = (sent(1), told(1, "PreSubmitted"), *fill, told(2, "Filled", filled=100))
    assert texts(*heard) == [
        "sent to the gateway",
        "Interactive Brokers has it (PreSubmitted)",
        "100 filled at 10.00, commission 1.00",
    ]


@pytest.mark.parametrize("skew", [-100_000, 0], ids=lambda skew: f"{skew} s")
def test_a_late_fill_is_told_last(skew: float) -> None:
    late = texts(*UNFILLED, executed(126 + skew, "a.01", 100), charged("a.01", "1"))
    assert late == [*STORY, "100 filled at 10.00, commission 1.00"]


def test_what_a_later_run_heard_stands_below_its_beginning() -> None:
    assert texts(*UNFILLED, completed(126, "Cancelled"), told(1801, "Submitted")) == [
        *STORY,
        "among the orders that have ended: Cancelled, 0 of 100 filled",
        "- ended -",
        "- next -",
        "it is at the exchange (Submitted)",
    ]
    assert texts(*UNFILLED, completed(1801, "Cancelled"))[-3:-1] == ["- ended -", "- next -"]


EVERY_KIND: dict[type[Evidence], tuple[Evidence, str | None]] = {
    Sent: (sent(1), "sent to the gateway"),
    Withheld: (withheld(1), "not sent: the run stopped before its turn"),
    CancelAsked: (asked(1), "we want it cancelled"),
    StatusTold: (told(1, "Submitted"), "it is at the exchange (Submitted)"),
    Executed: (executed(1, "a.01", 40), "40 filled at 10.00"),
    Commissioned: (charged("a.01", "1"), None),
    ErrorTold: (error(1, 399, "not yet"), "the gateway says: not yet (399)"),
    Completed: (completed(1, "Cancelled"), "among the orders that have ended: Cancelled, 0 of 100 filled"),
    Missing: (look(1), "nowhere to be found at Interactive Brokers; 0 AAA are held"),
    Listed: (listed(1), "open at Interactive Brokers after all (Submitted)"),
    Resolved: (resolved(1, 40), "resolved by hand, 40 of 100 filled: seen in TWS"),
}


@pytest.mark.parametrize("kind", get_args(Evidence), ids=lambda kind: kind.__name__)
def test_every_kind_of_evidence_has_its_words(kind: type[Evidence]) -> None:
    """What a print cost stands beside the print."""
    evidence, words = EVERY_KIND[kind]
    assert isinstance(evidence, kind)
    assert texts(evidence) == ([] if words is None else [words])


def test_a_cancel_of_an_order_that_nobody_saw_leave_has_no_age() -> None:
    assert texts(asked(5)) == ["we want it cancelled"]
