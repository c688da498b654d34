"""`rebalancer sandbox`: run the stand-ins for the gateway, the allocation API and the channels until a signal."""

import json
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import TYPE_CHECKING, Annotated

import typer

from ibkr_rebalancer.core.errors import EXIT_DONE, UsageError

if TYPE_CHECKING:
    from ibkr_rebalancer.sandbox.venue.scenario import Scenario


def sandbox(
    scenario: Annotated[
        Path | None,
        typer.Option(
            "--scenario",
            metavar="FILE",
            help="Scenario file (YAML); without it, the one of the demo.",
            show_default=False,
        ),
    ] = None,
    gateway_port: Annotated[
        int, typer.Option("--gateway-port", metavar="PORT", min=0, max=65535, help="0 takes any free one.")
    ] = 0,
    ably_port: Annotated[
        int, typer.Option("--ably-port", metavar="PORT", min=0, max=65535, help="0 takes any free one.")
    ] = 0,
    allocations_port: Annotated[
        int, typer.Option("--allocations-port", metavar="PORT", min=0, max=65535, help="0 takes any free one.")
    ] = 0,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", metavar="FILE", help="Write every frame and event there, as JSON lines.", show_default=False
        ),
    ] = None,
) -> int:
    """Run a simulated gateway, with targets and events.

    Until Ctrl-C it speaks the real TWS socket protocol on loopback, so any TWS API program can connect, and Ably's
    protocol, so any Ably client can. The first line on standard output is a JSON document with the ports and the
    environment to export.

    Targets named NAME are at http://127.0.0.1:<allocations_port>/allocations/NAME; without --scenario there are primary
    and secondary, for the accounts DU123456 and DU789012. How to write scenarios, provoke faults and change all of it
    while it runs: docs/sandbox.md in the repository.

    \b
    Examples:
      rebalancer sandbox
      rebalancer sandbox --scenario crash.yaml --log frames.jsonl
    """
    import asyncio

    from ibkr_rebalancer.sandbox.run import load_scenario
    from ibkr_rebalancer.sandbox.venue.document import ScenarioError

    try:
        asyncio.run(_serve(load_scenario(scenario), gateway_port, ably_port, allocations_port, log))
    except ScenarioError as error:
        raise UsageError("SCENARIO_INVALID", f"{error}.", hint="Correct the scenario file.") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        raise UsageError(
            "SANDBOX_NOT_STARTED", f"The sandbox did not start: {reason}.", hint="Choose another file or port."
        ) from error
    return EXIT_DONE


async def _serve(
    scenario: "Scenario", gateway_port: int, ably_port: int, allocations_port: int, log: Path | None
) -> None:
    import asyncio

    from ibkr_rebalancer.sandbox.run import run_sandbox

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal in (SIGINT, SIGTERM):
        loop.add_signal_handler(signal, stop.set)
    async with run_sandbox(
        scenario, gateway_port=gateway_port, ably_port=ably_port, allocations_port=allocations_port, log=log
    ) as running:
        print(json.dumps(running.announcement()), flush=True)
        await stop.wait()
