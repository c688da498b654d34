"""What evidence proves of an order, and what it does not: the cases the field has been bitten by, and properties."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.trading import (
    CLOSE,
    asked,
    charged,
    completed,
    error,
    executed,
    intent,
    listed,
    look,
    resolved,
    sent,
    told,
    tracked,
    withheld,
)

from ibkr_rebalancer.core.evidence import (
    Commissioned,
    Completed,
    ErrorTold,
    Evidence,
    Executed,
    Missing,
    Resolved,
    StatusTold,
    prints,
)
from ibkr_rebalancer.core.order_state import (
    RECOGNISING,
    REJECTING,
    OrderState,
    OrderStatus,
    alarm,
    given_up,
    lacks_commission,
    needs_a_look,
    order_state,
)

BUY = "BUY 100 AAA"


def state(*evidence: Evidence) -> OrderState:
    """The state of an order for 100 shares."""
    return order_state(tracked(BUY, *evidence))


def status(*evidence: Evidence) -> str:
    return state(*evidence).status.value


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ((), "intended 0"),
        ((look(1),), "intended 0"),
        ((sent(0),), "sent 0"),
        ((sent(0), error(1, 201)), "sent 0"),
        ((error(1, 10147),), "sent 0"),
        ((sent(0), told(1, "PendingSubmit")), "working 0"),
        ((sent(0), told(1, "PreSubmitted", filled=0)), "working 0"),
        ((told(1, "Submitted", filled=0),), "working 0"),
        ((told(1, "PendingCancel", filled=0),), "working 0"),
        ((told(1, "Inactive", filled=0),), "working 0"),
        ((told(1, "Filled"),), "working 0"),
        ((sent(0), error(1, 399)), "working 0"),
        ((sent(0), error(1, 201), error(2, 399)), "working 0"),
        ((charged("a.01", "1"),), "working 0"),
        ((completed(1, "Filled", filled=0),), "working 0"),
        ((told(1, "Submitted", filled=40),), "partial 40"),
        ((executed(1, "a.01", 40), told(1, "Submitted", filled=0)), "partial 40"),
        ((executed(1, "a.01", 40), told(1, "Submitted", filled=60)), "partial 60"),
        ((completed(1, "Filled", filled=99),), "partial 99"),
    ],
)
def test_an_order_that_nothing_proves_to_be_over(evidence: tuple[Evidence, ...], expected: str) -> None:
    known = state(*evidence)
    assert f"{known.status.value} {known.filled}" == expected
    assert not known.status.is_terminal


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ((executed(1, "a.01", 40), executed(2, "b.01", 60)), "filled 100"),
        ((told(1, "Filled", filled=100),), "filled 100"),
        ((completed(1, "Filled", filled=100),), "filled 100"),
        ((told(1, "Cancelled", filled=0),), "cancelled 0"),
        ((told(1, "ApiCancelled", filled=0, perm_id=0),), "cancelled 0"),
        ((completed(1, "Cancelled"),), "cancelled 0"),
        ((executed(1, "a.01", 40), told(2, "Cancelled", filled=40)), "cancelled 40"),
        ((told(2, "Cancelled", filled=40),), "cancelled 40"),
        ((error(1, 201), completed(2, "Cancelled")), "rejected 0"),
        ((error(1, 201), completed(2, "Inactive")), "rejected 0"),
        ((error(1, 201), told(1, "Cancelled", filled=0)), "rejected 0"),
        ((completed(2, "Inactive"),), "rejected 0"),
        ((error(1, 201), look(2)), "rejected 0"),
        ((told(1, "PreSubmitted"), told(1, "Inactive"), look(2)), "rejected 0"),
        ((look(1), look(31)), "absent 0"),
        ((sent(0), look(1), look(20), look(31)), "absent 0"),
        ((sent(0), error(1, 103), look(1), look(31)), "absent 0"),
        ((told(1, "Submitted", filled=0), look(CLOSE)), "expired 0"),
        ((executed(1, "a.01", 40), look(CLOSE + 60, position=40)), "expired 40"),
        ((look(CLOSE),), "expired 0"),
        ((withheld(1),), "absent 0"),
        ((withheld(1), error(2, 103)), "absent 0"),
    ],
)
def test_an_order_that_is_proven_to_be_over(evidence: tuple[Evidence, ...], expected: str) -> None:
    known = state(*evidence)
    assert f"{known.status.value} {known.filled}" == expected
    assert known.status.is_terminal


def test_a_fill_after_the_cancel_counts_and_can_make_it_filled() -> None:
    cancelled = (told(1, "Cancelled", filled=0),)
    late = (*cancelled, executed(2, "a.01", 40))
    assert (status(*late), state(*late).filled) == ("cancelled", 40)
    assert status(*late, executed(3, "b.01", 60)) == "filled"


@pytest.mark.parametrize("code", [202, 10349, 201, 103, 104, 161, 10147, 10148, 399, 2109, 1])
def test_an_error_alone_proves_nothing(code: int) -> None:
    """ib_async calls an order Cancelled upon each of these; the broker may have it, and may have filled it."""
    for evidence in ((sent(0), error(1, code)), (sent(0), told(1, "Submitted", filled=0), error(2, code))):
        assert not state(*evidence).status.is_terminal


@pytest.mark.parametrize("code", [1, 103, 135, 202, 399, 10147, 10148, 10349])
def test_only_errors_that_reject_are_buried_by_one_look(code: int) -> None:
    assert not state(sent(0), error(1, code), look(2)).status.is_terminal


@pytest.mark.parametrize("code", [110, 200, 201, 203, 321, 434, 10241, 10243, 10249, 10311])
def test_a_rejection_says_why(code: int) -> None:
    rejected = state(sent(0), error(1, code, "no"), look(2))
    assert (rejected.status, rejected.reason) == (OrderStatus.REJECTED, f"no ({code})")


@pytest.mark.parametrize("code", [104, 136, 161, 202, 399, 404, 10148, 10349, 2100, 2109, 2161, 2199])
def test_some_errors_show_that_the_broker_has_the_order(code: int) -> None:
    assert status(sent(0), error(1, code)) == "working"
    assert status(sent(0), error(1, code), look(2), look(99)) == "working"


@pytest.mark.parametrize("code", [103, 105, 108, 111, 135, 162, 199, 204, 2099, 2200, 10147, 10240, 10250, 10310])
def test_all_other_errors_say_nothing(code: int) -> None:
    assert status(sent(0), error(1, code), look(2)) == "sent"
    assert status(sent(0), error(1, code), look(2), look(99)) == "absent"


def test_the_kinds_of_errors_do_not_overlap() -> None:
    assert not REJECTING & RECOGNISING


def test_a_look_before_the_rejection_does_not_bury_it() -> None:
    assert status(sent(0), look(1), error(2, 201)) == "sent"
    assert status(sent(0), look(1), error(2, 201), look(3)) == "rejected"
    assert status(sent(0), error(2, 201), look(3), error(4, 201)) == "rejected"


def test_a_look_that_live_evidence_came_after_does_not_count() -> None:
    early, soon = look(1), look(31)
    assert status(early, sent(2), soon) == "sent"
    assert status(early, sent(2), soon, look(61)) == "absent"
    assert status(error(1, 201), look(2), told(3, "Submitted")) == "working"
    assert status(told(0, "Submitted"), error(1, 201), look(2), told(3, "Submitted")) == "working"
    assert status(error(1, 201), look(2), executed(3, "a.01", 1)) == "partial"
    assert status(look(CLOSE), error(CLOSE + 1, 202)) == "working"
    assert status(error(1, 201), look(2), told(3, "Inactive")) == "rejected"


@pytest.mark.parametrize(
    "contrary",
    [
        told(1, "Submitted", perm_id=0),
        told(1, "PendingSubmit", perm_id=0),
        executed(1, "a.01", 1),
        charged("a.01", "1"),
        completed(1, "Expired"),
        error(1, 399),
        error(1, 202),
        error(1, 10148),
    ],
)
def test_an_order_the_broker_has_spoken_of_is_not_absent(contrary: Evidence) -> None:
    assert status(sent(0), contrary, look(10), look(70)) not in {"absent", "rejected"}
    assert status(sent(0), look(10), look(70), contrary) not in {"absent", "rejected"}


def test_absence_needs_looks_far_enough_apart_in_the_session_and_an_unchanged_position() -> None:
    assert status(look(1), look(30.9)) == "intended"
    assert order_state(tracked(BUY, look(1), look(6)), absence_s=5).status is OrderStatus.ABSENT
    held = replace(intent(BUY), position_before=Decimal(5))
    assert order_state(tracked(held, look(1, position=5), look(31, position=5))).status.value == "absent"
    assert status(look(1, position=100), look(31, position=100)) == "intended"
    assert status(look(1), look(20, position=100), look(40)) == "intended"
    assert status(look(1), look(40), look(50, position=100)) == "absent"
    assert status(look(CLOSE - 40), look(CLOSE - 1)) == "absent"
    assert status(look(CLOSE - 40), look(CLOSE)) == "expired"


def test_a_session_that_is_over_and_a_look_after_it_expire_an_order() -> None:
    working = told(1, "Submitted", filled=0)
    assert status(working, look(CLOSE - 1)) == "working"
    assert status(working, look(CLOSE)) == "expired"
    assert status(working) == "working"


def test_an_expired_order_tells_what_its_fills_do_not_explain() -> None:
    ended = "its session ended at 2026-11-23 21:00 UTC"
    assert state(executed(1, "a.01", 40), look(CLOSE, position=40)).reason == ended
    assert state(told(1, "Submitted"), look(CLOSE, position=100)).reason == (
        f"{ended}; 100 shares are held, its fills make it 0"
    )
    sale = tracked(intent("SELL 100 AAA", before=300), executed(1, "a.01", 40), look(CLOSE, position=260))
    assert order_state(sale).reason == ended


def test_a_correction_replaces_what_it_corrects() -> None:
    first, lower, higher = executed(1, "x.1.01", 100, "10"), executed(1, "x.1.02", 60, "9"), executed(1, "x.1.10", 80)
    assert state(first, lower).filled == state(lower, first).filled == 60
    assert state(first, lower).average_price == 9
    assert state(higher, lower, first).filled == 80
    assert status(first, lower) == "partial"
    assert state(executed(2, "x.a", 5), executed(1, "x.0", 6)).filled == 6
    assert (
        state(executed(1, "noid", 3), executed(1, "other", 4), executed(1, "x.a", 5), executed(1, "x.b", 6)).filled
        == 13
    )


def test_a_status_from_before_a_correction_does_not_bring_its_shares_back() -> None:
    before = (executed(1, "x.01", 100), told(1, "Filled", filled=100))
    corrected = state(*before, executed(2, "x.02", 90))
    assert (corrected.status, corrected.filled) == (OrderStatus.FILLED, 90)


def test_the_average_price_is_that_of_the_executions_there_are() -> None:
    assert state(told(1, "Filled", filled=100)).average_price is None
    assert state(told(1, "Filled", filled=100), executed(1, "a.01", 99, "10")).average_price is None
    assert state(executed(1, "a.01", 40), resolved(5, 100)).average_price is None
    assert state(executed(1, "a.01", 30, "10"), executed(2, "b.01", 10, "14")).average_price == 11
    assert state(executed(1, "a.01", 30, "10"), executed(2, "a.02", 0, "10")).average_price is None


def test_commissions_are_counted_once_for_each_execution_that_counts() -> None:
    fills = (executed(1, "a.01", 30), executed(2, "b.01", 10))
    assert state(*fills, charged("a.01", "1.00")).commission is None
    assert state(told(1, "Filled", filled=100)).commission is None
    assert state(
        *fills, charged("a.01", "1.00"), charged("b.01", "0.35"), charged("a.01", "1.00")
    ).commission == Decimal("1.35")
    corrected = (*fills, executed(3, "a.02", 20), charged("a.02", "0.50"), charged("a.01", "1.00"))
    assert state(*corrected, charged("b.01", "0.25")).commission == Decimal("0.75")
    assert state(charged("z.01", "9.00")).commission == 0
    assert [(p.shares, p.commission) for p in prints(corrected)] == [
        (Decimal(20), Decimal("0.50")),
        (Decimal(10), None),
    ]


def test_a_persons_word_wins_over_everything_but_executions_that_exceed_it() -> None:
    nothing = state(told(1, "Submitted", filled=60), resolved(5, 0))
    assert (nothing.status, nothing.filled) == (OrderStatus.CANCELLED, 0)
    assert nothing.reason == "resolved by hand: seen in TWS"
    assert status(sent(0), resolved(5, 100)) == "filled"
    some = state(executed(1, "a.01", 40), resolved(5, 40), resolved(4, 100))
    assert (some.status, some.filled, some.average_price) == (OrderStatus.CANCELLED, 40, Decimal(10))
    exceeded = state(resolved(5, 39), executed(1, "a.01", 40))
    assert (exceeded.status, exceeded.filled) == (OrderStatus.PARTIAL, 40)


@pytest.mark.parametrize(
    "end",
    [
        (told(1, "Cancelled", filled=0),),
        (completed(1, "Cancelled"),),
        (error(1, 201), completed(2, "Inactive")),
        (error(1, 201), told(2, "Cancelled")),
        (look(1), look(31)),
        (withheld(1),),
        (look(CLOSE),),
        (resolved(1, 0),),
        (resolved(1, 100),),
    ],
)
def test_an_order_that_is_listed_has_not_ended_whatever_was_told_before(end: tuple[Evidence, ...]) -> None:
    assert state(*end).status.is_terminal
    again = state(*end, listed(2))
    assert (again.status, again.filled) == (OrderStatus.WORKING, 0)
    assert again.reason == "open, though it had been said to have ended"
    assert not needs_a_look(tracked(BUY, *end, listed(2)))
    assert status(*end, listed(2), told(3, "Cancelled")) == "cancelled"
    assert status(*end, listed(2), resolved(3, 0)) == "cancelled"
    assert status(*end, listed(2), look(CLOSE + 1)) == "expired"


def test_an_order_that_has_filled_is_filled_wherever_it_is_listed() -> None:
    assert status(executed(1, "a.01", 100), listed(2)) == "filled"


def test_two_orders_with_one_reference_are_not_over_before_both_are() -> None:
    twins = (told(1, "Submitted", perm_id=7), told(1, "Submitted", perm_id=8))
    assert state(*twins).perm_ids == {7, 8}
    assert status(*twins, told(2, "Cancelled", perm_id=7)) == "working"
    assert status(*twins, told(2, "Filled", perm_id=8, filled=100)) == "partial"
    assert status(*twins, told(2, "Cancelled", perm_id=7), completed(2, "Cancelled", perm_id=8)) == "cancelled"
    assert status(told(1, "Submitted", perm_id=0), executed(1, "a.01", 100, perm_id=7)) == "filled"


@pytest.mark.parametrize(
    ("evidence", "sentence"),
    [
        ((executed(1, "a.01", 100),), None),
        ((executed(1, "a.01", 99),), None),
        ((executed(1, "a.01", 101),), "has filled 101 shares, more than it asked for."),
        ((told(1, "Filled", filled=120),), "has filled 120 shares, more than it asked for."),
        ((executed(1, "a.01", 60), executed(1, "b.01", 60), resolved(9, 100)), "has filled 120 shares, more than it"),
        (
            (told(1, "Submitted", perm_id=8), executed(1, "a.01", 1, perm_id=7)),
            "exists more than once at Interactive Brokers (permanent ids 7, 8).",
        ),
        ((executed(1, "a.01", 10.5),), "has filled 10.5 shares, and it was for whole ones."),
    ],
)
def test_what_must_never_be_is_told(evidence: tuple[Evidence, ...], sentence: str | None) -> None:
    order = tracked(BUY, *evidence)
    said = alarm(order, order_state(order))
    if sentence is None:
        assert said is None
    else:
        assert said is not None
        assert said.startswith(f"Order {order.intent.order_ref} to BUY 100 AAA {sentence}")


def test_whoever_stops_waiting_makes_it_unknown_unless_it_is_over() -> None:
    waiting = given_up(state(sent(0), told(1, "PreSubmitted", held="locate")))
    assert (waiting.status, waiting.reason) == (OrderStatus.UNKNOWN, "last known to be working, held: locate")
    assert given_up(state(sent(0))).reason == "last known to be sent"
    assert given_up(waiting) == waiting
    partial = given_up(state(executed(1, "a.01", 40)))
    assert (partial.status, partial.filled) == (OrderStatus.UNKNOWN, 40)
    over = state(told(1, "Cancelled"))
    assert given_up(over) == over


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ((told(1, "Submitted"),), ""),
        ((told(1, "PreSubmitted", held="locate"),), "held: locate"),
        ((told(1, "PreSubmitted", held="locate"), told(2, "Submitted")), ""),
        ((told(1, "PreSubmitted"), error(1, 399, "not before 09:30"), error(0, 2109, "rth")), "not before 09:30 (399)"),
        ((executed(1, "a.01", 100), error(1, 399)), ""),
        ((completed(1, "Cancelled", says="Cancelled by Trader"), error(1, 202, "reason:")), "Cancelled by Trader"),
        ((completed(1, "Cancelled", says="Cancelled by Trader"), error(1, 399, "why")), "Cancelled by Trader"),
        ((completed(1, "Cancelled", says="Cancelled by System"), error(1, 202, "reason: why")), "reason: why (202)"),
        ((completed(1, "Cancelled"), completed(1, "Cancelled", says="by Trader")), "by Trader"),
        ((told(1, "Cancelled"), error(1, 202, "price check")), "price check (202)"),
        ((told(1, "Cancelled"),), ""),
        (
            (sent(1), asked(121), told(122, "Cancelled"), error(122, 202, "Order Canceled - reason:"), asked(151)),
            "not filled in full within 120 s, so we cancelled it",
        ),
        (
            (sent(9), asked(1), completed(2, "Cancelled", says="Trader")),
            "not filled in full within 0 s, so we cancelled it",
        ),
        ((asked(121), told(122, "Cancelled"), error(122, 202, "price check")), "price check (202)"),
        ((asked(121), told(122, "Cancelled"), error(122, 202, "Order Canceled - reason:")), "we cancelled it"),
        ((asked(121), completed(122, "Cancelled", says="Cancelled by Trader")), "we cancelled it"),
        (
            (sent(1), told(2, "Cancelled"), listed(3), asked(61), told(62, "Cancelled"), error(62, 202, "reason:")),
            "open, though it had been said to have ended, so we cancelled it",
        ),
        (
            (sent(1), asked(61), told(62, "Cancelled"), listed(63), told(64, "Cancelled"), error(64, 202, "margin")),
            "margin (202)",
        ),
        ((told(1, "Inactive"), look(2)), "Interactive Brokers has made it inactive"),
        ((look(1), look(31)), "looked for and found nowhere, the position unchanged"),
    ],
)
def test_a_state_says_why(evidence: tuple[Evidence, ...], reason: str) -> None:
    assert state(*evidence).reason == reason


moments = st.integers(0, CLOSE + 600)
exec_ids = st.builds(lambda root, revision: f"{root}.0{revision}", st.sampled_from("abc"), st.integers(1, 3))
words = st.sampled_from(
    ["PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Filled", "Cancelled", "ApiCancelled", "Inactive"]
)
live_words = st.sampled_from(["PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel"])
codes = st.sampled_from([104, 110, 201, 202, 321, 399, 2109, 10147, 10148, 10349, 1])
shares = st.integers(0, 50).map(Decimal)
perm_ids = st.sampled_from([0, 7, 7, 7, 8])

sends = st.builds(sent, moments)
executions = st.builds(executed, moments, exec_ids, st.integers(0, 50), st.sampled_from(["9", "10"]), perm_id=perm_ids)
charges = st.builds(charged, exec_ids, st.sampled_from(["0.35", "1"]))
errors = st.builds(error, moments, codes, st.sampled_from(["no", "why"]))
looks = st.builds(look, moments, position=st.sampled_from([0, 0, 40]))


def statuses(said: st.SearchStrategy[str]) -> st.SearchStrategy[StatusTold]:
    return st.builds(told, moments, said, filled=st.none() | st.integers(0, 50), perm_id=perm_ids)


def ends(said: st.SearchStrategy[str]) -> st.SearchStrategy[Completed]:
    return st.builds(completed, moments, said, filled=st.integers(0, 50), perm_id=perm_ids)


people = st.builds(resolved, moments, st.integers(0, 100))
unordered: st.SearchStrategy[Evidence] = st.one_of(
    sends,
    st.builds(asked, moments),
    statuses(words),
    executions,
    charges,
    errors,
    ends(words),
    people,
    st.builds(withheld, moments),
)
"""Evidence whose order must not matter."""
anything: st.SearchStrategy[Evidence] = st.one_of(unordered, looks)


@given(st.lists(unordered, max_size=12).flatmap(lambda told: st.tuples(st.just(told), st.permutations(told))))
def test_order_does_not_matter(shuffled: tuple[list[Evidence], list[Evidence]]) -> None:
    one, other = shuffled
    assert state(*one) == state(*other)


@given(st.lists(anything, max_size=12), st.data())
def test_duplicates_do_not_matter(evidence: list[Evidence], data: st.DataObject) -> None:
    """Nor where they stand, as long as what they repeat was heard before."""
    repeated = list(evidence)
    for item in data.draw(st.lists(st.sampled_from(evidence), max_size=4)) if evidence else ():
        repeated.insert(data.draw(st.integers(repeated.index(item) + 1, len(repeated))), item)
    assert state(*repeated) == state(*evidence)


@given(st.lists(anything, max_size=12), anything)
def test_more_evidence_never_takes_shares_away_unless_it_corrects(evidence: list[Evidence], more: Evidence) -> None:
    before = [e for e in evidence if not isinstance(e, Resolved)]
    roots = {e.exec_id.rpartition(".")[0] for e in before if isinstance(e, Executed)}
    corrects = isinstance(more, Executed) and more.exec_id.rpartition(".")[0] in roots
    if not corrects and not isinstance(more, Resolved):
        assert state(*before, more).filled >= state(*before).filled


@given(
    st.lists(st.one_of(sends, statuses(live_words), executions, charges, errors), max_size=12),
    st.none() | st.builds(look, st.integers(0, CLOSE - 1)),
)
def test_without_proof_nothing_is_over(evidence: list[Evidence], seen: Missing | None) -> None:
    """One look, in the session, with no rejection, is none; nor are a hundred errors without a look."""
    rejected = any(isinstance(e, ErrorTold) and e.code in REJECTING for e in evidence)
    known = state(*evidence, *([seen] if seen and not rejected else []))
    assert known.status.is_terminal is (known.filled >= 100 and len(known.perm_ids) < 2)


@given(st.lists(anything, max_size=12))
def test_an_order_is_filled_only_if_the_broker_says_so(evidence: list[Evidence]) -> None:
    known = state(*evidence)
    if known.status is OrderStatus.FILLED and not any(isinstance(e, Resolved) for e in evidence):
        assert known.filled >= 100 or any(
            isinstance(e, StatusTold | Completed) and e.status == "Filled" and e.filled == 100 for e in evidence
        )
    if known.status is OrderStatus.ABSENT:
        assert not any(isinstance(e, StatusTold | Executed | Commissioned | Completed) for e in evidence)


@pytest.mark.parametrize(
    "contrary",
    [told(2, "Submitted"), executed(2, "a.01", 1), charged("a.01", "1"), completed(2, "Expired"), error(2, 201)],
)
def test_an_order_that_was_withheld_and_yet_is_spoken_of_is_not_absent(contrary: Evidence) -> None:
    assert not state(withheld(1), contrary).status.is_terminal
    assert not state(contrary, withheld(1)).status.is_terminal


def test_an_order_that_was_withheld_says_so() -> None:
    assert state(withheld(1)).reason == "not sent"


@pytest.mark.parametrize(
    ("evidence", "needed"),
    [
        ((), False),
        ((sent(0),), False),
        ((look(1),), True),
        ((sent(0), look(1)), True),
        ((look(1), sent(2)), False),
        ((look(1), error(2, 10147)), True),
        ((sent(0), error(1, 201)), True),
        ((sent(0), error(1, 202)), False),
        ((sent(0), error(1, 399)), False),
        ((sent(0), error(1, 201), error(2, 10147)), True),
        ((error(1, 201), told(2, "Submitted")), False),
        ((error(1, 201), executed(2, "a.01", 1)), False),
        ((told(1, "Submitted"), told(2, "Inactive")), True),
        ((told(1, "Inactive"), told(2, "Submitted")), False),
        ((told(1, "Inactive"), charged("a.01", "1")), True),
        ((completed(1, "Expired"),), False),
    ],
)
def test_only_a_look_can_end_what_a_rejection_or_another_look_has_put_in_doubt(
    evidence: tuple[Evidence, ...], needed: bool
) -> None:
    assert needs_a_look(tracked(BUY, *evidence)) is needed


def test_a_commission_is_lacking_while_an_execution_that_counts_has_none() -> None:
    fills = (executed(1, "a.01", 30), executed(2, "b.01", 10))
    assert not lacks_commission(tracked(BUY))
    assert lacks_commission(tracked(BUY, *fills, charged("a.01", "1")))
    assert not lacks_commission(tracked(BUY, *fills, charged("a.01", "1"), charged("b.02", "1")))


def test_a_commission_is_lacking_while_a_status_speaks_of_shares_that_no_execution_has_told_of() -> None:
    assert lacks_commission(tracked(BUY, told(1, "Filled", filled=100)))
    assert lacks_commission(tracked(BUY, told(1, "Filled", filled=100), executed(2, "a.01", 60), charged("a.01", "1")))
    assert not lacks_commission(
        tracked(BUY, told(1, "Filled", filled=100), executed(2, "a.01", 100), charged("a.01", "1"))
    )


def test_a_state_is_terminal_or_not_by_its_word() -> None:
    assert {s.value for s in OrderStatus if s.is_terminal} == {"filled", "cancelled", "rejected", "expired", "absent"}
