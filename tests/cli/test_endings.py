"""How commands end when they are interrupted, when nobody reads them any more, and when we are at fault."""

import json
import os
import subprocess
import sys
from pathlib import Path
from signal import SIG_IGN, SIGINT, SIGTERM, signal

import pytest
from tests.support.commands import FIRST, SECOND, Ended, Here
from tests.support.sandbox import events, fault, received
from tests.support.schemas import check_document

from ibkr_rebalancer.app import Rebalancer

REBALANCER = str(Path(sys.executable).with_name("rebalancer"))
"""The console script."""


@pytest.mark.parametrize(
    ("command", "silent_from"),
    [
        ("plan", "connect"),
        ("plan", "startApi"),
        ("plan", "reqPositions"),
        ("plan", "reqMktData"),
        ("execute --dry-run", "reqContractDetails"),
        ("positions", "reqAccountUpdates"),
    ],
)
def test_ctrl_c_ends_a_command_at_once(here: Here, command: str, silent_from: str) -> None:
    here.sandbox.change({"faults": [fault(silent_from, "mute")]})
    ended = _interrupted_in_silence(here, *command.split())
    assert (ended.exit_code, ended.out) == (130, "")
    assert ended.err.splitlines()[-1] == "Interrupted. Nothing was sent."
    assert "Traceback" not in ended.err


def test_ctrl_c_while_targets_are_fetched(here: Here) -> None:
    here.sandbox.change({"allocations": {"primary": {"http": {"delay_ms": 2_000}}}})
    with here.start("plan", FIRST) as process:
        here.sandbox.until(lambda log: [record for record in log if record.get("event") == "allocation_request"])
        process.send_signal(SIGINT)
        out, err = process.communicate(timeout=5)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "Interrupted. Nothing was sent."


def test_ctrl_c_is_a_document_in_json(here: Here) -> None:
    here.sandbox.change({"faults": [fault("reqPositions", "mute")]})
    ended = _interrupted_in_silence(here, "plan", "--json")
    assert ended.exit_code == 130
    check_document(ended.document)
    assert ended.document["error"]["code"] == "INTERRUPTED"
    assert ended.document["error"]["exit_code"] == 130


def test_another_signal_is_a_document_with_its_own_exit_code(here: Here) -> None:
    here.sandbox.change({"faults": [fault("reqPositions", "mute")]})
    ended = _interrupted_in_silence(here, "plan", "--json", stop=SIGTERM)
    check_document(ended.document)
    assert ended.exit_code == ended.document["error"]["exit_code"] == 143


def test_a_signal_ends_what_ctrl_c_does_not(here: Here) -> None:
    """In the background of a script Ctrl-C is ignored; SIGTERM is not."""
    here.sandbox.change({"faults": [fault("reqPositions", "mute")]})
    kept = signal(SIGINT, SIG_IGN)
    try:
        ended = _interrupted_in_silence(here, "plan", stop=SIGTERM)
    finally:
        signal(SIGINT, kept)
    assert (ended.exit_code, ended.out) == (143, "")
    assert ended.err.splitlines()[-1] == "Interrupted. Nothing was sent."
    assert "Traceback" not in ended.err


LAUNCHERS = pytest.mark.parametrize(
    "launcher", [[REBALANCER], [sys.executable, "-m", "ibkr_rebalancer"]], ids=["script", "-m"]
)
CTRL_C = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


@LAUNCHERS
def test_ctrl_c_while_it_is_still_starting(here: Here, launcher: list[str]) -> None:
    """In the middle of the imports, which take most of the time until a command begins."""
    (here.folder / "typer.py").write_text(CTRL_C, encoding="utf-8")
    ended = _launched(here, [*launcher, "plan"], PYTHONPATH=str(here.folder))
    assert (ended.exit_code, ended.out, ended.err) == (130, "", "")


@LAUNCHERS
def test_ctrl_c_when_all_is_said_changes_nothing(here: Here, launcher: list[str]) -> None:
    """The interpreter takes a moment to end."""
    late = f"import atexit\natexit.register(exec, {CTRL_C!r}, {{}})\n"
    (here.folder / "sitecustomize.py").write_text(late, encoding="utf-8")
    ended = _launched(here, [*launcher, "--version"], PYTHONPATH=str(here.folder))
    assert (ended.exit_code, ended.err) == (0, "")
    assert ended.out.startswith("rebalancer ")


def test_ctrl_c_is_how_one_stops_looking(here: Here) -> None:
    with here.start("positions", SECOND, "--follow", "--every", "1") as process:
        here.sandbox.until(lambda log: received(log, "reqAccountUpdates"))
        assert process.stdout is not None
        assert process.stdout.readline().startswith(SECOND)
        process.send_signal(SIGINT)
        _, err = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "Interrupted" not in err


READ_ON = {
    "plan": 0,
    "plan --json": 0,
    "--help": 0,
    "--version": 0,
    "plan DU000001": 2,
    "plan DU000001 --json": 2,
    "paln": 2,
}
"""Commands that are soon done, and how they end."""


@pytest.mark.parametrize(
    ("command", "exit_code", "closed"),
    [("demo", 0, "stdout"), *((*each, stream) for each in READ_ON.items() for stream in ("stdout", "stderr"))],
)
def test_a_reader_that_is_gone_is_no_trouble(here: Here, command: str, exit_code: int, closed: str) -> None:
    """As with `rebalancer plan | head -1`: no traceback, no complaint of the interpreter."""
    read, write = os.pipe()
    os.close(read)
    ended = here.finish(*command.split(), **{closed: write})
    os.close(write)
    assert ended.exit_code == exit_code
    assert "Traceback" not in (ended.err or "")
    assert "BrokenPipe" not in (ended.err or "")


WRITERS = (
    "accounts",
    "accounts --json",
    "plan",
    "plan DU000001 --json",
    "positions --follow",
    "demo",
    "sandbox",
    "--help",
    "--version",
)


@pytest.mark.parametrize(
    ("command", "unbuffered"), [*((command, "") for command in WRITERS), ("accounts", "1"), ("--help", "1")]
)
def test_output_that_cannot_be_written_is_no_defect(here: Here, command: str, unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = here.finish(*command.split(), stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
    assert ended.exit_code == 2
    assert ended.err.splitlines()[-3:] == [
        "Error: standard output cannot be written: No space left on device.",
        "Hint: Make room where it goes, or send it elsewhere.",
        "OUTPUT_FAILED, exit code 2",
    ]
    assert "Traceback" not in ended.err
    assert "defect" not in ended.err


@pytest.mark.parametrize(
    "command", ["accounts", "plan --json", "paln --json", "positions --follow --json", "runs", "sandbox", "--help"]
)
def test_without_standard_output_nothing_can_be_shown(here: Here, command: str) -> None:
    ended = closed(here, command, ">&-")
    assert ended.exit_code == 2
    assert ended.err.splitlines()[-3:] == [
        "Error: standard output cannot be written: Bad file descriptor.",
        "Hint: Make room where it goes, or send it elsewhere.",
        "OUTPUT_FAILED, exit code 2",
    ]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        ("plan --json", 0),
        ("positions", 0),
        ("execute", 2),
        ("runs", 0),
        ("--help", 0),
    ],
)
@pytest.mark.parametrize("stream", ["<&-", "2>&-"])
def test_without_the_other_streams_all_goes_on(here: Here, command: str, exit_code: int, stream: str) -> None:
    ended = closed(here, command, stream)
    assert ended.exit_code == exit_code
    assert bool(ended.out) == (exit_code == 0)
    assert "Traceback" not in ended.err
    assert not ended.err or "2>&-" not in stream


def test_an_execution_needs_no_streams(here: Here) -> None:
    ended = closed(here, f"execute {SECOND} --yes", "<&- >&- 2>&-")
    assert (ended.exit_code, ended.out, ended.err) == (0, "", "")
    assert events(here.sandbox.log, "execution")


def closed(here: Here, command: str, streams: str) -> Ended:
    """A command that a shell has started without some of its streams."""
    return _launched(here, ["sh", "-c", f'exec "$0" -m ibkr_rebalancer {command} {streams}', sys.executable])


@pytest.mark.parametrize(("command", "exit_code"), [("plan", 0), ("plan DU000001", 2), ("paln", 2)])
def test_conversation_that_cannot_be_written_changes_nothing(here: Here, command: str, exit_code: int) -> None:
    with Path("/dev/full").open("w") as full:
        ended = here.finish(*command.split(), stderr=full)
    assert (ended.exit_code, bool(ended.out)) == (exit_code, exit_code == 0)


def test_following_ends_with_its_reader(here: Here) -> None:
    with here.start("positions", SECOND, "--follow", "--every", "1") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("stop", [SIGINT, SIGTERM])
def test_the_sandbox_runs_until_a_signal(here: Here, stop: int) -> None:
    log = here.folder / "frames.jsonl"
    with here.start("sandbox", "--log", str(log)) as process:
        assert process.stdout is not None
        announced = json.loads(process.stdout.readline())
        check_document(announced)
        reached = here.finish(
            "accounts", "--check", env={**announced["env"], "REBALANCER_CONFIG": str(here.folder / "accounts.yaml")}
        )
        assert reached.exit_code == 0
        process.send_signal(stop)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")
    assert '"message": "reqPositions"' in log.read_text(encoding="utf-8")


def test_a_port_that_is_taken_keeps_the_sandbox_from_starting(here: Here) -> None:
    port = here.sandbox.inside.gateway_port
    ended = here.finish("sandbox", "--gateway-port", str(port))
    assert (ended.exit_code, ended.out) == (2, "")
    assert ended.err.startswith("Error: The sandbox did not start: ")
    assert str(port) in ended.err.splitlines()[0]
    assert "address already in use" in ended.err.splitlines()[0]
    assert ended.err.splitlines()[1:] == ["Hint: Choose another file or port.", "SANDBOX_NOT_STARTED, exit code 2"]


@pytest.mark.parametrize(
    ("scenario", "code", "sentence"),
    [
        ("nowhere.yaml", "SANDBOX_NOT_STARTED", "The sandbox did not start: nowhere.yaml: No such file or directory."),
        (".", "SANDBOX_NOT_STARTED", "The sandbox did not start: .: Is a directory."),
        ("wrong.yaml", "SCENARIO_INVALID", "scenario: unknown key 'acounts'"),
        ("latin.yaml", "SCENARIO_INVALID", "latin.yaml: no YAML: 'utf-8' codec can't decode byte 0xe4"),
    ],
)
def test_a_scenario_must_be_one(here: Here, scenario: str, code: str, sentence: str) -> None:
    (here.folder / "wrong.yaml").write_text("acounts: {}\n", encoding="utf-8")
    (here.folder / "latin.yaml").write_text("accounts: ä\n", encoding="latin-1")
    ended = here.run("sandbox", "--scenario", scenario)
    assert (ended.exit_code, ended.out) == (2, "")
    assert ended.err.startswith(f"Error: {sentence}")
    assert ended.err.endswith(f"{code}, exit code 2\n")


@pytest.mark.parametrize("as_json", [False, True], ids=["for people", "JSON"])
def test_a_defect_of_ours_is_owned_up_to(here: Here, as_json: bool) -> None:
    """With a traceback for the report, in which no secret and no account number is left."""

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("sandbox-key was sent for DU123456")

    here.monkeypatch.setattr(Rebalancer, "plans", fail)
    ended = here.run("plan", *(["--json"] if as_json else []))
    assert ended.exit_code == 70
    assert "Traceback (most recent call last):" in ended.err
    assert "RuntimeError: *** was sent for DU…456" in ended.err
    assert "sandbox-key" not in ended.err + ended.out
    message = "A defect of rebalancer: RuntimeError. Nothing was sent."
    if as_json:
        check_document(ended.document)
        assert ended.document["error"]["code"] == "INTERNAL_ERROR"
        assert ended.document["error"]["message"] == message
    else:
        assert ended.out == ""
        assert f"Error: {message}\nHint: Please report it" in ended.err


def test_without_a_command_there_is_help(here: Here) -> None:
    bare, asked = here.run(), here.run("--help")
    assert bare == asked
    assert bare.exit_code == 0
    assert "Usage: rebalancer" in bare.out
    assert bare.err == ""


@LAUNCHERS
@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        ("--version", 0),
        ("accounts --check", 0),
        ("positions", 0),
        ("plan", 0),
        ("execute --dry-run", 0),
        ("execute", 2),
    ],
)
def test_both_ways_to_start_it(here: Here, launcher: list[str], command: str, exit_code: int) -> None:
    ended = _launched(here, [*launcher, *command.split()])
    assert ended.exit_code == exit_code
    assert bool(ended.out) == (exit_code == 0)
    assert "Traceback" not in ended.err


def _launched(here: Here, command: list[str], **variables: str) -> Ended:
    """A command line to its end, started as it stands."""
    env = {**here.environment, **variables}
    ended = subprocess.run(command, env=env, cwd=here.folder, capture_output=True, text=True, check=False)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def _interrupted_in_silence(here: Here, *arguments: str, stop: int = SIGINT) -> Ended:
    """A command that is stopped once the gateway has fallen silent; well before any deadline."""
    with here.start(*arguments) as process:
        here.sandbox.until(lambda log: [record for record in log if record.get("event") == "fault"])
        process.send_signal(stop)
        out, err = process.communicate(timeout=5)
    return Ended(process.returncode, out, err)
