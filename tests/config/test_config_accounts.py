from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.config.accounts import read_accounts
from ibkr_rebalancer.config.findings import Finding, Unfit
from ibkr_rebalancer.config.keys import Section
from ibkr_rebalancer.config.schema import ACCOUNT, POLICY
from ibkr_rebalancer.config.strict_yaml import parse
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.policy import Account, Limits, OrderType, Policy, Substitution, Underweight, Unlisted
from ibkr_rebalancer.core.portfolio import AccountId

SEED = """\
- account_id: "DU123456"
  notification:
    channel: "rebalance-primary"
  allocations:
    url: "https://your-api.com/allocations/primary"

- account_id: "DU789012"
  notification:
    channel: "rebalance-secondary"
  allocations:
    url: "https://your-api.com/allocations/secondary"
"""

ONE = """\
account_id: U1234567
notification: {channel: news}
allocations: {url: "https://example.com/a"}
"""


def read(text: str) -> tuple[Account, ...]:
    return read_accounts(parse(text), folder=Path("/etc/rebalancer"))


def one_account(*lines: str, head: str = ONE) -> Account:
    """The account of ONE with further keys."""
    (account,) = read("- " + "\n  ".join([*head.splitlines(), *lines]))
    return account


def findings_in(text: str) -> tuple[Finding, ...]:
    with pytest.raises(Unfit) as caught:
        read(text)
    return caught.value.findings


def finding_in(*lines: str, head: str = ONE) -> Finding:
    """What is wrong with the account of ONE once it has these keys, too."""
    with pytest.raises(Unfit) as caught:
        one_account(*lines, head=head)
    (finding,) = caught.value.findings
    return finding


def test_the_plain_list_with_every_default() -> None:
    assert read(SEED) == (
        Account(
            account_id=AccountId("DU123456"),
            channel="rebalance-primary",
            allocations_url="https://your-api.com/allocations/primary",
        ),
        Account(
            account_id=AccountId("DU789012"),
            channel="rebalance-secondary",
            allocations_url="https://your-api.com/allocations/secondary",
        ),
    )


def test_every_key_at_once() -> None:
    account = one_account(
        "enabled: false",
        "cash_reserve_pct: 1.50",
        "min_gain_bp: 0",
        "order_type: limit",
        "limit_offset_bp: 12.5",
        "require_live_data: false",
        "contracts:",
        "  ON: {currency: USD, primary_exchange: NASDAQ}",
        "  BRK B: {con_id: 72063691}",
        "  VOD: {exchange: LSE, currency: GBP}",
        "limits:",
        "  {max_order_value: 50000.50, max_order_pct: 60, max_orders_per_plan: 20, max_orders_per_day: 50,",
        "  max_turnover_pct: 100, max_daily_turnover_pct: 150.5, max_same_side_per_day: 2, max_gap_pct: 10,",
        "  max_quote_age_s: 5, max_spread_pct: 0.5, max_rejects: 1}",
    )

    assert account == Account(
        account_id=AccountId("U1234567"),
        channel="news",
        allocations_url="https://example.com/a",
        enabled=False,
        policy=Policy(
            cash_reserve_pct=Decimal("1.50"),
            min_gain_bp=Decimal(0),
            order_type=OrderType.LIMIT,
            limit_offset_bp=Decimal("12.5"),
            require_live_data=False,
            contracts={
                "ON": ContractQuery(symbol="ON", currency="USD", primary_exchange="NASDAQ"),
                "BRK B": ContractQuery(symbol="BRK B", con_id=ConId(72063691)),
                "VOD": ContractQuery(symbol="VOD", exchange="LSE", currency="GBP"),
            },
            limits=Limits(
                max_order_value=Decimal("50000.50"),
                max_order_pct=Decimal(60),
                max_orders_per_plan=20,
                max_orders_per_day=50,
                max_turnover_pct=Decimal(100),
                max_daily_turnover_pct=Decimal("150.5"),
                max_same_side_per_day=2,
                max_gap_pct=Decimal(10),
                max_quote_age_s=Decimal(5),
                max_spread_pct=Decimal("0.5"),
                max_rejects=1,
            ),
        ),
    )


def test_an_accounts_own_key_beats_the_default_and_contracts_are_joined() -> None:
    own, shared = read("""\
defaults:
  enabled: false
  cash_reserve_pct: 2
  contracts: {AAA: {con_id: 1}, BBB: {con_id: 2}}
  limits: {max_quote_age_s: 30}
accounts:
  - account_id: U1111111
    notification: {channel: a}
    allocations: {url: "https://example.com/a"}
    enabled: true
    cash_reserve_pct: 3
    contracts: {BBB: {currency: EUR}}
  - account_id: U2222222
    notification: {channel: b}
    allocations: {url: "https://example.com/b"}
""")

    assert (own.enabled, shared.enabled) == (True, False)
    assert (own.policy.cash_reserve_pct, shared.policy.cash_reserve_pct) == (Decimal(3), Decimal(2))
    assert own.policy.contracts == {
        "AAA": ContractQuery(symbol="AAA", con_id=ConId(1)),
        "BBB": ContractQuery(symbol="BBB", currency="EUR"),
    }
    assert shared.policy.contracts["BBB"] == ContractQuery(symbol="BBB", con_id=ConId(2))
    assert own.policy.limits == shared.policy.limits == Limits(max_quote_age_s=Decimal(30))
    assert own.policy.min_gain_bp == Policy().min_gain_bp


def test_every_policy_field_of_the_core_has_its_key() -> None:
    policy = {field.name for field in fields(Policy)}

    assert set(POLICY.keys) == policy | {"enabled"}
    assert isinstance(limits := POLICY.keys["limits"], Section)
    assert set(limits.keys) == {field.name for field in fields(Limits)}
    assert set(ACCOUNT.keys) == set(POLICY.keys) | {"account_id", "notification", "allocations"}


@given(st.decimals(min_value=0, max_value=99, allow_nan=False, places=6))
def test_a_number_becomes_exactly_what_is_written(number: Decimal) -> None:
    assert str(one_account(f"cash_reserve_pct: {number:f}").policy.cash_reserve_pct) == f"{number:f}"


@pytest.mark.parametrize(
    "line",
    [
        "cash_reserve_pct: 99.000001",
        "cash_reserve_pct: -1",
        "cash_reserve_pct: 1e1",
        "cash_reserve_pct: 010",
        "cash_reserve_pct: 1_0",
        "cash_reserve_pct: 5 %",
        "cash_reserve_pct: .5",
        "cash_reserve_pct: .nan",
        "cash_reserve_pct: .inf",
        "cash_reserve_pct: NaN",
        "cash_reserve_pct: ٣",
        "cash_reserve_pct: true",
        "cash_reserve_pct:",
        "cash_reserve_pct: [1]",
        "cash_reserve_pct: 12:30:45",
        "min_gain_bp: 10001",
        "order_type: MKT",
        "order_type: Limit",
        "order_type: midprice",
        "limit_offset_bp: 1000.1",
        "require_live_data: no",
        "limits: {max_quote_age_s: 0.5}",
        "limits: {max_quote_age_s: 3601}",
        "limits: {max_order_value: 0.5}",
        "limits: {max_order_value: none}",
        "limits: {max_order_pct: 10001}",
        "limits: {max_orders_per_plan: 0}",
        "limits: {max_orders_per_day: 10001}",
        "limits: {max_same_side_per_day: 1.5}",
        "limits: {max_rejects: 0}",
        "limits: 5",
        "limits:",
        "enabled: yes",
        "enabled: True",
        "enabled: 1",
        "contracts: {BRK: {con_id: 0}}",
        "contracts: {BRK: {con_id: 2147483648}}",
        "contracts: {BRK: {con_id: 5.0}}",
        "contracts: {BRK: 5}",
        "contracts: [BRK]",
        "contracts: {brk: {con_id: 5}}",
        "contracts: {BRK: {currency: usd}}",
        "contracts: {BRK: {exchange: New York}}",
        'contracts: {BRK: {primary_exchange: ""}}',
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_its_line(line: str) -> None:
    finding = finding_in("", line)

    assert (finding.code, finding.line) == ("CONFIG_INVALID_VALUE", 5)
    assert finding.hint


@pytest.mark.parametrize(
    "line", ["cash_reserve_pct: 99", "min_gain_bp: 10000", "limit_offset_bp: 1000", "limits: {max_quote_age_s: 1}"]
)
def test_bounds_belong_to_the_range(line: str) -> None:
    one_account(line)


@pytest.mark.parametrize("account_id", ["012", "du123456", "DU1234", "DU123456 ", "DU12345678901", "DEMO", "true"])
def test_an_account_id_that_cannot_be_one(account_id: str) -> None:
    finding = finding_in(head=ONE.replace("U1234567", f'"{account_id}"'))

    assert finding.sentence == f"account_id is '{account_id}'; it must be an account number such as DU123456."


@pytest.mark.parametrize("account_id", ["U1234567", "DU123456", "DF12345", "F7654321", "DFO123456", "U1234567A"])
def test_account_ids_of_every_kind(account_id: str) -> None:
    assert one_account(head=ONE.replace("U1234567", account_id)).account_id == account_id


@pytest.mark.parametrize("channel", ['""', '" a"', '"a "', '"[?rewind=1]a"', '":a"', r'"a\nb"'])
def test_a_channel_name_that_ably_would_take_otherwise(channel: str) -> None:
    assert finding_in(head=ONE.replace("news", channel)).code == "CONFIG_INVALID_VALUE"


@pytest.mark.parametrize(
    "url",
    [
        "example.com/a",
        "ftp://example.com/a",
        "https:///a",
        "https://me:hunter2@example.com/a",
        "https://hunter2@example.com/a",
        "https://example.com:0/a",
        "https://example.com:hunter2/a",
        "https://example.com:99999/a",
        "https://[::1/a",
        "https://example.com/a?key=hunter2 x",
        "https://example.com/ä",
        "",
    ],
)
def test_a_url_that_leads_nowhere_or_holds_a_password_is_refused_without_showing_it(url: str) -> None:
    finding = finding_in(head=ONE.replace("https://example.com/a", url))

    assert (finding.code, finding.line) == ("CONFIG_INVALID_VALUE", 3)
    assert "hunter2" not in finding.sentence + finding.hint


@pytest.mark.parametrize(
    "url",
    ["http://example.com/a?key=hunter2", "HTTP://example.com/a", "http://127.0.0.1.example.com", "http://10.0.0.1/a"],
)
def test_plain_http_needs_permission(url: str) -> None:
    finding = finding_in(head=ONE.replace("https://example.com/a", url))

    assert (finding.code, finding.line) == ("CONFIG_INSECURE_URL", 3)
    assert "hunter2" not in finding.sentence
    permitted = ONE.replace('"https://example.com/a"', f'"{url}", allow_http: true')
    assert one_account(head=permitted).allocations_url == url


@pytest.mark.parametrize("url", ["http://localhost:8080/a", "http://127.0.0.1/a", "http://[::1]:1/a"])
def test_plain_http_on_this_machine(url: str) -> None:
    assert one_account(head=ONE.replace("https://example.com/a", url)).allocations_url == url


@pytest.mark.parametrize(
    ("lines", "sentence", "hint"),
    [
        (["cash_reserve: 1"], "'cash_reserve' is not", "Did you mean 'cash_reserve_pct'?"),
        (["limits: {max_age: 1}"], "'max_age' is not a key that this version knows in limits", "max_quote_age_s"),
        (["contracts: {BRK: {conid: 1}}"], "'conid' is not a key that this version knows in contracts.BRK", "'con_id'"),
        (["wombats: keep"], "'wombats' is not a key that this version knows.", "Use one of account_id, "),
        (["<<: {enabled: true}"], "'<<' is not", "Use one of"),
        (["limits.max_quote_age_s: 5"], "'limits.max_quote_age_s' is not", "limits."),
    ],
)
def test_an_unknown_key_is_refused_with_what_could_be_meant(lines: list[str], sentence: str, hint: str) -> None:
    finding = finding_in(*lines)

    assert (finding.code, finding.line) == ("CONFIG_UNKNOWN_KEY", 4)
    assert sentence in finding.sentence
    assert hint in finding.hint


@pytest.mark.parametrize("name", ["account_id", "notification", "allocations"])
def test_a_required_key_that_is_missing(name: str) -> None:
    head = "enabled: true\n" + "".join(line + "\n" for line in ONE.splitlines() if not line.startswith(name))
    finding = finding_in(head=head)

    assert (finding.code, finding.line) == ("CONFIG_MISSING_KEY", 1)
    assert finding.sentence.startswith(name)


def test_con_id_stands_alone() -> None:
    finding = finding_in("contracts: {BRK: {con_id: 5, currency: USD}}")

    assert (finding.code, finding.line) == ("CONFIG_CONFLICT", 4)
    assert "currency" in finding.sentence


def test_an_entry_of_contracts_that_says_nothing() -> None:
    assert finding_in("contracts: {BRK: {}}").code == "CONFIG_MISSING_KEY"


def test_policy_keys_only_may_be_defaults() -> None:
    (finding,) = findings_in(f"defaults: {{account_id: U7654321}}\naccounts: [{{{','.join(ONE.splitlines())}}}]")

    assert finding.sentence == "'account_id' is not a key that this version knows in defaults."


@pytest.mark.parametrize("text", ["", "[]", "{}", "accounts: []", "defaults: {cash_reserve_pct: 1}"])
def test_no_account(text: str) -> None:
    (finding,) = findings_in(text)

    assert finding.code == "CONFIG_NO_ACCOUNTS"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hello", "accounts.yaml is a single value; it must be a list of accounts."),
        ("accounts: {account_id: DU123456}", "accounts is a mapping; it must be a list of accounts."),
        ("- DU123456", "an account is a single value; it must be a mapping of names to values."),
        (
            f"defaults: 5\naccounts: [{{{','.join(ONE.splitlines())}}}]",
            "defaults is a single value; it must be a mapping",
        ),
    ],
)
def test_a_document_of_another_shape(text: str, sentence: str) -> None:
    (finding,) = findings_in(text)

    assert finding.sentence.startswith(sentence)


def test_one_account_without_its_dash() -> None:
    assert {finding.code for finding in findings_in(ONE)} == {"CONFIG_UNKNOWN_KEY"}


def test_an_account_listed_twice() -> None:
    (finding,) = findings_in(SEED + SEED.split("\n\n", maxsplit=1)[0])

    assert (finding.code, finding.line) == ("CONFIG_DUPLICATE_ACCOUNT", 12)
    assert finding.sentence == "DU123456 is listed again; it already stands in line 1."


def test_everything_that_is_wrong_is_found_at_once() -> None:
    findings = findings_in("""\
- account_id: 012
  notification: {chanel: x}
  allocations: {url: "https://example.com"}
  cash_reserve_pct: 1e3
- account_id: DU123456
  contracts: {BRK: {con_id: x}}
""")

    assert [(finding.line, finding.code) for finding in findings] == [
        (1, "CONFIG_INVALID_VALUE"),
        (2, "CONFIG_UNKNOWN_KEY"),  # and it is what else would be missing
        (4, "CONFIG_INVALID_VALUE"),
        (6, "CONFIG_INVALID_VALUE"),
        (5, "CONFIG_MISSING_KEY"),
        (5, "CONFIG_MISSING_KEY"),
    ]


def test_the_rules_on_what_is_held_and_bought() -> None:
    account = one_account(
        "exclude: [SPY, BRK B]",
        "unlisted: keep",
        "underweight: cash",
        "substitutions: {QQQ: {use: QQQM}, UVXY: {use: VXX, scale: 0.5}}",
    )
    assert account.policy.exclude == {"SPY", "BRK B"}
    assert account.policy.unlisted is Unlisted.KEEP
    assert account.policy.underweight is Underweight.CASH
    assert account.policy.substitutions == {
        "QQQ": Substitution(use="QQQM"),
        "UVXY": Substitution(use="VXX", scale=Decimal("0.5")),
    }


def test_an_accounts_own_exclusions_take_the_place_of_the_default_and_its_substitutions_join_it() -> None:
    """What a default substitutes, an account takes back by naming the symbol itself."""
    first, second, third = read(
        """\
defaults: {exclude: [SPY], substitutions: {QQQ: {use: QQQM}}}
accounts:
- {account_id: DU1000001, notification: {channel: a}, allocations: {url: "https://a"}}
- {account_id: DU1000002, notification: {channel: a}, allocations: {url: "https://a"}, exclude: []}
- account_id: DU1000003
  notification: {channel: a}
  allocations: {url: "https://a"}
  exclude: [TLT]
  substitutions: {QQQ: {use: QQQ}, SPY: {use: VOO}}
"""
    )
    assert [sorted(each.policy.exclude) for each in (first, second, third)] == [["SPY"], [], ["TLT"]]
    assert {symbol: each.use for symbol, each in second.policy.substitutions.items()} == {"QQQ": "QQQM"}
    assert {symbol: each.use for symbol, each in third.policy.substitutions.items()} == {"QQQ": "QQQ", "SPY": "VOO"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("exclude: SPY", "exclude is a single value; it must be symbols in capitals, in a list."),
        ("exclude: [spy]", "exclude is 'spy'; it must be symbols in capitals, in a list."),
        ("exclude: [[SPY]]", "An entry of exclude is a list; it must be symbols in capitals, in a list."),
        ("unlisted: hold", "unlisted is 'hold'; it must be sell or keep."),
        ("underweight: hold", "underweight is 'hold'; it must be refuse or cash."),
        ("substitutions: [QQQ]", "substitutions is a list; it must be a mapping of symbols to substitutions."),
        ("substitutions: {QQQ: {scale: 0.5}}", "substitutions.QQQ.use is missing."),
        ("substitutions: {qqq: {use: QQQM}}", "substitutions has an entry for 'qqq', which is not a symbol."),
        ("substitutions: {QQQ: {use: qqqm}}", "substitutions.QQQ.use is 'qqqm'; it must be a symbol in capitals."),
        *(
            (
                f"substitutions: {{QQQ: {{use: QQQM, scale: {scale}}}}}",
                f"substitutions.QQQ.scale is '{scale}'; it must be a decimal number above 0, at most 1.",
            )
            for scale in ("0", "1.5", "-1", "half")
        ),
        (
            "substitutions: {QQQ: {use: QQQM}, QQQM: {use: ONEQ}}",
            "substitutions has QQQM bought in place of QQQ, and ONEQ in place of QQQM.",
        ),
    ],
)
def test_rules_that_cannot_be_meant(line: str, sentence: str) -> None:
    assert finding_in(line).sentence == sentence
