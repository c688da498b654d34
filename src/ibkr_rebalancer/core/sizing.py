"""How many shares of each instrument: as near to the targets as whole shares, cash and costs allow. Pure.

Drift is half the sum of |value - ideal| over all instruments and cash, which equals the sum of the shortfalls
alone. So the instruments are rounded down to whole shares, and what cash is left chooses, as a knapsack, who
gets one share more. Costs (commission and half the spread) come off what is invested before the ideals are
taken; that is what makes a second plan, once the first has filled, come out empty.

All money is in the account's base currency. Cash is moved at the bid and the ask, worth is told at the middle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from ibkr_rebalancer.core.commissions import commission
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.knapsack import Purse, Share, choose_shares
from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import BASIS_POINT, ZERO
from ibkr_rebalancer.core.policy import Policy

COST_ROUNDS = 6
"""Costs depend on the orders and the orders on the costs; they settle in two or three rounds."""
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
    reserve: Decimal
    """Cash that must be left when all is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the trades of a plan cost beside the prices in the middle."""

    commission: Decimal = ZERO
    spread: Decimal = ZERO
    """Half the spread on every share traded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ideal:
    """Where the account should be if shares could be split."""

    values: Mapping[ConId, Decimal]
    """Worth of each instrument."""
    cash: Decimal
    """The reserve, and what the targets leave uninvested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The shares to end with, and how near that is."""

    shares: Quantities
    ideal: Ideal
    costs: Costs
    cash_after: Decimal
    drift_before: Decimal
    """In money."""
    drift_after: Decimal


def size_positions(names: Sequence[Managed], *, funds: Funds, policy: Policy) -> Sizing:
    """Decide how many whole shares of each instrument to end with.

    Sales and purchases never cross: what is to be bought is not sold first, and no sale goes beyond the whole
    shares held. After costs, cash does not end below the reserve by any purchase.
    """
    costs = Costs()
    for _ in range(COST_ROUNDS):
        ideal = _ideal(names, funds, costs if not policy.rounds_to_nearest else Costs())
        shares = _affordable(names, _whole_shares(names, ideal, funds, costs, policy), ideal, funds)
        actual = _costs(names, shares)
        if actual.commission <= costs.commission and actual.spread <= costs.spread:
            break
        costs = Costs(commission=max(costs.commission, actual.commission), spread=max(costs.spread, actual.spread))
    cash_after = _cash_after(names, shares, funds.cash)
    return Sizing(
        shares=shares,
        ideal=ideal,
        costs=actual,
        cash_after=cash_after,
        drift_before=_drift(names, {name.con_id: name.whole for name in names}, funds.cash, ideal),
        drift_after=_drift(names, shares, cash_after, ideal),
    )


def _ideal(names: Sequence[Managed], funds: Funds, costs: Costs) -> Ideal:
    """Split what can be invested by the weights; a fraction that cannot be sold is no money to invest."""
    worth = sum((_sellable(name) * name.prices.value for name in names), funds.cash)
    invested = max(ZERO, worth - funds.reserve - costs.commission - costs.spread)
    values = {name.con_id: name.weight * invested for name in names}
    return Ideal(values=values, cash=funds.reserve + invested - sum(values.values(), ZERO))


def _sellable(name: Managed) -> Decimal:
    return name.held if name.weight else Decimal(name.whole)


def _whole_shares(
    names: Sequence[Managed], ideal: Ideal, funds: Funds, costs: Costs, policy: Policy
) -> dict[ConId, int]:
    """Round down to whole shares, then let the cash that is left choose who gets one more."""
    level = _affordable_level(names, ideal, funds, costs)
    shares: dict[ConId, int] = {}
    optional: list[tuple[ConId, Share]] = []
    for name in names:
        wanted = _ideal_shares(name, ideal)
        reachable = max(wanted * level, Decimal(name.whole)) if wanted > name.whole else wanted
        sure, choices = _choices(name, wanted, reachable, nearest=policy.rounds_to_nearest)
        shares[name.con_id] = sure
        optional += [(name.con_id, share) for share in choices]
    spendable = _cash_after(names, shares, funds.spendable, commissions=costs.commission)
    wanted_cash = max(ZERO, ideal.cash - funds.reserve - (funds.cash - funds.spendable))
    purse = Purse(
        budget=float(spendable - funds.reserve),
        cash_goal=0.0 if policy.rounds_to_nearest else float(wanted_cash),
    )
    tolerance = float(NEGLIGIBLE * funds.net_liquidation)
    for index in choose_shares([share for _, share in optional], purse, tolerance=tolerance):
        shares[optional[index][0]] += 1
    return shares


def _ideal_shares(name: Managed, ideal: Ideal) -> Decimal:
    """Whole shares that would meet the ideal exactly, beside the fraction held; not negative."""
    return max(ZERO, ideal.values[name.con_id] / name.prices.value - name.fraction)


def _choices(name: Managed, wanted: Decimal, reachable: Decimal, *, nearest: bool) -> tuple[int, list[Share]]:
    """The shares of one instrument that are sure, and those that compete for cash.

    Competing are the share that `reachable` only reaches in part and, where leaving it does not turn a purchase
    into a sale or touch a share that would be kept, the last whole one before it: one dear share left
    out can be worth a share each of several cheap instruments.
    """
    floor = int(reachable.to_integral_value(ROUND_FLOOR))
    part = min(Decimal(1), wanted - floor)
    if wanted == name.whole or not name.weight:
        return floor, []
    buys = wanted > name.whole
    cost = float(name.prices.ask if buys else name.prices.bid)
    value = float(name.prices.value)
    choices = []
    if part > (Decimal("0.5") if nearest else ZERO):
        choices.append(Share(name=name.symbol, cost=cost, gain=value * float(part)))
    if floor > name.whole if buys else 1 <= floor <= name.whole - 2:
        choices.append(Share(name=name.symbol, cost=cost, gain=value))
        return floor - 1, choices
    return floor, choices


def _affordable_level(names: Sequence[Managed], ideal: Ideal, funds: Funds, costs: Costs) -> Decimal:
    """The part of their ideal up to which all purchases can be paid: 1, unless the broker lets us spend less.

    Below 1 the most underweight, relatively, is filled first.
    """
    purchases = [
        (wanted, name) for name in names if (wanted := _ideal_shares(name, ideal)) > name.whole and name.weight
    ]
    sold = {
        name.con_id: min(name.whole, int(_ideal_shares(name, ideal).to_integral_value(ROUND_FLOOR))) for name in names
    }
    money = _cash_after(names, sold, funds.spendable, commissions=costs.commission) - funds.reserve

    def price_of(level: Decimal) -> Decimal:
        return sum(
            (
                name.prices.ask * max(0, int((wanted * level).to_integral_value(ROUND_FLOOR)) - name.whole)
                for wanted, name in purchases
            ),
            ZERO,
        )

    if price_of(Decimal(1)) <= money:
        return Decimal(1)
    low, high = ZERO, Decimal(1)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if price_of(middle) <= money else (low, middle)
    return low


def _affordable(names: Sequence[Managed], shares: Quantities, ideal: Ideal, funds: Funds) -> dict[ConId, int]:
    """Check the sum in decimals, actual commissions included; give back the least wanted shares if it is over."""
    kept = dict(shares)
    short = funds.reserve - _cash_after(names, kept, funds.spendable)
    while short > 0 and (bought := [name for name in names if kept[name.con_id] > name.whole]):
        for name in sorted(bought, key=lambda name: (_last_share_density(name, kept[name.con_id], ideal), name.symbol)):
            if short <= 0:
                break
            quantity, ask = kept[name.con_id] - name.whole, name.prices.ask
            kept[name.con_id] -= 1
            short -= ask + commission(quantity, ask) - commission(quantity - 1, ask)
    return kept


def _last_share_density(name: Managed, count: int, ideal: Ideal) -> Decimal:
    part = min(Decimal(1), _ideal_shares(name, ideal) - (count - 1))
    return part * name.prices.value / name.prices.ask


def _costs(names: Sequence[Managed], shares: Quantities) -> Costs:
    spread = sum(
        (abs(shares[name.con_id] - name.whole) * (name.prices.ask - name.prices.bid) / 2 for name in names),
        ZERO,
    )
    return Costs(commission=_commissions(names, shares), spread=spread)


def _commissions(names: Sequence[Managed], shares: Quantities) -> Decimal:
    return sum((commission(abs(shares[n.con_id] - n.whole), trade_price(n, shares[n.con_id])) for n in names), ZERO)


def trade_price(name: Managed, shares: int) -> Decimal:
    """The price at which cash moves when the holding goes to `shares`: the ask for more, the bid for fewer."""
    return name.prices.ask if shares > name.whole else name.prices.bid


def _cash_after(
    names: Sequence[Managed], shares: Quantities, cash: Decimal, *, commissions: Decimal | None = None
) -> Decimal:
    """Cash once the holdings are `shares`; the commissions are those of just these trades unless given."""
    paid = _commissions(names, shares) if commissions is None else commissions
    traded = ((shares[n.con_id] - n.whole) * trade_price(n, shares[n.con_id]) for n in names)
    return cash - paid - sum(traded, ZERO)


def _drift(names: Sequence[Managed], shares: Quantities, cash: Decimal, ideal: Ideal) -> Decimal:
    """Half the distance from the ideal, in money; a fraction that has to go and cannot is not counted."""
    distances = (
        abs((shares[n.con_id] + _sellable(n) - n.whole) * n.prices.value - ideal.values[n.con_id]) for n in names
    )
    return (sum(distances, ZERO) + abs(cash - ideal.cash)) / 2
