"""The broker's own client against the sandbox: what it sees is what ib_async sees.

Two clients that know nothing of each other keep the sandbox from sharing a mistake with either.
"""

import asyncio
from collections.abc import Callable

from tests.sandbox import ib_async_observer, ibapi_observer
from tests.sandbox.observation import CLIENT_ID, SCENARIO, TRADING_SCENARIO
from tests.support.sandbox import StartSandbox, order_messages

from ibkr_rebalancer.sandbox.run import Sandbox


def leaving(sandbox: Sandbox) -> Callable[[], None]:
    """Cuts the client's connection; to be called on its thread."""
    loop = asyncio.get_running_loop()

    def leave() -> None:
        loop.call_soon_threadsafe(sandbox.kick, CLIENT_ID)

    return leave


async def test_both_clients_see_the_same(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(**SCENARIO)
    theirs = await asyncio.to_thread(ibapi_observer.observe, sandbox.gateway_port, leave=leaving(sandbox))
    ours = await ib_async_observer.observe(sandbox.gateway_port)
    assert theirs == ours
    assert abs(theirs.current_time - ours.current_time) < 5
    assert not order_messages(sandbox.log)


async def test_both_clients_trade_the_same(start_sandbox: StartSandbox) -> None:
    ours, theirs = await start_sandbox(**TRADING_SCENARIO), await start_sandbox(**TRADING_SCENARIO)
    seen_by_theirs = await asyncio.to_thread(ibapi_observer.observe_trading, theirs.gateway_port, leave=leaving(theirs))
    assert seen_by_theirs == await ib_async_observer.observe_trading(ours.gateway_port)


async def test_requests_for_one_account_say_what_those_for_all_say(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(**SCENARIO)
    port = sandbox.gateway_port
    positions, values = await asyncio.to_thread(ibapi_observer.observe_multi, port, leave=leaving(sandbox))
    ours = await ib_async_observer.observe(port)
    assert positions == {(1, "DU1", "", held): row for (name, held), row in ours.positions.items() if name == "DU1"}
    assert values == {(2, "DU1", "", key, currency): v for (_, key, currency), v in ours.account_values.items()}
