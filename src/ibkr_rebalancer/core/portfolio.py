"""What an account holds, as the gateway told it, and whether the telling is whole. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import NewType

from ibkr_rebalancer.core.errors import GatewayUnavailable, Refused
from ibkr_rebalancer.core.instruments import STOCK, ConId, Contract
from ibkr_rebalancer.core.money import ZERO, amount_text
from ibkr_rebalancer.core.quotes import NoQuote, Quote

AccountId = NewType("AccountId", str)
"""An IBKR account number, such as DU123456."""

PAPER_PREFIXES = ("DU", "DF")
"""How the numbers of paper accounts begin (DF: a paper account under an advisor)."""

NOT_PAID_FOR = ("FUT", "CFD", "CASH")
"""Security types whose market value is no part of net liquidation: futures and CFDs are promises, and a position in a
currency is cash already."""
MARGINED = ("FUT", "FOP", "CFD")
"""Security types whose gains may be part of net liquidation without being told as anybody's market value."""
ONE = Decimal(1)
WORTH_TOLERANCE = Decimal("0.05")
"""Of net liquidation: how far cash and holdings at the broker's own marks may be from the broker's sum of them.
Accruals and marks that move while they are told are far less, a list that came empty is far more."""


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
    primary_exchange: str
    """Empty where the gateway names none."""
    market_price: Decimal | None
    """None when the gateway gives none."""
    market_value: Decimal | None
    """Signed, in the position's currency; None when the gateway gives none."""
    unrealized_pnl: Decimal | None
    """In the position's currency; None when the gateway gives none."""

    @property
    def is_paid_for(self) -> bool:
        """Whether its market value is part of net liquidation."""
        return self.position.security_type not in NOT_PAID_FOR

    @property
    def equity(self) -> Decimal:
        """What it adds to net liquidation, in its currency, by the broker's mark; nothing without one."""
        return self.market_value if self.market_value is not None and self.is_paid_for else ZERO

    @property
    def is_stock(self) -> bool:
        return self.position.security_type == STOCK

    @property
    def is_accounted_for(self) -> bool:
        """Whether `equity` is all of what it adds to net liquidation; a stock's is, or else it is refused for it."""
        kind = self.position.security_type
        return kind not in MARGINED and (self.is_stock or not self.is_paid_for or self.market_value is not None)


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
    """Cash by currency, each in its own; `currency` is always among them."""
    exchange_rates: Mapping[str, Decimal]
    """What one unit of a currency is worth in `currency`, as the account itself is converted."""
    stock_market_value: Decimal | None = None
    """Of all stocks, short ones negative, by the broker's own sum; None when the gateway gives none."""
    buying_power: Decimal | None = None
    """What could be bought on all the credit that the broker gives; None when the gateway tells none."""

    @property
    def is_cash_account(self) -> bool | None:
        """Whether the broker lends nothing: a margin account's buying power is a multiple of its available funds, a
        cash account's is no more than they are. None where the figures do not tell."""
        if self.buying_power is None or self.available_funds <= 0:
            return None
        return self.buying_power <= self.available_funds

    def in_base(self, amount: Decimal, currency: str) -> Decimal:
        """An amount of `currency` in the account's own.

        Raises:
            Refused: the account has no rate for it (`EXCHANGE_RATE_MISSING`).
        """
        if currency == self.currency or not amount:
            return amount
        if currency not in self.exchange_rates:
            raise Refused(
                "EXCHANGE_RATE_MISSING",
                f"The gateway gives no exchange rate from {currency} to {self.currency}, "
                f"so nobody can say what {amount_text(amount)} {currency} of the account are worth.",
                hint="Run the command again; if it lasts, restart the gateway.",
            )
        return amount * self.exchange_rates[currency]

    def rate(self, currency: str) -> Decimal:
        """What a unit of `currency` is worth in the account's own, whatever the gateway calls that one's rate.

        Raises:
            Refused: the account has no rate for it (`EXCHANGE_RATE_MISSING`).
        """
        return self.in_base(ONE, currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """All that one account holds and owes."""

    account: AccountId
    balances: Balances
    holdings: tuple[Holding, ...]

    def quantity(self, con_id: ConId) -> Decimal:
        """Shares held of the contract, negative if short; 0 of what is not held."""
        return sum((h.position.quantity for h in self.holdings if h.position.con_id == con_id), ZERO)

    @property
    def worth(self) -> Decimal:
        """Cash and holdings at the broker's marks, in the base currency: what net liquidation should be.

        Raises:
            Refused: a currency has no rate (`EXCHANGE_RATE_MISSING`).
        """
        return self.balances.total_cash + sum((self.value_in_base(holding) for holding in self.holdings), ZERO)

    @property
    def stock_worth(self) -> Decimal:
        """Stocks at the broker's marks, in the base currency: what its own sum of them should be.

        Raises:
            Refused: a currency has no rate (`EXCHANGE_RATE_MISSING`).
        """
        return sum((self.value_in_base(holding) for holding in self.holdings if holding.is_stock), ZERO)

    def owed_on_shorts(self) -> Mapping[str, Decimal]:
        """What it would take, by the broker's marks, to buy back what was sold short, by currency and in each its own.

        Raises:
            Refused: a short position has no mark (`SHORT_WITHOUT_VALUE`).
        """
        shorts = [holding for holding in self.holdings if holding.position.quantity < 0 and holding.is_paid_for]
        unknown = [holding.position.symbol for holding in shorts if holding.market_value is None]
        if unknown:
            raise Refused(
                "SHORT_WITHOUT_VALUE",
                f"{self.account} is short of {', '.join(unknown)}, and the gateway gives no market value of it: "
                "nobody can say how much of the cash is owed.",
                hint="Run the command again; if it lasts, close the position by hand.",
            )
        owed: dict[str, Decimal] = {}
        for holding in shorts:
            currency = holding.position.currency
            owed[currency] = owed.get(currency, ZERO) - holding.equity
        return owed

    def cash_to_invest(self, currencies: Collection[str]) -> Mapping[str, Decimal]:
        """Cash by currency, each in its own, less what is owed on short positions. Negative is a debt.

        Of these and the base currency each is told for itself. What the others owe, all of them together, is taken off
        the base currency; where they owe nothing, each of them is told as well.

        Raises:
            Refused: what is owed is not known, as `owed_on_shorts` says, or a currency has no rate.
        """
        balances, owed = self.balances, self.owed_on_shorts()
        base = balances.currency
        own = {c: balances.cash.get(c, ZERO) - owed.get(c, ZERO) for c in (base, *balances.cash, *owed, *currencies)}
        others = {currency: amount for currency, amount in own.items() if currency not in {base, *currencies}}
        net = sum((balances.in_base(amount, currency) for currency, amount in others.items()), ZERO)
        if net >= 0:
            return own
        kept = {currency: amount for currency, amount in own.items() if currency not in others}
        return {**kept, base: own[base] + net}

    def value_in_base(self, holding: Holding) -> Decimal:
        """What a holding adds to net liquidation, in the base currency."""
        return self.balances.in_base(holding.equity, holding.position.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a plan for one account is decided from, read at one time. It is whole, or it does not exist."""

    portfolio: Portfolio
    targets: Mapping[str, Contract]
    """The verified contract of each target symbol."""
    quotes: Mapping[ConId, Quote]
    """What the one batch of quotes gave."""
    unquoted: Mapping[ConId, NoQuote]
    """Why the others have none: the quote, or before it the contract, could not be had."""
    contracts: Mapping[ConId, Contract]
    """Every contract that could be traded: the targets' and those of the stocks held."""
    taken_at: datetime
    """The gateway's time."""
    assembled_at: datetime
    """This machine's time when the last part had arrived; the age of a quote counts up to here."""


def require_agreement(positions: Sequence[Position], portfolio: Portfolio) -> None:
    """Check the position list, the portfolio feed and the account's figures against one another.

    An empty or cut list would otherwise pass for an account that holds nothing, and be bought full again. Where a
    holding such as a future keeps the parts from adding up to net liquidation, the stocks must add up to the broker's
    own sum of them: they are what is traded. Without that sum nobody can tell, and the account is refused.

    Raises:
        Refused: they differ (`SNAPSHOT_INCONSISTENT`), or a currency has no rate (`EXCHANGE_RATE_MISSING`).
        GatewayUnavailable: the broker's sum of the stocks is needed and missing (`SNAPSHOT_INCOMPLETE`).
    """
    _require_same_holdings(positions, portfolio)
    if all(holding.is_accounted_for for holding in portfolio.holdings):
        _require_same_worth(portfolio)
    else:
        _require_same_stocks(portfolio)


def _require_same_holdings(positions: Sequence[Position], portfolio: Portfolio) -> None:
    """Two independent answers about the same holdings must agree."""
    listed = {p.con_id: p for p in positions if p.account == portfolio.account and p.quantity}
    fed = {h.position.con_id: h.position for h in portfolio.holdings if h.position.quantity}
    differing = sorted(
        f"{(listed.get(con_id) or fed[con_id]).symbol} "
        f"({_quantity(listed.get(con_id))} listed, {_quantity(fed.get(con_id))} in the portfolio)"
        for con_id in listed.keys() | fed.keys()
        if _quantity(listed.get(con_id)) != _quantity(fed.get(con_id))
    )
    if differing:
        raise _inconsistent(
            f"The gateway's position list and portfolio of {portfolio.account} disagree: {', '.join(differing)}."
        )


def _require_same_worth(portfolio: Portfolio) -> None:
    """The parts of an account must add up to the whole."""
    worth, balances = portfolio.worth, portfolio.balances
    if _is_off(worth, balances.net_liquidation, balances):
        raise _inconsistent(
            f"{portfolio.account} holds {amount_text(balances.total_cash)} {balances.currency} in cash and "
            f"{amount_text(worth - balances.total_cash)} in {len(portfolio.holdings)} positions, but Interactive "
            f"Brokers says that it is worth {amount_text(balances.net_liquidation)}."
        )


def _require_same_stocks(portfolio: Portfolio) -> None:
    """The stocks must add up to what the broker says of all of them."""
    worth, balances = portfolio.stock_worth, portfolio.balances
    stated = balances.stock_market_value
    if stated is None:
        others = sorted(holding.position.symbol for holding in portfolio.holdings if not holding.is_accounted_for)
        raise GatewayUnavailable(
            "SNAPSHOT_INCOMPLETE",
            f"The gateway's figures of {portfolio.account} lack StockMarketValue. Beside {', '.join(others)} nothing "
            "else shows whether all stocks have been told. Nothing was planned.",
            hint="Run the command again; if it lasts, restart the gateway.",
        )
    if _is_off(worth, stated, balances):
        stocks = sum(holding.is_stock for holding in portfolio.holdings)
        raise _inconsistent(
            f"{portfolio.account} holds {amount_text(worth)} {balances.currency} in {stocks} stocks, but Interactive "
            f"Brokers says that its stocks are worth {amount_text(stated)}."
        )


def _is_off(told: Decimal, stated: Decimal, balances: Balances) -> bool:
    return abs(told - stated) > WORTH_TOLERANCE * abs(balances.net_liquidation)


def _inconsistent(what: str) -> Refused:
    return Refused(
        "SNAPSHOT_INCONSISTENT",
        f"{what} Nothing was planned.",
        hint="Run the command again in a minute; if it lasts, restart the gateway.",
    )


def _quantity(position: Position | None) -> Decimal:
    return position.quantity if position else ZERO
