"""What a scenario says of the channels that events are published on. Pure value."""

from dataclasses import dataclass

OPERATIONS = ("subscribe", "history", "publish", "presence", "*")
"""That a key may be given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Realtime:
    channels: tuple[str, ...] = ()
    """Those that the keys open; none are all."""
    operations: tuple[str, ...] = ("subscribe", "history")
    """What the watcher's key may do on them."""
    retention_ms: int = 120_000
    """How long messages are kept for history."""
    max_idle_ms: int = 15_000
    """A connection hears something at least as often."""
    token_ttl_ms: int = 3_600_000
    """Of tokens that are requested without saying."""
