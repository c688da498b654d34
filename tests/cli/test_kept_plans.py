"""Plans that are kept in a file and carried out later: these very plans, once, and only while nothing has changed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_execute import QUESTION, placed, shown
from tests.cli.test_looks import ON_TARGET
from tests.support.commands import FIRST, SECOND, Ended, Here
from tests.support.sandbox import events, order_messages, received
from tests.support.schemas import check_document
from tests.support.terminal import on_terminal

from ibkr_rebalancer.core.plan_document import sealed
from ibkr_rebalancer.sandbox.venue.document import Document

Orders = list[tuple[str, str, int]]


def kept(here: Here, *accounts: str) -> Orders:
    """Keep the plans in plan.json; the orders they mean."""
    assert here.run("plan", *accounts, "-o", "plan.json").exit_code == 0
    plans = content(here)["plans"]
    return [(trade["side"], trade["symbol"], trade["quantity"]) for plan in plans for trade in plan["trades"]]


def carried_out(here: Here, *options: str) -> Ended:
    return here.run("execute", "--plan", "plan.json", "--yes", *options)


def content(here: Here) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((here.folder / "plan.json").read_text(encoding="utf-8"))
    return read


def refusal(here: Here, ended: Ended) -> str:
    """The sentence of a refusal that has sent nothing."""
    assert not order_messages(here.sandbox.log)
    assert ended.exit_code == 11
    check_document(ended.document)
    sentence: str = ended.document["error"]["message"]
    return f"{ended.document['error']['code']}: {sentence}"


def test_a_kept_plan_is_carried_out_and_reported(here: Here) -> None:
    """Prices that have moved a little since change no order."""
    meant = kept(here, SECOND)
    planned = content(here)["plans"][0]
    here.sandbox.change({"market": {"SPY": {"bid": "676.5", "ask": "676.8"}}})
    ended = carried_out(here, "--json")
    assert ended.exit_code == 0
    check_document(ended.document)
    (run,) = ended.document["runs"]
    assert (run["mode"], run["trigger"], run["outcome"]) == ("rebalance", "command", "done")
    assert run["plan"] == planned
    assert placed(here.sandbox.log) == meant
    assert [(order["side"], order["symbol"], order["filled"]) for order in run["orders"]] == meant


def test_older_plans_are_replaced_whatever_became_of_them(here: Here) -> None:
    file = here.folder / "plan.json"
    for there in ("", '{"schema": "rebalancer.plan/1", "pla', ' {\n  "schema" :"rebalancer.plan/7"}'):
        file.write_text(there, encoding="utf-8")
        file.chmod(0o644)
        assert len(kept(here, SECOND)) == 3
        assert file.stat().st_mode & 0o777 == 0o600
    for there in ('{"schema": "rebalancer.run/1"}', "<!DOCTYPE html>"):
        file.write_text(there, encoding="utf-8")
        assert here.run("plan", "-o", "plan.json").exit_code == 2
        assert file.read_text(encoding="utf-8") == there


def test_what_is_kept_is_what_is_printed(here: Here) -> None:
    ended = here.run("plan", "--json", "--output", "plan.json")
    check_document(ended.document)
    assert ended.document == content(here)
    assert ended.err.endswith("The plan is in plan.json\n")
    assert here.run("plan", "-o", "plan.json").out.startswith("Plan for paper account DU123456")


def test_what_was_printed_into_a_file_is_as_good(here: Here) -> None:
    (here.folder / "plan.json").write_text(here.run("plan", SECOND, "--json").out, encoding="utf-8")
    assert carried_out(here, "--dry-run").exit_code == 0


def test_the_plans_of_several_accounts_are_carried_out_together(here: Here) -> None:
    meant = kept(here)
    ended = carried_out(here, "--json")
    assert ended.exit_code == 0
    assert [run["account"] for run in ended.document["runs"]] == [FIRST, SECOND]
    assert sorted(placed(here.sandbox.log)) == sorted(meant)


OTHERS = [{"symbol": "QQQ", "allocation": 0.5}, {"symbol": "SPY", "allocation": 0.5}]

STALE: dict[str, tuple[Document, str]] = {
    "a position": (
        {"accounts": {SECOND: {"positions": {"SPY": 30, "QQQ": 2}}}},
        "QQQ position was 0, is now 2; SPY position was 20, is now 30",
    ),
    "a price": (
        {"market": {"QQQ": {"bid": "549.90", "ask": "550.00"}, "SPY": {"bid": "670", "ask": "670.1"}}},
        "SPY bid was 676.9, is now 670; QQQ ask was {QQQ}, is now 550",
    ),
    "cash": ({"accounts": {SECOND: {"cash": "90000"}}}, "cash was {cash}, is now 90,000.00"),
    "a target": (
        {"allocations": {"secondary": {"http": {"body": {"status": "success", "data": {"allocations": OTHERS}}}}}},
        "QQQ target was 0.6, is now 0.5; SPY target was none, is now 0.5; TLT target was 0.4, is now none",
    ),
}


@pytest.mark.parametrize(("change", "told"), STALE.values(), ids=STALE)
def test_a_plan_file_gone_stale(here: Here, change: Document, told: str) -> None:
    """It says what has changed, symbol by symbol, and sends nothing."""
    kept(here, SECOND)
    (plan,) = content(here)["plans"]
    here.sandbox.change(change)
    sentence = refusal(here, carried_out(here, "--json"))
    cash = f"{float(plan['cash']):,.2f}"
    prices = {trade["symbol"]: trade["price"] for trade in plan["trades"]}
    assert sentence == (
        f"PLAN_STALE: Plan {plan['plan_id']} is stale: {told.format(cash=cash, **prices)}. Nothing was sent."
    )
    (run,) = here.run("runs", "--json").document["runs"]
    assert (run["outcome"], run["exit_code"]) == ("PLAN_STALE", 11)


def test_a_stale_plan_does_not_hold_up_that_of_another_account(here: Here) -> None:
    kept(here)
    here.sandbox.change({"accounts": {FIRST: {"positions": {"SPY": 61}}}})
    ended = carried_out(here)
    assert ended.exit_code == 11
    assert "SPY position was 60, is now 61. Nothing was sent." in ended.err
    assert "Hint: Make a new plan, look at it, and carry out that one.\nPLAN_STALE, exit code 11" in ended.err
    assert {order["account"] for order in events(here.sandbox.log, "order")} == {SECOND}


def test_a_plan_that_was_made_under_other_settings_is_refused(here: Here) -> None:
    kept(here, SECOND)
    here.accounts(here.entry(SECOND, "secondary", min_gain_bp=6))
    assert "is stale: the settings of DU789012 have changed. Nothing was sent." in refusal(
        here, carried_out(here, "--json")
    )


def test_a_plan_is_carried_out_once(here: Here) -> None:
    kept(here, SECOND)
    assert carried_out(here).exit_code == 0
    sent = placed(here.sandbox.log)
    again = carried_out(here)
    assert again.exit_code == 11
    assert "has been carried out before: rb1-" in again.err
    assert "PLAN_USED, exit code 11" in again.err
    assert placed(here.sandbox.log) == sent


def test_a_plan_of_an_account_that_is_not_ours_is_refused(here: Here) -> None:
    kept(here, SECOND)
    here.accounts(here.entry(FIRST, "primary"))
    asked = len(received(here.sandbox.log))
    for options in ((), ("--dry-run",)):
        ended = carried_out(here, *options)
        assert (ended.exit_code, "DU789012 is not in accounts.yaml." in ended.err) == (2, True)
    here.accounts(here.entry(SECOND, "secondary"), here.entry("U1234567", "primary"))
    here.set(TRADING_MODE="live")
    ended = carried_out(here)
    assert (ended.exit_code, "DU789012 is a paper account, but TRADING_MODE is live." in ended.err) == (21, True)
    assert len(received(here.sandbox.log)) == asked


def test_a_plan_that_was_edited_by_hand_is_refused(here: Here) -> None:
    """Nobody is even asked about the account."""
    kept(here, SECOND)
    path = here.folder / "plan.json"
    text = path.read_text(encoding="utf-8")
    assert text.count('"quantity": 20,') == 1
    path.write_text(text.replace('"quantity": 20,', '"quantity": 10,'), encoding="utf-8")
    asked = len(received(here.sandbox.log))
    for options in ((), ("--dry-run",)):
        sentence = refusal(here, carried_out(here, "--json", *options))
        assert sentence.startswith("PLAN_EDITED: plan.json is not as it was made: its digest is '")
    assert len(received(here.sandbox.log)) == asked


def test_a_plan_for_a_contract_that_was_never_looked_up_is_refused(here: Here) -> None:
    """Whoever seals a plan of their own still meets the check before anything is sent."""
    kept(here, SECOND)
    forged = {key: value for key, value in content(here).items() if key != "digest"}
    forged["plans"][0]["trades"][1]["con_id"] = 999
    (here.folder / "plan.json").write_text(json.dumps(sealed(forged)), encoding="utf-8")
    assert "PLAN_STALE" in refusal(here, carried_out(here, "--json"))


def test_a_dry_run_shows_the_kept_plan_and_asks_nobody(here: Here) -> None:
    meant = kept(here, SECOND)
    asked = len(received(here.sandbox.log))
    ended = carried_out(here, "--dry-run", "--json")
    assert ended.exit_code == 0
    check_document(ended.document)
    (run,) = ended.document["runs"]
    assert (run["mode"], run["outcome"]) == ("dry-run", "not-sent")
    assert [(order["side"], order["symbol"], order["quantity"]) for order in run["orders"]] == meant
    assert "Plan for paper account DU789012" in carried_out(here, "--dry-run").out
    assert len(received(here.sandbox.log)) == asked


def test_a_kept_plan_that_changes_at_the_question_is_refused_and_no_other_offered(here: Here) -> None:
    kept(here, SECOND)
    with on_terminal(here, "execute", "--plan", "plan.json") as terminal:
        terminal.err.until(QUESTION)
        here.sandbox.change({"accounts": {SECOND: {"positions": {"SPY": 30}}}})
        terminal.type("y")
        assert terminal.end() == 11
    told = " ".join(shown(terminal.err.text).split())
    assert "SPY position was 20, is now 30. Nothing was sent." in told
    assert told.count("[y/N]") == 1
    assert not placed(here.sandbox.log)


def test_where_nobody_can_be_asked_a_kept_plan_needs_yes_too(here: Here) -> None:
    kept(here, SECOND)
    ended = here.run("execute", "--plan", "plan.json")
    assert (ended.exit_code, "NOT_CONFIRMED" in ended.err) == (2, True)
    assert not order_messages(here.sandbox.log)


def test_accounts_beside_a_plan_file_are_wrong_usage(here: Here) -> None:
    kept(here, SECOND)
    ended = carried_out(here, SECOND)
    assert ended.exit_code == 2
    assert ended.err == (
        "Error: --plan plan.json says all that is to be done, and DU789012 stands beside it.\n"
        "Hint: Leave out either of them; `rebalancer plan -o FILE` takes it when the plan is made.\n"
        "USAGE, exit code 2\n"
    )


def test_a_plan_with_nothing_to_do_is_carried_out_by_doing_nothing(here: Here) -> None:
    here.sandbox.change(ON_TARGET)
    assert kept(here, SECOND) == []
    ended = carried_out(here)
    assert (ended.exit_code, "Nothing to do." in ended.out) == (0, True)


def test_an_account_without_a_plan_is_named_when_the_file_is_made_and_used(here: Here) -> None:
    here.accounts(here.entry("DU999999", "primary"), here.entry(SECOND, "secondary"))
    ended = here.run("plan", "-o", "plan.json")
    assert ended.exit_code == 21
    assert "The plan is in plan.json\n" in ended.err
    ended = carried_out(here)
    assert ended.exit_code == 0
    assert ended.err.startswith("Note: plan.json has no plan for DU999999: The gateway does not manage DU999999")
    assert len(placed(here.sandbox.log)) == 3


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_nothing_is_kept_where_there_is_no_plan(here: Here, options: tuple[str, ...]) -> None:
    here.accounts(here.entry("DU999999", "primary"))
    ended = here.run("plan", "-o", "plan.json", *options)
    assert ended.exit_code == 21
    assert not (here.folder / "plan.json").exists()


def test_a_file_that_may_not_be_replaced_is_told_before_the_gateway_is_asked(here: Here) -> None:
    ended = here.run("plan", "-o", "accounts.yaml")
    assert ended.exit_code == 2
    assert ended.err == (
        "Error: accounts.yaml is there already, and is no plan file; it was left as it is.\n"
        "Hint: Name another file, or remove this one.\n"
        "OUTPUT_FAILED, exit code 2\n"
    )
    for nowhere in ("no-folder/plan.json", "accounts.yaml/plan.json"):
        ended = here.run("plan", "-o", nowhere)
        assert ended.exit_code == 2
        assert f"Error: The plan cannot be written to {nowhere}: No" in ended.err
    assert not received(here.sandbox.log)


def test_a_file_that_is_no_plan_is_told_before_the_gateway_is_asked(here: Here) -> None:
    for file, why in (("accounts.yaml", "it is no JSON"), ("nowhere.json", "No such file or directory")):
        ended = here.run("execute", "--plan", file, "--yes")
        assert (ended.exit_code, why in ended.err) == (2, True)
    assert not received(here.sandbox.log)


def test_the_page_names_real_commands_and_reasons(here: Here) -> None:
    page = (Path(__file__).parents[2] / "docs" / "plan-files.md").read_text(encoding="utf-8")
    commands = re.findall(r"^rebalancer (.*?) *(?:#|$)", page, re.MULTILINE)
    assert len(commands) == 4
    assert {here.run(*command.split(), "--help").exit_code for command in commands} == {0}
    rows = re.findall(r"^\| (`[A-Z_`, ]+) \| (\d+) \|", page, re.MULTILINE)
    listed = {(code, int(exit_code)) for codes, exit_code in rows for code in re.findall(r"[A-Z_]+", codes)}
    refusals = {("PLAN_STALE", 11), ("PLAN_USED", 11), ("PLAN_EDITED", 11)}
    files = {(f"PLAN_FILE_{what}", 2) for what in ("INVALID", "UNREADABLE")}
    others = {("INSECURE_PATH", 78), ("ACCOUNT_UNKNOWN", 2), ("ACCOUNT_DISABLED", 2), ("MODE_MISMATCH", 21)}
    assert listed == refusals | files | others
