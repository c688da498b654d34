"""The demonstration: a sandbox, and the commands a person would type against it.

The commands are real processes that connect over real sockets; only what is behind the sockets is simulated.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from subprocess import STDOUT, Popen
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.control import Control
from rich.rule import Rule
from rich.segment import ControlType
from rich.text import Text

from ibkr_rebalancer.config.environment import FILE_SUFFIX
from ibkr_rebalancer.config.schema import ENVIRONMENT
from ibkr_rebalancer.core.errors import EXIT_BUG, EXIT_DONE, Refused
from ibkr_rebalancer.core.inbox import Entry
from ibkr_rebalancer.records import Records
from ibkr_rebalancer.sandbox.run import Sandbox, load_scenario, run_sandbox

STOPPING = (SIGINT, SIGTERM, SIGHUP)
"""The signals with which a terminal, a shell or a supervisor ends us."""

PAUSE_S = 1.5
"""Before each command, for whoever watches."""

LOOK_S = 0.2
"""Between two looks at what a command that goes on has done."""

CHANNEL = "rebalance-secondary"

ACCOUNTS = """\
- account_id: "DU123456"
  notification:
    channel: "rebalance-primary"
  allocations:
    url: "{allocations}/primary"

- account_id: "DU789012"
  notification:
    channel: "{channel}"
  allocations:
    url: "{allocations}/secondary"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One command, and what to look at."""

    story: str
    command: str
    exit_code: int = EXIT_DONE
    change: str | None = None
    """What happens in the sandbox just before, as a change of its scenario in JSON."""
    events: tuple["Announcement", ...] = ()
    """What is published while it runs; then it is told to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A message on the second account's channel."""

    story: str
    payload: str


SCENES = (
    Scene(story="Two paper accounts are listed in accounts.yaml.", command="accounts"),
    Scene(story="What the first one holds, as the gateway tells it.", command="positions DU123456"),
    Scene(
        story="Its strategy asks for six ETFs. The plan: sales first, then purchases within the cash there is.",
        command="plan DU123456",
    ),
    Scene(
        story="A dry run goes the same way for every account and reports the orders it would send.",
        command="execute --dry-run",
    ),
    Scene(
        story="Now the first account is traded, as its plan says. From cron it is --yes; on a terminal it would ask.",
        command="execute DU123456 --yes",
    ),
    Scene(story="The journal knows every run; the beginning of its id tells one of them in full.", command="runs"),
    Scene(story="The same plan again: what was asked for is held, and nothing is left to do.", command="plan DU123456"),
    Scene(
        story="As a service it waits for events, here of the second account's strategy.",
        command="watch",
        events=(
            Announcement(story="An event without a word in it is a dry run.", payload="{}"),
            Announcement(story="This one trades.", payload='{"execution": "rebalance"}'),
        ),
    ),
    Scene(
        story="Suppose a strategy publishes weights that add up to 0.80: it is refused, and nothing is guessed.",
        command="plan DU789012",
        exit_code=24,
        change='{"allocations": {"secondary": {"status": "success", "data": {"allocations": '
        '[{"symbol": "QQQ", "allocation": 0.4}, {"symbol": "TLT", "allocation": 0.4}]}}}}',
    ),
)


async def show_demo() -> int:
    """Play all scenes; the exit code is 0, or that of a defect if a command ended otherwise than it should.

    When it is cancelled, the command that is running is stopped first.
    """
    console = Console(highlight=False)
    console.print(Rule("rebalancer demo"))
    console.print("A simulated IB Gateway, Ably and allocation API run on this machine for as long as this lasts.")
    with TemporaryDirectory(prefix="rebalancer-demo-") as folder:
        async with run_sandbox(load_scenario()) as sandbox:
            accounts = Path(folder) / "accounts.yaml"
            accounts.write_text(ACCOUNTS.format(allocations=sandbox.allocations_url, channel=CHANNEL), encoding="utf-8")
            for scene in SCENES:
                if not await _play(scene, console, sandbox, Path(folder)):
                    return EXIT_BUG
    console.print(Rule())
    console.print(
        "Your own accounts: list them in accounts.yaml, start IB Gateway in paper mode, and run\n  rebalancer plan"
    )
    return EXIT_DONE


async def _play(scene: Scene, console: Console, sandbox: Sandbox, folder: Path) -> bool:
    """Run one command with the terminal as its own; True if it ended as it should."""
    if scene.change is not None:
        sandbox.change(json.loads(scene.change))
    console.print()
    console.print(Text(scene.story, "italic"))
    console.print(Text.assemble(("$ ", "bold green"), (f"rebalancer {scene.command}", "bold")))
    if console.is_terminal:
        await asyncio.sleep(PAUSE_S)
    ended = await _run(scene, sandbox, folder)
    if ended != scene.exit_code:
        console.print(f"This should have ended with exit code {scene.exit_code}; it was {ended}.", style="bold red")
    return ended == scene.exit_code


async def _run(scene: Scene, sandbox: Sandbox, folder: Path) -> int:
    """The exit code of its command. What one that fails has to say is part of the story; its steps are not."""
    others = {name: text for name, text in os.environ.items() if name.removesuffix(FILE_SUFFIX) not in ENVIRONMENT}
    places = {"REBALANCER_CONFIG": str(folder / "accounts.yaml"), "REBALANCER_STATE": str(folder / "state")}
    is_quiet = scene.exit_code or scene.events
    environment = {**others, **sandbox.env, **places, **({"LOG_LEVEL": "WARNING"} if is_quiet else {})}
    process = Popen(  # noqa: ASYNC220, S603 (it returns at once, and starts nobody but ourselves)
        [sys.executable, "-m", "ibkr_rebalancer", *scene.command.split()],
        stderr=STDOUT if scene.exit_code else None,
        env=environment,
        cwd=folder,
        start_new_session=True,  # Ctrl-C on the terminal would reach the command too, and be answered twice
    )
    try:
        if scene.events:
            await _announce(scene.events, process, sandbox, folder)
            process.terminate()
        ended = await asyncio.to_thread(process.wait)
    except asyncio.CancelledError:
        process.kill()  # nothing real is at stake, and what it would say we say
        await asyncio.to_thread(process.wait)
        _tidy_up()
        raise
    if -ended in STOPPING:  # the signal was meant for us, and struck a command that had no session of its own yet
        raise asyncio.CancelledError
    return ended


async def _announce(
    announcements: Sequence[Announcement], process: "Popen[bytes]", sandbox: Sandbox, folder: Path
) -> None:
    """Publish each once the command listens, and has done with the one before."""
    console = Console(highlight=False)
    done = await _done(process, folder, other_than=None)
    for announcement in announcements:
        console.print()
        console.print(Text(f"{announcement.story} Published: {announcement.payload}", "italic"))
        sandbox.publish(CHANNEL, announcement.payload)
        done = await _done(process, folder, other_than=done)


async def _done(process: "Popen[bytes]", folder: Path, *, other_than: Sequence[Entry] | None) -> Sequence[Entry]:
    """What the command has done for accounts, once it is ready and that is something else; or it has ended."""
    while process.poll() is None:
        with suppress(Refused), Records.open(state=folder / "state") as records:
            status, done = records.watch_status(), records.done_last()
            if status.events is not None and status.gateway is not None and done != other_than:
                await asyncio.sleep(LOOK_S)  # it is in the journal just before it is shown
                return done
        await asyncio.sleep(LOOK_S)
    return ()


def _tidy_up() -> None:
    """Remove what a command that was stopped has left on the terminal: half a line of progress, and no cursor."""
    console = Console(stderr=True)
    console.control(Control.move_to_column(0), Control((ControlType.ERASE_IN_LINE, 2)), Control.show_cursor(True))
