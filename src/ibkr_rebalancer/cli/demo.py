"""`rebalancer demo`: the commands a person would type, on simulated accounts."""


def demo() -> int:
    """See it all work on simulated accounts, in a minute.

    It starts the sandbox and goes through the commands a person would type. No account, gateway or network is
    needed, and nothing real can be touched.

    \b
    Examples:
      rebalancer demo
    """
    import asyncio

    try:
        return asyncio.run(_show_until_signal())
    except asyncio.CancelledError as stopped:
        raise KeyboardInterrupt from stopped


async def _show_until_signal() -> int:
    """The demonstration; the first signal that would end the process stops it tidily."""
    import asyncio

    from ibkr_rebalancer.demo import STOPPING, show_demo

    showing = asyncio.ensure_future(show_demo())
    for signal in STOPPING:
        asyncio.get_running_loop().add_signal_handler(signal, lambda: showing.cancelling() or showing.cancel())
    return await showing
