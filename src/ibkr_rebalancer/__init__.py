"""Rebalance Interactive Brokers accounts to target weights, cash-safe and in whole shares.

    from ibkr_rebalancer import Rebalancer

    async with Rebalancer.open("accounts.yaml") as rebalancer:
        plan = await rebalancer.plan("DU123456")

The names below are the public API; everything else may change between versions. They are imported when they are
first used, so that importing the package costs nothing.
"""

from ibkr_rebalancer.version import __version__

TYPE_CHECKING = False  # what type checkers take for true, without the import of typing
if TYPE_CHECKING:
    from typing import Any

    from ibkr_rebalancer.app import Rebalancer
    from ibkr_rebalancer.config.settings import Settings
    from ibkr_rebalancer.core.errors import (
        AllocationRejected,
        AllocationUnavailable,
        Busy,
        ConfigError,
        Deferred,
        GatewayRefused,
        GatewayUnavailable,
        Halted,
        RebalancerError,
        Refused,
        StorageFailed,
        UnknownOutcome,
        UsageError,
    )
    from ibkr_rebalancer.core.plan import Plan
    from ibkr_rebalancer.core.purpose import Purpose
    from ibkr_rebalancer.core.report import Report
    from ibkr_rebalancer.records import Records

__all__ = [
    "AllocationRejected",
    "AllocationUnavailable",
    "Busy",
    "ConfigError",
    "Deferred",
    "GatewayRefused",
    "GatewayUnavailable",
    "Halted",
    "Plan",
    "Purpose",
    "Rebalancer",
    "RebalancerError",
    "Records",
    "Refused",
    "Report",
    "Settings",
    "StorageFailed",
    "UnknownOutcome",
    "UsageError",
    "__version__",
]

_HOMES = {
    "Rebalancer": "app",
    "Records": "records",
    "Settings": "config.settings",
    "Plan": "core.plan",
    "Purpose": "core.purpose",
    "Report": "core.report",
}


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'core.errors')}"), name)
