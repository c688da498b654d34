"""The money side of a choice of shares: what it costs, what cash it leaves, and how near the ideal it is. Pure.

All money is in the account's base currency, also of names that trade in another. Cash moves at the bid and the ask,
worth is told at the middle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ibkr_rebalancer.core.commissions import commission
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import ZERO, amount_text

Quantities = Mapping[ConId, int]
"""Whole shares by contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """The money side of an account in one currency; told in the account's own."""

    net_liquidation: Decimal
    """Of the whole account."""
    currency: str
    rate: Decimal
    """What a unit of `currency` is worth in the account's."""
    is_base: bool
    """Whether it is the account's."""
    cash: Decimal
    """Negative is a loan, which is paid back first."""
    spendable: Decimal
    """At most `cash`: what the broker lets us spend before anything is sold."""
    reserve_rate: Decimal
    """Part of net liquidation."""
    purchase_reserve_rate: Decimal
    """The same for a plan with purchases; at least as much."""
    raised: Decimal = ZERO
    """Cash that is to be there beyond the reserve, and is counted as part of it."""
    only_surplus_goes: bool = False
    """Whether nothing that is wanted is sold to fill the reserve: what lacks is kept in other currencies."""

    def told(self, amount: Decimal) -> str:
        """An amount in a sentence: in `currency`, which is named where it is not the account's."""
        return amount_text(amount) if self.is_base else f"{amount_text(amount / self.rate)} {self.currency}"

    @property
    def part(self) -> Decimal:
        """What is kept of the reserve of the account."""
        return self.reserve_rate * self.net_liquidation

    @property
    def reserve(self) -> Decimal:
        """Cash that no purchase may touch."""
        return self.part + self.raised

    @property
    def must_be_filled(self) -> bool:
        """Whether it has to come to its reserve by its own sales, whatever there is in other currencies: a loan is
        paid back, and cash that a person asks for is raised."""
        return self.cash < 0 or bool(self.raised)

    @property
    def raises_cash(self) -> bool:
        """Whether also what is wanted may be sold."""
        return self.cash < self.reserve and not self.only_surplus_goes

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


def outlay(names: Sequence[Managed], shares: Quantities) -> Decimal:
    """The cash that it takes to go to `shares`, commissions paid."""
    return -cash_left(names, shares, ZERO)


def trade_price(name: Managed, shares: int) -> Decimal:
    """The price at which cash moves when the holding goes to `shares`: the ask for more, the bid for fewer."""
    return name.prices.ask if shares > name.whole else name.prices.bid


def outlay_of(name: Managed, shares: int) -> Decimal:
    """The cash that it takes to hold `shares`; negative when it comes in."""
    return (shares - name.whole) * trade_price(name, shares) + _commission(name, shares)


def order_price(name: Managed, shares: int) -> Decimal:
    """The same in the currency that the name trades in."""
    return name.quoted.ask if shares > name.whole else name.quoted.bid


def _commission(name: Managed, shares: int) -> Decimal:
    return commission(abs(shares - name.whole), order_price(name, shares), name.currency) * name.rate


def _half_spread(name: Managed, shares: int) -> Decimal:
    return abs(shares - name.whole) * abs(trade_price(name, shares) - name.prices.value)


def shortfall(names: Sequence[Managed], shares: Quantities, funds: Funds) -> Decimal:
    """What lacks to the reserve. Only purchases need the broker's leave to spend, and have to leave more."""
    if not any(shares[name.con_id] > name.whole for name in names):
        return reserve_left(names, shares, funds) - cash_left(names, shares, funds.cash)
    reserve = funds.purchase_reserve_rate * (funds.net_liquidation - costs_of(names, shares)) + funds.raised
    return reserve - cash_left(names, shares, funds.spendable)


def reserve_left(names: Sequence[Managed], shares: Quantities, funds: Funds) -> Decimal:
    """The reserve of the account that is left when costs are paid: what a second plan would have to keep."""
    return funds.reserve - funds.reserve_rate * costs_of(names, shares)


def as_held(names: Sequence[Managed]) -> Quantities:
    return {name.con_id: name.whole for name in names}


def costs_of(names: Sequence[Managed], shares: Quantities) -> Decimal:
    """What the trades cost beside their prices in the middle: commissions, and half the spread on every share."""
    return sum(
        (_commission(name, shares[name.con_id]) + _half_spread(name, shares[name.con_id]) for name in names), ZERO
    )


def cash_left(names: Sequence[Managed], shares: Quantities, cash: Decimal) -> Decimal:
    """Cash once the holdings are `shares`, commissions paid."""
    return cash - sum((outlay_of(name, shares[name.con_id]) for name in names), ZERO)


def drift_of(names: Sequence[Managed], shares: Quantities, cash: Decimal, ideal: Ideal) -> Decimal:
    """Half the distance from the ideal, in money."""
    distances = (abs((shares[n.con_id] + n.fraction) * n.prices.value - ideal.values[n.con_id]) for n in names)
    return (sum(distances, ZERO) + abs(cash - ideal.cash)) / 2
