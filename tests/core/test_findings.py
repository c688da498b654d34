"""What findings are made of facts: how grave they are, in which order they stand, and what becomes of the exit code."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ibkr_rebalancer.core.allocation import Allocation
from ibkr_rebalancer.core.doctor import (
    KEY_REFUSED,
    LITTLE_ROOM,
    NO_ROOM,
    NOT_PERMITTED,
    Check,
    EventAccess,
    FileMode,
    Finding,
    State,
    exit_code,
    grave_for,
    in_order,
    on_address,
    on_allocation,
    on_contracts,
    on_disk,
    on_events,
    on_file,
    on_mode,
    on_preview,
    on_prices,
    preview_of,
    problem,
    warning,
    well,
)
from ibkr_rebalancer.core.errors import (
    ConfigError,
    GatewayRefused,
    GatewayUnavailable,
    Halted,
    RebalancerError,
    Refused,
)
from ibkr_rebalancer.core.instruments import ConId, Contract
from ibkr_rebalancer.core.policy import Account, OrderType, Policy, Substitution
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode
from ibkr_rebalancer.core.quotes import DataKind, NoQuote, Quote

DU1 = AccountId("DU1")
THEN = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
REFUSED = Refused("PRICE_STALE", "It is old.", hint="Wait.")
FORBIDDEN = ConfigError(NOT_PERMITTED, "It may not.", hint="Let it.")
NO_KEY = ConfigError(KEY_REFUSED, "It is none.", hint="Get one.")


def contract(symbol: str, con_id: int) -> Contract:
    return Contract(
        con_id=ConId(con_id),
        symbol=symbol,
        security_type="STK",
        currency="USD",
        primary_exchange="ARCA",
        name=symbol,
        tick_size=Decimal("0.01"),
        price_magnifier=1,
        sessions=None,
    )


def quote(data: DataKind) -> Quote:
    one = Decimal(1)
    return Quote(bid=one, ask=one, last=one, close=one, data=data, is_halted=False, received_at=THEN)


def account(**policy: object) -> Account:
    return Account(account_id=DU1, channel="c", allocations_url="https://a", policy=Policy(**policy))  # type: ignore[arg-type]


def kinds(findings: list[Finding]) -> list[tuple[State, str | None]]:
    return [(finding.state, finding.code) for finding in findings]


def test_only_problems_count_and_the_gravest_of_them() -> None:
    halted = Halted("HALTED", "Stop.", hint="Go.")
    assert exit_code([]) == 0
    assert exit_code([well(Check.CLOCK, "fine"), warning(Check.HALT, halted)]) == 0
    assert exit_code([problem(Check.PRICES, REFUSED), problem(Check.HALT, halted), warning(Check.EVENTS, NO_KEY)]) == 14


@pytest.mark.parametrize(("mode", "state"), [(TradingMode.LIVE, State.PROBLEM), (TradingMode.PAPER, State.WARNING)])
def test_what_is_grave_for_real_money_alone(mode: TradingMode, state: State) -> None:
    finding = grave_for(mode, Check.CLOCK, REFUSED, DU1)
    assert (finding.state, finding.account, finding.code) == (state, DU1, "PRICE_STALE")
    assert (finding.text, finding.hint) == ("It is old.", "Wait.")
    assert finding.exit_code == (11 if state is State.PROBLEM else 0)


def test_findings_stand_by_question_and_else_as_they_came() -> None:
    came = [well(Check.PRICES, "1"), well(Check.JOURNAL, "2"), well(Check.PRICES, "3"), well(Check.FILES, "4")]
    assert [finding.text for finding in in_order(came)] == ["4", "2", "1", "3"]


@pytest.mark.parametrize(
    ("mode", "is_secret", "state", "hint"),
    [
        (0o600, True, State.OK, ""),
        (0o400, True, State.OK, ""),
        (0o640, True, State.WARNING, "Run: chmod 600 /f"),
        (0o604, True, State.WARNING, "Run: chmod 600 /f"),
        (0o644, False, State.OK, ""),
        (0o664, False, State.WARNING, "Run: chmod 644 /f"),
        (0o646, False, State.WARNING, "Run: chmod 644 /f"),
    ],
)
def test_files(mode: int, is_secret: bool, state: State, hint: str) -> None:
    finding = on_file(FileMode(path="/f", mode=mode, is_secret=is_secret))
    assert (finding.state, finding.hint) == (state, hint)


@pytest.mark.parametrize(
    ("free", "state", "code"),
    [
        (LITTLE_ROOM, State.OK, 0),
        (LITTLE_ROOM - 1, State.WARNING, 0),
        (NO_ROOM, State.WARNING, 0),
        (NO_ROOM - 1, State.PROBLEM, 30),
    ],
)
def test_the_disk(free: int, state: State, code: int) -> None:
    finding = on_disk(free, "/state")
    assert (finding.state, finding.exit_code) == (state, code)


@pytest.mark.parametrize(
    ("deaf", "blind", "expected"),
    [
        ([], {}, [(State.OK, None)]),
        ([], {"a": FORBIDDEN}, [(State.OK, None), (State.WARNING, NOT_PERMITTED)]),
        ([FORBIDDEN], {}, [(State.WARNING, NOT_PERMITTED)]),
        ([FORBIDDEN], {"a": FORBIDDEN}, [(State.PROBLEM, NOT_PERMITTED), (State.WARNING, NOT_PERMITTED)]),
        ([NO_KEY], {"a": NO_KEY, "b": NO_KEY}, [(State.PROBLEM, KEY_REFUSED)]),
    ],
    ids=["all", "heard only", "looked up only", "neither", "no key"],
)
def test_one_way_to_events_is_enough(
    deaf: list[RebalancerError], blind: dict[str, RebalancerError], expected: list[tuple[State, str | None]]
) -> None:
    assert kinds(on_events(["a", "b"], EventAccess(deaf=deaf, blind=blind))) == expected


def test_targets_say_what_they_are() -> None:
    allocation = Allocation(
        weights={"A": Decimal("0.6"), "B": Decimal("0.39")},
        stated_sum=Decimal("0.99"),
        name="growth",
        strategy_long_name=None,
        last_rebalance_on="2026-11-01",
        as_of=None,
    )
    told = on_allocation(DU1, allocation).text
    assert told == "growth: 2 symbols, weights add up to 0.99, rebalanced 2026-11-01."


@pytest.mark.parametrize(("managed", "state"), [("DU2", State.OK), ("U2", State.PROBLEM)])
def test_the_gateway_is_of_the_mode(managed: str, state: State) -> None:
    finding = on_mode([AccountId(managed)], TradingMode.PAPER)
    assert finding.state is state
    assert finding.exit_code == (0 if state is State.OK else 21)


@pytest.mark.parametrize(
    ("host", "is_told"),
    [("127.0.0.1", False), ("10.0.0.7", False), ("::1", False), ("ib-gateway", False), ("93.184.216.34", True)],
)
def test_a_gateway_across_the_open_network_is_told(host: str, is_told: bool) -> None:
    assert kinds(on_address(host)) == ([(State.WARNING, "GATEWAY_EXPOSED")] if is_told else [])


def test_contracts_are_counted_and_named() -> None:
    assert on_contracts(DU1, {"A": contract("A", 1)}).text == "1 contract found: A."
    assert on_contracts(DU1, {s: contract(s, 1) for s in "BA"}).text == "2 contracts found: A, B."


@pytest.mark.parametrize(
    ("data", "mode", "policy", "state"),
    [
        (DataKind.LIVE, TradingMode.LIVE, {}, State.OK),
        (DataKind.FROZEN, TradingMode.LIVE, {}, State.OK),
        (DataKind.DELAYED, TradingMode.PAPER, {}, State.WARNING),
        (DataKind.DELAYED, TradingMode.LIVE, {}, State.PROBLEM),
        (DataKind.DELAYED_FROZEN, TradingMode.LIVE, {"require_live_data": False}, State.PROBLEM),
        (
            DataKind.DELAYED,
            TradingMode.LIVE,
            {"require_live_data": False, "order_type": OrderType.LIMIT},
            State.WARNING,
        ),
    ],
)
def test_prices_by_what_they_are_good_for(
    data: DataKind, mode: TradingMode, policy: dict[str, object], state: State
) -> None:
    (finding,) = on_prices(account(**policy), mode, {"A": contract("A", 1)}, {ConId(1): quote(data)})
    assert finding.state is state


def test_prices_of_a_kind_are_told_together() -> None:
    why = NoQuote(reason="nobody sells", remedy="Wait.")
    contracts = {symbol: contract(symbol, number) for number, symbol in enumerate("ABCD")}
    live_one = quote(DataKind.LIVE)
    answers: dict[ConId, Quote | NoQuote] = {ConId(0): live_one, ConId(1): why, ConId(2): live_one, ConId(3): why}
    live, missing = on_prices(account(), TradingMode.LIVE, contracts, answers)
    assert live.text == "Live prices: A, C."
    assert (missing.text, missing.hint, missing.exit_code) == ("No price for B, D: nobody sells.", "Wait.", 11)


@pytest.mark.parametrize("mode", TradingMode)
def test_a_target_without_a_price_keeps_everything_from_being_planned(mode: TradingMode) -> None:
    """Be it that there is no quote, or one that holds a bid alone; what a substitute is bought for may do without."""
    policy = {"substitutions": {"B": Substitution(use="B"), "C": Substitution(use="A")}}
    contracts = {symbol: contract(symbol, number) for number, symbol in enumerate("ABC")}
    bid_alone = replace(quote(DataKind.LIVE), ask=None, last=None, close=None)
    why = NoQuote(reason="nobody sells", remedy="Wait.")
    found = on_prices(account(**policy), mode, contracts, {ConId(0): why, ConId(1): bid_alone, ConId(2): why})
    assert [(each.state, each.code, each.text[:16]) for each in found] == [
        (State.PROBLEM, "PRICE_MISSING", "No price for A: "),
        (State.PROBLEM, "PRICE_MISSING", "No price for B: "),
        (State.WARNING, "PRICE_MISSING", "No price for C: "),
    ]


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (None, State.OK),
        (Refused("ORDER_WOULD_BE_REJECTED", "No cash.", hint="Pay."), State.OK),
        (GatewayRefused("GATEWAY_READ_ONLY", "No orders.", hint="Untick it."), State.PROBLEM),
        (GatewayUnavailable("SNAPSHOT_INCOMPLETE", "Silence.", hint="Again."), State.WARNING),
    ],
)
def test_a_preview_tells_whether_orders_are_taken(refusal: RebalancerError | None, state: State) -> None:
    intent = preview_of(DU1, contract("A", 1), client_id=60, at=THEN)
    assert (intent.quantity, intent.account, intent.client_id) == (1, DU1, 60)
    assert on_preview(intent, refusal).state is state
