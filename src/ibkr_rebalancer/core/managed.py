"""Which instruments a plan decides about, and which holdings stay untouched with the reason why. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.instruments import STOCK, ConId, Contract
from ibkr_rebalancer.core.money import ZERO
from ibkr_rebalancer.core.plan import Untouched
from ibkr_rebalancer.core.policy import Limits, Policy, Unlisted
from ibkr_rebalancer.core.portfolio import Balances, Holding, Snapshot
from ibkr_rebalancer.core.purpose import Purpose
from ibkr_rebalancer.core.quotes import NoQuote, Prices, converted, prices_of, unpriced
from ibkr_rebalancer.core.targets import Replaced, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitute:
    """The target that is bought in place of another."""

    symbol: str
    con_id: ConId
    scale: Decimal
    """So much of it, in worth, is as good as one of the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Managed:
    """An instrument that the plan decides about: a target, a holding that has to go, or a target already held."""

    symbol: str
    """As the targets call it, or else as the gateway does."""
    con_id: ConId
    primary_exchange: str
    weight: Decimal
    """Of what is invested; 0 means that it is held and has to go."""
    exit_reason: str
    """Why it has to go; empty if it has not."""
    held: Decimal
    currency: str
    """That it trades in, is quoted in and is paid with."""
    rate: Decimal
    """What a unit of `currency` is worth in the account's; 1 if that is the same."""
    quoted: Prices
    """In `currency`: what orders are sent at."""
    prices: Prices
    """The same in the account's currency: what it is sized by."""
    may_be_sold: bool = True
    """Not when only purchases are wanted; what has to go stays, too."""
    stands_for: Substitute | None = None
    """What is bought in its place: what is held of it counts towards that, up to its weight."""

    @property
    def whole(self) -> int:
        """Whole shares held: all that the gateway lets us sell."""
        return int(self.held)

    @property
    def fraction(self) -> Decimal:
        """What is held beyond whole shares; it can neither be sold nor made up."""
        return self.held - self.whole


EXCLUDED = "excluded in accounts.yaml"


@dataclass(frozen=True, slots=True)
class _NoPrices:
    """Why a contract cannot be priced."""

    code: str
    why: NoQuote


def sort_holdings(
    targets: Targets, *, snapshot: Snapshot, policy: Policy, purpose: Purpose
) -> tuple[tuple[Managed, ...], tuple[Untouched, ...]]:
    """Split the account into what is managed and what is not, both in order of symbol.

    Of a replaced target only what is held is managed: it stands for its substitute, unless the owner excludes it.

    Raises:
        Refused: a target cannot be planned: it is excluded or held short, its currency has no exchange rate, its prices
            are in another unit than that, it has no usable price, or two symbols mean the same contract.
    """
    symbols = _symbols_by_contract({symbol: snapshot.targets[symbol] for symbol in targets.symbols})
    replaced = {each.symbol: each for each in targets.replaced}
    holdings = {holding.position.con_id: holding for holding in snapshot.portfolio.holdings}
    managed, untouched = [], []
    for con_id, symbol in symbols.items():
        holding = holdings.get(con_id)
        if symbol not in replaced:
            _require_included(symbol, snapshot.contracts[con_id], targets)
            managed.append(_target(symbol, targets.weights[symbol], con_id, holding, snapshot, policy.limits))
        elif holding is not None and not targets.excludes(symbol, snapshot.contracts[con_id]):
            managed.append(_stand_in(replaced[symbol], con_id, holding, snapshot, policy.limits))
    known = {line.con_id for line in managed}
    for con_id, holding in holdings.items():
        if con_id in known:
            continue
        is_own = symbols.get(con_id) in replaced
        line = _untouched(holding, EXCLUDED) if is_own else _other(holding, targets, snapshot, policy)
        if isinstance(line, Managed):
            managed.append(line)
        else:
            untouched.append(line)
    if purpose.buy_only:
        managed = [replace(line, may_be_sold=False) for line in managed]
    return (
        tuple(sorted(managed, key=lambda line: (line.symbol, line.con_id))),
        tuple(sorted(untouched, key=lambda line: (line.symbol, line.con_id))),
    )


def obstacle(holding: Holding) -> str | None:
    """Why a holding outside the targets is never traded, whatever its price; None if it may be."""
    position = holding.position
    if position.security_type != STOCK:
        return f"{position.security_type} positions are never traded"
    if position.quantity < 0:
        return "short positions are never traded"
    if position.quantity < 1:
        return "less than one share, which the gateway does not sell"
    if holding.market_value is None:
        return "the gateway gives no market value of it"
    return None


def _symbols_by_contract(targets: Mapping[str, Contract]) -> dict[ConId, str]:
    symbols: dict[ConId, str] = {}
    for symbol, contract in targets.items():
        if contract.con_id in symbols:
            raise Refused(
                "TARGET_TWICE",
                f"The targets {symbols[contract.con_id]} and {symbol} are the same contract "
                f"(con_id {contract.con_id}).",
                hint="Let the allocation source merge them, or correct `contracts:` in accounts.yaml.",
            )
        symbols[contract.con_id] = symbol
    return symbols


def _target(
    symbol: str, weight: Decimal, con_id: ConId, holding: Holding | None, snapshot: Snapshot, limits: Limits
) -> Managed:
    held = holding.position.quantity if holding else ZERO
    if held < 0:
        raise Refused(
            "TARGET_HELD_SHORT",
            f"{symbol} is a target, but {snapshot.portfolio.account} is {-held} shares short of it.",
            hint="Close the short position by hand, or remove the symbol from the targets.",
        )
    contract = snapshot.contracts[con_id]
    _require_currency(symbol, contract, snapshot.portfolio.balances)
    prices = _usable_prices(con_id, snapshot, limits)
    if isinstance(prices, _NoPrices):
        raise Refused(
            prices.code,
            f"{symbol} is a target without a usable price: {prices.why.reason}.",
            hint=prices.why.remedy,
        )
    rate = snapshot.portfolio.balances.rate(contract.currency)
    return Managed(
        symbol=symbol,
        con_id=con_id,
        primary_exchange=contract.primary_exchange,
        weight=weight,
        exit_reason="",
        held=held,
        currency=contract.currency,
        rate=rate,
        quoted=prices,
        prices=_in_base(prices, rate),
    )


def _stand_in(replaced: Replaced, con_id: ConId, holding: Holding, snapshot: Snapshot, limits: Limits) -> Managed:
    """What is held of a replaced target: as sound as a target, since it counts as one."""
    line = _target(replaced.symbol, replaced.weight, con_id, holding, snapshot, limits)
    use = Substitute(symbol=replaced.use, con_id=snapshot.targets[replaced.use].con_id, scale=replaced.scale)
    return replace(line, stands_for=use)


def _require_included(symbol: str, contract: Contract, targets: Targets) -> None:
    if not targets.excludes(symbol, contract):
        return
    in_place_of = [each.symbol for each in targets.replaced if each.use == symbol]
    instead = f" in place of {', '.join(in_place_of)}" if in_place_of else ""
    raise Refused(
        "TARGET_EXCLUDED",
        f"{symbol} is a target{instead}, and excluded in accounts.yaml: it cannot be both.",
        hint=f"Take it off `exclude`, or give {symbol} a substitute under `substitutions`.",
    )


def _require_currency(symbol: str, contract: Contract, balances: Balances) -> None:
    base = balances.currency
    if contract.price_magnifier != 1:
        raise Refused(
            "PRICE_UNIT",
            f"{symbol} cannot be planned: {_minor_unit(contract)}.",
            hint="Name another listing of it under `contracts:` in accounts.yaml, or remove it from the targets.",
        )
    if contract.currency != base and contract.currency not in balances.exchange_rates:
        raise Refused(
            "EXCHANGE_RATE_MISSING",
            f"{symbol} trades in {contract.currency}, and the gateway gives no exchange rate from that to {base}.",
            hint=f"It gives rates of currencies that the account has, or had, money in: convert some {base} to "
            f"{contract.currency} in TWS, or name a listing in {base} under `contracts:` in accounts.yaml.",
        )


def _minor_unit(contract: Contract) -> str:
    return f"its prices are told in 1/{contract.price_magnifier} {contract.currency}, which nothing here trades in"


def _in_base(prices: Prices, rate: Decimal) -> Prices:
    return prices if rate == 1 else converted(prices, rate)


def _other(holding: Holding, targets: Targets, snapshot: Snapshot, policy: Policy) -> Managed | Untouched:
    """A holding without a target weight: to be sold, unless something keeps us from it."""
    position = holding.position
    if targets.excludes_holding(holding):
        return _untouched(holding, EXCLUDED)
    reason = obstacle(holding)
    if reason is not None:
        return _untouched(holding, reason)
    contract = snapshot.contracts.get(position.con_id)
    if contract is not None and contract.price_magnifier != 1:
        return _untouched(holding, _minor_unit(contract))
    exit_reason = _exit_reason(holding, targets, snapshot)
    if policy.unlisted is Unlisted.KEEP and not targets.gives_up(holding):
        return _untouched(holding, f"{exit_reason}, and unlisted holdings are kept")
    quote = snapshot.quotes.get(position.con_id)
    if quote is not None and quote.is_halted:
        return _untouched(holding, "trading in it is halted")
    prices = _usable_prices(position.con_id, snapshot, policy.limits)
    if isinstance(prices, _NoPrices):
        return _untouched(holding, str(prices.why))
    rate = snapshot.portfolio.balances.rate(position.currency)
    return Managed(
        symbol=position.symbol,
        con_id=position.con_id,
        primary_exchange=snapshot.contracts[position.con_id].primary_exchange,
        weight=ZERO,
        exit_reason=exit_reason,
        held=position.quantity,
        currency=position.currency,
        rate=rate,
        quoted=prices,
        prices=_in_base(prices, rate),
    )


def _exit_reason(holding: Holding, targets: Targets, snapshot: Snapshot) -> str:
    """Why a holding goes, which is the contract of no target."""
    symbol = holding.position.symbol
    if targets.gives_up(holding):
        return "target weight 0"
    if symbol not in targets.symbols:
        return "not in the targets"
    meant = snapshot.targets[symbol]
    return (
        f"not in the targets, where {symbol} means another contract ({meant.primary_exchange}, con_id {meant.con_id})"
    )


def _untouched(holding: Holding, reason: str) -> Untouched:
    position = holding.position
    return Untouched(
        symbol=position.symbol,
        con_id=position.con_id,
        primary_exchange=holding.primary_exchange,
        security_type=position.security_type,
        currency=position.currency,
        quantity=position.quantity,
        market_value=holding.market_value,
        reason=reason,
    )


def _usable_prices(con_id: ConId, snapshot: Snapshot, limits: Limits) -> Prices | _NoPrices:
    quote = snapshot.quotes.get(con_id)
    prices = prices_of(quote)
    if quote is None or prices is None:
        return _NoPrices("PRICE_MISSING", snapshot.unquoted.get(con_id) or unpriced(quote))
    age_s = quote.age_s(snapshot.assembled_at)
    if age_s > limits.max_quote_age_s:
        limit = f"the limit is {limits.max_quote_age_s} s (max_quote_age_s)"
        return _NoPrices(
            "PRICE_STALE",
            NoQuote(
                reason=f"its quote is {age_s.to_integral_value(ROUND_CEILING)} s old, {limit}",
                remedy="Run the command again; if the gateway stays that slow, raise max_quote_age_s under limits: in "
                "accounts.yaml.",
            ),
        )
    return prices
