"""Ably's own Python client gets on with the sandbox: what it does on a good day, and what it can survive."""

import asyncio
from typing import Any

import pytest
from ably.types.channeloptions import ChannelOptions
from ably.util.exceptions import AblyException
from tests.sandbox.ably_clients import CHANNEL, PATIENCE_S, publisher_key, realtime, rest, until, watch
from tests.support.sandbox import StartSandbox, events, received, sent
from tests.support.sandbox import realtime_fault as fault

BINARY = pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
DATA: tuple[Any, ...] = ({"execution": "rebalance"}, ["rebalance"], "text", "Grüße", bytearray(b"\xff\x00"), None)


def datas(messages: list[Any]) -> list[Any]:
    return [message.data for message in messages]


def resumed(changes: list[Any]) -> list[bool]:
    """Of each time the channel was attached."""
    return [change.resumed for change in changes if change.current.value == "attached"]


async def test_the_token_of_a_watcher_says_that_it_can_not_publish(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with rest(sandbox) as client:
        details = await client.auth.request_token()
    assert details.capability.to_dict() == {CHANNEL: ["history", "subscribe"]}


@BINARY
async def test_what_is_published_by_rest_arrives_as_it_was(start_sandbox: StartSandbox, binary: bool) -> None:
    sandbox = await start_sandbox()
    async with (
        realtime(sandbox, use_binary_protocol=binary) as client,
        rest(sandbox, use_binary_protocol=binary) as reader,
        rest(sandbox, key=publisher_key(sandbox), use_binary_protocol=binary) as publisher,
    ):
        messages, changes = await watch(client)
        for data in DATA:
            await publisher.channels.get(CHANNEL).publish("n", data)
        await until(lambda: len(messages) == len(DATA))
        assert datas(messages) == list(DATA)
        assert {(message.name, int(message.action)) for message in messages} == {("n", 0)}
        page = await reader.channels.get(CHANNEL).history(direction="forwards")
        assert datas(page.items) == list(DATA)
        assert [message.serial for message in page.items] == [message.serial for message in messages]
    assert resumed(changes) == [False]


@BINARY
async def test_what_is_published_by_the_socket_is_acknowledged(start_sandbox: StartSandbox, binary: bool) -> None:
    sandbox = await start_sandbox()
    async with realtime(sandbox, key=publisher_key(sandbox), use_binary_protocol=binary) as client:
        result = await asyncio.wait_for(client.channels.get(CHANNEL).publish("n", "x"), PATIENCE_S)
        with pytest.raises(AblyException, match="no permission to publish on channel other"):
            await asyncio.wait_for(client.channels.get("other").publish("n", "x"), PATIENCE_S)
    (published,) = events(sandbox.log, "published")
    assert (published["by"], [published["serial"]]) == ("socket", result.serials)


async def test_it_pages_through_history_and_asks_it_raw(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    for number in range(5):
        sandbox.publish(CHANNEL, str(number))
    async with rest(sandbox) as client:
        page, shown = await client.channels.get(CHANNEL).history(limit=2), []
        while page is not None:
            shown.append(datas(page.items))
            page = await page.next()
        assert shown == [["4", "3"], ["2", "1"], ["0"]]
        params = {"start": "0", "direction": "forwards", "limit": "3"}
        answer = await client.request("GET", f"/channels/{CHANNEL}/messages", "5", params=params)
        assert (answer.status_code, [item["data"] for item in answer.items]) == (200, ["0", "1", "2"])
        assert [item["data"] for item in (await answer.next()).items] == ["3", "4"]
        assert abs(await client.time() - 1795447800000) < 60_000


async def test_it_rewinds(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    for number in range(3):
        sandbox.publish(CHANNEL, str(number))
    async with realtime(sandbox) as client:
        messages, _ = await watch(client, options=ChannelOptions(params={"rewind": "2"}))
        await until(lambda: datas(messages) == ["1", "2"])


@BINARY
@pytest.mark.parametrize("cut", [("abort", {}), ("close", {"code": 1001}), ("close", {"code": 1011})], ids=str)
async def test_it_goes_on_after_a_cut(
    start_sandbox: StartSandbox, cut: tuple[str, dict[str, Any]], binary: bool
) -> None:
    sandbox = await start_sandbox()
    action, parameters = cut
    async with realtime(sandbox, use_binary_protocol=binary) as client:
        messages, changes = await watch(client)
        sandbox.publish(CHANNEL, "before")
        await until(lambda: len(messages) == 1)
        sandbox.disturb(action, **parameters)
        sandbox.publish(CHANNEL, "meanwhile")
        await until(lambda: len(messages) == 2)
        sandbox.publish(CHANNEL, "after")
        await until(lambda: len(messages) == 3)
    assert datas(messages) == ["before", "meanwhile", "after"]
    assert resumed(changes) == [False, True]
    assert [event["resumed"] for event in events(sandbox.log, "connected")] == [False, True]


async def test_a_lost_connection_is_another_but_the_channel_goes_on(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with realtime(sandbox) as client:
        messages, changes = await watch(client)
        sandbox.disturb("forget")
        sandbox.disturb("abort")
        sandbox.publish(CHANNEL, "meanwhile")
        await until(lambda: len(messages) == 1)
        assert client.connection.error_reason is None or client.connection.error_reason.code == 80018
    assert resumed(changes) == [False, True]
    assert [event["resumed"] for event in events(sandbox.log, "connected")] == [False, False]


async def test_it_is_told_that_messages_are_missing(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with realtime(sandbox) as client:
        messages, changes = await watch(client)
        sandbox.disturb("abort")
        sandbox.publish(CHANNEL, "lost")
        sandbox.disturb("lose_continuity", channel=CHANNEL)
        await until(lambda: resumed(changes) == [False, False])
        sandbox.disturb("discontinuity", channel=CHANNEL)
        await until(lambda: resumed(changes) == [False, False, False])
        sandbox.publish(CHANNEL, "seen")
        await until(lambda: datas(messages) == ["seen"])


async def test_it_connects_once_it_is_let_in(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(
        faults=[fault("upgrade", "error", parameters={"code": 50003, "status": 503}, count=2)]
    )
    async with realtime(sandbox, disconnected_retry_timeout=50) as client:
        messages, _ = await watch(client)
        sandbox.publish(CHANNEL, "x")
        await until(lambda: datas(messages) == ["x"])
    assert len(events(sandbox.log, "realtime_refused")) == 2


async def test_it_renews_a_token_that_was_ended(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with realtime(sandbox, use_token_auth=True) as client, rest(sandbox) as reader:
        messages, _ = await watch(client)
        await reader.channels.get(CHANNEL).history()
        sandbox.disturb("expire_tokens")
        sandbox.publish(CHANNEL, "x")
        await until(lambda: datas(messages) == ["x"])
        assert datas((await reader.channels.get(CHANNEL).history()).items) == ["x"]
    assert len(events(sandbox.log, "token_issued")) == 4


async def test_it_is_asked_for_another_token_within_the_connection(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with realtime(sandbox, use_token_auth=True) as client:
        messages, changes = await watch(client)
        sandbox.disturb("send", frame={"action": 17})
        await until(lambda: len(sent(sandbox.log, "CONNECTED")) == 2)
        await until(lambda: resumed(changes) == [False, True])
        sandbox.publish(CHANNEL, "x")
        await until(lambda: datas(messages) == ["x"])
    assert len(events(sandbox.log, "connected")) == 1
    assert len(received(sandbox.log, "AUTH")) == 1


async def test_a_mute_server_is_left_for_a_socket_that_speaks(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(realtime={"max_idle_ms": 100})
    async with realtime(sandbox, realtime_request_timeout=200) as client:
        messages, changes = await watch(client)
        sandbox.disturb("stall")
        sandbox.publish(CHANNEL, "unheard")
        await until(lambda: datas(messages) == ["unheard"])
    assert resumed(changes) == [False, True]


async def test_a_ping_is_answered(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with realtime(sandbox) as client:
        await client.connection.once_async("connected")
        assert await client.connection.ping() >= 0


async def test_updates_and_deletes_are_seen(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with realtime(sandbox) as client:
        messages, _ = await watch(client)
        sandbox.publish(CHANNEL, "a")
        serial = events(sandbox.log, "published")[0]["serial"]
        sandbox.publish(CHANNEL, "b", action=1, serial=serial)
        sandbox.publish(CHANNEL, None, action=2, serial=serial)
        await until(lambda: len(messages) == 3)
    assert [(int(message.action), message.serial) for message in messages] == [(0, serial), (1, serial), (2, serial)]


async def test_a_channel_without_permission_fails(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with realtime(sandbox) as client:
        with pytest.raises(AblyException) as refused:
            await asyncio.wait_for(client.channels.get("other").attach(), PATIENCE_S)
    assert refused.value.code == 40160
