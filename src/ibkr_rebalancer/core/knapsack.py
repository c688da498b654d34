"""Which shares to keep or buy with the cash there is: a 0/1 knapsack, solved to within a basis point. Pure.

Whole shares leave each instrument a little under its target. Every further share costs cash and removes some of that
shortfall; the best choice is a knapsack. The solver is greedy choice, made exact where it matters: what is far from
the break density is settled by the linear bound, and the few dozen bundles around it by dynamic programming over the
pairs (cost, gain) that no other pair dominates.

Floats are fine here: they only rank. Whoever spends the money checks the sum in decimals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest

from ibkr_rebalancer.core.instruments import ConId

FORCED = 16
"""How many bundles the greedy choice is tried with, and how many it is tried without."""
OPEN = 60
"""How many bundles nearest to the break density are left to the dynamic programme."""
WIDEST = 500
"""How many (cost, gain) pairs it keeps at each step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Shares of one instrument that may be had or left, all together."""

    con_id: ConId
    count: int
    cost: float
    """Cash they take; positive."""
    gain: float
    """Shortfall they remove, at most about their cost."""

    @property
    def density(self) -> float:
        """Shortfall removed by a unit of cash."""
        return self.gain / self.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """The cash to choose with."""

    budget: float
    """Cash that may be spent."""
    cash_goal: float
    """How much of it is wanted as cash: up to here a unit left over is worth a unit of gain."""

    def worth(self, spent: float) -> float:
        """What the cash left after spending is worth as cash."""
        return min(self.budget - spent, self.cash_goal)


@dataclass(frozen=True, slots=True)
class _Choice:
    """A set of bundles, told as its last one and the choice before it."""

    spent: float = 0.0
    gain: float = 0.0
    last: int = -1
    before: "_Choice | None" = None

    def with_bundle(self, index: int, bundle: Bundle) -> "_Choice":
        return _Choice(self.spent + bundle.cost, self.gain + bundle.gain, index, self)

    def members(self) -> frozenset[int]:
        chosen, choice = set(), self
        while choice.before is not None:
            chosen.add(choice.last)
            choice = choice.before
        return frozenset(chosen)


NOTHING = _Choice()


def choose_bundles(bundles: Sequence[Bundle], purse: Purse, *, tolerance: float) -> frozenset[int]:
    """The indices of the bundles to have: most gain plus cash wanted, within the budget.

    The result does not depend on the order of `bundles`, but for exact twins. `tolerance`, in money, is how
    much better a choice must be to be worth looking for.
    """
    ranked = sorted(
        (i for i, bundle in enumerate(bundles) if bundle.cost <= purse.budget),
        key=lambda i: (-bundles[i].density, bundles[i].cost, bundles[i].con_id),
    )
    best = _best_greedy(bundles, ranked, purse)
    break_density = _break_density(bundles, ranked, purse)
    goal = _value(best, purse) + tolerance
    settled, open_bundles = _settle(bundles, ranked, purse, break_density, goal)
    refined = _refine(bundles, open_bundles, settled, purse, break_density, goal)
    had = refined.members()
    filled = _greedy(bundles, [i for i in ranked if i not in had], purse, start=refined)
    return max(best, filled, key=lambda choice: _value(choice, purse)).members()


def _value(choice: _Choice, purse: Purse) -> float:
    return choice.gain + purse.worth(choice.spent)


def _best_greedy(bundles: Sequence[Bundle], ranked: Sequence[int], purse: Purse) -> _Choice:
    """Falling density, skipping what does not fit; again with one that was left forced in, or one that was had out.

    Tried are those that left most gain lying, and those that took most cash beyond their gain.
    """
    plain = _greedy(bundles, ranked, purse)
    had = plain.members()
    missed = nlargest(FORCED, (i for i in ranked if i not in had), key=lambda i: bundles[i].gain)
    wasteful = nlargest(FORCED, (i for i in ranked if i in had), key=lambda i: bundles[i].cost - bundles[i].gain)
    forced_in = [_greedy(bundles, [one, *(i for i in ranked if i != one)], purse) for one in missed]
    forced_out = [_greedy(bundles, [i for i in ranked if i != one], purse) for one in wasteful]
    return max([plain, *forced_in, *forced_out], key=lambda choice: _value(choice, purse))


def _greedy(bundles: Sequence[Bundle], order: Sequence[int], purse: Purse, *, start: _Choice = NOTHING) -> _Choice:
    choice = start
    for i in order:
        spent = choice.spent + bundles[i].cost
        worth_it = bundles[i].gain + purse.worth(spent) > purse.worth(choice.spent)
        if spent <= purse.budget and worth_it:
            choice = choice.with_bundle(i, bundles[i])
    return choice


def _break_density(bundles: Sequence[Bundle], ranked: Sequence[int], purse: Purse) -> float:
    """The density at which the cash runs out if bundles could be split; cash that is wanted counts as density 1."""
    left = purse.budget - purse.cash_goal
    for i in ranked:
        left -= bundles[i].cost
        if left < 0:
            return min(bundles[i].density, 1.0)
    return 0.0


def _settle(
    bundles: Sequence[Bundle], ranked: Sequence[int], purse: Purse, break_density: float, goal: float
) -> tuple[_Choice, list[int]]:
    """Split the bundles into those that any choice reaching `goal` must have or leave, and those still open.

    Such a choice cannot part from the split optimum in a bundle whose reduced gain is more than the slack
    between that optimum and the goal. Of very many open ones only the nearest to the break density stay open.
    """
    reduced = {i: bundles[i].gain - break_density * bundles[i].cost for i in ranked}
    hope = sum(gain for gain in reduced.values() if gain > 0)
    slack = _bound(NOTHING, purse, break_density, hope) - goal
    doubtful = [i for i in ranked if abs(reduced[i]) <= slack]
    still_open = nsmallest(OPEN, doubtful, key=lambda i: (abs(reduced[i]), bundles[i].con_id, bundles[i].count))
    settled = NOTHING
    for i in set(ranked) - set(still_open):
        if reduced[i] > 0:
            settled = settled.with_bundle(i, bundles[i])
    return settled, still_open


def _refine(
    bundles: Sequence[Bundle],
    open_bundles: Sequence[int],
    settled: _Choice,
    purse: Purse,
    break_density: float,
    goal: float,
) -> _Choice:
    """Dynamic programming over the open bundles, the most certain first."""
    reduced = {i: bundles[i].gain - break_density * bundles[i].cost for i in open_bundles}
    order = sorted(open_bundles, key=lambda i: (-abs(reduced[i]), bundles[i].con_id))
    hope = sum(max(gain, 0.0) for gain in reduced.values())
    frontier = [settled] if settled.spent <= purse.budget else []
    for i in order:
        hope -= max(reduced[i], 0.0)
        grown = [c.with_bundle(i, bundles[i]) for c in frontier if c.spent + bundles[i].cost <= purse.budget]
        choices = [c for c in _undominated([*frontier, *grown]) if _bound(c, purse, break_density, hope) > goal]
        frontier = _thinned(choices, purse, break_density)
    return max(frontier, key=lambda choice: _value(choice, purse), default=NOTHING)


def _thinned(choices: list[_Choice], purse: Purse, break_density: float) -> list[_Choice]:
    """Of very many choices the best for each range of cash spent, so that every way to fill the purse stays open."""
    if len(choices) <= WIDEST:
        return choices
    rising = sorted(choices, key=lambda choice: choice.gain - break_density * choice.spent)
    return list({int(choice.spent / purse.budget * WIDEST): choice for choice in rising}.values())


def _bound(choice: _Choice, purse: Purse, break_density: float, hope: float) -> float:
    """At most this can `choice` come to, when the bundles still to be decided have `hope` of reduced gain."""
    left = break_density * (purse.budget - choice.spent) + (1 - break_density) * purse.cash_goal
    return choice.gain + left + hope


def _undominated(choices: list[_Choice]) -> list[_Choice]:
    """The choices that no other one beats in both cost and gain, cheapest first."""
    kept: list[_Choice] = []
    for choice in sorted(choices, key=lambda c: (c.spent, -c.gain)):
        if not kept or choice.gain > kept[-1].gain:
            kept.append(choice)
    return kept
