"""One client's connection to the app: frames in, outputs out. No I/O; the time is an argument."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ibkr_rebalancer.sandbox.ably.app import App
from ibkr_rebalancer.sandbox.ably.channels import CONTINUITY_MS, Batch, Channel
from ibkr_rebalancer.sandbox.ably.keys import Grant
from ibkr_rebalancer.sandbox.ably.messages import MAX_MESSAGE_SIZE, read_drafts
from ibkr_rebalancer.sandbox.ably.protocol import Action, Flag, Frame, Refused, name_of, plain

SECRETS = ("auth", "connectionKey", "connectionDetails")
"""What the log must not learn of a frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    frame: Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The WebSocket, with this code, once what was sent is out; without one the socket is cut at once."""

    code: int | None = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """For the log."""

    record: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """To be delivered to all, this client among them."""

    batch: Batch


Output = Send | Close | Note | Published


class Session:
    def __init__(self, app: App, *, binary: bool) -> None:
        self.connection_id: str | None = None
        self.client_id: str | None = None
        self._app = app
        self._binary = binary
        self._key = ""
        self._grant: Grant | None = None
        self._attached: set[str] = set()

    def open(self, query: Mapping[str, str], now: datetime) -> list[Output]:
        """Begin, with the query of the WebSocket's URL."""
        try:
            self._authorize(query, now)
        except Refused as refused:
            return [*self._sent({"action": Action.ERROR, "error": refused.info}), Close()]
        wanted = query.get("resume")
        self.connection_id, self._key, resumed = self._app.connect(wanted, now)
        failed = wanted is not None and not resumed
        error = Refused(80018, 400, "the connection can't be resumed").info if failed else None
        return self._sent(self._connected(error))

    def receive(self, frame: Frame, now: datetime) -> list[Output]:
        """Act on what the client sent."""
        received: list[Output] = [self._note("in", frame)]
        try:
            return received + self._act(frame, now)
        except Refused as refused:
            return received + self._sent(
                {"action": Action.ERROR, "channel": frame.get("channel"), "error": refused.info}
            )

    def deliver(self, batch: Batch) -> list[Output]:
        """Send messages that were just published, if the client is attached to their channel."""
        return self._messages([batch]) if batch.channel in self._attached else []

    def heartbeat(self) -> list[Output]:
        return self._sent({"action": Action.HEARTBEAT})

    def disconnected(self, now: datetime) -> None:
        self._app.disconnected(self._key, now)

    def _authorize(self, query: Mapping[str, str], now: datetime) -> None:
        token = query.get("accessToken", query.get("access_token"))
        if token is not None:
            self._grant = self._app.keyring.by_token(token, now)
        else:
            self._grant = self._app.keyring.by_key(query.get("key", ""))
        self.client_id = self._grant.client_id or query.get("clientId")

    def _connected(self, error: Frame | None = None) -> Frame:
        details = {
            "connectionKey": self._key,
            "clientId": self.client_id,
            "connectionStateTtl": CONTINUITY_MS,
            "maxIdleInterval": self._app.settings.max_idle_ms,
            "maxMessageSize": MAX_MESSAGE_SIZE,
            "serverId": "sandbox",
        }
        return {
            "action": Action.CONNECTED,
            "connectionId": self.connection_id,
            "connectionKey": self._key,
            "connectionDetails": {key: value for key, value in details.items() if value is not None},
            "error": error,
        }

    def _act(self, frame: Frame, now: datetime) -> list[Output]:
        match frame.get("action"):
            case Action.HEARTBEAT:
                return self._sent({"action": Action.HEARTBEAT, "id": frame.get("id")})
            case Action.ATTACH:
                return self._attach(frame, now)
            case Action.DETACH:
                self._attached.discard(frame["channel"])
                return self._sent({"action": Action.DETACHED, "channel": frame["channel"]})
            case Action.MESSAGE:
                return self._publish(frame, now)
            case Action.AUTH:
                self._grant = self._app.keyring.by_token(str((frame.get("auth") or {}).get("accessToken")), now)
                return self._sent(self._connected())
            case Action.CLOSE:
                self._app.closed(self._key)
                return [*self._sent({"action": Action.CLOSED}), Close()]
            case _:
                raise Refused(40000, 400, f"the sandbox knows nothing of action {name_of(frame)}")

    def _attach(self, frame: Frame, now: datetime) -> list[Output]:
        name = frame["channel"]
        self._granted("subscribe", name, now)
        channel = self._app.channel(name, now)
        resumed, backlog, error = self._backlog(channel, frame, now)
        self._attached.add(name)
        answer = {
            "action": Action.ATTACHED,
            "channel": name,
            # A client that is cut before it has the backlog must be able to come back for it.
            "channelSerial": frame["channelSerial"] if resumed else channel.position,
            "flags": Flag.SUBSCRIBE | (Flag.RESUMED if resumed else 0) | (Flag.HAS_BACKLOG if backlog else 0),
            "params": frame.get("params") or {},
            "error": error,
        }
        note = Note(record={"event": "attached", "channel": name, "resumed": resumed})
        return [note, *self._sent(answer), *self._messages(backlog)]

    def _backlog(self, channel: Channel, frame: Frame, now: datetime) -> tuple[bool, list[Batch], Frame | None]:
        """Whether the client goes on where it was, what it gets to see again, and what it must be told."""
        serial = frame.get("channelSerial")
        rewind = (frame.get("params") or {}).get("rewind")
        if serial is not None:
            missed = channel.since(serial, now)
            if missed is not None:
                return True, missed, None
            return False, [], Refused(90003, 404, "messages since the channel serial are no longer there").info
        return False, channel.rewound(str(rewind), now) if rewind is not None else [], None

    def _publish(self, frame: Frame, now: datetime) -> list[Output]:
        number, name = frame.get("msgSerial", 0), frame["channel"]
        try:
            self._granted("publish", name, now)
            drafts = read_drafts(frame.get("messages"))
            batch = self._app.publish(name, drafts, now, connection_id=self.connection_id)
        except Refused as refused:
            return self._sent({"action": Action.NACK, "msgSerial": number, "count": 1, "error": refused.info})
        if batch is None:
            serials = self._app.channel(name, now).serials_of(draft.id for draft in drafts)
        else:
            serials = [message.serial for message in batch.messages]
        answer = {"action": Action.ACK, "msgSerial": number, "count": 1, "res": [{"serials": serials}]}
        return [*([] if batch is None else [Published(batch=batch)]), *self._sent(answer)]

    def _granted(self, operation: str, channel: str, now: datetime) -> None:
        if self._grant is None:
            raise Refused(40101, 401, "not authorized")
        self._grant.check_time(now)
        self._grant.check(operation, channel)

    def _messages(self, batches: Iterable[Batch]) -> list[Output]:
        outputs: list[Output] = []
        for batch in batches:
            outputs += self._sent(
                {
                    "action": Action.MESSAGE,
                    "id": batch.id,
                    "channel": batch.channel,
                    "channelSerial": batch.serial,
                    "timestamp": batch.timestamp,
                    "messages": [message.document(binary=self._binary) for message in batch.messages],
                }
            )
            outputs.append(
                Note(
                    record={
                        "event": "delivered",
                        "channel": batch.channel,
                        "serials": [message.serial for message in batch.messages],
                        "ids": [message.id for message in batch.messages],
                    }
                )
            )
        return outputs

    def _sent(self, frame: Frame) -> list[Output]:
        """The frame without what is nothing, and that it was sent."""
        sent = {key: value for key, value in frame.items() if value is not None}
        return [self._note("out", sent), Send(frame=sent)]

    def _note(self, direction: str, frame: Frame) -> Note:
        shown = {key: value for key, value in frame.items() if key not in SECRETS}
        return Note(record={"dir": direction, "message": name_of(frame), "fields": plain(shown)})
