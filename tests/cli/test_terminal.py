"""On a terminal: progress on standard error, colour on standard output, a question, a view that refreshes in place."""

import json
import os
import pty
import re
from signal import SIGHUP, SIGINT, SIGTERM

import pytest
from tests.support.commands import FIRST, SECOND, Here
from tests.support.sandbox import fault, received
from tests.support.terminal import on_terminal

from ibkr_rebalancer.cli.progress import Progress
from ibkr_rebalancer.core.notices import Notice

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = re.compile(r"\x1b\[(?![0-9;]*m)[?0-9;]*[A-Za-z]|\r")
"""Cursor movements and the like."""


def test_progress_is_drawn_beside_the_data(here: Here) -> None:
    with on_terminal(here, "plan", FIRST) as terminal:
        assert terminal.end() == 0
    assert CONTROL.search(terminal.err.text)
    assert "Asking for 10 quotes" in terminal.err.text
    assert not CONTROL.search(terminal.out.text)
    assert COLOUR.search(terminal.out.text)
    golden = COLOUR.sub("", terminal.out.text).splitlines()
    assert golden[0].startswith("Plan for paper account DU123456")
    assert max(len(line) for line in golden) <= 80


def test_a_slow_step_is_named_while_it_lasts(here: Here) -> None:
    here.sandbox.change({"faults": [fault("startApi", "mute")]})
    with on_terminal(here, "plan", FIRST) as terminal:
        terminal.err.until("Connecting to 127.0.0.1")
        here.sandbox.until(lambda log: received(log, "startApi"))
        terminal.process.send_signal(SIGINT)
        assert terminal.end() == 130
    assert terminal.out.text == ""
    assert "Interrupted. Nothing was sent." in terminal.err.text


def test_a_warning_stays(here: Here) -> None:
    with on_terminal(here, "plan", FIRST) as terminal:
        assert terminal.end() == 0
    assert "Warning: No price for OLDCO" in COLOUR.sub("", terminal.err.text)


def test_nobody_elses_words_command_the_terminal(here: Here) -> None:
    """Neither as data nor in an error."""
    title = "\x1b]0;all is well\x07"
    with on_terminal(here, "halt", f"{title}no good\x1b[2J") as terminal:
        assert terminal.end() == 0
    assert "Trading is halted: ]0;all is wellno good[2J." in COLOUR.sub("", terminal.out.text)
    with on_terminal(here, "execute", FIRST, "--yes", columns=200) as terminal:
        assert terminal.end() == 14
    assert "]0;all is wellno good[2J" in terminal.err.text
    assert [each for each in ("\x07", "\x1b[2J", "\x1b]0") if each in terminal.err.text] == []


def test_a_step_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The path of accounts.yaml may look like markup."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    with Progress(as_log=False) as progress:
        progress.notify(Notice(event="settings.read", text="Settings from /home/a[/b].yaml"))
    assert "Settings from /home/a[/b].yaml …" in COLOUR.sub("", capsys.readouterr().err)


def test_no_color_is_obeyed(here: Here) -> None:
    with on_terminal(here, "plan", FIRST, NO_COLOR="1") as terminal:
        assert terminal.end() == 0
    coloured = {code for code in COLOUR.findall(terminal.out.text) if re.search(r"[34][0-9]", code)}
    assert coloured == set()
    assert "SELL 60" in COLOUR.sub("", terminal.out.text)


def test_verbose_is_a_log_instead_of_a_spinner(here: Here) -> None:
    with on_terminal(here, "plan", FIRST, "-v") as terminal:
        assert terminal.end() == 0
    assert not CONTROL.search(terminal.err.text)
    assert "INFO ibkr_rebalancer: settings.read: Settings from" in terminal.err.text


def test_json_is_a_document_on_a_terminal_too(here: Here) -> None:
    with on_terminal(here, "positions", "--json") as terminal:
        assert terminal.end() == 0
    assert len(json.loads(terminal.out.text)["portfolios"]) == 2


@pytest.mark.parametrize(
    ("answer", "shown"),
    [("2", [SECOND]), (FIRST, [FIRST]), ("", [FIRST, SECOND]), (f" {SECOND} ", [SECOND])],
    ids=["number", "id", "Enter", "blanks"],
)
def test_positions_asks_which_account(here: Here, answer: str, shown: list[str]) -> None:
    with on_terminal(here, "positions") as terminal:
        terminal.err.until("Which account?")
        assert not received(here.sandbox.log)
        terminal.type(answer)
        assert terminal.end() == 0
    titles = [line for line in COLOUR.sub("", terminal.out.text).splitlines() if "net liquidation" in line]
    assert [title.split()[0] for title in titles] == shown


@pytest.mark.parametrize("answer", ["3", "0", "DU000001"])
def test_an_answer_that_names_no_account_is_refused(here: Here, answer: str) -> None:
    with on_terminal(here, "positions") as terminal:
        terminal.err.until("Which account?")
        terminal.type(answer)
        assert terminal.end() == 2
    assert f"{answer} is not in accounts.yaml." in terminal.err.text
    assert not received(here.sandbox.log)


def test_no_answer_ends_the_command(here: Here) -> None:
    with on_terminal(here, "positions") as terminal:
        terminal.err.until("Which account?")
        terminal.press("\x04")
        assert terminal.end() == 130
    assert "Interrupted. Nothing was sent." in terminal.err.text


def test_there_is_no_question_where_there_is_no_choice(here: Here) -> None:
    here.accounts(here.entry(FIRST, "primary", enabled=False), here.entry(SECOND, "secondary"))
    with on_terminal(here, "positions") as terminal:
        assert terminal.end() == 0
    assert "Which account?" not in terminal.err.text
    assert SECOND in terminal.out.text


FOLLOW = ("positions", SECOND, "--follow", "--every", "1")
OWN_SCREEN, LEFT, FRAME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"


@pytest.mark.parametrize("rows", [50, 4])
def test_following_draws_in_place_on_a_terminal_of_any_height(here: Here, rows: int) -> None:
    """Nothing is appended to what can be scrolled back to, until the last view stays behind in full."""
    with on_terminal(here, *FOLLOW, rows=rows) as terminal:
        here.sandbox.until(lambda log: len(received(log, "reqAccountUpdates")) >= 5)
        terminal.process.send_signal(SIGINT)
        assert terminal.end() == 0
    before, own, after = re.split(f"{re.escape(OWN_SCREEN)}|{re.escape(LEFT)}", terminal.out.text)
    frames = own.split(FRAME)[1:]
    assert before == ""
    assert len(frames) >= 2
    assert all(frame.count("\n") < rows for frame in frames)
    assert "more lines: enlarge the terminal" in frames[-1] or rows == 50
    assert COLOUR.sub("", frames[-1]).startswith("Refreshed 20")
    assert after.count("net liquidation") == after.count("SPY") == after.count("Cash") == 1


@pytest.mark.parametrize(
    ("named", "columns", "rows", "hint"),
    [
        ([SECOND], 55, 50, "… more columns: enlarge the terminal"),
        ([SECOND], 55, 5, "… 4 more lines and more columns: enlarge the terminal"),
        ([SECOND], 80, 5, "… 4 more lines: enlarge the terminal"),
        ([FIRST, SECOND], 80, 5, "… 16 more lines: enlarge the terminal, or name one account"),
        ([FIRST, SECOND], 55, 50, "… more columns: enlarge the terminal"),
    ],
)
def test_following_says_what_it_cannot_show_and_what_would_help(
    here: Here, named: list[str], columns: int, rows: int, hint: str
) -> None:
    with on_terminal(here, "positions", *named, "--follow", "--every", "1", columns=columns, rows=rows) as terminal:
        terminal.out.until("enlarge the terminal")
        terminal.interrupt()
        assert terminal.end() == 0
    own, after = re.split(re.escape(LEFT), terminal.out.text)
    lines = COLOUR.sub("", CONTROL.sub("", own.split(FRAME)[-1])).splitlines()
    assert [line.strip() for line in lines if line.strip()][-1] == hint
    assert all(len(line) <= columns for line in lines)
    assert "Weight" in after


SHOWS_CURSOR, HIDES_CURSOR = "\x1b[?25h", "\x1b[?25l"


@pytest.mark.parametrize("stop", [SIGTERM, SIGHUP], ids=lambda stop: stop.name)
def test_a_signal_leaves_the_terminal_as_it_was(here: Here, stop: int) -> None:
    """Off its own screen, with a cursor; and whoever has sent it sees that it was heeded."""
    with on_terminal(here, *FOLLOW) as terminal:
        terminal.out.until("SPY")
        terminal.process.send_signal(stop)
        assert terminal.end() == 128 + stop
    _, own, after = re.split(f"{re.escape(OWN_SCREEN)}|{re.escape(LEFT)}", terminal.out.text)
    assert "SPY" in own
    assert "SPY" in after
    assert terminal.out.text.rfind(SHOWS_CURSOR) > terminal.out.text.rfind(HIDES_CURSOR)


def test_a_terminal_that_is_closed_ends_following(here: Here) -> None:
    near, far = pty.openpty()
    with here.start(*FOLLOW, stdin=far, stdout=far, env={"TERM": "xterm"}) as process:
        os.close(far)
        seen = b""
        while b"SPY" not in seen:
            seen += os.read(near, 65536)
        os.close(near)
        process.send_signal(SIGHUP)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + SIGHUP
    assert "Traceback" not in err
    assert "Error" not in err


@pytest.mark.parametrize("stop", [SIGTERM, SIGHUP], ids=lambda stop: stop.name)
def test_a_signal_ends_what_is_being_waited_for(here: Here, stop: int) -> None:
    here.sandbox.change({"faults": [fault("startApi", "mute")]})
    with on_terminal(here, "plan", FIRST) as terminal:
        terminal.err.until("Connecting to 127.0.0.1")
        here.sandbox.until(lambda log: received(log, "startApi"))
        terminal.process.send_signal(stop)
        assert terminal.end() == 128 + stop
    assert terminal.err.text.rfind(SHOWS_CURSOR) > terminal.err.text.rfind(HIDES_CURSOR)
    assert "Interrupted. Nothing was sent." in terminal.err.text


def test_following_shows_what_changes_and_when_it_was_read(here: Here) -> None:
    with on_terminal(here, *FOLLOW) as terminal:
        terminal.out.until("SPY")
        here.sandbox.change({"accounts": {SECOND: {"positions": {"QQQ": 77}}}})
        terminal.out.until("QQQ")
        terminal.process.send_signal(SIGINT)
        assert terminal.end() == 0
    read_at = re.findall(r"Refreshed (20..-..-.. ..:..:..) UTC, every 1 s", COLOUR.sub("", terminal.out.text))
    assert len(set(read_at)) > 1
    lasting = terminal.err.text.rpartition("\x1b[?25h")[2]
    assert "Reading" not in lasting, "steps of later refreshes would tear the view apart"


def test_following_goes_on_with_the_accounts_that_can_be_read(here: Here) -> None:
    here.accounts(here.entry("DU999999", "primary"), here.entry(SECOND, "secondary"))
    with on_terminal(here, "positions", "DU999999", SECOND, "--follow", "--every", "1", columns=100) as terminal:
        terminal.out.until("SPY")
        terminal.out.until("The gateway does not manage DU999999")
        terminal.process.send_signal(SIGINT)
        assert terminal.end() == 0
    assert re.search(
        r"Not read since 20..-..-.. ..:..:.. UTC, and tried again: DU999999\n", COLOUR.sub("", _last(terminal.out.text))
    )


def test_following_outlasts_a_lost_link_and_shows_it_beside_what_was_read_last(here: Here) -> None:
    with on_terminal(here, *FOLLOW, columns=100) as terminal:
        terminal.out.until("SPY")
        here.sandbox.notice(1100)
        terminal.out.until("The gateway was not connected to Interactive Brokers")
        here.sandbox.change({"accounts": {SECOND: {"positions": {"QQQ": 77}}}})
        here.sandbox.notice(1102)
        terminal.out.until("QQQ")
        terminal.process.send_signal(SIGINT)
        assert terminal.end() == 0
    frames = COLOUR.sub("", terminal.out.text).split(FRAME)
    troubled = next(frame for frame in frames if "not connected" in frame)
    assert re.search(
        r"Refreshed 20..-..-.. ..:..:.. UTC.*\n *Not read since 20..-..-.. ..:..:.. UTC, and tried again: DU789012",
        troubled,
    )
    assert "LINK_DOWN" in troubled
    assert "SPY" in troubled
    assert "Not read since" not in _last(terminal.out.text)


def test_following_connects_anew_when_the_gateway_is_back(here: Here) -> None:
    with on_terminal(here, *FOLLOW, columns=100) as terminal:
        terminal.out.until("SPY")
        here.sandbox.change({"faults": [fault("connect", "disconnect")]})
        here.sandbox.kick()
        terminal.out.until("Before a session had started, the connection was closed by the gateway")
        here.sandbox.change({"faults": [], "accounts": {SECOND: {"positions": {"QQQ": 77}}}})
        terminal.out.until("QQQ")
        terminal.process.send_signal(SIGINT)
        assert terminal.end() == 0


def test_a_log_is_not_drawn_over(here: Here) -> None:
    with on_terminal(here, *FOLLOW, "-v") as terminal:
        terminal.out.until("SPY")
        terminal.process.send_signal(SIGINT)
        assert terminal.end() == 0
    assert OWN_SCREEN not in terminal.out.text


def test_a_terminal_that_cannot_move_its_cursor_gets_one_view_after_the_other(here: Here) -> None:
    with on_terminal(here, *FOLLOW, TERM="dumb") as terminal:
        terminal.out.until("SPY")
        terminal.process.send_signal(SIGINT)
        assert terminal.end() == 0
    assert "\x1b" not in terminal.out.text


def _last(text: str) -> str:
    """What stays on the terminal after its own screen is left."""
    return text.rpartition(LEFT)[2]
