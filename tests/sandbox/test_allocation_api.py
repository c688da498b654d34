"""The allocation API over a real socket: the key, the answers, and the ways an answer can go wrong."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from tests.support.sandbox import BASE, StartSandbox, events, sandbox_with

from ibkr_rebalancer.sandbox.run import API_KEY, Sandbox

RIGHT = {"Authorization": f"Bearer {API_KEY}"}


async def fetch(sandbox: Sandbox, name: str = "primary", **options: Any) -> tuple[int, bytes]:
    options = {"headers": RIGHT, **options}
    async with aiohttp.ClientSession() as http, http.get(f"{sandbox.allocations_url}/{name}", **options) as response:
        return response.status, await response.read()


async def test_an_allocation_is_the_scenarios_body(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    status, body = await fetch(sandbox)
    assert (status, json.loads(body)) == (200, BASE["allocations"]["primary"])


@pytest.mark.parametrize(
    ("headers", "given"),
    [({}, False), ({"Authorization": "Bearer wrong"}, True), ({"Authorization": API_KEY}, True)],
)
async def test_without_the_right_key_there_is_nothing_and_the_log_never_has_a_key(
    start_sandbox: StartSandbox, headers: dict[str, str], given: bool
) -> None:
    sandbox = await start_sandbox()
    status, _ = await fetch(sandbox, headers=headers)
    await fetch(sandbox)
    assert status == 401
    refused, served = events(sandbox.log, "allocation_request")
    assert (refused["authorization"], refused["authorized"], refused["status"]) == (given, False, 401)
    assert (served["authorization"], served["authorized"], served["status"]) == (True, True, 200)
    assert API_KEY not in str(sandbox.log)
    assert "wrong" not in str(sandbox.log)


async def test_an_unknown_name_is_not_found(start_sandbox: StartSandbox) -> None:
    assert (await fetch(await start_sandbox(), "nope"))[0] == 404


async def test_status_and_text_are_sent_as_they_stand(start_sandbox: StartSandbox) -> None:
    answer = {"http": {"status": 503, "body": "<html>", "delay_ms": 1}}
    assert await fetch(await start_sandbox(allocations={"primary": answer})) == (503, b"<html>")


async def test_a_redirect(start_sandbox: StartSandbox) -> None:
    moved = {"http": {"status": 302, "location": "/allocations/primary"}}
    sandbox = await start_sandbox(allocations={"moved": moved})
    assert (await fetch(sandbox, "moved", allow_redirects=False))[0] == 302
    status, body = await fetch(sandbox, "moved")
    assert (status, json.loads(body)["status"]) == (200, "success")


async def test_a_compressed_body(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(allocations={"primary": {"http": {"gzip": True, "body": {"status": "x" * 9999}}}})
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        http.get(f"{sandbox.allocations_url}/primary", headers=RIGHT) as response,
    ):
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(await response.read()) < 200
    assert json.loads((await fetch(sandbox))[1]) == {"status": "x" * 9999}


async def test_a_drip_comes_byte_by_byte(start_sandbox: StartSandbox) -> None:
    """Every byte arrives by itself, so a limit on the pause between reads never strikes."""
    sandbox = await start_sandbox(allocations={"primary": {"http": {"drip_ms": 2, "body": "abcdef"}}})
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{sandbox.allocations_url}/primary", headers=RIGHT) as response,
    ):
        pieces = [piece async for piece in response.content.iter_any()]
    assert b"".join(pieces) == b"abcdef"
    assert len(pieces) > 1


async def test_an_endless_body_ends_when_the_client_has_had_enough(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(allocations={"primary": {"http": {"endless": True, "body": {"status": "success"}}}})
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{sandbox.allocations_url}/primary", headers=RIGHT) as response,
    ):
        assert len(await response.content.readexactly(3_000_000)) == 3_000_000
        response.close()
    assert (await fetch(sandbox, "nope"))[0] == 404


async def test_a_client_that_leaves_an_endless_answer_unread_is_no_defect(
    start_sandbox: StartSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = await start_sandbox(allocations={"primary": {"http": {"endless": True}}})
    before = len(asyncio.all_tasks())
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.allocations_port)
    request = f"GET /allocations/primary HTTP/1.1\r\nHost: x\r\nAuthorization: {RIGHT['Authorization']}\r\n\r\n"
    writer.write(request.encode())
    await reader.readexactly(1000)
    writer.transport.abort()
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 (nobody tells when an answer has ended)
            await asyncio.sleep(0.01)
    assert caplog.messages == []


async def test_a_sandbox_that_ends_does_not_wait_for_answers_that_are_late() -> None:
    late = {"primary": {"http": {"body": {}, "delay_ms": 60_000}}}
    loop = asyncio.get_running_loop()
    async with sandbox_with(allocations=late) as sandbox:
        asking = asyncio.ensure_future(fetch(sandbox))
        while not events(sandbox.log, "allocation_request"):  # noqa: ASYNC110 (the log sets no event)
            await asyncio.sleep(0)
        started = loop.time()
    assert loop.time() - started < 5
    with pytest.raises(aiohttp.ClientError):
        await asking
