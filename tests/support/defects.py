"""Planners that are wrong in one way each: what the checks of plans must catch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal

from tests.support.accounts import Case
from tests.support.judge import planned

from ibkr_rebalancer.core.plan import Plan, Side, Trade
from ibkr_rebalancer.core.policy import Unlisted
from ibkr_rebalancer.core.portfolio import Balances
from ibkr_rebalancer.core.purpose import REBALANCE

ZERO = Decimal(0)


def forgets_the_reserve(case: Case) -> Plan:
    """Spends all the cash there is."""
    return planned(replace(case, policy=replace(case.policy, cash_reserve_pct=Decimal(0))))


def sells_fractions_whole(case: Case) -> Plan:
    """Rounds 0.6 of a share up to one, which leaves a short position."""
    return _retraded(planned(case), lambda trade: replace(trade, quantity=_rounded_up(trade)))


def buys_before_it_sells(case: Case) -> Plan:
    plan = planned(case)
    return replace(plan, trades=tuple(reversed(plan.trades)))


def sells_and_buys_the_same(case: Case) -> Plan:
    """Crosses: the largest purchase is sold first."""
    plan = planned(case)
    bought = next(trade for trade in plan.trades if trade.side is Side.BUY)
    return replace(plan, trades=(replace(bought, side=Side.SELL), *plan.trades))


def goes_half_way(case: Case) -> Plan:
    """Is never done: half of each purchase is left for the next plan."""
    return _retraded(planned(case), lambda trade: replace(trade, quantity=(trade.quantity + 1) // 2))


def buys_nothing(case: Case) -> Plan:
    """Leaves the cash idle."""
    plan = planned(case)
    return replace(plan, trades=tuple(trade for trade in plan.trades if trade.side is Side.SELL))


def keeps_what_should_go(case: Case) -> Plan:
    plan = planned(case)
    return replace(plan, trades=tuple(trade for trade in plan.trades if trade.side is Side.BUY))


def ignores_what_is_excluded(case: Case) -> Plan:
    return planned(replace(case, policy=replace(case.policy, exclude=frozenset())))


def sells_what_is_unlisted(case: Case) -> Plan:
    return planned(replace(case, policy=replace(case.policy, unlisted=Unlisted.SELL)))


def borrows_against_what_is_excluded(case: Case) -> Plan:
    """Takes its worth for money to invest."""
    portfolio = case.snapshot.portfolio
    worth = sum((h.market_value or ZERO for h in portfolio.holdings if h.position.symbol in case.policy.exclude), ZERO)
    old = portfolio.balances
    richer = replace(
        old,
        total_cash=old.total_cash + worth,
        available_funds=old.available_funds + worth,
        cash={**old.cash, old.currency: old.cash[old.currency] + worth},
    )
    return planned(replace(case, snapshot=replace(case.snapshot, portfolio=replace(portfolio, balances=richer))))


def buys_what_is_replaced(case: Case) -> Plan:
    return planned(replace(case, policy=replace(case.policy, substitutions={})))


def sells_what_is_replaced_to_buy_its_substitute(case: Case) -> Plan:
    """Passes the weights on, and forgets what is held."""
    weights = dict(case.allocation.weights)
    for symbol, substitution in case.policy.substitutions.items():
        weights[substitution.use] = weights.get(substitution.use, ZERO) + weights.pop(symbol)
    return planned(
        replace(
            case,
            allocation=replace(case.allocation, weights=weights),
            policy=replace(case.policy, substitutions={}),
            snapshot=replace(case.snapshot, targets={s: case.snapshot.targets[s] for s in weights}),
        )
    )


def forgets_the_scale(case: Case) -> Plan:
    unscaled = {s: replace(each, scale=Decimal(1)) for s, each in case.policy.substitutions.items()}
    return planned(replace(case, policy=replace(case.policy, substitutions=unscaled)))


def scales_weights_up(case: Case) -> Plan:
    """What is missing to 1 is invested, and not left in cash."""
    whole = sum(case.allocation.weights.values(), ZERO)
    weights = {symbol: weight / whole for symbol, weight in case.allocation.weights.items()}
    return planned(replace(case, allocation=replace(case.allocation, weights=weights)))


def forgets_its_purpose(case: Case) -> Plan:
    """Rebalances, whatever the person has asked for."""
    return planned(replace(case, purpose=REBALANCE))


def _retraded(plan: Plan, change: Callable[[Trade], Trade]) -> Plan:
    trades: Sequence[Trade] = [change(trade) for trade in plan.trades]
    return replace(plan, trades=tuple(trades))


def _rounded_up(trade: Trade) -> int:
    if trade.side is Side.BUY or trade.target_quantity >= 1:
        return trade.quantity
    return int(trade.held.to_integral_value(ROUND_CEILING))


def pays_euros_with_dollars(case: Case) -> Plan:
    """Takes all money for money of every currency."""
    balances = case.snapshot.portfolio.balances
    everywhere = {c: balances.total_cash / balances.exchange_rates.get(c, Decimal(1)) for c in balances.cash}
    return planned(_with_balances(case, replace(balances, cash=everywhere)))


def forgets_the_rates(case: Case) -> Plan:
    """Takes every price for one in the account's currency."""
    balances = case.snapshot.portfolio.balances
    plan = planned(_with_balances(case, replace(balances, exchange_rates=dict.fromkeys(balances.cash, Decimal(1)))))
    return replace(plan, commission=Decimal(0))


def _with_balances(case: Case, balances: Balances) -> Case:
    portfolio = replace(case.snapshot.portfolio, balances=balances)
    return replace(case, snapshot=replace(case.snapshot, portfolio=portfolio))
