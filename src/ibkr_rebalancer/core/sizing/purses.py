"""The money of an account by currency: none of it becomes another by itself, so each buys its own names only. Pure.

The reserve is split by what the targets want in each currency, and so is not asked of one in which nothing is wanted.
What the broker lets be spent is one figure for all of them: where it is less than the cash there is, it is first taken
off cash that its currency has no use for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import Portfolio
from ibkr_rebalancer.core.purpose import Purpose
from ibkr_rebalancer.core.sizing.accounting import Funds, Ideal, Quantities, cash_left

ONE = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purses:
    """All money of an account, in its own currency whatever currency it is in."""

    net_liquidation: Decimal
    reserve_rate: Decimal
    """Part of net liquidation, of all currencies together."""
    raised: Decimal
    """Cash of the account's own currency that is to be there beyond that."""
    funds: Mapping[str, Funds]
    """By currency: the account's own first, then each in which a name trades, then those that only have cash: that is
    worth something, and nothing can be bought with it."""

    @property
    def cash(self) -> Decimal:
        """Of all currencies."""
        return sum((funds.cash for funds in self.funds.values()), ZERO)

    @property
    def reserve(self) -> Decimal:
        return self.reserve_rate * self.net_liquidation + self.raised

    @property
    def lacking(self) -> Decimal:
        """What all currencies together lack to the reserve, beside what one has to bring itself; negative if more is
        there."""
        each = ((funds.reserve - funds.cash, funds.must_be_filled) for funds in self.funds.values())
        return sum((min(ZERO, lacks) if brings_itself else lacks for lacks, brings_itself in each), ZERO)

    def parts(self, names: Sequence[Managed]) -> Iterator[tuple[Sequence[Managed], Funds]]:
        """The names of each currency, with its money."""
        for currency, funds in self.funds.items():
            yield [name for name in names if name.currency == currency], funds

    def after(self, names: Sequence[Managed], shares: Quantities, costs: Decimal) -> "Purses":
        """The same once the holdings are `shares`, which has cost so much."""
        moved = {}
        for ours, funds in self.parts(names):
            cash = cash_left(ours, shares, funds.cash)
            moved[funds.currency] = replace(
                funds,
                net_liquidation=funds.net_liquidation - costs,
                cash=cash,
                spendable=funds.spendable + cash - funds.cash,
            )
        return replace(self, net_liquidation=self.net_liquidation - costs, funds=moved)

    def uninvested(self, names: Sequence[Managed], ideal: Ideal) -> Mapping[str, Decimal]:
        """By currency, what of its money is left, or lacks, when its names are worth what they ideally are."""
        return {
            funds.currency: funds.cash
            + sum((name.held * name.prices.value - ideal.values[name.con_id] for name in ours), ZERO)
            for ours, funds in self.parts(names)
        }

    def cash_goals(self, names: Sequence[Managed], ideal: Ideal) -> Mapping[str, Decimal]:
        """By currency, what of the ideal cash it has to keep: that which no other currency keeps anyhow."""
        left = self.uninvested(names, ideal)
        kept = {currency: max(left[currency], funds.reserve) for currency, funds in self.funds.items()}
        return {
            currency: max(
                ideal.cash - sum((kept[other] for other in kept if other != currency), ZERO),
                min(ideal.cash, funds.reserve),
            )
            for currency, funds in self.funds.items()
        }


def purses_of(portfolio: Portfolio, names: Sequence[Managed], policy: Policy, purpose: Purpose) -> Purses:
    """The money of the account for these names. What is owed, also on short positions, is no money to invest.

    Raises:
        Refused: what is owed is not known, or a currency has no rate (see `Portfolio.cash_to_invest`).
    """
    balances = portfolio.balances
    currencies = sorted({name.currency for name in names} - {balances.currency})
    own = portfolio.cash_to_invest(currencies)
    others = sorted(currency for currency, amount in own.items() if amount)
    listed = dict.fromkeys((balances.currency, *currencies, *others))
    cash = {currency: balances.in_base(own[currency], currency) for currency in listed}
    parts = _parts_wanted(names, balances.currency)
    spendable = _spendable(cash, parts, names, portfolio)
    return Purses(
        net_liquidation=balances.net_liquidation,
        reserve_rate=policy.reserve,
        raised=purpose.raise_cash,
        funds={
            currency: Funds(
                net_liquidation=balances.net_liquidation,
                currency=currency,
                rate=balances.rate(currency),
                is_base=currency == balances.currency,
                cash=amount,
                spendable=spendable[currency],
                reserve_rate=policy.reserve * parts.get(currency, ZERO),
                purchase_reserve_rate=policy.purchase_reserve * parts.get(currency, ZERO),
                raised=purpose.raise_cash if currency == balances.currency else ZERO,
            )
            for currency, amount in cash.items()
        },
    )


def _parts_wanted(names: Sequence[Managed], base: str) -> Mapping[str, Decimal]:
    """By currency, which part the targets in it are of all of them; all is the base currency's where there are none.

    A replaced target counts as its substitute, whose weight has its own in it.
    """
    wanted: dict[str, Decimal] = {}
    for name in [each for each in names if each.stands_for is None]:
        wanted[name.currency] = wanted.get(name.currency, ZERO) + name.weight
    total = sum(wanted.values(), ZERO)
    if not total:
        return {base: ONE}
    return {currency: ONE if weight == total else weight / total for currency, weight in wanted.items()}


def _spendable(
    cash: Mapping[str, Decimal], parts: Mapping[str, Decimal], names: Sequence[Managed], portfolio: Portfolio
) -> Mapping[str, Decimal]:
    """What may be spent of the cash of each currency: all of them together no more than the broker allows."""
    available = portfolio.balances.available_funds
    owned = {currency: amount for currency, amount in cash.items() if amount > 0}
    if available < 0 or len(owned) < 2:  # there is nothing to divide
        return {currency: min(amount, available) for currency, amount in cash.items()}
    held = {
        currency: sum((n.held * n.prices.value for n in names if n.currency == currency), ZERO) for currency in owned
    }
    worth = sum(held.values(), ZERO) + sum(owned.values(), ZERO)
    spare = {
        currency: max(ZERO, min(amount, amount + held[currency] - parts.get(currency, ZERO) * worth))
        for currency, amount in owned.items()
    }
    lacking = max(ZERO, sum(owned.values(), ZERO) - available)
    all_spare = sum(spare.values(), ZERO)
    from_spare = min(lacking, all_spare)
    from_rest = lacking - from_spare
    rest = sum(owned.values(), ZERO) - all_spare
    kept = {
        currency: (from_spare * spare[currency] / all_spare if all_spare else ZERO)
        + (from_rest * (amount - spare[currency]) / rest if rest else ZERO)
        for currency, amount in owned.items()
    }
    return {currency: amount - kept.get(currency, ZERO) for currency, amount in cash.items()}
