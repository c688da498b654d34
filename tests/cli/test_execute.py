"""`execute` trades when it is told to, and only then: what it asks, what it sends, what it reports."""

import json
import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
from tests.cli.test_looks import ON_TARGET
from tests.support.commands import FIRST, SECOND, Here
from tests.support.sandbox import events, order_fault, order_messages, received
from tests.support.schemas import check_document
from tests.support.terminal import on_terminal

from ibkr_rebalancer.flows.execution import Execution
from ibkr_rebalancer.sandbox.log import Record
from ibkr_rebalancer.sandbox.venue.document import Document

LIVE = "U1234567"

COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
QUESTION = "Send 3 orders worth 79,301 USD for DU789012 (paper)? [y/N]"


def placed(log: list[Record]) -> list[tuple[str, str, int]]:
    """Side, symbol and shares of every order that reached the venue, in order."""
    told = {record["order_ref"]: record for record in reversed(events(log, "order"))}
    first = [record for record in events(log, "order") if told[record["order_ref"]] is record]
    return [(record["side"], record["symbol"], int(record["quantity"])) for record in first]


def shown(text: str) -> str:
    """What a terminal shows: without colours and cursor movements."""
    return COLOUR.sub("", text)


def test_yes_sends_the_plan_and_reports_what_was_filled(here: Here) -> None:
    plan = here.run("plan", FIRST, "--json").document["plans"][0]
    ended = here.run("execute", FIRST, "--yes", "--json")
    assert ended.exit_code == 0
    check_document(ended.document)
    assert ended.document["errors"] == []
    (run,) = ended.document["runs"]
    assert (run["mode"], run["trigger"], run["outcome"], run["exit_code"]) == ("rebalance", "command", "done", 0)
    meant = [(trade["side"], trade["symbol"], trade["quantity"]) for trade in plan["trades"]]
    assert meant == placed(here.sandbox.log)
    assert meant == [(order["side"], order["symbol"], order["filled"]) for order in run["orders"]]
    again = here.run("execute", FIRST, "--yes")
    assert (again.exit_code, len(placed(here.sandbox.log))) == (0, len(meant))
    assert "Nothing to do." in again.out


def test_a_dry_run_wins_over_yes(here: Here) -> None:
    ended = here.run("execute", "--yes", "--dry-run", "--adopt")
    assert ended.exit_code == 0
    assert "9 orders planned, none sent" in ended.out
    assert not order_messages(here.sandbox.log)


@pytest.mark.parametrize("options", [(), ("--json",), ("--adopt",)], ids=lambda options: " ".join(options) or "plain")
def test_where_nobody_can_be_asked_nothing_is_sent_without_yes(here: Here, options: tuple[str, ...]) -> None:
    """Not even a question goes out to the gateway."""
    ended = here.run("execute", *options)
    assert ended.exit_code == 2
    message = "Nobody can be asked here whether to send orders. Nothing was sent."
    hint = "Add --yes to send them, or --dry-run to see them."
    if "--json" in options:
        check_document(ended.document)
        error = {"code": "NOT_CONFIRMED", "message": message, "hint": hint, "exit_code": 2}
        assert ended.document["error"] == error
    else:
        assert ended.err == f"Error: {message}\nHint: {hint}\nNOT_CONFIRMED, exit code 2\n"
    assert not received(here.sandbox.log)


def test_a_person_who_says_yes_gets_what_was_shown(here: Here) -> None:
    with on_terminal(here, "execute", SECOND) as terminal:
        terminal.err.until(QUESTION)
        assert not placed(here.sandbox.log)
        terminal.type("y")
        assert terminal.end() == 0
    asked, out = shown(terminal.err.text), shown(terminal.out.text)
    assert asked.count(QUESTION) == 1
    assert "Plan for paper account DU789012" in asked
    trades = re.findall(r"(BUY|SELL) ([\d,]+)  ", asked)
    assert [(side, int(count)) for side, count in trades] == [
        (side, count) for side, _, count in placed(here.sandbox.log)
    ]
    assert "Run for paper account DU789012" in out
    assert out.splitlines()[-1] == "Done: all 3 orders are filled."


def test_a_person_who_says_no_has_lost_nothing(here: Here) -> None:
    """A yes that was typed before the question is no answer to it."""
    with on_terminal(here, "execute", SECOND) as terminal:
        terminal.type("y")
        terminal.err.until(QUESTION)
        terminal.type("n")
        assert terminal.end() == 0
    assert shown(terminal.out.text).splitlines()[-1] == "Nothing was sent."
    assert not placed(here.sandbox.log)


def test_ctrl_c_at_the_question_sends_nothing(here: Here) -> None:
    with on_terminal(here, "execute", SECOND) as terminal:
        terminal.err.until(QUESTION)
        terminal.interrupt()
        assert terminal.end() == 130
    assert shown(terminal.err.text).splitlines()[-1] == "Interrupted. Nothing was sent."
    assert not placed(here.sandbox.log)
    (run,) = here.run("runs", "--json").document["runs"]
    assert (run["outcome"], run["exit_code"]) == ("INTERRUPTED", 10)


def test_a_plan_that_has_changed_meanwhile_is_shown_and_asked_for_again(here: Here) -> None:
    with on_terminal(here, "execute", SECOND) as terminal:
        terminal.err.until(QUESTION)
        here.sandbox.change({"accounts": {SECOND: {"positions": {"SPY": 30}}}})
        terminal.type("y")
        terminal.err.until("Here is the new plan")
        terminal.err.until("Send 3 orders worth 92,789 USD for DU789012 (paper)? [y/N]")
        assert "SELL 30" in terminal.err.text
        assert not placed(here.sandbox.log)
        terminal.type("y")
        assert terminal.end() == 0
    assert placed(here.sandbox.log)[0] == ("SELL", "SPY", 30)


def test_nobody_is_asked_when_there_is_nothing_to_do(here: Here) -> None:
    here.sandbox.change(ON_TARGET)
    with on_terminal(here, "execute", SECOND) as terminal:
        assert terminal.end() == 0
    assert "[y/N]" not in terminal.err.text
    assert "Nothing to do." in shown(terminal.out.text)


def test_json_on_a_terminal_asks_beside_the_document(here: Here) -> None:
    """One question for all accounts."""
    with on_terminal(here, "execute", "--json") as terminal:
        terminal.err.until("Send 12 orders worth 245,872 USD for DU123456 and DU789012 (paper)? [y/N]")
        terminal.type("n")
        assert terminal.end() == 0
    document = json.loads(terminal.out.text.removeprefix("n\n"))
    check_document(document)
    assert [
        (run["account"], run["outcome"], run["plan"], run["orders"], run["exit_code"]) for run in document["runs"]
    ] == [
        (FIRST, "declined", None, [], 0),
        (SECOND, "declined", None, [], 0),
    ]


def test_real_money_is_said_to_be_real(here: Here) -> None:
    _go_live(here)
    with on_terminal(here, "execute", LIVE, TRADING_MODE="live") as terminal:
        terminal.err.until("Send 1 order worth 4,892 USD for U1234567 (live)? [y/N]")
        terminal.type("n")
        assert terminal.end() == 0
    assert "Plan for live account U1234567" in shown(terminal.err.text)


def test_the_first_sale_of_real_holdings_takes_adopt_where_nobody_is_asked(here: Here) -> None:
    _go_live(here, positions={"SPY": 20})
    here.set(TRADING_MODE="live")
    refused = here.run("execute", LIVE, "--yes")
    assert (refused.exit_code, placed(here.sandbox.log)) == (11, [])
    assert "SPY" in refused.err
    assert "or once with --adopt." in refused.err
    assert here.run("execute", LIVE, "--yes", "--adopt").exit_code == 0
    assert ("SELL", "SPY", 20) in placed(here.sandbox.log)


def test_a_purchase_that_was_refused_makes_nothing_ours_to_sell(here: Here) -> None:
    """The owner holds some of it, and real money is at stake."""
    no = order_fault("reject", order={"side": "BUY"}, parameters={"text": "No trading permissions"})
    here.set(TRADING_MODE="live")
    here.sandbox.change({"faults": [no]})
    _go_live(here, positions={"QQQ": 20})
    assert here.run("execute", LIVE, "--yes").exit_code == 12
    bought = placed(here.sandbox.log)
    assert [(side, symbol) for side, symbol, _ in bought] == [("BUY", "QQQ")]
    here.sandbox.change({"faults": []})
    _go_live(here, wanted="SPY")
    refused = here.run("execute", LIVE, "--yes")
    assert (refused.exit_code, placed(here.sandbox.log)) == (11, bought)
    assert "would sell holdings that were not bought here: 20 QQQ. Nothing was sent." in refused.err


def _go_live(here: Here, *, wanted: str = "QQQ", **account: object) -> None:
    """An account with real money, whose targets are one ETF."""
    rows = [{"symbol": wanted, "allocation": 1}]
    body = {"status": "success", "data": {"allocations": rows}}
    here.sandbox.change(
        {"accounts": {LIVE: {"cash": "5000", **account}}, "allocations": {"all": {"http": {"body": body}}}}
    )
    here.accounts(here.entry(LIVE, "all"))


def test_what_was_not_filled_is_the_exit_code_and_the_last_word(here: Here) -> None:
    closed = order_fault("reject", order={"symbol": "SPY"}, parameters={"text": "Exchange is closed."})
    here.sandbox.change({"faults": [closed]})
    ended = here.run("execute", SECOND, "--yes")
    assert ended.exit_code == 12
    assert "Exchange is closed. (201)" in ended.out
    assert "For SPY: Run the command again when the market is open." in ended.out.splitlines()
    assert ended.out.splitlines()[-1] == "Next: Run the command again: it plans anew from what is held then."
    document = here.run("runs", "--json").document
    check_document(document)
    assert [(run["outcome"], run["exit_code"]) for run in document["runs"]] == [("partial", 12)]


def test_the_gravest_of_several_runs_decides(here: Here) -> None:
    large = {"code": 383, "text": "size exceeds the Size Limit of 10."}
    here.sandbox.change(
        {"faults": [order_fault("reject", order={"account": SECOND, "symbol": "SPY"}, parameters=large)]}
    )
    ended = here.run("execute", "--yes", "--json")
    assert ended.exit_code == 12
    assert [run["exit_code"] for run in ended.document["runs"]] == [0, 12]
    remedies = {order["symbol"]: order["remedy"] for order in ended.document["runs"][1]["orders"]}
    assert remedies["SPY"].startswith("Raise or clear that limit in the gateway's configuration under Presets")
    assert not any(remedy for symbol, remedy in remedies.items() if symbol != "SPY")


def test_a_purchase_that_would_be_refused_stops_the_run_with_what_can_be_done(here: Here) -> None:
    why = {"text": "Order rejected - reason:This product does not have a KID in English."}
    here.sandbox.change({"faults": [{"when": {"preview": {"symbol": "QQQ"}}, "what": {"reject": why}}]})
    ended = here.run("execute", SECOND, "--yes", "--json")
    assert ended.exit_code == 11
    check_document(ended.document)
    error = ended.document["error"]
    assert error["code"] == "ORDER_WOULD_BE_REJECTED"
    assert "no key information document (KID)" in error["message"]
    assert error["hint"].startswith("Name a UCITS fund")
    assert not placed(here.sandbox.log)


def test_a_cash_account_is_warned_of_selling_what_it_has_just_bought(here: Here) -> None:
    """And it is sold: a warning stops nothing."""
    here.sandbox.change({"accounts": {SECOND: {"type": "CASH", "cash": "50000", "positions": {"SPY": None}}}})
    first = here.run("execute", SECOND, "--yes", "--json")
    assert (first.exit_code, first.document["runs"][0]["plan"]["remarks"]) == (0, [])
    body = {"status": "success", "data": {"allocations": [{"symbol": "SPY", "allocation": 1}]}}
    here.sandbox.change({"allocations": {"secondary": {"http": {"body": body}}}})
    ended = here.run("execute", SECOND, "--yes")
    assert ended.exit_code == 0
    warning = r"In a cash account selling QQQ \(bought on [-\d]+\), TLT \(bought on [-\d]+\) can count as free-riding"
    assert len(re.findall(warning, ended.err)) == 1
    (run,) = re.findall(r"run (\S+)", ended.out)
    assert re.search(warning, " ".join(here.run("runs", run).out.split()))
    assert [order[:2] for order in placed(here.sandbox.log)[2:4]] == [("SELL", "QQQ"), ("SELL", "TLT")]


def test_steps_are_told_while_it_works(here: Here) -> None:
    ended = here.finish("execute", SECOND, "--yes")
    assert ended.exit_code == 0
    for step in ("Connecting to 127.0.0.1", "Selling: 1 orders", "Buying: 2 orders"):
        assert step in ended.err
    assert f"State in {here.folder}" in ended.err


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_who_is_gone_changes_neither_orders_nor_exit_code(here: Here, closed: str) -> None:
    here.sandbox.change({"faults": [order_fault("reject", order={"symbol": "SPY"})]})
    read, write = os.pipe()
    os.close(read)
    ended = here.finish("execute", SECOND, "--yes", **{closed: write})
    os.close(write)
    assert ended.exit_code == 12
    assert [order[:2] for order in placed(here.sandbox.log)] == [("SELL", "SPY"), ("BUY", "QQQ"), ("BUY", "TLT")]
    assert "Traceback" not in (ended.err or "")


@pytest.mark.parametrize(("change", "exit_code"), [({}, 0), ({"faults": [order_fault("reject")]}, 12)])
def test_a_full_disk_does_not_change_what_became_of_the_orders(here: Here, change: Document, exit_code: int) -> None:
    """Cron must not take a trade that is done for a command that was called wrongly."""
    here.sandbox.change(change)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = here.finish("execute", SECOND, "--yes", stdout=full)
    assert ended.exit_code == exit_code
    assert ended.err.endswith(
        "Warning: standard output cannot be written: No space left on device.\n"
        "The exit code tells what came of the orders, and rebalancer runs shows all of it.\n"
    )
    assert placed(here.sandbox.log)


def test_a_defect_while_orders_are_out_does_not_say_that_nothing_was_sent(here: Here) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("no idea")

    here.monkeypatch.setattr(Execution, "_affordable", fail)
    ended = here.run("execute", SECOND, "--yes")
    assert ended.exit_code == 70
    assert (
        "Error: A defect of rebalancer: RuntimeError. Orders may be open at Interactive Brokers, or filled. "
        "Run the command again: before it does anything else, it finds out what became of them.\n"
        "Hint: Please report it"
    ) in ended.err
    assert placed(here.sandbox.log) == [("SELL", "SPY", 20)]


def test_the_state_folder_is_where_it_is_told_to_be(here: Here) -> None:
    state = here.folder / "elsewhere"
    ended = here.run("execute", SECOND, "--yes", "--state", str(state), "-v")
    assert ended.exit_code == 0
    assert f"State in {state}" in ended.err
    assert f"Settings from {here.folder}/accounts.yaml" in ended.err
    assert (state / "journal.db").exists()
    assert here.run("runs", "--json").document["runs"] == []
    assert len(here.run("runs", "--json", "--state", str(state)).document["runs"]) == 1


def test_the_report_adds_up(here: Here) -> None:
    before = here.run("positions", SECOND, "--json").document["portfolios"][0]["balances"]
    run = here.run("execute", SECOND, "--yes", "--json").document["runs"][0]
    after = here.run("positions", SECOND, "--json").document["portfolios"][0]["balances"]
    signed = {"SELL": 1, "BUY": -1}
    moved = sum(signed[o["side"]] * o["filled"] * Decimal(o["average_price"]) for o in run["orders"])
    charged = sum(Decimal(order["commission"]) for order in run["orders"])
    assert Decimal(after["total_cash"]) == Decimal(before["total_cash"]) + moved - charged
