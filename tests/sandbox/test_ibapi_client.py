"""The broker's own client against the sandbox: what it sees is what ib_async sees.

Two clients that know nothing of each other keep the sandbox from sharing a mistake with either.
"""

import asyncio

from tests.sandbox import ib_async_observer, ibapi_observer
from tests.sandbox.observation import CLIENT_ID, SCENARIO
from tests.support.sandbox import StartSandbox, order_messages


async def test_both_clients_see_the_same(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(**SCENARIO)
    loop = asyncio.get_running_loop()

    def leave() -> None:
        loop.call_soon_threadsafe(sandbox.kick, CLIENT_ID)

    theirs = await asyncio.to_thread(ibapi_observer.observe, sandbox.gateway_port, leave=leave)
    ours = await ib_async_observer.observe(sandbox.gateway_port)
    assert theirs == ours
    assert abs(theirs.current_time - ours.current_time) < 5
    assert not order_messages(sandbox.log)
