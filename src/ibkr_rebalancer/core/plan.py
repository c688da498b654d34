"""The plan: what would be traded, what would not, and why, as one frozen value. Pure.

A plan is printed, hashed, checked and executed as it is. Money is in the account's base currency, unless it is said to
be in another; weights are fractions of net liquidation; every line carries its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose


class Side(Enum):
    """The direction of a trade; quantities are positive on both sides."""

    BUY = "BUY"
    SELL = "SELL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One order to be: whole shares of one contract."""

    symbol: str
    con_id: ConId
    primary_exchange: str
    side: Side
    quantity: int
    currency: str
    """That it trades in."""
    rate: Decimal
    """What a unit of `currency` is worth in the plan's; 1 if that is the same."""
    price: Decimal
    """In `currency`: the bid for a sale, the ask for a purchase."""
    notional: Decimal
    """`quantity × price × rate`: in the plan's currency."""
    commission: Decimal
    """Estimated; in `currency`."""
    spread_cost: Decimal
    """`quantity` times half the spread, in `currency`: what it costs to trade at the bid or ask instead of the middle
    between them."""
    held: Decimal
    target_quantity: Decimal
    """Shares held once the trade is filled, a fraction included."""
    weight_before: Decimal
    weight_target: Decimal
    weight_after: Decimal
    reason: str

    @property
    def is_exit(self) -> bool:
        """Whether it sells all that can be sold; a fraction of a share may stay."""
        return self.side is Side.SELL and self.target_quantity < 1


def order_of_sending(trade: Trade) -> tuple[bool, Decimal, str]:
    """The key by which trades are sorted: sells before buys, each side largest first."""
    return trade.side is Side.BUY, -trade.notional, trade.symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A managed instrument that is not traded."""

    symbol: str
    con_id: ConId
    primary_exchange: str
    held: Decimal
    currency: str
    """That it trades in."""
    price: Decimal
    """In `currency`: the middle of bid and ask."""
    weight_before: Decimal
    weight_target: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Untouched:
    """A holding that no plan may trade; it counts neither as invested nor as money to invest."""

    symbol: str
    con_id: ConId
    primary_exchange: str
    security_type: str
    currency: str
    quantity: Decimal
    market_value: Decimal | None
    """At the broker's mark, signed, in `currency`; None when the broker gives none."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """What the allocation source calls the targets of this plan."""

    name: str | None
    strategy_long_name: str | None
    last_rebalance_on: str | None
    as_of: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyCash:
    """The cash of one currency, in that. Nothing is bought with the cash of another, and none becomes a loan."""

    currency: str
    rate: Decimal
    """What a unit is worth in the plan's currency."""
    cash: Decimal
    """Before the plan, less what is owed on short positions, and by currencies that have no line of their own."""
    cash_after: Decimal
    """When every trade fills at its price, commissions paid."""
    cash_reserve: Decimal
    """What of it may not be spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All decisions for one account at one moment. Sells stand before buys, each side largest first."""

    account: AccountId
    plan_id: str
    """Digest of the allocation, the snapshot, the policy and the purpose: the same inputs give the same plan."""
    as_of: datetime
    """The gateway's time of the snapshot."""
    strategy: Strategy
    targets: Mapping[str, Decimal]
    """The weights that were asked for, by symbol, as fractions of what is invested."""
    policy_digest: str
    """Of what the owner had decided about the account."""
    currency: str
    net_liquidation: Decimal
    cash: Decimal
    """Cash of all currencies before the plan, less what is owed on short positions; in `currency`."""
    cash_after: Decimal
    """Cash when every trade fills at its price, commissions paid."""
    cash_reserve: Decimal
    """What may not be spent: a part of what the account is worth when the plan's costs are paid, and cash to raise."""
    cash_by_currency: tuple[CurrencyCash, ...]
    """`currency` first, then each other one that something trades in or that has cash."""
    turnover: Decimal
    """Sum of all notionals as a fraction of net liquidation."""
    commission: Decimal
    spread_cost: Decimal
    """As of its trades; it is no money that is paid, but worth that is lost."""
    drift_before: Decimal
    """Half the sum of all distances from the targets, cash included, as a fraction of net liquidation."""
    drift_after: Decimal
    trades: tuple[Trade, ...]
    skips: tuple[Skip, ...]
    untouched: tuple[Untouched, ...]
    remarks: tuple[str, ...]
    """Sentences about the whole plan that its reader should know."""
    purpose: Purpose = REBALANCE
