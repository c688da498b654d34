"""What helps against each reason there is: every reason code of the program stands here, with a decision."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import ibkr_rebalancer
from ibkr_rebalancer.core.errors import (
    AllocationRejected,
    AllocationUnavailable,
    Busy,
    ConfigError,
    Deferred,
    GatewayRefused,
    GatewayUnavailable,
    Halted,
    RebalancerError,
    Refused,
    StorageFailed,
    UnknownOutcome,
    UsageError,
)
from ibkr_rebalancer.core.limits import LIMITS
from ibkr_rebalancer.core.remedies import PASSING, Remedy, remedy

SOURCE = Path(ibkr_rebalancer.__file__).parent

DECIDED: Mapping[tuple[type[RebalancerError], Remedy], str] = {
    (Busy, Remedy.RETURN): "ACCOUNT_BUSY CLIENT_ID_IN_USE",
    (GatewayUnavailable, Remedy.RETURN): """
        ACCOUNT_NOT_READY GATEWAY_NOT_READY GATEWAY_NO_ACCOUNTS GATEWAY_PROTOCOL GATEWAY_TOO_OLD GATEWAY_UNREACHABLE
        LINK_DOWN SNAPSHOT_INCOMPLETE""",
    (AllocationUnavailable, Remedy.TIME): """
        ALLOCATION_DENIED ALLOCATION_REDIRECT ALLOCATION_TIMEOUT ALLOCATION_TOO_LARGE ALLOCATION_UNAVAILABLE""",
    (AllocationRejected, Remedy.TIME): "ALLOCATION_INVALID ALLOCATION_STATUS ALLOCATION_SUM",
    (Deferred, Remedy.OPEN): "MARKET_CLOSED",
    (Deferred, Remedy.RESTART): "INTERRUPTED",
    (Refused, Remedy.TIME): """
        CASH_DISAGREES CLOCK_SKEW EXCHANGE_RATE_MISSING FOREIGN_ORDER HOURS_UNKNOWN LIMIT_MAX_QUOTE_AGE_S
        LIMIT_MAX_SPREAD_PCT PLAN_STALE POSITION_LAGS PRICE_CROSSED PRICE_MISSING PRICE_NOT_LIVE PRICE_STALE
        SHORT_WITHOUT_VALUE SNAPSHOT_INCONSISTENT SYMBOL_HALTED""",
    (Refused, Remedy.PERSON): """
        ACCOUNT_EMPTY CASH_OUT_OF_REACH
        CONTRACT_AMBIGUOUS CONTRACT_CHANGED CONTRACT_MISMATCH CONTRACT_NOT_A_STOCK CONTRACT_UNKNOWN
        PRICE_UNIT FIRST_LIVE_SALE ORDER_WOULD_BE_REJECTED PLAN_USED POSITIONS_DISAGREE
        POSITIONS_UNCHECKED TARGET_EXCLUDED TARGET_HELD_SHORT TARGET_TWICE
        LIMIT_MAX_DAILY_TURNOVER_PCT LIMIT_MAX_GAP_PCT LIMIT_MAX_ORDERS_PER_DAY LIMIT_MAX_ORDERS_PER_PLAN
        LIMIT_MAX_ORDER_PCT LIMIT_MAX_ORDER_VALUE LIMIT_MAX_REJECTS LIMIT_MAX_SAME_SIDE_PER_DAY
        LIMIT_MAX_TURNOVER_PCT""",
    (GatewayRefused, Remedy.PERSON): """
        ACCOUNT_NOT_MANAGED GATEWAY_READ_ONLY GATEWAY_REFUSED MODE_MISMATCH ORDER_NOT_CANCELLABLE""",
    (UnknownOutcome, Remedy.PERSON): "ORDER_ALARM ORDER_OF_ANOTHER_CLIENT_ID ORDER_STILL_OPEN ORDER_UNKNOWN",
    (Halted, Remedy.PERSON): "HALTED",
    (StorageFailed, Remedy.PERSON): """
        JOURNAL_CONFLICT JOURNAL_CORRUPT JOURNAL_LOST JOURNAL_VERSION STORAGE_BUSY STORAGE_ERROR STORAGE_FULL
        STORAGE_UNWRITABLE""",
}
"""What a run can meet before anything is sent."""

BY_NAME = {(kind, code): helps for (kind, helps), listed in DECIDED.items() for code in listed.split()}

MET_BY_NO_RUN = """
    CONFIG_CONFLICT CONFIG_DUPLICATE_ACCOUNT CONFIG_DUPLICATE_KEY CONFIG_INSECURE_URL CONFIG_INVALID_VALUE
    CONFIG_MISSING_KEY CONFIG_NOT_FOUND CONFIG_NO_ACCOUNTS CONFIG_SECRETS_EXPOSED CONFIG_SYNTAX CONFIG_UNKNOWN_KEY
    CONFIG_UNREADABLE INSECURE_PATH STATE_UNKNOWN
    ACCOUNT_DISABLED ACCOUNT_UNKNOWN NOT_CONFIRMED NO_ACCOUNT ORDER_NOT_OPEN OUTPUT_FAILED RAISE_CASH_OF_MANY
    RUN_UNKNOWN USAGE
    SANDBOX_NOT_STARTED SCENARIO_INVALID STOPPED_AT_ONCE WATCH_BUSY WATCH_NOT_RUNNING WATCH_STALLED
    ACCOUNT_NOT_WATCHED BUG EVENT_SUPERSEDED EVENT_TOO_OLD INTERNAL_ERROR
    PLAN_EDITED PLAN_FILE_INVALID PLAN_FILE_UNREADABLE
    CONFIG_DOUBTFUL EVENTS_KEY_REFUSED EVENTS_NOT_PERMITTED EVENTS_UNREACHABLE GATEWAY_EXPOSED STORAGE_LOW
"""
"""Met before there is a run, asked by a person, or said of an event that is not carried out."""

NO_CODES = """
    ALLOCATIONS_API_KEY IBKR_CLIENT_ID IBKR_HOST IBKR_PORT LOG_LEVEL REALTIME_API_KEY REALTIME_ENDPOINT
    REBALANCER_CONFIG REBALANCER_STATE TRADING_MODE XDG_CONFIG_HOME XDG_STATE_HOME
    NOTIFICATION_URLS NOTIFICATION_LEVEL NOTIFICATION_DETAILS HEARTBEAT_URL
    IBKR_PASSWORD IBKR_USERNAME NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC GROWTH_API_KEY CREDENTIALS_DIRECTORY
    _FILE ORDER_REF LIMIT_
"""
"""Variables, what an argument is called in the help, and the beginnings and ends of such words."""


def codes_in_source() -> set[str]:
    """Every text in the product that could be a reason code: words in capitals, joined, or handed over as a `code`."""
    modules = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] != "sandbox"]
    found = {code for path in modules for code in _codes(ast.parse(path.read_text(encoding="utf-8")))}
    return found | {limit.code for limit in LIMITS}


def _codes(tree: ast.AST) -> Iterator[str]:
    errors = {kind.__name__ for kind in RebalancerError.__subclasses__()}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(code)), *_]) if name in errors:
                yield code
            case ast.keyword(arg="code", value=ast.Constant(value=str(code))) if code:
                yield code
            case ast.Assign(targets=[ast.Name(id="INTERRUPTED")], value=ast.Constant(value=str(text))):
                yield text
            case ast.Constant(value=str(text)) if "_" in text and text.replace("_", "").isalpha() and text.isupper():
                yield text


def test_every_reason_code_is_decided_about() -> None:
    """A new one belongs into one of the tables above, and into `PASSING` if its reason passes by itself."""
    decided = {code for _, code in BY_NAME}
    assert codes_in_source() == decided | {*MET_BY_NO_RUN.split(), *NO_CODES.split()}
    assert not decided & {*MET_BY_NO_RUN.split()}


@pytest.mark.parametrize(("kind", "code"), BY_NAME, ids=lambda each: each if isinstance(each, str) else each.__name__)
def test_what_helps(kind: type[RebalancerError], code: str) -> None:
    assert remedy(kind(code, "It failed.", hint="Look.")) is BY_NAME[kind, code]


@pytest.mark.parametrize("kind", [ConfigError, UsageError, Refused, GatewayRefused])
def test_what_nobody_has_decided_about_needs_a_person(kind: type[RebalancerError]) -> None:
    assert remedy(kind("NEVER_HEARD_OF", "It failed.", hint="Look.")) is Remedy.PERSON


def test_only_refusals_pass_by_their_code() -> None:
    assert {code for (kind, code), helps in BY_NAME.items() if kind is Refused and helps is Remedy.TIME} == PASSING


def test_nothing_is_tried_again_after_an_unknown_outcome_or_a_halt() -> None:
    """Whatever they are called."""
    for code in (*PASSING, "INTERRUPTED"):
        for kind in (UnknownOutcome, Halted, StorageFailed):
            assert remedy(kind(code, "It failed.", hint="Look.")) is Remedy.PERSON
