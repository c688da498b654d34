"""`rebalancer demo`: everything at a glance, with nothing else installed, in well under a minute."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest
from tests.support.commands import Here
from tests.support.reading import until
from tests.support.terminal import on_terminal

from ibkr_rebalancer import demo
from ibkr_rebalancer.cli.demo import _show_until_signal
from ibkr_rebalancer.sandbox.log import Log

SIXTY_S = 60

COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def test_it_runs_in_a_pipe_whatever_the_owner_has_exported(here: Here) -> None:
    """A variable of the owner's real installation has no business in the demonstration."""
    owners = {
        "IBKR_PORT": "1",
        "IBKR_HOST": "no.such.host",
        "IBKR_CLIENT_ID": "many",
        "TRADING_MODE": "live",
        "ALLOCATIONS_API_KEY_FILE": "/nowhere",
        "IBKR_PORT_FILE": "/nowhere",
        "LOG_LEVEL": "LOUD",
        "REBALANCER_CONFIG": "/nowhere/accounts.yaml",
    }
    with here.start("demo", env=owners) as process:
        out, err = process.communicate(timeout=SIXTY_S)
    assert process.returncode == 0
    assert "\x1b" not in out + err
    assert [line for line in out.splitlines() if line.startswith("$ rebalancer")] == [
        "$ rebalancer accounts",
        "$ rebalancer positions DU123456",
        "$ rebalancer plan DU123456",
        "$ rebalancer execute --dry-run",
        "$ rebalancer execute DU123456 --yes",
        "$ rebalancer runs",
        "$ rebalancer plan DU123456",
        "$ rebalancer watch",
        "$ rebalancer plan DU789012",
    ]
    assert "9 orders planned, none sent" in out
    assert out.index('Published: {"execution": "rebalance"}') < out.index("Done: all 3 orders are filled.")
    assert out.index("$ rebalancer plan DU789012") < out.index("ALLOCATION_SUM, exit code 24")
    assert "INFO" not in out
    assert "Traceback" not in err


def test_it_fits_a_terminal_of_80_columns(here: Here) -> None:
    with on_terminal(here, "demo") as terminal:
        assert terminal.process.wait(SIXTY_S) == 0
    lines = COLOUR.sub("", terminal.out.text).splitlines()
    assert max(len(line) for line in lines if str(here.folder) not in line) <= 80
    assert "Two paper accounts are listed in accounts.yaml." in lines


@pytest.mark.parametrize(("stop", "to_all"), [(SIGINT, False), (SIGINT, True), (SIGTERM, False), (SIGHUP, True)])
def test_a_signal_ends_it_together_with_its_command(here: Here, stop: Signals, to_all: bool) -> None:
    """One sentence, nothing running, nothing left behind. Ctrl-C on a terminal reaches the whole process group."""
    with _demo(here) as process:
        assert process.stdout is not None
        while "$ rebalancer accounts" not in process.stdout.readline():
            assert process.poll() is None
        assert list((here.folder / "tmp").iterdir())
        (os.killpg if to_all else os.kill)(process.pid, stop)
        out, err = process.communicate(timeout=10)  # until the command, which writes there too, has ended
    assert (process.returncode, out, err) == (130, "", "Interrupted. Nothing was sent.\n")
    assert list((here.folder / "tmp").iterdir()) == []


def test_ctrl_c_is_answered_once_also_in_the_middle_of_a_command(here: Here) -> None:
    with _demo(here) as process:
        assert process.stderr is not None
        while "gateway.connect" not in process.stderr.readline():
            assert process.poll() is None
        os.killpg(process.pid, SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err.count("Interrupted") == 1
    assert err.endswith("Interrupted. Nothing was sent.\n")
    assert "Traceback" not in err
    assert list((here.folder / "tmp").iterdir()) == []


async def test_ctrl_c_on_the_terminal_does_not_reach_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes to one session only; which of two would have told first is a matter of luck."""
    kept = tmp_path / "session"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os\nwith open({str(kept)!r}, 'w') as kept:\n    kept.write(str(os.getsid(0)))\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(demo, "SCENES", (demo.Scene(story="It ends.", command="--version"),))
    assert await demo.show_demo() == 0
    assert int(kept.read_text(encoding="utf-8")) != os.getsid(0)


def _demo(here: Here) -> "subprocess.Popen[str]":
    """The demonstration, in a process group and a folder for temporary files of its own."""
    (here.folder / "tmp").mkdir()
    return here.start("demo", env={"TMPDIR": str(here.folder / "tmp")}, start_new_session=True)


async def test_a_terminal_is_left_tidy(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A command that is stopped can neither take back its half line of progress nor show the cursor again.

    More signals, as of somebody impatient, do not disturb this.
    """
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(demo, "PAUSE_S", 0)
    monkeypatch.setattr(demo, "SCENES", (demo.Scene(story="It lasts.", command="sandbox"),))
    showing = asyncio.create_task(_show_until_signal())
    await until(lambda: "gateway_port" in capfd.readouterr().out)
    for _ in range(3):
        os.kill(os.getpid(), SIGTERM)
        for _ in range(10):
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await showing
    assert capfd.readouterr().err == "\x1b[1G\x1b[2K\x1b[?25h"


async def test_it_sends_the_orders_of_one_plan_and_ends_as_its_story_says(monkeypatch: pytest.MonkeyPatch) -> None:
    logs: list[Log] = []

    class Kept(Log):
        def __init__(self, path: None) -> None:
            super().__init__(path)
            logs.append(self)

    monkeypatch.setattr("ibkr_rebalancer.sandbox.run.Log", Kept)
    assert await demo.show_demo() == 0
    (log,) = logs
    assert "reqMktData" in {record.get("message") for record in log.records}
    sent = [record for record in log.records if record.get("event") == "order_message"]
    assert {record["client"] for record in sent} == {52, 51}, "the client ids of execute and watch, and no reader's"
    filled = {record["order_ref"] for record in log.records if record.get("event") == "execution"}
    assert len(filled) == 9 + 3


async def test_a_scene_that_goes_wrong_is_a_defect(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = demo.Scene(story="It fails.", command="plan DU000001")
    monkeypatch.setattr(demo, "SCENES", (wrong,))
    assert await demo.show_demo() == 70
    assert "This should have ended with exit code 0; it was 2." in capfd.readouterr().out


def test_its_changes_are_json() -> None:
    for scene in demo.SCENES:
        assert scene.change is None or isinstance(json.loads(scene.change), dict)
