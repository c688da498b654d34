"""Every way to fail: its own sentence, hint, code and exit code, alike for people and in JSON."""

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.commands import FIRST, SECOND, Ended, Here
from tests.support.sandbox import LOOPBACK, fault, order_messages, received

from ibkr_rebalancer.sandbox.venue.document import Document

GATEWAY_PORTS = "check IBKR_HOST and IBKR_PORT: IB Gateway listens on 4002 (paper) or 4001 (live)."
LET_US_IN = (
    "Approve the gateway's login on the phone if it waits for that, and check that its API settings allow socket "
    "clients from this machine."
)
START_IT = f"Start IB Gateway and finish its login (also on the phone, if it asks there), and {GATEWAY_PORTS}"
RESTART_IT = "Run the command again; if it lasts, restart the gateway."
IN_A_MINUTE = (
    "The gateway may be restarting, or its user may have logged in elsewhere; run the command again in a minute."
)
REPORT_IT = "Run the command again; if it lasts, restart the gateway and report its version."
RECONNECTS = "The gateway reconnects by itself; run the command again in a few minutes."
CHECK_DATA = (
    "Check the market data subscription of this user (also that no other session holds it), and run the command again."
)
CHECK_SOURCE = "Check that allocations.url is right and its server is up; nothing was planned."
ASK_PUBLISHER = "Ask whoever publishes the targets to correct the document; nothing is planned until then."

UNPRICED = "TLT is a target without a usable price:"

QQQ_ID, TLT_ID = 320227571, 15547841


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is wrong, and how the command must end; `{port}` and the like stand for what differs between runs."""

    name: str
    exit_code: int
    code: str
    sentence: str
    hint: str
    command: tuple[str, ...] = ("plan", SECOND)
    change: Document = field(default_factory=dict)
    """Laid over the sandbox's scenario."""
    env: Mapping[str, str] = field(default_factory=dict)
    account: str = SECOND
    """The second entry of accounts.yaml."""
    url: str | None = None
    """Of its targets, if they are not the sandbox's `secondary`."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    """Of that account."""
    hurry: Mapping[str, float] = field(default_factory=dict)
    """Gateway deadlines that are met."""
    targets_within_s: float | None = None


def at_wire(message: str, action: str, /, **options: Any) -> Document:
    """A fault of the gateway's."""
    return {"faults": [fault(message, action, **options)]}


def answering(body: object, **http: Any) -> Document:
    """Another answer at the second account's allocation URL."""
    return {"allocations": {"secondary": {"http": {"body": body, **http}}}}


def targets(**weights: object) -> Document:
    """Other targets for the second account."""
    rows = [{"symbol": symbol, "allocation": weight} for symbol, weight in weights.items()]
    return answering({"status": "success", "data": {"allocations": rows}})


def gateway(name: str, exit_code: int, code: str, sentence: str, hint: str, /, **options: Any) -> Failure:
    return Failure(name=f"gateway: {name}", exit_code=exit_code, code=code, sentence=sentence, hint=hint, **options)


def source(name: str, code: str, sentence: str, hint: str, /, **options: Any) -> Failure:
    return Failure(name=f"targets: {name}", exit_code=23, code=code, sentence=sentence, hint=hint, **options)


def document(name: str, code: str, reason: str, change: Document, /) -> Failure:
    sentence = f"The allocation document is refused: {reason}."
    return Failure(
        name=f"document: {name}", exit_code=24, code=code, sentence=sentence, hint=ASK_PUBLISHER, change=change
    )


def refusal(name: str, code: str, sentence: str, hint: str, /, **options: Any) -> Failure:
    return Failure(name=f"refused: {name}", exit_code=11, code=code, sentence=sentence, hint=hint, **options)


def misuse(name: str, code: str, sentence: str, hint: str, /, **options: Any) -> Failure:
    return Failure(name=f"misuse: {name}", exit_code=2, code=code, sentence=sentence, hint=hint, **options)


FAILURES = (
    gateway(
        "down",
        20,
        "GATEWAY_UNREACHABLE",
        "No gateway can be reached at 127.0.0.1:{free_port}: nothing listens there.",
        START_IT,
        env={"IBKR_PORT": "{free_port}"},
    ),
    gateway(
        "silent from the start",
        20,
        "GATEWAY_NOT_READY",
        "No session was started by the gateway that accepts connections at 127.0.0.1:{gateway_port}.",
        LET_US_IN,
        change=at_wire("connect", "mute"),
        hurry={"connect_s": 0.2},
    ),
    gateway(
        "silent after the greeting",
        20,
        "GATEWAY_NOT_READY",
        "No session was started by the gateway that accepts connections at 127.0.0.1:{gateway_port}.",
        LET_US_IN,
        change=at_wire("startApi", "mute"),
        hurry={"connect_s": 0.2},
    ),
    gateway(
        "hangs up",
        20,
        "GATEWAY_NOT_READY",
        "Before a session had started, the connection was closed by the gateway at 127.0.0.1:{gateway_port}.",
        LET_US_IN,
        change=at_wire("connect", "disconnect"),
    ),
    gateway(
        "wrong port",
        20,
        "GATEWAY_PROTOCOL",
        "Something that is not an Interactive Brokers gateway answers at 127.0.0.1:{allocations_port}.",
        f"C{GATEWAY_PORTS[1:]}",
        env={"IBKR_PORT": "{allocations_port}"},
    ),
    gateway(
        "all ids in use",
        15,
        "CLIENT_ID_IN_USE",
        "All client ids for reading, 53 to 60, are in use at 127.0.0.1:{gateway_port}.",
        "Wait until other commands have finished. Where the other program is no rebalancer, give it other numbers, or "
        "us with IBKR_CLIENT_ID, but not while orders of ours are open: only the client id that placed an order can "
        "cancel it. Two rebalancers on one account need the same IBKR_CLIENT_ID: over two, both may send the same "
        "orders.",
        change=at_wire("startApi", "error", parameters={"code": 326}),
    ),
    gateway(
        "too old",
        20,
        "GATEWAY_TOO_OLD",
        "A gateway that is too old answers at 127.0.0.1:{gateway_port}.",
        "Update IB Gateway or TWS.",
        change=at_wire("handshake", "alter", parameters={"serverVersion": "100"}),
    ),
    gateway(
        "manages nothing",
        20,
        "GATEWAY_NO_ACCOUNTS",
        "A gateway that manages no account answers at 127.0.0.1:{gateway_port}.",
        "Finish the gateway's login, and check that its user may use the API for an account.",
        change=at_wire("managedAccounts", "alter", parameters={"accounts": ""}),
    ),
    gateway(
        "offline",
        20,
        "LINK_DOWN",
        "A gateway that is not connected to Interactive Brokers answers at 127.0.0.1:{gateway_port}.",
        RECONNECTS,
        change=at_wire("managedAccounts", "notice", parameters={"code": 1100}),
    ),
    gateway(
        "goes offline",
        20,
        "LINK_DOWN",
        "The gateway was not connected to Interactive Brokers while the portfolio of DU789012 was being read.",
        RECONNECTS,
        change=at_wire("positionEnd", "notice", parameters={"code": 1100}),
    ),
    gateway(
        "unmanaged account",
        21,
        "ACCOUNT_NOT_MANAGED",
        "The gateway does not manage DU999999; it manages DU123456, DU789012.",
        "Check account_id in accounts.yaml, and which user (and mode) the gateway is logged in with.",
        account="DU999999",
        command=("plan", "DU999999"),
    ),
    gateway(
        "mode mismatch",
        21,
        "MODE_MISMATCH",
        "DU789012 is a paper account, but TRADING_MODE is live.",
        "Set TRADING_MODE=paper and log the gateway in that way, or name another account.",
        env={"TRADING_MODE": "live"},
    ),
    gateway(
        "error on a request",
        21,
        "GATEWAY_REFUSED",
        "The gateway refused the portfolio of DU789012: the gateway finds the request invalid (code 321: Not today).",
        "Check the account id, and the API settings of the gateway (read-only, allowed accounts).",
        change=at_wire("reqAccountUpdates", "error", parameters={"code": 321, "text": "Not today"}),
    ),
    gateway(
        "error that nobody knows",
        21,
        "GATEWAY_REFUSED",
        "The gateway refused the contract of QQQ: the gateway refuses (code 9999: What now).",
        "See the gateway's own log for more, then run the command again.",
        change=at_wire("reqContractDetails", "error", parameters={"code": 9999, "text": "What now"}),
    ),
    *(
        gateway(
            f"cut off at {message}",
            20,
            "SNAPSHOT_INCOMPLETE",
            f"The gateway closed the connection while {subject} was being read.",
            IN_A_MINUTE,
            change=at_wire(message, "disconnect"),
        )
        for message, subject in (
            ("currentTime", "the portfolio of DU789012"),
            ("positionEnd", "the portfolio of DU789012"),
            ("accountDownloadEnd", "the portfolio of DU789012"),
            ("contractDetailsEnd", "{question}"),  # asked together with the portfolio
            ("tickPrice", "the quote of QQQ"),
        )
    ),
    *(
        gateway(
            f"silent from {message}",
            20,
            "SNAPSHOT_INCOMPLETE",
            f"The gateway did not deliver {subject} to the end within {{number}} s.",
            RESTART_IT,
            change=at_wire(message, "mute"),
            hurry={"answer_s": 0.2, "quotes_s": 0.2},
        )
        for message, subject in (
            ("currentTime", "the portfolio of DU789012"),
            ("positionEnd", "the portfolio of DU789012"),
            ("accountDownloadEnd", "the portfolio of DU789012"),
            ("contractDetailsEnd", "the contract of QQQ"),
            ("reqMktData", "any of 3 quotes"),
        )
    ),
    gateway(
        "silent after the first quotes",
        20,
        "SNAPSHOT_INCOMPLETE",
        "The gateway did not deliver the last of 3 quotes to the end within {number} s.",
        RESTART_IT,
        change=at_wire("tickPrice", "mute", after=4),
        hurry={"answer_s": 0.2, "quotes_s": 0.2},
    ),
    gateway(
        "garbage",
        20,
        "GATEWAY_PROTOCOL",
        "The gateway sent something that cannot be read while the portfolio of DU789012 was being read.",
        REPORT_IT,
        change=at_wire("positionEnd", "garbage"),
    ),
    gateway(
        "a number that is none",
        20,
        "GATEWAY_PROTOCOL",
        "The gateway sent something that cannot be read while the portfolio of DU789012 was being read.",
        REPORT_IT,
        change=at_wire("position", "alter", parameters={"position": "many"}),
    ),
    refusal(
        "half a position list",
        "SNAPSHOT_INCONSISTENT",
        "The gateway's position list and portfolio of DU789012 disagree: SPY (0 listed, 20 in the portfolio). "
        "Nothing was planned.",
        "Run the command again in a minute; if it lasts, restart the gateway.",
        change=at_wire("position", "drop", where={"symbol": "SPY", "account": SECOND}),
    ),
    refusal(
        "unknown symbol",
        "CONTRACT_UNKNOWN",
        "Interactive Brokers knows no contract for NOPE (SMART/USD).",
        "Correct the symbol at the allocation source, or name the contract: "
        "contracts: {NOPE: {con_id: …}} in accounts.yaml.",
        change=targets(QQQ=0.5, NOPE=0.5),
    ),
    refusal(
        "ambiguous symbol",
        "CONTRACT_AMBIGUOUS",
        "DUP (SMART/USD) can mean 2 contracts: con_id 1 NYSE USD ONE; con_id 2 ARCA USD TWO.",
        "Choose one in accounts.yaml: contracts: {DUP: {con_id: …}}.",
        change={
            "market": {
                "DUP": [
                    {"con_id": 1, "bid": "1", "ask": "1.01", "primary_exchange": "NYSE", "name": "ONE"},
                    {"con_id": 2, "bid": "1", "ask": "1.01", "primary_exchange": "ARCA", "name": "TWO"},
                ]
            },
            **targets(QQQ=0.5, DUP=0.5),
        },
    ),
    refusal(
        "no stock",
        "CONTRACT_NOT_A_STOCK",
        "ES (con_id 77) is a FUT contract; only stocks and ETFs are traded.",
        "Name a stock or ETF for ES in accounts.yaml, or remove it from the targets.",
        change={"market": {"ES": {"con_id": 77, "sec_type": "FUT"}}, **targets(QQQ=0.5, ES=0.5)},
        policy={"contracts": {"ES": {"con_id": 77}}},
    ),
    refusal(
        "two symbols, one contract",
        "TARGET_TWICE",
        f"The targets QQQ and TLT are the same contract (con_id {QQQ_ID}).",
        "Let the allocation source merge them, or correct `contracts:` in accounts.yaml.",
        policy={"contracts": {"TLT": {"con_id": QQQ_ID}}},
    ),
    refusal(
        "currency without a rate",
        "EXCHANGE_RATE_MISSING",
        "EUX trades in EUR, and the gateway gives no exchange rate from that to USD.",
        "It gives rates of currencies that the account has, or had, money in: convert some USD to EUR in TWS, or name "
        "a listing in USD under `contracts:` in accounts.yaml.",
        change={
            "market": {"EUX": {"currency": "EUR", "bid": "1", "ask": "1.01"}},
            "rates": {"EURUSD": "1.1"},
            **targets(QQQ=0.5, EUX=0.5),
        },
        policy={"contracts": {"EUX": {"currency": "EUR"}}},
    ),
    refusal(
        "no market data",
        "PRICE_MISSING",
        f"{UNPRICED} market data are not subscribed (code 354).",
        "Subscribe to the exchange's data in Client Portal, or enable delayed data in the gateway.",
        change={"market": {"TLT": {"data": "none"}}},
    ),
    refusal(
        "no price",
        "PRICE_MISSING",
        f"{UNPRICED} the gateway gave no bid and ask, no last price and no previous close.",
        CHECK_DATA,
        change={"market": {"TLT": {"bid": None, "ask": None, "last": None, "close": None}}},
    ),
    refusal(
        "silence about one quote",
        "PRICE_MISSING",
        f"{UNPRICED} the gateway sent no price in time.",
        CHECK_DATA,
        change=at_wire("reqMktData", "drop", where={"conId": str(TLT_ID)}),
        hurry={"quotes_s": 0.2},
    ),
    refusal(
        "stale quote",
        "PRICE_STALE",
        f"{UNPRICED} its quote is 2 s old, the limit is 1 s (max_quote_age_s).",
        "Run the command again; if the gateway stays that slow, raise max_quote_age_s under limits: in accounts.yaml.",
        change={"market": {"TLT": {"close": None}}} | at_wire("tickSnapshotEnd", "delay", parameters={"ms": 1600}),
        policy={"limits": {"max_quote_age_s": 1}},
    ),
    refusal(
        "clocks apart, with real money",
        "CLOCK_SKEW",
        "The gateway's clock and this machine's are {number} days apart.",
        "Set this machine's clock (for example with chrony) and run again.",
        account="U1234567",
        command=("plan", "U1234567"),
        change={"accounts": {"U1234567": {"cash": "50000"}}, "clock": "2020-01-06T15:00:00Z"},
        env={"TRADING_MODE": "live"},
    ),
    refusal(
        "nothing to invest",
        "ACCOUNT_EMPTY",
        "The account is worth 0.00 USD; there is nothing to invest.",
        "Deposit money, or set `enabled: false` for this account.",
        change={"accounts": {SECOND: {"cash": "0", "positions": {"SPY": None}}}},
    ),
    source(
        "wrong key",
        "ALLOCATION_DENIED",
        "127.0.0.1:{allocations_port} answered HTTP 401: the key is missing, wrong or has no right to this.",
        "Check ALLOCATIONS_API_KEY, and that it may read this allocation.",
        env={"ALLOCATIONS_API_KEY": "wrong"},
    ),
    source(
        "not there",
        "ALLOCATION_UNAVAILABLE",
        "127.0.0.1:{allocations_port} answered HTTP 404.",
        "Check allocations.url in accounts.yaml.",
        change={"allocations": {"secondary": None}},
    ),
    source(
        "down",
        "ALLOCATION_UNAVAILABLE",
        "The allocation document could not be fetched from 127.0.0.1:{free_port}: "
        "it could not be reached, or closed the connection (1 try).",
        CHECK_SOURCE,
        url="http://127.0.0.1:{free_port}/secondary",
        targets_within_s=0.1,
    ),
    source(
        "in trouble",
        "ALLOCATION_UNAVAILABLE",
        "The allocation document could not be fetched from 127.0.0.1:{allocations_port}: it answered HTTP 503 (1 try).",
        CHECK_SOURCE,
        change=answering("", status=503),
        targets_within_s=0.1,
    ),
    source(
        "silent",
        "ALLOCATION_TIMEOUT",
        "127.0.0.1:{allocations_port} did not deliver the allocation document within 0.2 s.",
        "Try the URL with curl; if it is slow for everybody, speak to its operator.",
        change=answering("", delay_ms=2000),
        targets_within_s=0.2,
    ),
    source(
        "endless",
        "ALLOCATION_TOO_LARGE",
        "127.0.0.1:{allocations_port} sent more than 1024 KiB.",
        "Check that allocations.url names the allocation document and not something else.",
        change=answering("", endless=True),
    ),
    document("an error", "ALLOCATION_STATUS", """status is 'error', not "success\"""", answering({"status": "error"})),
    document("a web page", "ALLOCATION_INVALID", "it is not JSON ('<html>')", answering("<html>")),
    document(
        "sum",
        "ALLOCATION_SUM",
        "the weights add up to 0.8, outside 0.99 to 1.01; `underweight: cash` would leave the rest in cash",
        targets(QQQ=0.4, TLT=0.4),
    ),
    document(
        "negative weight",
        "ALLOCATION_INVALID",
        "data.allocations, entry 2: the weight of TLT is -0.5, outside 0 to 1",
        targets(QQQ=1, TLT=-0.5),
    ),
    document(
        "no weights",
        "ALLOCATION_INVALID",
        "data.allocations is empty, which never means to sell everything",
        targets(),
    ),
    misuse(
        "disabled account",
        "ACCOUNT_DISABLED",
        "DU789012 is disabled in accounts.yaml.",
        "Set `enabled: true` for it there.",
        policy={"enabled": False},
    ),
    misuse(
        "no account of this mode",
        "NO_ACCOUNT",
        "accounts.yaml lists no live account, and TRADING_MODE is live.",
        "Set TRADING_MODE=paper and log the gateway in that way, or list a live account.",
        command=("positions",),
        env={"TRADING_MODE": "live"},
    ),
    misuse(
        "command",
        "USAGE",
        "No such command 'paln'. Did you mean 'plan'?",
        "See rebalancer --help.",
        command=("paln",),
    ),
    misuse("option", "USAGE", "No such option: --dry", "See rebalancer plan --help.", command=("plan", "--dry")),
    misuse(
        "execute without yes",
        "NOT_CONFIRMED",
        "Nobody can be asked here whether to send orders. Nothing was sent.",
        "Add --yes to send them, or --dry-run to see them.",
        command=("execute", SECOND),
    ),
    misuse(
        "run unknown",
        "RUN_UNKNOWN",
        "No one run has an id that begins with 2020.",
        "See rebalancer runs.",
        command=("runs", "2020"),
    ),
    misuse(
        "order not open",
        "ORDER_NOT_OPEN",
        "No order of ours with the reference rb1-x-1 is without an outcome.",
        "See rebalancer runs for the references.",
        command=("resolve", "rb1-x-1", "--filled", "0", "--note", "gone", "--yes"),
    ),
    misuse(
        "resolve without yes",
        "NOT_CONFIRMED",
        "Nobody can be asked here about rb1-x-1. Nothing was recorded.",
        "Add --yes to record it.",
        command=("resolve", "rb1-x-1", "--filled", "0", "--note", "gone"),
    ),
    Failure(
        name="accounts.yaml: unknown key",
        exit_code=78,
        code="CONFIG_UNKNOWN_KEY",
        sentence="{folder}/accounts.yaml:11: 'enabledd' is not a key that this version knows.",
        hint="Did you mean 'enabled'?",
        policy={"enabledd": False},
    ),
    Failure(
        name="accounts.yaml: not there",
        exit_code=78,
        code="CONFIG_NOT_FOUND",
        sentence="There is no {folder}/other.yaml.",
        hint="Name the file with -c, or run: rebalancer init -c {folder}/other.yaml. Or write this there, "
        "with your own values: "
        '- {account_id: DU123456, notification: {channel: rebalance}, allocations: {url: "https://example.com/targets"}}',
        env={"REBALANCER_CONFIG": "other.yaml"},
    ),
)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_a_failure_has_its_own_sentence_hint_and_exit_code(here: Here, failure: Failure, free_port: int) -> None:
    places = {
        "{folder}": str(here.folder),
        "{free_port}": str(free_port),
        "{gateway_port}": str(here.sandbox.inside.gateway_port),
        "{allocations_port}": str(here.sandbox.inside.allocations_port),
    }
    _arrange(here, failure, places)

    ended = here.run(*failure.command, "--json")
    assert ended.exit_code == failure.exit_code
    error = ended.document["error"]
    assert (error["code"], error["exit_code"]) == (failure.code, failure.exit_code)
    assert re.fullmatch(_pattern(failure.sentence, places), error["message"]), error["message"]
    assert re.fullmatch(_pattern(failure.hint, places), error["hint"]), error["hint"]

    told = here.run(*failure.command)
    assert (told.exit_code, told.out) == (failure.exit_code, "")
    sentence, hint, last = told.err.splitlines()[-3:]
    about = (
        "" if failure.account in sentence.removeprefix(f"Error: {failure.account}: ") else f"(?:{failure.account}: )?"
    )
    assert re.fullmatch(f"Error: {about}" + _pattern(failure.sentence, places), sentence), sentence
    assert re.fullmatch("Hint: " + _pattern(failure.hint, places), hint), hint
    assert last == f"{failure.code}, exit code {failure.exit_code}"

    assert not order_messages(here.sandbox.log)


def test_a_snapshot_cut_at_any_frame_is_no_plan(here: Here) -> None:
    """Wherever the gateway's talk ends, nothing is printed but what happened."""
    here.accounts(here.entry(SECOND, "secondary"))
    cut = 0
    while (ended := _cut_after(here, cut)).exit_code:
        error = ended.document["error"]
        assert (ended.exit_code, error["code"]) in {(20, "SNAPSHOT_INCOMPLETE"), (20, "GATEWAY_NOT_READY")}, cut
        assert error["message"].endswith("."), cut
        assert error["hint"] in {IN_A_MINUTE, LET_US_IN}, cut
        cut += 1
    assert ended.document["plans"][0]["trades"]
    assert cut > 50, "there are that many frames in a plan; fewer were cut"


def test_an_id_in_use_is_passed_over(here: Here) -> None:
    here.sandbox.change(at_wire("startApi", "error", parameters={"code": 326}, count=3))
    assert here.run("plan", SECOND).exit_code == 0
    tried = [record["fields"][2] for record in received(here.sandbox.log, "startApi")]
    assert tried == ["53", "54", "55", "56"]


def test_account_that_is_not_listed_is_named(here: Here) -> None:
    ended = here.run("plan", "DU000001", "--json")
    assert ended.exit_code == 2
    assert ended.document["error"]["code"] == "ACCOUNT_UNKNOWN"
    assert ended.document["error"]["message"] == "DU000001 is not in accounts.yaml."
    assert "DU123456, DU789012" in ended.document["error"]["hint"]


def test_short_target_is_refused_by_name(here: Here) -> None:
    here.sandbox.change({"accounts": {SECOND: {"positions": {"QQQ": -5}}}})
    ended = here.run("plan", SECOND, "--json")
    assert ended.exit_code == 11
    assert ended.document["error"]["code"] == "TARGET_HELD_SHORT"
    assert ended.document["error"]["message"].startswith("QQQ is a target, but DU789012 ")


def _cut_after(here: Here, frames: int) -> Ended:
    here.sandbox.change(at_wire("frame", "disconnect", after=frames, count=1))
    return here.run("plan", "--json")


def _arrange(here: Here, failure: Failure, places: Mapping[str, str]) -> None:
    if failure.change:
        here.sandbox.change(failure.change)
    entry = here.entry(failure.account, "secondary", **failure.policy)
    if failure.url is not None:
        entry["allocations"]["url"] = _filled(failure.url, places)
    here.accounts(here.entry(FIRST, "primary"), entry)
    here.set(**{name: _filled(value, places) for name, value in failure.env.items()})
    here.hurry(**failure.hurry)
    if failure.targets_within_s is not None:
        here.hurry_allocations(failure.targets_within_s)


def _filled(text: str, places: Mapping[str, str]) -> str:
    for place, value in places.items():
        text = text.replace(place, value)
    return text


def _pattern(text: str, places: Mapping[str, str]) -> str:
    """What the text must be; `{number}` is any, and `{question}` whatever is asked while contracts are looked up."""
    questions = "(?:the portfolio of DU789012|the contract of QQQ)"
    pattern = re.escape(_filled(text, places)).replace(re.escape("{number}"), "[0-9.]+")
    return pattern.replace(re.escape("{question}"), questions)


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port where nothing listens, and nothing can."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield held.getsockname()[1]


def test_accounts_tells_what_in_the_settings_is_hardly_meant(here: Here) -> None:
    (here.folder / ".env").write_text("IBKR_PROT=4002\n", encoding="utf-8")
    (here.folder / ".env").chmod(0o644)
    said = here.run("accounts", "-v").err
    assert "IBKR_PROT" in said
    assert "chmod 600" in said
    assert f"State in {here.folder / '.local/state/ibkr-rebalancer'}" in said
    assert f"Settings from {here.folder / 'accounts.yaml'}" in said
