"""The channels over real sockets, seen by a bare WebSocket and plain HTTP: what Ably's clients would hide."""

import asyncio
import json
from typing import Any

import aiohttp
import msgpack
import pytest
from tests.sandbox.ably_clients import CHANNEL, ask, bare_socket, publisher_key, until
from tests.support.sandbox import LOOPBACK, StartSandbox, events, received, sent
from tests.support.sandbox import realtime_fault as fault

from ibkr_rebalancer.sandbox.ably.protocol import Action
from ibkr_rebalancer.sandbox.run import Sandbox
from ibkr_rebalancer.sandbox.venue.document import Document, ScenarioError

MESSAGES = f"/channels/{CHANNEL}/messages"


@pytest.mark.parametrize("binary", [False, True])
async def test_a_message_goes_from_http_to_the_socket_and_the_log(start_sandbox: StartSandbox, binary: bool) -> None:
    sandbox = await start_sandbox()
    async with bare_socket(sandbox, binary=binary) as socket:
        await socket.attach()
        status, answer, _ = await ask(
            sandbox, "POST", MESSAGES, key=publisher_key(sandbox), json={"data": {"execution": "rebalance"}, "id": "7"}
        )
        frame = await socket.next("MESSAGE")
    assert status == 201
    assert frame["messages"][0]["data"] == '{"execution": "rebalance"}'
    (published,), (delivered,) = events(sandbox.log, "published"), events(sandbox.log, "delivered")
    assert (published["by"], published["id"], [published["serial"]]) == ("rest", "7", answer["serials"])
    assert (delivered["serials"], delivered["ids"]) == (answer["serials"], ["7"])
    assert delivered["connection"] == events(sandbox.log, "connected")[0]["connection"]


async def test_any_path_is_good_for_a_socket_and_none_without(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    url = f"http://{LOOPBACK}:{sandbox.ably_port}/any/where?key={sandbox.env['REALTIME_API_KEY']}"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        assert json.loads((await socket.receive()).data)["action"] == Action.CONNECTED
    status, answer, headers = await ask(sandbox, "GET", "/nowhere")
    assert (status, answer["error"]["code"], headers["X-Ably-Errorcode"]) == (404, 40400, "40400")


async def test_history_has_pages_and_links_to_them(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    for number in range(5):
        sandbox.publish(CHANNEL, str(number))
    path, shown = f"{MESSAGES}?direction=forwards&limit=2", []
    while path:
        status, page, headers = await ask(sandbox, "GET", path)
        assert status == 200
        shown.append([message["data"] for message in page])
        link = headers["Link"].rpartition('; rel="next"')[0].rpartition("<.")[2].rstrip(">")
        path = f"/channels/{CHANNEL}{link}" if link else ""
    assert shown == [["0", "1"], ["2", "3"], ["4"]]
    assert [event["more"] for event in events(sandbox.log, "history")] == [True, True, False]


@pytest.mark.parametrize("spelling", ["from_serial", "fromSerial"])
async def test_history_until_a_serial(start_sandbox: StartSandbox, spelling: str) -> None:
    sandbox = await start_sandbox()
    for data in "abc":
        sandbox.publish(CHANNEL, data)
    serial = events(sandbox.log, "published")[1]["serial"]
    _, page, _ = await ask(sandbox, "GET", f"{MESSAGES}?{spelling}={serial}")
    assert [message["data"] for message in page] == ["b", "a"]


async def test_a_channel_may_have_any_name(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(channels=["a:b/c d"])
    sandbox.publish("a:b/c d", "x")
    for path in ("a:b%2Fc%20d", "a%3Ab%2Fc%20d"):
        _, page, _ = await ask(sandbox, "GET", f"/channels/{path}/messages")
        assert [message["data"] for message in page] == ["x"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "start=yesterday"])
async def test_a_history_that_makes_no_sense(start_sandbox: StartSandbox, query: str) -> None:
    status, answer, _ = await ask(await start_sandbox(), "GET", f"{MESSAGES}?{query}")
    assert (status, answer["error"]["code"]) == (400, 40003)


async def test_the_time_is_the_venues(start_sandbox: StartSandbox) -> None:
    status, (milliseconds,), _ = await ask(await start_sandbox(), "GET", "/time")
    assert status == 200
    assert 0 <= milliseconds / 1000 - 1795447800 < 60


async def test_msgpack_is_answered_to_who_accepts_it(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with (
        aiohttp.ClientSession() as http,
        http.get(
            f"http://{LOOPBACK}:{sandbox.ably_port}/time", headers={"Accept": "application/x-msgpack"}
        ) as response,
    ):
        assert isinstance(msgpack.unpackb(await response.read())[0], int)


async def test_keys_open_what_they_are_for(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    watcher, publisher = sandbox.env["REALTIME_API_KEY"], publisher_key(sandbox)
    asked = {
        (who, method, channel): (await ask(sandbox, method, f"/channels/{channel}/messages", key=key, json={}))[0]
        for who, key in {"watcher": watcher, "publisher": publisher, "other": "sandbox.watcher:no"}.items()
        for method in ("GET", "POST")
        for channel in (CHANNEL, "other")
    }
    assert {request for request, status in asked.items() if status < 400} == {
        ("watcher", "GET", CHANNEL),
        ("publisher", "POST", CHANNEL),
    }
    assert {status for status in asked.values() if status >= 400} == {401}


async def test_without_a_list_of_channels_the_keys_open_all(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(channels=None)
    async with bare_socket(sandbox) as socket:
        await socket.attach("whatever")


async def test_a_key_without_history(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(realtime={"operations": ["subscribe"]})
    async with bare_socket(sandbox) as socket:
        await socket.attach()
    status, answer, _ = await ask(sandbox, "GET", MESSAGES)
    assert (status, answer["error"]["code"]) == (401, 40160)


async def test_retention_can_be_shortened_and_time_passes_as_the_clock_is_set(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(realtime={"retention_ms": 86_400_000})
    sandbox.publish(CHANNEL, "x")
    sandbox.change({"clock": "2026-11-24T15:00:00Z"})
    assert len((await ask(sandbox, "GET", MESSAGES))[1]) == 1
    sandbox.change({"realtime": {"retention_ms": 3_600_000}})
    assert (await ask(sandbox, "GET", MESSAGES))[1] == []


async def test_the_log_has_no_key_and_no_token(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    watcher, publisher = sandbox.env["REALTIME_API_KEY"], publisher_key(sandbox)
    _, details, _ = await ask(
        sandbox, "POST", "/keys/sandbox.watcher/requestToken", json={"keyName": "sandbox.watcher"}
    )
    await ask(sandbox, "GET", f"{MESSAGES}?key={watcher}&limit=1")
    await ask(sandbox, "POST", MESSAGES, key=publisher, json={})
    await ask(sandbox, "POST", MESSAGES, key="sandbox.publisher:wr0ng", json={})
    async with bare_socket(sandbox, accessToken=details["token"]) as socket:
        key = (await socket.next("CONNECTED"))["connectionKey"]
        await socket.send(Action.AUTH, auth={"accessToken": details["token"]})
        await socket.next("CONNECTED")
    async with bare_socket(sandbox, resume=key) as socket:
        await socket.attach()
    text = json.dumps(sandbox.log)
    for secret in (watcher, publisher, details["token"], key, "watcher-secret", "publisher-secret", "wr0ng"):
        assert secret not in text
    assert {"AUTH", "CONNECTED"} <= {record["message"] for record in (*sent(sandbox.log), *received(sandbox.log))}


async def test_latency_is_on_every_frame_either_way(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(latency_ms=20)
    loop = asyncio.get_running_loop()
    async with bare_socket(sandbox) as socket:
        await socket.next("CONNECTED")
        before = loop.time()
        await socket.ping()
        assert loop.time() - before >= 0.04
    before = loop.time()
    await ask(sandbox, "GET", "/time")
    assert loop.time() - before >= 0.04


async def test_silence_is_filled_with_heartbeats(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(realtime={"max_idle_ms": 30})
    async with bare_socket(sandbox) as socket:
        await socket.next("HEARTBEAT")
        assert socket.others[0]["connectionDetails"]["maxIdleInterval"] == 30


async def test_who_is_connected_is_told_and_who_has_left(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with bare_socket(sandbox) as socket:
        await socket.next("CONNECTED")
        connections = sandbox.state()["connections"]
        assert connections == [events(sandbox.log, "connected")[0]["connection"]]
    await until(lambda: sandbox.state()["connections"] == [])
    assert [event["connection"] for event in events(sandbox.log, "client_disconnected")] == connections


# Faults.


@pytest.mark.parametrize(
    ("faults", "problem"),
    [
        ([fault("message", "drop")], "faults: message: there is no such frame or request; known are CONNECTED"),
        ([fault("ATTACH", "duplicate")], "faults: ATTACH: 'duplicate' can't be done to it; error, drop"),
        ([fault("MESSAGE", "alter")], "faults: MESSAGE: alter needs a field"),
        ([fault("MESSAGE", "reject")], "faults[0].what: 'reject' is none of error, drop"),
        ([fault("MESSAGE", "pad")], "faults[0].what.pad: "),
        ([fault("MESSAGE", "drop", where={"conId": 7})], "faults[0].when.where: unknown key 'conId'"),
        ([fault("MESSAGE", "drop", times=7)], "faults[0].when: unknown key 'times'"),
        (
            [fault("MESSAGE", "close", parameters={"code": 7})],
            "faults[0].what.close.code: expected a whole number from",
        ),
    ],
)
async def test_a_fault_that_could_never_strike_is_refused(
    start_sandbox: StartSandbox, faults: list[Document], problem: str
) -> None:
    sandbox = await start_sandbox()
    with pytest.raises(ScenarioError) as refused:
        sandbox.change({"faults": faults})
    assert str(refused.value).startswith(problem)


async def test_faults_are_shown_as_they_are_written(start_sandbox: StartSandbox) -> None:
    faults = [
        fault("MESSAGE", "alter", parameters={"channelSerial": None, "messages": {"data": 7}}, where={"id": "7"}),
        fault("upgrade", "error", parameters={"code": 50003, "status": 503}, where={}, after=1, count=2, client="me"),
    ]
    sandbox = await start_sandbox(faults=faults)
    assert sandbox.state()["faults"] == [faults[0] | {"when": {**faults[0]["when"], "after": 0}}, faults[1]]


async def test_sockets_are_refused_for_a_while(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("upgrade", "error", parameters={"code": 50003}, count=2)])
    for _ in range(2):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with bare_socket(sandbox):
                pass
        assert refused.value.status == 500
    async with bare_socket(sandbox) as socket:
        await socket.next("CONNECTED")


@pytest.mark.parametrize("what", ["drop", "disconnect"])
@pytest.mark.parametrize("path", ["/time", MESSAGES])
async def test_a_request_is_never_answered_or_cut(start_sandbox: StartSandbox, what: str, path: str) -> None:
    sandbox = await start_sandbox(faults=[fault("time", what), fault("history", what)])
    patience = aiohttp.ClientTimeout(0.2 if what == "drop" else 5)
    with pytest.raises(TimeoutError if what == "drop" else aiohttp.ServerDisconnectedError):
        async with (
            aiohttp.ClientSession(timeout=patience) as http,
            http.get(f"http://{LOOPBACK}:{sandbox.ably_port}{path}"),
        ):
            pass
    assert {event["action"] for event in events(sandbox.log, "fault")} == {what}  # the client asks again by itself
    assert not events(sandbox.log, "history")


async def test_a_request_is_answered_late_with_an_error_or_with_rubbish(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    loop = asyncio.get_running_loop()
    sandbox.change({"faults": [fault("history", "error", parameters={"code": 50000, "status": 502, "text": "no"})]})
    status, answer, headers = await ask(sandbox, "GET", MESSAGES)
    assert (status, answer["error"]["message"], headers["X-Ably-Errorcode"]) == (502, "no", "50000")
    sandbox.change({"faults": [fault("history", "delay", parameters={"ms": 40})]})
    before = loop.time()
    assert (await ask(sandbox, "GET", MESSAGES))[0] == 200
    assert loop.time() - before >= 0.04
    sandbox.change({"faults": [fault("history", "garbage")]})
    with pytest.raises(ValueError, match="can't decode"):
        await ask(sandbox, "GET", MESSAGES)


async def test_a_page_of_history_has_a_message_that_can_not_be_decoded(start_sandbox: StartSandbox) -> None:
    change = {"messages": {"data": "{", "encoding": "json"}}
    sandbox = await start_sandbox(faults=[fault("history", "alter", parameters=change)])
    sandbox.publish(CHANNEL, "x", id="7")
    _, (message,), _ = await ask(sandbox, "GET", MESSAGES)
    assert (message["data"], message["encoding"], message["id"]) == ("{", "json", "7")


async def test_a_frame_is_above_a_mebibyte_or_no_frame(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    for binary in (False, True):
        faults = [
            fault("MESSAGE", "pad", parameters={"bytes": 2**20}, count=1),
            fault("MESSAGE", "garbage", after=1, count=1),
        ]
        sandbox.change({"faults": []})
        sandbox.change({"faults": faults})
        async with bare_socket(sandbox, binary=binary) as socket:
            await socket.attach()
            for data in "ab":
                sandbox.publish(CHANNEL, data)
            assert len((await socket.raw()).data) > 2**20
            assert (await socket.raw()).data == (b"\xc1" if binary else "�")
    assert [event["ids"] for event in events(sandbox.log, "delivered")] == [
        [event["id"]] for event in events(sandbox.log, "published") if event["data"] == "a"
    ]


async def test_what_is_dropped_was_published_but_not_delivered(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("MESSAGE", "drop", where={"channel": CHANNEL, "name": "lost"})])
    async with bare_socket(sandbox) as socket:
        await socket.attach()
        sandbox.publish(CHANNEL, "a", name="lost")
        sandbox.publish(CHANNEL, "b", name="seen")
        assert await socket.datas(1) == ["b"]
    assert [event["data"] for event in events(sandbox.log, "published")] == ["a", "b"]
    assert len(events(sandbox.log, "delivered")) == 1
    assert [message["data"] for message in (await ask(sandbox, "GET", MESSAGES))[1]] == ["b", "a"]


async def test_a_late_message_is_overtaken(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("MESSAGE", "delay", parameters={"ms": 30}, count=1)])
    async with bare_socket(sandbox) as socket:
        await socket.attach()
        for data in "ab":
            sandbox.publish(CHANNEL, data)
        assert await socket.datas(2) == ["b", "a"]


# Disturbances, and what a socket sees of its end.


async def end_of(sandbox: Sandbox, action: str, **parameters: Any) -> tuple[aiohttp.WSMsgType, int | None]:
    async with bare_socket(sandbox) as socket:
        await socket.next("CONNECTED")
        sandbox.disturb(action, **parameters)
        message = await socket.raw()
        return message.type, socket.socket.close_code


async def test_sockets_are_closed_with_a_code_or_cut(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    assert await end_of(sandbox, "close", code=1012) == (aiohttp.WSMsgType.CLOSE, 1012)
    assert await end_of(sandbox, "close") == (aiohttp.WSMsgType.CLOSE, 1000)
    assert (await end_of(sandbox, "abort"))[1] == 1006
    sandbox.change({"faults": [fault("ping", "close", parameters={"code": 1011})]})
    async with bare_socket(sandbox) as socket:
        await socket.send(Action.HEARTBEAT)
        await socket.next("CONNECTED")
        await socket.raw()
        assert socket.socket.close_code == 1011


async def test_one_of_two_connections_is_disturbed(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with bare_socket(sandbox) as first, bare_socket(sandbox) as second:
        for socket in (first, second):
            await socket.next("CONNECTED")
        one, _ = (event["connection"] for event in events(sandbox.log, "connected"))
        sandbox.disturb("send", connection=one, frame={"action": 6, "error": {"code": 80003}})
        assert (await first.next("DISCONNECTED"))["error"] == {"code": 80003}
        await second.ping()
        assert not second.others


async def test_a_stalled_connection_stays_open(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(realtime={"max_idle_ms": 30})
    async with bare_socket(sandbox) as socket:
        await socket.attach()
        sandbox.disturb("stall")
        sandbox.publish(CHANNEL, "unheard")
        await socket.send(Action.HEARTBEAT, id="unheard")
        await until(lambda: len(received(sandbox.log, "HEARTBEAT")) == 1)
        with pytest.raises(TimeoutError):
            await socket.socket.receive(0.1)
        assert not socket.socket.closed
    assert not events(sandbox.log, "delivered")


async def test_tokens_end_for_good(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    _, details, _ = await ask(
        sandbox, "POST", "/keys/sandbox.watcher/requestToken", json={"keyName": "sandbox.watcher"}
    )
    async with bare_socket(sandbox, accessToken=details["token"]) as socket:
        await socket.attach()
        sandbox.disturb("expire_tokens")
        assert (await socket.next("DISCONNECTED"))["error"]["code"] == 40142
        assert (await socket.raw()).type is aiohttp.WSMsgType.CLOSE
    async with bare_socket(sandbox, accessToken=details["token"]) as socket:
        assert (await socket.next("ERROR"))["error"]["code"] == 40142


async def test_a_client_that_sends_no_frame_is_turned_away(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with bare_socket(sandbox) as socket:
        await socket.next("CONNECTED")
        await socket.socket.send_str("{")
        assert (await socket.raw()).type is aiohttp.WSMsgType.CLOSE
    assert "can't be decoded" in events(sandbox.log, "client_refused")[0]["reason"]


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        ("disturb", {}, "expected one thing to do"),
        ("disturb", {"explode": {}}, "disturb: there is no 'explode'; known are abort, close"),
        ("disturb", {"close": {"kode": 1}}, "disturb.close: unknown key 'kode'"),
        ("disturb", {"close": {"code": 7}}, "disturb.close.code: expected a whole number from 1000 to 4999"),
        ("disturb", {"send": {}}, "disturb.send: needs 'frame'"),
        ("disturb", {"send": {"frame": {"channel": "x"}}}, "disturb.send.frame: expected a frame"),
        ("disturb", {"lose_continuity": None}, "disturb.lose_continuity: needs 'channel'"),
        ("publish", {"data": "x"}, "channel: expected text"),
        ("publish", {"channel": CHANNEL, "data": 7}, "publish: data is text, bytes"),
        ("publish", {"channel": CHANNEL, "dada": 7}, "unknown key 'dada'"),
        ("publish", {"channel": CHANNEL, "action": 2, "serial": "x"}, "publish: channel rebalance-primary keeps no"),
    ],
)
async def test_what_the_control_endpoint_can_not_do_is_said(
    start_sandbox: StartSandbox, path: str, body: Document, problem: str
) -> None:
    sandbox = await start_sandbox()
    async with aiohttp.ClientSession() as http, http.post(f"{sandbox.control_url}/{path}", json=body) as response:
        assert response.status == 400
        assert (await response.json())["error"].startswith(problem)
    assert not events(sandbox.log)


async def test_the_control_endpoint_publishes_and_disturbs(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with bare_socket(sandbox) as socket, aiohttp.ClientSession() as http:
        await socket.attach()
        body = {"channel": CHANNEL, "data": {"execution": "rebalance"}, "name": "n", "id": "7"}
        for path, posted in (("publish", body), ("publish", body), ("disturb", {"close": {"code": 1001}})):
            async with http.post(f"{sandbox.control_url}/{path}", json=posted) as response:
                assert response.status == 200
        assert (await socket.next("MESSAGE"))["messages"][0]["id"] == "7"
        assert (await socket.raw()).data == 1001
    assert [event["channel"] for event in events(sandbox.log, "published_again")] == [CHANNEL]
    assert events(sandbox.log, "disturbed")[0]["parameters"] == {"code": 1001}
