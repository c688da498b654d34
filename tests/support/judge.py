"""A judge of plans that shares no code with the planner: the rules, and how near the best possible plan comes.

Drift is the shortfall from the ideal over all instruments and cash: half of all distances, as nothing goes missing
when no costs are paid. The optimum is exact (HiGHS), pays the spread, and ignores commissions: a lower bound.

    python -m tests.support.judge [accounts] [ruled]     prints the measured table
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from functools import cached_property
from heapq import nlargest
from itertools import product
from statistics import mean, median, quantiles

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from tests.support.accounts import KINDS, Case, random_account
from tests.support.notation import fill

from ibkr_rebalancer.core.instruments import STOCK, ConId
from ibkr_rebalancer.core.plan import Plan, Side, Trade
from ibkr_rebalancer.core.planner import plan_rebalance
from ibkr_rebalancer.core.policy import OrderType, Policy, Unlisted
from ibkr_rebalancer.core.portfolio import Portfolio

ZERO = Decimal(0)
DEFAULT_GATE_BP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """One instrument that may be traded; its prices are in the account's currency, whatever its own is."""

    con_id: ConId
    weight: Decimal
    held: Decimal
    bid: Decimal
    ask: Decimal
    use: ConId | None = None
    """What is bought in its place: it is never bought itself, and of its weight only what is held stays."""
    scale: Decimal = Decimal(1)
    sellable: bool = True
    currency: str = "USD"
    rate: Decimal = Decimal(1)

    @property
    def whole(self) -> int:
        return int(self.held)

    @property
    def middle(self) -> Decimal:
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """The money of one currency, in the account's; no other money buys what trades in it."""

    cash: Decimal
    spendable: Decimal
    """By purchases, down to the reserve."""
    reserve: Decimal
    raised: Decimal
    """What of the reserve a person has asked for."""

    @property
    def must_be_filled(self) -> bool:
        """Whatever there is in other currencies."""
        return self.cash < 0 or self.raised > 0


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An account as the mission states the task: what may be traded, what should be held, what must stay."""

    names: Sequence[Name]
    net_liquidation: Decimal
    available: Decimal
    """What the broker lets be spent, in all."""
    purses: Mapping[str, Purse]
    """By currency."""

    @cached_property
    def cash(self) -> Decimal:
        return sum((purse.cash for purse in self.purses.values()), ZERO)

    @cached_property
    def reserve(self) -> Decimal:
        return sum((purse.reserve for purse in self.purses.values()), ZERO)

    @cached_property
    def spendable(self) -> Decimal:
        return sum((purse.spendable for purse in self.purses.values()), ZERO)

    def fills(self, currency: str) -> bool:
        """Whether sales in this currency have to bring it to its reserve: it is the only one, or owes, or is asked to.
        Of others only all together have to have theirs."""
        return len(self.purses) == 1 or self.purses[currency].must_be_filled

    def raises(self, currency: str) -> bool:
        """Whether what is wanted may be sold for cash."""
        purse = self.purses[currency]
        return purse.cash < purse.reserve and (self.fills(currency) or self.cash < self.reserve)

    @cached_property
    def is_short_of_cash(self) -> bool:
        """Whether less is there than has to stay: then sales raise it."""
        return any(self.raises(currency) for currency in self.purses)

    @cached_property
    def ideals(self) -> Mapping[ConId, Decimal]:
        """What each name should be worth: no costs taken off, fractions beyond their ideal left where they are."""
        stuck: dict[ConId, Decimal] = {}
        while True:
            invested = self._to_invest(stuck)
            staying = {n.con_id: self._staying(n, invested) for n in self.names if n.use is not None}
            wanted = {n.con_id: stuck.get(n.con_id, n.weight * invested) for n in self.names if n.use is None}
            for name in self.names:
                if name.use is not None:
                    wanted[name.use] -= name.scale * staying[name.con_id]
            crumbs = {n.con_id: n.middle * (n.held - n.whole) for n in self.names}
            more = {c: crumbs[c] for c, worth in wanted.items() if c not in stuck and crumbs[c] > worth}
            if not more:
                return wanted | staying
            for con_id in more:
                counted = [n.scale * staying[n.con_id] for n in self.names if n.use == con_id]
                stuck[con_id] = crumbs[con_id] + sum(counted, ZERO)

    def _staying(self, name: Name, invested: Decimal) -> Decimal:
        """Of a replaced target: no more than its weight, but for a fraction that nobody buys."""
        return max(name.middle * (name.held - name.whole), min(name.weight * invested, name.middle * name.held))

    def _to_invest(self, stuck: Mapping[ConId, Decimal]) -> Decimal:
        worth = sum((n.middle * n.held for n in self.names), self.cash) - self.reserve - sum(stuck.values(), ZERO)
        weight = 1 - sum((n.weight for n in self.names if n.con_id in stuck), ZERO)
        return max(ZERO, worth / weight) if weight > 0 else ZERO

    def most_sold(self, name: Name) -> int:
        """By the owner's rules. Below the reserve everything may have to go."""
        if not name.sellable:
            return 0
        if name.use is None or self.raises(name.currency):
            return name.whole
        return max(0, int(name.held - self.ideals[name.con_id] / name.middle))

    @cached_property
    def cash_goal(self) -> Decimal:
        worth = sum((n.middle * n.held for n in self.names), self.cash)
        return max(self.reserve, worth - sum(self.ideals.values(), ZERO))

    @cached_property
    def cash_goals(self) -> Sequence[tuple[frozenset[str], Decimal]]:
        """What should be there in cash, in some currencies together: in all of them, unless one lacks cash for its
        names. Then each other should have what that one lacks ready to be converted, beside its own reserve."""
        left = {
            currency: purse.cash
            + sum((n.middle * n.held - self.ideals[n.con_id] for n in self.names if n.currency == currency), ZERO)
            for currency, purse in self.purses.items()
        }
        giving = {currency for currency, purse in self.purses.items() if left[currency] >= purse.reserve}
        if len(giving) == len(self.purses) or not giving or len(self.purses) == 1:
            return [(frozenset(self.purses), self.cash_goal)]
        return [(frozenset({currency}), left[currency]) for currency in sorted(giving)]

    def ideal(self, name: Name) -> Decimal:
        return self.ideals[name.con_id]

    def drift_bp(self, shares: Mapping[ConId, int], cash: Mapping[str, Decimal]) -> float:
        """How far from the ideal the account is with these whole shares and this cash in each currency."""
        short = sum(
            (max(ZERO, self.ideal(n) - n.middle * (shares[n.con_id] + n.held - n.whole)) for n in self.names), ZERO
        )
        short += sum(
            (max(ZERO, goal - sum((cash[c] for c in currencies), ZERO)) for currencies, goal in self.cash_goals), ZERO
        )
        return float(short / self.net_liquidation * 10_000)

    def cash_at(self, shares: Mapping[ConId, int]) -> Mapping[str, Decimal]:
        """Of each currency, commissions aside."""
        return {currency: purse.cash + self.traded(shares, currency) for currency, purse in self.purses.items()}

    def traded(self, shares: Mapping[ConId, int], currency: str | None = None) -> Decimal:
        """By how much cash, of one currency or of all, changes on the way to these shares, commissions aside."""
        ours = [name for name in self.names if currency in {None, name.currency}]
        return -sum(
            ((shares[n.con_id] - n.whole) * (n.ask if shares[n.con_id] > n.whole else n.bid) for n in ours), ZERO
        )


def problem_of(case: Case) -> Problem:
    portfolio, quotes, policy = case.snapshot.portfolio, case.snapshot.quotes, case.policy
    con_ids = {symbol: contract.con_id for symbol, contract in case.snapshot.targets.items()}
    held = {h.position.con_id: h.position.quantity for h in portfolio.holdings}
    rates = {**portfolio.balances.exchange_rates, portfolio.balances.currency: Decimal(1)}
    currencies = {con_id: contract.currency for con_id, contract in case.snapshot.contracts.items()}
    weights = {con_ids[symbol]: ZERO for symbol in con_ids}
    replaced = {}
    for symbol, weight in case.allocation.weights.items():
        if weight and symbol in policy.substitutions:
            chosen = policy.substitutions[symbol]
            replaced[con_ids[symbol]] = (con_ids[chosen.use], chosen.scale, weight)
            weights[con_ids[chosen.use]] += chosen.scale * weight
        else:
            weights[con_ids[symbol]] += weight
    unlisted = {
        h.position.con_id
        for h in portfolio.holdings
        if h.position.security_type == STOCK
        and h.position.quantity >= 1
        and h.position.con_id in quotes
        and h.market_value is not None
        and h.position.symbol not in policy.exclude
        and (policy.unlisted is Unlisted.SELL or h.position.con_id in weights)
    }
    names = []
    for con_id in sorted(weights.keys() | unlisted):
        use, scale, weight = replaced.get(con_id, (None, Decimal(1), weights.get(con_id, ZERO)))
        if use is not None and not held.get(con_id):
            continue
        rate = rates[currencies[con_id]]
        names.append(
            Name(
                con_id=con_id,
                weight=weight,
                held=held.get(con_id, ZERO),
                bid=(quotes[con_id].bid or ZERO) * rate,
                ask=(quotes[con_id].ask or ZERO) * rate,
                use=use,
                scale=scale,
                sellable=not case.purpose.buy_only,
                currency=currencies[con_id],
                rate=rate,
            )
        )
    return Problem(
        names=names,
        net_liquidation=portfolio.balances.net_liquidation,
        available=portfolio.balances.available_funds,
        purses=_purses(names, portfolio, case),
    )


def _purses(names: Sequence[Name], portfolio: Portfolio, case: Case) -> Mapping[str, Purse]:
    """Each currency's own cash. What is owed where nothing trades comes off the account's currency; the reserve, and
    what limit orders need beside it, is asked of each as it is wanted in the targets."""
    balances, policy = portfolio.balances, case.policy
    rates = {**balances.exchange_rates, balances.currency: Decimal(1)}
    own = {currency: amount * rates[currency] for currency, amount in balances.cash.items()}
    for currency, owed in _sold_short(portfolio).items():
        own[currency] = own.get(currency, ZERO) - owed
    traded = {balances.currency, *(name.currency for name in names)}
    others = {currency: amount for currency, amount in own.items() if currency not in traded}
    kept = {currency: own.get(currency, ZERO) for currency in traded}
    if sum(others.values(), ZERO) < 0:
        kept[balances.currency] += sum(others.values(), ZERO)
    else:
        kept |= others
    bought = [name for name in names if name.use is None]
    whole = sum((name.weight for name in bought), ZERO)
    parts = {currency: sum((n.weight for n in bought if n.currency == currency), ZERO) / whole for currency in kept}
    alone = balances.available_funds if len(kept) == 1 else sum(map(abs, kept.values()), ZERO)
    return {
        currency: Purse(
            cash=amount,
            spendable=min(amount, alone) - balances.net_liquidation * _for_limits(policy) * parts[currency],
            reserve=balances.net_liquidation * policy.cash_reserve_pct / 100 * parts[currency]
            + (case.purpose.raise_cash if currency == balances.currency else ZERO),
            raised=case.purpose.raise_cash if currency == balances.currency else ZERO,
        )
        for currency, amount in kept.items()
    }


def _for_limits(policy: Policy) -> Decimal:
    """The part of what the account is worth that purchases leave beyond the reserve, as they may fill at their limits
    when half the reserve is gone."""
    if policy.order_type is OrderType.MARKET:
        return ZERO
    return max(ZERO, policy.limit_offset_bp / 10_000 - policy.cash_reserve_pct / 200)


def _sold_short(portfolio: Portfolio) -> Mapping[str, Decimal]:
    """What it would cost to buy back what was sold, by currency, in the base currency."""
    rates = {**portfolio.balances.exchange_rates, portfolio.balances.currency: Decimal(1)}
    owed: dict[str, Decimal] = {}
    for holding in portfolio.holdings:
        currency, value = holding.position.currency, holding.market_value or ZERO
        if value < 0:
            owed[currency] = owed.get(currency, ZERO) - value * rates[currency]
    return owed


def shares_after(plan: Plan, problem: Problem) -> dict[ConId, int]:
    shares = {name.con_id: name.whole for name in problem.names}
    for trade in plan.trades:
        shares[trade.con_id] += trade.quantity if trade.side is Side.BUY else -trade.quantity
    return shares


def plan_drift_bp(plan: Plan, problem: Problem) -> float:
    shares = shares_after(plan, problem)
    cash = dict(problem.cash_at(shares))
    for trade in plan.trades:
        cash[trade.currency] -= trade.commission * trade.rate
    return problem.drift_bp(shares, cash)


def broken_rules(plan: Plan, case: Case) -> list[str]:
    """What a plan must never do, found in this one."""
    problem = problem_of(case)
    names = {name.con_id: name for name in problem.names}
    broken = [wrong for trade in plan.trades for wrong in _wrongs(trade, names.get(trade.con_id), problem, plan)]
    if len({trade.con_id for trade in plan.trades}) < len(plan.trades):
        broken.append("two orders in one contract")
    sides = [trade.side for trade in plan.trades]
    if sides != sorted(sides, key=lambda side: side is Side.BUY):
        broken.append("a buy stands before a sell")
    kept = [name.con_id for name in problem.names if not name.weight and name.whole and name.sellable]
    sold_out = {trade.con_id for trade in plan.trades if trade.quantity == names.get(trade.con_id, _NOBODY).whole}
    broken += [f"{con_id} has no weight and is kept" for con_id in kept if con_id not in sold_out]
    return broken


def _wrongs(trade: Trade, name: Name | None, problem: Problem, plan: Plan) -> Iterator[str]:
    if type(trade.quantity) is not int or trade.quantity <= 0:
        yield f"trades {trade.quantity} {trade.symbol}"
    if name is None:
        yield f"{trade.symbol} is not ours to trade"
        return
    if trade.price * name.rate != (name.ask if trade.side is Side.BUY else name.bid):
        yield f"prices {trade.symbol} at {trade.price}"
    if trade.side is Side.BUY:
        if not name.weight:
            yield f"buys {trade.symbol}, which has no weight"
        if name.use is not None:
            yield f"buys {trade.symbol}, which is replaced"
        return
    if trade.quantity > name.whole:
        yield f"sells {trade.quantity} {trade.symbol} of {name.held} held"
    if not name.sellable:
        yield f"sells {trade.symbol}, and nothing is to be sold"
    elif name.use is not None and trade.quantity > _most_sold(name, problem, plan):
        yield f"sells {trade.symbol}, which counts as what is bought in its place"


def _most_sold(name: Name, problem: Problem, plan: Plan) -> int:
    """Shares of a replaced target that its weight does not cover, once the costs of the plan are off the ideals."""
    least = (problem.ideal(name) - 2 * name.weight * costs_of(plan, problem)) / name.middle
    return name.whole if problem.raises(name.currency) else max(problem.most_sold(name), int(name.held - least))


_NOBODY = Name(con_id=ConId(0), weight=ZERO, held=ZERO, bid=ZERO, ask=ZERO)


def overspent(plan: Plan, case: Case) -> Decimal:
    """By how much the purchases of a plan reach into a currency's reserve or beyond what may be spent; 0 is right.

    The reserve is a part of what the account is worth when all is paid.
    """
    before, after = problem_of(case), problem_of(replace(case, snapshot=fill(plan, case.snapshot)))
    bought = {trade.currency for trade in plan.trades if trade.side is Side.BUY}
    missing = [after.purses[currency].reserve - after.purses[currency].spendable for currency in bought]
    if len(before.purses) > 1 and bought:
        spent = sum((before.purses[c].cash - after.purses[c].cash + after.purses[c].reserve for c in bought), ZERO)
        missing.append(spent - before.available)
    return max([ZERO, *missing])


def left_owing(plan: Plan, case: Case) -> Decimal:
    """By how much a plan that trades leaves less than the reserve in cash, though its sales could fill it; 0 is right.

    Where all that can be sold, fees paid, does not reach the reserve, it has to bring what it can. In one currency
    among several the reserve has to be there where it owed, or was to raise cash; else only in all of them together.
    """
    if not plan.trades or case.purpose.buy_only:
        return ZERO
    before = problem_of(case)
    after = problem_of(replace(case, snapshot=fill(plan, case.snapshot)))
    could_be = {currency: purse.cash for currency, purse in before.purses.items()}
    for name in before.names:
        could_be[name.currency] += name.whole * name.bid - _fee(name)
    filled = [currency for currency in before.purses if before.fills(currency)]
    lacking = [min(after.purses[c].reserve, could_be[c]) - after.purses[c].cash for c in filled if c in after.purses]
    told = {c: max(p.cash, p.reserve) if c in filled else p.cash for c, p in after.purses.items()}
    return max(ZERO, min(after.reserve, sum(could_be.values(), ZERO)) - sum(told.values(), ZERO), *lacking)


def given_up(plan: Plan, case: Case) -> Decimal:
    """What names lack beyond the one share under their ideal that rounding explains, in money; cash being short, 0.

    The ideal is here lower by twice the costs of the plan, which come off what is invested.
    """
    problem = problem_of(case)
    limited = case.purpose.buy_only or problem.spendable < problem.cash or _lacks_a_currency(problem)
    if not plan.trades or problem.is_short_of_cash or limited:
        return ZERO
    shares, costs = shares_after(plan, problem), costs_of(plan, problem)
    lacking = ZERO
    for name in problem.names:
        if name.use is not None:
            continue
        wanted = (problem.ideal(name) - 2 * name.weight * costs) / name.middle - (name.held - name.whole)
        lacking += max(ZERO, wanted.to_integral_value(ROUND_FLOOR) - 1 - shares[name.con_id]) * name.bid
    return lacking


def costs_of(plan: Plan, problem: Problem) -> Decimal:
    """Commissions, and half the spread on every share traded."""
    spreads = {name.con_id: name.ask - name.bid for name in problem.names}
    return plan.commission + sum((trade.quantity * spreads[trade.con_id] / 2 for trade in plan.trades), ZERO)


def three_dear_shares(case: Case) -> Decimal:
    """What a share each of the dearest targets costs."""
    return sum(nlargest(3, (name.ask for name in problem_of(case).names if name.weight)), ZERO)


def _lacks_a_currency(problem: Problem) -> bool:
    """Whether the names of some currency want more than there is in it."""
    wanted = {c: sum((problem.ideal(n) - n.middle * n.held for n in problem.names if n.currency == c), ZERO)
              for c in problem.purses}  # fmt: skip
    return len(wanted) > 1 and any(wanted[c] > purse.cash - purse.reserve for c, purse in problem.purses.items())


def _fee(name: Name) -> Decimal:
    """What selling all of it costs at most: in dollars half a cent a share, at least one and at most 1 %, to the cent;
    elsewhere half a percent, or what no minimum there passes."""
    shares, price = name.whole, name.bid
    if name.currency == "USD":
        return min(max(Decimal("0.005") * shares, Decimal(1)), Decimal("0.01") * shares * price) + Decimal("0.01")
    return max(Decimal("0.005") * shares * price, 6 * name.rate) + Decimal("0.01") if shares else ZERO


def optimum_bp(problem: Problem, *, reached_bp: float) -> float | None:
    """The least drift that any plan can reach, commissions ignored; never above the true one.

    `reached_bp` is the drift of some plan: nobody who does better leaves more than that missing in one place.
    None when the solver gives up.
    """
    count = len(problem.names)
    scale = 10_000 / float(problem.net_liquidation)
    middle, bid, ask = (
        np.array([float(getattr(name, price)) for name in problem.names]) * scale for price in ("middle", "bid", "ask")
    )
    whole = np.array([name.whole for name in problem.names])
    missing = np.array([float(problem.ideal(n) - n.middle * n.held) for n in problem.names]) * scale
    leaving = np.array([not name.weight and name.sellable for name in problem.names])
    bought_not = np.array([not name.weight or name.use is not None for name in problem.names])
    sold_at_most = np.array([problem.most_sold(name) for name in problem.names])
    most_bought = np.where(bought_not, 0, np.maximum(0, np.ceil(missing / middle - 1e-9)))
    most_sold = np.clip(np.floor((reached_bp - missing) / middle + 1e-9), 0, sold_at_most)
    # A currency that has less than its reserve, and need not fill it, may buy only if its sales bring that.
    waiting = [c for c, purse in problem.purses.items() if purse.spendable < purse.reserve and not problem.fills(c)]
    # Columns: bought, sold, shortfall of each name, of each goal for cash, whether each of these currencies buys.
    goals, switches = len(problem.cash_goals), len(waiting)
    each_name = np.hstack([np.diag(middle), -np.diag(middle), np.eye(count), np.zeros((count, goals + switches))])
    rules = [LinearConstraint(each_name, lb=missing)]
    for number, (currencies, goal) in enumerate(problem.cash_goals):
        ours = np.array([name.currency in currencies for name in problem.names])
        short = np.arange(goals) == number
        cash = sum((problem.purses[currency].cash for currency in currencies), ZERO)
        row = np.concatenate([-ask * ours, bid * ours, np.zeros(count), short, np.zeros(switches)])
        rules.append(LinearConstraint(row, lb=float(goal - cash) * scale))
    for currency, purse in problem.purses.items():
        ours = np.array([name.currency == currency for name in problem.names])
        spendable = float(purse.spendable) * scale
        must_stay = min(float(purse.reserve) * scale, spendable + float((bid * ours) @ sold_at_most))
        buys = np.array([other == currency for other in waiting])
        lacking = must_stay - spendable
        row = np.concatenate([-ask * ours, bid * ours, np.zeros(count + goals), -lacking * buys])
        rules.append(LinearConstraint(row, lb=(0 if currency in waiting else lacking) - 1e-9))
        if currency in waiting:
            bought = np.concatenate([ours, np.zeros(2 * count + goals), -float(most_bought @ ours) * buys])
            rules.append(LinearConstraint(bought, ub=0))
    result = milp(
        c=np.concatenate([np.zeros(2 * count), np.ones(count + goals), np.zeros(switches)]),
        constraints=rules,
        integrality=np.concatenate([np.ones(2 * count), np.zeros(count + goals), np.ones(switches)]),
        bounds=Bounds(
            np.concatenate([np.zeros(count), np.where(leaving, whole, 0), np.zeros(count + goals + switches)]),
            np.concatenate(
                [most_bought, np.where(leaving, whole, most_sold), np.full(count + goals, np.inf), np.ones(switches)]
            ),
        ),
        options={"time_limit": 3},
    )
    return None if result.mip_dual_bound is None else float(result.mip_dual_bound)


def brute_force_bp(problem: Problem) -> float:
    """The least drift, by trying everything: for a handful of shares only."""
    reach = [
        range(1) if not n.weight else range(int(max(n.held, problem.ideal(n) / n.middle)) + 2) for n in problem.names
    ]
    ids = [name.con_id for name in problem.names]
    best = float("inf")
    for combination in product(*reach):
        shares = dict(zip(ids, combination, strict=True))
        if all(_is_left(problem, shares, currency) for currency in problem.purses):
            best = min(best, problem.drift_bp(shares, problem.cash_at(shares)))
    return best


def _is_left(problem: Problem, shares: Mapping[ConId, int], currency: str) -> bool:
    """Whether the reserve of a currency is there, if it has to be: by itself, or because something is bought."""
    purse = problem.purses[currency]
    bought = any(shares[name.con_id] > name.whole for name in problem.names if name.currency == currency)
    asked = problem.fills(currency) or bought
    return not asked or purse.spendable + problem.traded(shares, currency) >= purse.reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One account, planned and judged."""

    case: Case
    orders: int
    broken: Sequence[str]
    overspent: Decimal
    second_orders: int
    """Orders in a second plan once the first has filled."""
    gap_bp: float | None
    """To the exact optimum; None where it was not asked for, or nothing was traded."""
    seconds: float

    @property
    def wants_again(self) -> bool:
        return self.second_orders > 0 and self.case.policy.min_gain_bp >= DEFAULT_GATE_BP


def planned(case: Case) -> Plan:
    """What the planner under judgement says."""
    return plan_rebalance(case.allocation, snapshot=case.snapshot, policy=case.policy, purpose=case.purpose)


def judged(case: Case, *, exactly: bool, planner: Callable[[Case], Plan] = planned) -> Verdict:
    """Plan, judge the plan, fill it, plan again; `exactly` looks for the optimum too."""
    started = time.perf_counter()
    plan = planner(case)
    seconds = time.perf_counter() - started
    again = planner(replace(case, snapshot=fill(plan, case.snapshot)))
    problem = problem_of(case)
    measured = exactly and plan.trades and not case.policy.rounds_to_nearest
    return Verdict(
        case=case,
        orders=len(plan.trades),
        broken=broken_rules(plan, case),
        overspent=overspent(plan, case),
        second_orders=len(again.trades),
        gap_bp=gap_bp(plan, problem) if measured else None,
        seconds=seconds,
    )


def gap_bp(plan: Plan, problem: Problem) -> float | None:
    """How much further from the ideal than need be.

    The optimum leaves what purchases have to leave, also where it makes none: a plan without any may come nearer.
    """
    reached = plan_drift_bp(plan, problem)
    best = optimum_bp(problem, reached_bp=reached)
    return None if best is None else max(0.0, reached - best)


def summary(verdicts: Iterable[Verdict]) -> str:
    """One line of the measured table."""
    verdicts = list(verdicts)
    gaps = sorted(v.gap_bp for v in verdicts if v.gap_bp is not None)
    counts = {
        "rules broken": sum(bool(v.broken) for v in verdicts),
        "overspent": sum(bool(v.overspent) for v in verdicts),
        "second plans": sum(v.wants_again for v in verdicts),
    }
    figures = {"mean": mean(gaps), "median": median(gaps), "p95": p95(gaps), "max": gaps[-1]} if len(gaps) > 1 else {}
    return (
        f"{len(verdicts):6d} accounts  {'  '.join(f'{name} {count:3d}' for name, count in counts.items())}  "
        f"{len(gaps):5d} gaps {' '.join(f'{name} {bp:6.2f}' for name, bp in figures.items())}  "
        f"{1000 * median(v.seconds for v in verdicts):6.1f} ms"
    )


def p95(gaps: Sequence[float]) -> float:
    return quantiles(gaps, n=20)[-1]


def main(count: int, *, ruled: bool) -> None:
    """Print the table, and every account that breaks a bar."""
    verdicts = [judged(random_account(seed, ruled=ruled), exactly=True) for seed in range(count)]
    for kind in KINDS:
        print(f"{kind:8s}", summary(v for v in verdicts if v.case.kind == kind))  # noqa: T201
    print(f"{'all':8s}", summary(verdicts))  # noqa: T201
    for v in verdicts:
        if v.broken or v.overspent or v.wants_again or (v.gap_bp or 0) > 50:
            print(v.case, v.broken[:3], v.overspent, v.second_orders, v.gap_bp)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 550, ruled="ruled" in sys.argv)
