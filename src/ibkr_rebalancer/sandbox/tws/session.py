"""One client's side of the gateway: bytes in, outputs out. No I/O; the time is an argument. Wire faults strike here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ibkr_rebalancer.sandbox.tws.codes import START_UP
from ibkr_rebalancer.sandbox.tws.figures import error, managed_accounts
from ibkr_rebalancer.sandbox.tws.lookup import Refusal
from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT, HANDSHAKE, ORDER_MESSAGES, TO_CLIENT
from ibkr_rebalancer.sandbox.tws.orders import client_of, told
from ibkr_rebalancer.sandbox.tws.reading import Reader
from ibkr_rebalancer.sandbox.tws.trading import trade
from ibkr_rebalancer.sandbox.tws.wire import Deframer, Layout, MalformedError, Message, split_fields, whole_number
from ibkr_rebalancer.sandbox.venue.document import ScenarioError
from ibkr_rebalancer.sandbox.venue.faults import Action, Fault
from ibkr_rebalancer.sandbox.venue.orders import Event
from ibkr_rebalancer.sandbox.venue.venue import Venue

SERVER_VERSION = 178
HUGE_LENGTH = "7fffffff"
"""The garbage that is sent where none is stated: a frame that never ends."""
INSTEAD: frozenset[Action] = frozenset({"error", "drop", "mute", "garbage", "disconnect"})
"""A request that meets one of these is not acted on."""
MOMENTS = {"connect": (), "frame": (), HANDSHAKE.name: tuple(HANDSHAKE.names)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    message: Message
    delay_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBytes:
    """Something that is no message."""

    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A frame from the client, for the log."""

    message: str
    fields: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something of the venue's own, for the log."""

    event: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What came of an order message: for the log, and for the other clients it concerns."""

    events: list[Event]


Output = Send | SendBytes | Close | Received | Happened | Traded


class Session:
    def __init__(self, venue: Venue, client_ids: set[int]) -> None:
        """`client_ids` are those in use, shared among the sessions of a gateway."""
        self.client_id: int | None = None
        self._venue = venue
        self._client_ids = client_ids
        self._deframer = Deframer()
        self._version: int | None = None
        self._reader: Reader | None = None
        """From the start on."""
        self._silent = False
        self._closed = False

    def connected(self) -> list[Output]:
        return self._struck([], self._strike("connect", {}))

    def receive(self, data: bytes, now: datetime) -> list[Output]:
        outputs: list[Output] = []
        try:
            for payload in self._deframer.feed(data):
                if not self._closed:
                    outputs += self._receive(payload, now)
        except MalformedError as exc:
            outputs += self._refused(f"malformed: {exc}")
        return outputs

    def refresh(self, now: datetime) -> list[Output]:
        """Tell the client what has changed of all it follows."""
        return [] if self._reader is None else self._deliver(self._reader.refresh(now))

    def tell(self, events: Iterable[Event]) -> list[Output]:
        """Tell the client what happened to orders of its own."""
        ours = [event for event in events if client_of(event) == self.client_id]
        return self._deliver(message for event in ours for message in told(event, self._venue))

    def notice(self, code: int, text: str = "") -> list[Output]:
        """A system message, to those who have started."""
        return [] if self.client_id is None else self._deliver([error(code, text=text)])

    def closed(self) -> None:
        self._closed = True
        if self.client_id is not None:
            self._client_ids.discard(self.client_id)

    def _receive(self, payload: bytes, now: datetime) -> list[Output]:
        if self._version is None:
            return self._handshake(payload.decode(errors="backslashreplace"), now)
        fields = split_fields(payload)
        number = whole_number(fields[0]) if fields else None
        layout = FROM_CLIENT.get(number) if number is not None else None
        received: list[Output] = [Received(message="unknown" if layout is None else layout.name, fields=fields)]
        if layout is None:
            return received + self._deliver([error(320, text=f"Error reading request: unknown id {fields[:1]}")])
        if number in ORDER_MESSAGES:
            received.append(Happened(event="order_message", details={"message": layout.name, "fields": fields}))
        try:
            return received + self._request(layout.read(fields), now)
        except MalformedError as exc:
            text = f"Error reading request: {exc}"
            return received + self._deliver([error(320, about=_order_in(layout, fields), text=text)])

    def _handshake(self, offer: str, now: datetime) -> list[Output]:
        """Take `v157..178`, with or without options after it, and answer the version both speak."""
        received: list[Output] = [Received(message="handshake", fields=[offer])]
        _, _, newest = offer.partition(" ")[0].removeprefix("v").rpartition("..")
        version = whole_number(newest)
        if version is None or version < SERVER_VERSION:
            return received + self._refused(f"client offers {offer!r}, this gateway speaks {SERVER_VERSION}")
        self._version = min(SERVER_VERSION, version)
        time = f"{now:%Y%m%d %H:%M:%S} Greenwich Mean Time"
        return received + self._deliver([HANDSHAKE.message(serverVersion=self._version, connectionTime=time)])

    def _request(self, request: Message, now: datetime) -> list[Output]:
        faults = self._strike(request.layout.name, request.texts)
        if any(fault.action in INSTEAD for fault in faults):
            answers: list[Output] = []
        elif request.layout.name == "startApi":
            answers = self._start(request)
        elif self.client_id is None or self._reader is None:
            answers = self._refused(f"{request.layout.name} before startApi")
        elif request.layout.id in ORDER_MESSAGES:
            answers = self._trade(request, self.client_id, now)
        else:
            answers = self._deliver(self._reader.answer(request, now))
        outputs = self._struck(answers, faults, about=request)
        refused = request.layout.name == "startApi" and any(fault.action == "error" for fault in faults)
        return [*outputs, *self._close()] if refused else outputs

    def _start(self, request: Message) -> list[Output]:
        client_id = request.whole("clientId")
        if client_id in self._client_ids:
            return [*self._deliver([error(326)]), *self._close()]
        self.client_id = client_id
        self._client_ids.add(client_id)
        self._reader = Reader(self._venue, client_id)
        return self._deliver(
            [
                managed_accounts(self._venue.scenario.accounts),
                TO_CLIENT["nextValidId"].message(orderId=self._venue.next_order_id),
                *(error(code) for code in START_UP),
            ]
        )

    def _trade(self, request: Message, client_id: int, now: datetime) -> list[Output]:
        try:
            answers, events = trade(request, self._venue, client_id, now)
        except Refusal as refusal:
            return self._deliver([error(refusal.code, about=_about(request), text=refusal.text)])
        return [Traded(events=events), *self._deliver(answers), *self.tell(events)]

    def _deliver(self, messages: Iterable[Message]) -> list[Output]:
        outputs: list[Output] = []
        for message in messages:
            if self._silent or self._closed:
                break
            faults = self._strike(message.layout.name, message.texts) + self._strike("frame", {})
            outputs += self._struck([Send(message=message)], faults, about=message)
        return outputs

    def _strike(self, message: str, values: dict[str, str]) -> list[Fault]:
        if self._silent or self._closed:
            return []
        return self._venue.switchboard.strike(message, values, self.client_id)

    def _struck(self, outputs: list[Output], faults: list[Fault], *, about: Message | None = None) -> list[Output]:
        number = "-1" if about is None else _about(about)
        for fault in faults:
            outputs = self._apply(fault, outputs, number)
        return [*(_happened(fault) for fault in faults), *outputs]

    def _apply(self, fault: Fault, outputs: list[Output], number: str) -> list[Output]:
        match fault.action:
            case "drop":
                return []
            case "mute":
                self._silent = True
                return []
            case "disconnect":
                return self._close()
            case "garbage":
                return [SendBytes(payload=bytes.fromhex(str(fault.parameters.get("hex", HUGE_LENGTH))))]
            case "error":
                return [_error(fault, number)]
            case "notice":
                return [_error(fault, "-1"), *outputs]
            case _:
                return _reworked(outputs, fault)

    def _refused(self, reason: str) -> list[Output]:
        return [Happened(event="client_refused", details={"reason": reason}), *self._close()]

    def _close(self) -> list[Output]:
        self._closed = True
        return [Close()]


def check_faults(faults: Iterable[Fault]) -> None:
    """Refuse faults that could never strike: a typo must not make a test pass.

    Raises:
        ScenarioError: on a message or field that the protocol doesn't have.
    """
    answers = {layout.name: tuple(layout.names) for layout in TO_CLIENT.values()}
    requests = {layout.name: tuple(layout.names) for layout in FROM_CLIENT.values()}
    for index, fault in enumerate(faults):
        where = f"faults[{index}]"
        fields = {**MOMENTS, **answers, **requests}.get(fault.message)
        if fields is None:
            raise ScenarioError(where, f"there is no message {fault.message!r}")
        altering = fault.action in {"alter", "precede"}
        if altering and fault.message in {*requests, "connect", "frame"}:
            raise ScenarioError(where, f"{fault.message} can't be altered; name a message the gateway sends")
        named = [*fault.where, *(fault.parameters if altering else ())]
        for name in named:
            if name not in fields:
                raise ScenarioError(where, f"{fault.message} has no field {name!r}; it has {', '.join(fields)}")


def _about(message: Message) -> str:
    """The number of the request or order that a message is about."""
    number = message.texts.get("reqId", message.texts.get("orderId", ""))
    return number if whole_number(number) is not None else "-1"


def _order_in(layout: Layout, fields: Sequence[str]) -> str:
    """The number of the order in a message that can't be read any further."""
    first = "".join(fields[len(layout.head) :][:1])
    return first if layout.names[:1] == ["orderId"] and whole_number(first) is not None else "-1"


def _happened(fault: Fault) -> Happened:
    return Happened(event="fault", details={"message": fault.message, "action": fault.action})


def _error(fault: Fault, about: str) -> Send:
    code, text = int(fault.parameters["code"]), str(fault.parameters.get("text", ""))
    return Send(message=error(code, about=about, text=text))


def _reworked(outputs: list[Output], fault: Fault) -> list[Output]:
    """What is sent, and when, once the fault has been at it; nothing else is touched."""
    sent = [output for output in outputs if isinstance(output, Send)]
    match fault.action:
        case "duplicate":
            return [*outputs, *sent]
        case "precede":
            return [*(_altered(output, fault) for output in sent), *outputs]
        case "alter":
            return [_altered(output, fault) for output in outputs]
        case _:
            return [_later(output, int(fault.parameters["ms"])) for output in outputs]


def _later(output: Output, delay_ms: int) -> Output:
    return replace(output, delay_ms=output.delay_ms + delay_ms) if isinstance(output, Send) else output


def _altered(output: Output, fault: Fault) -> Output:
    if isinstance(output, Send) and output.message.layout.name == fault.message:
        texts = {name: str(value) for name, value in fault.parameters.items()}
        return replace(output, message=output.message.altered(texts))
    return output
