"""One Ably app: its keys, its channels and the connections it remembers. No I/O; the time is an argument."""

from collections.abc import Iterable
from datetime import datetime
from itertools import count

from ibkr_rebalancer.sandbox.ably.channels import CONTINUITY_MS, Batch, Channel
from ibkr_rebalancer.sandbox.ably.keys import Key, Keyring, milliseconds
from ibkr_rebalancer.sandbox.ably.messages import Draft
from ibkr_rebalancer.sandbox.venue.channels import Realtime
from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.faults import RealtimeFault, Switchboard

WATCHER = "sandbox.watcher"
PUBLISHER = "sandbox.publisher"
"""Names of the keys: one that listens and reads history, and one that publishes. Their secrets are no secrets, since
they open nothing but this process."""


class App:
    def __init__(self, settings: Realtime, faults: tuple[RealtimeFault, ...] = ()) -> None:
        self.settings = settings
        self.switchboard = Switchboard(faults)
        self.keyring = Keyring(_keys(settings), token_ttl_ms=settings.token_ttl_ms)
        self._channels: dict[str, Channel] = {}
        self._numbers = count(1)
        self._connections: dict[str, str] = {}
        self._lost: dict[str, int] = {}

    @property
    def watcher_key(self) -> str:
        return _keys(self.settings)[0].text

    @property
    def publisher_key(self) -> str:
        return _keys(self.settings)[1].text

    def become(self, settings: Realtime, faults: tuple[RealtimeFault, ...] = ()) -> None:
        """Take on other settings; counts of faults are kept unless the faults are others."""
        self.settings = settings
        if faults != self.switchboard.faults:
            self.switchboard = Switchboard(faults)
        self.keyring.replace_keys(_keys(settings))
        self.keyring.token_ttl_ms = settings.token_ttl_ms

    def channel(self, name: str, now: datetime) -> Channel:
        """The channel as it is kept at this time; each exists once it is named."""
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name, now)
        channel.forget(now, retention_ms=self.settings.retention_ms)
        return channel

    def publish(
        self, channel: str, drafts: Iterable[Draft], now: datetime, *, connection_id: str | None = None
    ) -> Batch | None:
        """Take messages in; None if all of them were there already.

        Raises:
            Refused: they update or delete what isn't kept.
        """
        return self.channel(channel, now).publish(drafts, now, connection_id=connection_id)

    def serials_of(self, channel: str, drafts: Iterable[Draft], batch: Batch | None, now: datetime) -> list[str]:
        """Of what was published, now or before."""
        if batch is None:
            return self.channel(channel, now).serials_of(draft.id for draft in drafts)
        return [message.serial for message in batch.messages]

    def position(self, channel: str) -> str | None:
        """Where the channel stands."""
        return self._channels[channel].position if channel in self._channels else None

    def connect(self, resume: str | None, now: datetime) -> tuple[str, str, bool]:
        """A connection's id and its key; and whether it is the one that was to be resumed."""
        known = self._connections.pop(resume, None) if resume is not None else None
        lost = self._lost.pop(resume, None) if resume is not None else None
        resumed = known is not None and (lost is None or milliseconds(now) - lost <= CONTINUITY_MS)
        number = next(self._numbers)
        connection_id = known if resumed and known is not None else f"connection-{number}"
        key = f"{connection_id}!{number}"
        self._connections[key] = connection_id
        return connection_id, key, resumed

    def disconnected(self, connection_key: str, now: datetime) -> None:
        """The connection is gone, and may be resumed for a while."""
        if connection_key in self._connections:
            self._lost[connection_key] = milliseconds(now)

    def closed(self, connection_key: str) -> None:
        """The client has closed it: there is nothing to resume."""
        self._connections.pop(connection_key, None)
        self._lost.pop(connection_key, None)

    def disturb(self, action: str, parameters: Document, now: datetime) -> None:
        """One of `DISTURBANCES`, as far as it concerns what the app remembers."""
        match action:
            case "forget":
                self._connections.clear()
                self._lost.clear()
            case "lose_continuity":
                self.channel(parameters["channel"], now).lose_continuity(now)
            case "expire_tokens":
                self.keyring.expire_tokens()


def _keys(settings: Realtime) -> list[Key]:
    names = settings.channels or ("*",)
    return [
        Key(name=WATCHER, secret="watcher-secret", capability=dict.fromkeys(names, settings.operations)),  # noqa: S106
        Key(name=PUBLISHER, secret="publisher-secret", capability=dict.fromkeys(names, ("publish",))),  # noqa: S106
    ]
