"""Two accounts at one gateway, over the real client: what befalls one of them, or one share, stays with it."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.flows.test_rebalance import PLAIN, account, plan_of, targets, trades
from tests.support.reading import Notices, StoppedClock, reading
from tests.support.sandbox import StartSandbox, fault, order_messages
from tests.support.scene import Documents

from ibkr_rebalancer.core.errors import GatewayUnavailable, RebalancerError
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.policy import Limits
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.edges.ibkr.connection import open_gateway
from ibkr_rebalancer.flows.rebalance import Planned, plan_accounts

FIRST, SECOND = AccountId("DU1"), AccountId("DU2")
DOCUMENTS: dict[str, bytes] = {FIRST: targets(AAA="0.5", BBB="0.5"), SECOND: targets(AAA="1")}
BOTH = {"DU1": {"positions": {"CCC": 5}}, "DU2": {"cash": "5000"}}
"""The first account also holds five CCC, which is in nobody's targets."""
PATIENCE_S = 0.5
"""The deadline of every answer here: some tests wait for it, the others must not meet it on a busy machine."""
UNSET = "1.7976931348623157E308"


async def plans(port: int, documents: Mapping[str, bytes]) -> dict[AccountId, Plan | RebalancerError]:
    async with reading(port, answer_s=PATIENCE_S) as market:
        planned = await plan_accounts(
            [account(name) for name in documents],
            mode=TradingMode.PAPER,
            market=market,
            source=Documents(documents),
            clock=StoppedClock(),
            observer=Notices(),
        )
        return {name: each.plan if isinstance(each, Planned) else each for name, each in planned.items()}


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (
            fault("contractDetails", "alter", where={"symbol": "CCC"}, parameters={"minTick": "0"}),
            "The gateway's description of CCC lacks its conId or its price step. Run the command again",
        ),
        (
            fault("contractDetails", "alter", where={"symbol": "CCC"}, parameters={"conId": "999"}),
            "Interactive Brokers describes no stock with con_id 103. Trade it by hand",
        ),
        *(
            (
                fault("reqContractDetails", "error", where={"conId": "103"}, parameters={"code": code, "text": "no"}),
                f"The gateway refused the contract of CCC: {meaning} (code {code}: no). ",
            )
            for code, meaning in (
                (162, "historical data are not to be had"),
                (321, "the gateway finds the request invalid"),
                (322, "the gateway could not process the request"),
                (10197, "another session of the same user has the market data"),
            )
        ),
        (
            fault("reqContractDetails", "error", where={"conId": "103"}, parameters={"code": 200}),
            "Interactive Brokers describes no stock with con_id 103. Trade it by hand",
        ),
        (
            fault("reqContractDetails", "drop", where={"conId": "103"}),
            "The gateway did not deliver the contract of CCC to the end within ",
        ),
        (
            fault("reqMktData", "error", where={"conId": "103"}, parameters={"code": 10197}),
            "another session of the same user has the market data (code 10197). Log this user out of TWS",
        ),
        (
            fault("updatePortfolio", "alter", where={"symbol": "CCC"}, parameters={"marketValue": UNSET}),
            "the gateway gives no market value of it",
        ),
    ],
)
async def test_a_dead_share_stays_untouched_with_its_reason(
    start_sandbox: StartSandbox, trouble: Any, reason: str
) -> None:
    sandbox = await start_sandbox(accounts=BOTH, faults=[trouble])
    outcomes = await plans(sandbox.gateway_port, DOCUMENTS)
    (line,) = plan_of(outcomes[FIRST]).untouched
    assert line.symbol == "CCC"
    assert line.reason.startswith(reason)
    assert trades(plan_of(outcomes[FIRST])) == [("BUY", 199, "BBB")]
    assert trades(plan_of(outcomes[SECOND])) == [("BUY", 49, "AAA")]
    assert not order_messages(sandbox.log)


@pytest.mark.parametrize(
    ("second", "trouble", "code", "words"),
    [
        ({"values": {"AccountReady": "false"}}, None, "ACCOUNT_NOT_READY", "of DU2 are not to be relied on"),
        (
            {},
            fault("updateAccountValue", "drop", where={"key": "AvailableFunds", "account": "DU2"}),
            "SNAPSHOT_INCOMPLETE",
            "figures of DU2 lack AvailableFunds",
        ),
        (
            {},
            fault("updateAccountValue", "drop", where={"key": "CashBalance", "currency": "USD", "account": "DU2"}),
            "SNAPSHOT_INCOMPLETE",
            "figures of DU2 lack CashBalance in USD",
        ),
        (
            {},
            fault("reqAccountUpdates", "drop", where={"account": "DU2"}),
            "SNAPSHOT_INCOMPLETE",
            "did not deliver the portfolio of DU2 to the end within",
        ),
        (
            {},
            fault("reqAccountUpdates", "error", where={"account": "DU2"}, parameters={"code": 321, "text": "no"}),
            "GATEWAY_REFUSED",
            "refused the portfolio of DU2",
        ),
        (
            {"values": {"NetLiquidation": "1000000"}},
            None,
            "SNAPSHOT_INCONSISTENT",
            "DU2 holds 5,000.00 USD in cash and 0.00 in 0 positions, but Interactive Brokers says",
        ),
    ],
)
async def test_an_accounts_own_trouble_is_not_the_others(
    start_sandbox: StartSandbox, second: dict[str, Any], trouble: Any, code: str, words: str
) -> None:
    accounts = BOTH | {"DU2": {"cash": "5000"} | second}
    sandbox = await start_sandbox(accounts=accounts, faults=[trouble] if trouble else [])
    outcomes = await plans(sandbox.gateway_port, DOCUMENTS)
    error = outcomes[SECOND]
    assert isinstance(error, RebalancerError)
    assert error.code == code
    assert words in error.message
    assert trades(plan_of(outcomes[FIRST]))


@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        ({"error": {"code": 321}}, "GATEWAY_REFUSED", "refused the contract of CCC"),
        ({"drop": {}}, "SNAPSHOT_INCOMPLETE", "did not deliver the contract of CCC"),
    ],
)
async def test_a_target_that_cannot_be_looked_up_is_the_trouble_of_those_who_want_it(
    start_sandbox: StartSandbox, action: dict[str, Any], code: str, words: str
) -> None:
    failing = {"when": {"message": "reqContractDetails", "where": {"symbol": "CCC"}}, "what": action}
    sandbox = await start_sandbox(accounts={"DU2": {"cash": "5000"}}, faults=[failing])
    outcomes = await plans(sandbox.gateway_port, {FIRST: targets(CCC="1"), SECOND: targets(AAA="1")})
    error = outcomes[FIRST]
    assert isinstance(error, RebalancerError)
    assert error.code == code
    assert words in error.message
    assert trades(plan_of(outcomes[SECOND])) == [("BUY", 49, "AAA")]


async def test_two_lists_that_come_empty_are_no_empty_account(start_sandbox: StartSandbox) -> None:
    """They agree with one another, and would have all bought again."""
    sandbox = await start_sandbox(faults=[fault("position", "drop"), fault("updatePortfolio", "drop")])
    error = (await plans(sandbox.gateway_port, {FIRST: DOCUMENTS[FIRST]}))[FIRST]
    assert isinstance(error, RebalancerError)
    assert error.code == "SNAPSHOT_INCONSISTENT"
    assert "in 0 positions, but Interactive Brokers says that it is worth 20,000.00" in error.message


async def test_a_gateway_that_falls_silent_over_one_account_is_lost_for_all(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("accountDownloadEnd", "mute")], accounts=BOTH)
    with pytest.raises(GatewayUnavailable, match="did not deliver the portfolio of DU1"):
        await plans(sandbox.gateway_port, DOCUMENTS)


async def test_a_target_is_not_stale_because_a_dead_share_was_waited_for(start_sandbox: StartSandbox) -> None:
    clock, slow = SystemClock(), fault("reqMktData", "delay", where={"conId": "103"}, parameters={"ms": 1200})
    sandbox = await start_sandbox(accounts=BOTH, market={"CCC": {"data": "none"}}, faults=[slow])
    policy = replace(PLAIN, limits=Limits(max_quote_age_s=Decimal(1)))
    gateway = open_gateway(host="127.0.0.1", port=sandbox.gateway_port, client_id=10, clock=clock, observer=Notices())
    async with gateway as market:
        (outcome,) = (
            await plan_accounts(
                [account("DU1", policy)],
                mode=TradingMode.PAPER,
                market=market,
                source=Documents(DOCUMENTS),
                clock=clock,
                observer=Notices(),
            )
        ).values()
    assert isinstance(outcome, Planned)
    assert trades(outcome.plan) == [("BUY", 199, "BBB")]
