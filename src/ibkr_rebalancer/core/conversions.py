"""Which money would have to change its currency for all targets to be reached. Pure: nothing here converts any."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.sizing import Purses, Sizing


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """An exchange that a person may make, at the account's own rates."""

    source: str
    target: str
    pays: Decimal
    """In `source`."""
    brings: Decimal
    """In `target`."""
    worth: Decimal
    """In the account's currency."""


def conversions(names: Sequence[Managed], sizing: Sizing, purses: Purses) -> Iterator[Conversion]:
    """What currencies have beyond their own targets and reserve, as far as it lacks to those of others; largest first.

    It is what should be converted once the plan has filled: sales that the plan makes have brought their cash by then.
    """
    left = purses.uninvested(names, sizing.ideal)
    over = {currency: left[currency] - funds.reserve for currency, funds in purses.funds.items()}
    lacking = sorted((currency for currency in over if over[currency] < 0), key=lambda currency: over[currency])
    for target in lacking:
        for source in sorted(over, key=lambda currency: (-over[currency], currency)):
            worth = min(over[source], -over[target])
            if worth <= 0:
                break
            over[source] -= worth
            over[target] += worth
            yield Conversion(
                source=source,
                target=target,
                pays=worth / purses.funds[source].rate,
                brings=worth / purses.funds[target].rate,
                worth=worth,
            )
