"""Fetch allocation documents over HTTP: a bearer key, a total deadline, a size cap, few retries.

requests knows only deadlines per read, so a server that drips bytes could hold a call for ever; the deadline
here is for the whole fetch. The body is taken as it is and judged elsewhere.
"""

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from ibkr_rebalancer.core.addresses import is_loopback
from ibkr_rebalancer.core.errors import AllocationUnavailable
from ibkr_rebalancer.core.layout import MAX_DOCUMENT
from ibkr_rebalancer.core.policy import Account

DEADLINE_S = 20.0
"""For all attempts of one fetch together."""
MAX_ATTEMPTS = 4
MAX_REDIRECTS = 3
CHUNK = 16 * 1024


class HttpAllocations:
    """The allocation source that is a URL per account."""

    def __init__(self, *, api_keys: Mapping[str, str], deadline_s: float = DEADLINE_S) -> None:
        """`api_keys` are what variables hold, by their names."""
        self._api_keys = api_keys
        self._deadline_s = deadline_s

    async def fetch(self, account: Account) -> bytes:
        """The document behind the account's URL, at most `MAX_DOCUMENT` bytes.

        Lost connections, HTTP 429 and 5xx are tried again, with growing pauses, until the deadline.

        Raises:
            AllocationUnavailable: `ALLOCATION_DENIED`, `ALLOCATION_TIMEOUT`, `ALLOCATION_TOO_LARGE`,
                `ALLOCATION_REDIRECT` or `ALLOCATION_UNAVAILABLE`, with the URL's host and what happened.
        """
        url = account.allocations_url
        key = _Key(account.api_key_env, self._api_keys.get(account.api_key_env))
        ends = time.monotonic() + self._deadline_s
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._attempt(url, key, ends)
            except TimeoutError as late:
                raise self._too_late(url) from late
            except _TryAgain as trouble:
                if time.monotonic() >= ends:
                    raise self._too_late(url) from trouble
                pause_s = 0.25 * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 (jitter, not a secret)
                if attempt == MAX_ATTEMPTS or time.monotonic() + pause_s >= ends:
                    raise _unavailable(url, f"{trouble} ({attempt} {'try' if attempt == 1 else 'tries'})") from trouble
                await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _too_late(self, url: str) -> AllocationUnavailable:
        return AllocationUnavailable(
            "ALLOCATION_TIMEOUT",
            f"{_host(url)} did not deliver the allocation document within {self._deadline_s:g} s.",
            hint="Try the URL with curl; if it is slow for everybody, speak to its operator.",
        )

    async def _attempt(self, url: str, key: "_Key", ends: float) -> bytes:
        line = _Line()
        try:
            return await _in_daemon_thread(lambda: _get(url, key, line, ends), ends)
        finally:
            line.cut()


@dataclass(frozen=True, slots=True)
class _Key:
    """A bearer key, and the variable that it is to stand in; it can be authentication to requests."""

    name: str
    text: str | None = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the key, or nothing: with an `auth` of our own, requests does not look into ~/.netrc for one."""
        if self.text is not None:
            request.headers["Authorization"] = f"Bearer {self.text}"
        return request

    def denied(self, what: str) -> AllocationUnavailable:
        return AllocationUnavailable(
            "ALLOCATION_DENIED", f"{what}.", hint=f"Check {self.name}, and that it may read this allocation."
        )


def _get(url: str, key: _Key, line: "_Line", ends: float) -> bytes:
    """One attempt, redirects within the host included."""
    with requests.Session() as session:
        session.trust_env = not is_loopback(url)
        # requests would look where a redirect leads, and before that read its whole body, however long.
        session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]  # noqa: ARG005
        session.mount("http://", line)
        session.mount("https://", line)
        for _ in range(MAX_REDIRECTS + 1):
            with _request(session, url, key, ends) as response:
                location = _location(response)
                if location is None:
                    return _body(response, url, key)
                url = _redirected(url, location)
    raise _redirect_refused(url, f"more than {MAX_REDIRECTS} redirects in a row")


def _request(session: requests.Session, url: str, key: _Key, ends: float) -> requests.Response:
    left_s = max(ends - time.monotonic(), 0.01)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    try:
        return session.get(url, auth=key, headers=headers, stream=True, timeout=left_s, allow_redirects=False)
    except requests.exceptions.SSLError as error:
        raise _unavailable(url, "it does not speak TLS, or not with a certificate that is trusted here") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _TryAgain("it could not be reached, or closed the connection") from error
    except (requests.RequestException, HTTPError) as error:
        raise _unavailable(url, f"the exchange failed ({type(error).__name__})") from error
    except ValueError:  # a header that HTTP cannot carry; the library quotes it, key and all
        raise key.denied(f"{key.name} has characters that no HTTP header can carry") from None


class _Line(HTTPAdapter):
    """The socket of one attempt, to be cut from outside: while a server drips, requests lets nobody near it."""

    _socket: socket.socket | None = None
    _is_cut = False

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """The hook that requests has for adapters of one's own."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = partial(self._connection, type(pool).ConnectionCls)
        return pool

    def cut(self) -> None:
        """End the connection; the thread that waits on it, or is only just making it, gets an error."""
        self._is_cut = True
        if self._socket is not None:
            with suppress(OSError):  # it has ended already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _connection(self, kind: Any, **options: Any) -> Any:
        connection = kind(**options)
        connect = connection.connect

        def connect_unless_cut() -> None:
            connect()
            self._socket = connection.sock
            if self._is_cut:
                raise ConnectionAbortedError

        connection.connect = connect_unless_cut
        return connection


class _TryAgain(Exception):
    """This attempt failed in a way that the next one may not."""


async def _in_daemon_thread(work: Callable[[], bytes], ends: float) -> bytes:
    """Run blocking work until the deadline (`TimeoutError`); then leave it behind.

    A thread cannot be ended from outside. A daemon thread at least never keeps the process from exiting, as the
    threads of an executor would.
    """
    outcome: Future[bytes] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 (carried over to the awaiting task, not handled here)
            outcome.set_exception(error)

    threading.Thread(target=run, name="allocation-fetch", daemon=True).start()
    async with asyncio.timeout(ends - time.monotonic()):  # `wait_for` can lose a cancellation
        return await asyncio.wrap_future(outcome)


def _body(response: requests.Response, url: str, key: _Key) -> bytes:
    """The decoded body of a good answer, read in small bites so that the cap is kept."""
    _check_status(response.status_code, url, key)
    body = bytearray()
    try:
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            body += chunk
            if len(body) > MAX_DOCUMENT:
                raise AllocationUnavailable(
                    "ALLOCATION_TOO_LARGE",
                    f"{_host(url)} sent more than {MAX_DOCUMENT // 1024} KiB.",
                    hint="Check that allocations.url names the allocation document and not something else.",
                )
    except (HTTPError, OSError) as error:
        raise _TryAgain("the document was cut off or garbled") from error
    return bytes(body)


def _check_status(status: int, url: str, key: _Key) -> None:
    if status == requests.codes.too_many_requests or status >= requests.codes.internal_server_error:
        raise _TryAgain(f"it answered HTTP {status}")
    if status in {requests.codes.unauthorized, requests.codes.forbidden}:
        raise key.denied(f"{_host(url)} answered HTTP {status}: the key is missing, wrong or has no right to this")
    if status != requests.codes.ok:
        raise AllocationUnavailable(
            "ALLOCATION_UNAVAILABLE",
            f"{_host(url)} answered HTTP {status}.",
            hint="Check allocations.url in accounts.yaml.",
        )


def _location(response: requests.Response) -> str | None:
    return response.headers["Location"] if response.is_redirect else None


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads; the key never goes to another scheme, host or port."""
    try:
        target = urljoin(url, location)
        same_place = urlsplit(target)[:2] == urlsplit(url)[:2]
    except ValueError:
        same_place = False
    if not same_place:
        raise _redirect_refused(url, "a redirect to another place, where the key must not go")
    return target


def _redirect_refused(url: str, what: str) -> AllocationUnavailable:
    return AllocationUnavailable(
        "ALLOCATION_REDIRECT",
        f"{_host(url)} answered with {what}.",
        hint="Put the final address into allocations.url.",
    )


def _unavailable(url: str, reason: str) -> AllocationUnavailable:
    return AllocationUnavailable(
        "ALLOCATION_UNAVAILABLE",
        f"The allocation document could not be fetched from {_host(url)}: {reason}.",
        hint="Check that allocations.url is right and its server is up; nothing was planned.",
    )


def _host(url: str) -> str:
    """The part of a URL that may be shown: what stands before and after it can hold a secret."""
    return urlsplit(url).netloc.rpartition("@")[2]
