"""What the reader of a plan should know about the whole of it, in sentences. Pure."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby

from ibkr_rebalancer.core.allocation import Allocation
from ibkr_rebalancer.core.commissions import SCHEDULE_CURRENCY
from ibkr_rebalancer.core.conversions import Conversions, conversions
from ibkr_rebalancer.core.hours import is_open, next_open_of_all
from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import CENT, ZERO, amount_text
from ibkr_rebalancer.core.plan import Side, Trade
from ibkr_rebalancer.core.portfolio import Portfolio, Snapshot
from ibkr_rebalancer.core.purpose import Purpose
from ibkr_rebalancer.core.sizing import Purses, Sizing
from ibkr_rebalancer.core.targets import Targets

VALUE_TOLERANCE = Decimal("0.005")
"""Of net liquidation: how far our valuation may be from the broker's before the plan says so."""
IDLE_CASH = Decimal("0.01")
"""Of net liquidation: more than this in cash beyond what is meant to be there is worth telling."""
WORTH_CONVERTING = Decimal("0.001")
"""Of net liquidation: what has to be converted to be told."""
NO_SHARE = "it pays for no whole share that brings the account nearer"


def remarks(
    allocation: Allocation,
    *,
    targets: Targets,
    snapshot: Snapshot,
    names: Sequence[Managed],
    trades: Sequence[Trade],
    decided: Sizing,
    purses: Purses,
    idle: str | None,
    purpose: Purpose,
) -> Iterator[str]:
    """The remarks of a plan: what it is for, then those on its targets, those on its money last."""
    yield from _purpose_remarks(purpose, snapshot.portfolio)
    yield from _target_remarks(allocation, targets, snapshot)
    yield from _price_remarks(names)
    yield from _hours_remarks(trades, snapshot)
    yield from _halt_remarks(trades, snapshot)
    yield from _cash_remarks(snapshot.portfolio, names, trades, purses)
    yield from _limit_remarks(decided, purses)
    lacking = conversions(names, decided, purses)
    yield from _idle_cash_remarks(lacking, decided, purses, idle)
    yield from _conversion_remarks(lacking, names, trades, purses)
    yield from _value_remarks(names, snapshot.portfolio)
    abroad = sorted({trade.currency for trade in trades} - {SCHEDULE_CURRENCY})
    if abroad:
        yield f"Commissions in {', '.join(abroad)} are estimated, rather too high than too low."


def _purpose_remarks(purpose: Purpose, portfolio: Portfolio) -> Iterator[str]:
    if purpose.buy_only:
        yield "Only purchases: nothing is sold (--buy-only)."
    if purpose.raise_cash:
        amount = f"{amount_text(purpose.raise_cash)} {portfolio.balances.currency}"
        yield f"{amount} of the reserve is cash to be raised (--raise-cash)."


def _target_remarks(allocation: Allocation, targets: Targets, snapshot: Snapshot) -> Iterator[str]:
    total = allocation.stated_sum
    if total != 1:
        rest = "scaled to 1" if total > 1 else f"{(1 - total):.2%} is meant to stay cash"
        yield f"The weights add up to {total}: {rest}."
    for each in targets.replaced:
        scaled = f" at {each.scale} of its weight, and the rest stays cash" if each.scale < 1 else ""
        yield f"{each.use} is bought in place of {each.symbol}{scaled}."
    for symbol in sorted(targets.symbols):
        contract = snapshot.targets[symbol]
        if contract.symbol != symbol:
            yield f"{symbol} means {contract.symbol} (con_id {contract.con_id}, {contract.name})."


def _price_remarks(names: Sequence[Managed]) -> Iterator[str]:
    remarked = sorted((name.prices.remark, name.symbol) for name in names if name.prices.remark)
    for remark, group in groupby(remarked, key=lambda pair: pair[0]):
        yield f"Priced by {remark}: {', '.join(symbol for _, symbol in group)}."


def _hours_remarks(trades: Sequence[Trade], snapshot: Snapshot) -> Iterator[str]:
    closed, unknown, calendars = [], [], []
    for trade in sorted(trades, key=lambda trade: trade.symbol):
        sessions = snapshot.contracts[trade.con_id].sessions
        if sessions is None:
            unknown.append(trade.symbol)
            continue
        calendars.append(sessions)
        if not is_open(sessions, at=snapshot.taken_at):
            closed.append(trade.symbol)
    if closed:
        until = next_open_of_all(calendars, after=snapshot.taken_at)
        when = f"; next open {until:%Y-%m-%d %H:%M} UTC" if until else ""
        yield f"Market closed at {snapshot.taken_at:%Y-%m-%d %H:%M} UTC for {', '.join(closed)}{when}."
    if unknown:
        yield f"The gateway gave no readable trading hours for {', '.join(unknown)}."


def _halt_remarks(trades: Sequence[Trade], snapshot: Snapshot) -> Iterator[str]:
    halted = sorted(trade.symbol for trade in trades if snapshot.quotes[trade.con_id].is_halted)
    if halted:
        yield f"Trading is halted in {', '.join(halted)}: as long as it is, none of these orders can be sent."


def _cash_remarks(
    portfolio: Portfolio, names: Sequence[Managed], trades: Sequence[Trade], purses: Purses
) -> Iterator[str]:
    """What of the cash is not ours to spend, and why."""
    balances, shorts = portfolio.balances, portfolio.owed_on_shorts()
    for ours, funds in purses.parts(names):
        currency = funds.currency
        cash, counted = balances.cash.get(currency, ZERO), funds.cash / funds.rate
        short = shorts.get(currency, ZERO)
        owed = {"in other currencies": cash - short - counted, "on short positions": short}
        debts = [f"{amount_text(amount)} is owed {where}" for where, amount in owed.items() if amount >= CENT]
        if debts:
            yield f"Of {amount_text(cash)} {currency} in cash {amount_text(counted)} counts: {' and '.join(debts)}."
        if not ours:
            if funds.cash > 0:
                cash_text = f"{amount_text(counted)} {currency} in cash"
                yield f"{cash_text} buys nothing: nothing that is managed is in {currency}."
            continue
        sells = any(trade.side is Side.SELL and trade.currency == currency for trade in trades)
        before = " before the sales" if sells else ""
        if funds.spendable < min(ZERO, funds.cash):
            yield f"The broker lets nothing be spent{before}: available funds are {funds.told(funds.spendable)}."
        elif funds.cash - funds.spendable >= CENT:
            allowed = funds.told(funds.spendable)
            yield f"Of {funds.told(funds.cash)} cash the broker lets {allowed} be spent{before}."


def _limit_remarks(decided: Sizing, purses: Purses) -> Iterator[str]:
    for currency, funds in purses.funds.items():
        kept = min(funds.withheld, decided.cash_after[currency] - decided.cash_goals[currency])
        if kept >= CENT:
            why = "at their limits purchases may cost more than their ask"
            yield f"{funds.told(kept)} is kept beyond the reserve: {why}."


def _idle_cash_remarks(lacking: Conversions, decided: Sizing, purses: Purses, idle: str | None) -> Iterator[str]:
    """Cash that should be invested and stays; what is kept back for a reason, or lacks elsewhere, is told by others."""
    wanted_elsewhere: dict[str, Decimal] = {}
    for each in lacking.exchanges:
        wanted_elsewhere[each.source] = wanted_elsewhere.get(each.source, ZERO) + each.worth
    for currency, funds in purses.funds.items():
        left = decided.cash_after[currency] - decided.cash_goals[currency] - (funds.cash - funds.for_purchases)
        left -= wanted_elsewhere.get(currency, ZERO)
        if left > IDLE_CASH * purses.net_liquidation:
            yield f"{funds.told(left)} stays uninvested: {idle or NO_SHARE}."


def _conversion_remarks(
    lacking: Conversions, names: Sequence[Managed], trades: Sequence[Trade], purses: Purses
) -> Iterator[str]:
    """What a person could convert, as nothing here does; and what lacks even then, if it is more than rounding."""
    least = WORTH_CONVERTING * purses.net_liquidation
    told = [each for each in lacking.exchanges if each.worth > least]
    for each in told:
        sells = any(trade.side is Side.SELL and trade.currency == each.source for trade in trades)
        yield (
            f"{each.target} lacks cash for its targets, and no currency is converted here: "
            f"convert about {amount_text(each.pays)} {each.source} to {each.target}, which gives about "
            f"{amount_text(each.brings)} {each.target}{f', once the sales in {each.source} are done' if sells else ''}."
        )
    for currency, amount in lacking.to_be_sold.items():
        a_share = max((name.prices.value for name in names if name.currency != currency), default=ZERO)
        if amount * purses.funds[currency].rate > max(least, a_share):
            more = "more " if any(each.target == currency for each in told) else ""
            yield (
                f"{currency} lacks about {amount_text(amount)} {currency} {more}for its targets: "
                "that would first have to come from sales in other currencies, which this plan does not make."
            )


def _value_remarks(names: Sequence[Managed], portfolio: Portfolio) -> Iterator[str]:
    """Compare our valuation with the broker's."""
    ours, balances = {name.con_id for name in names}, portfolio.balances
    others = [holding for holding in portfolio.holdings if holding.position.con_id not in ours]
    worth = balances.total_cash + sum((name.held * name.prices.value for name in names), ZERO)
    worth += sum((portfolio.value_in_base(holding) for holding in others), ZERO)
    if abs(worth - balances.net_liquidation) > VALUE_TOLERANCE * balances.net_liquidation:
        yield (
            f"At these prices the account is worth {amount_text(worth)}; "
            f"Interactive Brokers says {amount_text(balances.net_liquidation)}."
        )
