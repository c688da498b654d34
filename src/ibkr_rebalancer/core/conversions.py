"""Which money would have to change its currency for all targets to be reached. Pure: nothing here converts any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import CENT, ZERO
from ibkr_rebalancer.core.sizing import Purses, Sizing


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """An exchange that a person may make, at the account's own rates."""

    source: str
    target: str
    pays: Decimal
    """In `source`, in whole cents."""
    brings: Decimal
    """In `target`."""
    worth: Decimal
    """In the account's currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversions:
    """What would bring cash to where the targets want it, all of it once the plan has filled."""

    exchanges: Sequence[Conversion]
    """What can be converted then; the currency that lacks most comes first."""
    to_be_sold: Mapping[str, Decimal]
    """By currency, and in it, what it would lack even then and others have beyond their targets, but not in cash."""

    @property
    def worth(self) -> Decimal:
        """Of all exchanges, in the account's currency."""
        return sum((each.worth for each in self.exchanges), ZERO)


def conversions(names: Sequence[Managed], sizing: Sizing, purses: Purses) -> Conversions:
    """What currencies have beyond their own targets and reserve, as far as it lacks to those of others.

    None gives more than the cash that the plan leaves in it beyond its reserve, which holds what was raised for a
    person: so a plan after the exchange has nothing to pay back.
    """
    left = purses.uninvested(names, sizing.ideal)
    over = {currency: left[currency] - funds.reserve for currency, funds in purses.funds.items()}
    gives = {c: max(ZERO, min(over[c], sizing.cash_after[c] - sizing.reserve_after[c])) for c in over}
    lacks = {currency: -beyond for currency, beyond in over.items() if beyond < 0}
    exchanges = []
    for target in sorted(lacks, key=lambda currency: (-lacks[currency], currency)):
        for source in sorted(gives, key=lambda currency: (-gives[currency], currency)):
            pays = (min(gives[source], lacks[target]) / purses.funds[source].rate).quantize(CENT, ROUND_FLOOR)
            worth = pays * purses.funds[source].rate
            if worth <= 0:
                continue
            gives[source] -= worth
            lacks[target] -= worth
            exchanges.append(
                Conversion(
                    source=source,
                    target=target,
                    pays=pays,
                    brings=worth / purses.funds[target].rate,
                    worth=worth,
                )
            )
    elsewhere = sum((max(ZERO, beyond) for beyond in over.values()), ZERO)
    unsold = elsewhere - sum((each.worth for each in exchanges), ZERO)
    return Conversions(
        exchanges=exchanges,
        to_be_sold={currency: min(lacks[currency], unsold) / purses.funds[currency].rate for currency in lacks},
    )
