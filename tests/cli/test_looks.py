"""What a person sees, literally, at 80 and at 120 columns.

The expected texts are in `golden`. After a wanted change: `REWRITE_GOLDEN=1 .venv/bin/pytest tests/cli/test_looks.py`,
then read the difference that git shows. What differs between runs (times, ids, ports, the folder) is replaced by
something of the same length, and blanks at the ends of lines don't count.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import FIRST, SECOND, Here
from tests.support.sandbox import fault

from ibkr_rebalancer.sandbox.venue.document import Document

GOLDEN = Path(__file__).with_name("golden")
REWRITE = "REWRITE_GOLDEN" in os.environ

DIFFERING = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d UTC": "2026-11-23 15:30 UTC",
    r"\d{8}T\d{6}Z-": "20261123T153000Z-",
    r"\b[0-9a-f]{12}\b": "0123456789ab",
    r"127\.0\.0\.1:\d{5}": "127.0.0.1:49152",
}

EVERY_KIND: Document = {
    "accounts": {
        SECOND: {
            "cash": {"USD": "52400.00", "EUR": "1234.56"},
            "positions": {"QQQ": "10.5", "GLD": -15, "SPYP": 2, "SAP": 40, "OLDCO": 100},
        }
    },
    "market": {
        "SPYP": {
            "sec_type": "OPT",
            "symbol": "SPY",
            "last_trade_date": "20270115",
            "strike": "600",
            "right": "P",
            "multiplier": "100",
            "mark": "12.30",
        },
        "SAP": {"currency": "EUR", "bid": "231.10", "ask": "231.20", "mark": "231.15"},
        "TLT": {"data": "delayed"},
    },
    "rates": {"EURUSD": "1.08"},
}
"""The second account with one holding of every kind that is never traded, and a fraction of a target."""

ON_TARGET: Document = {"accounts": {SECOND: {"cash": "300", "positions": {"SPY": None, "QQQ": 60, "TLT": 274}}}}


LARGE: Document = {
    "accounts": {SECOND: {"cash": "1234567890.12", "positions": {"QQQ": 1_234_567, "SPY": 2_345_678}}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    name: str
    command: tuple[str, ...]
    change: Document = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)


LOOKS = (
    Look(name="accounts", command=("accounts",), policy={"enabled": False, "min_gain_bp": 150}),
    Look(name="accounts-check", command=("accounts", "--check")),
    Look(name="positions", command=("positions", FIRST)),
    Look(name="positions-every-kind", command=("positions", SECOND), change=EVERY_KIND),
    Look(name="plan", command=("plan", FIRST)),
    Look(name="plan-every-kind", command=("plan", SECOND), change=EVERY_KIND),
    Look(name="plan-nothing-to-do", command=("plan", SECOND), change=ON_TARGET),
    Look(name="execute-dry-run", command=("execute", "--dry-run")),
)


def settled(text: str, here: Here) -> str:
    """The text with what differs between runs replaced."""
    text = text.replace(str(here.folder), "/home/trader")
    for differing, settled in DIFFERING.items():
        text = re.sub(differing, settled, text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_a_view_looks_as_it_should(here: Here, look: Look, columns: int) -> None:
    here.sandbox.change(look.change)
    here.accounts(here.entry(FIRST, "primary"), here.entry(SECOND, "secondary", **look.policy))
    here.set(COLUMNS=str(columns))
    ended = here.run(*look.command)
    assert ended.exit_code == 0
    seen = settled(ended.out, here)
    golden = GOLDEN / f"{look.name}-{columns}.txt"
    if REWRITE:
        golden.write_text(seen, encoding="utf-8")
    assert seen == golden.read_text(encoding="utf-8")
    path = str(here.folder)
    too_wide = [line for line in ended.out.splitlines() if len(line) > columns and path not in line]
    assert not too_wide


def test_reasons_stand_below_where_the_figures_leave_them_no_room(here: Here) -> None:
    here.sandbox.change({"accounts": {FIRST: {"cash": "987654321098.76"}}})
    here.set(COLUMNS="120")
    shown = here.run("plan", FIRST).out
    assert "not in the targets" in shown
    assert "…" not in shown
    assert "Why" not in shown.partition("Untouched")[0]


def test_a_small_short_position_has_no_weight_below_zero(here: Here) -> None:
    here.sandbox.change({"accounts": {SECOND: {"cash": "9999999", "positions": {"OLDCO": -1}}}})
    shown = here.run("positions", SECOND).out
    assert "OLDCO" in shown
    assert " 0.0%" in shown
    assert "-0.0%" not in shown


def test_what_is_hardly_meant_in_dotenv_is_told_also_where_nothing_is_asked(here: Here) -> None:
    (here.folder / ".env").write_text("this is junk\n", encoding="utf-8")
    (here.folder / ".env").chmod(0o600)
    ended = here.run("accounts")
    assert ended.exit_code == 0
    assert ".env:1: This line is not NAME=value and is passed over." in ended.err


@pytest.mark.parametrize("command", ["plan", "positions"])
@pytest.mark.parametrize(
    ("exchanges", "names"),
    [(("ARCA", "NYSE"), {"TWO ARCA", "TWO NYSE"}), (("ARCA", "ARCA"), {"TWO 301", "TWO 302"})],
    ids=["by exchange", "by number"],
)
def test_contracts_of_one_symbol_are_told_apart(
    here: Here, command: str, exchanges: tuple[str, str], names: set[str]
) -> None:
    priced = {"bid": "9.99", "ask": "10.01", "last": "10"}
    twins = [priced | {"con_id": 301 + n, "primary_exchange": exchange} for n, exchange in enumerate(exchanges)]
    here.sandbox.change({"market": {"TWO": twins}, "accounts": {SECOND: {"positions": {"301": 5, "302": 7}}}})
    ended = here.run(command, SECOND)
    assert set(re.findall(r"TWO \w+", ended.out)) == names
    assert "SPY  " in ended.out


def test_a_holding_without_a_mark_shows_none(here: Here) -> None:
    unset = {"marketPrice": "1.7976931348623157E308", "marketValue": "1.7976931348623157E308"}
    here.sandbox.change(
        {
            "accounts": {SECOND: {"positions": {"OLDCO": 100}}},
            "faults": [fault("updatePortfolio", "alter", where={"symbol": "OLDCO"}, parameters=unset)],
        }
    )
    row = next(line for line in here.run("positions", SECOND).out.splitlines() if "OLDCO" in line)
    assert row.count("–") == 3
    row = next(line for line in here.run("plan", SECOND).out.splitlines() if "OLDCO" in line)
    assert row.rstrip().endswith("–  the gateway gives no market value of it")


@pytest.mark.parametrize("command", ["plan", "positions", "accounts --check"])
def test_figures_are_whole_however_narrow_the_terminal(here: Here, command: str) -> None:
    here.sandbox.change(LARGE)
    seen = []
    for columns in ("400", "40"):
        here.set(COLUMNS=columns)
        seen.append(sorted(re.findall(r"[0-9]+,[0-9,.]*[0-9]", here.run(*command.split()).out)))
    wide, narrow = seen
    assert wide == narrow
    assert len(wide) > 5


def test_a_pipe_gets_no_colour_no_spinner_and_the_width_of_a_wide_terminal(here: Here) -> None:
    ended = here.run("plan", FIRST)
    assert "\x1b" not in ended.out + ended.err
    assert "\r" not in ended.out + ended.err
    assert "Connecting to" in ended.err
    here.set(COLUMNS="120")
    assert settled(ended.out, here) == (GOLDEN / "plan-120.txt").read_text(encoding="utf-8")


def test_a_log_or_mail_gets_sentences_unbroken(here: Here) -> None:
    here.set(REBALANCER_CONFIG="a-long-name-" * 12)
    ended = here.run("plan")
    assert [line.split(":")[0].split(",")[0] for line in ended.err.splitlines()] == [
        "Error",
        "Hint",
        "CONFIG_NOT_FOUND",
    ]


def test_texts_of_others_are_printed_as_they_are(here: Here) -> None:
    """What looks like markup in a channel's name or at the gateway is none."""
    entry = here.entry(FIRST, "primary")
    entry["notification"]["channel"] = "a[/b][bold]:smile:"
    here.accounts(entry)
    assert "a[/b][bold]:smile:" in here.run("accounts").out


@pytest.mark.parametrize(
    ("encoding", "command"),
    [
        *(("ascii", command) for command in ("plan", "plan --json", "execute --dry-run", "positions", "paln")),
        ("latin-1", "plan"),
        ("utf-8", "plan"),
    ],
)
def test_no_encoding_ends_a_command(here: Here, encoding: str, command: str) -> None:
    ended = here.finish(*command.split(), env={"PYTHONIOENCODING": encoding, "COLUMNS": "80"}, encoding=encoding)
    assert ended.exit_code == (2 if command == "paln" else 0)
    assert "Traceback" not in ended.err
    if command == "plan":
        assert ("→" if encoding == "utf-8" else ">") in ended.out
        assert "?" not in ended.out
    if command == "plan --json":
        assert len(ended.document["plans"]) == 2
