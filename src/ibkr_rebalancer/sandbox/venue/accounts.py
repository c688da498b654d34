"""What an account holds and the figures the broker derives from it.

Pure: every figure follows from cash, positions and prices.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from ibkr_rebalancer.sandbox.venue.market import Listing, Market

BASE_CURRENCY = "USD"
"""Of an account that states none."""
CENT = Decimal("0.01")
MARGIN_RATE = Decimal("0.25")
"""Initial and maintenance margin of a margin account, as a part of what its positions are worth."""
MARGIN_LEVERAGE = 4
"""Buying power of a margin account over its available funds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    quantity: Decimal
    """Signed; short is negative. Zero is a position closed today."""
    average_cost: Decimal | None = None
    """Per contract, multiplier included; None is the listing's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    account_id: str
    type: Literal["MARGIN", "CASH"] = "MARGIN"
    currency: str = BASE_CURRENCY
    cash: Mapping[str, Decimal] = field(default_factory=dict)
    """By currency; negative is borrowed."""
    positions: Mapping[int, Holding] = field(default_factory=dict)
    """By conId."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Account values stated outright, in place of the derived ones; of a ledger row the account's currency and BASE."""
    market_cushion_pct: Decimal = Decimal(0)
    """What a cash account must have beyond the cost of a market order; IBKR is said to ask for about 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioRow:
    listing: Listing
    quantity: Decimal
    average_cost: Decimal

    @property
    def market_value(self) -> Decimal:
        return self.quantity * self.listing.mark * self.listing.contract.units

    @property
    def unrealized(self) -> Decimal:
        return self.market_value - self.quantity * self.average_cost

    @property
    def daily(self) -> Decimal:
        """Gain since the previous close; none where there is no close."""
        close = self.listing.quote.close
        gain = Decimal(0) if close is None else self.listing.mark - close
        return self.quantity * gain * self.listing.contract.units


@dataclass(frozen=True, slots=True)
class AccountValue:
    key: str
    value: str
    currency: str
    """Empty for values that are no money; BASE for sums over all currencies in the account's own."""


LEDGER = (
    "CashBalance",
    "TotalCashBalance",
    "StockMarketValue",
    "OptionMarketValue",
    "FuturesPNL",
    "NetLiquidationByCurrency",
    "UnrealizedPnL",
    "RealizedPnL",
    "ExchangeRate",
)
"""The rows that come once per currency and once for BASE."""


def portfolio(account: Account, market: Market) -> list[PortfolioRow]:
    return [_row(holding, market.listings[con_id]) for con_id, holding in account.positions.items()]


def account_values(account: Account, market: Market) -> list[AccountValue]:
    """Every value of the account: totals in its currency first, then the ledger by currency, BASE last."""
    ledgers = {currency: _ledger(account, market, currency) for currency in currencies(account, market)}
    base = _base_ledger(ledgers)
    totals = _totals(account, base, market)
    rows = [AccountValue(key, value, "") for key, value in _plain(account, totals).items()]
    rows += [AccountValue(key, _money(value), account.currency) for key, value in totals.items()]
    for currency, ledger in {**ledgers, "BASE": base}.items():
        rows += [AccountValue(key, value, currency) for key, value in _written(ledger)]
    return [_stated(account, row) for row in rows]


def traded(account: Account, listing: Listing, shares: Decimal, price: Decimal, commission: Decimal) -> Account:
    """The account after a trade: position, average cost and cash in one. Sold shares are negative.

    The average cost leaves commissions out; the cash does not.
    """
    contract = listing.contract
    before = account.positions.get(contract.con_id, Holding(quantity=Decimal(0)))
    after = _holding_after(before, _row(before, listing).average_cost, shares, price * contract.units)
    cash = account.cash.get(contract.currency, Decimal(0)) - shares * price * contract.units - commission
    return replace(
        account,
        positions={**account.positions, contract.con_id: after},
        cash={**account.cash, contract.currency: cash},
    )


def corrected(account: Account, listing: Listing, shares: Decimal, change: Decimal) -> Account:
    """The account after the price of a trade was changed by so much; of what is still held the cost follows."""
    contract = listing.contract
    holding = account.positions[contract.con_id]
    paid = shares * change * contract.units
    if holding.quantity * shares > 0 and holding.average_cost is not None:
        holding = replace(holding, average_cost=holding.average_cost + paid / holding.quantity)
    return replace(
        account,
        positions={**account.positions, contract.con_id: holding},
        cash={**account.cash, contract.currency: account.cash[contract.currency] - paid},
    )


def currencies(account: Account, market: Market) -> list[str]:
    """The account's own currency first, then those of its cash and positions."""
    held = [market.listings[con_id].contract.currency for con_id in account.positions]
    return list(dict.fromkeys((account.currency, *account.cash, *held)))


def profit(rows: Iterable[PortfolioRow], account: Account, market: Market) -> tuple[Decimal, Decimal]:
    """Daily and unrealized gain of these positions, in the account's currency."""
    daily = unrealized = Decimal(0)
    for row in rows:
        rate = market.rate(row.listing.contract.currency, account.currency)
        daily += row.daily * rate
        unrealized += row.unrealized * rate
    return daily, unrealized


def _row(holding: Holding, listing: Listing) -> PortfolioRow:
    costs = (holding.average_cost, listing.average_cost, listing.mark * listing.contract.units)
    cost = next(cost for cost in costs if cost is not None)
    return PortfolioRow(listing=listing, quantity=holding.quantity, average_cost=cost)


def _holding_after(before: Holding, cost: Decimal, shares: Decimal, paid: Decimal) -> Holding:
    """More of the same averages its cost, less keeps it, and what passes through zero starts anew."""
    quantity = before.quantity + shares
    if before.quantity * shares > 0:
        return Holding(quantity=quantity, average_cost=(before.quantity * cost + shares * paid) / quantity)
    return Holding(quantity=quantity, average_cost=cost if quantity * before.quantity > 0 else paid)


def _ledger(account: Account, market: Market, currency: str) -> dict[str, Decimal]:
    """One currency's rows, in that currency. A currency position is cash already and counts nowhere else."""
    rows = [row for row in portfolio(account, market) if row.listing.contract.currency == currency]
    cash = account.cash.get(currency, Decimal(0))
    stocks = _sum(row.market_value for row in _of_type(rows, "STK"))
    options = _sum(row.market_value for row in _of_type(rows, "OPT", "FOP"))
    futures = _sum(row.unrealized for row in _of_type(rows, "FUT"))
    gains = _sum(row.unrealized for row in rows if row.listing.contract.sec_type != "CASH")
    whole = cash + stocks + options + futures
    rate = market.rate(currency, account.currency)
    figures = (cash, cash, stocks, options, futures, whole, gains, Decimal(0), rate)
    return dict(zip(LEDGER, figures, strict=True))


def _base_ledger(ledgers: Mapping[str, Mapping[str, Decimal]]) -> dict[str, Decimal]:
    def total(key: str) -> Decimal:
        return _sum(ledger[key] * ledger["ExchangeRate"] for ledger in ledgers.values())

    return {key: total(key) for key in LEDGER if key != "ExchangeRate"} | {"ExchangeRate": Decimal(1)}


def _gross(account: Account, rows: Iterable[PortfolioRow], market: Market) -> Decimal:
    """Rows at their absolute value, in the account's currency."""
    return _sum(abs(row.market_value) * market.rate(row.listing.contract.currency, account.currency) for row in rows)


def _of_type(rows: Iterable[PortfolioRow], *sec_types: str) -> list[PortfolioRow]:
    return [row for row in rows if row.listing.contract.sec_type in sec_types]


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))


def _totals(account: Account, base: Mapping[str, Decimal], market: Market) -> dict[str, Decimal]:
    """A cash account can use its cash; a margin account what its equity leaves over its margin.

    Options that are held are paid in full: they neither need margin nor lend any.
    """
    rows = _of_type(portfolio(account, market), "STK", "OPT", "FOP")
    on_margin = [row for row in rows if row.listing.contract.sec_type == "STK" or row.quantity < 0]
    cash = base["TotalCashBalance"]
    margin = account.type == "MARGIN"
    equity = cash + base["StockMarketValue"] if margin else cash
    requirement = _gross(account, on_margin, market) * MARGIN_RATE if margin else Decimal(0)
    available = equity - requirement
    return {
        "NetLiquidation": base["NetLiquidationByCurrency"],
        "TotalCashValue": cash,
        "SettledCash": cash,
        "EquityWithLoanValue": equity,
        "GrossPositionValue": _gross(account, rows, market),
        "InitMarginReq": requirement,
        "MaintMarginReq": requirement,
        "AvailableFunds": available,
        "ExcessLiquidity": available,
        "BuyingPower": max(available, Decimal(0)) * (MARGIN_LEVERAGE if margin else 1),
    }


def _plain(account: Account, totals: Mapping[str, Decimal]) -> dict[str, str]:
    """The values that are no money. A gateway in the middle of a reset would say that it isn't ready."""
    net = totals["NetLiquidation"]
    return {
        "AccountCode": account.account_id,
        "AccountReady": "true",
        "AccountType": "INDIVIDUAL",
        "Cushion": f"{totals['ExcessLiquidity'] / net if net else net:.6f}",
    }


def _written(ledger: Mapping[str, Decimal]) -> Iterator[tuple[str, str]]:
    for key, value in ledger.items():
        yield key, (f"{value:.6f}" if key == "ExchangeRate" else _money(value))


def _money(value: Decimal) -> str:
    return str(value.quantize(CENT))


def _stated(account: Account, row: AccountValue) -> AccountValue:
    if row.key not in account.values or row.currency not in {"", account.currency, "BASE"}:
        return row
    return AccountValue(row.key, account.values[row.key], row.currency)
