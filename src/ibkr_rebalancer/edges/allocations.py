"""Fetch allocation documents over HTTP: one bearer key, a total deadline, a size cap, few retries.

requests knows only deadlines per read, so a server that drips bytes could hold a call for ever; the deadline
here is for the whole fetch. The body is taken as it is and judged elsewhere.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from ibkr_rebalancer.core.addresses import is_loopback
from ibkr_rebalancer.core.errors import AllocationUnavailable
from ibkr_rebalancer.core.policy import Account

DEADLINE_S = 20.0
"""For all attempts of one fetch together."""
MAX_ATTEMPTS = 4
MAX_BODY = 1024 * 1024
"""Bytes; a target list of ten thousand symbols is half of that."""
MAX_REDIRECTS = 3
CHUNK = 16 * 1024


class HttpAllocations:
    """The allocation source that is a URL per account."""

    def __init__(self, *, api_key: str | None, deadline_s: float = DEADLINE_S) -> None:
        self._auth = _Bearer(api_key)
        self._deadline_s = deadline_s

    async def fetch(self, account: Account) -> bytes:
        """The document behind the account's URL, at most `MAX_BODY` bytes.

        Lost connections, HTTP 429 and 5xx are tried again, with growing pauses, until the deadline.

        Raises:
            AllocationUnavailable: `ALLOCATION_DENIED`, `ALLOCATION_TIMEOUT`, `ALLOCATION_TOO_LARGE`,
                `ALLOCATION_REDIRECT` or `ALLOCATION_UNAVAILABLE`, with the URL's host and what happened.
        """
        url = account.allocations_url
        ends = time.monotonic() + self._deadline_s
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await _in_daemon_thread(lambda: self._get(url, ends), ends)
            except _TryAgain as trouble:
                pause_s = 0.25 * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 (jitter, not a secret)
                if attempt == MAX_ATTEMPTS or time.monotonic() + pause_s >= ends:
                    raise _unavailable(url, f"{trouble} ({attempt} {'try' if attempt == 1 else 'tries'})") from trouble
                await asyncio.sleep(pause_s)
            except TimeoutError as late:
                raise self._too_late(url) from late
        raise AssertionError("the last attempt returns or raises")

    def _too_late(self, url: str) -> AllocationUnavailable:
        return AllocationUnavailable(
            "ALLOCATION_TIMEOUT",
            f"{_host(url)} did not deliver the allocation document within {self._deadline_s:g} s.",
            hint="Try the URL with curl; if it is slow for everybody, speak to its operator.",
        )

    def _get(self, url: str, ends: float) -> bytes:
        """One attempt, redirects within the host included."""
        with requests.Session() as session:
            session.trust_env = not is_loopback(url)
            for _ in range(MAX_REDIRECTS + 1):
                with self._request(session, url, ends) as response:
                    location = _location(response)
                    if location is None:
                        return _body(response, url, ends)
                    url = _redirected(url, location)
        raise _redirect_refused(url, f"more than {MAX_REDIRECTS} redirects in a row")

    def _request(self, session: requests.Session, url: str, ends: float) -> requests.Response:
        left_s = max(ends - time.monotonic(), 0.01)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            return session.get(
                url, auth=self._auth, headers=headers, stream=True, timeout=left_s, allow_redirects=False
            )
        except requests.exceptions.SSLError as error:
            raise _unavailable(url, "its TLS certificate could not be verified") from error
        except requests.Timeout as error:
            raise _TryAgain("it did not answer in time") from error
        except requests.ConnectionError as error:
            raise _TryAgain("it could not be reached, or closed the connection") from error
        except (requests.RequestException, HTTPError, UnicodeError) as error:
            raise _unavailable(url, f"the request could not be made ({type(error).__name__})") from error


@dataclass(frozen=True, slots=True)
class _Bearer(AuthBase):
    """Sets the key, or nothing: an auth object of our own also keeps requests from looking into ~/.netrc."""

    key: str | None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.key is not None:
            request.headers["Authorization"] = f"Bearer {self.key}"
        return request


class _TryAgain(Exception):
    """This attempt failed in a way that the next one may not."""


async def _in_daemon_thread(work: Callable[[], bytes], ends: float) -> bytes:
    """Run blocking work until the deadline; then leave it behind.

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
    return await asyncio.wait_for(asyncio.wrap_future(outcome), ends - time.monotonic())


def _body(response: requests.Response, url: str, ends: float) -> bytes:
    """The decoded body of a good answer, read in small bites so that deadline and cap are kept."""
    _check_status(response.status_code, url)
    body = bytearray()
    try:
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            body += chunk
            if len(body) > MAX_BODY:
                raise AllocationUnavailable(
                    "ALLOCATION_TOO_LARGE",
                    f"{_host(url)} sent more than {MAX_BODY // 1024} KiB.",
                    hint="Check that allocations.url names the allocation document and not something else.",
                )
            if time.monotonic() > ends:
                raise _TryAgain("the deadline passed in the middle of the document")
    except (HTTPError, OSError) as error:
        raise _TryAgain(f"the document was cut off ({type(error).__name__})") from error
    return bytes(body)


def _check_status(status: int, url: str) -> None:
    if status == requests.codes.too_many_requests or status >= requests.codes.internal_server_error:
        raise _TryAgain(f"it answered HTTP {status}")
    if status in {requests.codes.unauthorized, requests.codes.forbidden}:
        raise AllocationUnavailable(
            "ALLOCATION_DENIED",
            f"{_host(url)} answered HTTP {status}: the key is missing, wrong or has no right to this.",
            hint="Check ALLOCATIONS_API_KEY, and that it may read this allocation.",
        )
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
        raise _redirect_refused(url, "a redirect to another place")
    return target


def _redirect_refused(url: str, what: str) -> AllocationUnavailable:
    return AllocationUnavailable(
        "ALLOCATION_REDIRECT",
        f"{_host(url)} answered with {what}, and the key must not be taken there.",
        hint="Put the final address into allocations.url.",
    )


def _unavailable(url: str, reason: str) -> AllocationUnavailable:
    return AllocationUnavailable(
        "ALLOCATION_UNAVAILABLE",
        f"The allocation document could not be fetched from {_host(url)}: {reason}.",
        hint="Check that allocations.url is right and its server is up; nothing was planned.",
    )


def _host(url: str) -> str:
    """The part of a URL that may be shown: its path and query can hold a secret."""
    return urlsplit(url).netloc
