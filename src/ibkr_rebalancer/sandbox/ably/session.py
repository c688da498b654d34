"""One client's connection to the app: frames in, outputs out. No I/O; the time is an argument. Faults strike here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ibkr_rebalancer.sandbox.ably.app import App
from ibkr_rebalancer.sandbox.ably.channels import CONTINUITY_MS, Batch, Channel
from ibkr_rebalancer.sandbox.ably.faults import INSTEAD, UNDECODABLE, altered, error_of, fields_of
from ibkr_rebalancer.sandbox.ably.keys import Grant
from ibkr_rebalancer.sandbox.ably.messages import MAX_MESSAGE_SIZE, read_drafts
from ibkr_rebalancer.sandbox.ably.protocol import Action, Flag, Frame, Refused, name_of, plain
from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.faults import RealtimeFault

SECRETS = ("auth", "connectionKey", "connectionDetails")
"""What the log must not learn of a frame."""
REQUEST_NAMES = {"MESSAGE": "publish", "HEARTBEAT": "ping"}
"""Frames that go either way, as faults call those of the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    frame: Frame
    delay_ms: int = 0
    padding: int = 0
    """So many bytes are added, which mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBytes:
    """Something that is no frame."""

    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The WebSocket with this code, once what was sent is out; without one the socket is cut at once."""

    code: int | None = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """For the log."""

    record: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """To be delivered to all, this client among them; None was there before."""

    channel: str
    batch: Batch | None


Output = Send | SendBytes | Close | Note | Published


class Session:
    def __init__(self, app: App, *, binary: bool) -> None:
        self.connection_id: str | None = None
        self.client_id: str | None = None
        self._app = app
        self._binary = binary
        self._key = ""
        self._grant: Grant | None = None
        self._attached: set[str] = set()
        self._held: dict[str, list[Output]] = {}
        """What is to come after the next frame of its kind."""
        self._echoes = True
        self._beats = True
        self._silent = False
        self._closed = False

    def open(self, query: Mapping[str, str], now: datetime) -> list[Output]:
        """Begin, with the query of the WebSocket's URL."""
        self._echoes, self._beats = query.get("echo") != "false", query.get("heartbeats") != "false"
        try:
            self._authorize(query, now)
        except Refused as refused:
            return [*self._sent({"action": Action.ERROR, "error": refused.info}), *self._close()]
        wanted = query.get("resume")
        self.connection_id, self._key, resumed = self._app.connect(wanted, now)
        note = Note(record={"event": "connected", "resume": wanted is not None, "resumed": resumed})
        failed = wanted is not None and not resumed
        error = Refused(80018, 400, "the connection can't be resumed").info if failed else None
        return [note, *self._sent(self._connected(error))]

    def receive(self, frame: Frame, now: datetime) -> list[Output]:
        """Act on what the client sent."""
        received: list[Output] = [Note(record={"dir": "in", **shown(frame)})]
        if self._closed:
            return received
        name = name_of(frame)
        faults = self._strike(REQUEST_NAMES.get(name, name), frame)
        answers: list[Output] = []
        if not any(fault.action in INSTEAD for fault in faults):
            try:
                answers = self._act(frame, now)
            except Refused as refused:
                answers = self._sent({"action": Action.ERROR, "channel": frame.get("channel"), "error": refused.info})
        return [*received, *self._struck(answers, faults, frame)]

    def deliver(self, batch: Batch) -> list[Output]:
        """Send messages that were just published, if the client is to have them."""
        own = batch.messages[0].connection_id == self.connection_id
        wanted = batch.channel in self._attached and (self._echoes or not own)
        return self._messages([batch]) if wanted else []

    def tick(self, now: datetime) -> list[Output]:
        """Nothing was sent for a while: send a heartbeat, or say that the token is over."""
        try:
            if self._grant is not None:
                self._grant.check_time(now)
        except Refused:
            return self._expired()
        return self._sent({"action": Action.HEARTBEAT}) if self._beats else []

    def disturb(self, action: str, parameters: Document) -> list[Output]:
        """One of `DISTURBANCES`, as far as it concerns this connection."""
        match action:
            case "abort":
                return self._close(None)
            case "close":
                return self._close(parameters.get("code", 1000))
            case "send":
                return [Send(frame=parameters["frame"])]
            case "stall":
                self._silent = True
            case "discontinuity" if parameters["channel"] in self._attached:
                return self._sent(
                    {
                        "action": Action.ATTACHED,
                        "channel": parameters["channel"],
                        "channelSerial": self._app.position(parameters["channel"]),
                        "flags": Flag.SUBSCRIBE,
                        "error": Refused(80016, 400, "continuity of the channel is lost").info,
                    }
                )
            case "expire_tokens" if self._grant is not None and self._grant.expires is not None:
                return self._expired()
        return []

    def disconnected(self, now: datetime) -> None:
        self._closed = True
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
                self._attached.discard(_channel(frame))
                return self._sent({"action": Action.DETACHED, "channel": _channel(frame)})
            case Action.MESSAGE:
                return self._publish(frame, now)
            case Action.AUTH:
                self._grant = self._app.keyring.by_token(str((frame.get("auth") or {}).get("accessToken")), now)
                return self._sent(self._connected())
            case Action.CLOSE:
                self._app.closed(self._key)
                return [*self._sent({"action": Action.CLOSED}), *self._close()]
            case _:
                raise Refused(40000, 400, f"the sandbox knows nothing of action {name_of(frame)}")

    def _attach(self, frame: Frame, now: datetime) -> list[Output]:
        name = _channel(frame)
        self._check("subscribe", name, now)
        channel = self._app.channel(name, now)
        resumed, backlog, error = _backlog(channel, frame, now)
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

    def _publish(self, frame: Frame, now: datetime) -> list[Output]:
        number, name = frame.get("msgSerial", 0), _channel(frame)
        try:
            self._check("publish", name, now)
            drafts = [
                replace(draft, client_id=draft.client_id or self.client_id)
                for draft in read_drafts(frame.get("messages"))
            ]
            batch = self._app.publish(name, drafts, now, connection_id=self.connection_id)
        except Refused as refused:
            return self._sent({"action": Action.NACK, "msgSerial": number, "count": 1, "error": refused.info})
        serials = self._app.serials_of(name, drafts, batch, now)
        answer = {"action": Action.ACK, "msgSerial": number, "count": 1, "res": [{"serials": serials}]}
        return [Published(channel=name, batch=batch), *self._sent(answer)]

    def _check(self, operation: str, channel: str, now: datetime) -> None:
        if self._grant is None:
            raise Refused(40101, 401, "the connection is not authorized")
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
        return outputs

    def _expired(self) -> list[Output]:
        error = Refused(40142, 401, "token expired").info
        return [*self._sent({"action": Action.DISCONNECTED, "error": error}), *self._close()]

    def _close(self, code: int | None = 1000) -> list[Output]:
        self._closed = True
        return [Close(code=code)]

    def _sent(self, frame: Frame) -> list[Output]:
        """What goes out for a frame, which is the frame, unless faults have it otherwise."""
        if self._silent or self._closed:
            return []
        whole = {key: value for key, value in frame.items() if value is not None}
        name = name_of(whole)
        outputs = self._struck([Send(frame=whole)], self._strike(name, whole), whole)
        if any(isinstance(output, Send) for output in outputs):
            outputs += self._held.pop(name, [])
        return outputs

    def _strike(self, name: str, frame: Frame) -> list[RealtimeFault]:
        return [] if self._silent else self._app.switchboard.strike(name, fields_of(frame), self.client_id)

    def _struck(self, outputs: list[Output], faults: list[RealtimeFault], about: Frame) -> list[Output]:
        for fault in faults:
            outputs = self._apply(fault, outputs, about)
        return [*(Note(record=struck(fault)) for fault in faults), *outputs]

    def _apply(self, fault: RealtimeFault, outputs: list[Output], about: Frame) -> list[Output]:
        match fault.action:
            case "drop":
                return []
            case "mute":
                self._silent = True
                return []
            case "overtaken":
                self._held.setdefault(name_of(about), []).extend(outputs)
                return []
            case "error":
                return self._error(error_of(fault), about)
            case "garbage":
                return [SendBytes(payload=bytes.fromhex(fault.parameters.get("hex", UNDECODABLE)))]
            case "close":
                return self._close(fault.parameters["code"])
            case "disconnect":
                return self._close(None)
            case _:
                return _reworked(outputs, fault)

    def _error(self, error: Refused, about: Frame) -> list[Output]:
        """As the protocol says it: of what was published, of a channel, or of the connection, which ends with it."""
        if "msgSerial" in about:
            nack = {"action": Action.NACK, "msgSerial": about["msgSerial"], "count": 1, "error": error.info}
            return [Send(frame=nack)]
        if "channel" in about:
            return [Send(frame={"action": Action.ERROR, "channel": about["channel"], "error": error.info})]
        return [Send(frame={"action": Action.ERROR, "error": error.info}), *self._close()]


def shown(frame: Frame) -> Document:
    """A frame as the log has it: all of it but what opens a connection."""
    return {"message": name_of(frame), "fields": plain({key: frame[key] for key in frame if key not in SECRETS})}


def struck(fault: RealtimeFault) -> Document:
    """That a fault did its work, for the log."""
    return {"event": "fault", "message": fault.message, "action": fault.action}


def _channel(frame: Frame) -> str:
    channel = frame.get("channel")
    if not isinstance(channel, str) or not channel:
        raise Refused(40000, 400, f"a frame names its channel, was {channel!r}")
    return channel


def _backlog(channel: Channel, frame: Frame, now: datetime) -> tuple[bool, list[Batch], Frame | None]:
    """Whether the client goes on where it was, what it gets to see again, and what it must be told."""
    serial = frame.get("channelSerial")
    if serial is not None:
        missed = channel.since(str(serial), now)
        if missed is not None:
            return True, missed, None
        return False, [], Refused(90003, 404, "messages since the channel serial are no longer there").info
    rewind = (frame.get("params") or {}).get("rewind")
    return False, [] if rewind is None else channel.rewound(str(rewind), now), None


def _reworked(outputs: list[Output], fault: RealtimeFault) -> list[Output]:
    """What is sent, and when, once the fault has been at it; nothing else is touched."""
    if fault.action == "duplicate":
        return [*outputs, *(output for output in outputs if isinstance(output, Send))]
    return [_reworked_one(output, fault) if isinstance(output, Send) else output for output in outputs]


def _reworked_one(sent: Send, fault: RealtimeFault) -> Send:
    match fault.action:
        case "alter":
            return replace(sent, frame=altered(sent.frame, fault))
        case "pad":
            return replace(sent, padding=sent.padding + fault.parameters["bytes"])
        case _:
            return replace(sent, delay_ms=sent.delay_ms + fault.parameters["ms"])
