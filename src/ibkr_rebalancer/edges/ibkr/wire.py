"""What may be sent to a gateway by a command that only looks. None of it trades."""

# ruff: noqa: N802 (the names of requests are ib_async's)

from typing import Protocol

from ib_async import Contract, TagValue


class Wire(Protocol):
    """The requests of ib_async's `Client` that read; a market view reaches the socket through these alone."""

    def reqCurrentTime(self) -> None: ...
    def reqPositions(self) -> None: ...
    def cancelPositions(self) -> None: ...
    def reqAccountUpdates(self, subscribe: bool, account: str) -> None: ...
    def reqContractDetails(self, number: int, contract: Contract) -> None: ...
    def reqMarketDataType(self, kind: int) -> None: ...
    def reqMktData(
        self,
        number: int,
        contract: Contract,
        generic_ticks: str,
        snapshot: bool,
        regulatory_snapshot: bool,
        options: list[TagValue],
    ) -> None: ...
    def cancelMktData(self, number: int) -> None: ...
