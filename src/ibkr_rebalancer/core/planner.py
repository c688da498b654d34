"""From targets and a snapshot to a plan. Pure: the same inputs give the same plan, to the byte.

Sort the account into managed and untouched, decide the shares, ask whether the trades are worth making, and say
of every instrument what happens to it and why.
"""

from collections.abc import Sequence
from decimal import Decimal

from ibkr_rebalancer.core.allocation import Allocation
from ibkr_rebalancer.core.commissions import commission
from ibkr_rebalancer.core.documents import digest
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.managed import Managed, sort_holdings
from ibkr_rebalancer.core.money import ZERO, amount_text, share_of, up_to_cents
from ibkr_rebalancer.core.plan import Plan, Side, Skip, Strategy, Trade, order_of_sending
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import Portfolio, Snapshot
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose
from ibkr_rebalancer.core.reasons import idle_reason, skip_reason, trade_reason
from ibkr_rebalancer.core.remarks import remarks
from ibkr_rebalancer.core.sizing import Funds, Sizing, size_positions, trade_price
from ibkr_rebalancer.core.targets import own_targets


def plan_rebalance(allocation: Allocation, *, snapshot: Snapshot, policy: Policy, purpose: Purpose = REBALANCE) -> Plan:
    """The trades that bring the account as near to its targets as whole shares and cash allow.

    Sells come before buys, the largest first. No trade is made that does not pay: unless something has to go or
    the reserve has to be filled, a plan that removes less drift than `min_gain_bp` is empty.

    Raises:
        Refused: the account is worth nothing, what it owes is unknown, a target cannot be planned, or there is not
            as much cash to be had as is to be raised.
    """
    targets = own_targets(allocation, policy)
    names, untouched = sort_holdings(targets, snapshot=snapshot, policy=policy, purpose=purpose)
    funds = _funds(snapshot.portfolio, policy, purpose)
    sizing = size_positions(names, funds=funds, nearest=policy.rounds_to_nearest)
    _require_raised(sizing, funds, snapshot.portfolio.balances.currency)
    idle = idle_reason(names, sizing, funds, policy)
    decided = sizing if idle is None else sizing.held(names, funds)
    moved = [name for name in names if decided.shares[name.con_id] != name.whole]
    trades = sorted((_trade(name, names, decided, funds) for name in moved), key=order_of_sending)
    return Plan(
        account=snapshot.portfolio.account,
        plan_id=digest(allocation, snapshot, policy, purpose),
        as_of=snapshot.taken_at,
        strategy=Strategy(
            name=allocation.name,
            strategy_long_name=allocation.strategy_long_name,
            last_rebalance_on=allocation.last_rebalance_on,
            as_of=allocation.as_of,
        ),
        targets=allocation.weights,
        policy_digest=digest(policy),
        currency=snapshot.portfolio.balances.currency,
        net_liquidation=funds.net_liquidation,
        cash=funds.cash,
        cash_after=decided.cash_after,
        cash_reserve=up_to_cents(decided.reserve_after),
        turnover=share_of(sum((trade.notional for trade in trades), ZERO), funds.net_liquidation),
        commission=sum((trade.commission for trade in trades), ZERO),
        spread_cost=sum((trade.spread_cost for trade in trades), ZERO),
        drift_before=share_of(decided.drift_before, funds.net_liquidation),
        drift_after=share_of(decided.drift_after, funds.net_liquidation),
        trades=tuple(trades),
        skips=tuple(_skip(name, names, sizing, funds, idle) for name in names if name not in moved),
        untouched=untouched,
        remarks=tuple(
            remarks(
                allocation,
                targets=targets,
                snapshot=snapshot,
                names=names,
                trades=trades,
                decided=decided,
                funds=funds,
                idle=idle,
                purpose=purpose,
            )
        ),
        purpose=purpose,
    )


def _funds(portfolio: Portfolio, policy: Policy, purpose: Purpose) -> Funds:
    """The money of the account. What is owed, in other currencies or on short positions, is no money to invest."""
    balances = portfolio.balances
    if balances.net_liquidation <= 0:
        raise Refused(
            "ACCOUNT_EMPTY",
            f"The account is worth {balances.net_liquidation} {balances.currency}; there is nothing to invest.",
            hint="Deposit money, or set `enabled: false` for this account.",
        )
    cash = portfolio.cash_to_invest
    return Funds(
        net_liquidation=balances.net_liquidation,
        cash=cash,
        spendable=min(cash, balances.available_funds),
        reserve_rate=policy.reserve,
        purchase_reserve_rate=policy.purchase_reserve,
        raised=purpose.raise_cash,
    )


def _require_raised(sizing: Sizing, funds: Funds, currency: str) -> None:
    """Check that the cash that a person asked for can be had; what brings less than that is not what they meant."""
    if not funds.raised or sizing.cash_after >= sizing.reserve_after:
        return
    within_reach = sizing.cash_after - sizing.reserve_after + funds.raised
    raise Refused(
        "CASH_OUT_OF_REACH",
        f"{amount_text(funds.raised)} {currency} cannot be raised: if all were sold that a plan may sell, "
        f"{amount_text(max(ZERO, within_reach))} would be there beyond the reserve.",
        hint="Ask for less; what is excluded, kept or untouched has to be sold by hand.",
    )


def _trade(name: Managed, names: Sequence[Managed], sizing: Sizing, funds: Funds) -> Trade:
    shares = sizing.shares[name.con_id]
    quantity = abs(shares - name.whole)
    price = trade_price(name, shares)
    after = shares + name.fraction
    return Trade(
        symbol=name.symbol,
        con_id=name.con_id,
        primary_exchange=name.primary_exchange,
        side=Side.BUY if shares > name.whole else Side.SELL,
        quantity=quantity,
        price=price,
        notional=quantity * price,
        commission=commission(quantity, price),
        spread_cost=quantity * abs(price - name.prices.value),
        held=name.held,
        target_quantity=after,
        weight_before=_weight(name, name.held, funds),
        weight_target=share_of(sizing.ideal.values[name.con_id], funds.net_liquidation),
        weight_after=_weight(name, after, funds),
        reason=trade_reason(name, names, sizing, funds),
    )


def _skip(name: Managed, names: Sequence[Managed], sizing: Sizing, funds: Funds, idle: str | None) -> Skip:
    return Skip(
        symbol=name.symbol,
        con_id=name.con_id,
        primary_exchange=name.primary_exchange,
        held=name.held,
        price=name.prices.value,
        weight_before=_weight(name, name.held, funds),
        weight_target=share_of(sizing.ideal.values[name.con_id], funds.net_liquidation),
        reason=skip_reason(name, names, sizing, funds, idle),
    )


def _weight(name: Managed, held: Decimal, funds: Funds) -> Decimal:
    return share_of(held * name.prices.value, funds.net_liquidation)
