"""How many shares of each instrument: as near to the targets as whole shares, cash and costs allow. Pure.

Drift is half the sum of |value - ideal| over all instruments and cash, which equals the sum of the shortfalls
alone. So the instruments are rounded down to whole shares, and the cash that is left chooses, as a knapsack, who
gets more. Costs (commission and half the spread) come off what is invested before the ideals are taken; that is
what makes a second plan, once the first has filled, come out empty.

The ideals are those of the whole account. As no cash becomes that of another currency, the choice of shares falls apart
into one for each currency, with its own cash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.sizing.accounting import (
    Funds,
    Ideal,
    Quantities,
    as_held,
    cash_left,
    costs_of,
    drift_of,
    order_price,
    outlay,
    reserve_left,
    shortfall,
    trade_price,
)
from ibkr_rebalancer.core.sizing.choice import choose_shares, fewest_of, sold_down
from ibkr_rebalancer.core.sizing.purses import Purses, purses_of
from ibkr_rebalancer.core.sizing.reserves import kept_where_cash_is

__all__ = [
    "Funds",
    "Ideal",
    "Purses",
    "Quantities",
    "Sizing",
    "order_price",
    "outlay",
    "purses_of",
    "size_positions",
    "size_purchases",
    "trade_price",
]

COST_ROUNDS = 6
"""Costs (commissions and half the spread) depend on the orders, and the orders on them; two or three rounds do."""
SECOND_THOUGHTS = 3
"""How often a decision is asked again from where it leads, so that a second plan has nothing left to find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The shares to end with, and how near that is. Drift is in money."""

    shares: Quantities
    ideal: Ideal
    cash_goals: Mapping[str, Decimal]
    """By currency: what of the ideal cash it has to keep."""
    cash_after: Mapping[str, Decimal]
    """By currency; like all money here in that of the account."""
    reserve_after: Mapping[str, Decimal]
    """By currency: the reserve once costs are paid."""
    drift_before: Decimal
    drift_after: Decimal

    def held(self, names: Sequence[Managed], purses: Purses) -> "Sizing":
        """The same question with the answer to leave everything as it is."""
        return replace(
            self,
            shares=as_held(names),
            cash_after={currency: funds.cash for currency, funds in purses.funds.items()},
            reserve_after={currency: funds.reserve for currency, funds in purses.funds.items()},
            drift_after=self.drift_before,
        )


def size_positions(names: Sequence[Managed], *, purses: Purses, nearest: bool) -> Sizing:
    """Decide how many whole shares of each instrument to end with.

    What is to be bought is not sold, unless cash is below the reserve and has to be raised, and what stands for another
    is not bought; no sale goes beyond the whole shares held, nor touches what may not be sold; no purchase leaves cash
    in its currency, costs paid, below the reserve for purchases. With `nearest`, a share is bought where more than half
    of it is wanted, and costs do not lower the ideals.

    A name ends more than a share under its ideal only to make room for dear shares of others, where that brings the
    whole nearer; all that is given up so is worth no more than a share of each of the `DEAREST`.
    """
    ideal, shares = _settle_costs(names, purses, nearest=nearest)
    for _ in range(0 if nearest else SECOND_THOUGHTS):
        again = _from_there(names, shares, purses)
        if not _is_nearer(names, again, shares, ideal, purses):
            break
        shares = again
    return Sizing(
        shares=shares,
        ideal=ideal,
        cash_goals=purses.cash_goals(names, ideal),
        cash_after={funds.currency: cash_left(ours, shares, funds.cash) for ours, funds in purses.parts(names)},
        reserve_after={funds.currency: reserve_left(ours, shares, funds) for ours, funds in purses.parts(names)},
        drift_before=drift_of(names, as_held(names), purses.cash, ideal),
        drift_after=drift_of(names, shares, cash_left(names, shares, purses.cash), ideal),
    )


def size_purchases(
    names: Sequence[Managed], *, goals: Quantities, budget: Decimal, net_liquidation: Decimal
) -> Quantities:
    """Decide how many whole shares to end with when there is not money for all of `goals`, which are purchases only, of
    one currency. All money is in that one, the prices of `names` too.

    All are cut to one common level of their goal, and what is left over buys single shares; nothing goes beyond its
    goal, nothing is sold, and all together cost, commissions paid, at most `budget`, which is not negative.
    """
    return choose_shares(
        names,
        Ideal(values={n.con_id: (goals[n.con_id] + n.fraction) * n.prices.value for n in names}, cash=ZERO),
        Funds(
            net_liquidation=net_liquidation,
            currency=names[0].currency,
            rate=names[0].rate,
            is_base=True,
            cash=budget,
            spendable=budget,
            reserve_rate=ZERO,
            purchase_reserve_rate=ZERO,
        ),
        nearest=False,
    )


def _from_there(names: Sequence[Managed], shares: Quantities, purses: Purses) -> Quantities:
    """What would be decided once `shares` are held: the choice is not exact, and from its end more can be in reach."""
    moved = [replace(name, held=shares[name.con_id] + name.fraction) for name in names]
    return _settle_costs(moved, purses.after(names, shares, costs_of(names, shares)), nearest=False)[1]


def _is_nearer(names: Sequence[Managed], again: Quantities, shares: Quantities, ideal: Ideal, purses: Purses) -> bool:
    """Whether `again` keeps every rule that `shares` had to keep, and comes nearer."""
    drifts = [drift_of(names, these, cash_left(names, these, purses.cash), ideal) for these in (again, shares)]
    kept = kept_where_cash_is(names, purses, ideal)
    return drifts[0] < drifts[1] and all(_is_allowed(ours, again, ideal, funds) for ours, funds in kept.parts(names))


def _is_allowed(names: Sequence[Managed], shares: Quantities, ideal: Ideal, funds: Funds) -> bool:
    reached = all(shares[name.con_id] >= fewest_of(name, ideal, raising=funds.raises_cash) for name in names)
    return reached and (not names or shortfall(names, shares, funds) <= 0)


def _settle_costs(names: Sequence[Managed], purses: Purses, *, nearest: bool) -> tuple[Ideal, Quantities]:
    """Repeat the decision with the costs it brings until they have been allowed for."""
    costs = ZERO
    for _ in range(COST_ROUNDS):
        ideal = _ideal(names, purses, ZERO if nearest else costs)
        shares = _choose_by_currency(names, ideal, purses, nearest=nearest)
        actual = costs_of(names, shares if len(purses.funds) == 1 else _once_converted(names, shares, ideal))
        if actual <= costs:
            break
        costs = actual
    return ideal, shares


def _once_converted(names: Sequence[Managed], shares: Quantities, ideal: Ideal) -> Quantities:
    """What is held once cash that lacks in a currency is there too: that its purchases will cost is counted now, or
    what is bought today would then be over its ideal, and be sold."""
    bought = {name.con_id: int(ideal.shares(name)) for name in names if name.weight and name.stands_for is None}
    return {con_id: max(held, bought.get(con_id, 0)) for con_id, held in shares.items()}


def _choose_by_currency(names: Sequence[Managed], ideal: Ideal, purses: Purses, *, nearest: bool) -> Quantities:
    """Cash that a currency does not need itself is wanted all the same, where it lacks in another: it is not spent on
    shares that bring the account nearer only while nobody converts it, and are sold when somebody has."""
    kept = kept_where_cash_is(names, purses, ideal)
    goals = kept.cash_goals(names, ideal)
    if len(purses.funds) > 1:
        left = purses.uninvested(names, ideal)
        ends = _once_converted(names, sold_down(names, ideal), ideal)
        costs = {funds.currency: costs_of(ours, ends) for ours, funds in purses.parts(names)}
        goals = {currency: max(goal, left[currency] - costs[currency]) for currency, goal in goals.items()}
    shares: dict[ConId, int] = {}
    for ours, funds in kept.parts(names):
        if ours:
            shares |= choose_shares(ours, replace(ideal, cash=goals[funds.currency]), funds, nearest=nearest)
    return shares


def _ideal(names: Sequence[Managed], purses: Purses, costs: Decimal) -> Ideal:
    """Split what can be invested by the weights, whatever currency it is in.

    A fraction worth more than its own ideal is stuck: the gateway sells whole shares only, so its worth is no money
    to invest, and the others share what is left. What is held of a replaced target counts as its substitute.
    """
    reserve = max(ZERO, purses.reserve - purses.reserve_rate * costs)
    worth = purses.cash + sum((name.held * name.prices.value for name in names), ZERO) - reserve - costs
    bought = [name for name in names if name.stands_for is None]
    replaced = [name for name in names if name.stands_for is not None]
    stuck: dict[ConId, Decimal] = {}
    while True:
        weight = 1 - sum((name.weight for name in bought if name.con_id in stuck), ZERO)
        invested = max(ZERO, (worth - sum(stuck.values(), ZERO)) / weight) if weight > 0 else ZERO
        kept = {name.con_id: _kept(name, invested) for name in replaced}
        free = [name for name in bought if name.con_id not in stuck]
        crumbs = {n.con_id: n.fraction * n.prices.value + _stood_for(n, replaced, kept) for n in free}
        more = {name.con_id: crumbs[name.con_id] for name in free if crumbs[name.con_id] > name.weight * invested}
        if not more:
            break
        stuck |= more
    values = {n.con_id: stuck.get(n.con_id, n.weight * invested) - _stood_for(n, replaced, kept) for n in bought}
    uninvested = (1 - sum((name.weight for name in bought), ZERO)) * invested
    scaled_off = sum(((1 - use.scale) * kept[name.con_id] for name in replaced if (use := name.stands_for)), ZERO)
    return Ideal(values=values | kept, cash=reserve + max(ZERO, uninvested - scaled_off))


def _kept(name: Managed, invested: Decimal) -> Decimal:
    """What stays of a replaced target, in worth: what is held, up to its weight."""
    return max(name.fraction * name.prices.value, min(name.held * name.prices.value, name.weight * invested))


def _stood_for(name: Managed, replaced: Sequence[Managed], kept: Mapping[ConId, Decimal]) -> Decimal:
    """How much of this name, in worth, need not be bought for what stays of targets that it replaces."""
    uses = [(kept[other.con_id], other.stands_for) for other in replaced]
    return sum((use.scale * worth for worth, use in uses if use and use.con_id == name.con_id), ZERO)
