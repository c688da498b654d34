"""What the lines of a view are called, so that two contracts of one symbol can be told apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from ibkr_rebalancer.core.instruments import STOCK, ConId
from ibkr_rebalancer.core.plan import Skip, Trade, Untouched
from ibkr_rebalancer.core.portfolio import Holding


@dataclass(frozen=True, slots=True)
class Instrument:
    """What tells the lines of a view apart."""

    symbol: str
    security_type: str
    primary_exchange: str
    con_id: ConId


def planned_instrument(line: Trade | Skip | Untouched) -> Instrument:
    security_type = line.security_type if isinstance(line, Untouched) else STOCK
    return Instrument(line.symbol, security_type, line.primary_exchange, line.con_id)


def held_instrument(holding: Holding) -> Instrument:
    position = holding.position
    return Instrument(position.symbol, position.security_type, holding.primary_exchange, position.con_id)


def labels_of(instruments: Iterable[Instrument]) -> Mapping[ConId, str]:
    """The symbol of each contract; of those that share it with the exchange, or if that is the same, the con_id."""

    def name(instrument: Instrument) -> tuple[str, str]:
        return instrument.symbol, instrument.security_type

    labels = {}
    for (symbol, _), group in groupby(sorted(instruments, key=name), key=name):
        alike = list(group)
        exchanges = {instrument.primary_exchange for instrument in alike}
        apart = len(exchanges) == len(alike) and "" not in exchanges
        for one in alike:
            mark = f" {one.primary_exchange if apart else one.con_id}" if len(alike) > 1 else ""
            labels[one.con_id] = f"{symbol}{mark}"
    return labels
