"""`rebalancer demo`: everything at a glance, with nothing else installed, in well under a minute."""

import json
import re

import pytest
from tests.support.commands import Here
from tests.support.terminal import on_terminal

from ibkr_rebalancer import demo
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
        "$ rebalancer plan DU789012",
    ]
    assert "9 orders planned, none sent" in out
    assert "ALLOCATION_SUM, exit code 24" in err
    assert "Traceback" not in err


def test_it_fits_a_terminal_of_80_columns(here: Here) -> None:
    with on_terminal(here, "demo") as terminal:
        assert terminal.process.wait(SIXTY_S) == 0
    lines = COLOUR.sub("", terminal.out.text).splitlines()
    assert max(len(line) for line in lines if str(here.folder) not in line) <= 80
    assert "Two paper accounts are listed in accounts.yaml." in lines


async def test_it_sends_no_order_and_ends_as_its_story_says(monkeypatch: pytest.MonkeyPatch) -> None:
    logs: list[Log] = []

    class Kept(Log):
        def __init__(self, path: None) -> None:
            super().__init__(path)
            logs.append(self)

    monkeypatch.setattr("ibkr_rebalancer.sandbox.run.Log", Kept)
    assert await demo.show_demo() == 0
    (log,) = logs
    assert "reqMktData" in {record.get("message") for record in log.records}
    assert "order_message" not in {record.get("event") for record in log.records}


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
