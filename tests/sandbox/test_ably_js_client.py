"""Ably's JavaScript client gets on with the sandbox too, where Node is at hand and npm can install the client."""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from tests.sandbox.ably_clients import publisher_key
from tests.support.sandbox import StartSandbox

VERSION = "2.28.0"
SCRIPT = Path(__file__).with_name("ably_js_client.js")
INSTALL_S = 60


@pytest.fixture(scope="module")
def node_path() -> str:
    """Where the client is, installed once for all runs of the tests on this machine."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no node and npm here")
    kept = Path(tempfile.gettempdir()) / f"rebalancer-tests-ably-js-{VERSION}-{os.getuid()}"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            command = [
                npm,
                "install",
                "--prefix",
                folder,
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                f"ably@{VERSION}",
            ]
            try:
                ended = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
            except subprocess.TimeoutExpired:
                pytest.skip(f"npm install ably@{VERSION} took more than {INSTALL_S} s")
            if ended.returncode:
                pytest.skip(f"npm install ably@{VERSION} failed: {ended.stderr.strip()[-300:]}")
            with suppress(OSError):  # another worker was faster
                (Path(folder) / "node_modules").rename(kept)
    return str(kept)


@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
async def test_the_javascript_client(start_sandbox: StartSandbox, node_path: str, binary: bool) -> None:
    sandbox = await start_sandbox()
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPT),
        str(sandbox.ably_port),
        sandbox.env["REALTIME_API_KEY"],
        publisher_key(sandbox),
        sandbox.control_url,
        json.dumps(binary),
        env={**os.environ, "NODE_PATH": node_path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    seen = json.loads(output)
    assert abs(seen.pop("time") - 1795447800000) < 60_000
    assert seen == {
        "seen": [{"execution": "rebalance"}, "meanwhile"],
        "resumed": [False, True],
        "untilAttach": ["before"],
        "pages": [["before", {"execution": "rebalance"}], ["meanwhile"]],
        "denied": 40160,
    }
