"""`doctor`: a healthy installation, and everything that may be wrong with one, met by the real clients."""

import io
import os

import pytest
from rich.console import Console
from tests.cli.test_journal_commands import journal_of, state_of
from tests.cli.test_looks import GOLDEN, REWRITE
from tests.support.commands import FIRST, SECOND, Ended, Here
from tests.support.journal import begin, intent
from tests.support.sandbox import events, fault, order_messages, received
from tests.support.schemas import check_document, schema

from ibkr_rebalancer.checkup import PREVIEWER
from ibkr_rebalancer.cli.tables import findings_view
from ibkr_rebalancer.config.schema import ENVIRONMENT
from ibkr_rebalancer.core.doctor import Check, problem, warning, well
from ibkr_rebalancer.core.errors import GatewayRefused, Refused
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.sandbox.log import Record
from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT
from ibkr_rebalancer.sandbox.venue.document import Document

LIVE = "U1234567"

PREVIEWED = ENVIRONMENT["IBKR_CLIENT_ID"].default + PREVIEWER
"""The client id over which a checkup asks about orders."""

UNKNOWN = {
    "status": "success",
    "data": {"allocations": [{"symbol": "NOPE", "allocation": 0.5}, {"symbol": "QQQ", "allocation": 0.5}]},
}
"""Targets with a symbol that means nothing."""


def examined(here: Here, *arguments: str) -> Ended:
    """A checkup as a document, after which nothing has been traded."""
    ended = here.run("doctor", "--json", *arguments)
    check_document(ended.document)
    assert not placed(here)
    assert "WARNING" not in ended.err, "what is odd is a finding, and told once"
    return ended


def placed(here: Here) -> list[object]:
    """Orders that the venue has, and messages that asked for more than a preview."""
    log = here.sandbox.log
    asked = [FROM_CLIENT[3].read(message["fields"]).texts for message in received(log, "placeOrder")]
    return [*events(log, "order"), *order_messages(log)[len(asked) :], *(o for o in asked if o["whatIf"] != "1")]


def is_preview(message: Record) -> bool:
    return FROM_CLIENT[3].read(message["fields"]).texts["whatIf"] == "1"


def wrong(ended: Ended) -> set[tuple[str, str | None, str, str]]:
    """All that is not ok: check, account, state and reason code."""
    return {
        (check["check"], check["account"], check["state"], check["code"])
        for check in ended.document["checks"]
        if check["state"] != "ok"
    }


def asked(ended: Ended) -> set[str]:
    return {check["check"] for check in ended.document["checks"]}


def test_the_schema_knows_every_check() -> None:
    assert schema("doctor")["$defs"]["check"]["properties"]["check"]["enum"] == [check.value for check in Check]


def test_a_healthy_installation(here: Here) -> None:
    ended = examined(here)
    assert (ended.exit_code, wrong(ended)) == (0, set())
    assert asked(ended) == {check.value for check in Check} - {"accounts"}
    by_account = {check["account"] for check in ended.document["checks"] if check["check"] == "prices"}
    assert by_account == {FIRST, SECOND}
    assert len(order_messages(here.sandbox.log)) == 1
    one = examined(here, SECOND)
    assert {check["account"] for check in one.document["checks"]} == {None, SECOND}


FOUND = (
    well(Check.CONFIGURATION, "/home/trader/accounts.yaml lists 2 accounts; trading is paper."),
    well(Check.EVENTS, "Events on rebalance-primary can be heard, and looked up afterwards."),
    problem(
        Check.MANAGED,
        GatewayRefused(
            "ACCOUNT_NOT_MANAGED",
            "The gateway does not manage DU999999; it manages DU123456, DU789012.",
            hint="Check account_id in accounts.yaml, and which user (and mode) the gateway is logged in with.",
        ),
        AccountId("DU999999"),
    ),
    warning(
        Check.PRICES,
        Refused("PRICE_NOT_LIVE", "Delayed prices only: QQQ.", hint="Subscribe to the exchange's data."),
        AccountId(FIRST),
    ),
)


@pytest.mark.parametrize("columns", [80, 120])
def test_it_looks_as_it_should(columns: int) -> None:
    with io.StringIO() as out:
        Console(file=out, width=columns).print(findings_view(FOUND))
        seen = "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())
    golden = GOLDEN / f"doctor-{columns}.txt"
    if REWRITE:
        golden.write_text(seen, encoding="utf-8")
    assert seen == golden.read_text(encoding="utf-8")


def test_people_read_what_programs_read(here: Here) -> None:
    here.sandbox.change({"read_only": True})
    here.set(COLUMNS="400")
    ended = here.run("doctor")
    assert ended.exit_code == 21
    assert "Untick Read-Only API in the gateway's configuration" in ended.out
    assert ended.out.rstrip().endswith("1 problem, 0 warnings, 23 ok")
    assert "Looking up 7 contracts" in ended.err


@pytest.mark.parametrize(
    ("change", "expected", "exit_code"),
    [
        ({"read_only": True}, {("trading", None, "problem", "GATEWAY_READ_ONLY")}, 21),
        (
            {"allocations": {"primary": {"http": {"status": 401, "body": {}}}, "secondary": UNKNOWN}},
            {
                ("allocation", FIRST, "problem", "ALLOCATION_DENIED"),
                ("contracts", SECOND, "problem", "CONTRACT_UNKNOWN"),
            },
            23,
        ),
        (
            {
                "market": {"TLT": {"data": "delayed"}},
                "faults": [fault("reqMktData", "error", parameters={"code": 10168}, where={"conId": 320227571})],
            },
            {
                ("prices", FIRST, "problem", "PRICE_MISSING"),
                ("prices", SECOND, "problem", "PRICE_MISSING"),
                ("prices", SECOND, "warning", "PRICE_NOT_LIVE"),
            },
            11,
        ),
        (
            {"clock": "2026-11-23T15:30:00Z", "allocations": {"secondary": {"http": {"body": {"status": "error"}}}}},
            {
                ("clock", None, "warning", "CLOCK_SKEW"),
                ("allocation", SECOND, "problem", "ALLOCATION_STATUS"),
            },
            24,
        ),
        (
            {"realtime": {"operations": ["subscribe"]}},
            {("events", None, "warning", "EVENTS_NOT_PERMITTED")},
            0,
        ),
        (
            {"realtime": {"operations": ["publish"]}},
            {
                ("events", None, "problem", "EVENTS_NOT_PERMITTED"),
                ("events", None, "warning", "EVENTS_NOT_PERMITTED"),
            },
            78,
        ),
        (
            {"faults": [fault("startApi", "error", parameters={"code": 326}, where={"clientId": PREVIEWED})]},
            {("orders", None, "warning", "CLIENT_ID_IN_USE"), ("trading", None, "warning", "CLIENT_ID_IN_USE")},
            0,
        ),
        (
            {"faults": [fault("connect", "disconnect")]},
            {("gateway", None, "problem", "GATEWAY_NOT_READY")},
            20,
        ),
        (
            {"faults": [fault("reqCurrentTime", "disconnect", count=1)]},
            {(check, None, "problem", "SNAPSHOT_INCOMPLETE") for check in ("clock", "portfolio", "contracts")},
            20,
        ),
        (
            {"faults": [fault("reqMktData", "disconnect", count=1)]},
            {("prices", None, "problem", "SNAPSHOT_INCOMPLETE")},
            20,
        ),
        (
            {"faults": [fault("reqAccountUpdates", "error", parameters={"code": 321}, where={"account": FIRST})]},
            {("portfolio", FIRST, "problem", "GATEWAY_REFUSED")},
            21,
        ),
    ],
    ids=[
        "read-only",
        "targets",
        "prices",
        "clock",
        "no history",
        "no capability",
        "another doctor",
        "no gateway",
        "cut off early",
        "cut off late",
        "no portfolio",
    ],
)
def test_what_the_world_may_answer(
    here: Here, change: Document, expected: set[tuple[str, str | None, str, str]], exit_code: int
) -> None:
    here.sandbox.change(change)
    ended = examined(here)
    assert wrong(ended) == expected
    assert ended.exit_code == exit_code
    assert all(check["hint"] for check in ended.document["checks"] if check["state"] != "ok")


def test_what_this_machine_may_have_wrong(here: Here) -> None:
    """All at once: each is found beside the others."""
    with journal_of(here) as journal:
        begin(journal)
        journal.intend(intent())
    here.run("halt", "the targets look wrong")
    state_of(here).chmod(0o755)
    (here.folder / "accounts.yaml").chmod(0o666)
    (here.folder / "key").write_text("secret-key-of-mine\n", encoding="utf-8")
    (here.folder / "key").chmod(0o644)
    (here.folder / ".env").write_text("ALLOCATION_API_KEY=x\n", encoding="utf-8")
    (here.folder / ".env").chmod(0o644)
    here.monkeypatch.delenv("ALLOCATIONS_API_KEY")
    here.monkeypatch.delenv("REALTIME_API_KEY")
    here.set(ALLOCATIONS_API_KEY_FILE="key")
    ended = examined(here)
    assert wrong(ended) == {
        ("configuration", None, "warning", "CONFIG_DOUBTFUL"),
        ("files", None, "warning", "INSECURE_PATH"),
        ("state", None, "warning", "INSECURE_PATH"),
        ("halt", None, "problem", "HALTED"),
        ("orders", None, "warning", "ORDER_UNKNOWN"),
        ("allocation", FIRST, "problem", "ALLOCATION_DENIED"),
        ("allocation", SECOND, "problem", "ALLOCATION_DENIED"),
        ("events", None, "warning", "CONFIG_MISSING_KEY"),
    }
    assert ended.exit_code == 14
    doubt, *files = [c for c in ended.document["checks"] if c["check"] in {"configuration", "files"} and c["code"]]
    assert doubt["text"] == f"{here.folder}/.env:1: ALLOCATION_API_KEY is not read. Did you mean ALLOCATIONS_API_KEY?"
    assert [file["hint"] for file in files] == [
        f"Run: chmod {mode} {here.folder}/{name}"
        for mode, name in (("644", "accounts.yaml"), ("600", ".env"), ("600", "key"))
    ]
    texts = [check["text"] for check in ended.document["checks"] if check["state"] == "warning"]
    assert len([text for text in texts if text.startswith("Other users of this machine may")]) == 4
    assert "secret-key-of-mine" not in ended.out + ended.err


def test_a_journal_that_lacks_orders_of_ours_is_a_problem_before_a_watch_ends_of_it(here: Here) -> None:
    """Another state folder has sent them, as on a machine that was moved from."""
    assert here.run("execute", SECOND, "--yes").exit_code == 0
    sent = [message for message in received(here.sandbox.log, "placeOrder") if not is_preview(message)]
    whole = here.run("doctor", "--json").document
    known = [check["text"] for check in whole["checks"] if check["check"] == "orders" and check["account"] == SECOND]
    assert known == [f"The journal has what the broker tells of today: {len(sent)} orders of ours."]
    lacking = here.run("doctor", "--json", "--state", str(here.folder / "elsewhere"))
    check_document(lacking.document)
    assert wrong(lacking) == {("orders", SECOND, "problem", "JOURNAL_LOST")}
    assert lacking.exit_code == 30
    assert [message for message in received(here.sandbox.log, "placeOrder") if not is_preview(message)] == sent


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (321, {("orders", None, "problem", "GATEWAY_REFUSED")}),
        (None, {("orders", None, "problem", "SNAPSHOT_INCOMPLETE")}),
    ],
)
def test_orders_that_nobody_tells_of(
    here: Here, code: int | None, expected: set[tuple[str, str | None, str, str]]
) -> None:
    what = {"parameters": {"code": code}} if code else {}
    here.sandbox.change({"faults": [fault("reqExecutions", "error" if code else "disconnect", **what)]})
    ended = examined(here)
    assert wrong(ended) >= expected
    assert "prices" in asked(ended)


def test_accounts_that_cannot_be_asked_about(here: Here) -> None:
    here.accounts(here.entry("DU999999", "primary"), here.entry(LIVE, "primary"))
    ended = examined(here)
    assert wrong(ended) == {
        ("managed", "DU999999", "problem", "ACCOUNT_NOT_MANAGED"),
        ("accounts", LIVE, "warning", "MODE_MISMATCH"),
    }
    here.accounts(here.entry(FIRST, "primary", enabled=False))
    ended = examined(here)
    assert wrong(ended) == {("accounts", None, "problem", "NO_ACCOUNT")}
    assert "clock" in asked(ended)


@pytest.mark.parametrize("name", ["DU000000", LIVE])
def test_an_account_that_was_named_by_mistake_is_an_error(here: Here, name: str) -> None:
    here.accounts(here.entry(FIRST, "primary"), here.entry(LIVE, "primary"))
    ended = here.run("doctor", name, "--json")
    check_document(ended.document)
    assert ended.document["schema"] == "rebalancer.error/1"
    assert ended.exit_code == (21 if name == LIVE else 2)


def test_without_settings_the_journal_and_the_gateway_are_asked_all_the_same(here: Here) -> None:
    (here.folder / "accounts.yaml").write_text("- account: DU1\n", encoding="utf-8")
    (state_of(here)).mkdir(parents=True, mode=0o700)
    (state_of(here) / "journal.db").write_bytes(b"no journal" * 1000)
    (state_of(here) / "journal.db").chmod(0o600)
    ended = examined(here)
    assert wrong(ended) == {
        ("configuration", None, "problem", "CONFIG_UNKNOWN_KEY"),
        ("journal", None, "problem", "JOURNAL_CORRUPT"),
    }
    assert ended.exit_code == 30
    assert asked(ended) >= {"gateway", "mode", "clock", "disk", "state", "files"}


def test_without_an_environment_that_fits_nothing_can_be_asked(here: Here) -> None:
    here.set(IBKR_PORT="none")
    ended = examined(here)
    assert wrong(ended) == {("configuration", None, "problem", "CONFIG_INVALID_VALUE")}
    assert ended.exit_code == 78
    assert asked(ended) == {"configuration", "files"}


@pytest.mark.parametrize(
    ("key", "code"), [("no.such:key", "EVENTS_KEY_REFUSED"), ("not-a-key", "CONFIG_INVALID_VALUE")]
)
def test_a_key_that_is_none(here: Here, key: str, code: str) -> None:
    here.set(REALTIME_API_KEY=key)
    ended = examined(here, FIRST)
    assert wrong(ended) == {("events", None, "problem", code)}
    assert ended.exit_code == 78
    assert key not in ended.out + ended.err


def test_a_watch_does_not_begin_with_what_is_no_key(here: Here) -> None:
    here.set(REALTIME_API_KEY="not-a-key")
    ended = here.run("watch", "--dry-run")
    assert ended.exit_code == 78
    assert "it has not the form name:secret" in ended.err


def test_real_money_is_not_trusted_to_what_paper_is(here: Here) -> None:
    here.sandbox.change(
        {
            "clock": "2026-11-23T15:30:00Z",
            "accounts": {LIVE: {"cash": "10000"}},
            "market": {"QQQ": {"data": "delayed"}},
        }
    )
    here.accounts(here.entry(LIVE, "secondary"))
    here.run("halt")
    here.run("resume")
    state_of(here).chmod(0o755)
    here.set(TRADING_MODE="live")
    ended = examined(here)
    assert wrong(ended) == {
        ("state", None, "problem", "INSECURE_PATH"),
        ("events", None, "problem", "CONFIG_CONFLICT"),
        ("clock", None, "problem", "CLOCK_SKEW"),
        ("prices", LIVE, "problem", "PRICE_NOT_LIVE"),
    }
    assert ended.exit_code == 78


def test_a_readable_dotenv_keeps_real_money_from_everything_but_the_gateway(here: Here) -> None:
    here.set(TRADING_MODE="live")
    (here.folder / ".env").touch()
    (here.folder / ".env").chmod(0o644)
    ended = examined(here)
    assert wrong(ended) == {
        ("configuration", None, "problem", "CONFIG_SECRETS_EXPOSED"),
        ("files", None, "warning", "INSECURE_PATH"),
        ("mode", None, "problem", "MODE_MISMATCH"),
    }


def test_a_gateway_of_the_other_mode_is_told(here: Here) -> None:
    here.set(TRADING_MODE="live")
    here.accounts(here.entry(LIVE, "primary"))
    ended = examined(here)
    assert ("mode", None, "problem", "MODE_MISMATCH") in wrong(ended)
    assert ("managed", LIVE, "problem", "ACCOUNT_NOT_MANAGED") in wrong(ended)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_another_user(here: Here) -> None:
    """Files of root that a service's user may not read: the gateway is asked all the same."""
    with journal_of(here):
        pass
    for folder in (*state_of(here).parents[:6], state_of(here)):
        folder.chmod(folder.stat().st_mode | 0o555)
    (here.folder / "key").write_text("k", encoding="utf-8")
    (here.folder / "key").chmod(0o600)
    here.monkeypatch.delenv("ALLOCATIONS_API_KEY")
    here.set(ALLOCATIONS_API_KEY_FILE="key")
    os.seteuid(65534)
    try:
        ended = examined(here)
    finally:
        os.seteuid(0)
    assert wrong(ended) >= {
        ("configuration", None, "problem", "CONFIG_UNREADABLE"),
        ("journal", None, "problem", "STORAGE_UNWRITABLE"),
    }
    assert ended.exit_code == 30
    assert "gateway" in asked(ended)
