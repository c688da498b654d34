"""From targets and a snapshot to a plan. Pure: the same inputs give the same plan, to the byte.

Sort the account into managed and untouched, decide the shares, ask whether the trades are worth making, and say
of every instrument what happens to it and why.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby

from ibkr_rebalancer.core.allocation import Allocation
from ibkr_rebalancer.core.commissions import commission
from ibkr_rebalancer.core.documents import digest
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.hours import is_open, next_open
from ibkr_rebalancer.core.managed import Managed, sort_holdings
from ibkr_rebalancer.core.money import BASIS_POINT, ZERO, share_of, to_cents, up_to_cents
from ibkr_rebalancer.core.plan import Plan, Side, Skip, Strategy, Trade, Untouched, order_of_sending
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import Balances, Snapshot
from ibkr_rebalancer.core.sizing import Funds, Sizing, size_positions, trade_price

HALF_A_SHARE = Decimal("0.5")
VALUE_TOLERANCE = Decimal("0.005")
"""Of net liquidation: how far our valuation may be from the broker's before the plan says so."""


def plan_rebalance(allocation: Allocation, *, snapshot: Snapshot, policy: Policy) -> Plan:
    """The trades that bring the account as near to its targets as whole shares and cash allow.

    Sells come before buys, the largest first. No trade is made that does not pay: unless something has to go or
    the reserve has to be filled, a plan that removes less drift than `min_gain_bp` is empty.

    Raises:
        Refused: the account is worth nothing, or a target cannot be planned.
    """
    names, untouched = sort_holdings(allocation, snapshot=snapshot, policy=policy)
    funds = _funds(snapshot.portfolio.balances, policy)
    sizing = size_positions(names, funds=funds, nearest=policy.rounds_to_nearest)
    idle = _idle_reason(names, sizing, funds, policy)
    decided = sizing if idle is None else sizing.held(names, funds)
    moved = [name for name in names if decided.shares[name.con_id] != name.whole]
    trades = sorted((_trade(name, decided, funds) for name in moved), key=order_of_sending)
    return Plan(
        account=snapshot.portfolio.account,
        plan_id=digest(allocation, snapshot, policy),
        as_of=snapshot.taken_at,
        strategy=Strategy(
            name=allocation.name,
            strategy_long_name=allocation.strategy_long_name,
            last_rebalance_on=allocation.last_rebalance_on,
            as_of=allocation.as_of,
        ),
        currency=snapshot.portfolio.balances.currency,
        net_liquidation=funds.net_liquidation,
        cash=funds.cash,
        cash_after=decided.cash_after,
        cash_reserve=up_to_cents(funds.reserve),
        turnover=share_of(sum((trade.notional for trade in trades), ZERO), funds.net_liquidation),
        commission=sum((trade.commission for trade in trades), ZERO),
        drift_before=share_of(decided.drift_before, funds.net_liquidation),
        drift_after=share_of(decided.drift_after, funds.net_liquidation),
        trades=tuple(trades),
        skips=tuple(_skip(name, sizing, funds, idle) for name in names if name not in moved),
        untouched=untouched,
        remarks=tuple(_remarks(allocation, names, untouched, trades, funds, snapshot)),
    )


def _funds(balances: Balances, policy: Policy) -> Funds:
    if balances.net_liquidation <= 0:
        raise Refused(
            "ACCOUNT_EMPTY",
            f"The account is worth {balances.net_liquidation} {balances.currency}; there is nothing to invest.",
            hint="Deposit money, or set `enabled: false` for this account.",
        )
    cash = balances.cash.get(balances.currency, ZERO)
    return Funds(
        net_liquidation=balances.net_liquidation,
        cash=cash,
        spendable=min(cash, balances.available_funds),
        reserve_rate=policy.cash_reserve_pct / 100,
    )


def _idle_reason(names: Sequence[Managed], sizing: Sizing, funds: Funds, policy: Policy) -> str | None:
    """Why nothing is traded at all, or None: a plan must be worth its trades, unless something has to go."""
    least = policy.min_gain_bp * BASIS_POINT * funds.net_liquidation
    gain = sizing.drift_before - sizing.drift_after
    has_to_go = any(not name.weight for name in names)
    if policy.rounds_to_nearest or has_to_go or gain >= least or funds.cash < funds.reserve - least:
        return None
    gain_bp = max(ZERO, gain / funds.net_liquidation / BASIS_POINT)
    return f"the whole plan would remove {gain_bp:.1f} bp of drift, less than min_gain_bp {policy.min_gain_bp}"


def _trade(name: Managed, sizing: Sizing, funds: Funds) -> Trade:
    shares = sizing.shares[name.con_id]
    quantity = abs(shares - name.whole)
    price = trade_price(name, shares)
    after = shares + name.fraction
    return Trade(
        symbol=name.symbol,
        con_id=name.con_id,
        side=Side.BUY if shares > name.whole else Side.SELL,
        quantity=quantity,
        price=price,
        notional=quantity * price,
        commission=commission(quantity, price),
        held=name.held,
        target_quantity=after,
        weight_before=_weight(name, name.held, funds),
        weight_target=share_of(sizing.ideal.values[name.con_id], funds.net_liquidation),
        weight_after=_weight(name, after, funds),
        reason=_trade_reason(name, sizing, funds),
    )


def _trade_reason(name: Managed, sizing: Sizing, funds: Funds) -> str:
    shares, wanted = sizing.shares[name.con_id], sizing.ideal.shares(name)
    if not name.weight:
        left = f"; {name.fraction} of a share stays, the gateway sells whole ones" if name.fraction else ""
        return ("target weight 0" if name.listed else "not in the targets") + left
    off = share_of(name.held * name.prices.value - sizing.ideal.values[name.con_id], funds.net_liquidation)
    if shares < name.whole <= wanted:
        return f"sold to raise cash, though underweight by {abs(off):.2%}"
    fewer = int(wanted) - shares
    stint = f"; {_shares(fewer)} short, cash goes further elsewhere" if fewer > 0 else ""
    return f"{'over' if off > 0 else 'under'}weight by {abs(off):.2%}{stint}"


def _skip(name: Managed, sizing: Sizing, funds: Funds, idle: str | None) -> Skip:
    return Skip(
        symbol=name.symbol,
        con_id=name.con_id,
        held=name.held,
        price=name.prices.value,
        weight_before=_weight(name, name.held, funds),
        weight_target=share_of(sizing.ideal.values[name.con_id], funds.net_liquidation),
        reason=_skip_reason(name, sizing, idle),
    )


def _skip_reason(name: Managed, sizing: Sizing, idle: str | None) -> str:
    lacking = sizing.ideal.shares(name) - name.whole
    if idle is not None and sizing.shares[name.con_id] != name.whole:
        return idle
    if lacking >= 1:
        return f"{_shares(int(lacking))} under the target, cash goes further elsewhere"
    if lacking > HALF_A_SHARE:
        return f"{lacking:.2f} of a share under the target, cash goes further elsewhere"
    return "on target to the nearest share"


def _shares(count: int) -> str:
    return f"{count} share{'' if count == 1 else 's'}"


def _weight(name: Managed, held: Decimal, funds: Funds) -> Decimal:
    return share_of(held * name.prices.value, funds.net_liquidation)


def _remarks(
    allocation: Allocation,
    names: Sequence[Managed],
    untouched: Sequence[Untouched],
    trades: Sequence[Trade],
    funds: Funds,
    snapshot: Snapshot,
) -> Iterator[str]:
    total, balances = allocation.stated_sum, snapshot.portfolio.balances
    if total != 1:
        rest = "scaled to 1" if total > 1 else f"{(1 - total):.2%} is meant to stay cash"
        yield f"The weights add up to {total}: {rest}."
    yield from _price_remarks(names)
    yield from _hours_remarks(trades, snapshot)
    if funds.spendable < funds.cash:
        yield f"Of {to_cents(funds.cash)} cash the broker lets {to_cents(funds.spendable)} be spent."
    for currency, amount in sorted(balances.cash.items()):
        if currency != balances.currency and amount:
            yield f"{to_cents(amount)} {currency} in cash is not invested: only {balances.currency} is."
    yield from _value_remarks(names, untouched, balances)


def _price_remarks(names: Sequence[Managed]) -> Iterator[str]:
    remarked = sorted((name.prices.remark, name.symbol) for name in names if name.prices.remark)
    for remark, group in groupby(remarked, key=lambda pair: pair[0]):
        yield f"Priced by {remark}: {', '.join(symbol for _, symbol in group)}."


def _hours_remarks(trades: Sequence[Trade], snapshot: Snapshot) -> Iterator[str]:
    closed, unknown, opens = [], [], set()
    for trade in sorted(trades, key=lambda trade: trade.symbol):
        sessions = snapshot.contracts[trade.con_id].sessions
        if sessions is None:
            unknown.append(trade.symbol)
        elif not is_open(sessions, at=snapshot.taken_at):
            closed.append(trade.symbol)
            opens.add(next_open(sessions, after=snapshot.taken_at))
    if closed:
        known = [moment for moment in opens if moment]
        when = f"; next open {min(known):%Y-%m-%d %H:%M} UTC" if known else ""
        yield f"Market closed at {snapshot.taken_at:%Y-%m-%d %H:%M} UTC for {', '.join(closed)}{when}."
    if unknown:
        yield f"The gateway gave no readable trading hours for {', '.join(unknown)}."


def _value_remarks(names: Sequence[Managed], untouched: Sequence[Untouched], balances: Balances) -> Iterator[str]:
    """Compare our valuation with the broker's, where everything is in one currency."""
    if any(line.currency != balances.currency for line in untouched):
        return
    ours = balances.total_cash + sum((n.held * n.prices.value for n in names), ZERO)
    ours += sum((line.market_value for line in untouched), ZERO)
    if abs(ours - balances.net_liquidation) > VALUE_TOLERANCE * balances.net_liquidation:
        yield (
            f"At these prices the account is worth {to_cents(ours)}; "
            f"Interactive Brokers says {to_cents(balances.net_liquidation)}."
        )
