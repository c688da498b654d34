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
"""Costs depend on the orders and the orders on the costs; they settle in two or three rounds."""
DEAREST = 3
"""How many dear shares cheaper ones may make room for at once."""
LEVEL_STEPS = 40
"""Halvings in the search for the level that can be paid: to a millionth of a millionth."""
HALF = Decimal("0.5")
NEGLIGIBLE = BASIS_POINT / 10
"""Of net liquidation: how much nearer a choice of shares must come to be worth searching for."""

Quantities = Mapping[ConId, int]
"""Whole shares by contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the trades of a plan cost beside their prices in the middle."""

    commission: Decimal = ZERO
    spread: Decimal = ZERO
    """Half the spread on every share traded."""

    @property
    def total(self) -> Decimal:
        """Both."""
        return self.commission + self.spread


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

    @property
    def reserve(self) -> Decimal:
        """Cash that no purchase may touch."""
        return self.reserve_rate * self.net_liquidation


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
    drift_before: Decimal
    drift_after: Decimal

    def held(self, names: Sequence[Managed], funds: Funds) -> "Sizing":
        """The same question with the answer to leave everything as it is."""
        return replace(self, shares=_held(names), cash_after=funds.cash, drift_after=self.drift_before)


def size_positions(names: Sequence[Managed], *, funds: Funds, nearest: bool) -> Sizing:
    """Decide how many whole shares of each instrument to end with.

    What is to be bought is not sold, unless cash is below the reserve and has to be raised; no sale goes beyond the
    whole shares held; no purchase leaves cash, costs paid, below the reserve. With `nearest`, a share is bought where
    more than half of it is wanted, and costs do not lower the ideals.
    """
    ideal, shares = _settle_costs(names, funds, nearest=nearest)
    shares = _affordable(names, shares, ideal, funds)
    cash_after = _cash_after(names, shares, funds.cash)
    return Sizing(
        shares=shares,
        ideal=ideal,
        cash_after=cash_after,
        drift_before=_drift(names, _held(names), funds.cash, ideal),
        drift_after=_drift(names, shares, cash_after, ideal),
    )


def trade_price(name: Managed, shares: int) -> Decimal:
    """The price at which cash moves when the holding goes to `shares`: the ask for more, the bid for fewer."""
    return name.prices.ask if shares > name.whole else name.prices.bid


def _settle_costs(names: Sequence[Managed], funds: Funds, *, nearest: bool) -> tuple[Ideal, dict[ConId, int]]:
    """Repeat the decision with the costs it brings until they have been allowed for."""
    costs = Costs()
    for _ in range(COST_ROUNDS):
        ideal = _ideal(names, funds, Costs() if nearest else costs)
        shares = _whole_shares(names, ideal, funds, costs.commission, nearest=nearest)
        actual = _costs(names, shares)
        if actual.commission <= costs.commission and actual.spread <= costs.spread:
            break
        costs = Costs(commission=max(costs.commission, actual.commission), spread=max(costs.spread, actual.spread))
    return ideal, shares


def _ideal(names: Sequence[Managed], funds: Funds, costs: Costs) -> Ideal:
    """Split what can be invested by the weights.

    A fraction worth more than its own ideal is stuck: the gateway sells whole shares only, so its worth is no money
    to invest, and the others share what is left.
    """
    reserve = max(ZERO, funds.reserve - funds.reserve_rate * costs.total)
    worth = funds.cash + sum((name.held * name.prices.value for name in names), ZERO) - reserve - costs.total
    stuck: dict[ConId, Decimal] = {}
    weight = Decimal(1)
    while True:
        invested = max(ZERO, (worth - sum(stuck.values(), ZERO)) / weight) if weight > 0 else ZERO
        more = {
            name.con_id: name.fraction * name.prices.value
            for name in names
            if name.con_id not in stuck and name.fraction * name.prices.value > name.weight * invested
        }
        if not more:
            break
        stuck |= more
        weight = 1 - sum((name.weight for name in names if name.con_id in stuck), ZERO)
    values = {name.con_id: stuck.get(name.con_id, name.weight * invested) for name in names}
    uninvested = (1 - sum((name.weight for name in names), ZERO)) * invested
    return Ideal(values=values, cash=reserve + uninvested)


def _whole_shares(
    names: Sequence[Managed], ideal: Ideal, funds: Funds, commissions: Decimal, *, nearest: bool
) -> dict[ConId, int]:
    """Round down to whole shares, then let the cash that is left choose among the bundles on offer."""
    level = _affordable_level(names, ideal, funds, commissions)
    shares = {name.con_id: _floor(name, ideal, level) for name in names}
    budget = _cash_after(names, shares, funds.spendable) - funds.reserve
    offers = [bundle for name in names for bundle in _above(name, shares[name.con_id], ideal, budget, nearest=nearest)]
    lacking = sum(nlargest(DEAREST, (bundle.cost for bundle in offers))) - float(budget)
    raising = funds.cash < funds.reserve
    for name in names:
        for bundle in _below(name, shares[name.con_id], ideal, lacking, raising=raising):
            offers.append(bundle)
            shares[name.con_id] -= bundle.count
            budget += Decimal(bundle.cost)
    wanted_cash = ideal.cash - funds.reserve - (funds.cash - funds.spendable)
    purse = Purse(budget=float(budget), cash_goal=0.0 if nearest else max(0.0, float(wanted_cash)))
    for index in choose_bundles(offers, purse, tolerance=float(NEGLIGIBLE * funds.net_liquidation)):
        shares[offers[index].con_id] += offers[index].count
    return shares


def _floor(name: Managed, ideal: Ideal, level: Decimal) -> int:
    """The whole shares that are in any case meant to be held; a purchase reaches up to `level` of its ideal."""
    wanted = ideal.shares(name)
    return _down(wanted) if wanted <= name.whole else max(name.whole, _down(wanted * level))


def _above(name: Managed, floor: int, ideal: Ideal, budget: Decimal, *, nearest: bool) -> Iterator[Bundle]:
    """Shares beyond the floor: whole ones that the level cut off, and the one that is wanted in part."""
    wanted = ideal.shares(name)
    price = name.prices.ask if wanted > name.whole else name.prices.bid
    reachable = max(0, _down(budget / price))
    top = min(_down(wanted), floor + reachable)
    yield from _bundles(name, floor, top)
    part = wanted - _down(wanted)
    if part > (HALF if nearest else ZERO):
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


def _affordable_level(names: Sequence[Managed], ideal: Ideal, funds: Funds, commissions: Decimal) -> Decimal:
    """The part of their ideal up to which all purchases can be paid: 1, unless the broker lets us spend less.

    Below 1 the most underweight, relatively, is filled first.
    """

    def fits(level: Decimal) -> bool:
        shares = {name.con_id: _floor(name, ideal, level) for name in names}
        return _cash_after(names, shares, funds.spendable, commissions=commissions) >= funds.reserve

    if fits(Decimal(1)):
        return Decimal(1)
    low, high = ZERO, Decimal(1)
    for _ in range(LEVEL_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _affordable(names: Sequence[Managed], shares: Quantities, ideal: Ideal, funds: Funds) -> dict[ConId, int]:
    """Check the sum in decimals with the commissions of just these trades; give up shares if it is over.

    What goes is the share that costs least nearness among those that cover what is missing, else the dearest.
    """
    kept = dict(shares)
    raising = funds.cash < funds.reserve
    while (missing := funds.reserve - _cash_after(names, kept, funds.spendable)) > 0:
        spare = [name for name in names if kept[name.con_id] > _fewest(name, ideal, raising=raising)]
        if not spare:
            break
        covering = [name for name in spare if _freed(name, kept[name.con_id]) >= missing]
        given = (
            min(covering, key=lambda name: (_last_share_worth(name, kept[name.con_id], ideal), name.con_id))
            if covering
            else max(spare, key=lambda name: (_freed(name, kept[name.con_id]), name.con_id))
        )
        kept[given.con_id] -= 1
    return kept


def _freed(name: Managed, count: int) -> Decimal:
    """The cash that holding one share less than `count` brings."""
    return _outlay(name, count) - _outlay(name, count - 1)


def _last_share_worth(name: Managed, count: int, ideal: Ideal) -> Decimal:
    """The shortfall that the last of `count` shares removes."""
    return min(Decimal(1), ideal.shares(name) - (count - 1)) * name.prices.value


def _held(names: Sequence[Managed]) -> Quantities:
    return {name.con_id: name.whole for name in names}


def _costs(names: Sequence[Managed], shares: Quantities) -> Costs:
    spread = sum(
        (abs(shares[name.con_id] - name.whole) * (name.prices.ask - name.prices.bid) / 2 for name in names), ZERO
    )
    return Costs(commission=_commissions(names, shares), spread=spread)


def _commissions(names: Sequence[Managed], shares: Quantities) -> Decimal:
    return sum((commission(abs(shares[n.con_id] - n.whole), trade_price(n, shares[n.con_id])) for n in names), ZERO)


def _cash_after(
    names: Sequence[Managed], shares: Quantities, cash: Decimal, *, commissions: Decimal | None = None
) -> Decimal:
    """Cash once the holdings are `shares`; the commissions are those of just these trades unless given."""
    paid = _commissions(names, shares) if commissions is None else commissions
    traded = ((shares[n.con_id] - n.whole) * trade_price(n, shares[n.con_id]) for n in names)
    return cash - paid - sum(traded, ZERO)


def _drift(names: Sequence[Managed], shares: Quantities, cash: Decimal, ideal: Ideal) -> Decimal:
    """Half the distance from the ideal, in money."""
    distances = (abs((shares[n.con_id] + n.fraction) * n.prices.value - ideal.values[n.con_id]) for n in names)
    return (sum(distances, ZERO) + abs(cash - ideal.cash)) / 2


def _down(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_FLOOR))
