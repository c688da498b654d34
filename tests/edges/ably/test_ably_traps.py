"""The defects of Ably's client 3.1.4, row by row of the list that was measured: it alone, and the product.

`alone` shows what a plain subscription makes of a fault. Where that is worse in a newer client, or no longer so, the
test of it fails, and tells what can be left out. The other tests show that all that was published arrives, once.
"""

import asyncio
import gc
import io
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from ably.realtime.realtime import AblyRealtime
from ably.rest.rest import AblyRest
from ably.transport import websockettransport
from ably.util.exceptions import AblyException
from tests.support.channels import (
    CHANNEL,
    HISTORY_ALONE,
    QUICK,
    SOCKET_ALONE,
    Kept,
    closed_port,
    connects,
    listening,
    publish_together,
    published,
    sdk_alone,
    sent,
    threads,
    until,
)
from tests.support.reading import Notices
from tests.support.sandbox import LOOPBACK, StartSandbox, events, realtime_fault, scenario_with
from websockets.exceptions import ConnectionClosed

from ibkr_rebalancer.core.errors import StorageFailed
from ibkr_rebalancer.edges.ably.source import AblyEvents
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.edges.logs import CHATTY, configure_logging
from ibkr_rebalancer.sandbox.ably import app
from ibkr_rebalancer.sandbox.ably.keys import Key
from ibkr_rebalancer.sandbox.run import Sandbox, run_sandbox

# The client calls `log.warn`, and leaves behind what it has opened: that is what these tests are about.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DISCONNECTED, ERROR = 6, 9
UNAVAILABLE = {"code": 80003, "statusCode": 503, "message": "unavailable"}
ZOMBIES: list[dict[str, Any]] = [
    {"action": DISCONNECTED, "error": UNAVAILABLE},
    {"action": DISCONNECTED},
    {"action": DISCONNECTED, "error": {"code": 80003, "message": "unavailable"}},
]
"""What makes the client let go of its socket, and go on as if it had one."""


async def all_arrive(sandbox: Sandbox, sink: Kept) -> None:
    """What was published so far, and a message after it, over the socket or by history; each once."""
    sandbox.publish(CHANNEL, {"execution": "rebalance"}, name="last")
    await until(lambda: set(published(sandbox)) == set(sink.serials))
    assert len(sink.taken) == len(published(sandbox))


# 1. A DISCONNECTED that the client does not understand leaves it connected, attached, and without a socket.


@pytest.mark.parametrize("frame", ZOMBIES, ids=["503", "no error", "no status"])
async def test_row_1_alone(start_sandbox: StartSandbox, frame: dict[str, Any]) -> None:
    sandbox = await start_sandbox()
    async with sdk_alone(sandbox) as (client, heard):
        sandbox.disturb("send", frame=frame)
        await until(lambda: client.connection.connection_manager.transport.is_disposed)
        with pytest.raises(ConnectionClosed):
            await client.connection.ping()
        sandbox.publish(CHANNEL, "nobody hears it")
        with pytest.raises(ConnectionClosed):
            await client.connection.ping()
        assert (client.connection.state, client.channels.get(CHANNEL).state) == ("connected", "attached")
        assert (connects(sandbox), heard) == (1, [])


@pytest.mark.parametrize("frame", ZOMBIES, ids=["503", "no error", "no status"])
async def test_row_1_a_client_without_a_socket_is_replaced(start_sandbox: StartSandbox, frame: dict[str, Any]) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    async with listening(sandbox, sink, deadlines=SOCKET_ALONE):
        sandbox.disturb("send", frame=frame)
        sandbox.publish(CHANNEL, "while nobody listens")
        await all_arrive(sandbox, sink)
        await until(lambda: connects(sandbox) > 1)


# 2. The second time that a token is over, the client goes on with the dead one.


async def test_row_2_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with sdk_alone(sandbox, use_token_auth=True):
        sandbox.disturb("expire_tokens")
        await until(lambda: len(sent(sandbox, "ATTACHED")) == 2)
        sandbox.disturb("expire_tokens")
        await until(lambda: len(sent(sandbox, "ERROR")) > 2)
        assert len(events(sandbox.log, "token_issued")) == 2
        assert connects(sandbox) == 2


async def test_row_2_the_socket_needs_no_token_and_history_gets_new_ones(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(faults=[realtime_fault("MESSAGE", "drop")]), Kept()
    async with listening(sandbox, sink, deadlines=HISTORY_ALONE):
        for number in range(3):
            sandbox.disturb("expire_tokens")
            await all_arrive(sandbox, sink)
            assert len(sink.taken) == number + 1
    assert connects(sandbox) == 1


# 3. An event of the name `error` is an exception in the client, and takes the rest of its frame with it.

TOGETHER = [{"name": "error", "data": "1"}, {"name": "other", "data": "2"}]


async def test_row_3_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with sdk_alone(sandbox) as (_, heard):
        await publish_together(sandbox, *TOGETHER)
        sandbox.publish(CHANNEL, "3")
        await until(lambda: heard)
        assert [message.data for message in heard] == ["3"]


async def test_row_3_an_event_called_error_is_like_any_other(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    async with listening(sandbox, sink, deadlines=SOCKET_ALONE):
        await publish_together(sandbox, *TOGETHER)
        await all_arrive(sandbox, sink)
    assert sink.serials == published(sandbox)


# 4. A payload that cannot be decoded takes its frame with it, and its page of history for ever.

POISON = [{"data": "before"}, {"data": "{no JSON", "encoding": "json"}, {"data": "after"}]


async def test_row_4_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with sdk_alone(sandbox) as (_, heard):
        await publish_together(sandbox, *POISON)
        sandbox.publish(CHANNEL, "next")
        await until(lambda: heard)
        assert [message.data for message in heard] == ["next"]
    rest = AblyRest(
        sandbox.env["REALTIME_API_KEY"], endpoint=LOOPBACK, port=sandbox.ably_port, tls=False, use_token_auth=True
    )
    async with rest:
        with pytest.raises(AblyException):
            await rest.channels.get(CHANNEL).history()


async def test_row_4_a_poisoned_message_takes_nothing_with_it(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    async with listening(sandbox, sink):
        await publish_together(sandbox, *POISON)
        await all_arrive(sandbox, sink)
    found = {delivery.data: delivery.undecoded for delivery in sink.taken if isinstance(delivery.data, str)}
    assert found == {"before": "", "{no JSON": "json", "after": ""}


# 5. What a listener raises is swallowed, and the message is not delivered again.


async def test_row_5_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    seen = []

    def fail(message: Any) -> None:
        seen.append(message.data)
        raise OSError("the disk is full")

    async with sdk_alone(sandbox) as (client, heard):
        await client.channels.get(CHANNEL).subscribe(fail)
        sandbox.publish(CHANNEL, "1")
        sandbox.publish(CHANNEL, "2")
        await until(lambda: len(heard) == 2)
        sandbox.disturb("abort")
        await until(lambda: len(sent(sandbox, "ATTACHED")) == 2)
        sandbox.publish(CHANNEL, "3")
        await until(lambda: len(heard) == 3)
        assert seen == ["1", "2", "3"]


@pytest.mark.parametrize("deadlines", [SOCKET_ALONE, HISTORY_ALONE], ids=["live", "history"])
async def test_row_5_what_cannot_be_kept_ends_the_listening(start_sandbox: StartSandbox, deadlines: Any) -> None:
    faults = [] if deadlines is SOCKET_ALONE else [realtime_fault("MESSAGE", "drop")]
    sandbox, sink = await start_sandbox(faults=faults), Kept()
    full = StorageFailed("STORAGE_FULL", "The disk is full.", hint="Make room.")
    async with listening(sandbox, sink, deadlines=deadlines) as task:
        sink.failure = full
        sandbox.publish(CHANNEL, "1")
        with pytest.raises(StorageFailed) as caught:
            await task
    assert caught.value is full


# 6. After a refusal of the key the client says failed, then disconnected, and tries again without an end.


async def test_row_6_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    states = []

    def hear(change: Any) -> None:
        states.append(change.current)

    async with sdk_alone(sandbox) as (client, _):
        client.connection.on(hear)
        sandbox.change({"faults": [realtime_fault("CONNECTED", "error", parameters={"code": 40101, "status": 401})]})
        sandbox.disturb("abort")
        await until(lambda: "failed" in states and states[-1] == "connecting" and states.count("connecting") > 1)
        assert "disconnected" in states[states.index("failed") :]


async def test_row_6_a_refused_key_is_told_once_and_tried_now_and_then(start_sandbox: StartSandbox) -> None:
    sandbox, sink, notices = await start_sandbox(), Kept(), Notices()
    refused = [
        realtime_fault(name, "error", parameters={"code": 40101, "status": 401})
        for name in ("CONNECTED", "requestToken")
    ]
    sandbox.change({"faults": refused})
    async with listening(sandbox, sink, notices=notices, attached=False):
        await until(lambda: len(sent(sandbox, "ERROR")) > 3)
        assert [notice.event for notice in notices.heard] == ["events.down"]
        assert "refuses the API key (error 40101)" in notices.texts[0]
        sandbox.change({"faults": []})
        await until(lambda: sink.cursors and sent(sandbox, "ATTACHED"))
        await all_arrive(sandbox, sink)
        await until(lambda: len(notices.heard) == 2)
    assert [notice.event for notice in notices.heard] == ["events.down", "events.up"]


# 7. After a fatal error the channels stay attached; once connected again, they are never attached.


async def test_row_7_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with sdk_alone(sandbox) as (client, heard):
        sandbox.disturb("send", frame={"action": ERROR, "error": {"code": 50000, "statusCode": 500, "message": "no"}})
        await until(lambda: client.connection.state == "failed")
        assert client.channels.get(CHANNEL).state == "attached"
        client.connect()
        await until(lambda: client.connection.state == "connected")
        sandbox.publish(CHANNEL, "nobody hears it")
        await client.connection.ping()
        assert client.channels.get(CHANNEL).state == "initialized"
        assert heard == []


async def test_row_7_a_failed_client_is_replaced(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    async with listening(sandbox, sink, deadlines=SOCKET_ALONE):
        sandbox.disturb("send", frame={"action": ERROR, "error": {"code": 50000, "statusCode": 500, "message": "no"}})
        sandbox.publish(CHANNEL, "while nobody listens")
        await all_arrive(sandbox, sink)
        await until(lambda: connects(sandbox) > 1)


# 8. A channel that has failed is never attached again, not even over a new connection.

CHANNEL_FAILED = {
    "action": ERROR,
    "channel": CHANNEL,
    "error": {"code": 90000, "statusCode": 500, "message": "the channel failed"},
}


async def test_row_8_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with sdk_alone(sandbox) as (client, _):
        sandbox.disturb("send", frame=CHANNEL_FAILED)
        await until(lambda: client.channels.get(CHANNEL).state == "failed")
        sandbox.disturb("abort")
        await until(lambda: connects(sandbox) == 2 and client.connection.state == "connected")
        await client.connection.ping()
        assert client.channels.get(CHANNEL).state == "failed"
        assert len(sent(sandbox, "ATTACHED")) == 1


async def test_row_8_a_failed_channel_is_asked_for_again(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    async with listening(sandbox, sink, deadlines=SOCKET_ALONE):
        sandbox.disturb("send", frame=CHANNEL_FAILED)
        sandbox.publish(CHANNEL, "while nobody listens")
        await until(lambda: len(sent(sandbox, "ATTACHED")) == 2)
        await all_arrive(sandbox, sink)
    assert connects(sandbox) == 1


# 9. A frame of more than a megabyte in the backlog makes the client connect again and again, without a pause.

HUGE = realtime_fault("MESSAGE", "pad", parameters={"bytes": 1_100_000})


async def test_row_9_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[HUGE])
    async with sdk_alone(sandbox) as (_, heard):
        begun = asyncio.get_running_loop().time()
        sandbox.publish(CHANNEL, "1")
        await until(lambda: connects(sandbox) > 12)
        assert asyncio.get_running_loop().time() - begun < 5
        assert heard == []


async def test_row_9_a_storm_of_connects_is_ended_and_its_cause_fetched(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(faults=[HUGE]), Kept()
    async with listening(sandbox, sink, deadlines=SOCKET_ALONE):
        sandbox.publish(CHANNEL, "1")
        await until(lambda: len(sink.taken) == 1 and connects(sandbox) > SOCKET_ALONE.storm_connects)
        sandbox.change({"faults": []})
        await all_arrive(sandbox, sink)
        settled, pongs = connects(sandbox), len(sent(sandbox, "HEARTBEAT"))
        await until(lambda: len(sent(sandbox, "HEARTBEAT")) > pongs + 3)
        assert connects(sandbox) == settled <= 2 * SOCKET_ALONE.storm_connects


# 10. When the clock on the wall is set back, silence is not noticed for as long.


@pytest.fixture
def set_back(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sets the clock by which the client measures silence back by an hour."""

    def change() -> None:
        now = websockettransport.unix_time_ms
        monkeypatch.setattr(websockettransport, "unix_time_ms", lambda: now() - 3_600_000)

    return change


async def test_row_10_alone(start_sandbox: StartSandbox, set_back: Any) -> None:
    sandbox = await start_sandbox(realtime={"max_idle_ms": 100})
    async with sdk_alone(sandbox, realtime_request_timeout=100) as (client, _):
        sandbox.disturb("stall")
        await until(lambda: connects(sandbox) == 2)
        await until(lambda: client.channels.get(CHANNEL).state == "attached")
        sandbox.disturb("stall")
        with pytest.raises(AblyException):
            await client.connection.ping()
        set_back()
        for _ in range(5):  # each as long as the client waits for an answer
            with pytest.raises(AblyException):
                await client.connection.ping()
        assert connects(sandbox) == 2


async def test_row_10_silence_is_measured_by_another_clock(start_sandbox: StartSandbox, set_back: Any) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    async with listening(sandbox, sink, deadlines=SOCKET_ALONE):
        sandbox.disturb("stall")
        set_back()
        sandbox.publish(CHANNEL, "while nobody hears")
        await all_arrive(sandbox, sink)
        await until(lambda: connects(sandbox) > 1)


# 11. A frame without its place in the channel makes the client forget where it was.

PLACELESS = [realtime_fault(frame, "alter", parameters={"channelSerial": None}) for frame in ("ATTACHED", "MESSAGE")]


async def test_row_11_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=PLACELESS)
    async with sdk_alone(sandbox) as (_, heard):
        sandbox.publish(CHANNEL, "1")
        await until(lambda: heard)
        sandbox.disturb("abort")
        sandbox.publish(CHANNEL, "2")
        await until(lambda: len(sent(sandbox, "ATTACHED")) == 2)
        sandbox.publish(CHANNEL, "3")
        await until(lambda: len(heard) == 2)
        assert [message.data for message in heard] == ["1", "3"]


async def test_row_11_what_was_published_where_continuity_broke_is_fetched(start_sandbox: StartSandbox) -> None:
    sandbox, sink = await start_sandbox(faults=PLACELESS), Kept()
    async with listening(sandbox, sink, deadlines=SOCKET_ALONE):
        sandbox.publish(CHANNEL, "1")
        await until(lambda: sink.taken)
        sandbox.disturb("abort")
        sandbox.publish(CHANNEL, "2")
        await all_arrive(sandbox, sink)


# 12. At INFO the client logs the URL of its socket, and the key in it.


def spellings(key: str) -> list[str]:
    """All that must not be read anywhere."""
    secret = key.partition(":")[2]
    return [key, secret, quote(key, safe=""), quote_plus(key), b64encode(key.encode()).decode()]


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, raises = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, logging.raiseExceptions = handlers, raises
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger("ably").setLevel(logging.CRITICAL + 1)


async def test_row_12_alone(start_sandbox: StartSandbox, caplog: pytest.LogCaptureFixture) -> None:
    sandbox = await start_sandbox()
    with caplog.at_level(logging.INFO, "ably"):
        async with sdk_alone(sandbox):
            pass
    assert any(form in caplog.text for form in spellings(sandbox.env["REALTIME_API_KEY"]))


@pytest.mark.usefixtures("untouched_logging")
@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
async def test_row_12_the_key_is_in_no_log(
    start_sandbox: StartSandbox, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor in a notice; also while everything fails, and if somebody wants to hear the client."""
    key = 'app.key-1:s3cr3t/+="&%'
    monkeypatch.setattr(
        app,
        "_keys",
        lambda _: [
            Key(name=name, secret=secret, capability={"*": ("*",)}) for name, secret in [key.split(":"), ("a.b", "c")]
        ],
    )
    sandbox, sink, notices, log = await start_sandbox(), Kept(), Notices(), io.StringIO()
    configure_logging(level, secrets=[key, key.partition(":")[2]], stream=log)
    if level == "DEBUG":
        logging.getLogger("ably").setLevel(logging.DEBUG)
    async with listening(sandbox, sink, notices=notices, api_key=key):
        for frame in ZOMBIES:
            before = connects(sandbox)
            sandbox.disturb("send", frame=frame)
            await until(lambda before=before: connects(sandbox) > before)  # type: ignore[misc]
        sandbox.change(
            {
                "faults": [
                    realtime_fault(name, "error", parameters={"code": 40101, "status": 401})
                    for name in ("upgrade", "CONNECTED", "requestToken", "history")
                ]
            }
        )
        sandbox.disturb("abort")
        await until(lambda: len(notices.heard) > 1)
    told = log.getvalue() + "".join(notices.texts)
    assert ("websockets" in told) == (level == "DEBUG")
    assert [form for form in spellings(key) if form in told] == []


async def test_row_12_the_client_is_silent_whoever_listens(
    start_sandbox: StartSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    with caplog.at_level(logging.INFO):
        async with listening(sandbox, sink):
            sandbox.disturb("send", frame=ZOMBIES[0])
            await until(lambda: connects(sandbox) > 1)
    assert [record for record in caplog.records if record.name.startswith(("ably", "asyncio", "websockets"))] == []


# 13. A refused connection is noticed when the time for it is over, and tasks are left behind.


async def test_row_13_alone(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with sdk_alone(sandbox, realtime_request_timeout=200):
        begun = asyncio.get_running_loop().time()
        refused = AblyRealtime(
            "a.b:c", endpoint=f"{LOOPBACK}:{closed_port()}/", tls=False, fallback_hosts=[], realtime_request_timeout=200
        )
        await until(lambda: refused.connection.state == "disconnected")
        assert asyncio.get_running_loop().time() - begun > 0.19
        await refused.close()


async def test_row_13_an_ably_that_is_not_there_yet_is_found() -> None:
    port, sink, notices = closed_port(), Kept(), Notices()
    async with run_sandbox(scenario_with(), ably_port=port) as sandbox:
        key = sandbox.env["REALTIME_API_KEY"]
    listener = AblyEvents(
        api_key=key, endpoint=f"http://{LOOPBACK}:{port}", clock=SystemClock(), observer=notices, deadlines=QUICK
    )
    task = asyncio.create_task(listener.listen([CHANNEL], sink))
    await until(lambda: notices.heard)
    async with run_sandbox(scenario_with(), ably_port=port) as sandbox:
        await until(lambda: sink.cursors and sent(sandbox, "ATTACHED"))
        await all_arrive(sandbox, sink)
        await until(lambda: len(notices.heard) > 1)
        task.cancel()
        await asyncio.wait({task})
    assert [notice.event for notice in notices.heard] == ["events.down", "events.up"]


# 14. To close a client whose socket is dead leaves an error that nobody has asked for.


@pytest.fixture
async def complaints() -> AsyncIterator[list[str]]:
    """What the loop of the test complains of: dropped tasks, errors that nobody has asked for."""
    heard: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(str(context["message"])))
    yield heard
    loop.set_exception_handler(None)


async def test_row_14_alone(start_sandbox: StartSandbox, complaints: list[str]) -> None:
    sandbox = await start_sandbox()
    async with sdk_alone(sandbox) as (client, _):
        sandbox.disturb("send", frame=ZOMBIES[0])
        await until(lambda: client.connection.connection_manager.transport.is_disposed)
    gc.collect()
    assert "Task exception was never retrieved" in complaints


async def test_row_14_what_a_dropped_client_leaves_is_heard_by_nobody(
    start_sandbox: StartSandbox, complaints: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, sink = await start_sandbox(), Kept()
    async with listening(sandbox, sink):
        for _ in range(2):
            before = connects(sandbox)
            sandbox.disturb("send", frame=ZOMBIES[0])
            await until(lambda before=before: connects(sandbox) > before)  # type: ignore[misc]
        sandbox.disturb("send", frame=ZOMBIES[0])
    await until(lambda: not threads())
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
