"""Which accounts a command works on, and what a symbol is asked for as."""

from dataclasses import replace
from decimal import Decimal

import pytest

from ibkr_rebalancer.core.errors import GatewayRefused, UsageError
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.policy import Account, Limits, OrderType, Policy, config_digest, select_accounts
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode


def account(number: str, *, enabled: bool = True) -> Account:
    return Account(account_id=AccountId(number), channel="c", allocations_url="https://example.com/a", enabled=enabled)


LISTED = [account("DU2"), account("U1"), account("DU1"), account("DU3", enabled=False)]


@pytest.mark.parametrize(
    ("named", "mode", "chosen"),
    [
        ([], TradingMode.PAPER, ["DU2", "DU1"]),
        ([], TradingMode.LIVE, ["U1"]),
        (["DU1"], TradingMode.PAPER, ["DU1"]),
        (["DU1", "DU2", "DU1"], TradingMode.PAPER, ["DU1", "DU2"]),
    ],
)
def test_named_accounts_or_all_enabled_ones_of_the_mode(named: list[str], mode: TradingMode, chosen: list[str]) -> None:
    assert [found.account_id for found in select_accounts(LISTED, named, mode=mode, file="d.yaml")] == chosen


@pytest.mark.parametrize(("named", "code"), [(["DU9"], "ACCOUNT_UNKNOWN"), (["DU1", "DU3"], "ACCOUNT_DISABLED")])
def test_a_name_that_is_unknown_or_disabled_is_refused(named: list[str], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        select_accounts(LISTED, named, mode=TradingMode.PAPER, file="d.yaml")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("mode", "said", "hint"),
    [
        (
            TradingMode.LIVE,
            "d.yaml lists no live account, and TRADING_MODE is live.",
            "Set TRADING_MODE=paper and log the gateway in that way, or list a live account.",
        ),
        (
            TradingMode.PAPER,
            "No paper account in d.yaml is enabled: DU1, DU2.",
            "Set `enabled: true` for one of them there.",
        ),
    ],
)
def test_no_account_that_can_be_used_is_refused(mode: TradingMode, said: str, hint: str) -> None:
    disabled = [account(name, enabled=False) for name in ("DU1", "DU2")]
    with pytest.raises(UsageError) as caught:
        select_accounts(disabled, [], mode=mode, file="d.yaml")
    assert (caught.value.code, caught.value.message, caught.value.hint) == ("NO_ACCOUNT", said, hint)


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("U1", TradingMode.PAPER, "U1 is a live account, but TRADING_MODE is paper."),
        ("DU1", TradingMode.LIVE, "DU1 is a paper account, but TRADING_MODE is live."),
    ],
)
def test_naming_an_account_of_the_other_mode_is_refused(name: str, mode: TradingMode, said: str) -> None:
    with pytest.raises(GatewayRefused) as caught:
        select_accounts(LISTED, [name], mode=mode, file="d.yaml")
    assert (caught.value.code, caught.value.message) == ("MODE_MISMATCH", said)


def test_a_symbol_is_asked_for_as_the_owner_says_or_at_smart_in_dollars() -> None:
    named = ContractQuery(symbol="SAP", con_id=ConId(7))
    policy = Policy(contracts={"SAP": named})
    assert policy.query("SAP") == named
    assert policy.query("QQQ") == ContractQuery(symbol="QQQ", exchange="SMART", currency="USD")


@pytest.mark.parametrize(("reserve", "gate", "plain"), [("0", "0", True), ("0", "5", False), ("0.25", "0", False)])
def test_plain_rounding_is_asked_for_by_no_reserve_and_no_gate(reserve: str, gate: str, plain: bool) -> None:
    assert Policy(cash_reserve_pct=Decimal(reserve), min_gain_bp=Decimal(gate)).rounds_to_nearest is plain


@pytest.mark.parametrize(
    ("policy", "left_bp"),
    [
        (Policy(), "25"),
        (Policy(limit_offset_bp=Decimal(500)), "25"),
        (Policy(order_type=OrderType.LIMIT), "42.5"),
        (Policy(order_type=OrderType.LIMIT, cash_reserve_pct=Decimal(0)), "30"),
        (Policy(order_type=OrderType.LIMIT, limit_offset_bp=Decimal("12.5")), "25"),
        (Policy(order_type=OrderType.LIMIT, limit_offset_bp=Decimal(13)), "25.5"),
        (Policy(order_type=OrderType.LIMIT, cash_reserve_pct=Decimal(1)), "100"),
    ],
)
def test_purchases_leave_the_reserve_or_half_of_it_and_what_limits_may_cost_more(policy: Policy, left_bp: str) -> None:
    assert policy.purchase_reserve == Decimal(left_bp) / 10_000


def test_the_digest_of_an_account_tells_any_other_decision() -> None:
    first = account("DU1")
    others = [
        account("DU2"),
        replace(first, allocations_url="https://example.com/b"),
        replace(first, policy=Policy(min_gain_bp=Decimal(6))),
        replace(first, policy=Policy(limits=Limits(max_quote_age_s=Decimal(61)))),
    ]

    assert config_digest(account("DU1")) == config_digest(first)
    assert len({config_digest(decided) for decided in (first, *others)}) == 5


def test_the_owners_words_for_order_types() -> None:
    assert {kind.word: kind.value for kind in OrderType} == {"market": "MKT", "limit": "LMT"}
