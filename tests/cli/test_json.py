"""`--json`: one document on standard output, on success and on failure, as the shipped schemas say."""

from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from tests.cli.test_looks import EVERY_KIND, ON_TARGET
from tests.support.commands import FIRST, SECOND, Here
from tests.support.sandbox import fault, order_messages
from tests.support.schemas import check_document, schema

from ibkr_rebalancer.sandbox.venue.document import Document

COMMANDS = {
    "plan": ("plan", "plans"),
    "execute --dry-run": ("run", "runs"),
    "positions": ("positions", "portfolios"),
    "accounts --check": ("positions", "portfolios"),
}
"""The commands that work on several accounts: the schema of their documents, and where the results are in them."""


@pytest.mark.parametrize("change", [{}, EVERY_KIND, ON_TARGET], ids=["as packaged", "every kind", "on target"])
@pytest.mark.parametrize("command", COMMANDS)
def test_success_is_one_document_of_its_schema(here: Here, command: str, change: Document) -> None:
    here.sandbox.change(change)
    ended = here.run(*command.split(), "--json")
    assert ended.exit_code == 0
    name, key = COMMANDS[command]
    check_document(ended.document)
    assert ended.document["schema"] == f"rebalancer.{name}/1"
    assert [result["account"] for result in ended.document[key]] == [FIRST, SECOND]
    assert ended.document["errors"] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_gravest_of_several_ends_decides_the_exit_code(here: Here, command: str) -> None:
    """An account's failure stands beside the others' results, and on standard error there is no data."""
    here.accounts(here.entry("DU999999", "primary"), here.entry(FIRST, "primary"))
    ended = here.run(*command.split(), "--json")
    assert ended.exit_code == 21
    check_document(ended.document)
    _, key = COMMANDS[command]
    assert [result["account"] for result in ended.document[key]] == [FIRST]
    assert [(error["account"], error["code"]) for error in ended.document["errors"]] == [
        ("DU999999", "ACCOUNT_NOT_MANAGED")
    ]
    assert "{" not in ended.err


def test_gravest_is_not_the_greatest_number(here: Here) -> None:
    """23, targets that could not be fetched, is graver than 24, targets that were refused."""
    here.accounts(here.entry(FIRST, "nowhere"), here.entry(SECOND, "secondary"))
    here.sandbox.change({"allocations": {"secondary": {"http": {"body": {"status": "error"}}}}})
    ended = here.run("plan", "--json")
    assert ended.exit_code == 23
    check_document(ended.document)
    assert [error["exit_code"] for error in ended.document["errors"]] == [23, 24]
    assert ended.document["plans"] == []


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        *((command, 20) for command in COMMANDS),
        ("plan DU000001", 2),
        ("positions --follow DU000001", 2),
        ("plan --bogus", 2),
        ("paln", 2),
        ("execute", 2),
        ("plan -c nowhere.yaml", 78),
        ("accounts -c nowhere.yaml", 78),
    ],
)
def test_total_failure_is_one_error_document(here: Here, command: str, exit_code: int) -> None:
    here.sandbox.change({"faults": [fault("connect", "disconnect")]})
    ended = here.run(*command.split(), "--json")
    assert ended.exit_code == exit_code
    check_document(ended.document)
    assert ended.document["schema"] == "rebalancer.error/1"
    assert ended.document["error"]["exit_code"] == exit_code
    assert "{" not in ended.err


def test_people_see_results_and_then_what_went_wrong(here: Here) -> None:
    here.accounts(here.entry("DU999999", "primary"), here.entry(SECOND, "secondary"))
    ended = here.run("plan")
    assert ended.exit_code == 21
    assert ended.out.startswith("Plan for paper account DU789012")
    assert ended.err.splitlines()[-3:] == [
        "Error: The gateway does not manage DU999999; it manages DU123456, DU789012.",
        "Hint: Check account_id in accounts.yaml, and which user (and mode) the gateway is logged in with.",
        "ACCOUNT_NOT_MANAGED, exit code 21",
    ]


def test_what_is_configured_is_a_document_without_keys(here: Here) -> None:
    """The query of an allocation URL may hold one."""
    entry = here.entry(FIRST, "primary", contracts={"QQQ": {"con_id": 320227571}}, order_type="limit")
    entry["allocations"]["url"] += "?key=s3cr3t"
    here.accounts(entry, here.entry(SECOND, "secondary", enabled=False))
    ended = here.run("accounts", "--json")
    assert ended.exit_code == 0
    check_document(ended.document)
    assert ended.document["mode"] == "paper"
    assert [account["enabled"] for account in ended.document["accounts"]] == [True, False]
    assert [account["policy"]["order_type"] for account in ended.document["accounts"]] == ["limit", "market"]
    assert "s3cr3t" not in ended.out + here.run("accounts").out


def test_a_dry_run_reports_every_trade_as_not_sent(here: Here) -> None:
    run = here.run("execute", FIRST, "--dry-run", "--json").document["runs"][0]
    assert (run["mode"], run["trigger"], run["outcome"], run["exit_code"]) == ("dry-run", "command", "not-sent", 0)
    assert {order["status"] for order in run["orders"]} == {"not-sent"}
    assert [order["order_ref"] for order in run["orders"]] == [None] * len(run["plan"]["trades"])
    assert [(order["symbol"], order["side"], order["quantity"]) for order in run["orders"]] == [
        (trade["symbol"], trade["side"], trade["quantity"]) for trade in run["plan"]["trades"]
    ]
    assert not order_messages(here.sandbox.log)


def test_a_plan_adds_up(here: Here) -> None:
    """What the document says can be recomputed from it, to the cent."""
    plan = here.run("plan", FIRST, "--json").document["plans"][0]
    signed = {"SELL": 1, "BUY": -1}
    moved = sum(signed[trade["side"]] * Decimal(trade["notional"]) for trade in plan["trades"])
    assert Decimal(plan["cash_after"]) == Decimal(plan["cash"]) + moved - Decimal(plan["commission"])
    assert all(Decimal(trade["notional"]) == trade["quantity"] * Decimal(trade["price"]) for trade in plan["trades"])
    assert Decimal(plan["cash_after"]) >= Decimal(plan["cash_reserve"])


@pytest.mark.parametrize("command", [*COMMANDS, "accounts"])
def test_two_documents_of_the_same_moment_are_the_same(here: Here, command: str) -> None:
    """Only times, and what is named after them, differ."""
    first, second = (here.run(*command.split(), "--json").document for _ in range(2))
    assert _timeless(first) == _timeless(second)


@pytest.mark.parametrize(
    "name", ["accounts", "error", "halt", "plan", "positions", "record", "resolved", "run", "runs", "sandbox", "status"]
)
def test_a_schema_is_valid_and_named_after_its_document(name: str) -> None:
    content = schema(name)
    Draft202012Validator.check_schema(content)
    assert content["$id"] == f"rebalancer.{name}/1"
    assert content["properties"]["schema"] == {"const": content["$id"]}


@pytest.mark.parametrize(
    ("place", "value"),
    [("as_of", "yesterday"), ("as_of", "2026-11-23T15:30:00+01:00"), ("cash", "1E+3"), ("cash", 1.5), ("more", 1)],
)
def test_schemas_refuse_what_is_not_ours(here: Here, place: str, value: object) -> None:
    document = here.run("plan", SECOND, "--json").document
    document["plans"][0][place] = value
    with pytest.raises(ValidationError):
        check_document(document)


def test_a_plan_is_the_same_in_all_documents() -> None:
    """A run holds the plan that it came from; its schema may not drift from that of a plan. So with what is kept."""
    plan, run, record = (schema(name)["$defs"] for name in ("plan", "run", "record"))
    assert {"plan", "trade", "skip", "untouched", "decimal", "error"} <= plan.keys() & run.keys()
    assert {"plan", "run", "order", "adjustment"} <= run.keys() & record.keys()
    assert [name for name in plan.keys() & run.keys() if plan[name] != run[name]] == []
    assert [name for name in run.keys() & record.keys() if run[name] != record[name]] == []


def _timeless(content: Any) -> Any:
    match content:
        case dict():
            timed = {"as_of", "started", "ended", "run_id", "plan_id", "digest"}
            return {key: _timeless(value) for key, value in content.items() if key not in timed}
        case list():
            return [_timeless(item) for item in content]
        case _:
            return content
