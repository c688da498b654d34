"""What the allocation API answers. Pure value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    body: object = None
    """Sent as JSON; text is sent as it stands."""
    status: int = 200
    delay_ms: int = 0
    """Before the first byte."""
    location: str | None = None
    """Where a redirect leads."""
    gzip: bool = False
    drip_ms: int = 0
    """Pause after every single byte; 0 sends the body at once."""
    endless: bool = False
    """After the body come spaces without end."""
