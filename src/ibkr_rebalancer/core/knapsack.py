"""Which shares to keep or buy with the cash there is: a 0/1 knapsack, solved to within a basis point. Pure.

Whole shares leave each name a little under its target. Every further share costs cash and removes some of that
shortfall; the best choice of shares is a knapsack. The solver is greedy choice, made exact where it matters:
shares whose density is far from the break density are settled by the linear bound, and the few dozen around it
by dynamic programming over the pairs (cost, gain) that no other pair dominates.

Floats are fine here: they only rank. Whoever spends the money checks the sum in decimals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

FORCED = 16
"""How many of the weightiest shares the greedy choice is tried with and without."""
WIDEST = 500
"""How many (cost, gain) pairs are kept at each step of the dynamic programme."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One share that may be had or left."""

    name: str
    cost: float
    """Cash it takes; positive."""
    gain: float
    """Shortfall it removes, at most about its cost."""

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
    """A set of shares, told as its last share and the choice before it."""

    spent: float = 0.0
    gain: float = 0.0
    share: int | None = None
    before: "_Choice | None" = None

    def with_share(self, index: int, share: Share) -> "_Choice":
        return _Choice(self.spent + share.cost, self.gain + share.gain, index, self)

    def members(self) -> frozenset[int]:
        chosen, choice = set(), self
        while choice.before is not None:
            if choice.share is not None:
                chosen.add(choice.share)
            choice = choice.before
        return frozenset(chosen)


def choose_shares(shares: Sequence[Share], purse: Purse, *, tolerance: float) -> frozenset[int]:
    """The indices of the shares to have: most gain plus cash wanted, within the budget.

    The result does not depend on the order of `shares`, but for exact twins. `tolerance`, in money, is how
    much better a choice must be to be worth looking for.
    """
    ranked = sorted(
        (i for i, share in enumerate(shares) if share.cost <= purse.budget),
        key=lambda i: (-shares[i].density, shares[i].cost, shares[i].name),
    )
    best = _best_greedy(shares, ranked, purse)
    break_density = _break_density(shares, ranked, purse)
    goal = _value(best, purse) + tolerance
    settled, open_shares = _settle(shares, ranked, purse, break_density, goal)
    refined = _refine(shares, open_shares, settled, purse, break_density, goal)
    return max(best, refined, key=lambda choice: _value(choice, purse)).members()


def _value(choice: _Choice, purse: Purse) -> float:
    return choice.gain + purse.worth(choice.spent)


def _best_greedy(shares: Sequence[Share], ranked: Sequence[int], purse: Purse) -> _Choice:
    """Falling density, skipping what does not fit; again with each weighty share forced in, and left out."""
    weighty = nlargest(FORCED, ranked, key=lambda i: shares[i].gain)
    attempts = [_greedy(shares, ranked, purse)]
    for forced in weighty:
        others = [i for i in ranked if i != forced]
        attempts.append(_greedy(shares, others, purse))
        attempts.append(_greedy(shares, [forced, *others], purse))
    return max(attempts, key=lambda choice: _value(choice, purse))


def _greedy(shares: Sequence[Share], order: Sequence[int], purse: Purse) -> _Choice:
    choice = _Choice()
    for i in order:
        spent = choice.spent + shares[i].cost
        worth_it = shares[i].gain + purse.worth(spent) > purse.worth(choice.spent)
        if spent <= purse.budget and worth_it:
            choice = choice.with_share(i, shares[i])
    return choice


def _break_density(shares: Sequence[Share], ranked: Sequence[int], purse: Purse) -> float:
    """The density at which the cash runs out if shares could be split; cash that is wanted counts as density 1."""
    left = purse.budget - purse.cash_goal
    for i in ranked:
        left -= shares[i].cost
        if left < 0:
            return min(shares[i].density, 1.0)
    return 0.0


def _settle(
    shares: Sequence[Share], ranked: Sequence[int], purse: Purse, break_density: float, goal: float
) -> tuple[_Choice, list[int]]:
    """Split the shares into those that any choice reaching `goal` must have or leave, and those still open.

    Such a choice cannot part from the split optimum in a share whose reduced gain is more than the slack
    between that optimum and the goal.
    """
    reduced = {i: shares[i].gain - break_density * shares[i].cost for i in ranked}
    hope = sum(gain for gain in reduced.values() if gain > 0)
    slack = _bound(_Choice(), purse, break_density, hope) - goal
    settled, still_open = _Choice(), []
    for i in ranked:
        if abs(reduced[i]) <= slack:
            still_open.append(i)
        elif reduced[i] > 0:
            settled = settled.with_share(i, shares[i])
    return settled, still_open


def _refine(
    shares: Sequence[Share],
    open_shares: Sequence[int],
    settled: _Choice,
    purse: Purse,
    break_density: float,
    goal: float,
) -> _Choice:
    """Dynamic programming over the open shares, the most certain first; beyond `WIDEST` the best bounds stay."""
    reduced = {i: shares[i].gain - break_density * shares[i].cost for i in open_shares}
    order = sorted(open_shares, key=lambda i: (-abs(reduced[i]), shares[i].name))
    hope = sum(max(gain, 0.0) for gain in reduced.values())
    frontier = [settled] if settled.spent <= purse.budget else []
    for i in order:
        hope -= max(reduced[i], 0.0)
        grown = [c.with_share(i, shares[i]) for c in frontier if c.spent + shares[i].cost <= purse.budget]
        bounds = [(_bound(c, purse, break_density, hope), c) for c in _undominated([*frontier, *grown])]
        hopeful = nlargest(WIDEST, (pair for pair in bounds if pair[0] > goal), key=lambda pair: pair[0])
        frontier = [choice for _, choice in hopeful]
    return max(frontier, key=lambda choice: _value(choice, purse), default=_Choice())


def _bound(choice: _Choice, purse: Purse, break_density: float, hope: float) -> float:
    """At most this can `choice` come to, when the shares still to be decided have `hope` of reduced gain."""
    left = break_density * (purse.budget - choice.spent) + (1 - break_density) * purse.cash_goal
    return choice.gain + left + hope


def _undominated(choices: list[_Choice]) -> list[_Choice]:
    """The choices that no other one beats in both cost and gain, cheapest first."""
    kept: list[_Choice] = []
    for choice in sorted(choices, key=lambda c: (c.spent, -c.gain)):
        if not kept or choice.gain > kept[-1].gain:
            kept.append(choice)
    return kept
