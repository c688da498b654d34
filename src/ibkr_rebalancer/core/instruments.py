"""Contracts: what a symbol of the targets means at Interactive Brokers, decided once and by `conId`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NewType

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.hours import Session

ConId = NewType("ConId", int)
"""Interactive Brokers' number of a contract; the only identity of an instrument."""

STOCK = "STK"
"""The security type of shares and of ETFs alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractQuery:
    """What is asked of the gateway: a symbol, narrowed by the owner's `contracts:` entry if there is one."""

    symbol: str
    con_id: ConId | None = None
    exchange: str = "SMART"
    currency: str = "USD"
    primary_exchange: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One instrument as the gateway describes it."""

    con_id: ConId
    symbol: str
    security_type: str
    currency: str
    primary_exchange: str
    name: str
    tick_size: Decimal
    """Smallest price step, in `currency`."""
    price_magnifier: int
    """How many of the units that its prices are in make one of `currency`: 100 where shares are quoted in pence."""
    sessions: tuple[Session, ...] | None
    """Regular trading sessions the gateway announced; None when it gave none that can be read."""


def choose_contract(query: ContractQuery, candidates: Sequence[Contract]) -> Contract:
    """The one contract that `query` means.

    Raises:
        Refused: there is none (`CONTRACT_UNKNOWN`), there are several (`CONTRACT_AMBIGUOUS`), it is another than
            was asked for (`CONTRACT_MISMATCH`), or it is not a stock or ETF (`CONTRACT_NOT_A_STOCK`).
    """
    require_known({query: candidates})
    distinct = {contract.con_id: contract for contract in candidates}
    if len(distinct) > 1:
        listed = "; ".join(_candidate(contract) for contract in distinct.values())
        raise Refused(
            "CONTRACT_AMBIGUOUS",
            f"{_described(query)} can mean {len(distinct)} contracts: {listed}.",
            hint=f"Choose one in accounts.yaml: contracts: {{{query.symbol}: {{con_id: …}}}}.",
        )
    (contract,) = distinct.values()
    if query.con_id not in {None, contract.con_id}:
        raise Refused(
            "CONTRACT_MISMATCH",
            f"{_described(query)} was asked for, but Interactive Brokers answered with {contract.symbol}: "
            f"{_candidate(contract)}.",
            hint="Run the command again; if it lasts, restart the gateway.",
        )
    if contract.security_type != STOCK:
        raise Refused(
            "CONTRACT_NOT_A_STOCK",
            f"{_described(query)} is a {contract.security_type} contract; only stocks and ETFs are traded.",
            hint=f"Name a stock or ETF for {query.symbol} in accounts.yaml, or remove it from the targets.",
        )
    return contract


def require_known(found: Mapping[ContractQuery, Sequence[Contract]]) -> None:
    """Check that each query has a contract at all; those that have none are named together.

    Raises:
        Refused: some have not (`CONTRACT_UNKNOWN`).
    """
    unknown = [query for query, candidates in found.items() if not candidates]
    if unknown:
        plural = "" if len(unknown) == 1 else "s"
        entries = ", ".join(f"{query.symbol}: {{con_id: …}}" for query in unknown)
        raise Refused(
            "CONTRACT_UNKNOWN",
            f"Interactive Brokers knows no contract for {', '.join(map(_described, unknown))}.",
            hint=f"Correct the symbol{plural} at the allocation source, or name the contract{plural}: "
            f"contracts: {{{entries}}} in accounts.yaml.",
        )


def require_unchanged(chosen: Mapping[ContractQuery, Contract], pinned: Mapping[ContractQuery, ConId]) -> None:
    """Check that what was looked up by name is what it was when we traded on it: a name may pass to another company.

    Raises:
        Refused: a name means another contract now (`CONTRACT_CHANGED`).
    """
    changed = {query: now for query, now in chosen.items() if pinned.get(query, now.con_id) != now.con_id}
    if not changed:
        return
    told = "; ".join(
        f"{_described(query)} meant con_id {pinned[query]} when it was traded last, and now means {_candidate(now)}"
        for query, now in changed.items()
    )
    entries = ", ".join(f"{query.symbol}: {{con_id: {now.con_id}}}" for query, now in changed.items())
    raise Refused(
        "CONTRACT_CHANGED",
        f"{told}. Nothing was sent.",
        hint=f"If the new contract is meant, say so in accounts.yaml, and leave it there: contracts: {{{entries}}}; "
        "or name the old one there.",
    )


def _described(query: ContractQuery) -> str:
    if query.con_id is not None:
        return f"{query.symbol} (con_id {query.con_id})"
    venue = f"{query.exchange}/{query.currency}"
    return f"{query.symbol} ({venue}{f', {query.primary_exchange}' if query.primary_exchange else ''})"


def _candidate(contract: Contract) -> str:
    return f"con_id {contract.con_id} {contract.primary_exchange} {contract.currency} {contract.name}"
