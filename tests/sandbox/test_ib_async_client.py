"""The product's own client library against the sandbox: it connects in every way and sees what the scenario says."""

import asyncio

import pytest
from ib_async import IB, StartupFetch, StartupFetchALL, StartupFetchNONE
from tests.sandbox.ib_async_observer import observe, observe_trading
from tests.sandbox.observation import SCENARIO, TRADING_SCENARIO, Trading
from tests.support.sandbox import LOOPBACK, StartSandbox, events, fault, order_messages, received

OPTION = (105, "AAA", "OPT", "20261218", "C", "USD", "AAA   261218C00110000", "AAA", 110.0, 100.0)
AAA = (101, "AAA", "STK", "", "", "USD", "AAA", "NMS", 0.0, 0.0)
BBB = (102, "BBB", "STK", "", "", "USD", "BBB", "BBB", 0.0, 0.0)
REFS = ["two-parts", "cancelled", "swept-1", "swept-2", "refused", "left-open"]
SOC = (104, "SOC", "STK", "", "", "EUR", "SOC", "SOC", 0.0, 0.0)


async def test_it_sees_what_the_scenario_says(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(**SCENARIO)
    seen = await observe(sandbox.gateway_port)
    assert seen.managed_accounts == ["DU1", "DU2"]
    assert seen.positions == {
        ("DU1", AAA): (100, 90.25),
        ("DU1", SOC): (7, 30.5),
        ("DU1", OPTION): (-2, 250),
        ("DU1", BBB): (-15, 50),
        ("DU2", AAA): (1, 100),
    }
    assert seen.portfolio[OPTION] == (-2, 2.5, -500, 250, 0, 0)
    assert seen.account_values["DU1", "NetLiquidation", "USD"] == "18704.88"
    assert seen.account_values["DU1", "CashBalance", "EUR"] == "-250.00"
    assert seen.summary["DU2", "NetLiquidation", "EUR"] == "380.00"
    assert seen.summary["DU2", "ExchangeRate", "USD"] == "0.800000"
    assert seen.details[101]["longName"] == "ALPHA"
    assert seen.details[101]["identifiers"] == [("ISIN", "US0000000001")]
    assert seen.details[101]["liquidHours"].startswith("20261123:0930-20261123:1600;")
    assert (seen.unknown[0], seen.ambiguous, seen.delayed_unasked[0]) == (200, [201, 202], 10168)
    assert (seen.live["type"], seen.live["bid"], seen.live["close"]) == (1, (99.99, 100), 98.5)
    assert (seen.delayed["type"], seen.delayed["ask"], seen.delayed["last"]) == (3, (50.01, 100), (50, 100))
    assert [bar[0] for bar in seen.bars] == ["20261117", "20261118", "20261119", "20261120", "20261123"]
    assert seen.profit_of_position == (100, 150, 975, 0, 10000)
    assert abs(seen.current_time - 1795447800) < 5
    assert not order_messages(sandbox.log)


async def test_it_trades_as_the_scenario_says(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(**TRADING_SCENARIO)
    seen = await observe_trading(sandbox.gateway_port)
    parts = [("BOT", 11, 100.01, 11, 100.01), ("BOT", 10, 100.01, 21, 100.01)]
    canceled = "Order Canceled - reason:"
    assert seen == Trading(
        ended={
            "two-parts": ("Filled", 21, 0, 100.01),
            "cancelled": ("Cancelled", 0, 5, 0),
            "swept-1": ("Cancelled", 0, 6, 0),
            "swept-2": ("Cancelled", 0, 7, 0),
            "refused": ("Inactive", 0, 8, 0),
            "left-open": ("Submitted", 0, 10, 0),
        },
        fills={"two-parts": parts},
        commissions={"two-parts": [(1, "USD"), (0, "USD")]},
        errors=[
            ("cancelled", 202, canceled),
            ("swept-1", 202, canceled),
            ("swept-2", 202, canceled),
            ("refused", 201, "No trading permissions."),
        ],
        preview=(225, 3250, -1.09, 1, "USD", ""),
        perm_ids={ref: 1_100_000_001 + age for age, ref in enumerate(REFS)},
        fills_again={"two-parts": parts},
        commissions_again={"two-parts": [(1, "USD"), (0, "USD")]},
        completed={
            "two-parts": ("Filled", 0, 21),
            "cancelled": ("Cancelled", 5, 0),
            "swept-1": ("Cancelled", 6, 0),
            "swept-2": ("Cancelled", 7, 0),
            "refused": ("Inactive", 8, 0),
        },
        open={"left-open": ("Submitted", 10, 10, 16.25)},
        perm_ids_again=seen.perm_ids,
    )
    assert len(order_messages(sandbox.log)) == 9
    traded = [(row["order_ref"], row["quantity"], row["price"]) for row in events(sandbox.log, "execution")]
    assert traded == [("two-parts", "11", "100.01"), ("two-parts", "10", "100.01")]


FETCHES = [StartupFetchALL, StartupFetchNONE, *StartupFetch]


@pytest.mark.parametrize("fetch", FETCHES, ids=str)
@pytest.mark.parametrize("readonly", [False, True], ids=["write", "readonly"])
async def test_it_connects_with_every_set_of_startup_fields(
    start_sandbox: StartSandbox, fetch: StartupFetch, readonly: bool
) -> None:
    sandbox = await start_sandbox()
    ib = IB()
    await ib.connectAsync(
        LOOPBACK, sandbox.gateway_port, 5, timeout=2, readonly=readonly, raiseSyncErrors=True, fetchFields=fetch
    )
    assert [position.position for position in ib.positions()] == [100]
    assert ib.client.serverVersion() == 178
    ib.disconnect()


async def test_client_id_0_binds_manual_orders_and_gets_on(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ib = IB()
    await ib.connectAsync(LOOPBACK, sandbox.gateway_port, 0, raiseSyncErrors=True)
    ib.disconnect()
    assert received(sandbox.log, "reqAutoOpenOrders")


async def test_a_reconnect_with_the_same_id_is_served_again(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    for _ in range(3):
        ib = IB()
        await ib.connectAsync(LOOPBACK, sandbox.gateway_port, 5, raiseSyncErrors=True)
        ib.disconnect()


async def test_a_client_id_in_use_is_told_with_326(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    holder, other = IB(), IB()
    await holder.connectAsync(LOOPBACK, sandbox.gateway_port, 5)
    codes: list[int] = []
    other.errorEvent += lambda _, code, __, ___: codes.append(code)
    with pytest.raises((TimeoutError, ConnectionError)):
        await other.connectAsync(LOOPBACK, sandbox.gateway_port, 5, timeout=0.2)
    holder.disconnect()
    assert codes == [326]


async def test_lost_positions_look_like_none_at_all(start_sandbox: StartSandbox) -> None:
    """The library's trap that the product must not fall into: connected, and nothing held."""
    sandbox = await start_sandbox(faults=[fault("reqPositions", "drop")])
    ib = IB()
    await ib.connectAsync(LOOPBACK, sandbox.gateway_port, 5, timeout=0.2)
    assert ib.isConnected()
    assert ib.positions() == []
    ib.disconnect()


async def test_a_cut_connection_is_noticed(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("currentTime", "disconnect")])
    ib = IB()
    await ib.connectAsync(LOOPBACK, sandbox.gateway_port, 5)
    gone = asyncio.gather(ib.disconnectedEvent)
    with pytest.raises(ConnectionError):
        await ib.reqCurrentTimeAsync()
    await gone
    assert not ib.isConnected()
