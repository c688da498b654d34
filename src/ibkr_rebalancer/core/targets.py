"""The targets of one account: what its source wants, as its owner has it bought. Pure.

    QQQ 60 %, BND 40 %  with  substitutions: {QQQ: {use: QQQM}}   becomes   QQQM 60 %, BND 40 %

What is still held of QQQ counts towards QQQM, up to the 60 %.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ibkr_rebalancer.core.allocation import Allocation
from ibkr_rebalancer.core.instruments import Contract
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.core.portfolio import Holding


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A target that another one is bought for."""

    symbol: str
    weight: Decimal
    """What the source gives it: so much of it may stay."""
    use: str
    """The symbol of the target that is bought."""
    scale: Decimal
    """Worth of the substitute for each of its own; the rest stays cash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Which weights are meant for an account, by symbol."""

    weights: Mapping[str, Decimal]
    """With what substitutes take over; replaced targets are not among them, unless their weight is 0."""
    replaced: tuple[Replaced, ...]
    policy: Policy

    @property
    def symbols(self) -> tuple[str, ...]:
        """Those whose contracts have to be known; a target of weight 0 is only a reason to sell what is held."""
        wanted = [symbol for symbol, weight in self.weights.items() if weight]
        return tuple(dict.fromkeys([*wanted, *(each.symbol for each in self.replaced)]))

    def gives_up(self, holding: Holding) -> bool:
        """Whether a target of weight 0 means this holding: by its number, or else by symbol, currency and exchange."""
        queries = [self.policy.query(symbol) for symbol, weight in self.weights.items() if not weight]
        position = holding.position
        return any(
            query.con_id == position.con_id
            if query.con_id is not None
            else (query.symbol, query.currency) == (position.symbol, position.currency)
            and query.primary_exchange in {None, holding.primary_exchange}
            for query in queries
        )

    def excludes(self, symbol: str, contract: Contract) -> bool:
        """Whether a target is one that the owner excludes, under whatever name."""
        return symbol in self.policy.exclude or self._is_excluded(contract.symbol, contract.con_id)

    def excludes_holding(self, holding: Holding) -> bool:
        """Whether the owner excludes what is held: by what the gateway calls it, or by the number in `contracts:`."""
        return self._is_excluded(holding.position.symbol, holding.position.con_id)

    def _is_excluded(self, symbol: str, con_id: int) -> bool:
        return symbol in self.policy.exclude or con_id in {self.policy.query(s).con_id for s in self.policy.exclude}


def own_targets(allocation: Allocation, policy: Policy) -> Targets:
    """The targets with every one that the owner substitutes, passed on to its substitute."""
    weights: dict[str, Decimal] = {}
    replaced = []
    for symbol, weight in allocation.weights.items():
        substitution = policy.substitutions.get(symbol)
        if substitution is None or substitution.use == symbol or not weight:
            weights[symbol] = weights.get(symbol, ZERO) + weight
            continue
        use, scale = substitution.use, substitution.scale
        weights[use] = weights.get(use, ZERO) + scale * weight
        replaced.append(Replaced(symbol=symbol, weight=weight, use=use, scale=scale))
    in_order = sorted(replaced, key=lambda each: each.symbol)
    return Targets(weights=weights, replaced=tuple(in_order), policy=policy)
