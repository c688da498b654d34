"""What the owner decides about an account: where its targets come from and how it is traded. Pure.

The defaults of all policy keys and limits stand here and nowhere else; `config` reads them from these fields.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from ibkr_rebalancer.core.documents import digest
from ibkr_rebalancer.core.errors import GatewayRefused, UsageError
from ibkr_rebalancer.core.instruments import ContractQuery
from ibkr_rebalancer.core.layout import Layout
from ibkr_rebalancer.core.money import BASIS_POINT
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode, belongs_to

ALLOCATIONS_API_KEY = "ALLOCATIONS_API_KEY"
"""The variable that holds the key for every source that has none of its own."""

SLIPPAGE_OF_SALES = Decimal("0.5")
"""The part of the reserve that may be gone when purchases are due: sales fill below their bid, and asks rise."""


class OrderType(Enum):
    """How an order is priced; the values are the broker's words."""

    MARKET = "MKT"
    LIMIT = "LMT"

    @property
    def word(self) -> str:
        """The owner's word for it: `order_type` in accounts.yaml."""
        return self.name.lower()


class Unlisted(Enum):
    """What becomes of a holding that is not in the targets; the values are the owner's words."""

    SELL = "sell"
    KEEP = "keep"


class Underweight(Enum):
    """What becomes of targets that add up to clearly less than 1; the values are the owner's words."""

    REFUSE = "refuse"
    CASH = "cash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """What is bought in place of a target."""

    use: str
    """The symbol that is bought; the target's own: it is not replaced."""
    scale: Decimal = Decimal(1)
    """Above 0, at most 1: the part of the target's weight that the substitute gets; the rest stays cash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that a plan must keep; `core.limits` says what each one measures."""

    max_order_value: Decimal | None = None
    """None: no bound."""
    max_order_pct: Decimal = Decimal(110)
    max_orders_per_plan: int = 200
    max_orders_per_day: int = 500
    max_turnover_pct: Decimal = Decimal(210)
    max_daily_turnover_pct: Decimal = Decimal(450)
    max_same_side_per_day: int = 8
    max_gap_pct: Decimal = Decimal(30)
    max_quote_age_s: Decimal = Decimal(60)
    max_spread_pct: Decimal = Decimal(3)
    max_rejects: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How an account is rebalanced."""

    cash_reserve_pct: Decimal = Decimal("0.25")
    """Percent of net liquidation that stays in cash; it absorbs slippage. See also `purchase_reserve`."""
    min_gain_bp: Decimal = Decimal(5)
    """Basis points of net liquidation of drift that a plan must remove to be worth its trades."""
    order_type: OrderType = OrderType.MARKET
    limit_offset_bp: Decimal = Decimal(30)
    """Basis points that a limit order may fill beyond the ask, or below the bid."""
    require_live_data: bool = True
    """Whether real money trades on live prices only; if not, delayed ones do for limit orders."""
    open_delay_min: Decimal = Decimal(5)
    """Minutes after the open of the market at which an event that waited for it is carried out."""
    event_max_age_h: Decimal = Decimal(24)
    """Hours from an event's publication to its receipt, beyond which it is told and not carried out."""
    exclude: frozenset[str] = frozenset()
    """Symbols of what is held and left alone; it counts as no money to invest."""
    unlisted: Unlisted = Unlisted.SELL
    """Whether what is held and not in the targets is sold."""
    substitutions: Mapping[str, Substitution] = field(default_factory=dict)
    """By symbol of the targets: what is bought in its place. No substitute has one itself."""
    underweight: Underweight = Underweight.REFUSE
    """Whether weights may add up to clearly less than 1: then what is missing stays cash."""
    contracts: Mapping[str, ContractQuery] = field(default_factory=dict)
    """By symbol: which contract is meant where SMART/USD is not."""
    limits: Limits = field(default_factory=Limits)

    @property
    def reserve(self) -> Decimal:
        """The part of net liquidation that stays in cash; what lacks to it is raised."""
        return self.cash_reserve_pct / 100

    @property
    def purchase_reserve(self) -> Decimal:
        """The part of net liquidation that a plan with purchases leaves in cash: at least `reserve`.

        Purchases are planned at the ask. Limit orders may cost `limit_offset_bp` more, and all of them together must be
        payable at their limits, also when half the reserve is gone by then:

            max(reserve, limit_offset_bp + reserve / 2)

        It goes by what the account is worth and not by what is bought, or a second plan would invest what the first
        had to leave. Nothing is sold to come up to it.
        """
        if self.order_type is OrderType.MARKET:
            return self.reserve
        return max(self.reserve, self.limit_offset_bp * BASIS_POINT + self.reserve * SLIPPAGE_OF_SALES)

    @property
    def rounds_to_nearest(self) -> bool:
        """Without a reserve and a minimum gain, a plan is plain nearest-share rounding: the owner asks for no more."""
        return self.cash_reserve_pct == 0 and self.min_gain_bp == 0

    def query(self, symbol: str) -> ContractQuery:
        """What to ask the gateway for when the targets say `symbol`."""
        return self.contracts.get(symbol) or ContractQuery(symbol=symbol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One entry of accounts.yaml."""

    account_id: AccountId
    channel: str
    """Ably channel that announces new targets."""
    allocations_url: str
    """Where the targets are: http, https, or file with an absolute path."""
    layout: Layout | None = None
    """Of the allocation document; None: it is in the usual format."""
    api_key_env: str = ALLOCATIONS_API_KEY
    """The variable that holds the key for the url."""
    enabled: bool = True
    policy: Policy = field(default_factory=Policy)


def config_digest(account: Account) -> str:
    """A short name for all that the owner decided about the account: other decisions, other digest."""
    return digest(account)


def select_accounts(
    accounts: Sequence[Account], named: Sequence[str], *, mode: TradingMode, file: str
) -> tuple[Account, ...]:
    """The accounts a command works on: the named ones, or all enabled ones of this trading mode.

    `file` is the name of the accounts.yaml that lists them.

    Raises:
        UsageError: a name is not in the file (`ACCOUNT_UNKNOWN`) or disabled there (`ACCOUNT_DISABLED`),
            or no account is left (`NO_ACCOUNT`).
        GatewayRefused: a named account is not of this mode (`MODE_MISMATCH`).
    """
    known = {account.account_id: account for account in accounts}
    if named:
        return tuple(_named(name, known, mode, file) for name in dict.fromkeys(named))
    chosen = tuple(a for a in accounts if a.enabled and belongs_to(mode, a.account_id))
    if not chosen:
        raise _no_account(accounts, mode, file)
    return chosen


def _no_account(accounts: Sequence[Account], mode: TradingMode, file: str) -> UsageError:
    disabled = [account.account_id for account in accounts if belongs_to(mode, account.account_id)]
    if disabled:
        said = f"No {mode.value} account in {file} is enabled: {', '.join(disabled)}."
        return UsageError("NO_ACCOUNT", said, hint="Set `enabled: true` for one of them there.")
    return UsageError(
        "NO_ACCOUNT",
        f"{file} lists no {mode.value} account, and TRADING_MODE is {mode.value}.",
        hint=f"Set TRADING_MODE={_other(mode).value} and log the gateway in that way, or list a {mode.value} account.",
    )


def _other(mode: TradingMode) -> TradingMode:
    return TradingMode.LIVE if mode is TradingMode.PAPER else TradingMode.PAPER


def _named(name: str, known: Mapping[AccountId, Account], mode: TradingMode, file: str) -> Account:
    account = known.get(AccountId(name))
    if account is None:
        raise UsageError(
            "ACCOUNT_UNKNOWN",
            f"{name} is not in {file}.",
            hint=f"It lists {', '.join(known)}.",
        )
    if not account.enabled:
        raise UsageError(
            "ACCOUNT_DISABLED",
            f"{name} is disabled in {file}.",
            hint="Set `enabled: true` for it there.",
        )
    if not belongs_to(mode, account.account_id):
        other = _other(mode)
        raise GatewayRefused(
            "MODE_MISMATCH",
            f"{name} is a {other.value} account, but TRADING_MODE is {mode.value}.",
            hint=f"Set TRADING_MODE={other.value} and log the gateway in that way, or name another account.",
        )
    return account
