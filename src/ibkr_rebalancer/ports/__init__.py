"""What the flows need from the outside world, and nothing about who provides it."""

from ibkr_rebalancer.ports.events import EventSink, EventSource
from ibkr_rebalancer.ports.gateway import EXECUTE, Gateway, GatewaySession, MarketView, OrderDesk, WhatIf
from ibkr_rebalancer.ports.journal import Controls, Halt, Inbox, Ledger, RunRecord
from ibkr_rebalancer.ports.world import AllocationSource, Clock, Observer, Supervisor

__all__ = [
    "EXECUTE",
    "AllocationSource",
    "Clock",
    "Controls",
    "EventSink",
    "EventSource",
    "Gateway",
    "GatewaySession",
    "Halt",
    "Inbox",
    "Ledger",
    "MarketView",
    "Observer",
    "OrderDesk",
    "RunRecord",
    "Supervisor",
    "WhatIf",
]
