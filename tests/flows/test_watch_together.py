"""One event for several accounts, from the channel to the gateway, over the real edges: judged by the sandbox's log."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from tests.support.channels import CHANNEL, source, until
from tests.support.notation import allocation_body
from tests.support.reading import CLIENT_ID, Notices
from tests.support.sandbox import LOOPBACK, StartSandbox, events, order_fault, order_messages, received
from tests.support.scene import Documents

from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.report import Report, RunMode
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.edges.ibkr.line import open_line
from ibkr_rebalancer.edges.journal.opening import open_journal
from ibkr_rebalancer.flows.trading import Occasion, Ports
from ibkr_rebalancer.flows.watch import Watch
from ibkr_rebalancer.sandbox.run import Sandbox

DU1, DU2 = AccountId("DU1"), AccountId("DU2")
ACCOUNTS = 50
CON_ID = 3
"""Where it stands in the fields of reqMktData: after the message's id, its version and the request's number."""
TARGETS = allocation_body({"AAA": Decimal("0.5"), "BBB": Decimal("0.5")})

Told = list[tuple[AccountId, Report | RebalancerError]]


@asynccontextmanager
async def watching(sandbox: Sandbox, folder: Path, names: Collection[str]) -> AsyncIterator[Told]:
    """A watch over the sandbox that is ready, until the block is left; then it is told to stop, and has stopped.

    What it tells goes into the list.
    """
    told: Told = []

    def tell(outcomes: Mapping[AccountId, Report | RebalancerError]) -> None:
        told.extend(outcomes.items())

    clock, notices = SystemClock(), Notices()
    with open_journal(folder, mode=TradingMode.PAPER, clock=clock, observer=notices) as journal:
        async with open_line(
            host=LOOPBACK, port=sandbox.gateway_port, client_id=CLIENT_ID, clock=clock, observer=notices
        ) as line:
            ports = Ports(
                gateway=line,
                source=Documents(dict.fromkeys(names, TARGETS)),
                ledger=journal,
                controls=journal,
                clock=clock,
                observer=notices,
            )
            watch = Watch(
                [Account(account_id=AccountId(name), channel=CHANNEL, allocations_url="") for name in names],
                Occasion(mode=TradingMode.PAPER, code_version="test"),
                ports,
                events=source(sandbox, notices=notices),
                inbox=journal.inbox,
                tell=tell,
                beat=lambda: None,
                redact=str,
                dry_run=False,
            )
            working = asyncio.create_task(watch.run())
            await until(lambda: {"events.up", "gateway.up"} <= {notice.event for notice in notices.heard})
            try:
                yield told
            finally:
                working.cancel()
                await asyncio.wait({working})


async def test_fifty_accounts_on_one_event_share_one_batch_of_quotes(
    start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    """Each holds AAA and CCC, and wants AAA and BBB; an event without a wish is a dry run for all of them."""
    holdings = {f"DU{n}": {"cash": f"{1000 * n}", "positions": {"AAA": n, "CCC": 1}} for n in range(1, ACCOUNTS + 1)}
    sandbox = await start_sandbox(clock=None, accounts=holdings)
    async with watching(sandbox, tmp_path, holdings) as told:
        sandbox.publish(CHANNEL, {})
        await until(lambda: len(told) == ACCOUNTS)
    reports = [report for _, report in told if isinstance(report, Report)]
    assert len(reports) == ACCOUNTS
    assert {report.account for report in reports} == {*holdings}
    assert {report.mode for report in reports} == {RunMode.DRY_RUN}
    assert all(report.orders for report in reports)
    asked = Counter(frame["fields"][CON_ID] for frame in received(sandbox.log, "reqMktData"))
    assert asked == {"101": 1, "102": 1, "103": 1}
    assert not order_messages(sandbox.log)


async def test_an_account_whose_order_does_not_fill_holds_up_no_other(
    start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    """While it waits, the other's run ends, and its next events are carried out, over the same connection."""
    holdings = {name: {"cash": "10000", "positions": {"AAA": 120}} for name in (DU1, DU2)}
    always = {symbol: {"hours": "always"} for symbol in ("AAA", "BBB", "CCC")}
    sandbox = await start_sandbox(
        clock=None, accounts=holdings, market=always, faults=[order_fault("hold", order={"account": DU1})]
    )

    def outcomes(name: AccountId) -> list[tuple[RunMode, str]]:
        return [(each.mode, each.outcome) for whose, each in told if whose == name and isinstance(each, Report)]

    async with watching(sandbox, tmp_path, holdings) as told:
        for number, data in enumerate(({"execution": "rebalance"}, {}, {"execution": "rebalance"}), 1):
            sandbox.publish(CHANNEL, data)
            await until(lambda number=number: len(outcomes(DU2)) == number)  # type: ignore[misc]
        assert outcomes(DU1) == []
    assert outcomes(DU2) == [
        (RunMode.REBALANCE, "done"),
        (RunMode.DRY_RUN, "nothing-to-do"),
        (RunMode.REBALANCE, "nothing-to-do"),
    ]
    assert outcomes(DU1) == [(RunMode.REBALANCE, "interrupted")]
    executed = {row["account"] for row in events(sandbox.log, "execution")}
    assert executed == {DU2}
    assert len(received(sandbox.log, "cancelOrder")) == 1
    assert len(received(sandbox.log, "startApi")) == 1
