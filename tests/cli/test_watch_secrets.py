"""What a watch at its most talkative leaves anywhere: of no secret a trace, whatever troubles it meets.

The libraries below it do show them: Ably's client logs its key at INFO, the WebSocket's its whole address at DEBUG.
"""

import base64
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM
from urllib.parse import quote, quote_plus, unquote_plus

import pytest
from tests.support.commands import FIRST, SECOND, START_S, Here, clear_environment, packaged, running_sandbox

from ibkr_rebalancer.edges.logs import MASK
from ibkr_rebalancer.sandbox import run as sandbox_run
from ibkr_rebalancer.sandbox.ably import app as ably_app
from ibkr_rebalancer.sandbox.ably.keys import Key
from ibkr_rebalancer.sandbox.venue.channels import Realtime

CHANNEL = "rebalance-primary"
GARBLED_POSITION = {"when": {"message": "position", "count": 1}, "what": {"garbage": {"hex": "00000003ffffff"}}}
REBALANCE = {"execution": "rebalance"}

ABLY_SECRET = """Wa+tch/er=%41&?#'"\\<~>-s3cret"""  # noqa: S105 (none of these opens anything)
ALLOCATIONS_KEY = """al+lo/ca&ti=on%2Fs'"\\-k3y=="""
URL_TOKEN = "t0k~n.in-the_URL"  # noqa: S105
SECRETS = {"Ably's key": ABLY_SECRET, "the allocations key": ALLOCATIONS_KEY, "a token in a URL": URL_TOKEN}


def traces(secret: str, text: str) -> Iterator[str]:
    """The ways in which the secret stands in a text, and be it escaped, encoded, or in the middle of base64."""
    unescaped = text
    for _ in range(3):
        if secret in unescaped:
            yield "plain"
        unescaped = unescaped.replace("\\\\", "\\").replace('\\"', '"').replace("\\'", "'").replace("\\/", "/")
    decoded = text
    for _ in range(3):
        decoded = unquote_plus(decoded)
        if secret in decoded or unquote_plus(secret) in decoded:
            yield "percent-encoded"
    for each in {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}:
        for offset in range(3):
            encoded = base64.b64encode(bytes(offset) + each.encode()).decode()
            middle = encoded[4:-4]
            if middle in text or middle.replace("+", "-").replace("/", "_") in text:
                yield "base64"


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_what_is_looked_for_would_be_found(secret: str) -> None:
    key = base64.b64encode(f"sandbox.watcher:{secret}".encode()).decode()
    for line in (secret, json.dumps([secret]), repr(secret), quote(secret, safe=""), f"?key={quote_plus(secret)}", key):
        assert list(traces(secret, f"... {line} ...")), line
    assert not list(traces(secret, f"... {secret[1:]} {MASK} ..."))


class Talking:
    """A watch that writes what it has to say into files."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self.out, self.err = here.folder / "out", here.folder / "err"
        self._heard = 0
        """How far the log was listened to."""

    def until_told(self, event: str) -> None:
        """Wait for the next line of the log about this."""
        until, said, found = time.monotonic() + START_S, "", -1
        while found < 0:
            assert time.monotonic() < until, f"no {event} after: {said[self._heard :][-2000:]}"
            time.sleep(0.01)
            said = self.err.read_text(encoding="utf-8")
            found = said.find(f'"event": "{event}', self._heard)
        self._heard = found + len(event)

    def everything(self) -> Iterator[tuple[str, str]]:
        """All that is left, by where it stands: what was said line by line, files, and each value of the journal."""
        for path in (self.out, self.err):
            for line in path.read_text(encoding="utf-8").splitlines():
                yield path.name, line
        for path in (self.here.folder / "state").rglob("*"):
            yield path.name, path.read_bytes().decode("utf-8", errors="replace")
        with sqlite3.connect(self.here.folder / "state" / "journal.db") as journal:
            for (table,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in journal.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 (a name of our own)
                    for value in row:
                        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
                        yield f"table {table}", text
        journal.close()


@contextmanager
def talking(here: Here, **variables: str) -> Iterator[Talking]:
    """A watch that logs all there is, and is told to stop at the end."""
    talk = Talking(here)
    environment = {"LOG_LEVEL": "DEBUG", "REBALANCER_STATE": str(here.folder / "state"), **variables}
    with (
        talk.out.open("w") as out,
        talk.err.open("w") as err,
        here.start("watch", "--json", stdout=out, stderr=err, env=environment) as process,
    ):
        try:
            yield talk
            process.send_signal(SIGTERM)
            assert process.wait(START_S) == 0
        finally:
            process.kill()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """The packaged sandbox, whose keys are full of characters that have to be escaped somewhere."""
    plain_keys = ably_app._keys

    def keys(settings: Realtime) -> list[Key]:
        watcher, publisher = plain_keys(settings)
        return [Key(name=watcher.name, secret=ABLY_SECRET, capability=watcher.capability), publisher]

    monkeypatch.setattr(ably_app, "_keys", keys)
    monkeypatch.setattr(sandbox_run, "API_KEY", ALLOCATIONS_KEY)
    with running_sandbox(packaged()) as sandbox:
        place = Here(tmp_path, sandbox, monkeypatch)
        place.accounts(
            place.entry(
                FIRST, "primary", allocations={"url": f"{sandbox.inside.allocations_url}/primary?t={URL_TOKEN}"}
            ),
            place.entry(SECOND, "secondary"),
        )
        clear_environment(monkeypatch)
        yield place


def test_no_secret_is_left_anywhere_after_all_kinds_of_trouble(place: Here) -> None:
    sandbox = place.sandbox
    with talking(place) as talk:
        talk.until_told("events.up")
        sandbox.publish(CHANNEL, REBALANCE)
        talk.until_told("event.step")

        # A publisher who knows them, and puts them into an event
        spilt = {"execution": ABLY_SECRET, "event_id": ALLOCATIONS_KEY, "text": f"{'x' * 430}{URL_TOKEN}"}
        sandbox.publish(CHANNEL, spilt, id=f"{URL_TOKEN}:0")
        talk.until_told("event.received")
        talk.until_told("event.step")

        # Frames that cannot be read, from either side, and connections that are cut
        sandbox.change({"faults": [{"when": {"realtime": "MESSAGE", "count": 1}, "what": "garbage"}, GARBLED_POSITION]})
        sandbox.publish(CHANNEL, {})
        sandbox.disturb("abort")
        talk.until_told("event.received")
        talk.until_told("event.step")
        sandbox.change({"faults": []})
        sandbox.kick()

        # A key that may do less, and one that is good for nothing any more
        sandbox.change({"realtime": {"operations": ["subscribe"]}})
        sandbox.disturb("expire_tokens")
        sandbox.disturb("discontinuity", channel=CHANNEL)
        talk.until_told("events.degraded")
        place.monkeypatch.setattr(ably_app, "_keys", lambda _: [])
        sandbox.change({"realtime": {"operations": ["history"]}})
        sandbox.disturb("expire_tokens")
        sandbox.disturb("abort")
        talk.until_told("events.d")
    _require_clean(talk)
    said = talk.err.read_text(encoding="utf-8")
    assert f"GET /?key={MASK}&" in said, "nothing has shown what was to be masked"
    assert f"/allocations/primary?{MASK}" in said
    assert '"event": "ably' not in said, "its own log quotes what it pleases"


def test_wrong_keys_are_told_of_without_showing_them(place: Here) -> None:
    """The source refuses its key, Ably its own."""
    wrong = {"REALTIME_API_KEY": f"sandbox.watcher:{ABLY_SECRET}~", "ALLOCATIONS_API_KEY": f"{ALLOCATIONS_KEY}~"}
    with talking(place, **wrong) as talk:
        talk.until_told("events.down")
    _require_clean(talk)


def _require_clean(talk: Talking) -> None:
    found = [
        f"{what} is {trace} in {where}: {text[:2000]}"
        for where, text in talk.everything()
        for what, secret in SECRETS.items()
        for trace in traces(secret, text)
    ]
    assert not found, found[0]
