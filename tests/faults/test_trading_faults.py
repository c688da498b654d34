"""Runs that meet a fault in market, line, storage or clock: the rows of the catalogue, over the venue in virtual time.

The judges are the venue, what reached it, filled and is held, and the broker's own client, which looks at it.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.faults.cases import DONE, Row, Traded
from tests.faults.catalogue import CATALOGUE
from tests.faults.endings import ends, told, words
from tests.faults.onlooker import contradictions, look
from tests.faults.stage import BugError, KilledError, Outcome, Stage, at_answer, fill_the_disk
from tests.support.trading_scene import OPEN, TradingScene
from tests.support.virtual_time import VirtualTimeLoop

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.ports import RunRecord

LONGEST_S = 400
"""No run may take longer, whatever befalls it."""
RERUNS = 4
"""Within so many runs after the fault everything has settled."""

ELSEWHERE = ThreadPoolExecutor(max_workers=1)

CASES = [(row, case) for row in CATALOGUE for case in row.cases if isinstance(case, Traded)]


@pytest.mark.parametrize(
    ("row", "case"), [pytest.param(row, case, id=f"{row.number}-{case.how}") for row, case in CASES]
)
def test_a_run_meets_a_fault(row: Row, case: Traded, folder: Path, record_property: Any) -> None:
    async def story() -> None:
        stage = staged(case, folder)
        if case.history is not None:
            await stage.run(case.history)
            await asyncio.sleep(60)
        began = now()
        outcome = await stage.run(case.targets, person=case.person, moment=case.moment)
        took_s = now() - began
        record_property("virtual_s", took_s)
        sys.stdout.write(f"row {row.number}, {case.how}: {took_s:.0f} s of virtual time\n")

        assert (ends(outcome), stage.sent) == (case.ends, case.sent)
        assert case.told is None or told(outcome) == case.told
        assert case.says in words(outcome)
        assert tuple(stage.prompts) == case.shown
        assert took_s <= LONGEST_S
        judge(stage, outcome, case)
        require_kept(stage, outcome)
        look_on(stage, outcome)
        await settle(stage, case)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story())


def test_a_disk_is_full_from_any_commit_on(folder: Path) -> None:
    """Row 22, at each write: the n-th fails, for every n until a run gets by without it."""
    case = Traded(how="", ends="", venue={"fills": {"delay_ms": 2000, "slices": 2}})

    async def story(commit: int) -> bool:
        stage = staged(case, folder / str(commit))
        outcome = await stage.run(case.targets, moment=at_answer("managed_accounts", fill_the_disk(commit)))
        judge(stage, outcome, case)
        if not stage.storage_failed:
            assert ends(outcome) == DONE
            return False
        assert ends(outcome) in {"30 STORAGE_FULL", "30 failed", "13 unknown"}, (commit, ends(outcome))
        assert "the disk is full" in words(outcome)
        await settle(stage, case)
        return True

    commit = 1
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        while runner.run(story(commit)):
            commit += 1
    assert commit > 10, "there are that many writes in a run"


def staged(case: Traded, folder: Path) -> Stage:
    """The world of a case, before its run."""
    scene = TradingScene(folder / "state", **venue_of(case))
    stage = Stage(scene, account=case.account, policy=case.policy, adopt=case.adopt)
    if case.account.startswith("U"):
        stage.go_live()
    return stage


def venue_of(case: Traded) -> dict[str, Any]:
    """The overlay, with the account of the base scenario under the name that the case gives it."""
    overlay = {**case.venue, "market": opened(case.venue.get("market", {}))}
    if case.account != "DU1":
        held = {"cash": "10000", "positions": {"AAA": 100}}
        accounts = overlay.get("accounts", {case.account: held})
        overlay["accounts"] = {"DU1": None, **accounts}
    return overlay


def opened(market: Mapping[str, Any]) -> dict[str, Any]:
    """The market with its usual hours, where a listing does not state others."""
    listed = {
        symbol: {**OPEN.get(symbol, {}), **facts} if isinstance(facts, dict) else facts
        for symbol, facts in market.items()
    }
    return {**OPEN, **listed}


async def settle(stage: Stage, case: Traded) -> None:
    """Once the fault is gone, runs find out what became of it, trade what is left, and come to rest."""
    stage.mend()
    stage.policy = case.then_policy or case.policy
    targets = case.then_targets or case.targets
    endings: list[str] = []
    for _ in range(RERUNS):
        await asyncio.sleep(case.then_after_s)
        outcome = await stage.run(targets, person=case.person)
        endings.append(ends(outcome))
        judge(stage, outcome, case)
        look_on(stage, outcome)
        if endings[-1] == case.settles:
            break
    assert case.then is None or endings[0] == case.then
    assert endings[-1] == case.settles, endings


def judge(stage: Stage, outcome: Outcome, case: Traded) -> None:
    """What must be true after every run, whatever it has met."""
    scene, gateway = stage.scene, stage.scene.gateway
    placed = gateway.placed[stage.sent_before :]
    assert max(Counter(ticket.order_ref for ticket in gateway.placed).values(), default=1) == 1, "sent twice"
    assert not stage.storage_failed or len(gateway.placed) == stage.sent_when_it_failed, "sent without a journal"
    if not case.overdraws:
        assert all(shares >= 0 for shares in scene.held(stage.account).values()), scene.held(stage.account)
        assert scene.cash(stage.account) >= 0
    if isinstance(outcome, KilledError | BugError):
        return
    if isinstance(outcome, Report):
        reported = {order.order_ref: order for order in outcome.orders}
        assert {ticket.order_ref for ticket in placed} <= reported.keys(), "an order is not told"
        for ref, order in reported.items():
            if order.status != "unknown":
                assert order.filled == filled_at_venue(stage, ref), ref
        unsure = outcome.exit_code == 13
    else:
        assert isinstance(outcome, RebalancerError)
        assert not placed, "an error means that nothing was sent"
        unsure = outcome.exit_code in {13, 20, 30}
    assert unsure or not ours_open(stage), "an order of ours is open, and nobody says so"


def filled_at_venue(stage: Stage, order_ref: str | None) -> Decimal:
    """Shares of all orders with this reference, corrections counted once."""
    prints = {e.exec_id.rpartition(".")[0]: e for e in stage.scene.venue.executions if e.ticket.order_ref == order_ref}
    return sum((each.shares for each in prints.values()), Decimal(0))


def ours_open(stage: Stage) -> list[str]:
    return [o.ticket.order_ref for o in stage.scene.venue.open_orders if o.ticket.order_ref.startswith("rb1-")]


def require_kept(stage: Stage, outcome: Outcome) -> None:
    """The journal tells the same end of the run as its report, unless it could not take it."""
    if isinstance(outcome, Report):
        with stage.scene.ports({}) as ports:
            (newest,) = ports.ledger.runs(limit=1)
        assert newest.report == (None if stage.storage_failed else outcome), "the journal tells another end"


def look_on(stage: Stage, outcome: Outcome) -> None:
    """What a report and the journal tell is what the broker's own client sees.

    It looks from a thread whose time is real; none goes by here meanwhile.
    """
    if isinstance(outcome, Report):
        venue, at = stage.scene.venue, stage.scene.clock.now()
        seen = ELSEWHERE.submit(asyncio.run, look(venue, account=stage.account, now=at)).result()
        assert not list(contradictions(seen, before=stage.opening, report=outcome, records=recorded(stage)))


def recorded(stage: Stage) -> Sequence[RunRecord]:
    """All runs in the journal, if it can still be read."""
    try:
        with stage.scene.ports({}) as ports:
            return ports.ledger.runs(limit=RERUNS + 2)
    except RebalancerError:
        return ()


def now() -> float:
    return asyncio.get_running_loop().time()
