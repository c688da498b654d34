"""Why each instrument of a plan is traded, or is not, in words that are true of it. Pure."""

from collections.abc import Sequence
from decimal import Decimal

from ibkr_rebalancer.core.conversions import conversions
from ibkr_rebalancer.core.managed import Managed, Substitute
from ibkr_rebalancer.core.money import BASIS_POINT, ZERO, share_of
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.sizing import Funds, Purses, Sizing

HALF_A_SHARE = Decimal("0.5")


def idle_reason(names: Sequence[Managed], sizing: Sizing, purses: Purses, policy: Policy) -> str | None:
    """Why what could be traded is not, or None.

    A plan must be worth its trades, unless something has to go, or cash to be raised: a loan is never left standing,
    and cash that a person asks for is raised to the cent. What sales bring for another currency to buy with, once it is
    converted, is worth as much as what is bought.
    """
    trades = any(sizing.shares[name.con_id] != name.whole for name in names)
    least = policy.min_gain_bp * BASIS_POINT * purses.net_liquidation
    gain = sizing.drift_before - sizing.drift_after + _to_be_converted(names, sizing, purses)
    has_to_go = any(not name.weight and name.may_be_sold for name in names)
    lacks_cash = purses.lacking > min(purses.reserve, least) or any(
        funds.must_be_filled
        and funds.cash < funds.reserve
        and any(sizing.shares[name.con_id] != name.whole for name in ours)
        for ours, funds in purses.parts(names)
    )
    if not trades or policy.rounds_to_nearest or has_to_go or lacks_cash or gain >= least:
        return None
    gain_bp = max(ZERO, gain / purses.net_liquidation / BASIS_POINT)
    return f"the whole plan would remove {gain_bp:.1f} bp of drift, less than min_gain_bp {policy.min_gain_bp}"


def _to_be_converted(names: Sequence[Managed], sizing: Sizing, purses: Purses) -> Decimal:
    """By how much more could be converted once the plan has filled than could without it."""
    before = sizing.held(names, purses)
    return conversions(names, sizing, purses).worth - conversions(names, before, purses).worth


def trade_reason(name: Managed, names: Sequence[Managed], sizing: Sizing, funds: Funds) -> str:
    """Why it is bought or sold, and why by no more, or by more; and what cannot be traded of it.

    `names` and `funds` are those of its currency.
    """
    return _why_traded(name, names, sizing, funds) + _remainder(name, sizing)


def _why_traded(name: Managed, names: Sequence[Managed], sizing: Sizing, funds: Funds) -> str:
    if not name.weight:
        return name.exit_reason
    shares, wanted = sizing.shares[name.con_id], sizing.ideal.shares(name)
    if name.stands_for is not None:
        why = "sold to raise cash" if shares < int(wanted) else "beyond the weight of its target"
        return f"{why}; what stays {_counted(name.stands_for)}"
    off = share_of(name.held * name.prices.value - sizing.ideal.values[name.con_id], funds.net_liquidation)
    if shares < name.whole <= wanted:
        return f"sold to raise cash, though underweight by {abs(off):.2%}"
    reason = f"{'over' if off > 0 else 'under'}weight by {abs(off):.2%}"
    fewer, more = int(wanted) - shares, shares - wanted
    if more > HALF_A_SHARE:
        bought = shares > name.whole
        return f"{reason}; {_shares(more)} over the target, {SURPLUS if bought else NO_NEARER}"
    if fewer <= 0:
        return reason
    if shares > name.whole:
        return f"{reason}; {_shares(fewer)} short, {_why_no_more(name, names, sizing, funds)}"
    raising = funds.cash < funds.reserve
    return f"{reason}; {_shares(fewer)} beyond its target, {'to raise cash' if raising else ELSEWHERE}"


def skip_reason(name: Managed, names: Sequence[Managed], sizing: Sizing, funds: Funds, idle: str | None) -> str:
    """Why it stays as it is, and what could not be traded of it anyway.

    `names` and `funds` are those of its currency.
    """
    return _why_not_traded(name, names, sizing, funds, idle) + _remainder(name, sizing)


def _why_not_traded(name: Managed, names: Sequence[Managed], sizing: Sizing, funds: Funds, idle: str | None) -> str:
    if not name.weight and not name.may_be_sold:
        return f"{name.exit_reason}, but {NOT_SOLD}"
    wanted = sizing.ideal.shares(name)
    lacking = wanted - name.whole
    if idle is not None and (sizing.shares[name.con_id] != name.whole or lacking > HALF_A_SHARE):
        return idle
    if name.stands_for is not None:
        return _counted(name.stands_for)
    if lacking > HALF_A_SHARE:
        return f"{_shares(lacking)} under the target, {_why_no_more(name, names, sizing, funds)}"
    if lacking < -HALF_A_SHARE and not name.may_be_sold:
        return f"{_shares(-lacking)} over the target, but {NOT_SOLD}"
    if lacking < -HALF_A_SHARE:
        return f"{_shares(-lacking)} over the target, {NO_NEARER}"
    if 0 < wanted < 1 and not name.whole:
        return f"the target is {wanted:.2f} of a share at {funds.told(name.prices.value)}, nearer to none than to one"
    return "on target to the nearest share"


ELSEWHERE = "cash goes further elsewhere"
SURPLUS = "with cash left over"
NO_NEARER = "to sell brings the account no nearer"
NOT_SOLD = "nothing is sold: --buy-only"


def _counted(substitute: Substitute) -> str:
    """What a replaced target that is held is good for."""
    return f"counts towards {substitute.symbol}, which is bought in its place"


def _why_no_more(name: Managed, names: Sequence[Managed], sizing: Sizing, funds: Funds) -> str:
    """Why not a share more of it is bought, which is wanted."""
    added = {other.con_id: max(0, sizing.shares[other.con_id] - other.whole) for other in names}
    elsewhere = sum((added[o.con_id] * o.prices.ask for o in names if o.con_id != name.con_id), ZERO)
    kept_back = funds.cash - funds.spendable
    left = sizing.cash_after[name.currency] - sizing.reserve_after[name.currency] - funds.withheld
    price = name.prices.ask
    if price > left + elsewhere:
        return f"not enough cash for one: a share costs {funds.told(price)}, {funds.told(max(ZERO, left))} is left"
    if (price <= left and kept_back) or price > left + elsewhere - kept_back:
        before = " before the sales" if any(sizing.shares[other.con_id] < other.whole for other in names) else ""
        if funds.spendable < 0:
            return f"available funds are {funds.told(funds.spendable)}{before}"
        return f"the broker lets only {funds.told(funds.spendable)} be spent{before}"
    return ELSEWHERE


def _remainder(name: Managed, sizing: Sizing) -> str:
    """The fraction of a share that is held: it stays whatever the plan does, even if it is more than is wanted."""
    if not name.fraction:
        return ""
    too_much = name.weight and name.fraction * name.prices.value >= sizing.ideal.values[name.con_id]
    beyond = ", although it is all that is wanted or more" if too_much else ""
    return f"; {name.fraction} of a share stays{beyond}: the gateway trades whole ones"


def _shares(count: Decimal | int) -> str:
    """`3 shares`, `1 share`, `0.60 of a share`."""
    if count < 1:
        return f"{count:.2f} of a share"
    return f"{int(count)} share{'' if int(count) == 1 else 's'}"
