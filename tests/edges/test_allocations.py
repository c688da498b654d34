"""The allocation edge against real sockets: what it sends and to whom, and how every failure ends."""

import asyncio
import gc
import gzip
import json
import sys
import threading
import time
import traceback
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.raw_http import (
    CERTIFICATE,
    TLS_NAME,
    Peer,
    RawServer,
    Script,
    closed_port,
    head,
    ok,
    raw_server,
    saying,
)
from tests.support.sandbox import BASE, LOOPBACK, StartSandbox, events

from ibkr_rebalancer.core.errors import AllocationUnavailable
from ibkr_rebalancer.core.layout import MAX_DOCUMENT
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.allocations import MAX_ATTEMPTS, HttpAllocations
from ibkr_rebalancer.sandbox.run import API_KEY, Sandbox

KEY = "k3y-of-the-owner"
TARGETS = b'{"status": "success"}'
PATIENT_S = 30.0
"""A deadline that only a broken test meets."""
SOON_S = 0.3
"""A deadline that a test waits for."""
TOLERANCE_S = 0.7
"""How much later than its deadline a fetch may end on a busy machine."""

DENIED = "Check ALLOCATIONS_API_KEY, and that it may read this allocation."
CHECK_URL = "Check allocations.url in accounts.yaml."
CHECK_SERVER = "Check that allocations.url is right and its server is up; nothing was planned."
CHECK_DOCUMENT = "Check that allocations.url names the allocation document and not something else."
FINAL_ADDRESS = "Put the final address into allocations.url."
CURL = "Try the URL with curl; if it is slow for everybody, speak to its operator."


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """No thread outlives its fetch, and no socket is left to the garbage collector (whose warning is an error)."""
    yield
    for thread in threading.enumerate():
        if thread.name == "allocation-fetch":
            thread.join(timeout=10)
            assert not thread.is_alive()
    gc.collect()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    stretch_pauses(monkeypatch, 0)


def stretch_pauses(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, _high: factor)


def account(url: str) -> Account:
    return Account(account_id=AccountId("DU1"), channel="targets", allocations_url=url)


def holding(key: str | None) -> dict[str, str]:
    """What the variable holds that accounts go by unless told otherwise."""
    return {} if key is None else {"ALLOCATIONS_API_KEY": key}


async def fetch(url: str, *, key: str | None = KEY, deadline_s: float = PATIENT_S) -> bytes:
    return await HttpAllocations(api_keys=holding(key), deadline_s=deadline_s).fetch(account(url))


async def failure(url: str, *, key: str | None = KEY, deadline_s: float = PATIENT_S) -> tuple[str, str, str]:
    """Code, sentence and hint of a fetch that fails; not even a traceback of it shows the key."""
    with pytest.raises(AllocationUnavailable) as caught:
        await fetch(url, key=key, deadline_s=deadline_s)
    error = caught.value
    told = "".join(traceback.format_exception(error))
    assert key is None or key not in told
    assert key is None or repr(key)[1:-1] not in told
    assert error.exit_code == 23
    return error.code, error.message, error.hint


def place(server: RawServer) -> str:
    """How the server is called in sentences."""
    return f"{LOOPBACK}:{server.port}"


def unreachable(where: str, tries: int) -> tuple[str, str, str]:
    reason = f"it could not be reached, or closed the connection ({tries} tries)"
    return unavailable(where, reason)


def unavailable(where: str, reason: str) -> tuple[str, str, str]:
    sentence = f"The allocation document could not be fetched from {where}: {reason}."
    return "ALLOCATION_UNAVAILABLE", sentence, CHECK_SERVER


def too_late(where: str, deadline_s: float = SOON_S) -> tuple[str, str, str]:
    sentence = f"{where} did not deliver the allocation document within {deadline_s:g} s."
    return "ALLOCATION_TIMEOUT", sentence, CURL


def asked(sandbox: Sandbox) -> int:
    return len(events(sandbox.log, "allocation_request"))


# The key


async def test_the_document_comes_as_it_was_sent(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    body = await fetch(f"{sandbox.allocations_url}/primary", key=API_KEY)
    assert json.loads(body) == BASE["allocations"]["primary"]
    (request,) = events(sandbox.log, "allocation_request")
    assert (request["authorization"], request["authorized"]) == (True, True)


async def test_the_request_carries_the_key_as_a_bearer() -> None:
    async with raw_server(saying(ok(TARGETS))) as server:
        assert await fetch(server.url) == TARGETS
    (request,) = server.requests
    assert request.startswith("GET /targets HTTP/1.1\r\n")
    assert f"\r\nAuthorization: Bearer {KEY}\r\n" in request
    assert "\r\nAccept: application/json\r\n" in request
    assert "\r\nAccept-Encoding: identity\r\n" in request


async def test_without_a_key_nothing_is_claimed(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    where = f"{LOOPBACK}:{sandbox.allocations_port}"
    assert await failure(f"{sandbox.allocations_url}/primary", key=None) == (
        "ALLOCATION_DENIED",
        f"{where} answered HTTP 401: the key is missing, wrong or has no right to this.",
        DENIED,
    )
    (request,) = events(sandbox.log, "allocation_request")
    assert request["authorization"] is False


@pytest.mark.parametrize("host", [LOOPBACK, TLS_NAME])
async def test_netrc_is_never_consulted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str) -> None:
    """Passwords for a host that stand there are meant for other programs; on loopback and elsewhere alike."""
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine {host} login somebody password else\ndefault login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with raw_server(saying(ok(TARGETS))) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://{LOOPBACK}:{server.port}")
        assert await fetch(f"http://{host}:{server.port}/targets", key=None) == TARGETS
    assert "authorization" not in server.requests[0].lower()


@pytest.mark.parametrize("key", ["k3y\nX-Injected: yes", "k3y\r\n\r\n", "k3y-€", "\udcff"])
async def test_a_key_that_no_header_can_carry_is_not_shown(key: str) -> None:
    async with raw_server(saying(ok(TARGETS))) as server:
        code, sentence, hint = await failure(server.url, key=key)
    assert code == "ALLOCATION_DENIED"
    assert sentence == "ALLOCATIONS_API_KEY has characters that no HTTP header can carry."
    assert hint == DENIED
    assert not server.requests


async def test_secrets_in_a_url_are_not_shown() -> None:
    async with raw_server(saying(head(404))) as server:
        url = f"http://name:password@{place(server)}/path-of-owner?token=secret"
        assert await failure(url) == ("ALLOCATION_UNAVAILABLE", f"{place(server)} answered HTTP 404.", CHECK_URL)


# Statuses and attempts


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_not_tried_again(start_sandbox: StartSandbox, status: int) -> None:
    sandbox = await start_sandbox(allocations={"primary": {"http": {"status": status}}})
    where = f"{LOOPBACK}:{sandbox.allocations_port}"
    assert await failure(f"{sandbox.allocations_url}/primary", key=API_KEY) == (
        "ALLOCATION_DENIED",
        f"{where} answered HTTP {status}: the key is missing, wrong or has no right to this.",
        DENIED,
    )
    assert asked(sandbox) == 1


@pytest.mark.parametrize("status", [201, 204, 206, 302, 304, 400, 404, 410, 418, 451])
async def test_an_answer_that_will_stay_is_not_asked_for_again(start_sandbox: StartSandbox, status: int) -> None:
    """Only a 200 carries a document: also other successes, and redirects that lead nowhere, do not."""
    sandbox = await start_sandbox(allocations={"primary": {"http": {"status": status, "body": ""}}})
    sentence = f"{LOOPBACK}:{sandbox.allocations_port} answered HTTP {status}."
    expected = ("ALLOCATION_UNAVAILABLE", sentence, CHECK_URL)
    assert await failure(f"{sandbox.allocations_url}/primary", key=API_KEY) == expected
    assert asked(sandbox) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
async def test_an_overloaded_server_is_asked_four_times(start_sandbox: StartSandbox, status: int) -> None:
    sandbox = await start_sandbox(allocations={"primary": {"http": {"status": status}}})
    where = f"{LOOPBACK}:{sandbox.allocations_port}"
    expected = unavailable(where, f"it answered HTTP {status} (4 tries)")
    assert await failure(f"{sandbox.allocations_url}/primary", key=API_KEY) == expected
    assert asked(sandbox) == MAX_ATTEMPTS == 4


async def test_a_later_attempt_succeeds() -> None:
    async with raw_server(saying(b"", head(503), head(429), ok(TARGETS))) as server:
        assert await fetch(server.url) == TARGETS
    assert len(server.requests) == 4


async def test_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pauses of 0.2 s and 0.4 s only the first fits; three of the first length would have."""
    stretch_pauses(monkeypatch, 0.4)
    async with raw_server(saying(head(503))) as server:
        outcome = await failure(server.url, deadline_s=0.58)
    assert outcome == unavailable(place(server), "it answered HTTP 503 (2 tries)")


async def test_no_pause_is_begun_that_ends_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    stretch_pauses(monkeypatch, 1000)
    async with raw_server(saying(head(503))) as server, asyncio.timeout(PATIENT_S / 2):
        assert await failure(server.url) == unavailable(place(server), "it answered HTTP 503 (1 try)")


async def test_fetches_do_not_wait_for_one_another(start_sandbox: StartSandbox) -> None:
    """Fifty fetches of an answer that takes half a second, in far less than fifty times that."""
    sandbox = await start_sandbox(allocations={"primary": {"http": {"delay_ms": 500, "body": {}}}})
    source = HttpAllocations(api_keys=holding(API_KEY))
    one = account(f"{sandbox.allocations_url}/primary")
    async with asyncio.timeout(12):
        assert await asyncio.gather(*(source.fetch(one) for _ in range(50))) == [b"{}"] * 50


# Broken connections


async def test_nothing_listens() -> None:
    with closed_port() as port:
        assert await failure(f"http://{LOOPBACK}:{port}/") == unreachable(f"{LOOPBACK}:{port}", tries=4)


async def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy that is down, as no test may ask a name server."""
    with closed_port() as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://{LOOPBACK}:{port}")
        assert await failure("http://nowhere.test/") == unreachable("nowhere.test", tries=4)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 20",
        b"\x00\xff\x00\xff\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nLong: " + b"x" * 70_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"Many: x\r\n" * 200 + b"\r\n{}",
        b"HTTP/1.1 two OK\r\n\r\n{}",
    ],
    ids=["nothing", "half a line", "binary", "another protocol", "long header", "many headers", "no number"],
)
async def test_an_answer_without_a_readable_head(answer: bytes) -> None:
    async with raw_server(saying(answer)) as server:
        assert await failure(server.url) == unreachable(place(server), tries=4)
    assert len(server.requests) == 4


async def test_a_reset_before_the_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async with raw_server(script) as server:
        assert await failure(server.url) == unreachable(place(server), tries=4)
    assert len(server.requests) == 4


async def test_a_reset_in_the_middle_of_the_body() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(head(200, "Content-Length: 100") + b'{"status": ')
        peer.reset()

    async with raw_server(script) as server:
        outcome = await failure(server.url)
    cut_off = unavailable(place(server), "the document was cut off or garbled (4 tries)")
    # The reset may overtake the head on its way.
    assert outcome in {cut_off, unreachable(place(server), tries=4)}
    assert len(server.requests) == 4


GARBLED = {
    "short": head(200, "Content-Length: 100") + b'{"status": "success"}',
    "chunk cut off": head(200, "Transfer-Encoding: chunked") + b"64\r\n{}",
    "no last chunk": head(200, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n",
    "no chunk size": head(200, "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n",
    "no gzip": ok(b"{}", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("answer", GARBLED.values(), ids=GARBLED)
async def test_a_body_that_is_not_whole_is_no_document(answer: bytes) -> None:
    async with raw_server(saying(answer)) as server:
        outcome = await failure(server.url)
    assert outcome == unavailable(place(server), "the document was cut off or garbled (4 tries)")
    assert len(server.requests) == 4


# urllib3 leaves this one socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_two_lengths_that_contradict_each_other() -> None:
    async with raw_server(saying(head(200, "Content-Length: 2, 3") + b"{}x")) as server:
        assert await failure(server.url) == unavailable(place(server), "the exchange failed (InvalidHeader)")


@pytest.mark.parametrize("body", [b"", b"\x00\xff\xfe", b"<html>", "{…}".encode("utf-16"), b"{}" * 1000])
async def test_the_body_is_not_judged_here(body: bytes) -> None:
    async with raw_server(saying(ok(body))) as server:
        assert await fetch(server.url) == body


@pytest.mark.parametrize(
    "answer",
    [
        ok(gzip.compress(TARGETS), "Content-Encoding: gzip"),
        ok(gzip.compress(gzip.compress(TARGETS)), "Content-Encoding: gzip, gzip"),
        head(200, "Transfer-Encoding: chunked")
        + b"5\r\n"
        + TARGETS[:5]
        + b"\r\n10\r\n"
        + TARGETS[5:]
        + b"\r\n0\r\n\r\n",
        head(200) + TARGETS,
    ],
    ids=["compressed though not asked to", "compressed twice", "in chunks", "until the end"],
)
async def test_ways_to_send_a_whole_document(answer: bytes) -> None:
    async with raw_server(saying(answer)) as server:
        assert await fetch(server.url) == TARGETS


# Too much


@pytest.mark.parametrize("size", [MAX_DOCUMENT, MAX_DOCUMENT + 1])
async def test_the_cap(size: int) -> None:
    async with raw_server(saying(ok(b" " * size))) as server:
        if size <= MAX_DOCUMENT:
            assert len(await fetch(server.url)) == size
        else:
            assert await failure(server.url) == too_large(place(server))


async def test_an_endless_body(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(allocations={"primary": {"http": {"endless": True}}})
    url = f"{sandbox.allocations_url}/primary"
    assert await failure(url, key=API_KEY) == too_large(f"{LOOPBACK}:{sandbox.allocations_port}")
    assert asked(sandbox) == 1


async def test_a_compressed_giant_is_not_unpacked() -> None:
    """Of 256 MiB that arrive as a quarter of one, no more than a few are ever in memory."""
    giant = gzip.compress(b" " * 256 * 1024 * 1024, compresslevel=1)
    async with raw_server(saying(ok(giant, "Content-Encoding: gzip"))) as server:
        tracemalloc.start()
        try:
            assert await failure(server.url) == too_large(place(server))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 24 * 1024 * 1024


def too_large(where: str) -> tuple[str, str, str]:
    return "ALLOCATION_TOO_LARGE", f"{where} sent more than 1024 KiB.", CHECK_DOCUMENT


# Too slow


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.left()


async def deaf(peer: Peer) -> None:
    await peer.left()


async def status_line_drips(peer: Peer) -> None:
    await peer.request()
    await peer.drip(b"H")


async def headers_drip(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\n")
    await peer.drip(b"X")


async def body_drips(peer: Peer) -> None:
    await peer.request()
    await peer.send(head(200))
    await peer.drip(b" ")


async def body_halts(peer: Peer) -> None:
    await peer.request()
    await peer.send(head(200, "Content-Length: 100") + b"{")
    await peer.left()


async def chunk_sizes_drip(peer: Peer) -> None:
    await peer.request()
    await peer.send(head(200, "Transfer-Encoding: chunked"))
    await peer.drip(b"1\r\n{\r\n")


async def empty_gzip_drips(peer: Peer) -> None:
    """Compressed bytes without end that unpack to nothing."""
    await peer.request()
    start = gzip.compress(b"", mtime=0)[:10]
    await peer.send(head(200, "Content-Encoding: gzip") + start)
    await peer.drip(b"\x00\x00\x00\xff\xff")


async def empty_gzip_pours(peer: Peer) -> None:
    await peer.request()
    await peer.send(head(200, "Content-Encoding: gzip") + gzip.compress(b"", mtime=0)[:10])
    await peer.pour(b"\x00\x00\x00\xff\xff" * 10_000)


async def redirect_drips(peer: Peer) -> None:
    await peer.request()
    await peer.drip(b"HTTP/1.1 302 Found\r\nLocation: /targets\r\n")


SLOW: list[Script] = [
    silent,
    deaf,
    status_line_drips,
    headers_drip,
    body_drips,
    body_halts,
    chunk_sizes_drip,
    empty_gzip_drips,
    empty_gzip_pours,
    redirect_drips,
]


@pytest.mark.parametrize("script", SLOW)
async def test_the_deadline_is_for_the_whole_fetch(script: Script) -> None:
    """However the server spins it out; and then nobody goes on listening to it (the server waits for that)."""
    async with raw_server(script) as server:
        begun = time.monotonic()
        assert await failure(server.url, deadline_s=SOON_S) == too_late(place(server))
        assert SOON_S <= time.monotonic() - begun < SOON_S + TOLERANCE_S


async def test_the_sandbox_drips(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(allocations={"primary": {"http": {"drip_ms": 20, "body": "x" * 1000}}})
    url = f"{sandbox.allocations_url}/primary"
    where = f"{LOOPBACK}:{sandbox.allocations_port}"
    assert await failure(url, key=API_KEY, deadline_s=SOON_S) == too_late(where)
    assert asked(sandbox) == 1


async def test_a_slow_answer_within_the_deadline_is_taken(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(allocations={"primary": {"http": {"delay_ms": 50, "drip_ms": 1, "body": "slowly"}}})
    assert await fetch(f"{sandbox.allocations_url}/primary", key=API_KEY) == b"slowly"


async def test_the_deadline_spans_all_attempts() -> None:
    """Three quick failures and a drip end by the same deadline as one drip."""
    answers = saying(b"", b"", b"")

    async def script(peer: Peer) -> None:
        if len(server.requests) < 3:
            await answers(peer)
        else:
            await headers_drip(peer)

    async with raw_server(script) as server:
        begun = time.monotonic()
        assert await failure(server.url, deadline_s=SOON_S) == too_late(place(server))
        assert time.monotonic() - begun < SOON_S + TOLERANCE_S
    assert len(server.requests) == 4


@pytest.mark.parametrize("script", SLOW)
async def test_a_cancelled_fetch_leaves_the_line(script: Script) -> None:
    connected = asyncio.Event()

    async def watched(peer: Peer) -> None:
        connected.set()
        await script(peer)

    async with raw_server(watched) as server:
        task = asyncio.create_task(fetch(server.url))
        await connected.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("script", [silent, headers_drip, body_drips])
async def test_a_slow_server_does_not_hold_up_the_end_of_the_process(script: Script) -> None:
    program = """
import asyncio
from ibkr_rebalancer.core.errors import AllocationUnavailable
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.edges.allocations import HttpAllocations

async def main(url):
    account = Account(account_id="DU1", channel="targets", allocations_url=url)
    try:
        await HttpAllocations(api_keys={}, deadline_s=0.1).fetch(account)
    except AllocationUnavailable as error:
        print(error.code)

asyncio.run(main("URL"))
"""
    async with raw_server(script) as server, asyncio.timeout(20):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "dev", "-W", "error", "-c", program.replace("URL", server.url)),
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaints = await process.communicate()
    assert (out.decode(), complaints.decode(), process.returncode) == ("ALLOCATION_TIMEOUT\n", "", 0)


async def test_a_thread_that_hangs_would_not_hold_it_up_either() -> None:
    """A name server that does not answer cannot be cut off."""
    async with raw_server(silent) as server:
        task = asyncio.create_task(failure(server.url, deadline_s=SOON_S))
        while not server.requests:  # noqa: ASYNC110 (the server sets no event)
            await asyncio.sleep(0)
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "allocation-fetch"]
        assert thread.daemon
        await task


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_host_is_followed_with_the_key(status: int) -> None:
    async with raw_server(saying(head(status, "Location: /elsewhere?a=b"), ok(TARGETS))) as server:
        assert await fetch(server.url) == TARGETS
    first, second = server.requests
    assert first.startswith("GET /targets ")
    assert second.startswith("GET /elsewhere?a=b ")
    assert f"\r\nAuthorization: Bearer {KEY}\r\n" in second


@pytest.mark.parametrize(
    "location", ["/x", "x", "?x", "//127.0.0.1:PORT/x", "http://127.0.0.1:PORT/x", "/\\evil.test/x", "http:///x"]
)
async def test_places_within_the_host(location: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        moved = head(302, f"Location: {location.replace('PORT', str(peer.port))}")
        await peer.send(moved if len(peer.requests) == 1 else ok(TARGETS))

    async with raw_server(script) as server:
        assert await fetch(server.url) == TARGETS
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:PORT/x",
        "http://localhost:PORT/x",
        "//localhost:PORT/x",
        "https://127.0.0.1:PORT/x",
        "http://127.0.0.1:OTHER/x",
        "http://127.0.0.1/x",
        "http://127.0.0.1:PORT@localhost:OTHER/x",
        "http://localhost:OTHER@127.0.0.1:PORT/x",
        "http://127.0.0.1:PORT\\@localhost:OTHER/x",
        "http://127.0.0.1:PORT\t.evil.test/x",
        "http://127.0.0.1:PORT.evil.test/x",
        "http://[",
        "http://[::1/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:application/json,{}",
        "http://\xe9vil.test/x",
    ],
)
async def test_the_key_goes_nowhere_else(location: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        leads = location.replace("PORT", str(peer.port)).replace("OTHER", str(other.port))
        await peer.send(head(302, f"Location: {leads}"))

    async with raw_server(saying(ok(TARGETS))) as other, raw_server(script) as server:
        assert await failure(server.url) == (
            "ALLOCATION_REDIRECT",
            f"{place(server)} answered with a redirect to another place, where the key must not go.",
            FINAL_ADDRESS,
        )
    assert len(server.requests) == 1
    assert not other.requests


async def test_a_redirect_without_end(start_sandbox: StartSandbox) -> None:
    around = {"http": {"status": 302, "location": "/allocations/primary"}}
    sandbox = await start_sandbox(allocations={"primary": around})
    assert await failure(f"{sandbox.allocations_url}/primary", key=API_KEY) == (
        "ALLOCATION_REDIRECT",
        f"{LOOPBACK}:{sandbox.allocations_port} answered with more than 3 redirects in a row.",
        FINAL_ADDRESS,
    )
    assert asked(sandbox) == 4


async def test_three_redirects_are_followed() -> None:
    moved = head(302, "Location: /next")
    async with raw_server(saying(moved, moved, moved, ok(TARGETS))) as server:
        assert await fetch(server.url) == TARGETS


@pytest.mark.parametrize("location", ["Location: /targets", "Location: http://elsewhere.test/", "X: y"])
async def test_the_body_of_a_redirect_is_not_read(location: str) -> None:
    """However long it is, and wherever it leads."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(head(302, location))
        await peer.pour(b" " * 65536)

    async with raw_server(script) as server, asyncio.timeout(10):
        code, _, _ = await failure(server.url)
    assert code in {"ALLOCATION_REDIRECT", "ALLOCATION_UNAVAILABLE"}


# Proxies and TLS


async def test_proxies_have_no_business_on_loopback(
    monkeypatch: pytest.MonkeyPatch, start_sandbox: StartSandbox
) -> None:
    sandbox = await start_sandbox()
    async with raw_server(saying(head(502))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{LOOPBACK}:{proxy.port}")
        await fetch(f"{sandbox.allocations_url}/primary", key=API_KEY)
    assert not proxy.requests


async def tunnel(peer: Peer) -> None:
    """A proxy that leads to a TLS server of its own making."""
    await peer.request()
    await peer.send(head(200))
    await peer.start_tls()


@pytest.fixture
def through_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))


@pytest.mark.usefixtures("through_proxy")
async def test_elsewhere_the_proxy_and_the_trusted_certificates_of_the_machine_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def script(peer: Peer) -> None:
        await tunnel(peer)
        await saying(ok(TARGETS))(peer)

    async with raw_server(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{proxy.port}")
        assert await fetch(f"https://{TLS_NAME}/targets") == TARGETS
    connect, request = proxy.requests
    assert connect.startswith(f"CONNECT {TLS_NAME}:443 ")
    assert KEY not in connect
    assert f"\r\nAuthorization: Bearer {KEY}\r\n" in request


@pytest.mark.usefixtures("through_proxy")
@pytest.mark.parametrize("script", [silent, headers_drip, body_drips])
async def test_the_deadline_holds_under_tls(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    async def tunnelled(peer: Peer) -> None:
        await tunnel(peer)
        await script(peer)

    async with raw_server(tunnelled) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{proxy.port}")
        begun = time.monotonic()
        assert await failure(f"https://{TLS_NAME}/", deadline_s=SOON_S) == too_late(TLS_NAME)
        assert time.monotonic() - begun < SOON_S + TOLERANCE_S


@pytest.mark.usefixtures("through_proxy")
async def test_a_fetch_cancelled_while_it_connects_asks_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting, cancelled = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        connecting.set()
        await peer.send(head(200))
        await cancelled.wait()
        await peer.start_tls()
        await peer.request()

    async with raw_server(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{proxy.port}")
        task = asyncio.create_task(fetch(f"https://{TLS_NAME}/"))
        await connecting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()
    assert len(proxy.requests) == 1


@pytest.mark.usefixtures("through_proxy")
async def test_a_certificate_for_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await tunnel(peer)
        await peer.request()

    async with raw_server(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{proxy.port}")
        assert await failure("https://other.test/") == no_trust("other.test")
    assert len(proxy.requests) == 1


async def test_a_certificate_that_nobody_vouches_for() -> None:
    async with raw_server(saying(ok(TARGETS)), tls=True) as server:
        assert await failure(server.url.replace("http:", "https:")) == no_trust(place(server))
    assert not server.requests


async def test_a_server_that_does_not_speak_tls() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(head(400))
        await peer.left()

    async with raw_server(script) as server:
        assert await failure(server.url.replace("http:", "https:")) == no_trust(place(server))


async def test_a_server_that_never_ends_the_handshake() -> None:
    async with raw_server(deaf) as server:
        url = server.url.replace("http:", "https:")
        assert await failure(url, deadline_s=SOON_S) == too_late(place(server))


def no_trust(where: str) -> tuple[str, str, str]:
    return unavailable(where, "it does not speak TLS, or not with a certificate that is trusted here")
