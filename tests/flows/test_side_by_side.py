"""Many accounts at once, with the real client over one connection: judged by the sandbox's log."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import ib_async
import pytest
from tests.support.notation import allocation_body
from tests.support.reading import CLIENT_ID, Notices, until
from tests.support.sandbox import LOOPBACK, StartSandbox, events, order_fault, received
from tests.support.scene import Documents
from tests.support.trading_scene import account

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.edges.ibkr.line import open_line
from ibkr_rebalancer.edges.ibkr.news import OrderNews, Unheard
from ibkr_rebalancer.edges.journal.opening import open_journal
from ibkr_rebalancer.flows.reconcile import PATIENCE, Patience
from ibkr_rebalancer.flows.trading import Occasion, Ports, TradingRun
from ibkr_rebalancer.sandbox.run import Sandbox
from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT

Outcomes = Mapping[AccountId, Report | RebalancerError]

DU1, DU2 = AccountId("DU1"), AccountId("DU2")
IMPATIENT = Patience(fill_s=0.5, cancel_s=0.2, link_s=5.0, stop_s=2.0, absence_s=0.2, funds_s=2.0, commissions_s=0.2)
CONTRACTS = 2
"""AAA is held, BBB is wanted."""


def holdings(count: int) -> dict[str, Any]:
    """Each account holds another number of shares."""
    return {f"DU{n}": {"cash": f"{1000 + 10 * n}", "positions": {"AAA": 20 + n}} for n in range(1, count + 1)}


class Scene:
    """A sandbox, and runs over one line to it."""

    def __init__(self, sandbox: Sandbox, ports: Ports, accounts: Sequence[str]) -> None:
        self.sandbox = sandbox
        self.ports = ports
        self.accounts = tuple(map(AccountId, accounts))

    async def rebalance(self, *accounts: AccountId, patience: Patience = PATIENCE) -> Outcomes:
        run = TradingRun(Occasion(mode=TradingMode.PAPER, code_version="test"), self.ports, patience=patience)
        return await run.rebalance([account(name) for name in accounts or self.accounts])

    def orders(self, name: str | None = None) -> list[dict[str, str]]:
        """Those that were placed, of one account or all, as they were sent."""
        frames = [FROM_CLIENT[3].read(record["fields"]).texts for record in received(self.sandbox.log, "placeOrder")]
        return [order for order in frames if order["whatIf"] == "0" and name in {None, order["account"]}]

    def asked(self, message: str) -> int:
        return len(received(self.sandbox.log, message))

    def wrong(self, outcomes: Outcomes, before: Mapping[str, Any]) -> Iterator[str]:
        """What is not as it should be when nothing has gone wrong."""
        for name, report in outcomes.items():
            if not isinstance(report, Report) or report.outcome != "done":
                yield f"{name} is not done: {report}"
            else:
                yield from self._wrong_report(name, report, before[name])
        if len({order["orderRef"] for order in self.orders()}) < len(self.orders()):
            yield "an order was sent twice"
        if self.asked("reqAllOpenOrders") > 2 * len(outcomes):  # at the beginning, and before the first order
            yield "somebody had to look for what it should have been told"
        if self.asked("cancelOrder"):
            yield "somebody cancelled what was filled"

    def _wrong_report(self, name: AccountId, report: Report, before: Mapping[str, Any]) -> Iterator[str]:
        """Against the executions and charges of the account, and against its cash at the venue."""
        rows = [row for row in events(self.sandbox.log) if row.get("account") == name]
        filled: dict[str, Decimal] = {}
        charged: dict[str, Decimal] = {}
        moved = Decimal(0)
        for row in rows:
            ref = row["order_ref"]
            if row["event"] == "execution":
                filled[ref] = filled.get(ref, Decimal(0)) + Decimal(row["quantity"])
                moved += Decimal(row["quantity"]) * Decimal(row["price"]) * (1 if row["side"] == "SELL" else -1)
            elif row["event"] == "commission":
                charged[ref] = charged.get(ref, Decimal(0)) + Decimal(row["commission"])
        told = {order.order_ref: order for order in report.orders}
        if {ref: order.filled for ref, order in told.items()} != filled:
            yield f"{name} reports other fills than {filled}: {told}"
        if {ref: order.commission for ref, order in told.items()} != charged:
            yield f"{name} reports other commissions than {charged}: {told}"
        ours = sum(
            (
                order.filled * (order.average_price or 0) * (1 if order.side.value == "SELL" else -1)
                - (order.commission or 0)
                for order in report.orders
            ),
            Decimal(before["cash"]),
        )
        theirs = Decimal(self.sandbox.state()["accounts"][name]["cash"]["USD"])
        if abs(ours - theirs) > Decimal("0.01") or ours != Decimal(before["cash"]) + moved - sum(charged.values()):
            yield f"{name} reports {ours} in cash, the venue {theirs}"


@asynccontextmanager
async def scene(start_sandbox: StartSandbox, folder: Path, count: int = 2, **overlay: Any) -> AsyncIterator[Scene]:
    accounts = {**holdings(count), **overlay.pop("accounts", {})}
    always = {symbol: {"hours": "always"} for symbol in ("AAA", "BBB", "CCC")}
    sandbox = await start_sandbox(clock=None, market=always, accounts=accounts, **overlay)
    clock, notices = SystemClock(), Notices()
    documents = {name: allocation_body({"BBB": Decimal(1)}) for name in accounts}
    with open_journal(folder, mode=TradingMode.PAPER, clock=clock, observer=notices) as journal:
        async with open_line(
            host=LOOPBACK, port=sandbox.gateway_port, client_id=CLIENT_ID, clock=clock, observer=notices
        ) as line:
            ports = Ports(
                gateway=line,
                source=Documents(documents),
                ledger=journal,
                controls=journal,
                clock=clock,
                observer=notices,
            )
            yield Scene(sandbox, ports, list(accounts))


@pytest.fixture
def _unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes 45 messages a second would take a minute."""
    monkeypatch.setattr(ib_async.Client, "MaxRequests", 1_000_000)


@pytest.mark.usefixtures("_unthrottled")
@pytest.mark.parametrize("count", [2, 50])
async def test_all_share_one_batch_of_quotes_and_each_is_told_of_its_own(
    start_sandbox: StartSandbox, tmp_path: Path, count: int
) -> None:
    async with scene(start_sandbox, tmp_path, count, fills={"delay_ms": 20, "slices": 3}) as stage:
        before = holdings(count)
        outcomes = await stage.rebalance()
        assert list(stage.wrong(outcomes, before)) == []
        log = stage.sandbox.log
        first = next(n for n, record in enumerate(log) if record.get("message") == "placeOrder")
        assert len(received(log[:first], "reqMktData")) == CONTRACTS, "one batch for the plans of all"
        assert len(received(log[first:], "reqMktData")) == count, "and of each what it buys, when it buys it"
        sides = {name: [order["action"] for order in stage.orders(name)] for name in before}
        assert sides == {name: ["SELL", "BUY"] for name in before}
        assert stage.asked("startApi") == 1


async def test_two_runs_and_a_dry_run_over_one_line(start_sandbox: StartSandbox, tmp_path: Path) -> None:
    """As two events and a question come at the same time."""
    async with scene(start_sandbox, tmp_path, 4, fills={"delay_ms": 20, "slices": 3}) as stage:
        names = stage.accounts
        session = await stage.ports.gateway.session(within_s=0)
        one, two, dry = await asyncio.gather(
            stage.rebalance(*names[:2]), stage.rebalance(*names[2:]), session.market.positions(names)
        )
        assert list(stage.wrong({**one, **two}, holdings(4))) == []
        assert {position.account for position in dry} <= set(names)
        assert stage.asked("startApi") == 1


def cut(stage: Scene) -> None:
    stage.sandbox.kick()


def interrupt(stage: Scene) -> None:
    stage.sandbox.notice(1100)
    stage.sandbox.notice(1102)


@pytest.mark.parametrize("trouble", [cut, interrupt])
async def test_a_link_that_fails_among_the_sales_is_looked_into_by_all_before_they_buy(
    start_sandbox: StartSandbox, tmp_path: Path, trouble: Callable[[Scene], None]
) -> None:
    async with scene(start_sandbox, tmp_path, fills={"delay_ms": 300}) as stage:
        running = asyncio.ensure_future(stage.rebalance())
        await until(lambda: {order["account"] for order in stage.orders()} == {DU1, DU2})
        looks = stage.asked("reqAllOpenOrders")
        trouble(stage)
        outcomes = await running
        assert [outcome.outcome for outcome in outcomes.values() if isinstance(outcome, Report)] == ["done"] * 2
        assert stage.asked("reqAllOpenOrders") == looks + 2
        assert stage.asked("startApi") == (2 if trouble is cut else 1)
        for name in (DU1, DU2):
            assert [order["action"] for order in stage.orders(name)] == ["SELL", "BUY"]
        assert not stage.ports.ledger.unsettled()


async def test_an_interruption_in_the_middle_brings_both_to_their_proven_end(
    start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    async with scene(start_sandbox, tmp_path, faults=[order_fault("partial", parameters={"shares": 5})]) as stage:
        running = asyncio.ensure_future(stage.rebalance())
        await until(lambda: {row["account"] for row in events(stage.sandbox.log, "execution")} == {DU1, DU2})
        running.cancel()
        for outcome in (await running).values():
            assert isinstance(outcome, Report)
            assert (outcome.outcome, outcome.exit_code) == ("interrupted", 12)
            assert [(order.filled, order.status) for order in outcome.orders] == [(5, "cancelled")]
        assert [order["action"] for order in stage.orders()] == ["SELL", "SELL"]
        assert stage.asked("cancelOrder") == 2
        assert not stage.ports.ledger.unsettled()


async def test_an_account_whose_orders_are_rejected_keeps_no_other_from_trading(
    start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    async with scene(start_sandbox, tmp_path, faults=[order_fault("reject", order={"account": "DU1"})]) as stage:
        outcomes = await stage.rebalance()
        rejected = outcomes.pop(DU1)  # type: ignore[attr-defined]
        assert isinstance(rejected, Report)
        assert {order.status for order in rejected.orders} == {"rejected"}
        (done,) = outcomes.values()
        assert isinstance(done, Report)
        assert done.outcome == "done"
        assert list(stage._wrong_report(DU2, done, holdings(2)["DU2"])) == []
        assert {row["account"] for row in events(stage.sandbox.log, "execution")} == {DU2}


async def test_to_give_all_news_to_whoever_asks_first_does_not_go_unnoticed(
    start_sandbox: StartSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake made on purpose: the one account swallows what the other waits for, which has to find out by itself."""
    monkeypatch.setattr(OrderNews, "of", lambda news, _: news.__dict__.setdefault("_of_all", Unheard()))
    async with scene(start_sandbox, tmp_path, fills={"delay_ms": 20, "slices": 3}) as stage:
        assert "somebody had to look for what it should have been told" in stage.wrong(
            await stage.rebalance(patience=IMPATIENT), holdings(2)
        )
