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

    from ibkr_rebalancer.demo import show_demo

    return asyncio.run(show_demo())
