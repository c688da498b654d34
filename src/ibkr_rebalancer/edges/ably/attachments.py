"""A channel of a realtime client: what the SDK says of it, and how it is asked for again once it has failed.

The SDK never attaches a failed channel again by itself. It does when it is told to, over the same connection: what is
wrong with one channel costs the others nothing. But where the key is refused, it would be so for as long as the
connection lasts.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ably.types.channelstate import ChannelState

from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.ably.pauses import Pauses
from ibkr_rebalancer.edges.ably.troubles import AblyTrouble, Kind, Trouble, answer_of, trouble_of

UNATTACHED = Trouble(kind=Kind.LINE, why="the channel was not attached in time")


class Attachment:
    """One channel."""

    def __init__(self, channel: Any, deadlines: Deadlines, now: float) -> None:
        self.again_at: float | None = None
        """When it is asked for again; None unless it has failed for a reason that may pass."""
        self._channel = channel
        self._deadlines = deadlines
        self._changed_at = now
        self._pauses = Pauses(deadlines, deadlines.longest_pause_s)
        self._reason: Trouble | None = None
        """Why it is not attached, as far as the SDK has said."""
        self._asking: asyncio.Task[None] | None = None

    @property
    def is_attached(self) -> bool:
        return bool(self._channel.state == ChannelState.ATTACHED)

    @property
    def has_failed(self) -> bool:
        return bool(self._channel.state == ChannelState.FAILED)

    @property
    def is_refused(self) -> bool:
        """Whether the key may not have it."""
        return self.has_failed and self._reason is not None and self._reason.is_refusal

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with it; None while it is attached."""
        return None if self.is_attached else self._reason or UNATTACHED

    def hear(self, change: Any, now: float) -> None:
        """The SDK tells of a change of its state."""
        if change.current == ChannelState.FAILED:
            self._reason = _of_this_channel(trouble_of(change.reason))
            self.again_at = None if self._reason.is_refusal else now + self._pauses.after(self._reason)
        elif change.current == ChannelState.ATTACHED:
            self._reason = None
        elif change.reason is not None:
            self._reason = trouble_of(change.reason)
        if change.current != ChannelState.FAILED:
            self.again_at = None
        if change.previous == ChannelState.ATTACHED and now - self._changed_at > self._deadlines.storm_s:
            self._pauses.start_over()
        self._changed_at = now

    def is_stuck(self, now: float) -> bool:
        """Whether the SDK has forgotten that it is attaching it: by its own timers it has long given that up."""
        return bool(self._channel.state == ChannelState.ATTACHING) and now - self._changed_at > self._deadlines.attach_s

    def ask_again(self, now: float, when_answered: Callable[[], None]) -> None:
        """Ask for it once more if it has failed and its pause is over."""
        if self.again_at is not None and now >= self.again_at:
            self.again_at = now + self._deadlines.answer_s
            self._asking = asyncio.create_task(self._attach())
            self._asking.add_done_callback(lambda _: when_answered())

    async def _attach(self) -> None:
        """What comes of it is heard as a change."""
        try:
            await answer_of(self._channel.attach, within_s=self._deadlines.answer_s)
        except AblyTrouble as failure:
            self._reason = self._reason or failure.trouble


def _of_this_channel(trouble: Trouble) -> Trouble:
    if trouble.kind is Kind.CAPABILITY:
        return replace(trouble, why="the API key may not subscribe to them (error 40160)")
    return trouble
