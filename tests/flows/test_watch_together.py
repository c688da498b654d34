"""One event for many accounts, from the channel to the gateway, over the real edges: judged by the sandbox's log."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from tests.support.channels import CHANNEL, source, until
from tests.support.notation import allocation_body
from tests.support.reading import CLIENT_ID, Notices
from tests.support.sandbox import LOOPBACK, StartSandbox, order_messages, received
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

ACCOUNTS = 50
CON_ID = 3
"""Where it stands in the fields of reqMktData: after the message's id, its version and the request's number."""


async def test_fifty_accounts_on_one_event_share_one_batch_of_quotes(
    start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    """Each holds AAA and CCC, and wants AAA and BBB; an event without a wish is a dry run for all of them."""
    holdings = {f"DU{n}": {"cash": f"{1000 * n}", "positions": {"AAA": n, "CCC": 1}} for n in range(1, ACCOUNTS + 1)}
    sandbox = await start_sandbox(clock=None, accounts=holdings)
    accounts = [Account(account_id=AccountId(name), channel=CHANNEL, allocations_url="") for name in holdings]
    targets = allocation_body({"AAA": Decimal("0.5"), "BBB": Decimal("0.5")})
    told: dict[AccountId, Report | RebalancerError] = {}

    def tell(outcomes: Mapping[AccountId, Report | RebalancerError]) -> None:
        told.update(outcomes)

    clock, notices = SystemClock(), Notices()
    with open_journal(tmp_path, mode=TradingMode.PAPER, clock=clock, observer=notices) as journal:
        async with open_line(
            host=LOOPBACK, port=sandbox.gateway_port, client_id=CLIENT_ID, clock=clock, observer=notices
        ) as line:
            ports = Ports(
                gateway=line,
                source=Documents(dict.fromkeys(holdings, targets)),
                ledger=journal,
                controls=journal,
                clock=clock,
                observer=notices,
            )
            watch = Watch(
                accounts,
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
            sandbox.publish(CHANNEL, {})
            await until(lambda: len(told) == ACCOUNTS)
            working.cancel()
            await asyncio.wait({working})
    reports = [report for report in told.values() if isinstance(report, Report)]
    assert len(reports) == ACCOUNTS
    assert {report.mode for report in reports} == {RunMode.DRY_RUN}
    assert all(report.orders for report in reports)
    asked = Counter(frame["fields"][CON_ID] for frame in received(sandbox.log, "reqMktData"))
    assert asked == {"101": 1, "102": 1, "103": 1}
    assert not order_messages(sandbox.log)
