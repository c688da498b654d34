"""How many shares of each instrument: as near to the targets as whole shares, cash and costs allow. Pure.

Drift is half the sum of |value - ideal| over all instruments and cash, which equals the sum of the shortfalls
alone. So the instruments are rounded down to whole shares, and the cash that is left chooses, as a knapsack, who
gets more. Costs (commission and half the spread) come off what is invested before the ideals are taken; that is
what makes a second plan, once the first has filled, come out empty.

All money is in the account's base currency. Cash moves at the bid and the ask, worth is told at the middle.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from heapq import nlargest
from math import ceil

from ibkr_rebalancer.core.commissions import commission
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.knapsack import Bundle, Purse, choose_bundles
from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import BASIS_POINT, ZERO

COST_ROUNDS = 6
"""Costs (commissions and half the spread) depend on the orders, and the orders on them; two or three rounds do."""
DEAREST = 3
"""How many dear shares cheaper ones may make room for at once."""
SECOND_THOUGHTS = 3
"""How often a decision is asked again from where it leads, so that a second plan has nothing left to find."""
LEVEL_STEPS = 40
"""Halvings in the search for the level that can be paid: to a millionth of a millionth."""
HALF = Decimal("0.5")
NEGLIGIBLE = BASIS_POINT / 10
"""Of net liquidation: how much nearer a choice of shares must come to be worth searching for."""

Quantities = Mapping[ConId, int]
"""Whole shares by contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """The money side of an account."""

    net_liquidation: Decimal
    cash: Decimal
    """In the base currency; negative is a loan, which is paid back first."""
    spendable: Decimal
    """At most `cash`: what the broker lets us spend before anything is sold."""
    reserve_rate: Decimal
    """Part of net liquidation."""
    purchase_reserve_rate: Decimal
    """The same for a plan with purchases; at least as much."""

    @property
    def reserve(self) -> Decimal:
        """Cash that no purchase may touch."""
        return self.reserve_rate * self.net_liquidation

    @property
    def withheld(self) -> Decimal:
        """Cash beyond the reserve that purchases leave, because limit orders may cost more than is counted."""
        return (self.purchase_reserve_rate - self.reserve_rate) * self.net_liquidation

    @property
    def for_purchases(self) -> Decimal:
        """What may be spent, down to the reserve, before anything is sold; negative is to be brought by sales."""
        return self.spendable - self.withheld


@dataclass(frozen=True, slots=True, kw_only=True)
class Ideal:
    """Where the account should be if shares could be split."""

    values: Mapping[ConId, Decimal]
    """Worth of each instrument."""
    cash: Decimal
    """The reserve of the account once costs are paid, and what the targets leave uninvested."""

    def shares(self, name: Managed) -> Decimal:
        """Whole shares that would meet the ideal exactly, beside the fraction held; never negative."""
        return max(ZERO, self.values[name.con_id] / name.prices.value - name.fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The shares to end with, and how near that is. Drift is in money."""

    shares: Quantities
    ideal: Ideal
    cash_after: Decimal
    reserve_after: Decimal
    """The reserve once costs are paid."""
    drift_before: Decimal
    drift_after: Decimal

    def held(self, names: Sequence[Managed], funds: Funds) -> "Sizing":
        """The same question with the answer to leave everything as it is."""
        return replace(
            self,
            shares=_held(names),
            cash_after=funds.cash,
            reserve_after=funds.reserve,
            drift_after=self.drift_before,
        )


def size_positions(names: Sequence[Managed], *, funds: Funds, nearest: bool) -> Sizing:
    """Decide how many whole shares of each instrument to end with.

    What is to be bought is not sold, unless cash is below the reserve and has to be raised; no sale goes beyond the
    whole shares held; no purchase leaves cash, costs paid, below the reserve for purchases. With `nearest`, a share is
    bought where more than half of it is wanted, and costs do not lower the ideals.

    A name ends more than a share under its ideal only to make room for dear shares of others, where that brings the
    whole nearer; all that is given up so is worth no more than a share of each of the `DEAREST`.
    """
    ideal, shares = _settle_costs(names, funds, nearest=nearest)
    for _ in range(0 if nearest else SECOND_THOUGHTS):
        again = _from_there(names, shares, funds)
        if not _is_nearer(names, again, shares, ideal, funds):
            break
        shares = again
    cash_after = _cash_after(names, shares, funds.cash)
    return Sizing(
        shares=shares,
        ideal=ideal,
        cash_after=cash_after,
        reserve_after=_reserve_after(names, shares, funds),
        drift_before=_drift(names, _held(names), funds.cash, ideal),
        drift_after=_drift(names, shares, cash_after, ideal),
    )


def size_purchases(
    names: Sequence[Managed], *, goals: Quantities, budget: Decimal, net_liquidation: Decimal
) -> Quantities:
    """Decide how many whole shares to end with when there is not money for all of `goals`, which are purchases only.

    All are cut to one common level of their goal, and what is left over buys single shares; nothing goes beyond its
    goal, nothing is sold, and all together cost, commissions paid, at most `budget`, which is not negative.
    """
    return _whole_shares(
        names,
        Ideal(values={n.con_id: (goals[n.con_id] + n.fraction) * n.prices.value for n in names}, cash=ZERO),
        Funds(
            net_liquidation=net_liquidation,
            cash=budget,
            spendable=budget,
            reserve_rate=ZERO,
            purchase_reserve_rate=ZERO,
        ),
        nearest=False,
    )


def outlay(names: Sequence[Managed], shares: Quantities) -> Decimal:
    """The cash that it takes to go to `shares`, commissions paid."""
    return -_cash_after(names, shares, ZERO)


def trade_price(name: Managed, shares: int) -> Decimal:
    """The price at which cash moves when the holding goes to `shares`: the ask for more, the bid for fewer."""
    return name.prices.ask if shares > name.whole else name.prices.bid


def _from_there(names: Sequence[Managed], shares: Quantities, funds: Funds) -> Quantities:
    """What would be decided once `shares` are held: the choice is not exact, and from its end more can be in reach."""
    cash = _cash_after(names, shares, funds.cash)
    moved = [replace(name, held=shares[name.con_id] + name.fraction) for name in names]
    left = replace(
        funds,
        net_liquidation=funds.net_liquidation - _costs(names, shares),
        cash=cash,
        spendable=funds.spendable + cash - funds.cash,
    )
    return _settle_costs(moved, left, nearest=False)[1]


def _is_nearer(names: Sequence[Managed], again: Quantities, shares: Quantities, ideal: Ideal, funds: Funds) -> bool:
    """Whether `again` keeps every rule that `shares` had to keep, and comes nearer."""
    raising = funds.cash < funds.reserve
    allowed = all(again[name.con_id] >= _fewest(name, ideal, raising=raising) for name in names)
    drifts = [_drift(names, these, _cash_after(names, these, funds.cash), ideal) for these in (again, shares)]
    return allowed and _missing(names, again, funds) <= 0 and drifts[0] < drifts[1]


def _settle_costs(names: Sequence[Managed], funds: Funds, *, nearest: bool) -> tuple[Ideal, Quantities]:
    """Repeat the decision with the costs it brings until they have been allowed for."""
    costs = ZERO
    for _ in range(COST_ROUNDS):
        ideal = _ideal(names, funds, ZERO if nearest else costs)
        shares = _whole_shares(names, ideal, funds, nearest=nearest)
        actual = _costs(names, shares)
        if actual <= costs:
            break
        costs = actual
    return ideal, shares


def _ideal(names: Sequence[Managed], funds: Funds, costs: Decimal) -> Ideal:
    """Split what can be invested by the weights.

    A fraction worth more than its own ideal is stuck: the gateway sells whole shares only, so its worth is no money
    to invest, and the others share what is left.
    """
    reserve = max(ZERO, funds.reserve - funds.reserve_rate * costs)
    worth = funds.cash + sum((name.held * name.prices.value for name in names), ZERO) - reserve - costs
    stuck: dict[ConId, Decimal] = {}
    while True:
        weight = 1 - sum((name.weight for name in names if name.con_id in stuck), ZERO)
        invested = max(ZERO, (worth - sum(stuck.values(), ZERO)) / weight) if weight > 0 else ZERO
        free = [name for name in names if name.con_id not in stuck]
        crumbs = {name.con_id: name.fraction * name.prices.value for name in free}
        more = {name.con_id: crumbs[name.con_id] for name in free if crumbs[name.con_id] > name.weight * invested}
        if not more:
            break
        stuck |= more
    values = {name.con_id: stuck.get(name.con_id, name.weight * invested) for name in names}
    uninvested = (1 - sum((name.weight for name in names), ZERO)) * invested
    return Ideal(values=values, cash=reserve + uninvested)


def _whole_shares(names: Sequence[Managed], ideal: Ideal, funds: Funds, *, nearest: bool) -> Quantities:
    """Round down to whole shares, then let the cash that is left choose among the bundles on offer.

    It chooses twice where a dear share lacks cash: with a share of each other instrument to give up, and with as many
    as make room. The nearer result counts, and before that, the one that keeps the reserve.
    """
    level = _affordable_level(names, ideal, funds)
    cash = funds.cash if level is None else funds.for_purchases
    floors = {name.con_id: _floor(name, ideal, level or ZERO) for name in names}
    budget = _cash_after(names, floors, cash) - funds.reserve
    growing = [name for name in names if level is not None or ideal.shares(name) <= name.whole]
    above = [bundle for name in growing for bundle in _above(name, floors[name.con_id], ideal, budget, nearest=nearest)]
    lacking = max(0.0, sum(nlargest(DEAREST, (bundle.cost for bundle in above))) - float(budget))
    wanted_cash = ZERO if nearest else max(ZERO, ideal.cash - funds.reserve - (funds.cash - cash))

    def choice(room: float) -> Quantities:
        raising = funds.cash < funds.reserve
        below = [b for name in names for b in _below(name, floors[name.con_id], ideal, room, raising=raising)]
        chosen = _chosen(names, floors, above, below, funds, budget=budget, cash_goal=wanted_cash)
        left = _cash_after(names, chosen, cash) - funds.reserve - wanted_cash
        return _topped_up(growing, chosen, ideal, left)

    def badness(shares: Quantities) -> tuple[Decimal, Decimal]:
        after = _cash_after(names, shares, funds.cash)
        return max(ZERO, _missing(names, shares, funds)), _drift(names, shares, after, ideal)

    return min((choice(room) for room in sorted({0.0, lacking})), key=badness)


def _chosen(
    names: Sequence[Managed],
    floors: Quantities,
    above: Sequence[Bundle],
    below: Sequence[Bundle],
    funds: Funds,
    *,
    budget: Decimal,
    cash_goal: Decimal,
) -> Quantities:
    """The floors, less what of `below` is given up, with what of `above` is had instead.

    Bundles of one name share its commission, so their costs are near but not exact. The sum is checked in decimals,
    and while it is over, the purse is made smaller and the choice made again.
    """
    sure = dict(floors)
    for bundle in below:
        sure[bundle.con_id] -= bundle.count
    offers = [*above, *below]
    budget += sum((Decimal(bundle.cost) for bundle in below), ZERO)
    tolerance = float(NEGLIGIBLE * funds.net_liquidation)
    withheld = ZERO
    while True:
        shares = dict(sure)
        purse = Purse(budget=float(budget - withheld), cash_goal=float(cash_goal))
        for index in choose_bundles(offers, purse, tolerance=tolerance):
            shares[offers[index].con_id] += offers[index].count
        missing = _missing(names, shares, funds)
        if missing <= 0 or withheld > budget:
            return shares
        withheld = 2 * withheld + missing


def _topped_up(growing: Sequence[Managed], chosen: Quantities, ideal: Ideal, left: Decimal) -> Quantities:
    """Spend what is left on single shares that are fully wanted, the dearest first: bundles are coarser than shares."""
    shares = dict(chosen)
    for name in sorted(growing, key=lambda name: (-name.prices.ask, name.con_id)):
        while shares[name.con_id] + 1 <= ideal.shares(name):
            outlay = _outlay(name, shares[name.con_id] + 1) - _outlay(name, shares[name.con_id])
            if outlay > left:
                break
            shares[name.con_id] += 1
            left -= outlay
    return shares


def _affordable_level(names: Sequence[Managed], ideal: Ideal, funds: Funds) -> Decimal | None:
    """The part of their ideal up to which all purchases can be paid: 1, unless less may be spent than there is.

    Below 1 the most underweight, relatively, is filled first. None when nothing can be bought at all.
    """

    def fits(level: Decimal) -> bool:
        shares = {name.con_id: _floor(name, ideal, level) for name in names}
        return _cash_after(names, shares, funds.for_purchases) >= funds.reserve

    if fits(Decimal(1)):
        return Decimal(1)
    if not fits(ZERO):
        return None
    low, high = ZERO, Decimal(1)
    for _ in range(LEVEL_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _floor(name: Managed, ideal: Ideal, level: Decimal) -> int:
    """The whole shares that are in any case meant to be held; a purchase reaches up to `level` of its ideal."""
    wanted = ideal.shares(name)
    return _down(wanted) if wanted <= name.whole else max(name.whole, _down(wanted * level))


def _above(name: Managed, floor: int, ideal: Ideal, budget: Decimal, *, nearest: bool) -> Iterator[Bundle]:
    """Shares beyond the floor: whole ones that the level cut off, and the one that is wanted in part."""
    wanted = ideal.shares(name)
    price = name.prices.ask if wanted > name.whole else name.prices.bid
    reachable = max(1, _down(budget / price))
    top = min(_down(wanted), floor + reachable)
    yield from _bundles(name, floor, top)
    part = wanted - _down(wanted)
    over_half = part > HALF or (part == HALF and top < name.whole)  # half a share is not worth a sale either
    if over_half or (part and not nearest):
        cost = _outlay(name, top + 1) - _outlay(name, top)
        yield Bundle(con_id=name.con_id, count=1, cost=float(cost), gain=float(part * name.prices.value))


def _below(name: Managed, floor: int, ideal: Ideal, lacking: float, *, raising: bool) -> Iterator[Bundle]:
    """Shares under the floor that may be given up: one, or as many as make room for the dearest that lack cash."""
    depth = max(1, ceil(lacking / float(name.prices.bid)) + 1)
    yield from _bundles(name, max(_fewest(name, ideal, raising=raising), floor - depth), floor)


def _fewest(name: Managed, ideal: Ideal, *, raising: bool) -> int:
    """The least that a holding may come down to.

    What is to be bought is not sold unless cash must be raised, and what is sold by just a share is not sold by more:
    so the choices from where a plan leads are those it had, or fewer.
    """
    wanted = ideal.shares(name)
    if raising or not name.weight:
        return 0
    if wanted >= name.whole:
        return name.whole
    return 0 if _down(wanted) <= name.whole - 2 else _down(wanted)


def _bundles(name: Managed, low: int, high: int) -> Iterator[Bundle]:
    """The shares from `low` to `high`, all fully wanted, as bundles of 1, 2, 4 …: any number can be put together."""
    size = 1
    while low < high:
        taken = min(size, high - low)
        cost, gain = float(_outlay(name, low + taken) - _outlay(name, low)), float(taken * name.prices.value)
        yield Bundle(con_id=name.con_id, count=taken, cost=cost, gain=gain)
        low += taken
        size *= 2


def _outlay(name: Managed, shares: int) -> Decimal:
    """The cash that it takes to hold `shares`; negative when it comes in."""
    price = trade_price(name, shares)
    return (shares - name.whole) * price + commission(abs(shares - name.whole), price)


def _missing(names: Sequence[Managed], shares: Quantities, funds: Funds) -> Decimal:
    """What lacks to the reserve. Only purchases need the broker's leave to spend, and have to leave more."""
    if not any(shares[name.con_id] > name.whole for name in names):
        return _reserve_after(names, shares, funds) - _cash_after(names, shares, funds.cash)
    reserve = funds.purchase_reserve_rate * (funds.net_liquidation - _costs(names, shares))
    return reserve - _cash_after(names, shares, funds.spendable)


def _reserve_after(names: Sequence[Managed], shares: Quantities, funds: Funds) -> Decimal:
    """The reserve of the account that is left when costs are paid: what a second plan would have to keep."""
    return funds.reserve - funds.reserve_rate * _costs(names, shares)


def _held(names: Sequence[Managed]) -> Quantities:
    return {name.con_id: name.whole for name in names}


def _costs(names: Sequence[Managed], shares: Quantities) -> Decimal:
    """What the trades cost beside their prices in the middle: commissions, and half the spread on every share."""
    traded = [(name, abs(shares[name.con_id] - name.whole), trade_price(name, shares[name.con_id])) for name in names]
    return sum((commission(n, price) + n * abs(price - name.prices.value) for name, n, price in traded), ZERO)


def _cash_after(names: Sequence[Managed], shares: Quantities, cash: Decimal) -> Decimal:
    """Cash once the holdings are `shares`, commissions paid."""
    return cash - sum((_outlay(name, shares[name.con_id]) for name in names), ZERO)


def _drift(names: Sequence[Managed], shares: Quantities, cash: Decimal, ideal: Ideal) -> Decimal:
    """Half the distance from the ideal, in money."""
    distances = (abs((shares[n.con_id] + n.fraction) * n.prices.value - ideal.values[n.con_id]) for n in names)
    return (sum(distances, ZERO) + abs(cash - ideal.cash)) / 2


def _down(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_FLOOR))
