"""What a person sees of runs, literally, at 80 and at 120 columns: how they ended, and what became of each order.

The runs are made by the functions that make real ones, from evidence in notation, so that each kind of end is here.
The expected texts are in `golden`; see `test_looks.py` for how they are rewritten.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from rich.console import Console, RenderableType
from tests.cli.test_looks import GOLDEN, REWRITE
from tests.support.notation import NOW, allocation_body, con_id
from tests.support.trading import (
    asked,
    at,
    charged,
    completed,
    error,
    executed,
    look,
    planned,
    resolved,
    sent,
    told,
)

from ibkr_rebalancer.cli.tables import RunsView, run_view, runs_view
from ibkr_rebalancer.core.errors import Deferred, Halted, RebalancerError, UnknownOutcome
from ibkr_rebalancer.core.evidence import Commissioned, Evidence, Withheld
from ibkr_rebalancer.core.order_state import TrackedOrder
from ibkr_rebalancer.core.orders import order_intents
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.purchases import Adjustment
from ibkr_rebalancer.core.report import Report, execution_report, unsent_report
from ibkr_rebalancer.core.runs import RunStart, run_failure
from ibkr_rebalancer.ports import RunRecord

WEIGHTS = {"AAA": "0.6", "BBB": "0.4"}
POLICY = Policy()
ACCOUNT, PLAN = planned("DU1 cash 1_000; 100 OLD @50; 40 GLD @380; AAA @100; BBB @20", "AAA 60; BBB 40")
START = RunStart(
    run_id="20261123T153000Z-0123456789ab",
    account=AccountId("DU1"),
    trigger="command",
    started=NOW,
    config_digest="ba9876543210",
    code_version="0.2.0",
)
NEXT = RunStart(
    run_id="20261123T160000Z-ab0123456789",
    account=AccountId("DU1"),
    trigger="command",
    started=NOW + timedelta(minutes=30),
    config_digest="ba9876543210",
    code_version="0.2.0",
)
OTHER_ID = "20261123T153000Z-02468ace0246"
"""Of a run that began in the same second."""
ENDED = at(130)

FILLED_GLD = (
    sent(1),
    told(1, "PreSubmitted", perm_id=1),
    executed(2, "g.01", 40, "379.90", perm_id=1),
    charged("g.01", "1.00"),
    told(2, "Filled", filled=40, perm_id=1),
)
FILLED_OLD = (
    sent(1),
    told(1, "Submitted", perm_id=2),
    executed(3, "o.01", 60, "49.90", perm_id=2),
    charged("o.01", "1.00"),
    told(3, "Submitted", filled=60, perm_id=2),
    executed(4, "p.01", 40, "49.90", perm_id=2),
    told(4, "Filled", filled=100, perm_id=2),
    executed(4, "p.02", 40, "49.80", perm_id=2),
    charged("p.02", "0.35"),
)
STUCK_OLD = (
    *FILLED_OLD[:5],
    asked(121),
    told(123, "PendingCancel", filled=60, perm_id=2),
    error(124, 202, "Order Canceled - reason:"),
)


def orders(**evidence: Sequence[Evidence]) -> tuple[TrackedOrder, ...]:
    """The orders of the plan for these symbols, with what was heard of each."""
    trades = [trade for trade in PLAN.trades if trade.symbol in evidence]
    intents = order_intents(trades, plan=PLAN, snapshot=ACCOUNT, policy=POLICY, run_id=START.run_id, client_id=52)
    return tuple(TrackedOrder(intent=intent, evidence=tuple(evidence[intent.symbol])) for intent in intents)


def ended(
    tracked: Sequence[TrackedOrder],
    *,
    adjustments: Sequence[Adjustment] = (),
    trouble: RebalancerError | None = None,
    interrupted: bool = False,
) -> Report:
    return execution_report(
        PLAN, START, tracked, adjustments=adjustments, trouble=trouble, interrupted=interrupted, ended=ENDED
    )


def bought(symbol: str, quantity: int, price: str, perm_id: int) -> tuple[Evidence, ...]:
    print_id = f"{symbol}.01"
    return (
        sent(5),
        told(5, "PreSubmitted", perm_id=perm_id),
        executed(6, print_id, quantity, price, perm_id=perm_id),
        charged(print_id, "1.00"),
        told(6, "Filled", filled=quantity, perm_id=perm_id),
    )


def rejected(reason: str, perm_id: int) -> tuple[Evidence, ...]:
    return (
        sent(5),
        error(5, 201, f"Order rejected - reason:{reason}"),
        told(5, "Inactive", perm_id=perm_id),
        look(6),
    )


QUANTITIES = {trade.symbol: trade.quantity for trade in PLAN.trades}
ALL_FILLED = orders(
    GLD=FILLED_GLD,
    OLD=FILLED_OLD,
    AAA=bought("AAA", QUANTITIES["AAA"], "100.02", 3),
    BBB=bought("BBB", QUANTITIES["BBB"], "20.01", 4),
)
UNTOLD = orders(
    GLD=FILLED_GLD,
    OLD=FILLED_OLD,
    AAA=[e for e in bought("AAA", QUANTITIES["AAA"], "100.02", 3) if not isinstance(e, Commissioned)],
    BBB=(sent(5), told(6, "Filled", filled=QUANTITIES["BBB"], perm_id=4)),
)
"""Nobody has told the commission of one purchase, and nothing of the other but that it is filled."""
CANCELLED = told(125, "Cancelled", filled=60, perm_id=2)
NEVER_SEEN = (sent(1), look(31, position=60))
"""Sent, and then nowhere; yet there are fewer shares than before."""
REPORTS = {
    "done": ended(ALL_FILLED),
    "partial": ended(
        orders(GLD=FILLED_GLD, OLD=(*STUCK_OLD, CANCELLED), BBB=bought("BBB", QUANTITIES["BBB"], "20.01", 4)),
        adjustments=[
            Adjustment(
                symbol="AAA",
                con_id=con_id("AAA"),
                planned=QUANTITIES["AAA"],
                sent=0,
                reason="The spread of AAA is 4.00 %, over the limit of 3 % (limits.max_spread_pct).",
            )
        ],
    ),
    "interrupted": ended(orders(GLD=FILLED_GLD, OLD=(Withheld(at=at(1)),)), interrupted=True),
    "unknown": ended(
        orders(GLD=FILLED_GLD, OLD=NEVER_SEEN),
        trouble=UnknownOutcome("ORDER_UNKNOWN", "Nobody can say what became of one order.", hint="Look for it in TWS:"),
    ),
    "alarm": ended(
        orders(GLD=(*FILLED_GLD, executed(3, "h.01", 40, "379.80", perm_id=1)), OLD=(*STUCK_OLD, CANCELLED)),
        trouble=UnknownOutcome(
            "ORDER_ALARM", "Order rb1-x has filled 80 shares, more than it asked for.", hint="Correct the positions."
        ),
    ),
    "halted": ended(
        orders(GLD=FILLED_GLD, OLD=FILLED_OLD),
        trouble=Halted("HALTED", "Trading has been halted: no good.", hint="Run: rebalancer resume"),
    ),
    "untold": ended(UNTOLD),
    "rejected": ended(
        orders(
            GLD=FILLED_GLD,
            OLD=FILLED_OLD,
            AAA=rejected("No Trading Permission, Customer Ineligible; This product does not have a KID in English.", 3),
            BBB=rejected("Available Funds are in sufficient: 10 USD.", 4),
        )
    ),
    "declined": unsent_report(START, outcome="declined", ended=ENDED),
}
"""Every way in which a run with trades can end."""


def record(
    *orders: TrackedOrder, start: RunStart = START, report: Report | None = None, refusal: Deferred | None = None
) -> RunRecord:
    return RunRecord(
        start=start,
        document=None if refusal else allocation_body({symbol: Decimal(weight) for symbol, weight in WEIGHTS.items()}),
        plan=None if refusal else PLAN,
        orders=orders,
        report=report,
        failure=run_failure(start, refusal, ended=at(2)) if refusal else None,
    )


CLOSED = Deferred("MARKET_CLOSED", "Market closed for AAA. None of the 4 orders was sent.", hint="Run it tomorrow.")
FOUND_LATER = (*NEVER_SEEN, completed(1801, "Filled", filled=100, perm_id=2, says="Filled Size: 100"))
SETTLED_BY_HAND = (*NEVER_SEEN, resolved(5400, 40, "40 in the trade log of TWS"))
RECORDS = {
    "done": (record(*ALL_FILLED, report=REPORTS["done"]), None),
    "refused": (record(refusal=CLOSED), None),
    "died": (record(*orders(GLD=FILLED_GLD, OLD=FOUND_LATER)), record(start=NEXT)),
    "open": (record(*orders(GLD=FILLED_GLD, OLD=NEVER_SEEN)), None),
    "resolved": (record(*orders(GLD=FILLED_GLD, OLD=SETTLED_BY_HAND), report=REPORTS["unknown"]), record(start=NEXT)),
}
"""Runs that ended well, before anything was sent, never, and in doubt that was lifted later; with the next run."""

LISTED = (record(start=NEXT), RECORDS["done"][0], record(refusal=CLOSED, start=replace(START, run_id=OTHER_ID)))

VIEWS: dict[str, RenderableType] = {
    **{f"report-{name}": runs_view([report]) for name, report in REPORTS.items()},
    **{f"run-{name}": run_view(told, next_run=after) for name, (told, after) in RECORDS.items()},
    "runs": RunsView(LISTED),
    "runs-none": RunsView([]),
}


def rendered(view: RenderableType, columns: int) -> str:
    screen = io.StringIO()
    Console(file=screen, width=columns, highlight=False, markup=False, emoji=False).print(view, crop=False)
    return "".join(f"{line.rstrip()}\n" for line in screen.getvalue().splitlines())


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", VIEWS)
def test_a_run_looks_as_it_should(name: str, columns: int) -> None:
    seen = rendered(VIEWS[name], columns)
    golden = GOLDEN / f"{name}-{columns}.txt"
    if REWRITE:
        golden.write_text(seen, encoding="utf-8")
    assert seen == golden.read_text(encoding="utf-8")
    assert max(map(len, seen.splitlines())) <= columns


@pytest.mark.parametrize("name", ["done", "partial"])
def test_figures_of_a_report_are_whole_however_narrow_the_terminal(name: str) -> None:
    view = VIEWS[f"report-{name}"]
    wide, narrow = (sorted(re.findall(r"[0-9][0-9,]*\.[0-9]+", rendered(view, columns))) for columns in (400, 40))
    assert wide == narrow
    assert len(wide) > 8


def test_what_was_filled_too_much_makes_up_for_nothing_that_is_missing() -> None:
    """40 of OLD, and all of AAA and BBB; 40 of GLD too many."""
    lacking = 40 + QUANTITIES["AAA"] + QUANTITIES["BBB"]
    assert (
        "Unknown: something came of an order that never must. 1 of 4 orders filled in full, "
        f"{lacking} shares are missing."
    ) in rendered(VIEWS["report-alarm"], 200)


def test_the_end_of_every_report_says_what_to_do_next() -> None:
    last = {name: rendered(runs_view([report]), 200).splitlines()[-1] for name, report in REPORTS.items()}
    assert last == {
        "done": "Done: all 4 orders are filled.",
        "partial": "Next: Run the command again: it plans anew from what is held then.",
        "interrupted": "Next: Run the command again: it plans anew from what is held then.",
        "unknown": f"  rebalancer resolve {REPORTS['unknown'].orders[1].order_ref} --filled N --note TEXT",
        "alarm": "Next: Correct the positions.",
        "halted": "Next: Run: rebalancer resume",
        "rejected": "Next: Run the command again: it plans anew from what is held then.",
        "untold": f"  rebalancer runs {START.run_id}",
        "declined": "Nothing was sent.",
    }


def test_prices_and_commissions_that_are_told_after_a_run_are_found_out_later() -> None:
    lines = rendered(run_view(record(*ALL_FILLED, report=REPORTS["untold"]), next_run=None), 120).splitlines()
    assert lines[-2:] == [
        "Found out later: BUY 127 AAA is filled, 127 of 127 shares filled at 100.02, commission 1.00.",
        "Found out later: BUY 422 BBB is filled, 422 of 422 shares filled at 20.01, commission 1.00.",
    ]
    told_alike = rendered(run_view(record(*UNTOLD, report=REPORTS["untold"]), next_run=None), 120)
    assert "filled, 422 of 422 shares filled at an unknown price, commission unknown" in told_alike
    assert "Found out later" not in told_alike
