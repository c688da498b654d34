"""The owner's rules at random, laid over an account in the making: each of them on in about a third of the accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

from tests.support.notation import Line

from ibkr_rebalancer.core.policy import Policy, Substitution, Underweight, Unlisted
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose

ZERO = Decimal(0)
ON = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """An account with rules: what is held and quoted, what is wanted, and how."""

    lines: Sequence[Line]
    weights: Mapping[str, Decimal]
    policy: Policy
    purpose: Purpose = REBALANCE


def with_rules(account: Ruled, random: Random, *, quoted: Sequence[Line], cash: Decimal) -> Ruled:
    """Each rule on or off; `quoted` are instruments that nobody holds or wants yet, for substitutes and private
    holdings."""
    fresh = list(quoted)
    for rule in (_excluding, _keeping, _substituting, _underweight):
        if random.random() < ON:
            account = rule(account, random, fresh)
    return replace(account, purpose=_purpose(account, random, cash))


def _excluding(account: Ruled, random: Random, fresh: list[Line]) -> Ruled:
    """A private holding of up to half the account, and now and then one that would have to go."""
    private = _held(fresh.pop(), random.uniform(0, 0.5) * _worth(account.lines))
    excluded = {private.symbol, *(line.symbol for line in _unlisted(account) if random.random() < 0.3)}
    return replace(
        account, lines=[*account.lines, private], policy=replace(account.policy, exclude=frozenset(excluded))
    )


def _keeping(account: Ruled, random: Random, fresh: list[Line]) -> Ruled:
    unlisted = _held(fresh.pop(), random.uniform(0, 0.3) * _worth(account.lines))
    return replace(account, lines=[*account.lines, unlisted], policy=replace(account.policy, unlisted=Unlisted.KEEP))


def _substituting(account: Ruled, random: Random, fresh: list[Line]) -> Ruled:
    """One to three targets, by something new, of which some may be held already, or by another target."""
    wanted = [symbol for symbol, weight in account.weights.items() if weight]
    replaced = random.sample(wanted, min(len(wanted) - 1, random.randint(1, 3)))
    others = [symbol for symbol in wanted if symbol not in replaced]
    lines, substitutions = list(account.lines), {}
    for symbol in replaced:
        use = random.choice(others)
        if fresh and random.random() < 0.7:
            part = random.choice((0.0, 0.3, 1.0)) * float(account.weights[symbol])
            lines.append(_held(fresh.pop(), part * _worth(account.lines)))
            use = lines[-1].symbol
        scale = random.choice(("1", "1", "0.5", "0.9", "0.3333"))
        substitutions[symbol] = Substitution(use=use, scale=Decimal(scale))
    return replace(account, lines=lines, policy=replace(account.policy, substitutions=substitutions))


def _underweight(account: Ruled, random: Random, fresh: list[Line]) -> Ruled:  # noqa: ARG001  # as the others
    part = Decimal(f"{random.uniform(0.2, 0.99):.3f}")
    return replace(
        account,
        weights={symbol: weight * part for symbol, weight in account.weights.items()},
        policy=replace(account.policy, underweight=Underweight.CASH),
    )


def _purpose(account: Ruled, random: Random, cash: Decimal) -> Purpose:
    """Cash is raised only where there surely is so much: of targets held in dollars, and of what is there."""
    drawn = random.random()
    if drawn < ON:
        return Purpose(buy_only=True)
    sellable = _worth([li for li in account.lines if li.symbol in account.weights and li.currency == "USD"])
    if drawn < 2 * ON and cash >= 0 and sellable > 0.5 * _worth(account.lines):
        part = random.uniform(0.01, 0.4) * (sellable + float(cash))
        return Purpose(raise_cash=Decimal(f"{part:.2f}"))
    return REBALANCE


def _unlisted(account: Ruled) -> list[Line]:
    return [line for line in account.lines if line.quantity and line.symbol not in account.weights]


def _worth(lines: Sequence[Line]) -> float:
    return float(sum((abs(line.quantity) * line.mark for line in lines), ZERO))


def _held(line: Line, worth: float) -> Line:
    return replace(line, quantity=Decimal(int(worth / float(line.mark))))
