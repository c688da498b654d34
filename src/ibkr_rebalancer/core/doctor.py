"""What is found out about an installation before it is relied on: a line for each question, and what to do. Pure.

A finding is a problem if a command could not do its work, a warning if it could, and somebody should know. What is the
one and what the other for paper is not always so for real money.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from ipaddress import ip_address

from ibkr_rebalancer.core.allocation import Allocation
from ibkr_rebalancer.core.errors import (
    EXIT_DONE,
    ConfigError,
    GatewayRefused,
    RebalancerError,
    Refused,
    StorageFailed,
    gravest,
)
from ibkr_rebalancer.core.instruments import ConId, Contract
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.orders import OrderIntent, OrderType, order_ref
from ibkr_rebalancer.core.plan import Side
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode, belongs_to
from ibkr_rebalancer.core.quotes import DataKind, NoQuote, Quote, prices_of, unpriced

MEGABYTE = 1024 * 1024
LITTLE_ROOM = 500 * MEGABYTE
"""Bytes on the disk of the state folder below which its owner is told; a year's journal is a part of that."""
NO_ROOM = 20 * MEGABYTE
"""Bytes below which the next run may not be able to keep what it does."""

KEY_REFUSED, NOT_PERMITTED, UNREACHABLE = "EVENTS_KEY_REFUSED", "EVENTS_NOT_PERMITTED", "EVENTS_UNREACHABLE"
"""What can be wrong with the way to events."""

PREVIEW = "doctor"
"""What stands for a run and a plan in the one order that is previewed."""

SUBSCRIBED = frozenset({DataKind.LIVE, DataKind.FROZEN})
"""What the gateway gives only to a subscriber; frozen are the last live prices of a market that is closed."""


class State(Enum):
    """What a finding means for whoever relies on the installation."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Check(Enum):
    """What is asked, in the order in which it is told."""

    CONFIGURATION = "configuration"
    FILES = "files"
    STATE = "state"
    JOURNAL = "journal"
    HALT = "halt"
    ORDERS = "orders"
    DISK = "disk"
    ACCOUNTS = "accounts"
    ALLOCATION = "allocation"
    EVENTS = "events"
    GATEWAY = "gateway"
    MODE = "mode"
    CLOCK = "clock"
    MANAGED = "managed"
    PORTFOLIO = "portfolio"
    CONTRACTS = "contracts"
    PRICES = "prices"
    TRADING = "trading"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question."""

    check: Check
    account: AccountId | None
    """None for what concerns all of them."""
    state: State
    code: str | None
    """The reason code of what is wrong; None where all is well."""
    text: str
    hint: str
    """What to do about it, in the imperative; empty where nothing is to be done."""
    exit_code: int
    """Of a problem, by its class; 0 otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMode:
    """A file with settings, and what the system says of it."""

    path: str
    mode: int
    """The permission bits."""
    is_secret: bool
    """Whether there is a secret in it; otherwise it is enough if nobody else may write to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAccess:
    """What a key may do with the channels of events."""

    deaf: Sequence[RebalancerError]
    """Why messages cannot be heard as they are published; of several channels, each."""
    blind: Mapping[str, RebalancerError]
    """By channel, why what was published there cannot be looked up afterwards."""


def well(check: Check, text: str, account: AccountId | None = None) -> Finding:
    """All is as it should be."""
    return Finding(check=check, account=account, state=State.OK, code=None, text=text, hint="", exit_code=EXIT_DONE)


def problem(check: Check, error: RebalancerError, account: AccountId | None = None) -> Finding:
    """Something that a command could not do its work with."""
    return Finding(
        check=check,
        account=account,
        state=State.PROBLEM,
        code=error.code,
        text=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
    )


def warning(check: Check, error: RebalancerError, account: AccountId | None = None) -> Finding:
    """Something that commands work with, and that somebody should know."""
    return Finding(
        check=check,
        account=account,
        state=State.WARNING,
        code=error.code,
        text=error.message,
        hint=error.hint,
        exit_code=EXIT_DONE,
    )


def grave_for(mode: TradingMode, check: Check, error: RebalancerError, account: AccountId | None = None) -> Finding:
    """Something that real money must not be traded with, and play money may."""
    return (problem if mode is TradingMode.LIVE else warning)(check, error, account)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By question, as `Check` lists them; those on one question stay as they came."""
    rank = {check: number for number, check in enumerate(Check)}
    return tuple(sorted(findings, key=lambda finding: rank[finding.check]))


def exit_code(findings: Iterable[Finding]) -> int:
    """The code of the gravest problem, or 0 if there is none."""
    return gravest(finding.exit_code for finding in findings)


def on_file(file: FileMode) -> Finding:
    """Whether others can read a secret, or change what is decided from."""
    shut = 0o077 if file.is_secret else 0o022
    if not file.mode & shut:
        return well(Check.FILES, f"{file.path} is {'private' if file.is_secret else 'not writable by others'}.")
    can = "read" if file.is_secret else "write to"
    error = ConfigError(
        "INSECURE_PATH",
        f"Other users of this machine may {can} {file.path}.",
        hint=f"Run: chmod {file.mode & ~shut & 0o777:o} {file.path}",
    )
    return warning(Check.FILES, error)


def on_disk(free: int, folder: str) -> Finding:
    """Whether the journal has room to grow; `free` is in bytes."""
    told = f"The disk of {folder} has {free // MEGABYTE:,} MB free"
    hint = "Free space on the disk that holds the state folder, or name a folder elsewhere with --state."
    if free >= LITTLE_ROOM:
        return well(Check.DISK, f"{told}.")
    low = StorageFailed("STORAGE_LOW", f"{told}, and the journal needs room before every order.", hint=hint)
    return problem(Check.DISK, low) if free < NO_ROOM else warning(Check.DISK, low)


def on_allocation(account: AccountId, allocation: Allocation) -> Finding:
    """Targets that can be used, by what they say of themselves."""
    dates = (("rebalanced", allocation.last_rebalance_on), ("as of", allocation.as_of))
    told = [
        _counted(len(allocation.weights), "symbol"),
        f"weights add up to {allocation.stated_sum}",
        *(f"{word} {date}" for word, date in dates if date),
    ]
    name = f"{allocation.name}: " if allocation.name else ""
    return well(Check.ALLOCATION, f"{name}{', '.join(told)}.", account)


def on_events(channels: Sequence[str], access: EventAccess) -> list[Finding]:
    """Whether events can be heard as they are published, and looked up afterwards; one of the two is enough to go on.

    What is only heard is lost while nobody listens; what is only looked up comes late.
    """
    refused = next((error for error in (*access.deaf, *access.blind.values()) if error.code == KEY_REFUSED), None)
    if refused is not None:
        return [problem(Check.EVENTS, refused)]
    graded = problem if access.blind else warning
    found = [graded(Check.EVENTS, error) for error in access.deaf]
    found += [warning(Check.EVENTS, error) for error in access.blind.values()]
    whole = [channel for channel in channels if channel not in access.blind]
    if whole and not access.deaf:
        found.insert(0, well(Check.EVENTS, f"Events on {', '.join(whole)} can be heard, and looked up afterwards."))
    return found


def on_address(host: str) -> list[Finding]:
    """A gateway across the open network: its protocol knows neither passwords nor encryption. A name tells nothing."""
    try:
        is_open = ip_address(host).is_global
    except ValueError:
        return []
    error = GatewayRefused(
        "GATEWAY_EXPOSED",
        f"IBKR_HOST is {host}, an address of the open network, and whoever reaches a gateway's port may trade there.",
        hint="Let the gateway listen on a private address only, and reach it through a tunnel (ssh -L, WireGuard).",
    )
    return [warning(Check.GATEWAY, error)] if is_open else []


def on_mode(managed: Sequence[AccountId], mode: TradingMode) -> Finding:
    """Whether the gateway is logged in for the kind of money that is meant."""
    kind = mode.value
    if any(belongs_to(mode, account) for account in managed):
        return well(Check.MODE, f"TRADING_MODE is {kind}, and the gateway manages {kind} accounts.")
    error = GatewayRefused(
        "MODE_MISMATCH",
        f"TRADING_MODE is {kind}, and the gateway manages no {kind} account: {', '.join(managed)}.",
        hint=f"Log the gateway in for {kind} trading, ask at the other gateway's IBKR_PORT, or change TRADING_MODE.",
    )
    return problem(Check.MODE, error)


def on_known_orders(account: AccountId, ours: Collection[str]) -> Finding:
    """Orders of ours of which the broker tells, and which the journal has, all of them."""
    if not ours:
        return well(Check.ORDERS, "The broker tells of no order of ours today.", account)
    return well(
        Check.ORDERS,
        f"The journal has what the broker tells of today: {_counted(len(ours), 'order')} of ours.",
        account,
    )


def on_contracts(account: AccountId, chosen: Mapping[str, Contract]) -> Finding:
    """The contracts that symbols of the targets mean."""
    return well(Check.CONTRACTS, f"{_counted(len(chosen), 'contract')} found: {', '.join(sorted(chosen))}.", account)


def on_prices(
    account: Account, mode: TradingMode, contracts: Mapping[str, Contract], quotes: Mapping[ConId, Quote | NoQuote]
) -> list[Finding]:
    """Which prices there are for the targets: live ones, delayed ones, or none and why.

    Nothing is planned without the price of a target, be it for play money; only of one that a substitute is bought for
    is none needed, unless it is held. Real money is not traded on what is not live, unless the account's policy allows
    it.
    """
    kinds: dict[tuple[DataKind | NoQuote, bool], list[str]] = {}
    for symbol, contract in sorted(contracts.items()):
        substitution = account.policy.substitutions.get(symbol)
        is_replaced = substitution is not None and substitution.use != symbol
        kinds.setdefault((_kind(quotes[contract.con_id]), is_replaced), []).append(symbol)
    return [_on_kind(account, mode, kind, symbols, is_replaced) for (kind, is_replaced), symbols in kinds.items()]


def _kind(answer: Quote | NoQuote) -> DataKind | NoQuote:
    if isinstance(answer, NoQuote):
        return answer
    return unpriced(answer) if prices_of(answer) is None else answer.data


def _on_kind(
    account: Account, mode: TradingMode, kind: DataKind | NoQuote, symbols: Sequence[str], is_replaced: bool
) -> Finding:
    listed = ", ".join(symbols)
    if isinstance(kind, NoQuote):
        error = Refused("PRICE_MISSING", f"No price for {listed}: {kind.reason}.", hint=kind.remedy)
        return (warning if is_replaced else problem)(Check.PRICES, error, account.account_id)
    if kind in SUBSCRIBED:
        return well(Check.PRICES, f"{kind.value.capitalize()} prices: {listed}.", account.account_id)
    error = Refused(
        "PRICE_NOT_LIVE",
        f"{kind.value.capitalize()} prices only: {listed}.",
        hint="Subscribe to the exchange's data in Client Portal; real money is not traded on delayed prices, unless "
        "require_live_data is false and order_type is limit.",
    )
    allowed = not account.policy.require_live_data and account.policy.order_type is OrderType.LIMIT
    graded = warning if allowed else partial(grave_for, mode)
    return graded(Check.PRICES, error, account.account_id)


def preview_of(account: AccountId, contract: Contract, *, client_id: int, at: datetime) -> OrderIntent:
    """The smallest order there is, to be previewed and never placed."""
    return OrderIntent(
        order_ref=order_ref(account, PREVIEW, contract.con_id, Side.BUY),
        run_id=PREVIEW,
        plan_id=PREVIEW,
        account=account,
        con_id=contract.con_id,
        symbol=contract.symbol,
        currency=contract.currency,
        rate=Decimal(1),  # nobody counts what it would cost
        side=Side.BUY,
        quantity=1,
        order_type=OrderType.MARKET,
        limit_price=None,
        position_before=ZERO,
        client_id=client_id,
        expires_at=at,
    )


def on_preview(intent: OrderIntent, refusal: RebalancerError | None) -> Finding:
    """Whether the gateway takes orders at all; a broker who refuses this one has been asked, and that is the answer."""
    asked = f"the preview of an order for 1 {intent.symbol} in {intent.account}"
    match refusal:
        case None:
            return well(Check.TRADING, f"The gateway takes orders: {asked} was answered, and nothing was placed.")
        case Refused():
            return well(
                Check.TRADING,
                f"The gateway takes orders: {asked} was answered, if with a no. {refusal.message}",
            )
        case GatewayRefused():
            return problem(Check.TRADING, refusal)
        case _:
            return warning(Check.TRADING, refusal)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
