"""From targets and a snapshot to a plan. Pure: the same inputs give the same plan, to the byte.

Sort the account into managed and untouched, decide the shares, ask whether the trades are worth making, and say
of every instrument what happens to it and why.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from ibkr_rebalancer.core.allocation import Allocation
from ibkr_rebalancer.core.commissions import commission
from ibkr_rebalancer.core.documents import digest
from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.managed import Managed, sort_holdings
from ibkr_rebalancer.core.money import ZERO, amount_text, share_of, up_to_cents
from ibkr_rebalancer.core.plan import CurrencyCash, Plan, Side, Skip, Strategy, Trade, order_of_sending
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import Balances, Snapshot
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose
from ibkr_rebalancer.core.reasons import idle_reason, skip_reason, trade_reason
from ibkr_rebalancer.core.remarks import remarks
from ibkr_rebalancer.core.sizing import Purses, Sizing, order_price, purses_of, size_positions, trade_price
from ibkr_rebalancer.core.targets import own_targets


def plan_rebalance(allocation: Allocation, *, snapshot: Snapshot, policy: Policy, purpose: Purpose = REBALANCE) -> Plan:
    """The trades that bring the account as near to its targets as whole shares and cash allow.

    Sells come before buys, the largest first. No trade is made that does not pay: unless something has to go or
    the reserve has to be filled, a plan that removes less drift than `min_gain_bp` is empty.

    Raises:
        Refused: the account is worth nothing, what it owes or a currency is worth is unknown, a target cannot be
            planned, or there is not as much cash to be had as is to be raised.
    """
    balances = snapshot.portfolio.balances
    _require_worth(balances)
    targets = own_targets(allocation, policy)
    names, untouched = sort_holdings(targets, snapshot=snapshot, policy=policy, purpose=purpose)
    purses = purses_of(snapshot.portfolio, names, policy, purpose)
    sizing = size_positions(names, purses=purses, nearest=policy.rounds_to_nearest)
    _require_raised(sizing, purses, balances.currency)
    idle = idle_reason(names, sizing, purses, policy)
    decided = sizing if idle is None else sizing.held(names, purses)
    moved = [name for name in names if decided.shares[name.con_id] != name.whole]
    kept = [name for name in names if decided.shares[name.con_id] == name.whole]
    trades = sorted((_trade(name, names, decided, purses) for name in moved), key=order_of_sending)
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
        currency=balances.currency,
        net_liquidation=balances.net_liquidation,
        cash=purses.cash,
        cash_after=sum(decided.cash_after.values(), ZERO),
        cash_reserve=up_to_cents(sum(decided.reserve_after.values(), ZERO)),
        cash_by_currency=tuple(_cash_lines(purses, decided)),
        turnover=share_of(sum((trade.notional for trade in trades), ZERO), balances.net_liquidation),
        commission=sum((trade.commission * trade.rate for trade in trades), ZERO),
        spread_cost=sum((trade.spread_cost * trade.rate for trade in trades), ZERO),
        drift_before=share_of(decided.drift_before, balances.net_liquidation),
        drift_after=share_of(decided.drift_after, balances.net_liquidation),
        trades=tuple(trades),
        skips=tuple(_skip(name, names, sizing, purses, idle) for name in kept),
        untouched=untouched,
        remarks=tuple(
            remarks(
                allocation,
                targets=targets,
                snapshot=snapshot,
                names=names,
                trades=trades,
                decided=decided,
                purses=purses,
                idle=idle,
                purpose=purpose,
            )
        ),
        purpose=purpose,
    )


def _require_worth(balances: Balances) -> None:
    if balances.net_liquidation <= 0:
        raise Refused(
            "ACCOUNT_EMPTY",
            f"The account is worth {balances.net_liquidation} {balances.currency}; there is nothing to invest.",
            hint="Deposit money, or set `enabled: false` for this account.",
        )


def _require_raised(sizing: Sizing, purses: Purses, currency: str) -> None:
    """Check that the cash that a person asked for can be had; what brings less than that is not what they meant."""
    raised, missing = purses.raised, sizing.reserve_after[currency] - sizing.cash_after[currency]
    if not raised or missing <= 0:
        return
    raise Refused(
        "CASH_OUT_OF_REACH",
        f"{amount_text(raised)} {currency} cannot be raised: if all were sold that a plan may sell, "
        f"{amount_text(max(ZERO, raised - missing))} would be there beyond the reserve.",
        hint="Ask for less; what is excluded, kept or untouched has to be sold by hand, and money of another currency "
        "to be converted.",
    )


def _cash_lines(purses: Purses, sizing: Sizing) -> Iterator[CurrencyCash]:
    for currency, funds in purses.funds.items():
        yield CurrencyCash(
            currency=currency,
            rate=funds.rate,
            cash=funds.cash / funds.rate,
            cash_after=sizing.cash_after[currency] / funds.rate,
            cash_reserve=up_to_cents(sizing.reserve_after[currency] / funds.rate),
        )


def _trade(name: Managed, names: Sequence[Managed], sizing: Sizing, purses: Purses) -> Trade:
    shares = sizing.shares[name.con_id]
    quantity = abs(shares - name.whole)
    price = order_price(name, shares)
    after = shares + name.fraction
    return Trade(
        symbol=name.symbol,
        con_id=name.con_id,
        primary_exchange=name.primary_exchange,
        side=Side.BUY if shares > name.whole else Side.SELL,
        quantity=quantity,
        currency=name.currency,
        rate=name.rate,
        price=price,
        notional=quantity * trade_price(name, shares),
        commission=commission(quantity, price, name.currency),
        spread_cost=quantity * abs(price - name.quoted.value),
        held=name.held,
        target_quantity=after,
        weight_before=_weight(name, name.held, purses),
        weight_target=share_of(sizing.ideal.values[name.con_id], purses.net_liquidation),
        weight_after=_weight(name, after, purses),
        reason=trade_reason(name, _of_its_currency(name, names), sizing, purses.funds[name.currency]),
    )


def _skip(name: Managed, names: Sequence[Managed], sizing: Sizing, purses: Purses, idle: str | None) -> Skip:
    return Skip(
        symbol=name.symbol,
        con_id=name.con_id,
        primary_exchange=name.primary_exchange,
        held=name.held,
        currency=name.currency,
        price=name.quoted.value,
        weight_before=_weight(name, name.held, purses),
        weight_target=share_of(sizing.ideal.values[name.con_id], purses.net_liquidation),
        reason=skip_reason(name, _of_its_currency(name, names), sizing, purses.funds[name.currency], idle),
    )


def _of_its_currency(name: Managed, names: Sequence[Managed]) -> Sequence[Managed]:
    """The names that compete with it for cash."""
    return [other for other in names if other.currency == name.currency]


def _weight(name: Managed, held: Decimal, purses: Purses) -> Decimal:
    return share_of(held * name.prices.value, purses.net_liquidation)
