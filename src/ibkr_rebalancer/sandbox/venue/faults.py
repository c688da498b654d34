"""The fault switchboard: one record shape for everything that can go wrong.

Pure but for the count of what has matched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Action = Literal["error", "notice", "drop", "mute", "delay", "duplicate", "alter", "garbage", "disconnect"]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""What a fault does to the message it meets:

- `error {code, text}`: this error is sent instead; a request is not acted on
- `notice {code, text}`: this system message is sent first, then all goes on
- `drop`: the message is lost; a request is never answered
- `mute`: from here on this connection says nothing more, and stays open
- `delay {ms}`: the message, or all answers to the request, come later; others may overtake them
- `duplicate`: the message, or all answers to the request, come twice
- `alter {field: value}`: fields of the message say something else
- `garbage {hex}`: these bytes are sent instead, unframed
- `disconnect`: the socket is closed instead
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    message: str
    """The kind of message it waits for: a request, an answer, or `connect` (a socket is accepted),
    `handshake` (the version is sent), `frame` (anything is sent)."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Fields the message must carry, by their names on the wire."""
    client: int | None = None
    after: int = 0
    """Matches let through first, counted over all connections."""
    count: int | None = None
    """How often it strikes; None is always."""
    action: Action
    parameters: Mapping[str, str | int] = field(default_factory=dict)


class Switchboard:
    """The faults in force and how often each was met; replacing the faults forgets the counts."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self._met = [0] * len(faults)

    def strike(self, message: str, values: Mapping[str, str], client: int | None) -> list[Fault]:
        """The faults that this message provokes, in their order."""
        struck = []
        for index, fault in enumerate(self.faults):
            if _concerns(fault, message, values, client):
                met = self._met[index]
                self._met[index] += 1
                if met >= fault.after and (fault.count is None or met < fault.after + fault.count):
                    struck.append(fault)
        return struck


def _concerns(fault: Fault, message: str, values: Mapping[str, str], client: int | None) -> bool:
    return (
        fault.message == message
        and fault.client in {None, client}
        and all(values.get(name) == value for name, value in fault.where.items())
    )
