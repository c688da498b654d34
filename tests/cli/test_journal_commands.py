"""`halt`, `resume`, `runs` and `resolve`: what the journal is told and what it tells, without asking any gateway."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from signal import SIGINT

import pytest
from tests.cli.test_execute import placed, shown
from tests.support import journal as kept
from tests.support.commands import SECOND, Here
from tests.support.journal_process import Process, process
from tests.support.sandbox import events, received
from tests.support.schemas import check_document
from tests.support.terminal import on_terminal

from ibkr_rebalancer.edges.journal.journal import Journal

ORDER_REF = kept.intent().order_ref


def state_of(here: Here) -> Path:
    return here.folder / ".local" / "state" / "ibkr-rebalancer"


@contextmanager
def journal_of(here: Here) -> Iterator[Journal]:
    with kept.opened(state_of(here)) as journal:
        yield journal


@pytest.fixture
def doubtful(here: Here) -> Here:
    """A run that died with one order sent, of which the broker has said that it is at the exchange."""
    with journal_of(here) as journal:
        kept.begin(journal)
        journal.intend(kept.intent())
        journal.observe([kept.told()])
    return here


def test_a_halt_lasts_until_it_is_resumed(here: Here) -> None:
    halted = here.run("halt", "the", "targets", "look", "wrong")
    where = f"No order leaves any process whose state is in {state_of(here)}."
    assert (halted.exit_code, halted.out) == (0, f"Trading is halted: the targets look wrong.\n{where}\n")
    refused = here.run("execute", SECOND, "--yes")
    assert refused.exit_code == 14
    assert ": the targets look wrong. Nothing was sent.\nHint: When the reason is gone" in refused.err
    assert "run: rebalancer resume\nHALTED" in refused.err
    assert not placed(here.sandbox.log)
    assert here.run("plan", SECOND).exit_code == 0
    resumed = here.run("resume", "they are corrected")
    assert resumed.exit_code == 0
    assert resumed.out.startswith("Trading may go on. It was halted since 20")
    assert resumed.out.endswith(f" UTC: the targets look wrong.\nThe state is in {state_of(here)}.\n")
    assert here.run("execute", SECOND, "--yes").exit_code == 0


def test_a_halt_needs_no_reason_and_a_resume_no_halt(here: Here) -> None:
    resumed = here.run("resume")
    expected = f"Trading was not halted for any process whose state is in {state_of(here)}.\n"
    assert (resumed.exit_code, resumed.out) == (0, expected)
    assert here.run("halt").out.startswith("Trading is halted: no reason given.\n")
    assert not received(here.sandbox.log)


def test_a_halt_that_fails_says_so(here: Here) -> None:
    assert here.run("halt").exit_code == 0
    journal = state_of(here) / "journal.db"
    journal.write_bytes(b"no journal" * 1000)
    failed = here.run("halt")
    assert failed.exit_code == 30
    assert f"Error: TRADING IS NOT HALTED: end the processes that trade. {journal} " in failed.err.replace("\n", " ")
    assert failed.err.count("TRADING IS NOT HALTED") == 1


def test_a_halt_is_a_document(here: Here) -> None:
    halted, resumed = here.run("halt", "no good", "--json").document, here.run("resume", "--json").document
    check_document(halted)
    check_document(resumed)
    assert halted["halt"]["reason"] == "no good"
    assert halted["state"] == resumed["state"] == str(state_of(here))
    assert resumed["halt"] is None
    assert halted["watch"] is resumed["watch"] is None


def watch_of(process: Process) -> str:
    return f"pid {process.pid}, since 2026-11-23 15:30 UTC"


def test_a_running_watch_confirms_a_halt(here: Here) -> None:
    with process("heed", state_of(here)) as watching:
        assert watching.lines(1) == ["ready"]
        halted = here.run("halt", "no good")
        assert (halted.exit_code, halted.err) == (0, "")
        where, confirmed = halted.out.splitlines()[1:]
        assert where == f"No order leaves any process whose state is in {state_of(here)}."
        assert confirmed == f"The watch ({watch_of(watching)}) has confirmed it."


def test_a_watch_that_does_not_confirm_a_halt_is_told(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("ibkr_rebalancer.cli.halt"), "CONFIRMED_WITHIN_S", 0.2)
    with process("watch", state_of(here)) as watching:
        assert watching.lines(1) == ["ready"]
        halted, told = here.run("halt", "no good"), here.run("halt", "no good", "--json").document
        assert halted.exit_code == 0
        assert halted.out.splitlines()[0] == "Trading is halted: no good."
        assert halted.out.splitlines()[2] == (
            f"The watch ({watch_of(watching)}) has not confirmed it. None of its orders leaves either, as it asks "
            "before each; but look at its log, or end it: it may hang."
        )
        check_document(told)
        assert told["watch"] == {"process": watch_of(watching), "confirmed": False}
    with journal_of(here) as journal:
        assert journal.halted()


def test_a_halt_says_that_it_holds_when_nobody_waits_for_the_watch(here: Here) -> None:
    """Ctrl-C ends the waiting, not the halt."""
    with process("watch", state_of(here)) as watching:
        assert watching.lines(1) == ["ready"]
        with here.start("halt", "no good", "-v") as halting:
            assert halting.stderr
            assert any("Trading is halted" in line for line in iter(halting.stderr.readline, ""))
            halting.send_signal(SIGINT)
            out, _ = halting.communicate(timeout=20)
    assert halting.returncode == 0
    assert out.startswith("Trading is halted: no good.\n")
    assert "has not confirmed it" in out


def test_a_halt_whose_watch_cannot_be_asked_holds_and_says_so(here: Here) -> None:
    with journal_of(here):
        (here.folder / "elsewhere").touch()
        (state_of(here) / "watch.lock").symlink_to(here.folder / "elsewhere")
    halted = here.run("halt", "no good")
    assert halted.exit_code == 30
    assert "Error: TRADING IS HALTED. Whether a watch has seen it cannot be read. " in halted.err
    assert "NOT HALTED" not in halted.err
    with journal_of(here) as journal:
        assert journal.halted()


def test_a_halt_holds_where_its_state_is(here: Here) -> None:
    elsewhere = str(here.folder / "elsewhere")
    assert here.run("halt", "--state", elsewhere).exit_code == 0
    assert here.run("execute", SECOND, "--yes", "--state", elsewhere).exit_code == 14
    assert here.run("execute", SECOND, "--yes").exit_code == 0


@pytest.mark.parametrize("broken", [None, "", "not: [closed", "\0"], ids=["missing", "empty", "no YAML", "no text"])
def test_a_halt_needs_no_accounts(here: Here, broken: str | None) -> None:
    """It is the emergency brake; whatever else is wrong with the settings, it holds for the processes at work."""
    path = here.folder / "accounts.yaml"
    kept_there = path.read_text(encoding="utf-8")
    with journal_of(here):
        pass
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken, encoding="utf-8")
    here.set(IBKR_PORT="many")
    assert here.run("execute", SECOND, "--yes").exit_code == 78
    halted = here.run("halt", "stop it")
    where = f"No order leaves any process whose state is in {state_of(here)}."
    assert (halted.exit_code, halted.out, halted.err) == (0, f"Trading is halted: stop it.\n{where}\n", "")
    assert here.run("runs").out == "There is no run in this journal.\n"
    path.write_text(kept_there, encoding="utf-8")
    here.set(IBKR_PORT=str(here.sandbox.inside.gateway_port))
    assert here.run("execute", SECOND, "--yes").exit_code == 14
    path.unlink()
    assert here.run("resume").exit_code == 0
    path.write_text(kept_there, encoding="utf-8")
    with journal_of(here) as journal:
        assert journal.halted() is None


def test_a_halt_is_not_kept_from_live_trading_by_a_folder_that_others_may_use(here: Here) -> None:
    with journal_of(here):
        state_of(here).chmod(0o755)
    here.set(TRADING_MODE="live")
    halted = here.run("halt")
    assert halted.exit_code == 0
    assert "journal.exposed: Other users of this machine may use " in halted.err


def test_a_halt_where_nobody_has_traded_says_so(here: Here) -> None:
    """Else it would lull whoever has named the wrong folder, or is another user than the process to be stopped."""
    halted = here.run("halt")
    doubt = f"No process has used {state_of(here)} before; if one is at work, name its state folder with --state"
    assert halted.exit_code == 0
    assert f"state.make: {doubt}" in halted.err
    assert here.run("halt").err == ""


def test_a_halt_stops_a_run_at_work(here: Here) -> None:
    """What was sent comes to its end; what was still to be sent is not."""
    here.sandbox.change({"market": {"SPY": {"fills": {"delay_ms": 1500}}}})
    with here.start("execute", SECOND, "--yes") as process:
        here.sandbox.until(lambda log: events(log, "order"))
        assert here.run("halt", "no good").exit_code == 0
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 14
    assert placed(here.sandbox.log) == [("SELL", "SPY", 20)]
    assert "Halted: 1 of 3 orders filled in full, 355 shares are missing." in out
    assert out.splitlines()[-2].endswith(f": no good. Nothing more was sent for {SECOND}. (HALTED)")
    assert out.splitlines()[-1] == "Next: When the reason is gone, run: rebalancer resume"
    (run,) = here.run("runs", "--json").document["runs"]
    record = here.run("runs", run["run_id"], "--json").document["record"]
    assert (run["outcome"], run["code"], record["report"]["code"]) == ("halted", "HALTED", "HALTED")


def test_runs_are_listed_the_newest_first(here: Here) -> None:
    assert here.run("runs").out == "There is no run in this journal.\n"
    for _ in range(2):
        here.run("execute", SECOND, "--yes")
    here.set(COLUMNS="80")
    document = here.run("runs", "--json").document
    check_document(document)
    newest, oldest = document["runs"]
    assert [(run["outcome"], run["code"]) for run in (newest, oldest)] == [("nothing-to-do", ""), ("done", "")]
    assert (oldest["account"], oldest["mode"], oldest["trigger"], oldest["orders"]) == (
        SECOND,
        "rebalance",
        "command",
        3,
    )
    assert newest["started"] > oldest["ended"] > oldest["started"]
    assert here.run("runs", "--limit", "1", "--json").document["runs"] == [newest]
    lines = here.run("runs").out.splitlines()
    assert [line.split()[2:] for line in lines if SECOND in line] == [
        ["rebalance", "nothing-to-do", "0", "0"],
        ["rebalance", "done", "3", "0"],
    ]


def test_one_run_is_told_by_the_beginning_of_its_id(here: Here) -> None:
    here.run("execute", SECOND, "--yes")
    (run,) = here.run("runs", "--json").document["runs"]
    told = here.run("runs", run["run_id"][:20])
    assert told.exit_code == 0
    assert told.out.splitlines()[0] == "Run of paper account DU789012"
    assert told.out.splitlines()[-1] == "Done: all 3 orders are filled."
    assert "20 filled at 676.90, commission 1.00" in told.out
    document = here.run("runs", run["run_id"], "--json").document
    check_document(document)
    record = document["record"]
    assert record["start"]["run_id"] == record["report"]["run_id"] == run["run_id"]
    assert [order["state"]["status"] for order in record["orders"]] == ["filled"] * 3
    assert {heard["kind"] for heard in record["orders"][0]["evidence"]} >= {"Sent", "StatusTold", "Executed"}
    assert record["failure"] is None
    assert '"allocations"' in record["allocation"]


def test_a_run_that_was_refused_tells_why(here: Here) -> None:
    here.sandbox.change({"market": {"QQQ": {"hours": "09:30-09:31 Asia/Tokyo"}}})
    refused = here.run("execute", SECOND, "--yes")
    assert refused.exit_code == 10
    told = here.run("runs", "2").out
    assert "before anything was sent, exit code 10.\nMARKET_CLOSED: Market closed at " in told
    check_document(here.run("runs", "2", "--json").document)
    (run,) = here.run("runs", "--json").document["runs"]
    assert (run["code"], run["exit_code"]) == ("MARKET_CLOSED", 10)


def test_an_order_in_doubt_is_resolved_by_a_person_who_has_seen_it(doubtful: Here) -> None:
    with on_terminal(doubtful, "resolve", ORDER_REF, "--filled", "4", "--note", "trade log") as terminal:
        terminal.err.until("Record that 4 of 10 shares were filled? [y/N]")
        terminal.type("y")
        assert terminal.end() == 0
    asked, out = shown(terminal.err.text), shown(terminal.out.text)
    assert f"SELL 10 AAA  limit order at 99.90  {ORDER_REF}" in asked
    assert "it is at the exchange (Submitted)" in asked
    recorded = f"{ORDER_REF} is recorded as cancelled, with 4 shares filled. No order is without an outcome."
    assert recorded in " ".join(out.split())
    assert "resolved by hand, 4 of 10 filled: trade log" in doubtful.run("runs", kept.RUN).out
    assert not received(doubtful.sandbox.log)


def test_an_order_in_doubt_stays_so_if_the_person_says_no(doubtful: Here) -> None:
    with on_terminal(doubtful, "resolve", ORDER_REF, "--filled", "4", "--note", "trade log") as terminal:
        terminal.err.until("were filled? [y/N]")
        terminal.type("n")
        assert terminal.end() == 0
    assert "Nothing was recorded." in terminal.out.text
    with journal_of(doubtful) as journal:
        assert [order.intent.order_ref for order in journal.unsettled()] == [ORDER_REF]


def test_an_order_in_doubt_is_resolved_by_a_program(doubtful: Here) -> None:
    with journal_of(doubtful) as journal:
        journal.intend(kept.intent(2))
    command = ("resolve", ORDER_REF, "--filled", "10", "--note", "trade log", "--yes")
    document = doubtful.run(*command, "--json").document
    check_document(document)
    assert document["order_ref"] == ORDER_REF
    assert (document["state"]["status"], document["state"]["filled"], document["unsettled"]) == ("filled", 10, 1)
    again = doubtful.run(*command)
    assert (again.exit_code, again.err.splitlines()[-1]) == (2, "ORDER_NOT_OPEN, exit code 2")
    other = doubtful.run("resolve", kept.intent(2).order_ref, "--filled", "0", "--note", "gone", "--yes")
    assert other.out.endswith("is recorded as cancelled, with 0 shares filled. No order is without an outcome.\n")


def test_more_than_was_ordered_cannot_have_been_filled(doubtful: Here) -> None:
    ended = doubtful.run("resolve", ORDER_REF, "--filled", "11", "--note", "trade log", "--yes")
    assert ended.exit_code == 2
    assert (
        "Error: SELL 10 AAA cannot have filled 11 shares; 0 have been filled for certain.\n"
        "Hint: Give a number from 0 to 10.\n"
    ) in ended.err


@pytest.mark.parametrize(
    "command", ["halt", "resume", "runs", "runs 2", f"resolve {ORDER_REF} --filled 1 --note x --yes"]
)
def test_a_journal_that_cannot_be_trusted_is_no_basis(here: Here, command: str) -> None:
    state_of(here).mkdir(parents=True, mode=0o700)
    (state_of(here) / "journal.db").write_bytes(b"not a database at all" * 100)
    ended = here.run(*command.split())
    assert (ended.exit_code, ended.out) == (30, "")
    assert "exit code 30" in ended.err
