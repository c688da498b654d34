"""Dialogues with a session, without a socket: `>>` a message in, `<<` the next message out.

    play = Dialogue()
    play('''
        >> reqPositions
        << position account=DU1 symbol=AAA position=100
        << positionEnd
    ''')

A request's fields that aren't given are empty; of an answer those given are compared. `<< closed` is the closing of the
socket, `<< ...` whatever else came. `++ 5` lets 5 ms pass: the venue goes on, and clients are told, as the gateway does
it. Several clients take turns: `play.turn(8)`. A dialogue is over only when every answer was named.
"""

import shlex
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from tests.support.sandbox import scenario_with

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT
from ibkr_rebalancer.sandbox.tws.session import Close, Happened, Output, Send, SendBytes, Session, Traded
from ibkr_rebalancer.sandbox.tws.wire import Message, frame, join_fields
from ibkr_rebalancer.sandbox.venue.document import Document
from ibkr_rebalancer.sandbox.venue.orders import Event
from ibkr_rebalancer.sandbox.venue.venue import Venue

NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
REQUESTS = {layout.name: layout for layout in FROM_CLIENT.values()}
STARTED = """
    >> startApi clientId=7
    << ...
"""


class Dialogue:
    def __init__(self, **overlay: object) -> None:
        """A client 7 that has started, in the base scenario with this laid over it."""
        self._begin(**overlay)
        self.connect()
        self(STARTED)

    @classmethod
    def unconnected(cls, **overlay: object) -> "Dialogue":
        """A venue that waits for its first client."""
        dialogue = cls.__new__(cls)
        dialogue._begin(**overlay)
        return dialogue

    def _begin(self, **overlay: object) -> None:
        self.now = NOW
        self.venue = Venue(scenario_with(**overlay))
        self.client_ids: set[int] = set()
        self.events: list[Happened] = []
        self.traded: list[Event] = []
        """What happened to orders, told or not."""
        self.delays: dict[str, int] = {}
        self.frames = 0
        self.over = False
        """The socket was closed."""
        self._heard: dict[Session, list[str | Message]] = {}
        """What each session has sent and no line has named."""

    def open(self) -> None:
        """A new connection and its greeting; the dialogue goes on with it."""
        self.session = Session(self.venue, self.client_ids)
        self._heard[self.session] = []
        self.over = False
        self._take(self.session.connected())
        self._take(self.session.receive(b"API\0" + frame(b"v157..178"), self.now))

    def connect(self) -> None:
        """A new connection after its handshake."""
        self.open()
        self("<< handshake")

    def turn(self, client_id: int) -> None:
        """Go on with this client, who connects if it isn't there."""
        assert not self._waiting, self._waiting
        there = [session for session in self._heard if session.client_id == client_id and client_id in self.client_ids]
        if there:
            self.session = there[0]
        else:
            self.connect()
            self(f"""
                >> startApi clientId={client_id}
                << ...
            """)

    def hang_up(self) -> None:
        """The client goes; its connection is forgotten."""
        self.session.closed()
        del self._heard[self.session]

    def __call__(self, script: str) -> None:
        for line in filter(None, map(str.strip, script.splitlines())):
            mark, name, *fields = shlex.split(line)
            if mark == ">>":
                assert not self._waiting, f"before {line}: {self._waiting}"
                self.send_line(line.removeprefix(">>"))
            elif mark == "++":
                assert not self._waiting, f"before {line}: {self._waiting}"
                self.wait(int(name))
            elif name == "...":
                self._waiting.clear()
            else:
                self._expect(line, name, dict(field.split("=", 1) for field in fields))
        assert not self._waiting, self._waiting

    def change(self, change: Document) -> None:
        """Change the venue; what the client is told waits to be named."""
        self.venue.become(self.venue.changed(change))
        self._take(self.session.refresh(self.now))

    def wait(self, ms: int) -> None:
        """Time passes, and the venue goes on."""
        self.now += timedelta(milliseconds=ms)
        shown = self.venue.told.accounts
        events = self.venue.advance(self.now)
        self.traded += events
        for session in list(self._heard):
            self._take(session.tell(events), session)
            if self.venue.told.accounts != shown:
                self._take(session.refresh(self.now), session)

    def send_line(self, line: str) -> None:
        name, *fields = shlex.split(line)
        self.send_fields(request(name, **dict(field.split("=", 1) for field in fields)))

    def drain(self) -> list[str]:
        """The names of all that came."""
        names = [item if isinstance(item, str) else item.layout.name for item in self._waiting]
        self._waiting.clear()
        return names

    @property
    def _waiting(self) -> list[str | Message]:
        """What came and was not named."""
        return self._heard[self.session]

    def ask(self, name: str, **values: str) -> list[Message]:
        """The answers to a request."""
        self.send_fields(request(name, **values))
        answers = [item for item in self._waiting if isinstance(item, Message)]
        self._waiting.clear()
        return answers

    def send_fields(self, *messages: list[str]) -> None:
        """All in one piece."""
        self._take(self.session.receive(b"".join(frame(join_fields(fields)) for fields in messages), self.now))

    def _take(self, outputs: Iterable[Output], session: Session | None = None) -> None:
        session = session or self.session
        for output in outputs:
            match output:
                case Send(message=message, delay_ms=delay_ms):
                    self._heard[session].append(message)
                    self.frames += 1
                    self.delays[message.layout.name] = delay_ms
                case SendBytes(payload=payload):
                    self._heard[session].append(payload.hex())
                case Close():
                    self._heard[session].append("closed")
                    self.over = True
                case Happened():
                    self.events.append(output)
                case Traded(events=events):
                    self.traded += events
                    for other in self._heard.keys() - {session}:
                        self._take(other.tell(events), other)

    def _expect(self, line: str, name: str, values: dict[str, str]) -> None:
        assert self._waiting, f"nothing came for {line}"
        message = self._waiting.pop(0)
        if isinstance(message, str):
            assert name == message
        else:
            assert (message.layout.name, {key: message.texts.get(key) for key in values}) == (name, values)


def request(name: str, **values: str) -> list[str]:
    layout = REQUESTS[name]
    return layout.message(**(dict.fromkeys(layout.names, "") | values)).fields
