"""What is told of a run: fills as the broker told them, never the plan; and the gravest thing that is true."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.support.notation import NOW, con_id
from tests.support.schemas import check_document, schema
from tests.support.trading import asked, charged, error, executed, look, planned, sent, told, tracked, withheld

from ibkr_rebalancer.core.documents import document
from ibkr_rebalancer.core.errors import (
    GatewayUnavailable,
    Halted,
    RebalancerError,
    Refused,
    StorageFailed,
    UnknownOutcome,
)
from ibkr_rebalancer.core.evidence import Evidence
from ibkr_rebalancer.core.order_codes import FUNDS
from ibkr_rebalancer.core.order_state import OrderStatus, TrackedOrder
from ibkr_rebalancer.core.orders import order_intents
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Account, Policy
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.purchases import Adjustment, shrunk
from ibkr_rebalancer.core.report import Report, RunMode, dry_run_report, execution_report, unkept, unsent_report
from ibkr_rebalancer.core.runs import run_start

ACCOUNT, PLAN = planned("DU1 cash 0; 100 OLD @50; AAA @100", "AAA 100")
"""Sells 100 OLD and buys 49 AAA."""
START = run_start(
    Account(account_id=AccountId("DU1"), channel="c", allocations_url="https://example.com/a"),
    trigger="command",
    started=NOW,
    code_version="1.2",
)
ENDED = NOW + timedelta(seconds=9)
FILLED = (sent(0), told(1, "Filled", filled=100))
CUT = Adjustment(symbol="AAA", con_id=con_id("AAA"), planned=49, sent=40, reason="4000.00 can be spent")


def orders(sale: tuple[Evidence, ...], purchase: tuple[Evidence, ...] | None = None) -> list[TrackedOrder]:
    """The orders of the plan with what was heard of them; without `purchase` only the sale was meant to be sent."""
    sold, bought = order_intents(
        PLAN.trades, plan=PLAN, snapshot=ACCOUNT, policy=Policy(), run_id=START.run_id, client_id=52
    )
    return [tracked(sold, *sale)] + ([] if purchase is None else [tracked(bought, *purchase)])


def report(
    made: list[TrackedOrder], *, trouble: RebalancerError | None = None, interrupted: bool = False, plan: Plan = PLAN
) -> Report:
    return execution_report(plan, START, made, adjustments=(), trouble=trouble, interrupted=interrupted, ended=ENDED)


def test_a_refused_order_tells_what_can_be_done() -> None:
    funds = error(1, 201, "Order rejected - reason:Your Available Funds are insufficient")
    (sale, purchase) = report(orders(FILLED, (sent(0), funds, look(2)))).orders
    assert (sale.remedy, purchase.status) == ("", "rejected")
    assert purchase.remedy == FUNDS.remedy


def test_nobody_advises_on_what_we_cancelled_ourselves() -> None:
    cancelled = (sent(0), asked(9), error(9, 202, "Order Canceled - reason:"), told(9, "Cancelled", filled=0))
    assert report(orders(FILLED, cancelled)).orders[1].remedy == ""


ALL = orders(
    (
        sent(0),
        executed(1, "a.01", 60, "50"),
        executed(2, "b.01", 40, "49.50"),
        charged("a.01", "0.60"),
        charged("b.01", "0.40"),
    ),
    (sent(3), executed(4, "c.01", 49, "100.02"), charged("c.01", "1.00")),
)


def trouble_of(kind: type[RebalancerError]) -> RebalancerError:
    return kind("CODE", "Something happened.", hint="Do this.")


def test_the_case_of_the_plan_that_all_fills() -> None:
    assert [(t.side.value, t.quantity, t.symbol) for t in PLAN.trades] == [("SELL", 100, "OLD"), ("BUY", 49, "AAA")]
    done = report(ALL)
    assert (done.outcome, done.exit_code, done.code, done.trouble, done.hint) == ("done", 0, "", "", "")
    assert (done.run_id, done.account, done.mode, done.trigger) == (START.run_id, "DU1", RunMode.REBALANCE, "command")
    assert (done.started, done.ended, done.plan) == (NOW, ENDED, PLAN)
    assert [(o.symbol, o.quantity, o.filled, o.average_price, o.commission, o.status) for o in done.orders] == [
        ("OLD", 100, 100, Decimal("49.8"), Decimal("1.00"), "filled"),
        ("AAA", 49, 49, Decimal("100.02"), Decimal("1.00"), "filled"),
    ]
    assert [o.order_ref for o in done.orders] == [o.intent.order_ref for o in ALL]


@pytest.mark.parametrize(
    ("made", "arguments", "outcome", "exit_code"),
    [
        (ALL, {}, "done", 0),
        (ALL, {"interrupted": True}, "done", 0),
        (ALL, {"trouble": trouble_of(Refused)}, "partial", 12),
        (ALL, {"trouble": trouble_of(Halted)}, "halted", 14),
        (ALL, {"trouble": trouble_of(StorageFailed)}, "failed", 30),
        (ALL, {"trouble": trouble_of(UnknownOutcome)}, "unknown", 13),
        (orders(FILLED), {}, "partial", 12),
        (orders(FILLED), {"interrupted": True}, "interrupted", 12),
        (orders(FILLED), {"trouble": trouble_of(Refused)}, "partial", 12),
        (orders(FILLED, (withheld(2),)), {"trouble": trouble_of(Halted)}, "halted", 14),
        (orders(FILLED, (sent(1), told(2, "Cancelled", filled=48))), {}, "partial", 12),
        (orders(FILLED, (sent(1), error(2, 201), look(3))), {}, "partial", 12),
        (orders(FILLED, (sent(1),)), {}, "unknown", 13),
        (orders(FILLED, (sent(1),)), {"interrupted": True}, "unknown", 13),
        (orders(FILLED, (sent(1),)), {"trouble": trouble_of(Halted)}, "unknown", 13),
        (orders(FILLED, ()), {"trouble": trouble_of(StorageFailed)}, "unknown", 13),
        (orders(FILLED, (told(2, "Submitted", filled=48),)), {}, "unknown", 13),
    ],
)
def test_the_gravest_thing_that_is_true_is_the_outcome(
    made: list[TrackedOrder], arguments: dict[str, Any], outcome: str, exit_code: int
) -> None:
    came = report(made, **arguments)
    assert (came.outcome, came.exit_code) == (outcome, exit_code)


def test_what_went_wrong_and_what_to_do_are_told() -> None:
    came = report(orders(FILLED), trouble=trouble_of(Refused))
    assert (came.code, came.trouble, came.hint) == ("CODE", "Something happened.", "Do this.")


def test_a_gateway_that_stays_away_leaves_orders_to_look_for() -> None:
    came = report(orders(FILLED, (sent(1), told(1, "Submitted"))), trouble=trouble_of(GatewayUnavailable))
    assert (came.outcome, came.exit_code) == ("unknown", 13)
    assert came.hint == (
        "Orders may be open at Interactive Brokers, or filled. Do this. The next run finds out what became of them "
        "before it does anything else; or look for them in TWS or Client Portal."
    )
    assert report(orders(FILLED), trouble=trouble_of(GatewayUnavailable)).hint == "Do this."
    assert report(orders((sent(1),)), trouble=trouble_of(UnknownOutcome)).hint == "Do this."


def test_what_nobody_has_told_is_unknown_and_not_nothing() -> None:
    half_told = (sent(3), told(4, "Filled", filled=49), executed(4, "c.01", 40, "100"), charged("c.01", "1.00"))
    sale = (executed(1, "a.01", 60), executed(2, "b.01", 40), charged("a.01", "1"))
    uncharged, unpriced = report(orders(sale, half_told)).orders
    assert (uncharged.filled, uncharged.average_price, uncharged.commission) == (100, Decimal(10), None)
    assert (unpriced.filled, unpriced.average_price, unpriced.commission) == (49, None, None)
    check_document(document("run", runs=[report(orders(FILLED, half_told))], errors=[]))


def test_an_order_without_a_proven_end_is_unknown_and_keeps_what_it_has_filled() -> None:
    (_, unknown) = report(orders(FILLED, (sent(1), executed(2, "c.01", 9, "101")))).orders
    assert (unknown.status, unknown.filled, unknown.average_price) == ("unknown", 9, Decimal(101))
    assert unknown.reason == "last known to be partial"


def test_a_smaller_second_attempt_stands_beside_the_first_and_the_plan_is_what_counts() -> None:
    sale, first = orders(FILLED, (sent(1), error(2, 201, "insufficient funds"), look(3)))
    again = shrunk(first.intent, filled=0)
    assert again is not None
    second = tracked(again, sent(4), executed(5, "d.01", 46))
    came = report([sale, first, second])
    assert [(o.quantity, o.filled, o.status) for o in came.orders[1:]] == [(49, 0, "rejected"), (46, 46, "filled")]
    assert (came.outcome, came.exit_code) == ("partial", 12)


def test_what_was_filled_too_much_of_one_order_makes_up_for_none_of_another() -> None:
    told_of = report(orders((told(1, "Filled", filled=149),), (told(1, "Cancelled", filled=0),)))
    assert (told_of.outcome, told_of.exit_code) == ("partial", 12)


def test_a_purchase_that_was_cut_shows_what_was_planned() -> None:
    sale, purchase = orders(FILLED, (executed(2, "c.01", 40),))
    cut = replace(purchase, intent=replace(purchase.intent, quantity=40))
    came = execution_report(PLAN, START, [sale, cut], adjustments=[CUT], trouble=None, interrupted=False, ended=ENDED)
    assert came.adjustments == (CUT,)
    assert (came.outcome, came.exit_code) == ("partial", 12)


def test_a_run_that_sent_nothing_says_so() -> None:
    declined = unsent_report(START, outcome="declined", ended=ENDED)
    assert (declined.plan, declined.orders, declined.exit_code, declined.outcome) == (None, (), 0, "declined")
    idle = unsent_report(START, outcome="nothing-to-do", ended=ENDED, plan=PLAN)
    assert (idle.plan, idle.mode, idle.ended) == (PLAN, RunMode.REBALANCE, ENDED)


def test_a_journal_that_fails_at_the_end_fails_what_went_well_and_hides_nothing_worse() -> None:
    failure = StorageFailed("CODE", "The disk is full.", hint="Make room.")
    failed = unkept(report(ALL), failure)
    assert (failed.outcome, failed.exit_code, failed.code, failed.trouble, failed.hint) == (
        "failed",
        30,
        failure.code,
        "The disk is full.",
        "Make room.",
    )
    assert failed.orders == report(ALL).orders
    partial = report(orders(FILLED))
    assert unkept(partial, failure) == partial


def test_a_dry_run_lists_what_it_would_have_sent() -> None:
    dry = dry_run_report(PLAN, trigger="command", started=NOW, ended=ENDED)
    assert (dry.outcome, dry.exit_code, dry.mode) == ("not-sent", 0, RunMode.DRY_RUN)
    assert dry.run_id == f"20261123T153000Z-{PLAN.plan_id}"
    assert [(o.order_ref, o.symbol, o.quantity, o.filled, o.status) for o in dry.orders] == [
        (None, "OLD", 100, 0, "not-sent"),
        (None, "AAA", 49, 0, "not-sent"),
    ]
    assert [o.reason for o in dry.orders] == [f"dry run: {t.reason}" for t in PLAN.trades]
    assert (
        dry_run_report(replace(PLAN, trades=()), trigger="command", started=NOW, ended=ENDED).outcome == "nothing-to-do"
    )


@pytest.mark.parametrize(
    "told_of",
    [
        report(ALL),
        report(orders(FILLED, (withheld(2),)), trouble=trouble_of(Halted)),
        report(orders(FILLED, (sent(2), executed(3, "c.01", 9)))),
        execution_report(PLAN, START, ALL, adjustments=[CUT], trouble=None, interrupted=False, ended=ENDED),
        unsent_report(START, outcome="declined", ended=ENDED),
        unsent_report(START, outcome="nothing-to-do", ended=ENDED, plan=PLAN),
        dry_run_report(PLAN, trigger="command", started=NOW, ended=ENDED),
    ],
    ids=lambda each: each.outcome,
)
def test_every_report_is_a_document_of_its_schema(told_of: Report) -> None:
    check_document(document("run", runs=[told_of], errors=[]))


def test_the_schema_knows_every_word_for_how_an_order_is() -> None:
    statuses = set(schema("run")["$defs"]["order"]["properties"]["status"]["enum"])
    assert statuses == {status.value for status in OrderStatus} | {"not-sent"}
