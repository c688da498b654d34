"""A real browser that looks at pages without a screen: Debian's or Ubuntu's chromium, driven over its own protocol.

    async with browser() as chromium:
        async with chromium.page(path, width=375, dark=True) as page:
            assert await page.value("document.documentElement.scrollWidth") <= 375

It asks nobody for anything but the page; what the page asks for is in `requests`.
"""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--remote-debugging-port=0",
)
START_S = 20
"""What only a broken browser waits for."""


def find_browser() -> str | None:
    """The path of the browser, if this machine has one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A page that is open in the browser."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.requests: list[str] = []
        """What was asked for, the page itself first."""
        self._socket = socket
        self._last = 0

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to in the page; the page's own policy has no say in it."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"]["value"]

    async def picture(self, path: Path) -> None:
        """Keep a picture of all of it as PNG."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Ask the browser for something, and hear what happens until it answers."""
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        while True:
            told = await self._hear()
            if told.get("id") == self._last:
                result: dict[str, Any] = told["result"]
                return result

    async def until(self, event: str) -> None:
        """Hear what happens until this does."""
        while (await self._hear()).get("method") != event:
            pass

    async def _hear(self) -> dict[str, Any]:
        told: dict[str, Any] = await self._socket.receive_json(timeout=START_S)
        if told.get("method") == "Network.requestWillBeSent":
            self.requests.append(told["params"]["request"]["url"])
        return told


class Browser:
    """A browser that runs."""

    def __init__(self, session: ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    @asynccontextmanager
    async def page(self, path: Path, *, width: int, dark: bool = False, height: int = 900) -> AsyncIterator[Page]:
        """The file, loaded in a window of this width in CSS pixels."""
        async with self._session.put(f"{self._address}/json/new?about:blank") as made:
            target = await made.json()
        async with self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Page(socket)
            scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            await page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=width < 600,
            )
            await page.call("Emulation.setEmulatedMedia", features=scheme)
            await page.call("Network.enable")
            await page.call("Page.enable")
            await page.call("Page.navigate", url=path.as_uri())
            await page.until("Page.loadEventFired")
            yield page


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser with a profile of its own, until the block is left."""
    path = find_browser()
    assert path, "there is no browser"
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            path,
            *FLAGS,
            f"--user-data-dir={profile}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            address = await asyncio.wait_for(_address(process), START_S)
            async with ClientSession() as session:
                yield Browser(session, address)
        finally:
            process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where it listens, as it says on standard error."""
    assert process.stderr
    async for line in process.stderr:
        _, found, address = line.decode().partition("DevTools listening on ws://")
        if found:
            return f"http://{address.partition('/')[0]}"
    raise AssertionError("the browser has ended")
