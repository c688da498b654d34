"""Planner cases in domain notation, and a plan filled on paper.

    snapshot("DU1 cash 1_000; 900 AAA @100; 100 BBB @99.9/100.1", targets="AAA 50; BBB 50")
    allocation("AAA 50; BBB 50")                                    # percent

The account comes first: its cash, cash in other currencies (`cash 1_000 EUR -200`), and `available …` if the broker
lets less be spent. Then one line per instrument: `@price` or `@bid/ask`, `@-` for no quote at all; no quantity means
that it is only quoted. After the symbol may stand a security type (`3 SPXP OPT @2`) and a currency (`10 SAP EUR @120`).
Net liquidation is what all of it is worth at `RATES`. Everything is live and read at `NOW`, in the session.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ibkr_rebalancer.core.allocation import Allocation, parse_allocation
from ibkr_rebalancer.core.hours import Session
from ibkr_rebalancer.core.instruments import STOCK, ConId, Contract
from ibkr_rebalancer.core.plan import Plan, Side
from ibkr_rebalancer.core.portfolio import AccountId, Balances, Holding, Portfolio, Position, Snapshot
from ibkr_rebalancer.core.quotes import DataKind, Quote

NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
SESSION = Session(opens=NOW - timedelta(hours=1), closes=NOW + timedelta(hours=5, minutes=30))
ZERO = Decimal(0)
RATES = {"EUR": Decimal("1.1"), "CAD": Decimal("0.75")}
"""What a unit is worth in the dollars of every account here."""
MARK = Decimal(1)
"""The broker's mark of a holding that nobody quotes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One instrument: what is held of it and what it is quoted at."""

    symbol: str
    quantity: Decimal = ZERO
    bid: Decimal | None = None
    ask: Decimal | None = None
    security_type: str = STOCK
    currency: str = "USD"

    @property
    def mark(self) -> Decimal:
        return MARK if self.bid is None or self.ask is None else (self.bid + self.ask) / 2


def con_id(symbol: str) -> ConId:
    """The made-up contract number of a symbol: one each, whatever else is in the account."""
    return ConId(int("".join(letter for letter in symbol if letter.isalnum()), 36))


def allocation(text: str) -> Allocation:
    """Percentages as in `AAA 50; BBB 49.5`, read as the document that would say so."""
    rows = [part.rsplit(maxsplit=1) for part in text.split(";")]
    return allocation_of({symbol.strip(): Decimal(percent) / 100 for symbol, percent in rows})


def allocation_of(weights: Mapping[str, Decimal]) -> Allocation:
    return parse_allocation(allocation_body(weights), any_sum_below=True)


def allocation_body(weights: Mapping[str, Decimal]) -> bytes:
    rows = ", ".join(
        f'{{"symbol": {json.dumps(symbol)}, "allocation": {weight:f}}}' for symbol, weight in weights.items()
    )
    return f'{{"status": "success", "data": {{"allocations": [{rows}], "name": "demo"}}}}'.encode()


def snapshot(text: str, *, targets: str) -> Snapshot:
    """The account in `text`; the symbols of `targets` are looked up among its lines."""
    head, *rest = text.split(";")
    account, _, cash, *more = head.split()
    amounts = {word: Decimal(amount) for word, amount in zip(more[::2], more[1::2], strict=True)}
    return snapshot_of(
        [_line(part) for part in rest],
        account=account,
        cash=Decimal(cash),
        available=amounts.pop("available", None),
        foreign=amounts,
        targets=[part.rsplit(maxsplit=1)[0].strip() for part in targets.split(";") if part],
    )


def snapshot_of(
    lines: Sequence[Line],
    *,
    cash: Decimal,
    targets: Sequence[str],
    available: Decimal | None = None,
    foreign: Mapping[str, Decimal] | None = None,
    account: str = "DU1",
) -> Snapshot:
    """An account of these lines; without `available` all its cash, and no loan, is free to spend."""
    by_symbol = {line.symbol: line for line in lines}
    abroad = foreign or {}
    abroad_worth = sum((max(ZERO, amount) * RATES[currency] for currency, amount in abroad.items()), ZERO)
    total_cash = sum((amount * RATES[currency] for currency, amount in abroad.items()), cash)
    paid_for = [line for line in lines if line.security_type not in {"FUT", "CASH"}]
    net_liquidation = sum((_worth(line) for line in paid_for), total_cash)
    return Snapshot(
        portfolio=Portfolio(
            account=AccountId(account),
            balances=Balances(
                account_type="MARGIN",
                currency="USD",
                net_liquidation=net_liquidation,
                total_cash=total_cash,
                settled_cash=None,
                available_funds=max(cash, ZERO) + abroad_worth if available is None else available,
                cash={"USD": cash, **abroad},
                exchange_rates=RATES,
                stock_market_value=sum((_worth(line) for line in lines if line.security_type == STOCK), ZERO),
            ),
            holdings=tuple(_holding(line, account) for line in lines if line.quantity),
        ),
        targets={symbol: contract(by_symbol[symbol]) for symbol in targets},
        quotes={con_id(line.symbol): quote(line) for line in lines if line.bid is not None},
        unquoted={},
        contracts={con_id(line.symbol): contract(line) for line in lines},
        taken_at=NOW,
        assembled_at=NOW,
    )


def written(account: Snapshot) -> str:
    """The account in notation: what `snapshot` would read it from."""
    balances = account.portfolio.balances
    held = {h.position.con_id: h.position for h in account.portfolio.holdings}
    abroad = "".join(f" {other} {amount}" for other, amount in balances.cash.items() if other != balances.currency)
    head = f"{account.portfolio.account} cash {balances.cash[balances.currency]}{abroad}"
    head += f" available {balances.available_funds}"
    lines = []
    for bought, described in account.contracts.items():
        quantity = f"{held[bought].quantity} " if bought in held else ""
        traits = [word for word in (described.security_type, described.currency) if word not in {STOCK, "USD"}]
        quoted = account.quotes.get(bought)
        price = f"@{quoted.bid}/{quoted.ask}" if quoted else "@-"
        lines.append(quantity + " ".join([described.symbol, *traits, price]))
    return "; ".join([head, *lines])


def _line(text: str) -> Line:
    words = text.split()
    *front, price = words
    quantity = Decimal(front.pop(0)) if front[0].lstrip("-")[:1].isdigit() else ZERO
    symbol, *traits = front
    bid, _, ask = price.removeprefix("@").partition("/")
    return Line(
        symbol=symbol,
        quantity=quantity,
        bid=None if bid == "-" else Decimal(bid),
        ask=None if bid == "-" else Decimal(ask or bid),
        security_type=next((word for word in traits if word in {"OPT", "FOP", "FUT", "BOND", "CASH"}), STOCK),
        currency=next((word for word in traits if word in {"EUR", "CAD"}), "USD"),
    )


def rate_of(currency: str) -> Decimal:
    """What a unit is worth in dollars."""
    return RATES.get(currency, Decimal(1))


def contract(line: Line) -> Contract:
    return Contract(
        con_id=con_id(line.symbol),
        symbol=line.symbol,
        security_type=line.security_type,
        currency=line.currency,
        primary_exchange="ARCA",
        name=f"{line.symbol} TRUST",
        tick_size=Decimal("0.01"),
        price_magnifier=1,
        sessions=(SESSION,),
    )


def _worth(line: Line) -> Decimal:
    return line.quantity * line.mark * rate_of(line.currency)


def quote(line: Line) -> Quote:
    return Quote(
        bid=line.bid, ask=line.ask, last=None, close=None, data=DataKind.LIVE, is_halted=False, received_at=NOW
    )


def _holding(line: Line, account: str) -> Holding:
    return Holding(
        position=Position(
            account=AccountId(account),
            con_id=con_id(line.symbol),
            symbol=line.symbol,
            security_type=line.security_type,
            currency=line.currency,
            quantity=line.quantity,
            average_cost=line.mark,
        ),
        primary_exchange="ARCA",
        market_price=line.mark,
        market_value=line.quantity * line.mark,
        unrealized_pnl=None,
    )


def fill(plan: Plan, before: Snapshot) -> Snapshot:
    """The account once every trade of the plan has filled at its price and its commission is paid."""
    holdings = {holding.position.con_id: holding for holding in before.portfolio.holdings}
    old = before.portfolio.balances
    cash, cash_change, value_change = dict(old.cash), ZERO, ZERO
    for trade in plan.trades:
        signed = trade.quantity if trade.side is Side.BUY else -trade.quantity
        paid = signed * trade.price + trade.commission
        cash[trade.currency] = cash.get(trade.currency, ZERO) - paid
        cash_change -= paid * old.rate(trade.currency)
        value_change += signed * _middle(before.quotes[trade.con_id]) * old.rate(trade.currency)
        holdings[trade.con_id] = _after(holdings.get(trade.con_id), signed, before, trade.con_id)
    balances = replace(
        old,
        net_liquidation=old.net_liquidation + cash_change + value_change,
        total_cash=old.total_cash + cash_change,
        available_funds=old.available_funds + cash_change,
        cash=cash,
        stock_market_value=(old.stock_market_value or ZERO) + value_change,
    )
    kept = tuple(holding for holding in holdings.values() if holding.position.quantity)
    return replace(before, portfolio=replace(before.portfolio, balances=balances, holdings=kept))


def _after(holding: Holding | None, signed: int, before: Snapshot, bought: ConId) -> Holding:
    held = holding.position.quantity if holding else ZERO
    described = before.contracts[bought]
    quoted = before.quotes[bought]
    line = Line(
        symbol=described.symbol, quantity=held + signed, bid=quoted.bid, ask=quoted.ask, currency=described.currency
    )
    filled = _holding(line, before.portfolio.account)
    return replace(filled, position=replace(filled.position, con_id=bought))


def _middle(quoted: Quote) -> Decimal:
    assert quoted.bid is not None
    assert quoted.ask is not None
    return (quoted.bid + quoted.ask) / 2
