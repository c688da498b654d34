"""Every time that listening to Ably goes by, in seconds."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long Ably may take, how often it is asked, and how patient we are with what goes wrong."""

    answer_s: float = 10.0
    """For one answer, on the socket as over REST."""
    retry_s: float = 15.0
    """Between two tries of Ably's client to connect or attach; it knows no growing pauses."""
    close_s: float = 2.0
    """For a client to say goodbye before it is dropped."""

    ping_every_s: float = 20.0
    pong_s: float = 5.0
    """For the echo of a ping."""
    attach_s: float = 60.0
    """Without a connection, or without any channel that has not failed, before the client is given up."""
    storm_s: float = 60.0
    """Within which a client may connect `storm_connects` times; and how long it must live to be called a success."""
    storm_connects: int = 6

    shortest_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    """Between two clients, or two failed tries to attach a channel or to read history, doubling from the one to the
    other."""
    refused_pause_s: float = 300.0
    """Where Ably says no to the key, on one channel or on all, and so will the next time."""

    history_every_s: float = 30.0
    """Between two looks at history when nothing calls for one. Less than what Ably keeps, by far."""
    overlap_s: float = 120.0
    """How much of what was looked at before is looked at again: messages come into history late, and out of order."""
    patience_s: float = 60.0
    """Trouble that is over sooner is not told."""

    @property
    def overlap(self) -> timedelta:
        return timedelta(seconds=self.overlap_s)


DEADLINES = Deadlines()
