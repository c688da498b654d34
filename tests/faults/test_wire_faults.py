"""Runs that meet a fault between us and the gateway, or at the allocation source: over sockets, by the library.

The judges are the sandbox, which orders it was sent, and the broker's own client: what the account has become.
"""

import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.faults.cases import Row, Wired, weights
from tests.faults.catalogue import CATALOGUE
from tests.faults.endings import ends, told, words
from tests.faults.onlooker import Sight, at_first, contradictions, look
from tests.faults.stage import Outcome
from tests.support.commands import clear_environment
from tests.support.reading import Notices
from tests.support.sandbox import BASE, LOOPBACK, StartSandbox, events, received

from ibkr_rebalancer import app
from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.orders import OURS
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.edges.allocations import HttpAllocations
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.edges.ibkr import line
from ibkr_rebalancer.edges.ibkr.connection import Deadlines, open_desk
from ibkr_rebalancer.edges.journal.opening import open_journal
from ibkr_rebalancer.flows.reconcile import PATIENCE
from ibkr_rebalancer.flows.trading import TradingRun
from ibkr_rebalancer.sandbox.run import Sandbox
from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT

ACCOUNT = "DU123456"
UNHURRIED = Deadlines(connect_s=10, answer_s=10, quotes_s=10, preview_s=10)
HURRIED = replace(PATIENCE, fill_s=1.5, cancel_s=1, link_s=10, absence_s=0.3, funds_s=3, commissions_s=0.2)
"""An order that is nowhere needs half a minute of the gateway's time to be proven absent: that is for virtual time."""
RERUNS = 3

WORLD: Mapping[str, Any] = {
    "clock": None,
    "market": {symbol: {"hours": "always"} for symbol in BASE["market"]},
    "accounts": {"DU1": None, ACCOUNT: {"cash": "10000", "positions": {"AAA": 100}}},
    "allocations": {"primary": weights(BBB=1)},
}
SYMBOLS = {str(listing["con_id"]): symbol for symbol, listing in BASE["market"].items()}

CASES = [(row, case) for row in CATALOGUE for case in row.cases if isinstance(case, Wired)]


@pytest.mark.parametrize(
    ("row", "case"), [pytest.param(row, case, id=f"{row.number}-{case.how}") for row, case in CASES]
)
async def test_a_run_meets_a_fault(
    row: Row,  # noqa: ARG001 (it names the test)
    case: Wired,
    folder: Path,
    closed_port: int,
    start_sandbox: StartSandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox = await start_sandbox(**WORLD)
    sandbox.change({**case.change, "faults": [*case.faults]})
    opening = at_first(sandbox._venue, ACCOUNT)
    hurry(monkeypatch, case)
    clear_environment(monkeypatch)
    places = {"{closed_port}": str(closed_port)}
    entry, env = filled(case.entry, places), filled(case.env, places)
    outcome = await rebalance(sandbox, folder, monkeypatch, entry=entry, env=env)

    assert (ends(outcome), sent(sandbox)) == (case.ends, case.sent)
    assert case.told is None or told(outcome) == case.told
    assert case.says in words(outcome)
    judge(sandbox, outcome)
    await look_on(sandbox, folder, opening, outcome)
    if case.sent:
        await settle(sandbox, folder, monkeypatch, case, opening)


async def settle(sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, case: Wired, opening: Sight) -> None:
    """Once the fault is gone, runs find out what became of it, trade what is left, and come to rest."""
    sandbox.change({"faults": [], "read_only": False, "allocations": WORLD["allocations"]})
    endings: list[str] = []
    for _ in range(RERUNS):
        outcome = await rebalance(sandbox, folder, monkeypatch)
        endings.append(ends(outcome))
        judge(sandbox, outcome)
        await look_on(sandbox, folder, opening, outcome)
        if endings[-1] == case.settles:
            break
    assert case.then is None or endings[0] == case.then
    assert endings[-1] == case.settles, endings


async def rebalance(
    sandbox: Sandbox,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    entry: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """One run of the account, from settings to report."""
    account = {
        "account_id": ACCOUNT,
        "notification": {"channel": "primary"},
        "allocations": {"url": f"{sandbox.allocations_url}/primary"},
        **(entry or {}),
    }
    (folder / "accounts.yaml").write_text(yaml.safe_dump([account]), encoding="utf-8")
    for name, value in {**sandbox.env, "REBALANCER_STATE": str(folder / "state"), **(env or {})}.items():
        monkeypatch.setenv(name, value)
    try:
        async with app.Rebalancer.open(folder / "accounts.yaml") as rebalancer:
            outcomes = await rebalancer.rebalance(account["account_id"])
    except RebalancerError as error:
        return error
    return outcomes[AccountId(account["account_id"])]


def judge(sandbox: Sandbox, outcome: Outcome) -> None:
    """What must be true after every run, whatever it has met."""
    references = [order["orderRef"] for order in placed(sandbox)]
    assert max(Counter(references).values(), default=1) == 1, "sent twice"
    if isinstance(outcome, Report):
        assert outcome.exit_code == 13 or not ours_open(sandbox), "an order of ours is open, and nobody says so"
        for order in outcome.orders:
            if order.status != "unknown":
                assert order.filled == filled_at_venue(sandbox, order.order_ref), order.order_ref
    else:
        assert isinstance(outcome, RebalancerError)


async def look_on(sandbox: Sandbox, folder: Path, opening: Sight, outcome: Outcome) -> None:
    """What a report and the journal tell is what the broker's own client sees."""
    if isinstance(outcome, Report):
        with open_journal(folder / "state", mode=TradingMode.PAPER, clock=SystemClock(), observer=Notices()) as journal:
            records = journal.runs(limit=RERUNS + 1)
        seen = await look(sandbox._venue, account=ACCOUNT, now=sandbox._clock.now())
        assert not list(contradictions(seen, before=opening, report=outcome, records=records))


def placed(sandbox: Sandbox) -> list[dict[str, str]]:
    """Every order that the gateway was sent, field by field; previews are none."""
    orders = (FROM_CLIENT[3].read(record["fields"]).texts for record in received(sandbox.log, "placeOrder"))
    return [order for order in orders if order["whatIf"] == "0"]


def sent(sandbox: Sandbox) -> tuple[str, ...]:
    return tuple(f"{order['action']} {order['totalQuantity']} {SYMBOLS[order['conId']]}" for order in placed(sandbox))


def filled_at_venue(sandbox: Sandbox, order_ref: str | None) -> Decimal:
    """Shares of all orders with this reference, corrections counted once."""
    rows = [row for row in events(sandbox.log, "execution") if row["order_ref"] == order_ref]
    return sum({row["exec_id"].rpartition(".")[0]: Decimal(row["quantity"]) for row in rows}.values(), Decimal(0))


def ours_open(sandbox: Sandbox) -> list[str]:
    last = {row["perm_id"]: row for row in events(sandbox.log, "order") if row["order_ref"].startswith(OURS)}
    return [row["order_ref"] for row in last.values() if row["working"]]


def hurry(monkeypatch: pytest.MonkeyPatch, case: Wired) -> None:
    """Shorten what the case waits for."""
    deadlines = replace(UNHURRIED, **case.hurry)
    monkeypatch.setattr(line, "open_desk", partial(open_desk, deadlines=deadlines))
    monkeypatch.setattr(app, "TradingRun", partial(TradingRun, patience=HURRIED))
    monkeypatch.setattr(app, "HttpAllocations", partial(HttpAllocations, deadline_s=case.targets_within_s))


def filled(facts: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """The facts with the port that is only known now."""
    text = yaml.safe_dump(dict(facts))
    for place, value in places.items():
        text = text.replace(place, value)
    changed = yaml.safe_load(text)
    assert isinstance(changed, dict)
    return changed


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nothing listens, and nothing can."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield held.getsockname()[1]
