"""What all settings become together: the values that the rest of the program goes by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ibkr_rebalancer.core.addresses import is_loopback
from ibkr_rebalancer.core.errors import ConfigError
from ibkr_rebalancer.core.notifications import Wishes
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import TradingMode

CLIENT_IDS = 10
"""How many API client ids one installation uses, from IBKR_CLIENT_ID upwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where the IB Gateway or TWS listens, and as whom we speak to it."""

    host: str
    port: int
    client_id: int
    """The first of `CLIENT_IDS` consecutive ones."""


ABLY_KEY = re.compile(r"[^:]+:[^:]+")
"""What an API key of Ably's looks like. Only `watch` needs one: to others a placeholder in .env does no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Realtime:
    """Where events come from."""

    api_key: str | None = field(repr=False)
    """Ably's, as `name:secret`; None if there is none, and then nothing can be watched."""
    endpoint: str | None
    """`https://host[:port]`, or plain http on this machine; None: Ably itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """Where word of what happens is sent, and what of it."""

    addresses: tuple[str, ...] = field(repr=False)
    """Of notifications, as apprise writes them; empty if nobody is told."""
    wishes: Wishes
    heartbeat_url: str | None = field(repr=False)
    """Asked every minute while a watch works; None if nobody minds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that the owner decided, checked."""

    accounts: tuple[Account, ...]
    """In the order of the file; at least one, disabled ones included."""
    mode: TradingMode
    gateway: Gateway
    allocations_api_keys: Mapping[str, str] = field(repr=False)
    """By the variables that hold them; one that is not set is not in it."""
    realtime: Realtime
    outbound: Outbound
    log_level: str
    """One of `schema.LOG_LEVELS`."""
    config_path: Path
    """The accounts.yaml that was read."""
    state_path: Path
    """The folder of the journal; it may not be there yet."""
    secrets: tuple[str, ...] = field(repr=False)
    """Every text that must not be seen in a log or message."""
    doubts: tuple[str, ...]
    """Sentences about what is allowed, but hardly meant."""
    exposed: tuple[Path, ...]
    """The .env files that other users of this machine may read."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about all that its owner should know."""
        return (
            *self.doubts,
            *(f"Other users of this machine may read {path}; run: chmod 600 {path}" for path in self.exposed),
        )


def realtime_key(settings: Settings) -> str:
    """The key to receive events with.

    Raises:
        ConfigError: there is none (`CONFIG_MISSING_KEY`), it is none of Ably's (`CONFIG_INVALID_VALUE`), or real money
            would follow whatever speaks on this machine (`CONFIG_CONFLICT`).
    """
    realtime, mode = settings.realtime, settings.mode
    if realtime.api_key is None:
        raise ConfigError(
            "CONFIG_MISSING_KEY",
            "REALTIME_API_KEY is not set, and without it no event can be received.",
            hint="Set it in the environment or in .env: an Ably key that may subscribe and read history.",
        )
    if not ABLY_KEY.fullmatch(realtime.api_key):
        raise ConfigError(
            "CONFIG_INVALID_VALUE",
            "REALTIME_API_KEY is no key of Ably's: it has not the form name:secret.",
            hint="Copy the whole key from the app's API keys at Ably.",
        )
    if realtime.endpoint is not None and is_loopback(realtime.endpoint) and mode is TradingMode.LIVE:
        raise ConfigError(
            "CONFIG_CONFLICT",
            f"REALTIME_ENDPOINT is {realtime.endpoint}, and TRADING_MODE is live: "
            "whatever speaks there on this machine would move real money.",
            hint="Remove REALTIME_ENDPOINT to listen to Ably, or set TRADING_MODE=paper.",
        )
    return realtime.api_key
