"""What an account holds, as the gateway told it, and whether the telling is whole. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import NewType

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.instruments import ConId, Contract
from ibkr_rebalancer.core.quotes import Quote

AccountId = NewType("AccountId", str)
"""An IBKR account number, such as DU123456."""

PAPER_PREFIXES = ("DU", "DF")
"""How the numbers of paper accounts begin (DF: a paper account under an advisor)."""


class TradingMode(Enum):
    """Which accounts may be touched at all: `TRADING_MODE`."""

    PAPER = "paper"
    LIVE = "live"


def belongs_to(mode: TradingMode, account: AccountId) -> bool:
    """Whether `account`, by its number, is of this mode."""
    return account.startswith(PAPER_PREFIXES) is (mode is TradingMode.PAPER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One holding. A short one has a negative quantity; fractions of a share are possible."""

    account: AccountId
    con_id: ConId
    symbol: str
    security_type: str
    currency: str
    quantity: Decimal
    average_cost: Decimal
    """Cost basis of one share (of one contract for derivatives). Never a market price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A position with the broker's own mark, from the portfolio feed."""

    position: Position
    market_price: Decimal
    market_value: Decimal
    """Signed, in the position's currency."""
    unrealized_pnl: Decimal | None
    """In the position's currency; None when the gateway gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances:
    """The account's money. Amounts are in `currency` (the account's base currency) unless said otherwise."""

    account_type: str
    currency: str
    net_liquidation: Decimal
    total_cash: Decimal
    """Cash of all currencies, converted at the account's own rates; negative is a loan."""
    settled_cash: Decimal | None
    available_funds: Decimal
    """What the broker would let us spend; a cap, never a size."""
    cash: Mapping[str, Decimal]
    """Cash by currency, each in its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """All that one account holds and owes."""

    account: AccountId
    balances: Balances
    holdings: tuple[Holding, ...]

    def quantity(self, con_id: ConId) -> Decimal:
        """Shares held of the contract, negative if short; 0 of what is not held."""
        return sum((h.position.quantity for h in self.holdings if h.position.con_id == con_id), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a plan for one account is decided from, read at one time. It is whole, or it does not exist."""

    portfolio: Portfolio
    targets: Mapping[str, Contract]
    """The verified contract of each target symbol."""
    quotes: Mapping[ConId, Quote]
    """What the one batch of quotes gave; a contract without an answer is missing here."""
    contracts: Mapping[ConId, Contract]
    """Every contract that could be traded: the targets' and those of the stocks held."""
    taken_at: datetime
    """The gateway's time."""
    assembled_at: datetime
    """This machine's time when the last part had arrived; the age of a quote counts up to here."""


def require_agreement(positions: Sequence[Position], portfolio: Portfolio) -> None:
    """Check the position list against the portfolio feed: two independent answers about the same holdings.

    An empty or cut list would otherwise pass for an account that holds nothing, and be bought full again.

    Raises:
        Refused: they differ (`SNAPSHOT_INCONSISTENT`).
    """
    listed = {p.con_id: p for p in positions if p.account == portfolio.account and p.quantity}
    fed = {h.position.con_id: h.position for h in portfolio.holdings if h.position.quantity}
    differing = sorted(
        f"{(listed.get(con_id) or fed[con_id]).symbol} "
        f"({_quantity(listed.get(con_id))} listed, {_quantity(fed.get(con_id))} in the portfolio)"
        for con_id in listed.keys() | fed.keys()
        if _quantity(listed.get(con_id)) != _quantity(fed.get(con_id))
    )
    if differing:
        raise Refused(
            "SNAPSHOT_INCONSISTENT",
            f"The gateway's position list and portfolio of {portfolio.account} disagree: "
            f"{', '.join(differing)}. Nothing was planned.",
            hint="Run the command again in a minute; if it lasts, restart the gateway.",
        )


def _quantity(position: Position | None) -> Decimal:
    return position.quantity if position else Decimal(0)
