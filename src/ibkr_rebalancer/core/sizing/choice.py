"""The choice of whole shares: round down, and let a knapsack say who gets one more with the cash that is left. Pure."""

from collections.abc import Iterator, Sequence
from decimal import ROUND_FLOOR, Decimal
from heapq import nlargest
from math import ceil

from ibkr_rebalancer.core.knapsack import Bundle, Purse, choose_bundles
from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import BASIS_POINT, ZERO
from ibkr_rebalancer.core.sizing.accounting import (
    Funds,
    Ideal,
    Quantities,
    cash_left,
    drift_of,
    outlay_of,
    shortfall,
)

DEAREST = 3
"""How many dear shares cheaper ones may make room for at once."""
LEVEL_STEPS = 40
"""Halvings in the search for the level that can be paid: to a millionth of a millionth."""
HALF = Decimal("0.5")
NEXT_TO_NOTHING = 1e-6
"""In the account's currency: the least that a share costs, as the choice goes by what cash brings."""
NEGLIGIBLE = BASIS_POINT / 10
"""Of net liquidation: how much nearer a choice of shares must come to be worth searching for."""


def choose_shares(names: Sequence[Managed], ideal: Ideal, funds: Funds, *, nearest: bool) -> Quantities:
    """Round down to whole shares, then let the cash that is left choose among the bundles on offer.

    It chooses twice where a dear share lacks cash: with a share of each other instrument to give up, and with as many
    as make room. The nearer result counts, and before that, the one that keeps the reserve.
    """
    level = _affordable_level(names, ideal, funds)
    cash = funds.cash if level is None else funds.for_purchases
    floors = {name.con_id: _floor(name, ideal, level or ZERO) for name in names}
    budget = cash_left(names, floors, cash) - funds.reserve
    growing = [name for name in names if _may_grow(name, ideal, level)]
    above = [bundle for name in growing for bundle in _above(name, floors[name.con_id], ideal, budget, nearest=nearest)]
    lacking = max(0.0, sum(nlargest(DEAREST, (bundle.cost for bundle in above))) - float(budget))
    wanted_cash = ZERO if nearest else max(ZERO, ideal.cash - funds.reserve - (funds.cash - cash))

    def choice(room: float) -> Quantities:
        raising = funds.raises_cash
        below = [b for name in names for b in _below(name, floors[name.con_id], ideal, room, raising=raising)]
        chosen = _chosen(names, floors, above, below, funds, budget=budget, cash_goal=wanted_cash)
        left = cash_left(names, chosen, cash) - funds.reserve - wanted_cash
        return _topped_up(growing, chosen, ideal, left)

    def badness(shares: Quantities) -> tuple[Decimal, Decimal]:
        after = cash_left(names, shares, funds.cash)
        return max(ZERO, shortfall(names, shares, funds)), drift_of(names, shares, after, ideal)

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
        missing = shortfall(names, shares, funds)
        if missing <= 0 or withheld > budget:
            return shares
        withheld = 2 * withheld + missing


def _topped_up(growing: Sequence[Managed], chosen: Quantities, ideal: Ideal, left: Decimal) -> Quantities:
    """Spend what is left on single shares that are fully wanted, the dearest first: bundles are coarser than shares."""
    shares = dict(chosen)
    for name in sorted(growing, key=lambda name: (-name.prices.ask, name.con_id)):
        while shares[name.con_id] + 1 <= ideal.shares(name):
            outlay = outlay_of(name, shares[name.con_id] + 1) - outlay_of(name, shares[name.con_id])
            if outlay > left:
                break
            shares[name.con_id] += 1
            left -= outlay
    return shares


def sold_down(names: Sequence[Managed], ideal: Ideal) -> Quantities:
    """What is held once all is sold that is beyond its ideal, to the whole share, and nothing is bought."""
    return {name.con_id: _floor(name, ideal, ZERO) for name in names}


def _affordable_level(names: Sequence[Managed], ideal: Ideal, funds: Funds) -> Decimal | None:
    """The part of their ideal up to which all purchases can be paid: 1, unless less may be spent than there is.

    Below 1 the most underweight, relatively, is filled first. None when nothing can be bought at all.
    """

    def fits(level: Decimal) -> bool:
        shares = {name.con_id: _floor(name, ideal, level) for name in names}
        return cash_left(names, shares, funds.for_purchases) >= funds.reserve

    if fits(Decimal(1)):
        return Decimal(1)
    if not fits(ZERO):
        return None
    low, high = ZERO, Decimal(1)
    for _ in range(LEVEL_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _may_grow(name: Managed, ideal: Ideal, level: Decimal | None) -> bool:
    """Whether it may end with more than its floor: as a purchase, or as a sale that is less."""
    if name.stands_for is not None:
        return False
    if ideal.shares(name) <= name.whole:
        return name.may_be_sold
    return level is not None


def _floor(name: Managed, ideal: Ideal, level: Decimal) -> int:
    """The whole shares that are in any case meant to be held; a purchase reaches up to `level` of its ideal."""
    wanted = ideal.shares(name)
    if name.stands_for is not None or (wanted <= name.whole and not name.may_be_sold):
        return fewest_of(name, ideal, raising=False)
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
        yield Bundle(con_id=name.con_id, count=1, cost=_cost(name, top, top + 1), gain=float(part * name.prices.value))


def _below(name: Managed, floor: int, ideal: Ideal, lacking: float, *, raising: bool) -> Iterator[Bundle]:
    """Shares under the floor that may be given up: one, or as many as make room for the dearest that lack cash.

    Where cash has to be raised, this name alone must be able to bring it, its commission paid.
    """
    depth = max(1, ceil(lacking / float(name.prices.bid)) + 1)
    if raising:
        kept = outlay_of(name, floor) - outlay_of(name, max(0, floor - depth))
        depth += max(0, ceil((lacking - float(kept)) / float(name.prices.bid)))
    yield from _bundles(name, max(fewest_of(name, ideal, raising=raising), floor - depth), floor)


def fewest_of(name: Managed, ideal: Ideal, *, raising: bool) -> int:
    """The least that a holding may come down to.

    What is to be bought is not sold unless cash must be raised, and what is sold by just a share is not sold by more:
    so the choices from where a plan leads are those it had, or fewer. Of what stands for its substitute no share goes
    that is wanted even in part: the next plan would buy the substitute for it.
    """
    wanted = ideal.shares(name)
    if not name.may_be_sold:
        return name.whole
    if raising or not name.weight:
        return 0
    if name.stands_for is not None:
        return min(name.whole, ceil(wanted))
    if wanted >= name.whole:
        return name.whole
    return 0 if _down(wanted) <= name.whole - 2 else _down(wanted)


def _bundles(name: Managed, low: int, high: int) -> Iterator[Bundle]:
    """The shares from `low` to `high`, all fully wanted, as bundles of 1, 2, 4 …: any number can be put together."""
    size = 1
    while low < high:
        taken = min(size, high - low)
        cost, gain = _cost(name, low, low + taken), float(taken * name.prices.value)
        yield Bundle(con_id=name.con_id, count=taken, cost=cost, gain=gain)
        low += taken
        size *= 2


def _cost(name: Managed, low: int, high: int) -> float:
    """What it takes to hold `high` shares instead of `low`: hardly anything where they would bring no more than the
    least commission of a sale."""
    return max(NEXT_TO_NOTHING, float(outlay_of(name, high) - outlay_of(name, low)))


def _down(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_FLOOR))
