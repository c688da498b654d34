"""What the owner decides about an account: where its targets come from and how it is traded. Pure.

The defaults of all policy keys and limits stand here and nowhere else; `config` reads them from these fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ibkr_rebalancer.core.instruments import ContractQuery
from ibkr_rebalancer.core.portfolio import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that a plan must keep."""

    max_quote_age_s: Decimal = Decimal(60)
    """Seconds since we received a bid and ask; older ones are no base for a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How an account is rebalanced."""

    cash_reserve_pct: Decimal = Decimal("0.25")
    """Percent of net liquidation that stays in cash; it absorbs slippage."""
    min_gain_bp: Decimal = Decimal(5)
    """Basis points of net liquidation of drift that a plan must remove to be worth its trades."""
    contracts: Mapping[str, ContractQuery] = field(default_factory=dict)
    """By symbol: which contract is meant where SMART/USD is not."""
    limits: Limits = field(default_factory=Limits)

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
    enabled: bool = True
    policy: Policy = field(default_factory=Policy)
