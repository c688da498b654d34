"""Every setting there is: what it means, and what its text must be.

The defaults of an account's keys are the field defaults of `core.policy`; those of the environment stand here.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ibkr_rebalancer.config.findings import unfit
from ibkr_rebalancer.config.keys import BySymbol, Key, Section, decimal, matching, one_of, whole
from ibkr_rebalancer.config.outbound import read_addresses, read_heartbeat
from ibkr_rebalancer.config.settings import CLIENT_IDS
from ibkr_rebalancer.config.sources import ALLOCATIONS, BEARER_KEY, read_url
from ibkr_rebalancer.core.account_ids import ACCOUNT_ID
from ibkr_rebalancer.core.addresses import is_loopback
from ibkr_rebalancer.core.allocation import SYMBOL
from ibkr_rebalancer.core.limits import LIMITS, Limit, Unit
from ibkr_rebalancer.core.notifications import Level
from ibkr_rebalancer.core.policy import ALLOCATIONS_API_KEY, OrderType, Underweight, Unlisted
from ibkr_rebalancer.core.portfolio import TradingMode

GATEWAY_PORTS = {TradingMode.PAPER: 4002, TradingMode.LIVE: 4001}
"""Where an IB Gateway listens unless told otherwise."""

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

LARGEST_INT = 2**31 - 1
"""What fits into the gateway's integers."""


def _channel(text: str) -> str:
    """Ably gives a leading [ or : a meaning of its own."""
    if not text.isprintable() or text != text.strip() or text[:1] in {"", "[", ":"}:
        raise ValueError(text)
    return text


def _endpoint(text: str) -> str:
    """A server without anything that Ably's client would not take along; it takes one word for a name at Ably."""
    read_url(text)
    parts = urlsplit(text)
    is_name_at_ably = not {".", ":"} & set(parts.hostname or "") and parts.hostname != "localhost"
    if (
        is_name_at_ably
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
        or (parts.scheme == "http" and not is_loopback(text))
    ):
        raise ValueError(text)
    return f"{parts.scheme}://{parts.netloc}"


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        ip_address(text)
    return text


def _scale(text: str) -> Decimal:
    scale = Decimal(text) if re.fullmatch(r"0\.[0-9]{1,9}|1(\.0{1,9})?", text) else Decimal(0)
    if not scale:
        raise ValueError(text)
    return scale


def _symbol(text: str) -> str:
    if not SYMBOL.fullmatch(text):
        raise ValueError(text)
    return text


def _check_contract(contract: Mapping[str, Any], line: int) -> None:
    others = [name for name in CONTRACT.keys if name != "con_id"]
    if not contract:
        raise unfit(
            line,
            "CONFIG_MISSING_KEY",
            "This entry of contracts says nothing about the contract.",
            hint=f"Give con_id, or some of {', '.join(others)}.",
        )
    if "con_id" in contract and len(contract) > 1:
        raise unfit(
            line,
            "CONFIG_CONFLICT",
            f"con_id names a contract by itself; {', '.join(n for n in others if n in contract)} could contradict it.",
            hint="Keep con_id alone, or remove it.",
        )


def _bound(limit: Limit[Any]) -> Key:
    """What the bound of a limit may be."""
    match limit.unit:
        case Unit.COUNT:
            return whole(1, 10_000, meaning=limit.meaning, example=limit.example)
        case Unit.SECONDS:
            return decimal(1, 3600, meaning=limit.meaning, example=limit.example)
        case Unit.PERCENT:
            return decimal(0, 10_000, meaning=limit.meaning, example=limit.example)
        case Unit.MONEY:
            return decimal(1, LARGEST_INT, meaning=limit.meaning, example=limit.example)


CONTRACT = Section(
    meaning="a contract: its con_id alone, or some of the others",
    keys={
        "con_id": whole(1, LARGEST_INT, meaning="Interactive Brokers' number of the contract", example="320227571"),
        "exchange": matching(
            r"[A-Z0-9.]{1,20}", must="an exchange such as SMART", meaning="where orders are routed", example="LSE"
        ),
        "currency": matching(
            r"[A-Z]{3}", must="a currency such as USD", meaning="what the contract is traded in", example="GBP"
        ),
        "primary_exchange": matching(
            r"[A-Z0-9.]{1,20}", must="an exchange such as ARCA", meaning="where the contract is listed", example="LSE"
        ),
    },
    check=_check_contract,
)

SUBSTITUTION = Section(
    meaning="what is bought, and how much of it",
    keys={
        "use": Key(
            meaning="the symbol that is bought in place of the target; the target's own takes back what a default says",
            must="a symbol in capitals",
            read=_symbol,
            example="QQQM",
            required=True,
        ),
        "scale": Key(
            meaning="the part of the target's weight that is bought, where the substitute moves more than the target; "
            "the rest stays cash",
            must="a decimal number above 0, at most 1",
            read=_scale,
            example="0.5",
        ),
    },
)

POLICY = Section(
    meaning="how an account is rebalanced",
    keys={
        "enabled": one_of(
            {"true": True, "false": False}, meaning="whether the account takes part at all", example="false"
        ),
        "cash_reserve_pct": decimal(
            0, 99, meaning="the percentage of net liquidation that stays in cash", example="1.5"
        ),
        "min_gain_bp": decimal(
            0,
            10_000,
            meaning="the drift, in basis points of net liquidation, that a plan must remove to be worth its trades",
            example="100",
        ),
        "order_type": one_of(
            {kind.word: kind for kind in OrderType},
            meaning="how orders are priced; limit orders are marketable",
            example="limit",
        ),
        "limit_offset_bp": decimal(
            0,
            1000,
            meaning="how far, in basis points, a limit order may fill beyond the ask or below the bid; purchases leave "
            "this and half the reserve in cash, if that is more",
            example="20",
        ),
        "require_live_data": one_of(
            {"true": True, "false": False},
            meaning="whether real money trades on live prices only; if false, limit orders may use delayed ones",
            example="false",
        ),
        "open_delay_min": decimal(
            0,
            240,
            meaning="the minutes after the open of the market at which an event that waited for it is carried out",
            example="15",
        ),
        "event_max_age_h": decimal(
            0,
            8760,
            meaning="the hours from an event's publication to its receipt, beyond which it is told and not carried out",
            example="2",
        ),
        "exclude": Key(
            meaning="the symbols that are never traded: what is held under them, of whatever kind, stays as it is and "
            "counts as no money to invest; a target that is among them is refused",
            must="symbols in capitals, in a list",
            read=_symbol,
            example="[SPY, BRK B]",
            is_list=True,
        ),
        "unlisted": one_of(
            {choice.value: choice for choice in Unlisted},
            meaning="what becomes of a stock or fund that is held and is not in the targets; one whose target weight "
            "is 0 is sold in any case",
            example="keep",
        ),
        "underweight": one_of(
            {choice.value: choice for choice in Underweight},
            meaning="what becomes of targets that add up to less than 0.99: they are refused, or what is missing to 1 "
            "stays cash",
            example="cash",
        ),
        "substitutions": BySymbol(
            meaning="what is bought in place of a target; what is held of the target counts towards it, and is sold "
            "only beyond the target's weight",
            entry=SUBSTITUTION,
        ),
        "contracts": BySymbol(
            meaning="which contract a symbol of the targets means, where that is not the one at SMART in USD",
            entry=CONTRACT,
        ),
        "limits": Section(
            meaning="how much may be done; a plan that passes one of these bounds is refused whole",
            keys={limit.name: _bound(limit) for limit in LIMITS},
        ),
    },
)
"""What `defaults:` may say for all accounts, and each account for itself."""

ACCOUNT = Section(
    meaning="an account that is rebalanced",
    keys={
        "account_id": matching(
            ACCOUNT_ID.pattern,
            must="an account number such as DU123456",
            meaning="the number of an Interactive Brokers account",
            example='"DU123456"',
            required=True,
        ),
        "notification": Section(
            meaning="how the account learns that its targets have changed",
            keys={
                "channel": Key(
                    meaning="the Ably channel that announces new targets",
                    must="printable text that does not begin with [ or :",
                    read=_channel,
                    example='"rebalance-primary"',
                    required=True,
                ),
            },
        ),
        "allocations": ALLOCATIONS,
        **POLICY.keys,
    },
)

ENVIRONMENT: Mapping[str, Key] = {
    "IBKR_HOST": Key(
        meaning="where the IB Gateway or TWS runs",
        must="a host name or address without a port",
        read=_host,
        example="ib-gateway",
        default="127.0.0.1",
    ),
    "IBKR_PORT": whole(
        1,
        65535,
        meaning="the gateway's API port, by default "
        + " or ".join(f"{port} ({mode.value})" for mode, port in GATEWAY_PORTS.items()),
        example="4004",
    ),
    "IBKR_CLIENT_ID": whole(
        1,
        LARGEST_INT - CLIENT_IDS + 1,
        meaning=f"the first of {CLIENT_IDS} API client ids that nobody else uses",
        example="71",
        default=51,
    ),
    "TRADING_MODE": one_of(
        {mode.value: mode for mode in TradingMode},
        meaning="which kind of accounts may be touched at all",
        example="live",
        default=TradingMode.PAPER,
    ),
    "REALTIME_API_KEY": matching(
        r"[!-~]+",
        must="printable ASCII without spaces",
        meaning="the API key for Ably",
        example="your.ably:key",
        secret=True,
    ),
    "REALTIME_ENDPOINT": Key(
        meaning="where Ably's protocol is spoken, if not at Ably itself",
        must="an https:// address with a full host name and no path, or http:// on this machine",
        read=_endpoint,
        example="http://127.0.0.1:8443",
    ),
    ALLOCATIONS_API_KEY: BEARER_KEY,
    "NOTIFICATION_URLS": Key(
        meaning="where notifications are sent, as addresses of apprise with spaces or line breaks between them",
        must="one or more addresses such as tgram://TOKEN/CHAT or mailto://USER:PASSWORD@HOST",
        read=read_addresses,
        example="json://127.0.0.1:8080/told",
        secret=True,
    ),
    "NOTIFICATION_LEVEL": one_of(
        {level.value: level for level in Level},
        meaning="which notifications are sent: all of them, or only problems and what ends them",
        example="problems",
        default=Level.ALL,
    ),
    "NOTIFICATION_DETAILS": one_of(
        {"none": False, "balances": True},
        meaning="whether notifications name balances and other amounts of money",
        example="balances",
        default=False,
    ),
    "HEARTBEAT_URL": Key(
        meaning="what a working watch asks for every minute, so that a monitor elsewhere notices when it does not",
        must="an https:// address, or http:// on this machine",
        read=read_heartbeat,
        example="http://127.0.0.1:8081/beat",
        secret=True,
    ),
    "LOG_LEVEL": Key(
        meaning="how much is logged",
        must=" or ".join(LOG_LEVELS),
        read=lambda text: LOG_LEVELS[LOG_LEVELS.index(text.upper())],
        example="DEBUG",
        default="INFO",
    ),
    "REBALANCER_CONFIG": Key(
        meaning="the path of accounts.yaml", must="a path", read=Path, example="~/rebalancer/accounts.yaml"
    ),
    "REBALANCER_STATE": Key(
        meaning="the folder where the journal is kept, the same for every command",
        must="a path",
        read=Path,
        example="/srv/rebalancer/state",
    ),
}
"""Every variable we read. A secret one may be given as NAME_FILE instead: the path of a file that holds it."""
