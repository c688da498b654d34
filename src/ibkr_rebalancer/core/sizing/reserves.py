"""Where the reserve of an account is kept when its money is of several currencies. Pure.

Each currency keeps its part of it. A currency that has less, and owes nothing, is not filled up by sales of what would
be bought back once somebody has converted: what it lacks is kept by the others until then, by those first that have
most beyond their own targets. So all cash together is the whole reserve, and a conversion brings each its part.

What a currency has is counted as if it had sold whatever is beyond its ideal, and bought nothing: that is the same
before and after a plan has filled, so that the next plan keeps the reserve where this one did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from ibkr_rebalancer.core.managed import Managed
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.sizing.accounting import Funds, Ideal, cash_left
from ibkr_rebalancer.core.sizing.choice import sold_down
from ibkr_rebalancer.core.sizing.purses import Purses


def kept_where_cash_is(names: Sequence[Managed], purses: Purses, ideal: Ideal) -> Purses:
    """The same money, with what currencies lack of their part of the reserve kept by others.

    Unchanged where there is one currency, or where not even all together could have the whole reserve so: then each
    has to fill its own part.
    """
    if len(purses.funds) == 1:
        return purses
    has = {f.currency: cash_left(ours, sold_down(ours, ideal), f.cash) for ours, f in purses.parts(names)}
    kept = {c: f.part if f.must_be_filled else min(f.part, max(ZERO, has[c])) for c, f in purses.funds.items()}
    lacking = sum((funds.part - kept[currency] for currency, funds in purses.funds.items()), ZERO)
    more = _kept_for_others(lacking, purses, has, kept, left=purses.uninvested(names, ideal))
    if sum(more.values(), ZERO) < lacking:
        return purses
    return replace(purses, funds={c: _keeping(f, kept[c], more[c]) for c, f in purses.funds.items()})


def _kept_for_others(
    lacking: Decimal,
    purses: Purses,
    has: Mapping[str, Decimal],
    kept: Mapping[str, Decimal],
    *,
    left: Mapping[str, Decimal],
) -> Mapping[str, Decimal]:
    """By currency, how much of what lacks it keeps beside its own."""
    more = dict.fromkeys(purses.funds, ZERO)
    for currency in sorted(
        purses.funds, key=lambda currency: (purses.funds[currency].reserve - left[currency], currency)
    ):
        more[currency] = min(lacking, max(ZERO, has[currency] - kept[currency] - purses.funds[currency].raised))
        lacking -= more[currency]
    return more


def _keeping(funds: Funds, kept: Decimal, more: Decimal) -> Funds:
    """A purchase leaves its whole part, whatever is kept without one."""
    return replace(
        funds,
        reserve_rate=(kept + more) / funds.net_liquidation,
        purchase_reserve_rate=funds.purchase_reserve_rate + more / funds.net_liquidation,
        only_surplus_goes=not funds.must_be_filled,
    )
